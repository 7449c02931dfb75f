/* SPDX-License-Identifier: MIT */
/* What arm64 says of its kernels: Linux's Image (Documentation/arch/arm64/booting.rst, 4), and what
 * 32-bit guests start from. */
#include <elf.h>

#include "arm.h"
#include "boot.h"
#include "lkvm/arch.h"

/* Before Linux 3.17 there is no size, and the offset is this one. */
#define OLD_TEXT_OFFSET 0x80000

static const char *image_offset(const struct linux_image *image, u64 *offset)
{
	*offset = image->size ? image->text_offset : OLD_TEXT_OFFSET;
	if (image->size && image->flags & LINUX_IMAGE_BIG_ENDIAN)
		return "a big-endian kernel; lkvm starts only little-endian ones "
		       "(Linux: CONFIG_CPU_LITTLE_ENDIAN)";
	return NULL;
}

static const char *image_refused(const struct linux_image *image, u64 *offset)
{
	return "a 64-bit kernel, and --aarch32 starts the guest in 32-bit mode; omit --aarch32";
}

/* Is the image a 32-bit kernel, as this guest wants it? Its zImage is entered at its first byte. */
static bool is_zimage(const struct boot_image *img)
{
	u8 magic[4];

	return !boot_image_read(img, 36, magic, sizeof(magic)) &&
	       !memcmp(magic, "\x18\x28\x6f\x01", sizeof(magic));
}

static const struct boot_place_rules place = {
	.fdt_max = ARM_FDT_MAX,
	.fdt_align = ARM_FDT_ALIGN,
	.windows = { ARM_LOW_WINDOW, ARM_IMAGE_WINDOW },
};

const struct boot_machine arm_machine = {
	.ram = ARM_RAM,
	.place = &place,
	.flat_offset = ARM_FLAT_OFFSET,
	.elf_machine = EM_AARCH64,
	.image_magic = { 'A', 'R', 'M', '\x64' },
	.image = image_offset,
	.describe = arm_describe,
};

const struct boot_machine arm_machine32 = {
	.ram = ARM_RAM,
	.place = &place,
	.flat_offset = ARM_AARCH32_OFFSET,
	.elf_machine = EM_ARM,
	.image_magic = { 'A', 'R', 'M', '\x64' },
	.image = image_refused,
	.is_raw_linux = is_zimage,
	.describe = arm_describe,
};

const struct boot_machine *arm_machine_of(const struct vm_config *cfg)
{
	return cfg->arm.aarch32 ? &arm_machine32 : &arm_machine;
}

bool arch_boots_linux(const struct vm_config *cfg, const struct boot *boot)
{
	return boot_machine_is_linux(arm_machine_of(cfg), cfg, boot);
}

bool arch_image_base(const struct vm_config *cfg, const struct boot_image *img, u64 *gpa)
{
	return boot_machine_image_base(arm_machine_of(cfg), cfg, img, gpa);
}
