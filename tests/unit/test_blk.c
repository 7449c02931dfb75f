/* SPDX-License-Identifier: MIT */
/* virtio/blk.c over a disk in memory: every request type, every framing, hostile requests, errors.
 */
#include <malloc.h>
#include <stdlib.h>

#include "blk_rig.h"
#include "capture.h"

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
		cmocka_unit_test(test_read_write),     cmocka_unit_test(test_framing),
		cmocka_unit_test(test_refused),	       cmocka_unit_test(test_no_header_or_status),
		cmocka_unit_test(test_readonly),       cmocka_unit_test(test_host_errors),
		cmocka_unit_test(test_ranges),	       cmocka_unit_test(test_cache_modes),
		cmocka_unit_test(test_config),	       cmocka_unit_test(test_batch),
		cmocka_unit_test(test_ranges_in_turn), cmocka_unit_test(test_small),
		cmocka_unit_test(test_fuzz),
	};

	/* What hangs ends, minutes later. */
	alarm(hang_seconds());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
