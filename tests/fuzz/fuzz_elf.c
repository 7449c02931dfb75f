/* SPDX-License-Identifier: MIT */
/* ELF of every kind (Linux, PVH, multiboot), multiboot without ELF, firmware. Input: fl_one's. */
#include "fuzz_load.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const enum x86_kernel_format formats[8] = { X86_KERNEL_AUTO, X86_KERNEL_ELF,
							   X86_KERNEL_PVH, X86_KERNEL_MULTIBOOT,
							   X86_KERNEL_AUTO };

	return fl_one(data, size, formats);
}
