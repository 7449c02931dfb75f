/* SPDX-License-Identifier: MIT */
/* The rows of `lkvm host`: what is known about one capability each. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/json.h"
#include "lkvm/probe.h"
#include "lkvm/util.h"

struct probe_row *probe_row(struct probe *h, enum probe_section section, const char *name,
			    const char *brings)
{
	struct probe_row *row = xcalloc(1, sizeof(*row));

	row->section = section;
	row->name = xstrdup(name);
	row->brings = brings;
	row->cap = -1;
	h->rows = xrealloc(h->rows, (h->nr_rows + 1) * sizeof(*h->rows));
	h->rows[h->nr_rows++] = row;
	return row;
}

static char *__printf(1, 0) format(const char *fmt, va_list ap)
{
	char *text = NULL;

	if (vasprintf(&text, fmt, ap) < 0)
		return xstrdup("");
	return text;
}

void probe_yes(struct probe_row *row)
{
	row->answer = PROBE_YES;
}

void probe_number(struct probe_row *row, u64 number)
{
	row->answer = PROBE_YES;
	row->type = PROBE_NUMBER;
	row->number = number;
}

void probe_text(struct probe_row *row, const char *fmt, ...)
{
	va_list ap;

	row->answer = PROBE_YES;
	row->type = PROBE_TEXT;
	free(row->text);
	va_start(ap, fmt);
	row->text = format(fmt, ap);
	va_end(ap);
}

void probe_bits(struct probe_row *row, u64 mask, const char *const *names, size_t nr_names)
{
	char *list = xstrdup("");

	for (u32 bit = 0; bit < 64; bit++) {
		const char *sep = *list ? " " : "";
		char *longer;

		if (!(mask & BIT_ULL(bit)))
			continue;
		if (bit < nr_names && names[bit])
			longer = xasprintf("%s%s%s", list, sep, names[bit]);
		else
			longer = xasprintf("%s%sbit%u", list, sep, bit);
		free(list);
		list = longer;
	}
	free(row->text);
	row->answer = PROBE_YES;
	row->type = PROBE_LIST;
	row->text = list;
}

void probe_note(struct probe_row *row, const char *fmt, ...)
{
	va_list ap;

	free(row->note);
	va_start(ap, fmt);
	row->note = format(fmt, ap);
	va_end(ap);
}

void probe_no(struct probe_row *row, const char *fmt, ...)
{
	va_list ap;

	row->answer = PROBE_NO;
	row->type = PROBE_NO_VALUE;
	free(row->why);
	va_start(ap, fmt);
	row->why = format(fmt, ap);
	va_end(ap);
}

void probe_unknown(struct probe_row *row, const char *fmt, ...)
{
	va_list ap;

	row->answer = PROBE_UNKNOWN;
	row->type = PROBE_NO_VALUE;
	free(row->why);
	va_start(ap, fmt);
	row->why = format(fmt, ap);
	va_end(ap);
}

void probe_unasked(struct probe_row *row)
{
	probe_unknown(row, "KVM cannot be asked");
	row->unasked = true;
}

bool probe_vcpu_answers(const struct probe *h, struct probe_row *row, int error)
{
	if (h->vm_fd < 0)
		probe_unasked(row);
	else if (error)
		probe_unknown(row, "cannot create a vcpu: %s", strerror(-error));
	return h->vm_fd >= 0 && !error;
}

struct probe_row *probe_vcpu_row(struct probe *h, enum probe_section section, const char *name,
				 const char *brings, bool there, int error, const char *missing)
{
	struct probe_row *row = probe_row(h, section, name, brings);

	if (!probe_vcpu_answers(h, row, error))
		return NULL;
	if (there)
		return row;
	probe_no(row, "%s", missing);
	return NULL;
}

const struct probe_row *probe_find(const struct probe *h, enum probe_section section,
				   const char *name)
{
	for (size_t i = 0; i < h->nr_rows; i++) {
		if (h->rows[i]->section == section && !strcmp(h->rows[i]->name, name))
			return h->rows[i];
	}
	return NULL;
}

void probe_put_feature(const struct probe_row *row, struct json_out *out)
{
	if (!row || row->unasked || row->answer == PROBE_UNKNOWN)
		json_put_null(out, "offered");
	else
		json_put_bool(out, "offered", row->answer == PROBE_YES);
	if (row && row->answer == PROBE_NO)
		json_put_text(out, "why", row->why);
	if (row && row->note)
		json_put_text(out, "note", row->note);
}

void probe_destroy(struct probe *h)
{
	for (size_t i = 0; i < h->nr_rows; i++) {
		struct probe_row *row = h->rows[i];

		free(row->name);
		free(row->text);
		free(row->why);
		free(row->note);
		free(row);
	}
	free(h->rows);
	free(h->cpu);
	h->rows = NULL;
	h->cpu = NULL;
	h->nr_rows = 0;
}
