/* SPDX-License-Identifier: MIT */
/* The memory balloon on a bench: pages, reports, statistics, and what a hostile driver may send. */
#include "unit.h"

#include <linux/virtio_balloon.h>

#include "lkvm/balloon.h"
#include "lkvm/util.h"
#include "virtio_rig.h"

enum { INFLATE, DEFLATE, STATS, HINT, REPORT };
#define F_STATS	    BIT_ULL(1)
#define F_POISON    BIT_ULL(4)
#define F_REPORTING BIT_ULL(5)
#define PAGES	    (RIG_BASE + 4 * MiB) /* what is handed over */

static struct virtio_device *begin(struct rig *r, u64 features)
{
	struct virtio_device *vdev;

	rig_init(r);
	assert_int_equal(virtio_balloon_new(&r->vm, 12 * MiB + 1, &vdev), 0);
	rig_start(r, vdev, features);
	memset(rig_ptr(r, PAGES), 0x5a, MiB);
	return vdev;
}

static u32 page_sum(struct rig *r, u32 page)
{
	const u8 *p = rig_ptr(r, PAGES + page * 4096u);
	u32 sum = 0;

	for (u32 i = 0; i < 4096; i++)
		sum += p[i];
	return sum;
}

static void send_pfns(struct rig *r, const u32 *pfns, u32 n)
{
	for (u32 i = 0; i < n; i++)
		put_le((u8 *)rig_ptr(r, RIG_DATA) + 4 * i, 4, pfns[i]);
	rig_add(r, INFLATE, &(struct rig_buf){ RIG_DATA, 4 * n, false }, 1);
	rig_notify(r, INFLATE);
	assert_true(rig_used(r, INFLATE, NULL) >= 0);
}

static void test_inflate(void **state)
{
	static const u32 first = (u32)(PAGES >> 12);
	u32 pfns[] = { first + 1, first + 2, first + 5, first + 4, 0,
		       ~0u,	  first + 7, first + 7, first + 9 };
	struct virtio_device *vdev;
	struct rig r;

	vdev = begin(&r, 0);
	assert_true(balloon_target(vdev) == 12 * MiB);
	send_pfns(&r, pfns, ARRAY_SIZE(pfns));
	for (u32 i = 0; i < 10; i++)
		assert_int_equal(page_sum(&r, i) == 0,
				 i == 1 || i == 2 || i == 4 || i == 5 || i == 7 || i == 9);
	/* While a device of the host's has addresses, nothing goes. */
	atomic_store(&r.vm.mem.pinned, true);
	pfns[0] = first;
	send_pfns(&r, pfns, 1);
	assert_int_equal(page_sum(&r, 0), 4096 * 0x5a);
	/* What the driver says that it has given; a reset forgets it. */
	virtio_config_write(vdev, 4, "\x03\0\0\0", 4);
	assert_true(balloon_actual(vdev) == 3 * 4096);
	balloon_set_target(vdev, 5 * MiB);
	assert_int_equal(r.config_irqs, 1);
	assert_true(balloon_target(vdev) == 5 * MiB);
	virtio_config_write(vdev, 0, "\xff\xff\xff\xff", 4); /* not the driver's */
	virtio_set_status(vdev, 0);
	assert_true(balloon_actual(vdev) == 0 && balloon_target(vdev) == 5 * MiB);
	rig_stop(&r);
}

static void test_report(void **state)
{
	const struct rig_buf buf = { PAGES + 4096 + 512, 3 * 4096, true };
	struct virtio_device *vdev;
	struct rig r;

	/* Without hints Linux counts the queue of reports as the fourth. */
	vdev = begin(&r, F_REPORTING | F_STATS | F_POISON);
	rig_add(&r, HINT, &buf, 1);
	rig_notify(&r, HINT);
	assert_true(rig_used(&r, HINT, NULL) >= 0);
	/* Whole pages that lie in it. */
	for (u32 i = 0; i < 6; i++)
		assert_int_equal(page_sum(&r, i) == 0, i == 2 || i == 3);
	/* With a poison value the contents stay. */
	memset(rig_ptr(&r, PAGES), 0x5a, MiB);
	virtio_config_write(vdev, 12, "\xaa\xaa\xaa\xaa", 4);
	rig_add(&r, HINT, &buf, 1);
	rig_notify(&r, HINT);
	assert_true(rig_used(&r, HINT, NULL) >= 0);
	assert_int_equal(page_sum(&r, 2), 4096 * 0x5a);
	rig_stop(&r);
}

/* With devices of the host's no page can go, and the guest need not report any. */
static void test_passed_devices(void **state)
{
	struct virtio_device *vdev;
	struct rig r;

	rig_init(&r);
	r.cfg.nr_vfios = 1;
	assert_int_equal(virtio_balloon_new(&r.vm, 0, &vdev), 0);
	assert_true(vdev->host_features & F_STATS);
	assert_false(vdev->host_features & F_REPORTING);
	rig_start(&r, vdev, F_STATS);
	rig_stop(&r);
}

static void leave_stats(struct rig *r, u16 tag, u64 value)
{
	put_le(rig_ptr(r, RIG_DATA), 2, tag);
	put_le((u8 *)rig_ptr(r, RIG_DATA) + 2, 8, value);
	rig_add(r, STATS, &(struct rig_buf){ RIG_DATA, 10, false }, 1);
	rig_notify(r, STATS);
}

static void test_stats(void **state)
{
	struct balloon_stats s;
	struct virtio_device *vdev;
	struct rig r;

	vdev = begin(&r, F_STATS);
	leave_stats(&r, VIRTIO_BALLOON_S_MEMFREE, 77);
	assert_int_equal(rig_used(&r, STATS, NULL), -1); /* it waits */
	balloon_get_stats(vdev, &s);
	assert_int_equal(s.sequence, 1);
	assert_int_equal(s.known, BIT(VIRTIO_BALLOON_S_MEMFREE));
	assert_true(s.values[VIRTIO_BALLOON_S_MEMFREE] == 77);
	assert_true(balloon_ask_stats(vdev));
	rig_notify(&r, STATS);
	assert_int_equal(r.queue_irqs[STATS], 1);
	assert_true(rig_used(&r, STATS, NULL) >= 0);
	/* A tag that nobody knows; and a second buffer, for which the first goes back. */
	leave_stats(&r, 999, 5);
	leave_stats(&r, VIRTIO_BALLOON_S_MEMTOT, 6);
	assert_true(rig_used(&r, STATS, NULL) >= 0);
	balloon_get_stats(vdev, &s);
	assert_int_equal(s.sequence, 3);
	assert_int_equal(s.known, BIT(VIRTIO_BALLOON_S_MEMTOT));
	/* Quiesced, the ring has it again; afterwards it is read once more. */
	virtio_quiesce(vdev);
	assert_int_equal(vdev->queues[STATS].vq.in_flight, 0);
	virtio_resume(vdev);
	rig_notify(&r, STATS);
	balloon_get_stats(vdev, &s);
	assert_int_equal(s.sequence, 4);
	rig_stop(&r);
	/* A driver that gives none. */
	vdev = begin(&r, 0);
	assert_false(balloon_ask_stats(vdev));
	rig_stop(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inflate),
		cmocka_unit_test(test_report),
		cmocka_unit_test(test_passed_devices),
		cmocka_unit_test(test_stats),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
