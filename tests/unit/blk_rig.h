/* SPDX-License-Identifier: MIT */
/* For tests of virtio/blk*.c: a disk in memory behind a device on the rig. */
#ifndef TEST_BLK_RIG_H
#define TEST_BLK_RIG_H

#include <linux/virtio_blk.h>
#include <stdlib.h>

#include "lkvm/disk.h"
#include "lkvm/util.h"
#include "virtio_rig.h"

#define DISK_SIZE (256 * KiB)
#define HDR	  RIG_DATA
#define DATA	  (RIG_DATA + 0x1000)
#define STATUS	  (RIG_DATA + 0x900)

/*
 * A disk that serves inside submit, or (@held) keeps each request until the test lets it end: all
 * on the queue's loop, so that no verdict depends on time.
 */
struct mem_disk {
	struct disk disk;
	struct disk_queue dq[RIG_QUEUES];
	unsigned int nr_dq;
	u8 *bytes;
	int fail; /* what every operation returns, when not 0 */
	unsigned int flushes, discards, zeroes, unmaps;
	bool held;
	struct disk_request *kept[256];
	unsigned int nr_kept, begun; /* the first @begun are with the host: no cancel */
};

static inline struct mem_disk *to_mem(struct disk *disk)
{
	return container_of(disk, struct mem_disk, disk);
}

/* The device has checked the range: a back end that is asked beyond its end fails the test. */
static inline int mem_serve(struct mem_disk *m, const struct disk_request *req)
{
	unsigned int count = (unsigned int)req->iovcnt;

	assert_true(range_within(req->offset, req->len, 0, m->disk.size));
	assert_true(req->op == DISK_READ || req->op == DISK_FLUSH || !m->disk.readonly);
	m->flushes += req->op == DISK_FLUSH || req->flags & DISK_FUA;
	m->discards += req->op == DISK_DISCARD;
	m->zeroes += req->op == DISK_WRITE_ZEROES;
	m->unmaps += req->flags & DISK_MAY_UNMAP ? 1 : 0;
	if (m->fail)
		return m->fail;
	if (req->op == DISK_READ || req->op == DISK_WRITE)
		assert_int_equal(req->len, iov_len(req->iov, count));
	if (req->op == DISK_READ)
		iov_from_buf(req->iov, count, 0, m->bytes + req->offset, req->len);
	else if (req->op == DISK_WRITE)
		iov_to_buf(req->iov, count, 0, m->bytes + req->offset, req->len);
	else if (req->op == DISK_WRITE_ZEROES)
		memset(m->bytes + req->offset, 0, req->len);
	return 0;
}

static inline void mem_submit(struct disk_queue *dq, struct disk_request *req)
{
	struct mem_disk *m = to_mem(dq->disk);

	if (m->held) {
		assert_true(m->nr_kept < ARRAY_SIZE(m->kept));
		m->kept[m->nr_kept++] = req;
	} else {
		disk_request_done(dq, req, mem_serve(m, req));
	}
}

static inline void mem_kick(struct disk_queue *dq) {}

static inline void mem_cancel(struct disk_queue *dq)
{
	struct mem_disk *m = to_mem(dq->disk);
	struct disk_request *gone[ARRAY_SIZE(m->kept)];
	unsigned int n = m->nr_kept > m->begun ? m->nr_kept - m->begun : 0;

	memcpy(gone, m->kept + m->begun, n * sizeof(gone[0]));
	m->nr_kept -= n;
	for (unsigned int i = 0; i < n; i++)
		disk_request_done(dq, gone[i], -ECANCELED);
}

static inline void mem_queue_close(struct disk_queue *dq)
{
	mem_cancel(dq);
	assert_int_equal(dq->inflight, 0);
}

static const struct disk_queue_ops mem_queue_ops = {
	.submit = mem_submit,
	.kick = mem_kick,
	.cancel = mem_cancel,
	.close = mem_queue_close,
};

static inline int mem_queue_open(struct disk *disk, struct event_loop *loop, unsigned int depth,
				 struct disk_queue **out)
{
	struct mem_disk *m = to_mem(disk);

	assert_true(m->nr_dq < RIG_QUEUES);
	*out = &m->dq[m->nr_dq++];
	**out = (struct disk_queue){ .ops = &mem_queue_ops, .disk = disk };
	return 0;
}

static inline void mem_close(struct disk *disk)
{
	free(to_mem(disk)->bytes);
	free(to_mem(disk));
}

static const struct disk_ops mem_ops = {
	.queue_open = mem_queue_open,
	.close = mem_close,
};

static struct mem_disk *last; /* of the test that runs */

static inline struct mem_disk *make_disk(bool readonly)
{
	struct mem_disk *m = last = xcalloc(1, sizeof(*m));

	m->disk = (struct disk){
		.ops = &mem_ops,
		.path = "memory",
		.size = DISK_SIZE,
		.block_size = 512,
		.phys_block = 4096,
		.min_discard = 4096,
		.readonly = readonly,
	};
	m->bytes = malloc(DISK_SIZE);
	for (size_t i = 0; i < DISK_SIZE; i++)
		m->bytes[i] = (u8)(i / 512 + i);
	return m;
}

