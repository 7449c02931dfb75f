/* SPDX-License-Identifier: MIT */
/*
 * What every fuzz target shares: the entry point that libFuzzer (or replay_main.c) calls, the input
 * as a stream of small numbers that never runs dry (zeroes after its end), and checks that end the
 * run as a finding. See docs/fuzzing.md.
 */
#ifndef LKVM_TESTS_FUZZ_H
#define LKVM_TESTS_FUZZ_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/types.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

/* A rule that lkvm itself must keep, whatever the input. The stack trace names the place. */
#define fz_check(condition)                                                                       \
	do {                                                                                      \
		if (!(condition)) {                                                               \
			fprintf(stderr, "%s:%d: fz_check(%s)\n", __FILE__, __LINE__, #condition); \
			abort();                                                                  \
		}                                                                                 \
	} while (0)

/* The input. */
struct fz {
	const u8 *p, *end;
};

static inline struct fz fz_begin(const u8 *data, size_t size)
{
	/* Errors are formatted (and then thrown away); what is rate-limited by time is not. */
	log_set_level(LOG_ERROR);
	return (struct fz){ .p = data, .end = data + size };
}

static inline bool fz_more(const struct fz *f)
{
	return f->p < f->end;
}

static inline u64 fz_le(struct fz *f, unsigned int len)
{
	u64 v = 0;

	for (unsigned int i = 0; i < len && f->p < f->end; i++)
		v |= (u64)*f->p++ << (8 * i);
	return v;
}

static inline u8 fz_u8(struct fz *f)
{
	return (u8)fz_le(f, 1);
}

static inline u16 fz_u16(struct fz *f)
{
	return (u16)fz_le(f, 2);
}

static inline u32 fz_u32(struct fz *f)
{
	return (u32)fz_le(f, 4);
}

static inline u64 fz_u64(struct fz *f)
{
	return fz_le(f, 8);
}

/* 1, 2, 4 or 8: the widths of an access. */
static inline u32 fz_width(struct fz *f)
{
	return 1U << (fz_u8(f) & 3);
}

/* Up to @want bytes of the input itself. */
static inline const u8 *fz_bytes(struct fz *f, size_t want, size_t *len)
{
	const u8 *p = f->p;

	*len = MIN(want, (size_t)(f->end - f->p));
	f->p += *len;
	return p;
}

#endif
