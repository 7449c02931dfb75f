/* SPDX-License-Identifier: MIT */
/* x86/bzimage.c and x86/linux.c. The input is that of fl_one. */
#include "fuzz_load.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const enum x86_kernel_format formats[8] = { X86_KERNEL_AUTO, X86_KERNEL_BZIMAGE,
							   X86_KERNEL_FLAT };

	return fl_one(data, size, formats);
}
