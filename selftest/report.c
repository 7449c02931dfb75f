/* SPDX-License-Identifier: MIT */
/* What `lkvm selftest` found, as TAP (testanything.org, version 12) or JSON (RFC 8259). */
#include <stdarg.h>
#include <stdio.h>

#include "lkvm/selftest.h"

void print_json_string(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		/* Bytes beyond ASCII need not be UTF-8 when they come from a guest. */
		if (c == '"' || c == '\\')
			printf("\\%c", c);
		else if (c < 0x20 || c > 0x7e)
			printf("\\u%04x", c);
		else
			putchar(c);
	}
	putchar('"');
}

void report_begin(struct selftest_report *r, bool json)
{
	*r = (struct selftest_report){ .json = json };
	if (json)
		printf("{\"version\":1,\"checks\":[");
}

/* Close the last point's object, which notes may have been added to. */
static void close_point(struct selftest_report *r)
{
	if (r->in_notes)
		printf("]");
	r->in_notes = false;
	if (r->points)
		printf("}");
}

static void json_point(struct selftest_report *r, bool ok, const char *name, const char *skipped)
{
	close_point(r);
	printf("%s\n{\"run\":", r->points ? "," : "");
	print_json_string(r->run ? r->run : "");
	printf(",\"name\":");
	print_json_string(name);
	printf(",\"result\":\"%s\"", !ok ? "failed" : skipped ? "skipped" : "ok");
	if (skipped) {
		printf(",\"reason\":");
		print_json_string(skipped);
	}
}

void report_point(struct selftest_report *r, bool ok, const char *name, const char *skipped)
{
	if (r->json)
		json_point(r, ok, name, skipped);
	else
		printf("%sok %u - %s%s%s%s%s\n", ok ? "" : "not ", r->points + 1,
		       r->run ? r->run : "", r->run ? ": " : "", name, skipped ? " # SKIP " : "",
		       skipped ? skipped : "");
	r->points++;
	r->failed += !ok;
	r->skipped += ok && skipped;
	fflush(stdout);
}

void report_note(struct selftest_report *r, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (!r->json) {
		printf("# %s\n", text);
		fflush(stdout);
		return;
	}
	/* Before the first point there is nothing to hang it on. */
	if (!r->points)
		return;
	printf("%s", r->in_notes ? "," : ",\"notes\":[");
	print_json_string(text);
	r->in_notes = true;
}

void report_end(struct selftest_report *r)
{
	if (r->json) {
		close_point(r);
		printf("],\n\"ok\":%u,\"failed\":%u,\"skipped\":%u}\n",
		       r->points - r->failed - r->skipped, r->failed, r->skipped);
		return;
	}
	printf("1..%u\n", r->points);
	if (r->failed)
		printf("# %u of %u failed\n", r->failed, r->points);
}
