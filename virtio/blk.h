/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk in two files: blk.c is the device and its queue, blk-request.c takes a request apart,
 * checks it, gives it to the disk and answers it.
 */
#ifndef LKVM_VIRTIO_BLK_H
#define LKVM_VIRTIO_BLK_H

#include <linux/virtio_blk.h>

#include "lkvm/disk.h"
#include "lkvm/virtio.h"

#define BLK_SECTOR	512u
#define BLK_SECTOR_BITS 9
#define BLK_QUEUE_SIZE	256

/* Header and status take a descriptor each. */
#define BLK_SEG_MAX	 (BLK_QUEUE_SIZE - 2)
#define BLK_SIZE_MAX_SEG MiB

/* Segments of one discard request; the range of each; what may have to be written as zeroes. */
#define BLK_MAX_DISCARD_SEGS	32
#define BLK_MAX_DISCARD_SECTORS (4 * GiB / BLK_SECTOR)
#define BLK_MAX_ZEROES_SECTORS	(64 * MiB / BLK_SECTOR)

#define BLK_WCE offsetof(struct virtio_blk_config, wce)

/* Requests that ended are kept for the next, by the buffers that they have room for. */
#define BLK_CLASSES 3

/* All but the first four members are the queue's loop's. */
struct blk_queue {
	struct virtio_blk *blk;
	u16 index;
	struct disk_queue *dq;
	struct event_timer rate_timer; /* for the first that the limit holds back, in the ring */
	enum { BLK_STOPPED, BLK_RUNNING, BLK_HELD } state;
	bool idle_awaited;	      /* virtio_queue_idle was promised */
	u64 popped;		      /* requests that the ring gave and did not get back */
	struct blk_request *canceled; /* while it is held; the last first */
	struct blk_request *spare[BLK_CLASSES];
	/* The buffers of the request that is being taken apart. */
	struct iovec room[VIRTQ_MAX_SEGS];
};

struct virtio_blk {
	struct virtio_device vdev;
	struct disk *disk; /* borrowed */
	char id[VIRTIO_BLK_ID_BYTES];
	/* For a driver that turns the write cache off; of the first queue's loop. */
	struct event_post flush_post;
	struct disk_request flush;
	bool flushing, flush_wanted;
	u16 nr_queues;
	struct blk_queue queues[];
};

/* A request that the disk has. */
struct blk_request {
	struct disk_request disk;
	struct blk_queue *bq;
	struct blk_request *next; /* in canceled or spare */
	u8 *status;
	u64 number; /* counts the pops of this queue */
	u32 written;
	u16 head;
	u16 nr_segs, seg; /* of ranges: all of them, the next */
	u8 class;
	union {
		struct iovec data[0];
		struct virtio_blk_discard_write_zeroes segs[0];
	};
};

static inline struct virtio_blk *to_blk(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_blk, vdev);
}

/* All on the queue's loop. */

enum blk_served { BLK_SERVED, BLK_UNANSWERABLE, BLK_TOO_SOON };

/* Serve the request that was popped into bq->room. BLK_TOO_SOON: the limit holds it back, and
 * nothing was done; *wait_ns says how long. */
enum blk_served blk_serve(struct blk_queue *bq, const struct virtq_request *req, u64 *wait_ns);
/* What canceled holds goes there; so does what ended. */
void blk_request_free(struct blk_request *r);
void blk_free_spare(struct blk_queue *bq);
/* A host error ends as VIRTIO_BLK_S_IOERR in the guest, with a line for the user. */
u8 blk_status_of(struct virtio_blk *blk, int ret, const struct disk_request *req);
/* 5.2.6.2: without FLUSH, or when the driver or the user chose so, a write is on the medium when it
 * ends. Any thread. */
bool blk_writethrough(struct virtio_blk *blk);

#endif
