/* SPDX-License-Identifier: MIT */
/* The rows of `lkvm host` as a table for people and as JSON (RFC 8259) for programs. */
#include <stdlib.h>

#include "lkvm/probe.h"
#include "lkvm/util.h"

#define NAME_WIDTH  24
#define TABLE_WIDTH 100

static const struct {
	const char *key;
	const char *heading;
} sections[NR_PROBE_SECTIONS] = {
	[PROBE_SEC_HOST] = { "host", "Host" },
	[PROBE_SEC_KVM] = { "kvm", "KVM" },
	[PROBE_SEC_LIMITS] = { "limits", "Limits of a VM" },
	[PROBE_SEC_INTERRUPTS] = { "interrupts", "Interrupts" },
	[PROBE_SEC_CPU] = { "cpu", "CPU of a guest" },
	[PROBE_SEC_TIME] = { "time", "Time" },
	[PROBE_SEC_NESTED] = { "nested", "Nested virtualization" },
	[PROBE_SEC_CONFIDENTIAL] = { "confidential", "Confidential guests" },
	[PROBE_SEC_MEMORY] = { "memory", "Memory" },
	[PROBE_SEC_EXECUTION] = { "execution", "Execution and exits" },
	[PROBE_SEC_DEVICES] = { "devices", "Devices of the host" },
	[PROBE_SEC_SERVICES] = { "services", "Services of the host's kernel" },
};

/* What a file of the host says could be anything. */
static void put_plain(const char *s, FILE *out)
{
	char *text = xstrdup(s);

	text_mask(text);
	fputs(text, out);
	free(text);
}

static const char *answer_word(const struct probe_row *row)
{
	static const char *const words[] = { "?", "no", "yes" };

	return words[row->answer];
}

static void print_details(const struct probe_row *row, FILE *out)
{
	const char *sep = "";

	if (!row->brings && row->cap < 0 && !row->since)
		return;
	fprintf(out, "  %*s      (", NAME_WIDTH, "");
	if (row->brings) {
		put_plain(row->brings, out);
		sep = "; ";
	}
	if (row->cap >= 0) {
		fprintf(out, "%sKVM_CAP %d", sep, row->cap);
		sep = "; ";
	}
	if (row->since)
		fprintf(out, "%ssince Linux %s", sep, row->since);
	fputs(")\n", out);
}

static void print_row(const struct probe_row *row, bool verbose, FILE *out)
{
	fprintf(out, "  %-*s %-3s", NAME_WIDTH, row->name, answer_word(row));
	if (row->type == PROBE_NUMBER)
		fprintf(out, row->hex ? "  0x%llx" : "  %llu", row->number);
	if (row->text && row->type != PROBE_NO_VALUE) {
		fputs("  ", out);
		put_plain(row->text, out);
	}
	if (row->answer == PROBE_YES && row->note) {
		fputs(row->type == PROBE_NO_VALUE ? "  " : "; ", out);
		put_plain(row->note, out);
	}
	if (row->answer != PROBE_YES && row->why) {
		fputs("  ", out);
		put_plain(row->why, out);
	}
	fputc('\n', out);
	if (verbose)
		print_details(row, out);
}

enum feature_group { OFFERED, WITHHELD, LACKING, NR_FEATURE_GROUPS };

static enum feature_group group_of(const struct probe_row *row)
{
	if (row->answer == PROBE_YES)
		return OFFERED;
	return row->withheld ? WITHHELD : LACKING;
}

/* The names of one group of features, in lines that begin below each other. */
static void print_features(const struct probe *h, enum probe_section section,
			   enum feature_group group, FILE *out)
{
	static const char *const names[] = { "features", "in the CPU, not from KVM", "not there" };
	size_t indent = NAME_WIDTH + 3, column = 0;

	for (size_t i = 0; i < h->nr_rows; i++) {
		const struct probe_row *row = h->rows[i];
		size_t len = strlen(row->name);

		if (row->section != section || !row->feature || row->unasked ||
		    group_of(row) != group)
			continue;
		if (!column) {
			fprintf(out, "  %-*s", NAME_WIDTH, names[group]);
			column = indent - 1;
		} else if (column + 1 + len > TABLE_WIDTH) {
			fprintf(out, "\n%*s", (int)indent - 1, "");
			column = indent - 1;
		}
		fprintf(out, " %s", row->name);
		column += 1 + len;
	}
	if (column)
		fputc('\n', out);
}

