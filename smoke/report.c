/* SPDX-License-Identifier: MIT */
/*
 * Reports: JUnit's XML as GitLab, Jenkins and GitHub's actions read it, TAP (version 13) and JSON.
 * What a guest said is in them; it stays text.
 */
#include <stdlib.h>

#include "lkvm/json.h"
#include "lkvm/smoke.h"
#include "lkvm/util.h"

/* Each byte of a console may become six, and a command line has its limit too. */
#define JSON_MAX (16 * MiB)

const char *const smoke_format_names[] = {
	[SMOKE_JUNIT] = "junit", [SMOKE_JSON] = "json", [SMOKE_TAP] = "tap", NULL
};

/* The checks that a test is made of: each rule of the user's, crashes, the end. */

struct check {
	const struct smoke_rule *rule; /* NULL: crashes, or the end */
	bool is_crash;
	bool ok;
	u64 ns;		  /* when it was known; 0: at the end */
	const char *line; /* of the console, or NULL */
};

/* Is there a check number @i? */
static bool get_check(const struct smoke_report *r, u32 i, struct check *c)
{
	const struct smoke *s = r->smoke;

	*c = (struct check){ 0 };
	for (u32 k = 0; k < s->nr; k++) {
		const struct smoke_rule *rule = &s->rules[k];

		if (rule->kind != SMOKE_EXPECT && rule->kind != SMOKE_FAIL)
			continue;
		if (i--)
			continue;
		c->rule = rule;
		c->ok = rule->seen == (rule->kind == SMOKE_EXPECT);
		c->ns = rule->ns;
		c->line = rule->line;
		return true;
	}
	if (r->crashes && !i--) {
		c->is_crash = true;
		c->ok = !s->cause || s->cause->kind != SMOKE_CRASH;
		c->ns = c->ok ? 0 : s->cause->ns;
		c->line = c->ok ? NULL : s->cause->line;
		return true;
	}
	if (i)
		return false;
	/* A failure that has its own check is not one of the end. */
	c->ok = s->verdict == SMOKE_PASSED || s->cause;
	c->ns = s->ns;
	return true;
}

static void print_name(const struct check *c, FILE *out, void (*put)(FILE *, const char *))
{
	if (c->rule) {
		fputs(c->rule->kind == SMOKE_EXPECT ? "expect: " : "fail: ", out);
		put(out, c->rule->text);
	} else {
		fputs(c->is_crash ? "the kernel does not crash" : "the test comes to its end", out);
	}
}

static const char *why_not(const struct smoke_report *r, const struct check *c)
{
	if (c->rule && c->rule->kind == SMOKE_EXPECT)
		return "was not seen";
	if (c->rule)
		return "was seen";
	return r->smoke->reason;
}

/* XML */

/* Characters that XML 1.0 (2.2) does not have, and what is not UTF-8, become '?'. */
static void put_xml(FILE *out, const char *text)
{
	while (*text) {
		u32 cp = 0;
		size_t n = text_char(text, &cp);
		bool bad = !n || (cp < 0x20 && cp != '\t' && cp != '\n') || cp == 0xfffe ||
			   cp == 0xffff;

		if (bad)
			fputc('?', out);
		else if (cp == '<')
			fputs("&lt;", out);
		else if (cp == '>')
			fputs("&gt;", out);
		else if (cp == '&')
			fputs("&amp;", out);
		else if (cp == '"')
			fputs("&quot;", out);
		else if (cp == '\t' || cp == '\n')
			fprintf(out, cp == '\n' ? "\n" : "&#9;");
		else
			fwrite(text, 1, n, out);
		text += n ? n : 1;
	}
}

static void junit_check(const struct smoke_report *r, const struct check *c, FILE *out)
{
	char text[32];

	fputs("<testcase classname=\"lkvm.smoke\" name=\"", out);
	print_name(c, out, put_xml);
	fprintf(out, "\" time=\"%s\"",
		smoke_seconds(c->ns ? c->ns : r->smoke->ns, text, sizeof(text)));
	if (c->ok) {
		fputs("/>\n", out);
		return;
	}
	fprintf(out, ">\n<failure type=\"%s\" message=\"", smoke_verdict_names[r->smoke->verdict]);
	put_xml(out, why_not(r, c));
	fputs("\">", out);
	put_xml(out, c->line ? c->line : r->smoke->reason);
	fputs("</failure>\n</testcase>\n", out);
}

static int junit(const struct smoke_report *r, FILE *out)
{
	const struct marks *marks = r->smoke->marks;
	char *tail = smoke_tail(r->smoke), name[16], text[32];
	u32 n = 0, failures = 0;
	struct check c;

	for (; get_check(r, n, &c); n++)
		failures += !c.ok;
	smoke_seconds(r->smoke->ns, text, sizeof(text));
	fprintf(out,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
		"<testsuites tests=\"%u\" failures=\"%u\" errors=\"0\" time=\"%s\">\n"
		"<testsuite name=\"",
		n, failures, text);
	put_xml(out, r->kernel);
	fprintf(out, "\" tests=\"%u\" failures=\"%u\" errors=\"0\" time=\"%s\">\n<properties>\n", n,
		failures, text);
	for (u32 i = 0; marks && i < marks->nr; i++)
		fprintf(out, "<property name=\"boot.%s\" value=\"%llu\"/>\n",
			mark_name(&marks->list[i], name, sizeof(name)), marks->list[i].ns);
	fprintf(out, "<property name=\"status\" value=\"%d\"/>\n</properties>\n", r->status);
	for (u32 i = 0; get_check(r, i, &c); i++)
		junit_check(r, &c, out);
	fputs("<system-out>", out);
	put_xml(out, tail ? tail : "");
	fputs("</system-out>\n</testsuite>\n</testsuites>\n", out);
	free(tail);
	return 0;
}

