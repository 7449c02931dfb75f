/* SPDX-License-Identifier: MIT */
/*
 * A guest as an ELF core file: a note with the registers of each vcpu, its memory by physical
 * addresses and, where its kernel has addresses in the upper half, the same bytes by those. crash
 * goes by the former, gdb by the latter. Whoever asks gets the file piece by piece, since it may be
 * large; pages of zeroes are left out, as holes.
 */
#ifndef LKVM_CORE_DUMP_H
#define LKVM_CORE_DUMP_H

#include "lkvm/types.h"

struct vm;
struct core_dump;

/* A piece, at most. */
#define CORE_DUMP_PIECE (256 * KiB)

struct core_dump_piece {
	u64 offset; /* in the file */
	const u8 *data;
	size_t len; /* 0: there was nothing to write here, go on */
};

/*
 * Of a VM that is paused, and stays so until core_dump_free. Main thread, as all that follows. 0 or
 * -errno: -ENOTSUP: its memory is private; nothing is printed.
 */
int core_dump_begin(struct vm *vm, struct core_dump **out) __must_check;
/* The next piece, valid until the next call; false: that was all. Never works for long. */
bool core_dump_next(struct core_dump *d, struct core_dump_piece *piece);
/* The whole file, with the hole at its end; what is in front of the memory; and how many of the
 * kernel's mappings it does not show. */
u64 core_dump_size(const struct core_dump *d);
u32 core_dump_left_out(const struct core_dump *d);
void core_dump_free(struct core_dump *d);

#endif
