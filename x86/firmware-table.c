/* SPDX-License-Identifier: MIT */
/*
 * The table ends 32 bytes before the image does and is read backwards: each entry is its data, a
 * 16-bit length that counts all of the entry, and its GUID. The last one (the first to be read)
 * counts the whole table.
 */
#include "firmware-table.h"

#include <string.h>

#include "lkvm/boot.h"
#include "lkvm/util.h"

#define TABLE_END 32U /* bytes between its end and the image's */
#define HEAD	  18U /* length and GUID */

/* 96b582de-1fb2-45f7-baea-a366c55a082d */
static const u8 footer_guid[16] =
	FIRMWARE_GUID(0x96b582de, 0x1fb2, 0x45f7, 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d);

/* The entry that ends at @end: its GUID, and in *len the length of all of it. */
static int read_head(const struct boot_image *img, u64 end, u8 guid[16], u32 *len)
{
	u8 head[HEAD];
	int ret = boot_image_read(img, end - HEAD, head, HEAD);

	if (ret)
		return ret;
	memcpy(guid, head + 2, 16);
	*len = (u32)get_le(head, 2);
	return 0;
}

static int find(const struct boot_image *img, u64 begin, u64 end, const u8 guid[16], void *buf,
		u32 *room)
{
	u8 found[16];
	u32 len;

	while (end - begin >= HEAD) {
		int ret = read_head(img, end, found, &len);

		if (ret)
			return ret;
		if (len < HEAD || len > end - begin)
			return -EBADMSG;
		if (!memcmp(found, guid, sizeof(found))) {
			if (len - HEAD > *room)
				return -ENOSPC;
			*room = len - HEAD;
			return boot_image_read(img, end - len, buf, *room);
		}
		end -= len;
	}
	return end == begin ? -ENOENT : -EBADMSG;
}

int x86_firmware_entry(const struct boot_image *img, const u8 guid[16], void *buf, u32 *len)
{
	u64 end = img->size - TABLE_END;
	u8 found[16];
	u32 total;
	int ret;

	if (img->size < TABLE_END + HEAD)
		return -ENOENT;
	ret = read_head(img, end, found, &total);
	if (ret)
		return ret;
	if (memcmp(found, footer_guid, sizeof(found)))
		return -ENOENT;
	if (total < HEAD || total > end)
		return -EBADMSG;
	return find(img, end - total, end - HEAD, guid, buf, len);
}
