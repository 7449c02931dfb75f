/* SPDX-License-Identifier: MIT */
/*
 * virtio/blk.c with several queues, and what the user asks of a disk: limits, write-through, a
 * serial number. The limits are such that no machine is slow enough to see them end.
 */
#include <semaphore.h>
#include <stdlib.h>

#include "blk_rig.h"
#include "capture.h"

#define WCE offsetof(struct virtio_blk_config, wce)

static void start_queues(struct rig *r, u16 nr, const struct rate_config *rate)
{
	struct mem_disk *m = make_disk(false);

	m->disk.queues = nr;
	rate_init(&m->disk.limit, rate);
	start_on(r, m, BIT_ULL(VIRTIO_RING_F_EVENT_IDX));
}

/* A read of one sector on queue @q with room of its own: its head. */
static u16 add_read(struct rig *r, u16 q, unsigned int i)
{
	struct rig_buf bufs[3] = { { HDR_AT(i), 16, false },
				   { ROOM(i), 512, true },
				   { ST_AT(i), 1, true } };
	struct virtio_blk_outhdr hdr = { .sector = cpu_to_le64(i) };

	memcpy(rig_ptr(r, HDR_AT(i)), &hdr, sizeof(hdr));
	*(u8 *)rig_ptr(r, ST_AT(i)) = 0xee;
	return rig_add(r, q, bufs, 3);
}

static unsigned int count_used(struct rig *r, u16 q)
{
	unsigned int n = 0;

	while (rig_used(r, q, NULL) >= 0)
		n++;
	return n;
}

