/* SPDX-License-Identifier: MIT */
/*
 * A device on a bench: guest RAM in plain memory, a transport that counts interrupts, and the
 * driver's side of split rings. rig_notify waits until the queue's loop has served it, so that a
 * test sees each step; what the main loop does runs when the test calls rig_pump.
 */
#ifndef LKVM_TESTS_VIRTIO_RIG_H
#define LKVM_TESTS_VIRTIO_RIG_H

#include <linux/virtio_ring.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/virtio.h"
#include "lkvm/vm.h"
#include "unit.h"

#define RIG_BASE    0x100000ULL
#define RIG_SIZE    (8 * MiB)
#define RIG_QUEUES  8
#define RIG_ENTRIES 256
/* Where tests put their buffers: after the rings. */
#define RIG_DATA (RIG_BASE + RIG_QUEUES * 0x10000)

struct rig_queue {
	struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;
	u16 next_desc, avail_idx, last_used;
};

struct rig {
	struct vm_config cfg;
	struct vm vm;
	u8 *ram;
	struct virtio_device *vdev;
	struct rig_queue q[RIG_QUEUES];
	unsigned int queue_irqs[RIG_QUEUES], config_irqs;
	unsigned int quiet_irqs; /* of queues that had said to be quiet, in a quiesced device */
};

struct rig_buf {
	u64 gpa;
	u32 len;
	bool in; /* the device writes it */
};

static inline void rig_interrupt(struct virtio_device *vdev, int q)
{
	struct rig *r = vdev->transport_data;

	if (q < 0)
		r->config_irqs++;
	else
		r->queue_irqs[q]++;
	r->quiet_irqs += q >= 0 && vdev->quiesced && vdev->queues[q].quiet;
}

static inline void rig_queues_changed(struct virtio_device *vdev) {}

static const struct virtio_transport_ops rig_transport = {
	.legacy_name = "rig-legacy",
	.interrupt = rig_interrupt,
	.queues_changed = rig_queues_changed,
};

static inline void *rig_ptr(struct rig *r, u64 gpa)
{
	return r->ram + (gpa - RIG_BASE);
}

