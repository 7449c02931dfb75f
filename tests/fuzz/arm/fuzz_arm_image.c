/* SPDX-License-Identifier: MIT */
/*
 * boot/kernel.c and machine.c with what arm/ says: kernels of every format, firmware, an initrd.
 * Bytes of the input: the format (0x80: firmware, 0x40: an initrd, 0x20: AArch32), the guest's
 * size, then the image.
 */
#include "../../../arm/boot.h"
#include "fuzz.h"

static const u64 sizes[] = { MiB, 4 * MiB, 16 * MiB, 64 * MiB };

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static u8 *ram, initrd[64];
	struct fz f = fz_begin(data, size);
	u8 how = fz_u8(&f);
	u64 memory = sizes[fz_u8(&f) % ARRAY_SIZE(sizes)];
	struct boot_image initrds[1];
	struct boot boot = { .initrds = initrds, .nr_initrds = how & 0x40 ? 1 : 0 };
	struct guest_memory mem;
	struct boot_plan plan;
	struct boot_load b = { .machine = how & 0x20 ? &arm_machine32 : &arm_machine,
			       .boot = &boot,
			       .mem = &mem,
			       .plan = &plan,
			       .format = (enum fdt_kernel_format)(how % 4) };
	size_t len;
	const u8 *bytes = fz_bytes(&f, MiB, &len);

	if (!ram)
		ram = calloc(1, 64 * MiB);
	memory_init(&mem);
	fz_check(!memory_add_borrowed(&mem, ARM_RAM, memory, ram, MEM_RAM, "ram"));
	boot.kernel.fd = boot.firmware.fd = -1;
	boot_image_from_buffer(how & 0x80 ? &boot.firmware : &boot.kernel, "dir/image", (u8 *)bytes,
			       len);
	boot_image_from_buffer(&initrds[0], "dir/initrd", initrd, sizeof(initrd));
	boot_plan_init(&plan);
	/* What the list has lies in RAM, and nothing on top of another. */
	if (!boot_load_list(&b)) {
		fz_check(b.at.low <= b.at.high);
		if (!boot_plan_check(&plan, &mem))
			fz_check(!boot_plan_load(&plan, &mem));
	}
	boot_plan_free(&plan);
	memory_destroy(&mem);
	return 0;
}
