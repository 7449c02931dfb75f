/* SPDX-License-Identifier: MIT */
/* What Arm's PrimeCells have in common: 32-bit registers in 4 KiB, identification, a clock. */
#ifndef LKVM_HW_PRIMECELL_H
#define LKVM_HW_PRIMECELL_H

#include "lkvm/types.h"

struct arch_place;
struct fdtw;

#define PRIMECELL_SIZE 0x1000

/*
 * Registers by their word-aligned offset in the 4 KiB, for accesses of any width at any offset: a
 * read gives the bytes that it covers, a write counts from a register's first byte alone. Reads
 * of the identification are answered here.
 */
struct primecell_ops {
	u32 part; /* 12 bits: 0x031 for a PL031 */
	u32 (*read)(void *opaque, u32 reg);
	void (*write)(void *opaque, u32 reg, u32 value);
};

void primecell_read(const struct primecell_ops *ops, void *opaque, u64 offset, void *data, u32 len);
void primecell_write(const struct primecell_ops *ops, void *opaque, u64 offset, const void *data,
		     u32 len);

/* compatible (@name and arm,primecell), reg, interrupts and clocks (fdt->clock_phandle) of the open
 * node. */
void primecell_describe(struct fdtw *fdt, const char *name, const struct arch_place *place);

#endif
