/* SPDX-License-Identifier: MIT */
/* The state machine of a virtio device, without a real transport. */
#include "unit.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "toy_device.h"

static int interrupts, config_interrupts, active_calls;
static bool now_active;

static void fake_interrupt(struct virtio_device *vdev, int q)
{
	if (q < 0)
		config_interrupts++;
	else
		interrupts++;
}

static void fake_set_active(struct virtio_device *vdev, bool active)
{
	active_calls++;
	now_active = active;
}

static const struct virtio_transport_ops fake = {
	.interrupt = fake_interrupt,
	.set_active = fake_set_active,
};

static struct toy_vm *begin(bool threaded)
{
	struct toy_vm *v = toy_vm_new(TRANSPORT_MMIO);

	toy_new(v, threaded)->vdev.transport = &fake;
	interrupts = 0;
	config_interrupts = 0;
	active_calls = 0;
	now_active = false;
	return v;
}

static void end(struct toy_vm *v)
{
	virtio_device_reset(&v->toy->vdev);
	toy_free(v->toy);
	toy_vm_free(v);
}

static void negotiate(struct virtio_device *vdev, u64 features)
{
	virtio_set_status(vdev, S_ACK);
	virtio_set_status(vdev, S_ACK | S_DRIVER);
	virtio_accept_features(vdev, 0, (u32)features);
	virtio_accept_features(vdev, 1, (u32)(features >> 32));
	virtio_set_status(vdev, S_ACK | S_DRIVER | S_FEATURES_OK);
}

static void set_ring(struct virtio_device *vdev, u16 q, const struct vring_driver *d)
{
	struct virtqueue *vq = &vdev->queues[q].vq;

	vq->size = d->size;
	vq->desc_gpa = d->desc;
	vq->avail_gpa = d->avail;
	vq->used_gpa = d->used;
	virtio_enable_queue(vdev, q);
}

static void test_good_order(void **state)
{
	struct toy_vm *v = begin(false);
	struct virtio_device *vdev = &v->toy->vdev;
	struct vring_driver d;
	u32 id, len;

	assert_string_equal(vdev->name, "toy0");
	assert_true(virtio_offered(vdev) == (TOY_ACCEPT | TOY_FEATURE));
	negotiate(vdev, TOY_ACCEPT);
	assert_int_equal(vdev->status, S_ACK | S_DRIVER | S_FEATURES_OK);
	assert_false(virtio_has(vdev, 5));
	vdrv_setup(&d, v->ram, 0x1000, 8);
	set_ring(vdev, 0, &d);
	assert_true(vdev->queues[0].vq.enabled);
	/* A request and a notification before DRIVER_OK are not lost. */
	memcpy(v->ram + 0x4000, "hello", 5);
	toy_request(&d, 2, 0x4000, 5);
	virtio_kick(vdev, 0);
	pump(v);
	assert_int_equal(v->toy->notified, 0);
	virtio_set_status(vdev, 0xf);
	assert_int_equal(vdev->status, 0xf);
	assert_int_equal(v->toy->activated, 1);
	assert_true(now_active && virtio_live(vdev));
	pump(v);
	assert_true(vdrv_take_used(&d, &id, &len));
	assert_int_equal(id, 2);
	assert_int_equal(len, 5);
	assert_memory_equal(v->ram + 0xc000, "hello", 5);
	assert_int_equal(interrupts, 1);
	/* DRIVER_OK again changes nothing. */
	virtio_set_status(vdev, 0xf);
	assert_int_equal(v->toy->activated, 1);
	virtio_set_status(vdev, 0);
	assert_int_equal(vdev->status, 0);
	assert_true(vdev->features == 0 && !vdev->queues[0].vq.enabled);
	assert_false(now_active);
	assert_int_equal(active_calls, 2);
	assert_int_equal(v->toy->resets, 1);
	end(v);
}

/* Even without a notification by the driver: activation looks once at each queue. */
static void test_pending_at_activation(void **state)
{
	struct toy_vm *v = begin(false);
	struct virtio_device *vdev = &v->toy->vdev;
	struct vring_driver d;

	negotiate(vdev, TOY_ACCEPT);
	vdrv_setup(&d, v->ram, 0x1000, 8);
	set_ring(vdev, 1, &d);
	toy_request(&d, 0, 0x4000, 5);
	virtio_set_status(vdev, 0xf);
	pump(v);
	assert_int_equal(vdrv_used_idx(&d), 1);
	end(v);
}