static void print_section(const struct probe *h, enum probe_section section, bool verbose,
			  FILE *out)
{
	u32 unasked = 0;

	fprintf(out, "%s%s\n", section ? "\n" : "", sections[section].heading);
	for (size_t i = 0; i < h->nr_rows; i++) {
		const struct probe_row *row = h->rows[i];

		if (row->section != section)
			continue;
		if (row->unasked)
			unasked++;
		else if (!row->feature)
			print_row(row, verbose, out);
	}
	for (enum feature_group g = OFFERED; g < NR_FEATURE_GROUPS; g++)
		if (g != LACKING || verbose)
			print_features(h, section, g, out);
	if (unasked)
		fprintf(out, "  (%u more that KVM would have to be asked for)\n", unasked);
}

void probe_print_table(const struct probe *h, bool verbose, FILE *out)
{
	for (enum probe_section s = 0; s < NR_PROBE_SECTIONS; s++)
		print_section(h, s, verbose, out);
}

/*
 * A string of JSON. Characters beyond ASCII are passed on, but for those that a terminal obeys; a
 * byte that is not UTF-8 becomes U+FFFD: a path may be anything.
 */
static void json_bytes(const char *text, size_t len, FILE *out)
{
	const char *end = text + len;

	fputc('"', out);
	while (text < end) {
		u32 cp = 0xfffd;
		size_t n = text_char(text, &cp);

		if (cp == '"' || cp == '\\')
			fprintf(out, "\\%c", (int)cp);
		else if (!n || text_is_order(cp))
			fprintf(out, "\\u%04x", cp);
		else
			fwrite(text, 1, n, out);
		text += n ? n : 1;
	}
	fputc('"', out);
}

static void json_string(const char *s, FILE *out)
{
	json_bytes(s, strlen(s), out);
}

static void json_list(const char *words, FILE *out)
{
	const char *sep = "";

	fputc('[', out);
	while (*words) {
		size_t len = strcspn(words, " ");

		fputs(sep, out);
		json_bytes(words, len, out);
		sep = ", ";
		words += len;
		words += *words == ' ';
	}
	fputc(']', out);
}

static void json_member(const char *key, const char *value, FILE *out)
{
	if (!value)
		return;
	fprintf(out, ", \"%s\": ", key);
	json_string(value, out);
}

static void json_row(const struct probe_row *row, FILE *out)
{
	static const char *const words[] = { "null", "false", "true" };

	fputs("\t\t\t", out);
	json_string(row->name, out);
	fprintf(out, ": {\"available\": %s", words[row->answer]);
	if (row->type != PROBE_NO_VALUE)
		fputs(", \"value\": ", out);
	if (row->type == PROBE_NUMBER)
		fprintf(out, "%llu", row->number);
	else if (row->type == PROBE_TEXT)
		json_string(row->text, out);
	else if (row->type == PROBE_LIST)
		json_list(row->text, out);
	if (row->answer == PROBE_YES)
		json_member("note", row->note, out);
	else
		json_member("why", row->why, out);
	json_member("brings", row->brings, out);
	if (row->cap >= 0)
		fprintf(out, ", \"capability\": %d", row->cap);
	json_member("since", row->since, out);
	fputc('}', out);
}

void probe_print_json(const struct probe *h, FILE *out)
{
	fprintf(out, "{\n\t\"format\": 1,\n\t\"lkvm\": \"%s\",\n\t\"usable\": %s,\n", LKVM_VERSION,
		h->usable ? "true" : "false");
	fputs("\t\"sections\": {", out);
	for (enum probe_section s = 0; s < NR_PROBE_SECTIONS; s++) {
		const char *sep = "\n";

		fprintf(out, "%s\n\t\t\"%s\": {", s ? "," : "", sections[s].key);
		for (size_t i = 0; i < h->nr_rows; i++) {
			if (h->rows[i]->section != s)
				continue;
			fputs(sep, out);
			json_row(h->rows[i], out);
			sep = ",\n";
		}
		fputs("\n\t\t}", out);
	}
	fputs("\n\t}\n}\n", out);
}
