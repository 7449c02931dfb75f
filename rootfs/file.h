/* SPDX-License-Identifier: MIT */
/* Whole files in memory. */
#ifndef LKVM_ROOTFS_FILE_H
#define LKVM_ROOTFS_FILE_H

#include "lkvm/types.h"

/*
 * The regular file @path of at most @max bytes, with a NUL byte after them; to be freed. -EFBIG,
 * -EINVAL (no regular file) or another -errno, and nothing is kept. Prints nothing.
 */
int file_read(const char *path, size_t max, u8 **data, size_t *len) __must_check;
/* All that comes from @fd until its end, in the same way. */
int file_read_fd(int fd, size_t max, u8 **data, size_t *len) __must_check;
/*
 * What the program @argv, whose first word is a path, writes to its standard output, in the same
 * way; its input is the file @input. -EBADMSG: it did not end with status 0.
 */
int file_read_output(char *const *argv, const char *input, size_t max, u8 **data,
		     size_t *len) __must_check;

#endif