/* TAP */

/* On one line; '#' would begin a directive. */
static void put_tap(FILE *out, const char *text)
{
	char *copy = xstrdup(text);

	text_mask(copy);
	for (const char *s = copy; *s; s++) {
		if (*s == '#' || *s == '\\')
			fputc('\\', out);
		fputc(*s, out);
	}
	free(copy);
}

static void put_note(FILE *out, const char *text)
{
	char *copy = xstrdup(text);

	text_mask(copy);
	fprintf(out, "# %s\n", copy);
	free(copy);
}

/* The last lines that the guest said. */
static void tap_tail(const struct smoke *s, FILE *out)
{
	char *tail = smoke_tail(s), *line = tail ? tail + strlen(tail) : NULL, *rest;
	u32 lines = 0;

	while (line > tail && lines < 20)
		if (*--line == '\n' && line[1])
			lines++;
	rest = line && *line == '\n' ? line + 1 : line;
	for (; rest && (line = strsep(&rest, "\n"));)
		if (*line)
			put_note(out, line);
	free(tail);
}

static int tap(const struct smoke_report *r, FILE *out)
{
	char text[32];
	struct check c;
	u32 n = 0;

	fputs("TAP version 13\n", out);
	for (; get_check(r, n, &c); n++) {
		fprintf(out, "%sok %u - ", c.ok ? "" : "not ", n + 1);
		print_name(&c, out, put_tap);
		fprintf(out, " (%s s)\n",
			smoke_seconds(c.ns ? c.ns : r->smoke->ns, text, sizeof(text)));
		if (!c.ok)
			put_note(out, why_not(r, &c));
		if (c.line)
			put_note(out, c.line);
	}
	fprintf(out, "1..%u\n", n);
	if (r->smoke->marks) {
		fputs("# boot time in ns: ", out);
		marks_print(r->smoke->marks, out);
		fputc('\n', out);
	}
	if (r->smoke->verdict != SMOKE_PASSED)
		tap_tail(r->smoke, out);
	return 0;
}

/* JSON */

static void json_rules(struct json_out *out, const struct smoke *s, enum smoke_kind kind,
		       const char *name)
{
	json_open(out, name, '[');
	for (u32 i = 0; i < s->nr; i++) {
		const struct smoke_rule *rule = &s->rules[i];

		if (rule->kind != kind)
			continue;
		json_open(out, NULL, '{');
		json_put_text(out, "pattern", rule->text);
		json_put_bool(out, "seen", rule->seen);
		if (rule->seen) {
			json_put_u64(out, "ns", rule->ns);
			json_put_text(out, "line", rule->line ? rule->line : "");
		}
		json_close(out, '}');
	}
	json_close(out, ']');
}

static void json_crash(struct json_out *out, const struct smoke_rule *cause)
{
	if (!cause || cause->kind != SMOKE_CRASH) {
		json_put_null(out, "crash");
		return;
	}
	json_open(out, "crash", '{');
	json_put_u64(out, "ns", cause->ns);
	json_put_text(out, "line", cause->line ? cause->line : "");
	json_close(out, '}');
}

static void json_marks(struct json_out *out, const struct marks *marks)
{
	char name[16];

	json_open(out, "boot_time", '[');
	for (u32 i = 0; marks && i < marks->nr; i++) {
		json_open(out, NULL, '{');
		json_put_text(out, "mark", mark_name(&marks->list[i], name, sizeof(name)));
		json_put_u64(out, "ns", marks->list[i].ns);
		json_close(out, '}');
	}
	json_close(out, ']');
}

static int json(const struct smoke_report *r, FILE *out)
{
	const struct smoke *s = r->smoke;
	struct json_out j = { .max = JSON_MAX };
	char *tail = smoke_tail(s);
	int ret;

	json_open(&j, NULL, '{');
	json_put_u64(&j, "version", 1);
	json_put_text(&j, "kernel", r->kernel);
	json_put_text(&j, "verdict", smoke_verdict_names[s->verdict]);
	json_put_u64(&j, "status", (u64)r->status);
	json_put_text(&j, "reason", s->reason);
	json_put_u64(&j, "ns", s->ns);
	json_put_text(&j, "end", r->end);
	json_put_u64(&j, "timeout", r->timeout);
	json_rules(&j, s, SMOKE_EXPECT, "expect");
	json_rules(&j, s, SMOKE_FAIL, "fail");
	json_crash(&j, s->cause);
	json_marks(&j, s->marks);
	json_put_text(&j, "console", tail ? tail : "");
	json_close(&j, '}');
	json_put_bytes(&j, "\n", 1);
	fwrite(j.buf, 1, j.len, out);
	ret = j.failed ? -ENOMEM : 0;
	json_out_free(&j);
	free(tail);
	return ret;
}

int smoke_report_print(const struct smoke_report *r, enum smoke_format format, FILE *out)
{
	static int (*const formats[])(const struct smoke_report *r, FILE *out) = {
		[SMOKE_JUNIT] = junit,
		[SMOKE_JSON] = json,
		[SMOKE_TAP] = tap,
	};

	return formats[format](r, out);
}
