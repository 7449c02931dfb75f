/* SPDX-License-Identifier: MIT */
/* What riscv64 says of its kernels: Linux's Image (Documentation/arch/riscv/boot-image-header.rst).
 */
#include <elf.h>

#include "boot.h"
#include "lkvm/arch.h"

/* boot.rst, Kernel location: a kernel for rv64 maps itself by pages of this size. */
#define IMAGE_ALIGN (2 * MiB)

static const char *image_offset(const struct linux_image *image, u64 *offset)
{
	*offset = image->text_offset;
	if (image->flags & LINUX_IMAGE_BIG_ENDIAN)
		return "a big-endian kernel; lkvm starts only little-endian ones";
	if (image->text_offset % IMAGE_ALIGN)
		return "damaged: its header asks for an offset that is not a multiple of 2M";
	return NULL;
}

static const struct boot_place_rules place = {
	.fdt_max = RISCV_FDT_MAX,
	.fdt_align = RISCV_FDT_ALIGN,
	.windows = { RISCV_LOW_WINDOW, RISCV_IMAGE_WINDOW },
};

const struct boot_machine riscv_machine = {
	.ram = RISCV_RAM,
	.place = &place,
	.flat_offset = RISCV_FLAT_OFFSET,
	.firmware_offset = RISCV_FIRMWARE_OFFSET,
	.rom = RISCV_ROM,
	.rom_size = RISCV_ROM_SIZE,
	.elf_machine = EM_RISCV,
	.elf64 = true,
	.image_magic = { 'R', 'S', 'C', '\x05' },
	.image = image_offset,
	.describe = riscv_describe,
};

bool arch_boots_linux(const struct vm_config *cfg, const struct boot *boot)
{
	return boot_machine_is_linux(&riscv_machine, cfg, boot);
}

bool arch_image_base(const struct vm_config *cfg, const struct boot_image *img, u64 *gpa)
{
	return boot_machine_image_base(&riscv_machine, cfg, img, gpa);
}