static void test_features(void **state)
{
	struct toy_vm *v = begin(false);
	struct virtio_device *vdev = &v->toy->vdev;

	/* Not offered. */
	negotiate(vdev, TOY_ACCEPT | BIT_ULL(7));
	assert_int_equal(vdev->status, S_ACK | S_DRIVER);
	assert_false(virtio_has(vdev, 7));
	virtio_set_status(vdev, 0);
	negotiate(vdev, TOY_ACCEPT | BIT_ULL(60));
	assert_int_equal(vdev->status, S_ACK | S_DRIVER);
	/* Words that do not exist. */
	virtio_set_status(vdev, 0);
	virtio_accept_features(vdev, 2, 1);
	negotiate(vdev, TOY_ACCEPT);
	assert_int_equal(vdev->status, S_ACK | S_DRIVER);
	virtio_set_status(vdev, 0);
	virtio_accept_features(vdev, 0xffffffff, 0);
	negotiate(vdev, TOY_ACCEPT);
	assert_int_equal(vdev->status, S_ACK | S_DRIVER | S_FEATURES_OK);
	/* A legacy driver. */
	virtio_set_status(vdev, 0);
	negotiate(vdev, BIT_ULL(VIRTIO_RING_F_EVENT_IDX));
	assert_int_equal(vdev->status, S_ACK | S_DRIVER);
	/* Too late. */
	virtio_set_status(vdev, 0);
	negotiate(vdev, TOY_ACCEPT);
	virtio_accept_features(vdev, 0, TOY_FEATURE);
	assert_true(vdev->features == TOY_ACCEPT);
	end(v);
}

/* A driver that does not go through shared memory would give addresses that are none. */
static void test_protected(void **state)
{
	struct toy_vm *v = begin(false);
	struct virtio_device *vdev = &v->toy->vdev;

	assert_false(virtio_offered(vdev) & BIT_ULL(VIRTIO_F_ACCESS_PLATFORM));
	toy_free(v->toy);
	v->vm.access_platform = true;
	vdev = &toy_new(v, false)->vdev;
	assert_true(virtio_offered(vdev) & BIT_ULL(VIRTIO_F_ACCESS_PLATFORM));
	negotiate(vdev, TOY_ACCEPT);
	assert_int_equal(vdev->status, S_ACK | S_DRIVER);
	virtio_set_status(vdev, 0);
	negotiate(vdev, TOY_ACCEPT | BIT_ULL(VIRTIO_F_ACCESS_PLATFORM));
	assert_int_equal(vdev->status, S_ACK | S_DRIVER | S_FEATURES_OK);
	end(v);
}

static void test_hostile_order(void **state)
{
	struct toy_vm *v = begin(false);
	struct virtio_device *vdev = &v->toy->vdev;
	struct vring_driver d;

	vdrv_setup(&d, v->ram, 0x1000, 8);
	/* A queue before the features. */
	set_ring(vdev, 0, &d);
	assert_false(vdev->queues[0].vq.enabled);
	set_ring(vdev, 0, &d);
	virtio_enable_queue(vdev, TOY_QUEUES);
	virtio_enable_queue(vdev, 0xffff);
	virtio_disable_queue(vdev, 0xffff);
	virtio_kick(vdev, 0xffffffff);
	/* DRIVER_OK before the features. */
	virtio_set_status(vdev, S_DRIVER_OK);
	assert_int_equal(vdev->status, 0);
	assert_false(virtio_live(vdev));
	/* The driver cannot say NEEDS_RESET, and takes no bit back. */
	virtio_set_status(vdev, S_NEEDS_RESET | S_ACK);
	assert_int_equal(vdev->status, S_ACK);
	negotiate(vdev, TOY_ACCEPT);
	virtio_set_status(vdev, S_ACK);
	assert_int_equal(vdev->status, S_ACK | S_DRIVER | S_FEATURES_OK);
	/* DRIVER_OK with no queue at all; queues then come too late. */
	virtio_set_status(vdev, 0xf);
	assert_true(virtio_live(vdev));
	set_ring(vdev, 0, &d);
	assert_false(vdev->queues[0].vq.enabled);
	for (u16 q = 0; q < TOY_QUEUES; q++) {
		virtio_kick(vdev, q);
		assert_int_equal(virtio_pop(vdev, q, &v->toy->chain), 0);
	}
	assert_int_equal(virtio_pop(vdev, 999, &v->toy->chain), 0);
	pump(v);
	assert_int_equal(v->toy->notified, 0);
	assert_false(vdev->status & S_NEEDS_RESET);
	end(v);
}

