/* SPDX-License-Identifier: MIT */
/* virtio/blk.c over a disk in memory: every request type, every framing, hostile requests, errors.
 */
#include <linux/virtio_blk.h>
#include <malloc.h>
#include <semaphore.h>
#include <stdlib.h>

#include "../../disk/threads.h"
#include "capture.h"
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
	struct disk_queue dq;
	u8 *bytes;
	int fail; /* what every operation returns, when not 0 */
	unsigned int flushes, discards, zeroes, unmaps;
	bool held;
	struct disk_request *kept[256];
	unsigned int nr_kept, begun; /* the first @begun are with the host: no cancel */
};

static struct mem_disk *to_mem(struct disk *disk)
{
	return container_of(disk, struct mem_disk, disk);
}

/* The device has checked the range: a back end that is asked beyond its end fails the test. */
static int mem_serve(struct mem_disk *m, const struct disk_request *req)
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

static void mem_submit(struct disk_queue *dq, struct disk_request *req)
{
	struct mem_disk *m = container_of(dq, struct mem_disk, dq);

	if (m->held) {
		assert_true(m->nr_kept < ARRAY_SIZE(m->kept));
		m->kept[m->nr_kept++] = req;
	} else {
		disk_request_done(dq, req, mem_serve(m, req));
	}
}

static void mem_kick(struct disk_queue *dq) {}

static void mem_cancel(struct disk_queue *dq)
{
	struct mem_disk *m = container_of(dq, struct mem_disk, dq);
	struct disk_request *gone[ARRAY_SIZE(m->kept)];
	unsigned int n = m->nr_kept > m->begun ? m->nr_kept - m->begun : 0;

	memcpy(gone, m->kept + m->begun, n * sizeof(gone[0]));
	m->nr_kept -= n;
	for (unsigned int i = 0; i < n; i++)
		disk_request_done(dq, gone[i], -ECANCELED);
}

static void mem_queue_close(struct disk_queue *dq)
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

static int mem_queue_open(struct disk *disk, struct event_loop *loop, unsigned int depth,
			  struct disk_queue **out)
{
	to_mem(disk)->dq = (struct disk_queue){ .ops = &mem_queue_ops, .disk = disk };
	*out = &to_mem(disk)->dq;
	return 0;
}

static void mem_close(struct disk *disk)
{
	free(to_mem(disk)->bytes);
	free(to_mem(disk));
}

static const struct disk_ops mem_ops = {
	.queue_open = mem_queue_open,
	.close = mem_close,
};

static struct mem_disk *last; /* of the test that runs */

static struct mem_disk *start(struct rig *r, bool readonly, u64 without)
{
	struct mem_disk *m = last = xcalloc(1, sizeof(*m));
	struct virtio_device *vdev;

	rig_init(r);
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
	assert_int_equal(virtio_blk_new(&r->vm, &m->disk, 0, &vdev), 0);
	rig_start(r, vdev, virtio_offered(vdev) & ~without);
	return m;
}

/* The device borrows its disk. */
static void stop(struct rig *r)
{
	rig_stop(r);
	mem_close(&last->disk);
}

static void set_hdr(struct rig *r, u32 type, u64 sector)
{
	struct virtio_blk_outhdr hdr = {
		.type = cpu_to_le32(type),
		.sector = cpu_to_le64(sector),
	};

	memcpy(rig_ptr(r, HDR), &hdr, sizeof(hdr));
	*(u8 *)rig_ptr(r, STATUS) = 0xee;
}

/* One request with @len bytes of data at DATA; its status, with the used length in *used. */
static u8 request(struct rig *r, u32 type, u64 sector, u32 len, bool in, u32 *used)
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

