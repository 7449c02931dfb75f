/* SPDX-License-Identifier: MIT */
/* virtio/blk.c over a disk in memory: every request type, every framing, hostile requests, errors.
 */
#include <linux/virtio_blk.h>
#include <stdlib.h>

#include "capture.h"
#include "lkvm/disk.h"
#include "lkvm/util.h"
#include "virtio_rig.h"

#define DISK_SIZE (256 * KiB)
#define HDR	  RIG_DATA
#define DATA	  (RIG_DATA + 0x1000)
#define STATUS	  (RIG_DATA + 0x900)

struct mem_disk {
	struct disk disk;
	u8 *bytes;
	int fail; /* what every operation returns, when not 0 */
	unsigned int flushes, discards, zeroes, unmaps;
};

static struct mem_disk *to_mem(struct disk *disk)
{
	return container_of(disk, struct mem_disk, disk);
}

/* The device has checked the range: a backend that is asked beyond its end fails the test. */
static int mem_readv(struct disk *disk, const struct iovec *iov, int count, u64 offset)
{
	size_t len = iov_len(iov, (unsigned int)count);

	assert_true(range_within(offset, len, 0, disk->size));
	if (!to_mem(disk)->fail)
		iov_from_buf(iov, (unsigned int)count, 0, to_mem(disk)->bytes + offset, len);
	return to_mem(disk)->fail;
}

static int mem_writev(struct disk *disk, const struct iovec *iov, int count, u64 offset)
{
	size_t len = iov_len(iov, (unsigned int)count);

	assert_true(range_within(offset, len, 0, disk->size));
	assert_false(disk->readonly);
	if (!to_mem(disk)->fail)
		iov_to_buf(iov, (unsigned int)count, 0, to_mem(disk)->bytes + offset, len);
	return to_mem(disk)->fail;
}

static int mem_flush(struct disk *disk)
{
	to_mem(disk)->flushes++;
	return to_mem(disk)->fail;
}

static int mem_discard(struct disk *disk, u64 offset, u64 len)
{
	assert_true(len && range_within(offset, len, 0, disk->size));
	to_mem(disk)->discards++;
	return to_mem(disk)->fail;
}

static int mem_write_zeroes(struct disk *disk, u64 offset, u64 len, bool may_unmap)
{
	assert_true(len && range_within(offset, len, 0, disk->size));
	to_mem(disk)->zeroes++;
	to_mem(disk)->unmaps += may_unmap;
	memset(to_mem(disk)->bytes + offset, 0, len);
	return to_mem(disk)->fail;
}

static void mem_close(struct disk *disk)
{
	free(to_mem(disk)->bytes);
	free(to_mem(disk));
}

static const struct disk_ops mem_ops = {
	.readv = mem_readv,
	.writev = mem_writev,
	.flush = mem_flush,
	.discard = mem_discard,
	.write_zeroes = mem_write_zeroes,
	.close = mem_close,
};

/* The device borrows the disk of the test that runs. */
static struct mem_disk *borrowed;

static void stop(struct rig *r)
{
	rig_stop(r);
	mem_close(&borrowed->disk);
}

static struct mem_disk *start(struct rig *r, bool readonly, u64 without)
{
	struct mem_disk *m = borrowed = xcalloc(1, sizeof(*m));
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

/* Requests that cannot be answered break the device, and a reset mends it. */
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
	assert_contains(text, "disk 'memory': cannot write at sector 8: No space left");
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

/* Many requests in one notification: one interrupt for each batch, and none is lost. */
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
	assert_int_equal(r.queue_irqs[0], 1);
	stop(&r);
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
		cmocka_unit_test(test_read_write), cmocka_unit_test(test_framing),
		cmocka_unit_test(test_refused),	   cmocka_unit_test(test_no_header_or_status),
		cmocka_unit_test(test_readonly),   cmocka_unit_test(test_host_errors),
		cmocka_unit_test(test_ranges),	   cmocka_unit_test(test_cache_modes),
		cmocka_unit_test(test_config),	   cmocka_unit_test(test_batch),
		cmocka_unit_test(test_fuzz),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
