/* SPDX-License-Identifier: MIT */
/* A file or block device that a disk lies in, opened and locked. */
#ifndef LKVM_DISK_FILE_H
#define LKVM_DISK_FILE_H

#include <sys/stat.h>

#include "lkvm/types.h"

struct disk_file {
	/* Set by the caller, and borrowed. */
	const char *path;
	const char *option; /* in messages; NULL: "--disk" */
	const char *shown;  /* in messages, after it */
	bool readonly, direct;
	/* What disk_file_open found. */
	int fd;
	struct stat st;
	u64 size; /* bytes, of a block device too */
};

/*
 * Open and lock what @f names. Prints what is wrong: missing, a directory, locked, no permission.
 * 0 or -errno; the caller closes @f->fd.
 */
int disk_file_open(struct disk_file *f) __must_check;

/*
 * The locks of who reads @fd, or writes it too: readers share with readers, and who writes is
 * alone, among lkvm, QEMU and its tools, and other VMMs that lock the whole file. 0; -EBUSY:
 * somebody else's stand against it; any other -errno: there are no locks here.
 */
int disk_file_lock(int fd, bool write) __must_check;

#endif