static void test_queues(void **state)
{
	const struct rate_config none = { 0 };
	struct virtio_blk_config cfg;
	struct rig r;

	start_queues(&r, 4, &none);
	assert_int_equal(r.vdev->nr_queues, 4);
	assert_true(virtio_has(r.vdev, VIRTIO_BLK_F_MQ));
	virtio_config_read(r.vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(le16_to_cpu(cfg.num_queues), 4);
	/* Each has a loop of its own, and answers on its own ring. */
	for (u16 q = 0; q < 4; q++) {
		assert_true(!q || r.vdev->queues[q].loop != r.vdev->queues[0].loop);
		add_read(&r, q, q);
		rig_notify(&r, q);
		for (u16 other = 0; other < 4; other++)
			assert_int_equal(count_used(&r, other), other == q);
		assert_int_equal(status_at(&r, q), VIRTIO_BLK_S_OK);
		assert_memory_equal(rig_ptr(&r, ROOM(q)), last->bytes + q * 512u, 512);
	}
	stop(&r);
	/* One: nothing is said of several. */
	start_queues(&r, 1, &none);
	assert_false(virtio_offered(r.vdev) & BIT_ULL(VIRTIO_BLK_F_MQ));
	virtio_config_read(r.vdev, 0, &cfg, sizeof(cfg));
	assert_int_equal(le16_to_cpu(cfg.num_queues), 1);
	stop(&r);
}

/* Two queues keep requests; one is reset, and the other's go on. */
static void test_reset_one(void **state)
{
	const struct rate_config none = { 0 };
	struct rig r;

	start_queues(&r, 2, &none);
	add_read(&r, 1, 1);
	virtio_reset_queue(r.vdev, 1);
	virtio_wait_stopped(r.vdev, false);
	rig_notify(&r, 1);
	assert_int_equal(count_used(&r, 1), 0);
	add_read(&r, 0, 0);
	rig_notify(&r, 0);
	assert_int_equal(count_used(&r, 0), 1);
	stop(&r);
}

/*
 * What the limit holds back stays in the ring: the queue is at rest then, so that pausing, saving
 * and resetting wait for nothing.
 */
static void test_limit(void **state)
{
	const struct rate_config slow = { .ops = 1, .ops_burst = 1, .bytes = 1, .bytes_burst = 1 };
	struct rig r;

	start_queues(&r, 2, &slow);
	for (unsigned int i = 0; i < 5; i++)
		add_read(&r, 0, i);
	rig_notify(&r, 0);
	/* The first pays for its 512 bytes afterwards: for 512 seconds. */
	assert_int_equal(count_used(&r, 0), 1);
	rig_notify(&r, 0);
	assert_int_equal(count_used(&r, 0), 0);
	/* The limit is the disk's. */
	add_read(&r, 1, 7);
	rig_notify(&r, 1);
	assert_int_equal(count_used(&r, 1), 0);
	assert_int_equal(status_at(&r, 7), 0xee);
	virtio_quiesce(r.vdev);
	assert_int_equal(r.vdev->queues[0].vq.in_flight, 0);
	assert_int_equal(r.vdev->queues[0].vq.last_avail, 1);
	virtio_resume(r.vdev);
	assert_int_equal(count_used(&r, 0), 0);
	assert_true(rig_live(&r));
	/* A reset gives no new tokens. */
	virtio_set_status(r.vdev, 0);
	virtio_wait_stopped(r.vdev, false);
	assert_int_equal(virtio_get_status(r.vdev), 0);
	rig_start(&r, r.vdev, virtio_offered(r.vdev) & ~BIT_ULL(VIRTIO_RING_F_EVENT_IDX));
	add_read(&r, 0, 2);
	rig_notify(&r, 0);
	assert_int_equal(count_used(&r, 0), 0);
	assert_int_equal(status_at(&r, 2), 0xee);
	stop(&r);
}

static sem_t served;

static void on_served(struct disk_queue *dq, struct disk_request *req)
{
	disk_request_done(dq, req, 0);
	sem_post(&served);
}

/* Held back, it is served by itself when the time has come. */
static void test_limit_ends(void **state)
{
	const struct rate_config fast = { .ops = 1000, .ops_burst = 1 };
	static struct disk_queue_ops ops;
	struct rig r;

	sem_init(&served, 0, 0);
	start_queues(&r, 1, &fast);
	ops = *last->dq[0].ops;
	ops.submit = on_served;
	last->dq[0].ops = &ops;
	for (unsigned int i = 0; i < 60; i++)
		add_read(&r, 0, i);
	rig_notify(&r, 0);
	for (unsigned int i = 0; i < 60; i++)
		while (sem_wait(&served))
			;
	rig_notify(&r, 0);
	assert_int_equal(count_used(&r, 0), 60);
	stop(&r);
}

/* Zeroes are paid for by what the host may have to write. */
static void test_limit_zeroes(void **state)
{
	const struct rate_config slow = { .bytes = 4096, .bytes_burst = 1 };
	struct virtio_blk_discard_write_zeroes seg = { .num_sectors = cpu_to_le32(512) };
	struct rig_buf bufs[3] = { { HDR, 16, false },
				   { DATA, sizeof(seg), false },
				   { STATUS, 1, true } };
	struct rig r;

	start_queues(&r, 1, &slow);
	set_hdr(&r, VIRTIO_BLK_T_WRITE_ZEROES, 0);
	memcpy(rig_ptr(&r, DATA), &seg, sizeof(seg));
	rig_add(&r, 0, bufs, 3);
	rig_notify(&r, 0);
	assert_int_equal(count_used(&r, 0), 1);
	assert_int_equal(last->zeroes, 1);
	add_read(&r, 0, 1);
	rig_notify(&r, 0);
	assert_int_equal(count_used(&r, 0), 0);
	stop(&r);
}

/* cache=writethrough: each write is on the medium, whatever the driver sets. */
static void test_writethrough(void **state)
{
	struct mem_disk *m = make_disk(false);
	struct rig r;
	u8 on = 1;

	m->disk.writethrough = true;
	start_on(&r, m, 0);
	assert_true(virtio_has(r.vdev, VIRTIO_BLK_F_FLUSH));
	assert_int_equal(virtio_config_byte(r.vdev, WCE), 0);
	request(&r, VIRTIO_BLK_T_OUT, 0, 512, false, NULL);
	assert_int_equal(m->flushes, 1);
	virtio_config_write(r.vdev, WCE, &on, 1);
	request(&r, VIRTIO_BLK_T_OUT, 0, 512, false, NULL);
	assert_int_equal(m->flushes, 2);
	virtio_set_status(r.vdev, 0);
	virtio_wait_stopped(r.vdev, false);
	assert_int_equal(virtio_config_byte(r.vdev, WCE), 0);
	stop(&r);
}

/* 5.2.5.2: a driver that cannot flush finds no write cache, and has none. */
static void test_no_flush(void **state)
{
	struct mem_disk *m = make_disk(false);
	struct rig r;
	u8 on = 1;

	start_on(&r, m, BIT_ULL(VIRTIO_BLK_F_FLUSH));
	assert_true(virtio_has(r.vdev, VIRTIO_BLK_F_CONFIG_WCE));
	assert_int_equal(virtio_config_byte(r.vdev, WCE), 0);
	request(&r, VIRTIO_BLK_T_OUT, 0, 512, false, NULL);
	assert_int_equal(m->flushes, 1);
	virtio_config_write(r.vdev, WCE, &on, 1);
	request(&r, VIRTIO_BLK_T_OUT, 0, 512, false, NULL);
	assert_int_equal(m->flushes, 2);
	stop(&r);
}

static void test_serial(void **state)
{
	static const char longest[] = "0123456789abcdefghij";
	static const char *const given[] = { NULL, "disk-7", longest };
	static const char *const shown[] = { "lkvm-disk0", "disk-7", longest };
	struct rig r;

	for (size_t i = 0; i < ARRAY_SIZE(given); i++) {
		struct mem_disk *m = make_disk(false);
		char id[21] = "";

		m->disk.serial = given[i];
		start_on(&r, m, 0);
		assert_int_equal(request(&r, VIRTIO_BLK_T_GET_ID, 0, 20, true, NULL), 0);
		memcpy(id, rig_ptr(&r, DATA), 20);
		assert_string_equal(id, shown[i]);
		stop(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_queues),	     cmocka_unit_test(test_reset_one),
		cmocka_unit_test(test_limit),	     cmocka_unit_test(test_limit_ends),
		cmocka_unit_test(test_limit_zeroes), cmocka_unit_test(test_writethrough),
		cmocka_unit_test(test_no_flush),     cmocka_unit_test(test_serial),
	};

	alarm(hang_seconds());
	return cmocka_run_group_tests(tests, NULL, NULL);
}
