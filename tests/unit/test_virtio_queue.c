/* SPDX-License-Identifier: MIT */
/* How queues are served: which rules a ring follows, and replies that had to wait. */
#include "unit.h"

#include "toy_device.h"

#define HIGH 0x40000000u

static atomic_int interrupts;

static void fake_interrupt(struct virtio_device *vdev, int q)
{
	interrupts += q >= 0;
}

static void fake_queues_changed(struct virtio_device *vdev) {}

static const struct virtio_transport_ops fake = {
	.interrupt = fake_interrupt,
	.queues_changed = fake_queues_changed,
};

static void start(struct virtio_device *vdev, const struct vring_driver *d, u64 features)
{
	struct virtqueue *vq = &vdev->queues[0].vq;

	features |= BIT_ULL(VIRTIO_F_VERSION_1);
	virtio_set_status(vdev, 0);
	virtio_set_status(vdev, S_ACK | S_DRIVER);
	virtio_accept_features(vdev, 0, (u32)features);
	virtio_accept_features(vdev, 1, (u32)(features >> 32));
	virtio_set_status(vdev, S_ACK | S_DRIVER | S_FEATURES_OK);
	vq->size = d->size;
	vq->desc_gpa = d->desc;
	vq->avail_gpa = d->avail;
	vq->used_gpa = d->used;
	virtio_enable_queue(vdev, 0);
	assert_true(vq->enabled);
	virtio_set_status(vdev, 0xf);
}

static struct toy_vm *begin(const struct virtio_ops *ops)
{
	struct toy_vm *v = toy_vm_new(TRANSPORT_MMIO);

	v->cfg.virtio_in_order = !ops->in_order;
	toy_new_ops(v, false, ops)->vdev.transport = &fake;
	interrupts = 0;
	return v;
}

static void end(struct toy_vm *v)
{
	toy_free(v->toy);
	toy_vm_free(v);
}

static void check_rules(const struct virtio_ops *ops)
{
	struct toy_vm *v = begin(ops);
	struct virtio_device *vdev = &v->toy->vdev;
	struct vring_driver d;

	for (u32 kind = 0; kind < 16; kind++) {
		const struct virtqueue *vq = &vdev->queues[0].vq;

		vdrv_setup(&d, v->ram, 0x1000, 16);
		start(vdev, &d,
		      (kind & 1 ? BIT_ULL(VIRTIO_F_RING_PACKED) : 0) |
			      (kind & 2 ? BIT_ULL(VIRTIO_F_IN_ORDER) : 0) |
			      (kind & 4 ? BIT_ULL(VIRTIO_RING_F_EVENT_IDX) : 0) |
			      (kind & 8 ? BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) : 0));
		assert_int_equal(vq->packed, kind & 1);
		assert_int_equal(vq->in_order, kind >> 1 & 1);
		assert_int_equal(vq->event_idx, kind >> 2 & 1);
		assert_int_equal(vq->indirect, kind >> 3);
		/* It takes a feature to reset one queue. */
		virtio_reset_queue(vdev, 0);
		assert_true(vq->enabled);
	}
	end(v);
}

/* What was agreed on is what the ring is read by; in order by the device's or the user's wish. */
static void test_rules(void **state)
{
	struct virtio_ops ordered = toy_ops;

	check_rules(&toy_ops);
	ordered.in_order = true;
	check_rules(&ordered);
}

/* Two requests that the device keeps. */
static struct toy_vm *begin_keeping(struct vring_driver *d)
{
	struct toy_vm *v = begin(&toy_ops);

	v->toy->keep = true;
	vdrv_setup(d, v->ram, 0x1000, 8);
	start(&v->toy->vdev, d, 0);
	toy_request(d, 0, 0x4000, 5);
	toy_request(d, 2, 0x4100, 5);
	virtio_kick(&v->toy->vdev, 0);
	pump(v);
	assert_int_equal(v->toy->nr_kept, 2);
	return v;
}

static void expect(struct vring_driver *d, u32 head)
{
	u32 id = 99, len;

	assert_true(vdrv_take_used(d, &id, &len));
	assert_int_equal(id, head);
}

