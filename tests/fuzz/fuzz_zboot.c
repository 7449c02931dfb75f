/* SPDX-License-Identifier: MIT */
/* boot/zboot.c: EFI zboot images. The first byte of the input: the limit of what comes out. */
#include "fuzz.h"
#include "lkvm/boot.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	u64 max = 1ULL << fz_u8(&f) % 20;
	struct boot_image img;
	size_t len;
	const u8 *bytes = fz_bytes(&f, MiB, &len);
	u8 sum = 0;

	boot_image_from_buffer(&img, "dir/image", (u8 *)bytes, len);
	if (!boot_image_unzboot(&img, "kernel", max)) {
		fz_check(!img.packed || (img.size && img.size <= max && img.blob != bytes));
		fz_check(img.packed || (img.size == len && img.blob == bytes));
	}
	/* What it calls its contents can be read. */
	fz_check(img.blob != bytes || range_within(img.start, img.size, 0, len));
	for (u64 i = 0; i < img.size; i++)
		sum += img.blob[img.start + i];
	boot_image_close(&img);
	return sum & 0;
}
