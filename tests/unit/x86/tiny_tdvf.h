/* SPDX-License-Identifier: MIT */
/* For tests: the firmware image of 8 KiB that tests/vectors/README.md describes, as far as TDX
 * goes: two pattern pages, TDX metadata with five sections, the table that tells where they are. */
#ifndef TEST_TINY_TDVF_H
#define TEST_TINY_TDVF_H

#include "unit.h"

#include "../../../x86/firmware-table.h"
#include "lkvm/util.h"

#define TINY_SIZE     0x2000U
#define TINY_TDVF     0x1d00U /* end - 0x300 */
#define TINY_SECTIONS (TINY_TDVF + 16)

static inline void tiny_pattern(u8 *page, u32 seed)
{
	for (u32 i = 0; i < 4096; i++)
		page[i] = (u8)(i * 7 + seed * 31 + (i >> 8));
}

static inline void tiny_section(u8 *file, u32 i, u32 offset, u32 raw, u64 gpa, u64 size, u32 type,
				u32 attributes)
{
	u8 *p = file + TINY_SECTIONS + (size_t)32 * i;

	put_le(p, 4, offset);
	put_le(p + 4, 4, raw);
	put_le(p + 8, 8, gpa);
	put_le(p + 16, 8, size);
	put_le(p + 24, 4, type);
	put_le(p + 28, 4, attributes);
}

static inline u64 tiny_entry(u8 *file, u64 end, const u8 guid[16], const void *data, u32 len)
{
	memcpy(file + end - 16, guid, 16);
	put_le(file + end - 18, 2, 18 + len);
	memcpy(file + end - 18 - len, data, len);
	return end - 18 - len;
}

/* The count of sections is in the descriptor, too: tiny_section may change them, and it. */
static inline void tiny_count(u8 *file, u32 count)
{
	put_le(file + TINY_TDVF + 4, 4, 16 + (u64)32 * count);
	put_le(file + TINY_TDVF + 12, 4, count);
}

static inline void tiny_tdvf(u8 file[TINY_SIZE])
{
	static const u8 footer[16] = FIRMWARE_GUID(0x96b582de, 0x1fb2, 0x45f7, 0xba, 0xea, 0xa3,
						   0x66, 0xc5, 0x5a, 0x08, 0x2d);
	static const u8 offset[16] = FIRMWARE_GUID(0xe47a6535, 0x984a, 0x4798, 0x86, 0x5e, 0x46,
						   0x85, 0xa7, 0xbf, 0x8e, 0xc2);
	const u8 back[4] = { 0x00, 0x03 };
	u64 at;

	tiny_pattern(file, 1);
	tiny_pattern(file + 0x1000, 2);
	memset(file + 0x1800, 0, 0x800);
	memcpy(file + TINY_TDVF, "TDVF", 4);
	put_le(file + TINY_TDVF + 8, 4, 1);
	tiny_count(file, 5);
	tiny_section(file, 0, 0x1000, 0x1000, 0xfffff000, 0x1000, 0, 1);
	tiny_section(file, 1, 0, 0x1000, 0xffffe000, 0x1000, 1, 0);
	tiny_section(file, 2, 0, 0, 0x9000, 0x2000, 2, 0);
	tiny_section(file, 3, 0, 0, 0xb000, 0x1000, 3, 0);
	tiny_section(file, 4, 0, 0, 0xc000, 0x2000, 4, 2);
	at = tiny_entry(file, TINY_SIZE - 0x20, footer, "", 0);
	at = tiny_entry(file, at, offset, back, sizeof(back));
	put_le(file + TINY_SIZE - 0x20 - 18, 2, TINY_SIZE - 0x20 - at);
	memset(file + TINY_SIZE - 16, 0x90, 14);
	file[TINY_SIZE - 2] = 0xeb;
	file[TINY_SIZE - 1] = 0xfe;
}

#endif
