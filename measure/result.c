/* SPDX-License-Identifier: MIT */
/* What a measurement says: named values, as text or as JSON. */
#include <assert.h>
#include <stdlib.h>

#include "lkvm/json.h"
#include "lkvm/measure.h"
#include "lkvm/util.h"

#define MAX_TEXT (1 * MiB)

struct measure_result *measure_add_result(struct measure *m, const char *name)
{
	struct measure_result *r = &m->results[m->nr_results++];

	assert(m->nr_results <= MEASURE_MAX_RESULTS);
	*r = (struct measure_result){ .name = name };
	return r;
}

static struct measure_value *add_value(struct measure_result *r, const char *name,
				       enum measure_kind kind)
{
	struct measure_value *v = &r->values[r->nr_values++];

	assert(r->nr_values <= MEASURE_MAX_VALUES);
	*v = (struct measure_value){ .name = name, .kind = kind };
	return v;
}

void measure_add_bytes(struct measure_result *r, const char *name, const void *bytes, u32 len)
{
	struct measure_value *v = add_value(r, name, MEASURE_BYTES);

	assert(len <= sizeof(v->bytes));
	memcpy(v->bytes, bytes, len);
	v->len = len;
}

void measure_add_bits(struct measure_result *r, const char *name, u64 bits)
{
	add_value(r, name, MEASURE_BITS)->number = bits;
}

void measure_add_number(struct measure_result *r, const char *name, u64 number)
{
	add_value(r, name, MEASURE_NUMBER)->number = number;
}

void measure_add_text(struct measure_result *r, const char *name, const char *text)
{
	add_value(r, name, MEASURE_TEXT)->text = xstrdup(text);
}

void measure_refuse(struct measure_result *r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	free(r->refused);
	r->refused = xvasprintf(fmt, ap);
	va_end(ap);
}

/* To be freed. */
static char *value_text(const struct measure_value *v)
{
	char *text;

	switch (v->kind) {
	case MEASURE_BYTES:
		text = xcalloc(1, 2 * v->len + 1);
		for (u32 i = 0; i < v->len; i++)
			snprintf(text + 2 * i, 3, "%02x", v->bytes[i]);
		return text;
	case MEASURE_BITS:
		return xasprintf("%#llx", v->number);
	case MEASURE_NUMBER:
		return xasprintf("%llu", v->number);
	case MEASURE_TEXT:
		break;
	}
	return xstrdup(v->text);
}

static void print_text(const struct measure *m, FILE *out)
{
	for (u32 i = 0; i < m->nr_results; i++) {
		const struct measure_result *r = &m->results[i];

		if (i)
			fputs("\n", out);
		if (r->name)
			fprintf(out, "abi: %s\n", r->name);
		for (u32 k = 0; k < r->nr_values; k++) {
			char *text = value_text(&r->values[k]);

			fprintf(out, "%s: %s\n", r->values[k].name, text);
			free(text);
		}
		if (r->refused)
			fprintf(out, "refused: %s\n", r->refused);
	}
}

static void put_result(struct json_out *json, const struct measure_result *r)
{
	json_open(json, NULL, '{');
	if (r->name)
		json_put_text(json, "abi", r->name);
	for (u32 k = 0; k < r->nr_values; k++) {
		const struct measure_value *v = &r->values[k];
		char *text = value_text(v);

		if (v->kind == MEASURE_NUMBER)
			json_put_u64(json, v->name, v->number);
		else
			json_put_text(json, v->name, text);
		free(text);
	}
	if (r->refused)
		json_put_text(json, "refused", r->refused);
	json_close(json, '}');
}

static int print_json(const struct measure *m, const char *kind, FILE *out)
{
	struct json_out json = { .max = MAX_TEXT };
	int ret;

	json_open(&json, NULL, '{');
	json_put_text(&json, "kind", kind);
	json_open(&json, "results", '[');
	for (u32 i = 0; i < m->nr_results; i++)
		put_result(&json, &m->results[i]);
	json_close(&json, ']');
	json_close(&json, '}');
	json_put_bytes(&json, "\n", 1);
	ret = json.failed ? -ENOMEM : 0;
	if (!ret)
		fwrite(json.buf, 1, json.len, out);
	json_out_free(&json);
	return ret;
}

int measure_print(const struct measure *m, const char *kind, bool json, FILE *out)
{
	int ret = 0;

	errno = 0;
	if (json)
		ret = print_json(m, kind, out);
	else
		print_text(m, out);
	if (!ret && (fflush(out) || ferror(out)))
		ret = errno ? -errno : -EIO;
	return ret;
}

void measure_free(struct measure *m)
{
	for (u32 i = 0; i < m->nr_results; i++) {
		struct measure_result *r = &m->results[i];

		free(r->refused);
		for (u32 k = 0; k < r->nr_values; k++)
			free(r->values[k].text);
	}
	m->nr_results = 0;
}
