/* SPDX-License-Identifier: MIT */
/* The text of packets of GDB's remote protocol: frames, numbers, the target's description. */
#include "gdb-text.h"

#include <stdio.h>
#include <sys/types.h>

#include "lkvm/debug.h"

#define FRAME_END 3 /* "#xx" */
/* A stop that comes on its own follows whatever waits. */
#define RESERVE 128

void gdb_put_bytes(struct gdb_stub *s, const void *data, size_t len)
{
	size_t room = sizeof(s->out) - FRAME_END - s->len;

	len = MIN(len, room);
	memcpy(s->out + s->len, data, len);
	s->len += (u32)len;
}

void gdb_put(struct gdb_stub *s, const char *text)
{
	/* Nothing waits any more: from the beginning. */
	if (s->sent == s->len)
		s->sent = s->len = s->last = 0;
	gdb_put_bytes(s, text, strlen(text));
}

void gdb_put_hex(struct gdb_stub *s, const void *data, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	const u8 *p = data;

	for (size_t i = 0; i < len; i++) {
		const char two[2] = { digits[p[i] >> 4], digits[p[i] & 15] };

		gdb_put_bytes(s, two, 2);
	}
}

bool gdb_room(const struct gdb_stub *s, size_t len)
{
	u32 waits = s->sent == s->len ? 0 : s->len;

	return len + 2 + FRAME_END + RESERVE <= sizeof(s->out) - waits;
}

void gdb_frame_begin(struct gdb_stub *s)
{
	gdb_put(s, "$");
	s->last = s->len - 1;
}

void gdb_frame_end(struct gdb_stub *s)
{
	u8 sum = 0;
	char text[FRAME_END + 1];

	for (u32 i = s->last + 1; i < s->len; i++)
		sum = (u8)(sum + s->out[i]);
	snprintf(text, sizeof(text), "#%02x", sum);
	memcpy(s->out + s->len, text, FRAME_END);
	s->len += FRAME_END;
}

int gdb_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool gdb_number(char **text, u64 *value)
{
	const char *begin = *text;
	u64 v = 0;

	for (; gdb_digit(**text) >= 0; ++*text) {
		if (v >> 60)
			return false;
		v = v << 4 | (u64)gdb_digit(**text);
	}
	*value = v;
	return *text != begin;
}

int gdb_hex_bytes(const char *text, u8 *out, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		int high = gdb_digit(text[2 * i]), low = high < 0 ? -1 : gdb_digit(text[2 * i + 1]);

		if (low < 0)
			return -EINVAL;
		out[i] = (u8)(high << 4 | low);
	}
	return 0;
}

size_t gdb_unescape(u8 *data, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (data[i] == '}' && i + 1 < len)
			data[n++] = data[++i] ^ 0x20;
		else
			data[n++] = data[i];
	}
	return n;
}

static void describe_reg(FILE *out, const struct debug_reg *reg, u32 index)
{
	fprintf(out, "<reg name=\"%s", reg->name);
	if (reg->count)
		fprintf(out, "%u", index);
	fprintf(out, "\" bitsize=\"%u\"", reg->bytes * 8U);
	if (reg->type)
		fprintf(out, " type=\"%s\"", reg->type);
	fprintf(out, "/>");
}

static void describe_feature(FILE *out, const struct debug_feature *f)
{
	fprintf(out, "<feature name=\"%s\">%s", f->name, f->types ? f->types : "");
	for (u32 i = 0; i < f->nr_regs; i++)
		for (u32 k = 0; k < MAX(f->regs[i].count, (u8)1); k++)
			describe_reg(out, &f->regs[i], k);
	fprintf(out, "</feature>");
}

char *gdb_describe(struct gdb_stub *s, size_t *len)
{
	const struct debug_feature *f;
	char *text = NULL;
	FILE *out = open_memstream(&text, len);
	u32 nr;

	if (!out)
		return NULL;
	fprintf(out,
		"<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
		"<architecture>%s</architecture>",
		arch_debug.architecture);
	f = s->ops->features(s->target, &nr);
	for (u32 i = 0; i < nr; i++)
		describe_feature(out, &f[i]);
	fprintf(out, "</target>");
	return fclose(out) ? NULL : text;
}
