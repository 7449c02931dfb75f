/* SPDX-License-Identifier: MIT */
/* The state machine of a virtio device, without a real transport. */
#include "unit.h"

#include <fcntl.h>
#include <time.h>
#include <unistd.h>

#include "lkvm/thread.h"
#include "toy_device.h"

static atomic_int interrupts, config_interrupts, change_calls;
static bool now_started;

static void fake_interrupt(struct virtio_device *vdev, int q)
{
	if (q < 0)
		config_interrupts++;
	else
		interrupts++;
}

static void fake_queues_changed(struct virtio_device *vdev)
{
	change_calls++;
	now_started = virtio_queue_started(vdev, 0);
}

static const struct virtio_transport_ops fake = {
	.interrupt = fake_interrupt,
	.queues_changed = fake_queues_changed,
};

static struct toy_vm *begin_ops(bool threaded, const struct virtio_ops *ops)
{
	struct toy_vm *v = toy_vm_new(TRANSPORT_MMIO);

	toy_new_ops(v, threaded, ops)->vdev.transport = &fake;
	interrupts = 0;
	config_interrupts = 0;
	change_calls = 0;
	now_started = false;
	return v;
}

static struct toy_vm *begin(bool threaded)
{
	return begin_ops(threaded, &toy_ops);
}