static void test_bad_queue(void **state)
{
	struct toy_vm *v = begin(false);
	struct virtio_device *vdev = &v->toy->vdev;
	struct vring_driver d;

	negotiate(vdev, TOY_ACCEPT);
	vdrv_setup(&d, v->ram, 0x1000, 8);
	d.used = TOY_RAM;
	set_ring(vdev, 0, &d);
	assert_true(vdev->status & S_NEEDS_RESET);
	assert_int_equal(config_interrupts, 0); /* not before DRIVER_OK */
	virtio_set_status(vdev, 0xf);
	assert_false(virtio_live(vdev));
	assert_false(now_active);
	/* After a reset all is well again. */
	virtio_set_status(vdev, 0);
	negotiate(vdev, TOY_ACCEPT);
	vdrv_setup(&d, v->ram, 0x1000, 8);
	set_ring(vdev, 0, &d);
	virtio_set_status(vdev, 0xf);
	assert_true(virtio_live(vdev));
	/* And a ring that breaks later is told by a configuration interrupt, once. */
	vdrv_offer(&d, 77);
	virtio_kick(vdev, 0);
	pump(v);
	assert_true(vdev->status & S_NEEDS_RESET);
	assert_int_equal(config_interrupts, 1);
	assert_false(virtio_live(vdev));
	virtio_broken(vdev, "test");
	assert_int_equal(config_interrupts, 1);
	v->toy->notified = 0;
	virtio_kick(vdev, 0);
	pump(v);
	assert_int_equal(v->toy->notified, 0);
	end(v);
}

static void test_config(void **state)
{
	struct toy_vm *v = begin(false);
	struct virtio_device *vdev = &v->toy->vdev;
	u8 buf[8];
	u32 generation = vdev->config_generation;

	virtio_config_read(vdev, 2, buf, 2);
	assert_int_equal(get_le(buf, 2), 0x0302);
	virtio_config_read(vdev, 10, buf, 4); /* half of it is beyond */
	assert_int_equal(get_le(buf, 4), 0x0b0a);
	virtio_config_read(vdev, 12, buf, 4);
	assert_int_equal(get_le(buf, 4), 0);
	virtio_config_read(vdev, 0xfffffffe, buf, 8);
	assert_true(get_le(buf, 8) == 0);
	memset(buf, 0xee, sizeof(buf));
	virtio_config_write(vdev, 10, buf, 4);
	virtio_config_write(vdev, 0xfffffffe, buf, 4);
	assert_int_equal(v->toy->config[10], 10);
	virtio_config_write(vdev, 10, buf, 2);
	assert_int_equal(v->toy->config[11], 0xee);
	virtio_config_changed(vdev);
	assert_int_equal(config_interrupts, 0);
	assert_int_not_equal(vdev->config_generation, generation);
	negotiate(vdev, TOY_ACCEPT);
	virtio_set_status(vdev, 0xf);
	virtio_config_changed(vdev);
	assert_int_equal(config_interrupts, 1);
	end(v);
}

static void test_pause(void **state)
{
	struct toy_vm *v = begin(false);
	struct virtio_device *vdev = &v->toy->vdev;
	struct vring_driver d;

	virtio_set_paused(vdev, true);
	negotiate(vdev, TOY_ACCEPT);
	vdrv_setup(&d, v->ram, 0x1000, 8);
	set_ring(vdev, 0, &d);
	virtio_set_status(vdev, 0xf);
	toy_request(&d, 0, 0x4000, 5);
	virtio_kick(vdev, 0);
	pump(v);
	assert_int_equal(vdrv_used_idx(&d), 0);
	assert_int_equal(virtio_pop(vdev, 0, &v->toy->chain), 0);
	virtio_set_paused(vdev, false);
	pump(v);
	assert_int_equal(vdrv_used_idx(&d), 1);
	virtio_disable_queue(vdev, 0);
	toy_request(&d, 0, 0x4000, 5);
	virtio_kick(vdev, 0);
	pump(v);
	assert_int_equal(vdrv_used_idx(&d), 1);
	end(v);
}

