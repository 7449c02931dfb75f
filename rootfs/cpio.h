/* SPDX-License-Identifier: MIT */
/*
 * An archive for Linux's initramfs, written into memory (cpio's "newc" format: Linux
 * Documentation/driver-api/early-userspace/buffer-format.rst). Nothing is packed: the guest would
 * only have to unpack it.
 */
#ifndef LKVM_ROOTFS_CPIO_H
#define LKVM_ROOTFS_CPIO_H

#include "lkvm/types.h"

struct cpio {
	u8 *data; /* the caller's, to be freed */
	size_t len, room;
	u32 entries;
	int error; /* the first one sticks, and nothing more is written */
};

/* Paths begin with '/'; the directories above must have been added. All owners are root. */
void cpio_dir(struct cpio *c, const char *path, u32 mode);
void cpio_file(struct cpio *c, const char *path, u32 mode, const void *data, size_t len);
void cpio_symlink(struct cpio *c, const char *path, const char *target);
/* A character device. */
void cpio_device(struct cpio *c, const char *path, u32 mode, u32 major, u32 minor);
/* The end of the archive. 0, -ENOMEM, or -EFBIG: a file of 4 GiB or more. Prints nothing. */
int cpio_end(struct cpio *c) __must_check;

#endif