static void test_read_write(void **state)
{
	struct rig r;
	struct mem_disk *m = start(&r, false, 0);
	u32 used;

	assert_int_equal(request(&r, VIRTIO_BLK_T_IN, 3, 4096, true, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, 4097);
	assert_memory_equal(rig_ptr(&r, DATA), m->bytes + 3 * 512, 4096);
	memset(rig_ptr(&r, DATA), 0xa7, 1024);
	assert_int_equal(request(&r, VIRTIO_BLK_T_OUT, 510, 1024, false, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, 1);
	assert_memory_equal(rig_ptr(&r, DATA), m->bytes + 510 * 512, 1024);
	assert_int_equal(m->flushes, 0);
	assert_int_equal(request(&r, VIRTIO_BLK_T_FLUSH, 0, 0, false, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(m->flushes, 1);
	assert_int_equal(request(&r, VIRTIO_BLK_T_GET_ID, 0, 20, true, &used), VIRTIO_BLK_S_OK);
	assert_int_equal(used, 21);
	assert_string_equal(rig_ptr(&r, DATA), "lkvm-disk0");
	stop(&r);
}

/* 2.7.4: what the buffers mean does not depend on where they are cut. */
static void test_framing(void **state)
{
	struct rig r;
	struct mem_disk *m = start(&r, false, 0);
	u64 seed = 7;

	for (int round = 0; round < 200; round++) {
		struct rig_buf bufs[64];
		unsigned int n = 0;
		u32 left;

		set_hdr(&r, VIRTIO_BLK_T_IN, 5);
		memset(rig_ptr(&r, DATA), 0, 4096);
		for (u32 done = 0; done < 16; n++) {
			u32 k = MIN(1 + (u32)(rig_rand(&seed) % 16), 16 - done);

			bufs[n] = (struct rig_buf){ HDR + done, k, false };
			done += k;
		}
		left = 1024;
		for (u32 done = 0; done < 1024 && n < 60; n++) {
			u32 k = MIN(1 + (u32)(rig_rand(&seed) % 600), left);

			bufs[n] = (struct rig_buf){ DATA + done, k, true };
			done += k;
			left -= k;
		}
		/* Status by itself, or in one buffer with the last data. */
		if (round & 1)
			bufs[n++] = (struct rig_buf){ STATUS, 1, true };
		else
			bufs[n - 1].len++;
		rig_add(&r, 0, bufs, n);
		rig_notify(&r, 0);
		assert_true(rig_used(&r, 0, NULL) >= 0);
		assert_memory_equal(rig_ptr(&r, DATA), m->bytes + 5 * 512, 1024);
		assert_int_equal(*(u8 *)rig_ptr(&r, round & 1 ? STATUS : DATA + 1024), 0);
	}
	/* A write whose header and data share a buffer. */
	set_hdr(&r, VIRTIO_BLK_T_OUT, 0);
	memset(rig_ptr(&r, HDR + 16), 0x42, 512);
	{
		struct rig_buf bufs[2] = { { HDR, 16 + 512, false }, { STATUS, 1, true } };

		rig_add(&r, 0, bufs, 2);
	}
	rig_notify(&r, 0);
	assert_int_equal(*(u8 *)rig_ptr(&r, STATUS), VIRTIO_BLK_S_OK);
	assert_int_equal(m->bytes[0], 0x42);
	assert_int_equal(m->bytes[511], 0x42);
	stop(&r);
}

static void test_refused(void **state)
{
	static const struct {
		u32 type;
		u64 sector;
		u32 len;
		bool in;
		u8 status;
	} cases[] = {
		{ VIRTIO_BLK_T_IN, 512, 512, true, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, 511, 1024, true, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, 0x7fffffffffffffULL, 512, true, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, 0x80000000000000ULL, 512, true, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, ~0ULL, 512, true, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_OUT, ~0ULL, 1024, false, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_OUT, 511, 1024, false, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, 0, 511, true, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, 0, 513, true, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_IN, 0, 512, false, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_OUT, 0, 512, true, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_GET_ID, 0, 20, false, VIRTIO_BLK_S_IOERR },
		{ VIRTIO_BLK_T_SECURE_ERASE, 0, 16, false, VIRTIO_BLK_S_UNSUPP },
		{ 0xffffffff, 0, 512, true, VIRTIO_BLK_S_UNSUPP },
		{ 2, 0, 512, true, VIRTIO_BLK_S_UNSUPP }, /* a SCSI command of old */
		/* Nothing is always there. */
		{ VIRTIO_BLK_T_IN, 512, 0, true, VIRTIO_BLK_S_OK },
	};
	struct rig r;

	start(&r, false, 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(request(&r, cases[i].type, cases[i].sector, cases[i].len,
					 cases[i].in, NULL),
				 cases[i].status);
	assert_true(rig_live(&r));
	stop(&r);
}

/* Requests that cannot be answered break the device, and a reset repairs it. */
static void test_no_header_or_status(void **state)
{
	static const struct rig_buf cases[][2] = {
		{ { HDR, 15, false }, { STATUS, 1, true } },
		{ { HDR, 16, false }, { DATA, 512, false } },
		{ { HDR, 16, true }, { DATA, 512, true } },
	};
	struct rig r;
	struct virtio_device *vdev;

	start(&r, false, 0);
	vdev = r.vdev;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		rig_add(&r, 0, cases[i], 2);
		rig_notify(&r, 0);
		assert_int_equal(rig_used(&r, 0, NULL), -1);
		assert_true(vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
		rig_start(&r, vdev, 0);
		assert_int_equal(request(&r, VIRTIO_BLK_T_IN, 0, 512, true, NULL), VIRTIO_BLK_S_OK);
	}
	stop(&r);
}

static void test_readonly(void **state)
{
	struct rig r;
	struct mem_disk *m = start(&r, true, 0);

	assert_true(virtio_has(r.vdev, VIRTIO_BLK_F_RO));
	assert_false(virtio_offered(r.vdev) & BIT_ULL(VIRTIO_BLK_F_DISCARD));
	assert_int_equal(request(&r, VIRTIO_BLK_T_OUT, 0, 512, false, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(&r, VIRTIO_BLK_T_FLUSH, 0, 0, false, NULL), VIRTIO_BLK_S_OK);
	assert_int_equal(m->flushes, 0);
	stop(&r);
}

/* ENOSPC and EIO: the guest sees an I/O error, the user one line, and the device lives on. */
static void test_host_errors(void **state)
{
	struct rig r;
	struct mem_disk *m = start(&r, false, 0);
	const char *text;

	log_set_level(LOG_WARNING);
	m->fail = -ENOSPC;
	capture_begin();
	for (int i = 0; i < 100; i++)
		assert_int_equal(request(&r, VIRTIO_BLK_T_OUT, 8, 512, false, NULL),
				 VIRTIO_BLK_S_IOERR);
	text = capture_end();
	assert_contains(text, "--disk memory: cannot write at sector 8: No space left");
	assert_true(strlen(text) < 2000);
	log_set_level(LOG_ERROR);
	m->fail = -EIO;
	assert_int_equal(request(&r, VIRTIO_BLK_T_IN, 8, 512, true, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(&r, VIRTIO_BLK_T_FLUSH, 0, 0, false, NULL), VIRTIO_BLK_S_IOERR);
	m->fail = -EOPNOTSUPP;
	assert_int_equal(request(&r, VIRTIO_BLK_T_IN, 8, 512, true, NULL), VIRTIO_BLK_S_UNSUPP);
	m->fail = 0;
	assert_int_equal(request(&r, VIRTIO_BLK_T_IN, 8, 512, true, NULL), VIRTIO_BLK_S_OK);
	stop(&r);
}

static u8 ranges(struct rig *r, u32 type, unsigned int n,
		 const struct virtio_blk_discard_write_zeroes *segs)
{
	memcpy(rig_ptr(r, DATA), segs, n * sizeof(*segs));
	return request(r, type, 0, n * (u32)sizeof(*segs), false, NULL);
}

static void test_ranges(void **state)
{
	struct virtio_blk_discard_write_zeroes segs[33] = { { 0, 8, 0 }, { 504, 8, 0 } };
	const u32 wz = VIRTIO_BLK_T_WRITE_ZEROES, dc = VIRTIO_BLK_T_DISCARD;
	struct rig r;
	struct mem_disk *m = start(&r, false, 0);

	assert_int_equal(ranges(&r, dc, 2, segs), VIRTIO_BLK_S_OK);
	assert_int_equal(m->discards, 2);
	assert_int_equal(ranges(&r, wz, 1, segs), VIRTIO_BLK_S_OK);
	assert_int_equal(m->bytes[8 * 512 - 1], 0);
	assert_int_equal(ranges(&r, wz, 2, segs), VIRTIO_BLK_S_IOERR);	/* max_write_zeroes_seg */
	assert_int_equal(ranges(&r, dc, 33, segs), VIRTIO_BLK_S_IOERR); /* max_discard_seg */
	assert_int_equal(ranges(&r, dc, 0, segs), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(&r, dc, 0, 15, false, NULL), VIRTIO_BLK_S_IOERR);
	segs[0].flags = 1;
	assert_int_equal(ranges(&r, wz, 1, segs), VIRTIO_BLK_S_OK);
	assert_int_equal(m->unmaps, 1);
	assert_int_equal(ranges(&r, dc, 1, segs), VIRTIO_BLK_S_UNSUPP);
	segs[0].flags = 2;
	assert_int_equal(ranges(&r, wz, 1, segs), VIRTIO_BLK_S_UNSUPP);
	segs[0].flags = 0;
	segs[0].sector = 505;
	assert_int_equal(ranges(&r, dc, 1, segs), VIRTIO_BLK_S_IOERR);
	segs[0].sector = ~0ULL;
	assert_int_equal(ranges(&r, dc, 1, segs), VIRTIO_BLK_S_IOERR);
	segs[0].num_sectors = ~0u;
	assert_int_equal(ranges(&r, wz, 1, segs), VIRTIO_BLK_S_IOERR);
	stop(&r);
	m = start(&r, false, BIT_ULL(VIRTIO_BLK_F_DISCARD));
	assert_int_equal(ranges(&r, dc, 1, segs + 1), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(m->discards, 0);
	stop(&r);
}

/* Without FLUSH, or when the driver wants it so, a finished write is on the medium. */
static void test_cache_modes(void **state)
{
	const u64 both = BIT_ULL(VIRTIO_BLK_F_FLUSH) | BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE);
	const u32 wce = offsetof(struct virtio_blk_config, wce);
	struct rig r;
	struct mem_disk *m = start(&r, false, both);
	u8 off = 0, now = 9;

	request(&r, VIRTIO_BLK_T_OUT, 0, 512, false, NULL);
	assert_int_equal(m->flushes, 1);
	stop(&r);
	m = start(&r, false, 0);
	virtio_config_read(r.vdev, wce, &now, 1);
	assert_int_equal(now, 1);
	virtio_config_write(r.vdev, wce, &off, 1);
	virtio_config_read(r.vdev, wce, &now, 1);
	assert_int_equal(now, 0);
	/* The queue's loop does it, not the vcpu. */
	rig_notify(&r, 0);
	assert_int_equal(m->flushes, 1);
	request(&r, VIRTIO_BLK_T_OUT, 0, 512, false, NULL);
	assert_int_equal(m->flushes, 2);
	virtio_set_status(r.vdev, 0);
	virtio_config_read(r.vdev, wce, &now, 1);
	assert_int_equal(now, 1);
	stop(&r);
}

static void test_config(void **state)
{
	struct virtio_blk_config cfg;
	struct rig r;

	start(&r, false, 0);
	virtio_config_read(r.vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(le64_to_cpu(cfg.capacity), DISK_SIZE / 512);
	assert_int_equal(le32_to_cpu(cfg.blk_size), 512);
	assert_int_equal(cfg.physical_block_exp, 3);
	assert_int_equal(le32_to_cpu(cfg.seg_max), 254);
	assert_int_equal(le32_to_cpu(cfg.discard_sector_alignment), 8);
	stop(&r);
}

/* Many requests in one notification: none is lost. How many of them are told by one interrupt
 * depends on how long they take. */
static void test_batch(void **state)
{
	struct rig_buf bufs[3] = { { HDR, 16, false }, { DATA, 512, true }, { STATUS, 1, true } };
	struct rig r;

	start(&r, false, BIT_ULL(VIRTIO_RING_F_EVENT_IDX));
	set_hdr(&r, VIRTIO_BLK_T_IN, 0);
	for (int i = 0; i < 30; i++)
		rig_add(&r, 0, bufs, 3);
	rig_notify(&r, 0);
	for (int i = 0; i < 30; i++)
		assert_true(rig_used(&r, 0, NULL) >= 0);
	assert_in_range(r.queue_irqs[0], 1, 30);
	stop(&r);
}

/* Requests that the host keeps */

struct ending {
	struct mem_disk *m;
	unsigned int which;
	int ret;
	struct virtio_queue *watched; /* NULL, or: was it quiet before the loop was through? */
	bool early;
};

static bool is_quiet(struct virtio_queue *q)
{
	bool quiet;

	virtio_lock(q->vdev);
	quiet = q->quiet;
	virtio_unlock(q->vdev);
	return quiet;
}

static void end_on_loop(void *opaque)
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
	disk_request_done(&m->dq, req, e->ret ? e->ret : mem_serve(m, req));
	e->early = e->watched && is_quiet(e->watched);
	if (m->dq.ended)
		m->dq.ended(m->dq.opaque);
}

/* The host answers the request that is the @which-th of those it keeps. */
static void end_request(struct rig *r, struct mem_disk *m, unsigned int which, int ret)
{
	struct ending e = { .m = m, .which = which, .ret = ret };

	event_call_sync(r->vdev->queues[0].loop, end_on_loop, &e);
}

#define ROOM(i)	  (DATA + 0x1000 * (u64)(i))
#define HDR_AT(i) (ROOM(i) + 0x800)
#define ST_AT(i)  (ROOM(i) + 0x900)

/* Offer request @i of @type, a sector long, with room of its own; its head. */
static u16 add_one(struct rig *r, unsigned int i, u32 type)
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

static u8 status_at(struct rig *r, unsigned int i)
{
	return *(u8 *)rig_ptr(r, ST_AT(i));
}

static struct mem_disk *start_held(struct rig *r)
{
	struct mem_disk *m = start(r, false, BIT_ULL(VIRTIO_RING_F_EVENT_IDX));

	m->held = true;
	return m;
}

/* Several are under way; each is answered and signalled when its result comes, in any order. */
static void test_several(void **state)
{
	static const unsigned int order[] = { 2, 0, 1, 0 }, which[] = { 2, 0, 3, 1 };
	struct rig r;
	struct mem_disk *m = start_held(&r);
	u16 heads[4];

	for (unsigned int i = 0; i < 4; i++)
		heads[i] = add_one(&r, i, VIRTIO_BLK_T_IN);
	rig_notify(&r, 0);
	assert_int_equal(m->nr_kept, 4);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	for (unsigned int n = 0; n < 4; n++) {
		unsigned int i = which[n];

		end_request(&r, m, order[n], 0);
		assert_int_equal(r.queue_irqs[0], n + 1);
		assert_int_equal(rig_used(&r, 0, NULL), heads[i]);
		assert_int_equal(rig_used(&r, 0, NULL), -1);
		assert_int_equal(status_at(&r, i), VIRTIO_BLK_S_OK);
		assert_memory_equal(rig_ptr(&r, ROOM(i)), m->bytes + i * 512, 512);
	}
	stop(&r);
}

/* Of a queue that stops nothing is begun, and what was begun is waited for and answered nowhere. */
static void test_stop(void **state)
{
	struct rig r;
	struct mem_disk *m = start_held(&r);

	for (unsigned int i = 0; i < 4; i++)
		add_one(&r, i, VIRTIO_BLK_T_OUT);
	rig_notify(&r, 0);
	m->begun = 2;
	virtio_set_status(r.vdev, 0);
	/* Not the writer of the register waits, but the reset. */
	assert_int_equal(m->nr_kept, 2);
	assert_int_not_equal(virtio_get_status(r.vdev), 0);
	end_request(&r, m, 1, 0);
	assert_int_not_equal(virtio_get_status(r.vdev), 0);
	end_request(&r, m, 0, -EIO);
	virtio_wait_stopped(r.vdev, false);
	assert_int_equal(virtio_get_status(r.vdev), 0);
	for (unsigned int i = 0; i < 4; i++)
		assert_int_equal(status_at(&r, i), 0xee);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	assert_int_equal(r.queue_irqs[0], 0);
	/* And it starts again. */
	m->held = false;
	rig_start(&r, r.vdev, 0);
	assert_int_equal(request(&r, VIRTIO_BLK_T_IN, 0, 512, true, NULL), VIRTIO_BLK_S_OK);
	stop(&r);
}

/* NEEDS_RESET: nothing more is written, whatever the host still says. */
static void test_broken_while_busy(void **state)
{
	struct rig_buf bad = { HDR, 16, false };
	struct rig r;
	struct mem_disk *m = start_held(&r);

	m->begun = 1;
	for (unsigned int i = 0; i < 2; i++)
		add_one(&r, i, VIRTIO_BLK_T_OUT);
	rig_notify(&r, 0);
	rig_add(&r, 0, &bad, 1);
	rig_notify(&r, 0);
	assert_false(rig_live(&r));
	end_request(&r, m, 0, 0);
	assert_int_equal(m->nr_kept, 0);
	assert_int_equal(status_at(&r, 0), 0xee);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	stop(&r);
}

static void *end_two(void *opaque)
{
	struct rig *r = opaque;

	end_request(r, last, 0, 0);
	end_request(r, last, 0, 0);
	return NULL;
}

/*
 * Guest memory is about to change: what the host has not begun goes back into the ring as far as
 * that is possible (not after a request that is answered), the rest is waited for.
 */
static void test_quiesce(void **state)
{
	struct rig r;
	struct mem_disk *m = start_held(&r);
	pthread_t helper;
	u16 heads[4];

	heads[0] = add_one(&r, 0, VIRTIO_BLK_T_OUT);
	heads[1] = add_one(&r, 1, VIRTIO_BLK_T_OUT);
	heads[2] = add_one(&r, 2, VIRTIO_BLK_T_GET_ID);
	heads[3] = add_one(&r, 3, VIRTIO_BLK_T_OUT);
	rig_notify(&r, 0);
	assert_int_equal(m->nr_kept, 3);
	assert_int_equal(rig_used(&r, 0, NULL), heads[2]);
	m->begun = 1;
	assert_int_equal(pthread_create(&helper, NULL, end_two, &r), 0);
	virtio_quiesce(r.vdev);
	assert_int_equal(m->nr_kept, 0);
	pthread_join(helper, NULL);
	assert_int_equal(rig_used(&r, 0, NULL), heads[0]);
	assert_int_equal(rig_used(&r, 0, NULL), heads[1]);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	assert_int_equal(status_at(&r, 3), 0xee);
	rig_notify(&r, 0);
	assert_int_equal(m->nr_kept, 0);
	m->held = false;
	virtio_resume(r.vdev);
	rig_notify(&r, 0);
	assert_int_equal(rig_used(&r, 0, NULL), heads[3]);
	assert_int_equal(status_at(&r, 3), VIRTIO_BLK_S_OK);
	stop(&r);
}

/* Bus mastering is off: a request that ends is not seen to end, by its status neither. */
static void test_held(void **state)
{
	struct rig r;
	struct mem_disk *m = start_held(&r);
	u16 head = add_one(&r, 0, VIRTIO_BLK_T_OUT);

	rig_notify(&r, 0);
	virtio_set_held(r.vdev, true);
	end_request(&r, m, 0, 0);
	assert_int_equal(status_at(&r, 0), 0xee);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	virtio_quiesce(r.vdev);
	assert_int_not_equal(virtio_save(r.vdev), 0);
	virtio_resume(r.vdev);
	virtio_set_held(r.vdev, false);
	rig_notify(&r, 0);
	assert_int_equal(status_at(&r, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(rig_used(&r, 0, NULL), head);
	assert_int_equal(r.queue_irqs[0], 1);
	stop(&r);
}

struct holding {
	struct rig *r;
	u8 data[512];
	atomic_bool through;
};

/* The vcpu that switches bus mastering off, and looks at the memory then. */
static void *hold(void *opaque)
{
	struct holding *h = opaque;

	virtio_set_held(h->r->vdev, true);
	virtio_wait_held(h->r->vdev);
	memcpy(h->data, rig_ptr(h->r, ROOM(0)), sizeof(h->data));
	atomic_store(&h->through, true);
	return NULL;
}

/* Nor does data come into the driver's memory once bus mastering is off: who switches it off waits
 * for the read that the host has begun; one that it has not begun is not begun. */
static void test_held_read(void **state)
{
	struct rig r;
	struct mem_disk *m = start_held(&r);
	struct holding h = { .r = &r };
	pthread_t thread;

	for (unsigned int i = 0; i < 2; i++)
		add_one(&r, i, VIRTIO_BLK_T_IN);
	rig_notify(&r, 0);
	m->begun = 1;
	pthread_create(&thread, NULL, hold, &h);
	/* Time for it not to wait, if it does not. */
	for (int i = 0; i < 200 && !atomic_load(&h.through); i++)
		usleep(1000);
	end_request(&r, m, 0, 0);
	pthread_join(thread, NULL);
	assert_memory_equal(h.data, m->bytes, 512);
	assert_memory_equal(rig_ptr(&r, ROOM(0)), m->bytes, 512);
	assert_int_equal(m->nr_kept, 0);
	assert_int_equal(status_at(&r, 0), 0xee);
	m->held = false;
	virtio_set_held(r.vdev, false);
	rig_notify(&r, 0);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(status_at(&r, i), VIRTIO_BLK_S_OK);
		assert_memory_equal(rig_ptr(&r, ROOM(i)), m->bytes + 512 * i, 512);
	}
	stop(&r);
}

/* Paused right after the driver let it go: what waited goes out, since it may. */
static void test_let_go(void **state)
{
	struct rig r;
	struct mem_disk *m = start_held(&r);
	u16 head;

	/* On a loop that turns when the test says so. */
	virtio_device_reset(r.vdev);
	assert_int_equal(virtio_use_loop(r.vdev, &r.vm.loop), 0);
	rig_start(&r, r.vdev, 0);
	head = add_one(&r, 0, VIRTIO_BLK_T_OUT);
	rig_notify(&r, 0);
	virtio_set_held(r.vdev, true);
	end_request(&r, m, 0, 0);
	virtio_set_held(r.vdev, false);
	virtio_quiesce(r.vdev);
	assert_int_equal(rig_used(&r, 0, NULL), head);
	assert_int_equal(status_at(&r, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(r.queue_irqs[0], 1);
	assert_int_equal(virtio_save(r.vdev), 0);
	virtio_resume(r.vdev);
	stop(&r);
}

static void *end_watched(void *opaque)
{
	struct ending *e = opaque;

	/* Not before the queue is being waited for. */
	while (is_quiet(e->watched))
		sched_yield();
	event_call_sync(e->watched->loop, end_on_loop, e);
	return NULL;
}

/* Whoever quiesces may unmap memory at once: the loop has signalled before it says that it is done.
 */
static void test_quiesce_last(void **state)
{
	struct rig r;
	struct mem_disk *m = start_held(&r);
	struct ending e = { .m = m, .watched = &r.vdev->queues[0] };
	pthread_t helper;

	add_one(&r, 0, VIRTIO_BLK_T_OUT);
	rig_notify(&r, 0);
	m->begun = 1;
	assert_int_equal(pthread_create(&helper, NULL, end_watched, &e), 0);
	virtio_quiesce(r.vdev);
	assert_int_equal(r.queue_irqs[0], 1);
	pthread_join(helper, NULL);
	assert_false(e.early);
	assert_int_equal(r.quiet_irqs, 0);
	virtio_resume(r.vdev);
	stop(&r);
}

/* With nothing begun, all goes back, and comes again in the same order. */
static void test_quiesce_idle(void **state)
{
	struct rig r;
	struct mem_disk *m = start_held(&r);
	u16 heads[3];

	for (unsigned int i = 0; i < 3; i++)
		heads[i] = add_one(&r, i, VIRTIO_BLK_T_OUT);
	rig_notify(&r, 0);
	assert_int_equal(m->nr_kept, 3);
	virtio_quiesce(r.vdev);
	assert_int_equal(m->nr_kept, 0);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	m->held = false;
	virtio_resume(r.vdev);
	rig_notify(&r, 0);
	for (unsigned int i = 0; i < 3; i++)
		assert_int_equal(rig_used(&r, 0, NULL), heads[i]);
	stop(&r);
}

/* The write cache is emptied by the queue's loop, and again when it was turned off meanwhile. */
static void test_flush_by_the_loop(void **state)
{
	const u32 wce = offsetof(struct virtio_blk_config, wce);
	struct rig r;
	struct mem_disk *m = start_held(&r);
	u8 off = 0;

	virtio_config_write(r.vdev, wce, &off, 1);
	rig_notify(&r, 0);
	assert_int_equal(m->nr_kept, 1);
	assert_int_equal(m->kept[0]->op, DISK_FLUSH);
	virtio_config_write(r.vdev, wce, &off, 1);
	rig_notify(&r, 0);
	assert_int_equal(m->nr_kept, 1);
	end_request(&r, m, 0, 0);
	assert_int_equal(m->nr_kept, 1);
	end_request(&r, m, 0, 0);
	assert_int_equal(m->flushes, 2);
	/* A flush that was not begun survives that the queue is held. */
	virtio_config_write(r.vdev, wce, &off, 1);
	rig_notify(&r, 0);
	m->held = false;
	virtio_quiesce(r.vdev);
	assert_int_equal(m->flushes, 3);
	virtio_resume(r.vdev);
	stop(&r);
}

/* Ranges go one after the other; the first error ends the request. */
static void test_ranges_in_turn(void **state)
{
	struct virtio_blk_discard_write_zeroes segs[3] = { { 0, 8, 0 }, { 8, 0, 0 }, { 16, 8, 0 } };
	struct rig_buf bufs[3] = { { HDR, 16, false },
				   { DATA, sizeof(segs), false },
				   { STATUS, 1, true } };
	struct rig r;
	struct mem_disk *m = start_held(&r);

	for (unsigned int round = 0; round < 2; round++) {
		set_hdr(&r, VIRTIO_BLK_T_DISCARD, 0);
		memcpy(rig_ptr(&r, DATA), segs, sizeof(segs));
		rig_add(&r, 0, bufs, 3);
		rig_notify(&r, 0);
		assert_int_equal(m->nr_kept, 1);
		assert_int_equal(m->kept[0]->offset, 0);
		end_request(&r, m, 0, round ? -EIO : 0);
		assert_int_equal(m->nr_kept, !round);
		if (!round) {
			assert_int_equal(m->kept[0]->offset, 16 * 512);
			assert_int_equal(rig_used(&r, 0, NULL), -1);
			end_request(&r, m, 0, 0);
		}
		assert_true(rig_used(&r, 0, NULL) >= 0);
		assert_int_equal(*(u8 *)rig_ptr(&r, STATUS),
				 round ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
	}
	stop(&r);
}

/* Requests under way take room for themselves alone: kilobytes for a busy queue. */
static void test_small(void **state)
{
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
	struct rig_buf bufs[2] = { { HDR, 16, false }, { DATA, 513, true } };
	struct rig r;
	struct mem_disk *m = start_held(&r);
	size_t before, after;

	set_hdr(&r, VIRTIO_BLK_T_IN, 0);
	before = mallinfo2().uordblks;
	for (unsigned int i = 0; i < 128; i++)
		rig_add(&r, 0, bufs, 2);
	for (unsigned int i = 0; i < 128; i++)
		rig_notify(&r, 0);
	after = mallinfo2().uordblks;
	assert_int_equal(m->nr_kept, 128);
	assert_in_range(after - before, 128 * sizeof(struct disk_request), 128 * 256);
	stop(&r);
#else
	skip();
#endif
}

/* A host that hangs, by the threads that lkvm has: registers and the reset do not wait for it. */

static sem_t begun, go;

static int no_room(struct disk *disk, void **room)
{
	*room = NULL;
	return 0;
}

static void no_room_destroy(void *room) {}

static int serve_slowly(struct disk *disk, void *room, const struct disk_request *req)
{
	sem_post(&begun);
	while (sem_wait(&go))
		;
	return 0;
}

static int slow_queue_open(struct disk *disk, struct event_loop *loop, unsigned int depth,
			   struct disk_queue **out)
{
	static const struct disk_blocking_ops ops = {
		.room_create = no_room,
		.room_destroy = no_room_destroy,
		.serve = serve_slowly,
	};

	return disk_threads_open(disk, &ops, loop, depth, NULL, out);
}

static void nothing_to_do(void *opaque) {}

static void test_host_hangs(void **state)
{
	static const struct disk_ops slow_ops = { .queue_open = slow_queue_open };
	struct disk disk = {
		.ops = &slow_ops,
		.path = "slow",
		.size = DISK_SIZE,
		.block_size = 512,
		.phys_block = 512,
	};
	struct virtio_device *vdev;
	u64 capacity = 0;
	struct rig r;

	sem_init(&begun, 0, 0);
	sem_init(&go, 0, 0);
	rig_init(&r);
	assert_int_equal(virtio_blk_new(&r.vm, &disk, 0, &vdev), 0);
	rig_start(&r, vdev, 0);
	for (unsigned int i = 0; i < 6; i++)
		add_one(&r, i, VIRTIO_BLK_T_OUT);
	virtio_kick(vdev, 0);
	while (sem_wait(&begun))
		;
	/* The host has one, and answers no other. Were anything to wait, it would be for ever. */
	virtio_config_read(vdev, 0, &capacity, sizeof(capacity));
	assert_int_equal(le64_to_cpu(capacity), DISK_SIZE / 512);
	virtio_set_held(vdev, true);
	virtio_set_held(vdev, false);
	virtio_set_status(vdev, 0);
	assert_int_not_equal(virtio_get_status(vdev), 0);
	/* The loop may have been in its turn, and stops the queue after it. */
	event_call_sync(vdev->queues[0].loop, nothing_to_do, NULL);
	sem_post(&go);
	virtio_wait_stopped(vdev, false);
	assert_int_equal(virtio_get_status(vdev), 0);
	assert_int_equal(sem_trywait(&begun), -1);
	for (unsigned int i = 0; i < 6; i++)
		assert_int_equal(status_at(&r, i), 0xee);
	rig_stop(&r);
}

/* Random chains of random buffers with half-sane headers: whatever comes, lkvm lives. */
static void test_fuzz(void **state)
{
	static const u32 types[] = { 0, 1, 4, 8, 11, 13, 14, 0xffffffff };
	struct rig r;
	struct virtio_device *vdev;
	u64 seed = 20;

	start(&r, false, 0);
	vdev = r.vdev;
	for (int round = 0; round < 5000; round++) {
		struct rig_buf bufs[8];
		unsigned int n = 1 + (unsigned int)(rig_rand(&seed) % 8);
		unsigned int first_in = (unsigned int)(rig_rand(&seed) % (n + 1));

		set_hdr(&r, types[rig_rand(&seed) % ARRAY_SIZE(types)],
			rig_rand(&seed) % 4 ? rig_rand(&seed) % 520 : rig_rand(&seed));
		for (unsigned int i = 0; i < n; i++) {
			u64 x = rig_rand(&seed);

			bufs[i].gpa = i ? DATA + x % 0x10000 : HDR;
			bufs[i].len = i ? (u32)(rig_rand(&seed) % 3 ? 512 * (x % 8) : x % 5000)
					: (u32)(x % 8 ? 16 : x % 40);
			bufs[i].in = i >= first_in;
		}
		rig_add(&r, 0, bufs, n);
		rig_notify(&r, 0);
		while (rig_used(&r, 0, NULL) >= 0)
			;
		if (!rig_live(&r))
			rig_start(&r, vdev, virtio_offered(vdev));
	}
	stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_write),
		cmocka_unit_test(test_framing),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_header_or_status),
		cmocka_unit_test(test_readonly),
		cmocka_unit_test(test_host_errors),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_cache_modes),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_batch),
		cmocka_unit_test(test_several),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_broken_while_busy),
		cmocka_unit_test(test_quiesce),
		cmocka_unit_test(test_quiesce_last),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_held_read),
		cmocka_unit_test(test_let_go),
		cmocka_unit_test(test_quiesce_idle),
		cmocka_unit_test(test_flush_by_the_loop),
		cmocka_unit_test(test_ranges_in_turn),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_host_hangs),
		cmocka_unit_test(test_fuzz),
	};

	/* What hangs ends, minutes later. */
	alarm(600);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