/* A device over @m, of which the driver takes all that is offered but @without. */
static inline void start_on(struct rig *r, struct mem_disk *m, u64 without)
{
	struct virtio_device *vdev;

	rig_init(r);
	assert_int_equal(virtio_blk_new(&r->vm, &m->disk, 0, &vdev), 0);
	rig_start(r, vdev, virtio_offered(vdev) & ~without);
}

static inline struct mem_disk *start(struct rig *r, bool readonly, u64 without)
{
	struct mem_disk *m = make_disk(readonly);

	start_on(r, m, without);
	return m;
}

/* The device borrows its disk. */
static inline void stop(struct rig *r)
{
	rig_stop(r);
	mem_close(&last->disk);
}

static inline void set_hdr(struct rig *r, u32 type, u64 sector)
{
	struct virtio_blk_outhdr hdr = {
		.type = cpu_to_le32(type),
		.sector = cpu_to_le64(sector),
	};

	memcpy(rig_ptr(r, HDR), &hdr, sizeof(hdr));
	*(u8 *)rig_ptr(r, STATUS) = 0xee;
}

/* One request with @len bytes of data at DATA; its status, with the used length in *used. */
static inline u8 request(struct rig *r, u32 type, u64 sector, u32 len, bool in, u32 *used)
{
	struct rig_buf bufs[3] = { { HDR, 16, false }, { DATA, len, in }, { STATUS, 1, true } };
	u32 used_len = 0;
	int head;

	set_hdr(r, type, sector);
	head = rig_add(r, 0, bufs, 3);
	rig_notify(r, 0);
	assert_int_equal(rig_used(r, 0, &used_len), head);
	if (used)
		*used = used_len;
	return *(u8 *)rig_ptr(r, STATUS);
}

/* Requests that the host keeps */

struct ending {
	struct mem_disk *m;
	unsigned int which;
	int ret;
	struct virtio_queue *watched; /* NULL, or: was it quiet before the loop was through? */
	bool early;
};

static inline bool is_quiet(struct virtio_queue *q)
{
	bool quiet;

	virtio_lock(q->vdev);
	quiet = q->quiet;
	virtio_unlock(q->vdev);
	return quiet;
}

static inline void end_on_loop(void *opaque)
{
	struct ending *e = opaque;
	struct mem_disk *m = e->m;
	struct disk_request *req;

	assert_true(e->which < m->nr_kept);
	req = m->kept[e->which];
	m->nr_kept--;
	m->begun -= e->which < m->begun;
	memmove(m->kept + e->which, m->kept + e->which + 1,
		(m->nr_kept - e->which) * sizeof(m->kept[0]));
	disk_request_done(&m->dq[0], req, e->ret ? e->ret : mem_serve(m, req));
	e->early = e->watched && is_quiet(e->watched);
	if (m->dq[0].ended)
		m->dq[0].ended(m->dq[0].opaque);
}

/* A thread that does it when the queue has begun to wait for it: it is not quiet then. */
static inline void *end_watched(void *opaque)
{
	struct ending *e = opaque;

	while (is_quiet(e->watched))
		sched_yield();
	event_call_sync(e->watched->loop, end_on_loop, e);
	return NULL;
}

/* The host answers the request that is the @which-th of those it keeps. */
static inline void end_request(struct rig *r, struct mem_disk *m, unsigned int which, int ret)
{
	struct ending e = { .m = m, .which = which, .ret = ret };

	event_call_sync(r->vdev->queues[0].loop, end_on_loop, &e);
}

#define ROOM(i)	  (DATA + 0x1000 * (u64)(i))
#define HDR_AT(i) (ROOM(i) + 0x800)
#define ST_AT(i)  (ROOM(i) + 0x900)

/* Offer request @i of @type, a sector long, with room of its own; its head. */
static inline u16 add_one(struct rig *r, unsigned int i, u32 type)
{
	struct virtio_blk_outhdr hdr = { .type = cpu_to_le32(type), .sector = cpu_to_le64(i) };
	struct rig_buf bufs[3] = { { HDR_AT(i), 16, false },
				   { ROOM(i), 512, type != VIRTIO_BLK_T_OUT },
				   { ST_AT(i), 1, true } };

	memcpy(rig_ptr(r, HDR_AT(i)), &hdr, sizeof(hdr));
	memset(rig_ptr(r, ROOM(i)), 0xcc, 512);
	*(u8 *)rig_ptr(r, ST_AT(i)) = 0xee;
	return rig_add(r, 0, bufs, 3);
}

static inline u8 status_at(struct rig *r, unsigned int i)
{
	return *(u8 *)rig_ptr(r, ST_AT(i));
}

static inline struct mem_disk *start_held(struct rig *r)
{
	struct mem_disk *m = start(r, false, BIT_ULL(VIRTIO_RING_F_EVENT_IDX));

	m->held = true;
	return m;
}

#endif