static void end(struct toy_vm *v)
{
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
	assert_true(virtio_offered(vdev) ==
		    (TOY_ACCEPT | TOY_FEATURE | BIT_ULL(VIRTIO_F_RING_RESET) |
		     BIT_ULL(VIRTIO_F_RING_PACKED)));
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
	assert_int_equal(v->toy->started, 1);
	assert_true(now_started && toy_live(vdev));
	pump(v);
	assert_true(vdrv_take_used(&d, &id, &len));
	assert_int_equal(id, 2);
	assert_int_equal(len, 5);
	assert_memory_equal(v->ram + 0xc000, "hello", 5);
	assert_int_equal(interrupts, 1);
	/* DRIVER_OK again changes nothing. */
	virtio_set_status(vdev, 0xf);
	assert_int_equal(v->toy->started, 1);
	virtio_set_status(vdev, 0);
	assert_int_equal(vdev->status, 0);
	assert_true(vdev->features == 0 && !vdev->queues[0].vq.enabled);
	assert_false(now_started);
	assert_int_equal(change_calls, 2);
	assert_int_equal(v->toy->stopped, 1);
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

/* Each notification is served, and no call is made to read it. */
static void test_unread_notifications(void **state)
{
	struct toy_vm *v = begin(false);
	struct virtio_device *vdev = &v->toy->vdev;
	struct vring_driver d;
	u64 count;

	negotiate(vdev, TOY_ACCEPT);
	vdrv_setup(&d, v->ram, 0x1000, 8);
	set_ring(vdev, 0, &d);
	virtio_set_status(vdev, 0xf);
	pump(v);
	for (u16 i = 0; i < 3; i++) {
		toy_request(&d, (u16)(2 * i), 0x4000, 5);
		virtio_kick(vdev, 0);
		pump(v);
		assert_int_equal(vdrv_used_idx(&d), i + 1);
	}
	assert_int_equal(read(vdev->queues[0].notify.fd, &count, sizeof(count)), sizeof(count));
	assert_int_equal(count, 4); /* and one for the start */
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

/* A bit that needs one of two others. */
static void test_rules(void **state)
{
	static const struct virtio_feature_rule rules[] = {
		{ .bit = 5, .needs = BIT_ULL(VIRTIO_RING_F_EVENT_IDX) | BIT_ULL(7) },
		{ 0 },
	};
	struct virtio_ops ops = toy_ops;
	struct virtio_device *vdev;
	struct toy_vm *v;

	ops.rules = rules;
	v = begin_ops(false, &ops);
	vdev = &v->toy->vdev;
	negotiate(vdev, BIT_ULL(VIRTIO_F_VERSION_1) | TOY_FEATURE);
	assert_int_equal(vdev->status, S_ACK | S_DRIVER);
	virtio_set_status(vdev, 0);
	negotiate(vdev,
		  BIT_ULL(VIRTIO_F_VERSION_1) | TOY_FEATURE | BIT_ULL(VIRTIO_RING_F_EVENT_IDX));
	assert_int_equal(vdev->status, S_ACK | S_DRIVER | S_FEATURES_OK);
	virtio_set_status(vdev, 0);
	negotiate(vdev, BIT_ULL(VIRTIO_F_VERSION_1));
	assert_int_equal(vdev->status, S_ACK | S_DRIVER | S_FEATURES_OK);
	end(v);
}

/* What the configuration adds or takes away. */
static void test_offered(void **state)
{
	struct toy_vm *v = begin(false);
	u64 all = virtio_offered(&v->toy->vdev);

	toy_free(v->toy);
	v->cfg.no_virtio_packed = true;
	v->cfg.virtio_notification_data = true;
	assert_true(virtio_offered(&toy_new(v, false)->vdev) ==
		    ((all & ~BIT_ULL(VIRTIO_F_RING_PACKED)) | BIT_ULL(VIRTIO_F_NOTIFICATION_DATA)));
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
	assert_false(toy_live(vdev));
	/* The driver cannot say NEEDS_RESET, and takes no bit back. */
	virtio_set_status(vdev, S_NEEDS_RESET | S_ACK);
	assert_int_equal(vdev->status, S_ACK);
	negotiate(vdev, TOY_ACCEPT);
	virtio_set_status(vdev, S_ACK);
	assert_int_equal(vdev->status, S_ACK | S_DRIVER | S_FEATURES_OK);
	/* DRIVER_OK with no queue at all; queues then come too late. */
	virtio_set_status(vdev, 0xf);
	assert_true(toy_live(vdev));
	set_ring(vdev, 0, &d);
	assert_false(vdev->queues[0].vq.enabled);
	for (u16 q = 0; q < TOY_QUEUES; q++) {
		virtio_kick(vdev, q);
		assert_int_equal(virtio_pop(vdev, q, &v->toy->chain, v->toy->iov, VIRTQ_MAX_SEGS),
				 0);
	}
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
	assert_false(toy_live(vdev));
	assert_false(now_started);
	/* After a reset all is well again. */
	virtio_set_status(vdev, 0);
	negotiate(vdev, TOY_ACCEPT);
	vdrv_setup(&d, v->ram, 0x1000, 8);
	set_ring(vdev, 0, &d);
	virtio_set_status(vdev, 0xf);
	assert_true(toy_live(vdev));
	/* And a ring that breaks later is told by a configuration interrupt, once. */
	vdrv_offer(&d, 77);
	virtio_kick(vdev, 0);
	pump(v);
	assert_true(vdev->status & S_NEEDS_RESET);
	assert_int_equal(config_interrupts, 1);
	assert_false(toy_live(vdev));
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
	assert_int_equal(vdev->config[10], 10);
	assert_int_equal(v->toy->config_writes, 0);
	virtio_config_write(vdev, 10, buf, 2);
	assert_int_equal(vdev->config[11], 0xee);
	assert_int_equal(v->toy->config_writes, 1);
	virtio_config_set(vdev, 4, "ab", 2);
	virtio_config_read(vdev, 4, buf, 2);
	assert_memory_equal(buf, "ab", 2);
	assert_int_equal(config_interrupts, 0);
	assert_int_not_equal(vdev->config_generation, generation);
	negotiate(vdev, TOY_ACCEPT);
	virtio_set_status(vdev, 0xf);
	virtio_config_set(vdev, 4, "cd", 2);
	assert_int_equal(config_interrupts, 1);
	end(v);
}

static void test_held(void **state)
{
	struct toy_vm *v = begin(false);
	struct virtio_device *vdev = &v->toy->vdev;
	struct vring_driver d;

	virtio_set_held(vdev, true);
	negotiate(vdev, TOY_ACCEPT);
	vdrv_setup(&d, v->ram, 0x1000, 8);
	set_ring(vdev, 0, &d);
	virtio_set_status(vdev, 0xf);
	toy_request(&d, 0, 0x4000, 5);
	virtio_kick(vdev, 0);
	pump(v);
	assert_int_equal(vdrv_used_idx(&d), 0);
	assert_int_equal(virtio_pop(vdev, 0, &v->toy->chain, v->toy->iov, VIRTQ_MAX_SEGS), 0);
	virtio_set_held(vdev, false);
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

/* Resets while the loop is at work: once reset returns, guest memory is the guest's. */
static void test_reset_during_io(void **state)
{
	struct toy_vm *v = begin(true);
	struct virtio_device *vdev = &v->toy->vdev;
	struct vring_driver d;
	u8 *copy = malloc(TOY_RAM);
	u32 worked = 0;

	for (u32 n = 0; n < 300; n++) {
		negotiate(vdev, TOY_ACCEPT);
		vdrv_setup(&d, v->ram, 0x1000, 64);
		set_ring(vdev, 0, &d);
		virtio_set_status(vdev, 0xf);
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

/* A queue that is served, with one request before the gate. */
static struct toy_vm *begin_gated(const struct virtio_ops *ops, struct vring_driver *d)
{
	struct toy_vm *v = begin_ops(true, ops);
	struct virtio_device *vdev = &v->toy->vdev;

	v->toy->gated = true;
	negotiate(vdev, TOY_ACCEPT | BIT_ULL(VIRTIO_F_RING_RESET));
	vdrv_setup(d, v->ram, 0x1000, 8);
	set_ring(vdev, 0, d);
	virtio_set_status(vdev, 0xf);
	memset(v->ram + 0x4000, 1, 0x1000); /* would be copied to 0xc000 */
	toy_request(d, 0, 0x4000, 0x1000);
	toy_request(d, 2, 0x4000, 0x1000);
	virtio_kick(vdev, 0);
	sem_wait(&v->toy->entered);
	return v;
}

/* The host works and does not return: registers, holding back and a reset do not wait for it, and
 * when it returns nothing is written. */
static void test_host_works(void **state)
{
	struct vring_driver d;
	struct toy_vm *v = begin_gated(&toy_slow_ops, &d);
	struct virtio_device *vdev = &v->toy->vdev;
	u8 byte = 7;

	assert_int_equal(virtio_get_status(vdev), 0xf);
	virtio_config_read(vdev, 1, &byte, 1);
	assert_int_equal(byte, 1);
	virtio_config_write(vdev, 1, &byte, 1);
	virtio_set_held(vdev, true);
	virtio_set_held(vdev, false);
	virtio_config_set(vdev, 0, &byte, 1);
	assert_int_equal(config_interrupts, 1);
	virtio_set_status(vdev, 0);
	/* Not complete, and that shows; until then nothing else begins. */
	assert_int_equal(virtio_get_status(vdev), 0xf);
	virtio_set_status(vdev, S_ACK);
	set_ring(vdev, 1, &d);
	assert_false(vdev->queues[1].vq.enabled);
	virtio_set_status(vdev, 0);
	assert_int_equal(virtio_get_status(vdev), 0xf);
	assert_false(now_started);
	assert_int_equal(v->toy->resets, 0);
	sem_post(&v->toy->gate);
	virtio_wait_stopped(vdev, true);
	assert_int_equal(virtio_get_status(vdev), 0);
	assert_int_equal(v->toy->resets, 1);
	assert_int_equal(vdrv_used_idx(&d), 0);
	assert_int_equal(interrupts, 0);
	/* The second request was not begun. */
	assert_int_equal(sem_trywait(&v->toy->entered), -1);
	end(v);
}

/* A vcpu that waits (MMIO) goes on when the VM ends, whatever the host does. */
static void test_wait_gives_up(void **state)
{
	struct vring_driver d;
	struct toy_vm *v = begin_gated(&toy_slow_ops, &d);
	struct virtio_device *vdev = &v->toy->vdev;

	virtio_set_status(vdev, 0);
	event_loop_stop(&v->vm.loop);
	virtio_wait_stopped(vdev, true);
	assert_int_equal(virtio_get_status(vdev), 0xf);
	sem_post(&v->toy->gate);
	end(v);
}

/* A device whose loop never waits long is waited for: the write of 0 is the end of it. */
static void *open_gate(void *opaque)
{
	struct toy *t = opaque;

	bool asked;

	/* Not before the reset was asked for. */
	do {
		virtio_lock(&t->vdev);
		asked = virtio_queue_stopping(&t->vdev, 0);
		virtio_unlock(&t->vdev);
		sched_yield();
	} while (!asked);
	sem_post(&t->gate);
	return NULL;
}

static void test_reset_waits(void **state)
{
	struct vring_driver d;
	struct toy_vm *v = begin_gated(&toy_ops, &d);
	pthread_t thread;

	assert_int_equal(thread_start(&thread, THREAD_WORKER, open_gate, v->toy), 0);
	virtio_set_status(&v->toy->vdev, 0);
	assert_int_equal(virtio_get_status(&v->toy->vdev), 0);
	pthread_join(thread, NULL);
	assert_int_equal(vdrv_used_idx(&d), 0);
	end(v);
}

/* One queue is taken away and comes back, the others go on; what comes late has no effect. */
static void test_queue_reset(void **state)
{
	struct vring_driver d, other;
	struct toy_vm *v = begin_gated(&toy_slow_ops, &d);
	struct virtio_device *vdev = &v->toy->vdev;

	virtio_disable_queue(vdev, 0);
	virtio_lock(vdev);
	assert_true(virtio_queue_stopping(vdev, 0));
	virtio_unlock(vdev);
	assert_false(virtio_queue_started(vdev, 0));
	vdrv_setup(&other, v->ram, 0x2000, 8);
	virtio_enable_queue(vdev, 0); /* too early */
	v->toy->gated = false;
	sem_post(&v->toy->gate);
	virtio_wait_stopped(vdev, true);
	assert_int_equal(vdrv_used_idx(&d), 0);
	assert_int_equal(virtio_get_status(vdev), 0xf);
	assert_false(vdev->queues[0].vq.enabled);
	set_ring(vdev, 0, &other);
	assert_true(virtio_queue_started(vdev, 0) && now_started);
	toy_request(&other, 4, 0x4000, 5);
	virtio_kick(vdev, 0);
	toy_sync(vdev, 0);
	assert_int_equal(vdrv_used_idx(&other), 1);
	assert_int_equal(vdrv_used_idx(&d), 0);
	end(v);
}

/* On one thread, with a device that keeps what it popped. */
static struct toy_vm *begin_keeping(struct vring_driver *d)
{
	struct toy_vm *v = begin(false);
	struct virtio_device *vdev = &v->toy->vdev;

	v->toy->keep = true;
	negotiate(vdev, TOY_ACCEPT);
	vdrv_setup(d, v->ram, 0x1000, 8);
	set_ring(vdev, 0, d);
	virtio_set_status(vdev, 0xf);
	toy_request(d, 0, 0x4000, 5);
	toy_request(d, 2, 0x4100, 5);
	virtio_kick(vdev, 0);
	pump(v);
	assert_int_equal(v->toy->nr_kept, 2);
	return v;
}

/* "Not yet": the reset is complete when the last request came back, and only then. */
static void test_not_yet(void **state)
{
	struct vring_driver d;
	struct toy_vm *v = begin_keeping(&d);
	struct virtio_device *vdev = &v->toy->vdev;

	virtio_set_status(vdev, 0);
	assert_int_equal(v->toy->stopped, 1);
	assert_int_equal(virtio_get_status(vdev), 0xf);
	while (v->toy->nr_kept)
		virtio_push(vdev, 0, &v->toy->kept[--v->toy->nr_kept], 5);
	virtio_signal(vdev, 0);
	assert_int_equal(virtio_get_status(vdev), 0xf);
	virtio_queue_idle(vdev, 0);
	assert_int_equal(virtio_get_status(vdev), 0);
	assert_int_equal(vdrv_used_idx(&d), 0);
	assert_int_equal(interrupts, 0);
	end(v);
}

/* Replies that come while the queue is held wait in the core, in their order. */
static void test_held_replies(void **state)
{
	struct vring_driver d;
	struct toy_vm *v = begin_keeping(&d);
	struct virtio_device *vdev = &v->toy->vdev;
	u32 id = 0, len = 0;

	virtio_set_held(vdev, true);
	virtio_push_later(vdev, 0, &v->toy->kept[1], 7);
	virtio_push(vdev, 0, &v->toy->kept[0], 6);
	virtio_signal(vdev, 0);
	v->toy->nr_kept = 0;
	pump(v);
	assert_int_equal(vdrv_used_idx(&d), 0);
	assert_int_equal(interrupts, 0);
	virtio_set_held(vdev, false);
	pump(v);
	assert_true(vdrv_take_used(&d, &id, &len));
	assert_true(id == 2 && len == 7);
	assert_true(vdrv_take_used(&d, &id, &len));
	assert_true(id == 0 && len == 6);
	assert_int_equal(interrupts, 1);
	end(v);
}

/* A reset drops replies that wait. */
static void test_held_reset(void **state)
{
	struct vring_driver d;
	struct toy_vm *v = begin_keeping(&d);
	struct virtio_device *vdev = &v->toy->vdev;

	virtio_set_held(vdev, true);
	virtio_push(vdev, 0, &v->toy->kept[0], 6);
	v->toy->nr_kept = 0;
	virtio_set_status(vdev, 0);
	virtio_set_held(vdev, false);
	pump(v);
	assert_int_equal(vdrv_used_idx(&d), 0);
	/* Nor are they the next driver's, who offers the same head. */
	negotiate(vdev, TOY_ACCEPT);
	vdrv_setup(&d, v->ram, 0x1000, 8);
	set_ring(vdev, 0, &d);
	virtio_set_status(vdev, 0xf);
	toy_request(&d, 0, 0x4000, 5);
	for (int i = 0; i < 2; i++) {
		virtio_kick(vdev, 0);
		pump(v);
	}
	assert_int_equal(v->toy->nr_kept, 1);
	assert_int_equal(vdrv_used_idx(&d), 0);
	v->toy->nr_kept = 0;
	end(v);
}

static void test_quiesce(void **state)
{
	struct vring_driver d;
	struct toy_vm *v = begin(true);
	struct virtio_device *vdev = &v->toy->vdev;

	negotiate(vdev, TOY_ACCEPT);
	vdrv_setup(&d, v->ram, 0x1000, 8);
	set_ring(vdev, 0, &d);
	virtio_set_status(vdev, 0xf);
	virtio_quiesce(vdev);
	assert_int_equal(v->toy->held, 1);
	toy_request(&d, 0, 0x4000, 5);
	virtio_kick(vdev, 0);
	toy_sync(vdev, 0);
	assert_int_equal(vdrv_used_idx(&d), 0);
	assert_int_equal(virtio_get_status(vdev), 0xf);
	virtio_resume(vdev);
	toy_sync(vdev, 0);
	assert_int_equal(vdrv_used_idx(&d), 1);
	/* The memory of the ring is gone when it goes on: the driver is told. */
	virtio_quiesce(vdev);
	memory_destroy(&v->vm.mem);
	memory_init(&v->vm.mem);
	virtio_resume(vdev);
	assert_true(virtio_get_status(vdev) & S_NEEDS_RESET);
	assert_int_equal(config_interrupts, 1);
	end(v);
}

/* Quick replies are told together, after a turn; one that took long at once. */
static void test_signalled_as_they_come(void **state)
{
	struct vring_driver d;
	struct toy_vm *v = begin_gated(&toy_slow_ops, &d);
	struct timespec ts = { .tv_nsec = 1000000 };

	/* However long this takes, it is longer than what is gathered. */
	nanosleep(&ts, NULL);
	sem_post(&v->toy->gate);
	sem_wait(&v->toy->entered);
	/* The second one is with the host, and the first was told of. */
	assert_int_equal(vdrv_used_idx(&d), 1);
	assert_int_equal(interrupts, 1);
	sem_post(&v->toy->gate);
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
	struct toy *t = calloc(1, sizeof(*t));
	u32 fds = count_fds();

	log_set_level(LOG_ERROR);
	assert_int_equal(virtio_init(&t->vdev, &v->vm, &toy_ops, "t", 0, 0, 0, 8, NULL), -EINVAL);
	assert_int_equal(virtio_init(&t->vdev, &v->vm, &toy_ops, "t", 0, 0, 65, 8, NULL), -EINVAL);
	assert_int_equal(virtio_init(&t->vdev, &v->vm, &toy_ops, "t", 0, 0, 1, 3, NULL), -EINVAL);
	assert_int_equal(virtio_init(&t->vdev, &v->vm, &toy_ops, "t", 0, 0, 1, 2048, NULL),
			 -EINVAL);
	assert_int_equal(virtio_init(&t->vdev, &v->vm, &toy_ops, "t", 0, 0, 64, 1024, NULL), 0);
	virtio_fini(&t->vdev);
	virtio_fini(&t->vdev);
	assert_int_equal(count_fds(), fds);
	free(t);
	toy_vm_free(v);
}

/* A request that was under way with the host ends on the loop: its reply lets the queue be quiet,
 * and after that, whatever the loop still does of it belongs before the pause. */

struct late {
	struct toy *toy;
	atomic_bool over;
};

static void end_late(void *opaque)
{
	struct late *l = opaque;
	struct virtio_device *vdev = &l->toy->vdev;

	virtio_push(vdev, 0, &l->toy->kept[--l->toy->nr_kept], 1);
	virtio_queue_idle(vdev, 0);
	/* For the other thread to go wrong in, if it can. */
	sleep_us(20000);
	virtio_signal(vdev, 0);
	atomic_store(&l->over, true);
}

static void test_quiesce_waits_for_the_loop(void **state)
{
	struct toy_vm *v = begin(true);
	struct virtio_device *vdev = &v->toy->vdev;
	struct late late = { .toy = v->toy };
	struct event_post post = { .fn = end_late, .opaque = &late };
	struct vring_driver d;

	v->toy->keep = true;
	negotiate(vdev, TOY_ACCEPT);
	vdrv_setup(&d, v->ram, 0x1000, 8);
	set_ring(vdev, 0, &d);
	virtio_set_status(vdev, 0xf);
	toy_request(&d, 0, 0x4000, 5);
	virtio_kick(vdev, 0);
	toy_sync(vdev, 0);
	assert_int_equal(v->toy->nr_kept, 1);
	v->toy->post_when_held = &post;
	virtio_quiesce(vdev);
	assert_true(atomic_load(&late.over));
	virtio_resume(vdev);
	end(v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good_order),
		cmocka_unit_test(test_pending_at_activation),
		cmocka_unit_test(test_unread_notifications),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_hostile_order),
		cmocka_unit_test(test_rules),
		cmocka_unit_test(test_offered),
		cmocka_unit_test(test_protected),
		cmocka_unit_test(test_bad_queue),
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_held),
		cmocka_unit_test(test_reset_during_io),
		cmocka_unit_test(test_signalled_as_they_come),
		cmocka_unit_test(test_quiesce),
		cmocka_unit_test(test_quiesce_waits_for_the_loop),
		cmocka_unit_test(test_held_reset),
		cmocka_unit_test(test_held_replies),
		cmocka_unit_test(test_not_yet),
		cmocka_unit_test(test_queue_reset),
		cmocka_unit_test(test_wait_gives_up),
		cmocka_unit_test(test_host_works),
		cmocka_unit_test(test_reset_waits),
		cmocka_unit_test(test_init_limits),
	};

	return cmocka_run_group_tests_name("virtio", tests, NULL, NULL);
}
