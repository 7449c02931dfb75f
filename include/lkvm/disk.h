/* SPDX-License-Identifier: MIT */
/* What stands behind a virtio-blk device. A backend knows no virtio; a device knows no file. */
#ifndef LKVM_DISK_H
#define LKVM_DISK_H

#include <sys/types.h>
#include <sys/uio.h>

#include "lkvm/types.h"

struct disk_config;
struct disk;

/* All return 0 or -errno (an error of the backing file goes to the guest as an I/O error) and are
 * called from one I/O thread. */
struct disk_ops {
	/* Whole transfers: a short one is retried, the end of the file inside a request is -EIO. */
	int (*readv)(struct disk *disk, const struct iovec *iov, int count, u64 offset);
	int (*writev)(struct disk *disk, const struct iovec *iov, int count, u64 offset);
	int (*flush)(struct disk *disk);
	/* -EOPNOTSUPP where the file system cannot. */
	int (*discard)(struct disk *disk, u64 offset, u64 len);
	int (*write_zeroes)(struct disk *disk, u64 offset, u64 len, bool may_unmap);
	void (*close)(struct disk *disk);
};

struct disk {
	const struct disk_ops *ops;
	const char *path; /* for messages; owned by the configuration */
	u64 size;	  /* bytes */
	u32 block_size;	  /* logical, 512 or 4096 */
	u32 phys_block;	  /* a power of two, at least block_size: what is fast to write at once */
	u32 min_discard;  /* discard granularity in bytes, 0: cannot discard */
	bool readonly;
};

/*
 * Open what @cfg names: a regular file or a block device, locked against other lkvms (shared for
 * read-only). Prints what is wrong: missing, a directory, locked, no permission, empty. 0 or
 * -errno; *out is owned by the caller (ops->close).
 */
int disk_open(const struct disk_config *cfg, struct disk **out) __must_check;

#endif
