/* SPDX-License-Identifier: MIT */
/*
 * What a file is by the bytes that its format demands: for messages that name a file which was
 * taken for another, and for refusing what would be destroyed or run as something else.
 */
#ifndef LKVM_MAGIC_H
#define LKVM_MAGIC_H

#include "lkvm/types.h"

enum magic_kind {
	MAGIC_PACKED, /* a compressed file; tool unpacks it */
	MAGIC_DISK,   /* a disk in a format of its own; tool makes a raw one of it */
	MAGIC_RAW,    /* a file system or partition table: a disk as it is */
	MAGIC_INITRD, /* a cpio archive */
	MAGIC_OTHER,  /* anything else; tool says what to do instead */
};

struct file_magic {
	s32 offset; /* negative: from the end of the file */
	u8 len;
	u8 kind; /* enum magic_kind */
	const char *bytes;
	const char *name; /* "qcow2", "a tar archive" */
	const char *tool;
};

/*
 * The first format that @file, of @size bytes, has the signs of; NULL: none. @read reads all of
 * [offset, offset+len): 0 or an error, which counts as other bytes.
 */
const struct file_magic *magic_find(void *file, u64 size,
				    int (*read)(void *file, u64 offset, void *buf, u64 len));
/* The same of an open file, whatever alignment it wants (O_DIRECT). */
const struct file_magic *magic_find_fd(int fd, u64 size);

#endif
