/* SPDX-License-Identifier: MIT */
/* The steps of a measurement as lines: an event log. */
#include "lkvm/measure.h"

static void put_hex(FILE *out, const u8 *bytes, u32 len)
{
	for (u32 i = 0; i < len; i++)
		fprintf(out, "%02x", bytes[i]);
}

static void log_json(FILE *out, const struct measure_step *s)
{
	fprintf(out, "{\"measurement\":\"%s\",\"step\":\"%s\"", s->measurement, s->what);
	if (s->has_range)
		fprintf(out, ",\"gpa\":%llu,\"size\":%llu", s->gpa, s->len);
	if (s->content) {
		fputs(",\"content\":\"", out);
		put_hex(out, s->content, s->content_len);
		fputs("\"", out);
	}
	fputs(",\"after\":\"", out);
	put_hex(out, s->after, s->after_len);
	fputs("\"}\n", out);
}

static void log_text(FILE *out, const struct measure_step *s)
{
	fprintf(out, "%-13s  %-16s", s->measurement, s->what);
	if (s->has_range)
		fprintf(out, "  %#14llx %#10llx  ", s->gpa, s->len);
	else
		fprintf(out, "  %14s %10s  ", "-", "-");
	if (s->content)
		put_hex(out, s->content, s->content_len);
	else
		fputs("-", out);
	fputs("  ", out);
	put_hex(out, s->after, s->after_len);
	fputs("\n", out);
}

void measure_log_step(struct measure_log *log, const struct measure_step *step)
{
	if (!log)
		return;
	if (log->json)
		log_json(log->out, step);
	else
		log_text(log->out, step);
}