static void sleep_us(long us)
{
	struct timespec ts = { .tv_nsec = us * 1000 };

	nanosleep(&ts, NULL);
}

/* Resets while the I/O thread is at work: once reset returns, guest memory is the guest's. */
static void test_reset_during_io(void **state)
{
	struct toy_vm *v = begin(true);
	struct virtio_device *vdev = &v->toy->vdev;
	struct vring_driver d;
	u8 *copy = malloc(TOY_RAM);
	u32 worked = 0;

	assert_false(vdev->loop->has_thread);
	for (u32 n = 0; n < 300; n++) {
		negotiate(vdev, TOY_ACCEPT);
		vdrv_setup(&d, v->ram, 0x1000, 64);
		set_ring(vdev, 0, &d);
		virtio_set_status(vdev, 0xf);
		assert_true(vdev->loop->has_thread);
		for (u16 i = 0; i < 32; i++) {
			toy_request(&d, (u16)(2 * i), 0x4000, 0x4000);
			virtio_kick(vdev, 0);
		}
		sleep_us(n % 50);
		virtio_set_status(vdev, 0);
		worked += vdrv_used_idx(&d) > 0;
		memset(v->ram, (u8)n, TOY_RAM);
		memcpy(copy, v->ram, TOY_RAM);
		if (n % 30 == 0)
			sleep_us(2000);
		assert_memory_equal(copy, v->ram, TOY_RAM);
	}
	assert_true(worked > 0);
	free(copy);
	end(v);
}

/* A reset in the midst of a request waits for the device to let go of the memory. */
static void test_reset_waits(void **state)
{
	struct toy_vm *v = begin(true);
	struct virtio_device *vdev = &v->toy->vdev;
	struct vring_driver d;
	u32 caught = 0;

	v->toy->slow_us = 3000;
	for (u32 n = 0; n < 20; n++) {
		u32 notified = v->toy->notified;

		negotiate(vdev, TOY_ACCEPT);
		vdrv_setup(&d, v->ram, 0x1000, 8);
		set_ring(vdev, 0, &d);
		toy_request(&d, 0, 0x4000, 0x4000);
		virtio_set_status(vdev, 0xf);
		sleep_us(500);
		virtio_set_status(vdev, 0);
		caught += v->toy->notified != notified;
		memset(v->ram, 0, TOY_RAM);
		memset(v->ram + 0x4000, 1, 0x4000); /* would be copied to 0xc000 */
		sleep_us(5000);
		assert_int_equal(v->ram[0xc000], 0);
		assert_int_equal(vdrv_used_idx(&d), 0);
	}
	assert_true(caught > 0);
	end(v);
}

static u32 count_fds(void)
{
	u32 n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void test_init_limits(void **state)
{
	struct toy_vm *v = toy_vm_new(TRANSPORT_MMIO);
	struct virtio_device vdev;
	u32 fds = count_fds();

	log_set_level(LOG_ERROR);
	assert_int_equal(virtio_init(&vdev, &v->vm, &toy_ops, "t", 0, 0, 0, 8, NULL), -EINVAL);
	assert_int_equal(virtio_init(&vdev, &v->vm, &toy_ops, "t", 0, 0, 65, 8, NULL), -EINVAL);
	assert_int_equal(virtio_init(&vdev, &v->vm, &toy_ops, "t", 0, 0, 1, 3, NULL), -EINVAL);
	assert_int_equal(virtio_init(&vdev, &v->vm, &toy_ops, "t", 0, 0, 1, 2048, NULL), -EINVAL);
	assert_int_equal(virtio_init(&vdev, &v->vm, &toy_ops, "t", 0, 0, 64, 1024, NULL), 0);
	virtio_fini(&vdev);
	virtio_fini(&vdev);
	assert_int_equal(count_fds(), fds);
	toy_vm_free(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_order),
		cmocka_unit_test(test_pending_at_activation),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_hostile_order),
		cmocka_unit_test(test_protected),
		cmocka_unit_test(test_bad_queue),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_reset_during_io),
		cmocka_unit_test(test_reset_waits),
		cmocka_unit_test(test_init_limits),
	};

	return cmocka_run_group_tests_name("virtio", tests, NULL, NULL);
}
