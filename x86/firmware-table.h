/* SPDX-License-Identifier: MIT */
/*
 * The table at the end of OVMF's image, and of others that follow it, that says what a confidential
 * guest's VMM has to know: entries named by GUIDs (edk2,
 * OvmfPkg/ResetVector/Ia16/ResetVectorVtf0.asm).
 */
#ifndef LKVM_X86_FIRMWARE_TABLE_H
#define LKVM_X86_FIRMWARE_TABLE_H

#include "lkvm/types.h"

struct boot_image;

/* Of no entry that anybody defines there is more. */
#define FIRMWARE_ENTRY_MAX 256U

/* As bytes lie in memory: the first three fields of the text form are little-endian. */
#define FIRMWARE_GUID(a, b, c, d0, d1, d2, d3, d4, d5, d6, d7)                                  \
	{                                                                                       \
		(u8)(a), (u8)((a) >> 8), (u8)((a) >> 16), (u8)((a) >> 24), (u8)(b),             \
			(u8)((b) >> 8), (u8)(c), (u8)((c) >> 8), d0, d1, d2, d3, d4, d5, d6, d7 \
	}

/*
 * The data of the entry named @guid, into @buf of *len bytes; *len becomes its length. 0; -ENOENT:
 * the image has no table or no such entry; -ENOSPC: it is longer than @buf; -EBADMSG: the table is
 * damaged; or -errno of reading. Prints nothing.
 */
int x86_firmware_entry(const struct boot_image *img, const u8 guid[16], void *buf,
		       u32 *len) __must_check;

#endif
