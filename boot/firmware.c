/* SPDX-License-Identifier: MIT */
/*
 * Raw firmware has no header that says so. What can be known: that the file is something else, and
 * that nothing is where the CPU begins, as in flash that was never written.
 */
#include "lkvm/boot.h"

#define START_LEN 16U /* what a blank start is long: more than chance, less than a jump needs */

int boot_firmware_check(const struct boot_image *img, u64 start, const char *where)
{
	/* UEFI PI specification, volume 3, 3.2.1: a firmware volume's type at 16;
	 * EFI_SYSTEM_NV_DATA_FV_GUID of edk2. */
	static const u8 variables[16] = { 0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c,
					  0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50 };
	u8 bytes[START_LEN], type[16] = { 0 };
	u64 left = img->size > start ? img->size - start : 0;
	u64 len = MIN(left, (u64)START_LEN);
	char known[160];

	if (boot_identify_file(img, known, sizeof(known)))
		return boot_image_error(img, "firmware", -ENOEXEC, "%s", known);
	if (!len || boot_image_read(img, start, bytes, len))
		return boot_image_error(img, "firmware", -ENODATA,
					"it is shorter than when it was opened (truncated?)");
	for (u64 i = 1; i < len; i++)
		if (bytes[i] != bytes[0])
			return 0;
	if (!boot_image_read(img, 16, type, sizeof(type)) && !memcmp(type, variables, sizeof(type)))
		return boot_image_error(img, "firmware", -ENOEXEC,
					"UEFI's variables without its code; name the code, such as "
					"OVMF.fd");
	return boot_image_error(
		img, "firmware", -ENOEXEC,
		"nothing to run %s: %llu bytes of 0x%02x; name a whole firmware image", where, len,
		bytes[0]);
}
