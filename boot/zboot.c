/* SPDX-License-Identifier: MIT */
/*
 * EFI zboot images (Linux drivers/firmware/efi/libstub/zboot-header.S): a kernel for arm64, riscv64
 * or loongarch64, compressed, in an EFI program that would unpack it. Here it is unpacked without
 * that program.
 */
#include <ctype.h>

#include "lkvm/boot.h"
#include "lkvm/log.h"

#define HDR_MAGIC     4
#define HDR_OFFSET    8	 /* of the compressed kernel in the file */
#define HDR_LENGTH    12 /* of it */
#define HDR_TYPE      24 /* how it is compressed: a word */
#define HDR_TYPE_SIZE 32
#define HDR_SIZE      64
#define MAGIC	      "zimg"

static int refuse(const struct boot_image *img, const char *what, const char *why)
{
	err("--%s %s: a damaged EFI zboot image: %s", what, img->path, why);
	return -ENOEXEC;
}

/* The header's word for the compression; NULL when it is none. */
static const char *compression(const u8 *hdr)
{
	const char *type = (const char *)hdr + HDR_TYPE;

	if (!*type || !memchr(type, '\0', HDR_TYPE_SIZE))
		return NULL;
	for (const char *p = type; *p; p++)
		if (!isalnum((unsigned char)*p))
			return NULL;
	return type;
}

int boot_image_unzboot(struct boot_image *img, const char *what, u64 max)
{
	u8 hdr[HDR_SIZE];
	const char *type;
	u64 offset, len;
	int ret;

	if (boot_image_read(img, 0, hdr, sizeof(hdr)) || memcmp(hdr, "MZ", 2) ||
	    memcmp(hdr + HDR_MAGIC, MAGIC, 4))
		return 0;
	offset = get_le(hdr + HDR_OFFSET, 4);
	len = get_le(hdr + HDR_LENGTH, 4);
	type = compression(hdr);
	if (!type)
		return refuse(img, what, "its header does not say how it is compressed");
	/* Linux names its zstd by the level, too. */
	if (strcmp(type, "gzip") && strncmp(type, "zstd", 4)) {
		err("--%s %s: an EFI zboot image compressed by %s, and lkvm unpacks gzip and zstd; "
		    "use the kernel inside it",
		    what, img->path, type);
		return -ENOTSUP;
	}
	if (offset < HDR_SIZE || !len || !range_within(offset, len, 0, img->size))
		return refuse(img, what, "its kernel is not inside the file (truncated?)");
	img->start += offset;
	img->size = len;
	img->packed = NULL;
	ret = boot_image_decompress(img, what, max);
	if (!ret && (!img->packed || strncmp(type, img->packed, strlen(img->packed))))
		return refuse(img, what, "the kernel in it is not compressed as its header says");
	return ret;
}
