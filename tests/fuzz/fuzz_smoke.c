/* SPDX-License-Identifier: MIT */
/*
 * smoke/ and util/pattern.c: any expressions, and consoles that say anything. What is found does
 * not depend on the pieces in which it comes. Input: flags; up to 3 expressions (kind, length,
 * text); then output: console in bit 7, length in the others, bytes.
 */
#include "fuzz.h"
#include "lkvm/smoke.h"
#include "lkvm/util.h"

#define EXPRESSIONS 3

static u32 stops;

static void on_stop(void *opaque, u64 ns)
{
	stops++;
}

static void begin(struct smoke *s, struct fz f, char texts[EXPRESSIONS][64], struct fz *rest)
{
	u8 flags = fz_u8(&f);
	const char *why;

	*s = (struct smoke){
		.in_order = flags & 1, .until_end = flags & 2, .log_fd = -1, .stop = on_stop
	};
	smoke_init(s);
	for (u32 i = 0; i < EXPRESSIONS; i++) {
		enum smoke_kind kind = (enum smoke_kind)(fz_u8(&f) % 3);
		u32 len = fz_u8(&f) % 64;

		for (u32 k = 0; k < len; k++)
			texts[i][k] = (char)fz_u8(&f);
		texts[i][len] = '\0';
		if (smoke_add(s, kind, texts[i], &why))
			fz_check(why);
	}
	if (flags & 4)
		smoke_add_crashes(s, flags & 8);
	smoke_ready(s, 2, true);
	*rest = f;
}

static void check_tails(const struct smoke *a, const struct smoke *b)
{
	char *one = smoke_tail(a), *two = smoke_tail(b);

	fz_check(one && two && !strcmp(one, two));
	free(one);
	free(two);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	char texts[2][EXPRESSIONS][64];
	struct fz f = fz_begin(data, size), rest;
	struct smoke whole, bytes;

	begin(&whole, f, texts[0], &rest);
	begin(&bytes, f, texts[1], &rest);
	while (fz_more(&rest)) {
		u8 head = fz_u8(&rest), buf[128];
		u32 console = head >> 7, len = head & 0x7f;

		for (u32 i = 0; i < len; i++)
			buf[i] = fz_u8(&rest);
		smoke_output(&whole, console, buf, len);
		for (u32 i = 0; i < len; i++)
			smoke_output(&bytes, console, buf + i, 1);
		fz_check(whole.verdict == bytes.verdict);
	}
	smoke_finish(&whole);
	smoke_finish(&bytes);
	fz_check(whole.verdict == bytes.verdict && whole.nr_seen == bytes.nr_seen);
	fz_check(!whole.cause == !bytes.cause &&
		 (!whole.cause || whole.cause - whole.rules == bytes.cause - bytes.rules));
	fz_check((whole.verdict == SMOKE_PASSED) <= (whole.nr_seen == whole.nr_expected));
	check_tails(&whole, &bytes);
	smoke_destroy(&whole);
	smoke_destroy(&bytes);
	return 0;
}
