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

/*
 * The size that the header has is the one in memory. What must be in the file says the header of an
 * EFI program (Microsoft PE format): "PE" where the word at 0x3c says, a COFF header of 20 bytes,
 * an optional header, sections of 40 bytes.
 */
bool linux_image_is_truncated(const struct boot_image *img)
{
	u8 head[HDR_SIZE], coff[24], section[40];
	u64 at;

	if (boot_image_read(img, 0, head, sizeof(head)) || memcmp(head, "MZ", 2))
		return false;
	at = get_le(head + 0x3c, 4);
	if (boot_image_read(img, at, coff, sizeof(coff)))
		return true;
	if (memcmp(coff, "PE\0\0", 4))
		return false;
	at += sizeof(coff) + get_le(coff + 20, 2);
	for (u64 i = 0; i < get_le(coff + 6, 2); i++) {
		if (boot_image_read(img, at + i * sizeof(section), section, sizeof(section)) ||
		    get_le(section + 20, 4) + get_le(section + 16, 4) > img->size)
			return true;
	}
	return false;
}
