/* SPDX-License-Identifier: MIT */
/* virtio/rng.c: entropy in bounded pieces, whatever the driver asks for. */
#include "lkvm/util.h"
#include "virtio_rig.h"

static void start(struct rig *r)
{
	struct virtio_device *vdev;

	rig_init(r);
	assert_int_equal(virtio_rng_new(&r->vm, &vdev), 0);
	rig_start(r, vdev, 0);
}

static bool all_zero(const u8 *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (p[i])
			return false;
	return true;
}

static void test_fills(void **state)
{
	struct rig_buf bufs[2] = { { RIG_DATA, 24, true }, { RIG_DATA + 100, 40, true } };
	struct rig r;
	u32 len;
	int head;

	start(&r);
	head = rig_add(&r, 0, bufs, 2);
	rig_notify(&r, 0);
	assert_int_equal(rig_used(&r, 0, &len), head);
	assert_int_equal(len, 64);
	assert_false(all_zero(rig_ptr(&r, RIG_DATA), 24));
	assert_true(all_zero(rig_ptr(&r, RIG_DATA + 24), 76));
	assert_false(all_zero(rig_ptr(&r, RIG_DATA + 100), 40));
	assert_int_equal(r.queue_irqs[0], 1);
	rig_stop(&r);
}

/* 5.4.6.2: a long buffer may be filled in part; the main loop waits for nobody. */
static void test_bounded(void **state)
{
	struct rig_buf buf = { RIG_DATA, 4 * MiB, true };
	struct rig r;
	u32 len;

	start(&r);
	rig_add(&r, 0, &buf, 1);
	rig_notify(&r, 0);
	assert_true(rig_used(&r, 0, &len) >= 0);
	assert_int_equal(len, 4096);
	assert_true(all_zero(rig_ptr(&r, RIG_DATA + 4096), 4096));
	rig_stop(&r);
}

/* More requests than one turn takes: the rest comes with the kick that the device gave itself. */
static void test_many(void **state)
{
	struct rig_buf buf = { RIG_DATA, 16, true };
	unsigned int n = 0;
	u64 kicks;
	struct rig r;

	start(&r);
	for (int i = 0; i < 60; i++)
		rig_add(&r, 0, &buf, 1);
	rig_notify(&r, 0);
	while (rig_used(&r, 0, NULL) >= 0)
		n++;
	assert_in_range(n, 1, 59);
	assert_int_equal(read(r.vdev->queues[0].notify.fd, &kicks, 8), 8);
	rig_notify(&r, 0);
	while (rig_used(&r, 0, NULL) >= 0)
		n++;
	assert_int_equal(n, 60);
	assert_int_equal(read(r.vdev->queues[0].notify.fd, &kicks, 8), -1);
	rig_stop(&r);
}

/* A bucket of two buffers: the third waits in the ring, and comes when its time has come. */
static void test_limit(void **state)
{
	struct rig_buf buf = { RIG_DATA, 1000, true };
	struct virtio_device *vdev;
	struct rig r;
	u64 begin;
	u32 len;

	rig_init(&r);
	r.cfg.rng_limit = (struct rate_config){ .bytes = 10000, .bytes_burst = 2000 };
	assert_int_equal(virtio_rng_new(&r.vm, &vdev), 0);
	rig_start(&r, vdev, 0);
	begin = now_ns();
	for (int i = 0; i < 4; i++)
		rig_add(&r, 0, &buf, 1);
	rig_notify(&r, 0);
	assert_true(rig_used(&r, 0, &len) >= 0);
	assert_int_equal(len, 1000);
	assert_true(rig_used(&r, 0, &len) >= 0);
	/* More than the bucket had takes at least its time: 4000 bytes are there after 100 ms (one
	 * may begin with what is left of a token). */
	for (int n = 2; n < 4;) {
		event_loop_drain(&r.vm.loop);
		while (rig_used(&r, 0, &len) >= 0) {
			assert_int_equal(len, 1000);
			n++;
		}
	}
	assert_true(now_ns() - begin > 90000000);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	rig_stop(&r);
}

static void test_hostile(void **state)
{
	struct rig_buf out = { RIG_DATA, 64, false };
	struct rig_buf wild = { 0xffffffffffff0000ULL, 64, true };
	struct rig r;
	u32 len;

	start(&r);
	/* Nothing to write into. */
	rig_add(&r, 0, &out, 1);
	rig_notify(&r, 0);
	assert_true(rig_used(&r, 0, &len) >= 0);
	assert_int_equal(len, 0);
	rig_add(&r, 0, &wild, 1);
	rig_notify(&r, 0);
	assert_true(r.vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(rig_used(&r, 0, NULL), -1);
	assert_int_equal(r.config_irqs, 1);
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fills),	cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_many),	cmocka_unit_test(test_limit),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
