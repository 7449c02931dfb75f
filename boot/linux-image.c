/* SPDX-License-Identifier: MIT */
/* The header of Linux's Image: two instructions, then these; little-endian whatever the kernel is
 * (Documentation/arch/arm64/booting.rst, 4; Documentation/arch/riscv/boot-image-header.rst). */
#include "lkvm/boot-fdt.h"

#define HDR_TEXT_OFFSET 8
#define HDR_IMAGE_SIZE	16
#define HDR_FLAGS	24
#define HDR_MAGIC	56
#define HDR_SIZE	64

int linux_image_parse(const struct boot_image *img, const char magic[4], struct linux_image *out)
{
	u8 hdr[HDR_SIZE];

	if (boot_image_read(img, 0, hdr, sizeof(hdr)) || memcmp(hdr + HDR_MAGIC, magic, 4))
		return -ENOEXEC;
	out->text_offset = get_le(hdr + HDR_TEXT_OFFSET, 8);
	out->size = get_le(hdr + HDR_IMAGE_SIZE, 8);
	out->flags = get_le(hdr + HDR_FLAGS, 8);
	return 0;
}