static inline void rig_init(struct rig *r)
{
	memset(r, 0, sizeof(*r));
	log_set_level(LOG_ERROR);
	r->cfg.name = (char *)"rig";
	r->vm.cfg = &r->cfg;
	r->ram = mmap(NULL, RIG_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(r->ram, MAP_FAILED);
	memory_init(&r->vm.mem);
	assert_int_equal(memory_add_borrowed(&r->vm.mem, RIG_BASE, RIG_SIZE, r->ram, 0, "ram"), 0);
	assert_int_equal(event_loop_init(&r->vm.loop, "rig"), 0);
}

struct rig_turn {
	struct virtio_device *vdev;
	u16 q;
};

static inline void rig_turn(void *opaque)
{
	struct rig_turn *turn = opaque;
	u64 kicks;

	/* With what the core kicked itself for. */
	if (read(turn->vdev->queues[turn->q].notify.fd, &kicks, sizeof(kicks)) < 0)
		assert_int_equal(errno, EAGAIN);
	virtio_serve(turn->vdev, turn->q);
}

/* One turn of the queue, on its loop. */
static inline void rig_notify(struct rig *r, u16 q)
{
	struct rig_turn turn = { r->vdev, q };

	event_call_sync(r->vdev->queues[q].loop, rig_turn, &turn);
}

static inline void rig_stop_loop(void *opaque)
{
	event_loop_stop(opaque);
}

/* Run what is pending on the main loop. */
static inline void rig_pump(struct rig *r)
{
	for (int i = 0; i < 2; i++) {
		struct event_post post = { .fn = rig_stop_loop, .opaque = &r->vm.loop };

		event_loop_post(&r->vm.loop, &post);
		event_loop_run(&r->vm.loop);
		event_loop_rearm(&r->vm.loop);
	}
}

/* Negotiate @features (VERSION_1 is added, and the rings are plain split ones) and set DRIVER_OK
 * with all queues enabled. */
static inline void rig_start(struct rig *r, struct virtio_device *vdev, u64 features)
{
	features |= BIT_ULL(VIRTIO_F_VERSION_1);
	features &= ~(BIT_ULL(VIRTIO_F_RING_PACKED) | BIT_ULL(VIRTIO_F_IN_ORDER));
	r->vdev = vdev;
	virtio_lock(vdev);
	vdev->transport = &rig_transport;
	vdev->transport_data = r;
	virtio_unlock(vdev);
	virtio_set_status(vdev, 0);
	virtio_set_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	virtio_accept_features(vdev, 0, (u32)features);
	virtio_accept_features(vdev, 1, (u32)(features >> 32));
	virtio_set_status(vdev, vdev->status | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(vdev->status & VIRTIO_CONFIG_S_FEATURES_OK);
	memset(r->ram, 0, RIG_QUEUES * 0x10000);
	memset(r->q, 0, sizeof(r->q));
	for (u16 i = 0; i < vdev->nr_queues; i++) {
		struct virtqueue *vq = &vdev->queues[i].vq;
		u64 gpa = RIG_BASE + i * 0x10000u;

		vq->size = MIN(vq->max_size, (u16)RIG_ENTRIES);
		vq->desc_gpa = gpa;
		vq->avail_gpa = gpa + 0x2000;
		vq->used_gpa = gpa + 0x4000;
		r->q[i].desc = rig_ptr(r, vq->desc_gpa);
		r->q[i].avail = rig_ptr(r, vq->avail_gpa);
		r->q[i].used = rig_ptr(r, vq->used_gpa);
		virtio_enable_queue(vdev, i);
		assert_true(vq->enabled);
	}
	virtio_set_status(vdev, vdev->status | VIRTIO_CONFIG_S_DRIVER_OK);
	/* Each queue is looked at once at DRIVER_OK: let that not mix with the test. */
	for (u16 i = 0; i < vdev->nr_queues; i++)
		rig_notify(r, i);
}

static inline bool rig_live(struct rig *r)
{
	return !(virtio_get_status(r->vdev) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* Offer one chain; its head. */
static inline u16 rig_add(struct rig *r, u16 q, const struct rig_buf *bufs, unsigned int n)
{
	u16 size = r->vdev->queues[q].vq.size;
	struct rig_queue *rq = &r->q[q];
	u16 head;

	if (rq->next_desc + n > size)
		rq->next_desc = 0;
	head = rq->next_desc;
	for (unsigned int i = 0; i < n; i++) {
		struct vring_desc *d = &rq->desc[rq->next_desc++];

		d->addr = cpu_to_le64(bufs[i].gpa);
		d->len = cpu_to_le32(bufs[i].len);
		d->flags = cpu_to_le16((bufs[i].in ? VRING_DESC_F_WRITE : 0) |
				       (i + 1 < n ? VRING_DESC_F_NEXT : 0));
		d->next = cpu_to_le16(rq->next_desc);
	}
	rq->avail->ring[rq->avail_idx % size] = cpu_to_le16(head);
	rq->avail_idx++;
	__atomic_store_n(&rq->avail->idx, cpu_to_le16(rq->avail_idx), __ATOMIC_RELEASE);
	return head;
}

/* The next used chain, or -1. */
static inline int rig_used(struct rig *r, u16 q, u32 *len)
{
	struct rig_queue *rq = &r->q[q];
	const struct vring_used_elem *e;

	if (le16_to_cpu(__atomic_load_n(&rq->used->idx, __ATOMIC_ACQUIRE)) == rq->last_used)
		return -1;
	e = &rq->used->ring[rq->last_used++ % r->vdev->queues[q].vq.size];
	if (len)
		*len = le32_to_cpu(e->len);
	return (int)le32_to_cpu(e->id);
}

static inline void rig_stop_device(struct rig *r)
{
	virtio_fini(r->vdev);
	r->vdev->ops->destroy(r->vdev);
}

static inline void rig_free(struct rig *r)
{
	event_loop_destroy(&r->vm.loop);
	memory_destroy(&r->vm.mem);
	munmap(r->ram, RIG_SIZE);
}

static inline void rig_stop(struct rig *r)
{
	rig_stop_device(r);
	rig_free(r);
}

/* xorshift64: the same numbers each time. */
static inline u64 rig_rand(u64 *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

#endif
