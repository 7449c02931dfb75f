/* SPDX-License-Identifier: MIT */
/* The contents of a packed image in any order of reads are those that one read has. */
#ifndef LKVM_TESTS_FUZZ_PACKED_H
#define LKVM_TESTS_FUZZ_PACKED_H

#include "fuzz.h"
#include "lkvm/boot.h"

static inline u32 fp_next(u32 *seed, u64 limit)
{
	*seed = *seed * 1664525 + 1013904223;
	return (u32)((*seed >> 8) % limit);
}

static inline void fp_shuffle(struct boot_image *img, const u8 *whole, u64 size, u8 *buf)
{
	u32 seed = (u32)size;

	boot_image_rest(img);
	for (u32 i = 0; i < 24; i++) {
		u64 at = fp_next(&seed, size), len = fp_next(&seed, size - at) + 1;

		if (i % 3 == 1)
			boot_image_aim(img, at, len, NULL, 0);
		fz_check(!boot_image_read(img, at, buf, len));
		fz_check(!memcmp(buf, whole + at, len));
	}
	fz_check(boot_image_read(img, size, buf, 1) == -ENODATA);
	fz_check(!boot_image_broken(img));
}

/* What boot_image_decompress or _unzboot made of an image, within @max. */
static inline void fp_check(struct boot_image *img, u64 max)
{
	int ret = boot_image_measure(img, &img->size);
	u8 *whole, *buf;

	fz_check(!img->packed == !img->stream && ret == boot_image_broken(img));
	if (ret)
		return;
	fz_check(!img->packed || (img->size && img->size <= max));
	whole = malloc(img->size + !img->size);
	buf = malloc(img->size + !img->size);
	fz_check(whole && buf && !boot_image_read(img, 0, whole, img->size));
	if (img->packed)
		fp_shuffle(img, whole, img->size, buf);
	free(whole);
	free(buf);
}

#endif
