/* SPDX-License-Identifier: MIT */
/*
 * Output of consoles to a verdict. Lines are looked through without what a terminal would obey
 * (ECMA-48 escape sequences); a carriage return that is not of a line's end begins a new one, as it
 * does on a screen. The verdict is that of the first byte that decides, whatever comes after it.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/smoke.h"
#include "lkvm/util.h"

#define ESC 0x1b
#define BEL 0x07
/* Longer sequences are not any. */
#define MAX_SKIPPED 200

/* How long a machine runs on after its verdict: so that its last line is whole, a prompt is shown,
 * an oops is told to its end. */
#define PROMPT_NS 200000000ULL
#define TALE_NS	  1000000000ULL

enum escape_state {
	TEXT,
	ESCAPE,	  /* after ESC */
	ONE_MORE, /* ESC and one that wants another */
	CONTROL,  /* CSI, up to its final byte */
	STRING,	  /* OSC and its like, up to ST or BEL */
	STRING_ESC,
};

const char *const smoke_verdict_names[] = {
	[SMOKE_OPEN] = "none",	     [SMOKE_PASSED] = "passed",		  [SMOKE_FAILED] = "failed",
	[SMOKE_TIMEOUT] = "timeout", [SMOKE_INTERRUPTED] = "interrupted", [SMOKE_ERROR] = "error",
};

const char *smoke_seconds(u64 ns, char *buf, size_t len)
{
	snprintf(buf, len, "%llu.%03llu", ns / 1000000000, ns / 1000000 % 1000);
	return buf;
}

static u64 since_start(const struct smoke *s)
{
	return s->marks ? now_ns() - s->marks->start_ns : 0;
}

/* Verdicts. The lock is held. */

static bool __printf(3, 0)
	decide(struct smoke *s, enum smoke_verdict verdict, const char *fmt, va_list ap)
{
	if (s->verdict != SMOKE_OPEN)
		return false;
	s->verdict = verdict;
	s->ns = since_start(s);
	vsnprintf(s->reason, sizeof(s->reason), fmt, ap);
	text_mask(s->reason);
	return true;
}

static bool __printf(3, 4)
	decide_here(struct smoke *s, enum smoke_verdict verdict, const char *fmt, ...)
{
	va_list ap;
	bool first;

	va_start(ap, fmt);
	first = decide(s, verdict, fmt, ap);
	va_end(ap);
	return first;
}

bool smoke_decide(struct smoke *s, enum smoke_verdict verdict, const char *fmt, ...)
{
	va_list ap;
	bool first;

	pthread_mutex_lock(&s->lock);
	va_start(ap, fmt);
	first = decide(s, verdict, fmt, ap);
	va_end(ap);
	pthread_mutex_unlock(&s->lock);
	return first;
}

static void stop(struct smoke *s, u64 ns)
{
	if (s->stop)
		s->stop(s->opaque, ns);
}

/* Of the line as it stands. */
static void take_line(const struct smoke_stream *st, struct smoke_rule *rule)
{
	free(rule->line);
	rule->line = malloc(st->len + 1);
	if (!rule->line)
		return;
	memcpy(rule->line, st->line, st->len);
	rule->line[st->len] = '\0';
	text_mask(rule->line);
}

/* It was seen here and now. */
static void note(struct smoke_stream *st, struct smoke_rule *rule)
{
	rule->seen = true;
	rule->ns = since_start(st->smoke);
	rule->in = st;
	st->news = true;
	take_line(st, rule);
}

/* What was seen in the line that ends: not in the middle of it, where the same terminal shows it.
 */
static void tell(struct smoke_stream *st)
{
	struct smoke *s = st->smoke;
	char text[32];

	for (u32 i = 0; i < s->nr; i++) {
		struct smoke_rule *rule = &s->rules[i];

		if (rule->in != st || rule->told)
			continue;
		rule->told = true;
		take_line(st, rule);
		if (rule->kind == SMOKE_EXPECT)
			info("smoke: '%s' was seen after %s s", rule->text,
			     smoke_seconds(rule->ns, text, sizeof(text)));
	}
	st->news = false;
}

static bool is_next(const struct smoke *s, const struct smoke_rule *rule)
{
	for (const struct smoke_rule *r = s->rules; s->in_order && r < rule; r++)
		if (r->kind == SMOKE_EXPECT && !r->seen)
			return false;
	return true;
}

static void expected(struct smoke_stream *st, struct smoke_rule *rule)
{
	struct smoke *s = st->smoke;

	if (s->verdict != SMOKE_OPEN || rule->seen || !is_next(s, rule))
		return;
	note(st, rule);
	if (++s->nr_seen < s->nr_expected || s->until_end)
		return;
	decide_here(s, SMOKE_PASSED, "all that is expected was seen");
	s->ending = st;
	stop(s, PROMPT_NS);
}

static void failed(struct smoke_stream *st, struct smoke_rule *rule)
{
	struct smoke *s = st->smoke;

	if (s->verdict != SMOKE_OPEN)
		return;
	note(st, rule);
	s->cause = rule;
	if (rule->kind == SMOKE_CRASH) {
		decide_here(s, SMOKE_FAILED, "the kernel reported a crash");
	} else {
		decide_here(s, SMOKE_FAILED, "'%s' was seen", rule->text);
		s->ending = st;
	}
	stop(s, TALE_NS);
}

