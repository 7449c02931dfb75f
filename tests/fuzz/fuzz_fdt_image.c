/* SPDX-License-Identifier: MIT */
/*
 * boot/kernel.c and machine.c: kernels of every format, firmware, an initrd, on machines of no
 * architecture. Bytes of the input: the format (0x80: firmware, 0x40: an initrd, 0x20: the machine
 * with read-only memory for firmware), the guest's size, then the image.
 */
#include <elf.h>

#include "fuzz.h"
#include "lkvm/boot-fdt.h"

#define RAM 0x80000000ULL

static const char *image_offset(const struct linux_image *image, u64 *offset)
{
	*offset = image->text_offset;
	return image->flags & LINUX_IMAGE_BIG_ENDIAN ? "big-endian" : NULL;
}

static const struct boot_place_rules place = {
	.fdt_max = 256 * KiB,
	.fdt_align = 2 * MiB,
	.windows = { 256 * MiB, 32 * GiB },
};

static const struct boot_machine machines[] = {
	{
		.ram = RAM,
		.place = &place,
		.elf_machine = EM_AARCH64,
		.image_magic = { 'A', 'R', 'M', '\x64' },
		.image = image_offset,
	},
	{
		.ram = RAM,
		.place = &place,
		.flat_offset = 2 * MiB,
		.firmware_offset = 2 * MiB,
		.rom = 0x20000000,
		.rom_size = 512 * KiB,
		.elf_machine = EM_RISCV,
		.elf64 = true,
		.image_magic = { 'R', 'S', 'C', '\x05' },
		.image = image_offset,
	},
};

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
	struct boot_load b = { .machine = &machines[how & 0x20 ? 1 : 0],
			       .boot = &boot,
			       .mem = &mem,
			       .plan = &plan,
			       .format = (enum fdt_kernel_format)(how % 4) };
	size_t len;
	const u8 *bytes = fz_bytes(&f, MiB, &len);

	if (!ram)
		ram = calloc(1, 64 * MiB);
	memory_init(&mem);
	fz_check(!memory_add_borrowed(&mem, RAM, memory, ram, MEM_RAM, "ram"));
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
