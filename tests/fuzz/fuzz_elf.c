/* SPDX-License-Identifier: MIT */
/* ELF of every kind (Linux, PVH, multiboot), multiboot without ELF, firmware. Input: fl_one's. */
#include "fuzz_load.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const enum kernel_format formats[8] = { KERNEL_AUTO, KERNEL_ELF, KERNEL_PVH,
						       KERNEL_MULTIBOOT, KERNEL_AUTO };

	return fl_one(data, size, formats);
}
