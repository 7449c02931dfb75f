/* SPDX-License-Identifier: MIT */
/*
 * Raw firmware that was built for QEMU's machines asks their fw_cfg device for memory, CPUs and
 * ACPI tables (QEMU docs/specs/fw_cfg.rst) and stops where there is none, mostly without a word.
 */
#include <stdlib.h>

#include "boot.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* Where OVMF's reset vector (edk2 OvmfPkg/ResetVector) ends its table of GUIDs, and that GUID. */
#define FOOTER_FROM_END 0x30U
static const u8 ovmf_footer[16] = { 0xde, 0x82, 0xb5, 0x96, 0xb2, 0x1f, 0xf7, 0x45,
				    0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d };

/* Its registers as 32-bit operands: selector 0x510, data 0x511. */
static const u8 selector[4] = { 0x10, 0x05 }, data[4] = { 0x11, 0x05 };

bool fw_cfg_wanted(const struct boot_image *img)
{
	u8 *bytes = xcalloc(1, img->size);
	bool wanted = false;

	/* OVMF's own code is compressed, but for the reset vector. */
	if (img->size >= X86_ROM_MIN && !boot_image_read(img, 0, bytes, img->size))
		wanted = !memcmp(bytes + img->size - FOOTER_FROM_END, ovmf_footer,
				 sizeof(ovmf_footer)) ||
			 memmem(bytes, img->size, "fw_cfg", 6) ||
			 (memmem(bytes, img->size, selector, sizeof(selector)) &&
			  memmem(bytes, img->size, data, sizeof(data)));
	free(bytes);
	return wanted;
}

void fw_cfg_warn(const struct boot_image *img)
{
	if (img->size <= X86_ROM_MAX && fw_cfg_wanted(img))
		warn("--firmware %s: is built for QEMU's machines: it asks for fw_cfg (port "
		     "0x510), "
		     "which is not here; docs/firmware.md names firmware that starts",
		     img->path);
}