/* What waited goes out first, and what belongs together is seen together then, too. */
static void test_waiting_replies(void **state)
{
	struct vring_driver d;
	struct toy_vm *v = begin_keeping(&d);
	struct virtio_device *vdev = &v->toy->vdev;

	virtio_set_held(vdev, true);
	virtio_push_later(vdev, 0, &v->toy->kept[0], 5);
	virtio_set_held(vdev, false);
	/* Nothing of it has gone out yet, so this one has to wait, too. */
	virtio_push(vdev, 0, &v->toy->kept[1], 5);
	assert_int_equal(vdrv_used_idx(&d), 0);
	pump(v);
	expect(&d, 0);
	expect(&d, 2);
	v->toy->nr_kept = 0;
	toy_request(&d, 4, 0x4000, 5);
	virtio_kick(vdev, 0);
	pump(v);
	virtio_set_held(vdev, true);
	virtio_push_later(vdev, 0, &v->toy->kept[0], 5);
	virtio_set_held(vdev, false);
	pump(v);
	assert_int_equal(vdrv_used_idx(&d), 2);
	v->toy->nr_kept = 0;
	end(v);
}

/* A status that waits finds its byte in whatever region that is; it is gone with a reset. */
static void test_waiting_status(void **state)
{
	struct vring_driver d;
	struct toy_vm *v = begin_keeping(&d);
	struct virtio_device *vdev = &v->toy->vdev;
	u8 *pages = aligned_alloc(4096, 8192), *high = pages + 4096;

	memset(pages, 0, 8192);
	/* One that ends where the other begins, but for the guest there is a hole between them. */
	assert_int_equal(memory_add_borrowed(&v->vm.mem, HIGH, 4096, pages, 0, "high"), 0);
	assert_int_equal(memory_add_borrowed(&v->vm.mem, HIGH + 8192, 4096, high, 0, "higher"), 0);
	virtio_set_held(vdev, true);
	virtio_push_status(vdev, 0, &v->toy->kept[0], 1, high + 7, 0x42);
	virtio_push_status(vdev, 0, &v->toy->kept[1], 1, v->ram + 0x5000, 0x43);
	assert_int_equal(high[7], 0);
	virtio_set_held(vdev, false);
	pump(v);
	assert_int_equal(high[7], 0x42);
	assert_int_equal(v->ram[0x5000], 0x43);
	expect(&d, 0);
	expect(&d, 2);
	v->toy->nr_kept = 0;
	/* The same once more, but the driver does not want it. */
	toy_request(&d, 4, 0x4000, 5);
	virtio_kick(vdev, 0);
	pump(v);
	virtio_set_held(vdev, true);
	virtio_push_status(vdev, 0, &v->toy->kept[0], 1, high + 7, 0x44);
	v->toy->nr_kept = 0;
	virtio_device_reset(vdev);
	virtio_set_held(vdev, false);
	vdrv_setup(&d, v->ram, 0x1000, 8);
	start(vdev, &d, 0);
	pump(v);
	assert_int_equal(high[7], 0x42);
	assert_int_equal(vdrv_used_idx(&d), 0);
	end(v);
	free(pages);
}

/* An interrupt that was missed while the device was held comes later, but not to the next driver.
 */
static void test_missed(void **state)
{
	struct vring_driver d;
	struct toy_vm *v = begin_keeping(&d);
	struct virtio_device *vdev = &v->toy->vdev;

	vdev->queues[0].signal_missed = true;
	virtio_signal(vdev, 0);
	assert_int_equal(interrupts, 1);
	virtio_signal(vdev, 0);
	assert_int_equal(interrupts, 1);
	vdev->queues[0].signal_missed = true;
	v->toy->nr_kept = 0;
	virtio_device_reset(vdev);
	vdrv_setup(&d, v->ram, 0x1000, 8);
	start(vdev, &d, 0);
	pump(v);
	assert_int_equal(interrupts, 1);
	end(v);
}

/* While a reset is under way no bit is added, and a device that needs one is never active. */
static void test_status(void **state)
{
	struct vring_driver d;
	struct toy_vm *v = begin_keeping(&d);
	struct virtio_device *vdev = &v->toy->vdev;

	virtio_set_status(vdev, 0);
	assert_int_equal(vdev->status, 0xf);
	virtio_set_status(vdev, VIRTIO_CONFIG_S_FAILED | 0xf);
	assert_int_equal(vdev->status, 0xf);
	v->toy->nr_kept = 0;
	virtio_queue_idle(vdev, 0);
	assert_int_equal(vdev->status, 0);
	virtio_set_status(vdev, S_ACK | S_DRIVER);
	virtio_accept_features(vdev, 1, BIT(VIRTIO_F_VERSION_1 - 32));
	virtio_set_status(vdev, S_ACK | S_DRIVER | S_FEATURES_OK);
	virtio_broken(vdev, "test");
	virtio_set_status(vdev, 0xf);
	assert_false(vdev->active);
	end(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),	       cmocka_unit_test(test_waiting_replies),
		cmocka_unit_test(test_waiting_status), cmocka_unit_test(test_missed),
		cmocka_unit_test(test_status),
	};

	return cmocka_run_group_tests_name("virtio_queue", tests, NULL, NULL);
}
