/* SPDX-License-Identifier: MIT */
/* Requests to a qcow2 disk that may block: reading is qcow2-read.c, changing qcow2-write.c. */
#ifndef LKVM_DISK_QCOW2_IO_H
#define LKVM_DISK_QCOW2_IO_H

#include "qcow2.h"

/* What a thread needs to serve. */
struct q2_room {
	unsigned int nr;
	void *raw[Q2_MAX_LAYERS];
	u8 *edge; /* a cluster that is partly written; as large as one, when it is first needed */
};

/* A part of a request: [at, at+len) of its buffers. */
struct q2_part {
	const struct iovec *iov;
	unsigned int iovcnt;
	size_t at;
	u64 len;
};

static inline struct q2_part q2_part_at(const struct q2_part *p, u64 done, u64 len)
{
	return (struct q2_part){ p->iov, p->iovcnt, p->at + (size_t)done, len };
}

/* All of @p at @offset of the raw disk @file, which is the layer @level. */
int q2_raw_io(struct q2_room *room, unsigned int level, struct disk *file, enum disk_op op,
	      const struct q2_part *p, u64 offset) __must_check;
/* What @level and the layers below it say. */
int q2_read(struct qcow2_disk *d, struct q2_room *room, unsigned int level, const struct q2_part *p,
	    u64 offset) __must_check;
int q2_write(struct qcow2_disk *d, struct q2_room *room, const struct q2_part *p,
	     u64 offset) __must_check;
/* DISCARD and WRITE_ZEROES. */
int q2_zero(struct qcow2_disk *d, struct q2_room *room,
	    const struct disk_request *req) __must_check;

#endif
