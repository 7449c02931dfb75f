/* SPDX-License-Identifier: MIT */
/* x86/bzimage.c and x86/linux.c. The input is that of fl_one. */
#include "fuzz_load.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const enum kernel_format formats[8] = { KERNEL_AUTO, KERNEL_BZIMAGE, KERNEL_FLAT };

	return fl_one(data, size, formats);
}
