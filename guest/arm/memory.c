/* SPDX-License-Identifier: MIT */
/* arm64 guests: the page table that start.S turns on. */
#include "arm.h"

/* Blocks of 1 GiB (Arm ARM, D8.3.1): accessed, not for EL0; the attributes are start.S's MAIR. */
#define ACCESSED      (1ULL << 10)
#define NEVER_EXECUTE (3ULL << 53)
#define SHAREABLE     (3ULL << 8)
#define BLOCK_DEVICE  (NEVER_EXECUTE | ACCESSED | 0 << 2 | 1)
#define BLOCK_NORMAL  (1ULL << 54 | ACCESSED | SHAREABLE | 1 << 2 | 1)
#define GIB(n)	      ((u64)(n) << 30)

/* Data of the image, so that nothing is written before the MMU is on. */
u64 page_table[512] __attribute__((aligned(4096))) = {
	BLOCK_DEVICE,
	BLOCK_DEVICE | GIB(1),
	BLOCK_NORMAL | GIB(2),
	BLOCK_NORMAL | GIB(3),
};

void arch_map_gib(u64 gpa)
{
	if (gpa >> 39 || page_table[gpa >> 30])
		return;
	page_table[gpa >> 30] = gpa | BLOCK_NORMAL;
	dsb();
	isb();
}
