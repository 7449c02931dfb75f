/* SPDX-License-Identifier: MIT */
/* What the NOR flash says of itself (JEDEC JESD68.01, common flash interface). */
#include "flash.h"

/*
 * JESD68.01, chapter 5. Two's powers: sizes and, from 0x1f, times (microseconds, the erasure's in
 * milliseconds). Sizes and counts are those of one chip, filled in by flash_query_byte.
 */
enum {
	Q_CHIP_SIZE = 0x27,
	Q_BLOCKS = 0x2d,
	Q_BLOCK_SIZE = 0x2f,
};
static const u8 query[] = {
	/* Command set: Intel, extended; its table is at 0x31. */
	[0x10] = 'Q',
	[0x11] = 'R',
	[0x12] = 'Y',
	[0x13] = 1,
	[0x15] = 0x31,
	/* 1.7 to 2.0 V; times to program a word, to program a buffer, to erase a block. */
	[0x1b] = 0x17,
	[0x1c] = 0x20,
	[0x1f] = 1,
	[0x20] = 1,
	[0x21] = 1,
	/* 16 lines wide, the buffer, and all blocks of one size. */
	[0x28] = 1,
	[0x2a] = BUFFER_LOG2,
	[0x2c] = 1,
	/* Version 1.0; blocks are locked one by one, at once. */
	[0x31] = 'P',
	[0x32] = 'R',
	[0x33] = 'I',
	[0x34] = '1',
	[0x35] = '0',
	[0x36] = BIT(5),
	/* Which lock bits there are; 1.8 V; one protection register, with nothing in it. */
	[0x3b] = BLOCK_LOCKED | BLOCK_LOCKED_DOWN,
	[0x3d] = 0x18,
	[0x3f] = 1,
	[0x43] = 0
};

u8 flash_query_byte(u64 size, u64 index)
{
	u64 blocks = size / BLOCK_SIZE - 1;

	switch (index) {
	case Q_CHIP_SIZE:
		return (u8)__builtin_ctzll(size / 2);
	case Q_BLOCKS:
		return (u8)blocks;
	case Q_BLOCKS + 1:
		return (u8)(blocks >> 8);
	case Q_BLOCK_SIZE:
		return (u8)(BLOCK_SIZE / 2 / 256);
	case Q_BLOCK_SIZE + 1:
		return (u8)(BLOCK_SIZE / 2 / 256 >> 8);
	}
	return index < sizeof(query) ? query[index] : 0;
}
