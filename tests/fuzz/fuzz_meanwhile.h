/* SPDX-License-Identifier: MIT */
/*
 * A guest that writes to its memory between two reads of lkvm. Clang calls meanwhile.c at each load
 * and each copy out of guest memory that lkvm makes (`make fuzz-build`; other compilers do not),
 * and there the input's changes are made: after so many loads, at the place that is about to be
 * read. So what is read twice may be two things, and the same input does the same each time.
 */
#ifndef LKVM_TESTS_FUZZ_MEANWHILE_H
#define LKVM_TESTS_FUZZ_MEANWHILE_H

#include "fuzz.h"

#define FZ_CHANGES 8

struct fz_change {
	u32 wait; /* loads before it */
	u8 how;	  /* bits 0, 1: xor, set, xor each fourth load or so from then on; others: where */
	u64 value;
};

/* Guest memory; what is planned for it is forgotten. */
void fz_meanwhile_over(u8 *low, size_t low_size, u8 *high, size_t high_size);
/* One more change, after those that were planned. */
void fz_meanwhile_add(const struct fz_change *change);
void fz_meanwhile_forget(void);
/* Is there any that may still come? */
bool fz_meanwhile_pending(void);
/* The loads that were seen while one was. */
u64 fz_meanwhile_seen(void);

static inline void fz_meanwhile(struct fz *f)
{
	struct fz_change change = { .how = fz_u8(f) };

	change.wait = fz_u8(f) % 64;
	change.value = change.how & 0x80 ? fz_u64(f) : fz_u8(f);
	fz_meanwhile_add(&change);
}

#endif