static void found(void *opaque, u32 nr)
{
	struct smoke_stream *st = opaque;
	struct smoke_rule *rule = &st->smoke->rules[nr];

	switch (rule->kind) {
	case SMOKE_EXPECT:
		expected(st, rule);
		break;
	case SMOKE_FAIL:
		failed(st, rule);
		break;
	case SMOKE_ALLOW:
		st->allowed = true;
		break;
	case SMOKE_CRASH:
		if (!st->crash)
			st->crash = rule;
		break;
	case SMOKE_CRASH_END:
		if (st->smoke->cause)
			st->smoke->ending = st;
		break;
	case SMOKE_INIT:
		marks_add(st->smoke->marks, MARK_INIT, 0);
		break;
	}
}

/* Lines */

static void keep(struct smoke *s, char byte)
{
	if (s->tail)
		s->tail[s->tail_at++ % SMOKE_TAIL] = byte;
}

static void end_line(struct smoke_stream *st)
{
	struct smoke *s = st->smoke;

	pattern_end_line(&st->search);
	/* Only now it is known that nothing in it allows it. */
	if (st->crash && !st->allowed)
		failed(st, st->crash);
	st->crash = NULL;
	st->allowed = false;
	if (st->news)
		tell(st);
	st->len = 0;
	keep(s, '\n');
	if (s->ending != st)
		return;
	s->ending = NULL;
	stop(s, 0);
}

static void text_byte(struct smoke_stream *st, u8 byte)
{
	if (st->len == SMOKE_LINE) {
		st->len /= 2;
		memmove(st->line, st->line + st->len, st->len);
	}
	st->line[st->len++] = (char)byte;
	keep(st->smoke, (char)byte);
	pattern_byte(&st->search, byte);
}

/* After ESC: what kind of a sequence is it? */
static u8 escape_kind(u8 byte)
{
	if (byte == '[')
		return CONTROL;
	if (byte == ']' || byte == 'P' || byte == 'X' || byte == '^' || byte == '_')
		return STRING;
	return byte >= 0x20 && byte <= 0x2f ? ONE_MORE : TEXT;
}

/* True: the byte belongs to an escape sequence. What cannot be in one ends it. */
static bool skip_escape(struct smoke_stream *st, u8 byte)
{
	u8 state = st->state;

	if (byte == ESC) {
		st->state = state == STRING ? STRING_ESC : ESCAPE;
		st->skipped = 0;
		return true;
	}
	if (state == TEXT)
		return false;
	if ((byte < 0x20 && byte != BEL) || st->skipped++ == MAX_SKIPPED) {
		st->state = TEXT;
		return false;
	}
	if (state == ESCAPE)
		st->state = escape_kind(byte);
	else if (state == STRING_ESC)
		st->state = byte == '\\' ? TEXT : escape_kind(byte);
	else if (state == ONE_MORE || (state == CONTROL && byte >= 0x40) ||
		 (state == STRING && byte == BEL))
		st->state = TEXT;
	return true;
}

static void output_byte(struct smoke_stream *st, u8 byte)
{
	bool cr = st->cr;

	if (skip_escape(st, byte) || !byte)
		return;
	st->cr = byte == '\r';
	if (st->cr)
		return;
	if (cr || byte == '\n')
		end_line(st);
	if (byte != '\n')
		text_byte(st, byte);
}

/* The log */

static void flush_log(struct smoke *s)
{
	int ret = s->log_len ? write_full(s->log_fd, s->log_buf, s->log_len) : 0;

	if (ret && !s->log_error)
		err("--log: cannot write: %s; what the guest says is kept no more", strerror(-ret));
	if (ret)
		s->log_error = ret;
	s->log_len = 0;
}

static void log_output(struct smoke *s, const u8 *buf, size_t len)
{
	bool line = memchr(buf, '\n', len);

	while (len && !s->log_error) {
		size_t n = MIN(len, sizeof(s->log_buf) - s->log_len);

		memcpy(s->log_buf + s->log_len, buf, n);
		s->log_len += (u32)n;
		buf += n;
		len -= n;
		if (s->log_len == sizeof(s->log_buf))
			flush_log(s);
	}
	if (line && !s->log_error)
		flush_log(s);
}

void smoke_output(void *opaque, u32 console, const u8 *buf, size_t len)
{
	struct smoke *s = opaque;

	marks_add(s->marks, MARK_CONSOLE, 0);
	pthread_mutex_lock(&s->lock);
	if (s->log_fd >= 0)
		log_output(s, buf, len);
	for (size_t i = 0; i < len; i++)
		output_byte(&s->streams[console], buf[i]);
	pthread_mutex_unlock(&s->lock);
}

void smoke_ready(struct smoke *s, u32 consoles, bool tail)
{
	pattern_set_ready(&s->set);
	s->streams = xcalloc(consoles, sizeof(s->streams[0]));
	s->nr_streams = consoles;
	for (u32 i = 0; i < consoles; i++) {
		s->streams[i].smoke = s;
		pattern_stream_init(&s->streams[i].search, &s->set, found, &s->streams[i]);
	}
	if (tail)
		s->tail = xcalloc(1, SMOKE_TAIL);
}

void smoke_finish(struct smoke *s)
{
	pthread_mutex_lock(&s->lock);
	for (u32 i = 0; i < s->nr_streams; i++)
		if (s->streams[i].len)
			end_line(&s->streams[i]);
	if (s->log_fd >= 0 && !s->log_error)
		flush_log(s);
	pthread_mutex_unlock(&s->lock);
}

char *smoke_tail(const struct smoke *s)
{
	u64 len = MIN(s->tail_at, SMOKE_TAIL), from = s->tail_at - len;
	char *text = s->tail ? malloc(len + 1) : NULL;

	if (!text)
		return NULL;
	for (u64 i = 0; i < len; i++)
		text[i] = s->tail[(from + i) % SMOKE_TAIL];
	text[len] = '\0';
	return text;
}
