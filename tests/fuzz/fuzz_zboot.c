/* SPDX-License-Identifier: MIT */
/* boot/zboot.c: EFI zboot images. The first byte of the input: the limit of what comes out. */
#include "fuzz_packed.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	u64 max = 1ULL << fz_u8(&f) % 20;
	struct boot_image img;
	size_t len;
	const u8 *bytes = fz_bytes(&f, MiB, &len);

	boot_image_from_buffer(&img, "dir/image", (u8 *)bytes, len);
	if (!boot_image_unzboot(&img, "kernel", max))
		fp_check(&img, max);
	boot_image_close(&img);
	return 0;
}
