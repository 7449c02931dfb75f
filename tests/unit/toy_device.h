/* SPDX-License-Identifier: MIT */
/*
 * For unit tests of transports: a VM without KVM, an interrupt chip that records, and a toy device
 * that copies what it is given into what it may write.
 */
#ifndef TEST_TOY_DEVICE_H
#define TEST_TOY_DEVICE_H

#include "unit.h"

#include <linux/kvm.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <semaphore.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/pci.h"
#include "lkvm/util.h"
#include "lkvm/virtio.h"
#include "lkvm/vm.h"
#include "vring_driver.h"

#define TOY_RAM	   0x100000u
#define TOY_QUEUES 3
#define TOY_SIZE   64
#ifndef TOY_ID
#define TOY_ID 42
#endif
#define TOY_CONFIG   12
#define TOY_FEATURE  BIT_ULL(5)
#define TOY_NR_GSIS  96
#define TOY_MSI_GSIS 24

struct toy_chip {
	atomic_int level[TOY_NR_GSIS];
	atomic_int msis;
	u64 last_addr;
	u32 last_data;
	bool refuse_routes;
	u32 refuse_data; /* a table with such a message */
	u32 tables, nr_routes;
	void (*on_table)(void *opaque); /* while a table is being installed */
	void *on_table_opaque;
};

struct toy {
	struct virtio_device vdev;
	struct virtq_request chain;
	struct iovec iov[VIRTQ_MAX_SEGS];
	u32 started, resets, stopped, held, config_writes;
	atomic_uint notified;
	/* With the gate each request waits inside queue_run, as for a slow disk, until the test
	 * posts @gate; @entered tells that it is there. */
	atomic_bool gated;
	sem_t entered, gate;
	/* Keep requests instead of replying, and say "not yet" when asked to stop. */
	bool keep;
	struct virtq_request kept[TOY_SIZE];
	u32 nr_kept;
	struct event_post *post_when_held;
	bool *destroyed;
};

struct toy_vm {
	struct vm vm;
	struct vm_config cfg;
	struct toy_chip chip;
	u8 *ram;
	struct toy *toy;
	bool destroyed;
};

static inline void toy_set_level(void *opaque, u32 gsi, bool level)
{
	struct toy_chip *c = opaque;

	assert_true(gsi < TOY_NR_GSIS);
	c->level[gsi] = level;
}

static inline void toy_send_msi(void *opaque, u64 addr, u32 data, u32 devid)
{
	struct toy_chip *c = opaque;

	c->last_addr = addr;
	c->last_data = data;
	c->msis++;
}

static inline int toy_bind_irqfd(void *opaque, int fd, u32 gsi, bool assign)
{
	return -ENOTSUP;
}

static inline int toy_set_routes(void *opaque, struct kvm_irq_routing *table)
{
	struct toy_chip *c = opaque;

	for (u32 i = 0; i < table->nr; i++)
		if (c->refuse_data && table->entries[i].u.msi.data == c->refuse_data)
			return -EINVAL;
	if (c->refuse_routes)
		return -EINVAL;
	if (c->on_table)
		c->on_table(c->on_table_opaque);
	c->nr_routes = table->nr;
	c->tables++;
	return 0;
}

static const struct irq_chip_ops toy_chip_ops = {
	.set_level = toy_set_level,
	.send_msi = toy_send_msi,
	.bind_irqfd = toy_bind_irqfd,
	.set_routes = toy_set_routes,
};

static inline struct toy *to_toy(struct virtio_device *vdev)
{
	return container_of(vdev, struct toy, vdev);
}

static inline void toy_config_written(struct virtio_device *vdev, u32 offset, u32 len)
{
	assert_true(range_within(offset, len, 0, TOY_CONFIG));
	to_toy(vdev)->config_writes++;
}

static inline void toy_started(struct virtio_device *vdev, u16 q)
{
	to_toy(vdev)->started++;
}

static inline void toy_reply(struct virtio_device *vdev, u16 q, const struct virtq_request *req)
{
	size_t n = MIN(req->out_len, req->in_len), done = 0;
	u8 buf[512];

	while (done < n) {
		size_t part = iov_to_buf(virtq_out(req), req->nr_out, done, buf,
					 MIN(sizeof(buf), n - done));

		iov_from_buf(virtq_in(req), req->nr_in, done, buf, part);
		done += part;
	}
	virtio_push(vdev, q, req, (u32)n);
}

static inline bool toy_run(struct virtio_device *vdev, u16 q)
{
	struct toy *t = to_toy(vdev);

	t->notified++;
	while (virtio_pop(vdev, q, &t->chain, t->iov, VIRTQ_MAX_SEGS) == 1) {
		if (t->gated) {
			sem_post(&t->entered);
			sem_wait(&t->gate);
		}
		if (t->keep)
			t->kept[t->nr_kept++] = t->chain;
		else
			toy_reply(vdev, q, &t->chain);
	}
	return true;
}

static inline bool toy_stopped(struct virtio_device *vdev, u16 q)
{
	to_toy(vdev)->stopped++;
	return !to_toy(vdev)->nr_kept;
}

static inline bool toy_held(struct virtio_device *vdev, u16 q)
{
	to_toy(vdev)->held++;
	if (to_toy(vdev)->post_when_held)
		event_loop_post(vdev->queues[q].loop, to_toy(vdev)->post_when_held);
	return !to_toy(vdev)->nr_kept;
}

static inline void toy_reset(struct virtio_device *vdev)
{
	to_toy(vdev)->resets++;
}

static inline void toy_destroy(struct virtio_device *vdev)
{
	struct toy *t = container_of(vdev, struct toy, vdev);

	*t->destroyed = true;
	free(t);
}

static const u8 toy_mask[TOY_CONFIG] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
					 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };

#define TOY_OPS                                                                                   \
	.id = TOY_ID, .pci_class = 0x0180, .config_len = TOY_CONFIG, .config_mask = toy_mask,     \
	.config_written = toy_config_written, .queue_started = toy_started, .queue_run = toy_run, \
	.queue_stopped = toy_stopped, .queue_held = toy_held, .reset = toy_reset,                 \
	.destroy = toy_destroy

static const struct virtio_ops toy_ops = { TOY_OPS };
/* One whose loop may wait for the host. */
static const struct virtio_ops toy_slow_ops = { TOY_OPS, .nr_loops = 1, .blocks = true };

static inline struct toy_vm *toy_vm_new(enum virtio_transport_kind transport)
{
	struct toy_vm *v = calloc(1, sizeof(*v));

	log_set_level(LOG_ERROR);
	v->cfg.transport = transport;
	assert_int_equal(vm_init(&v->vm, &v->cfg), 0);
	assert_int_equal(irq_init(&v->vm.irqs, &toy_chip_ops, &v->chip), 0);
	irq_set_loop(&v->vm.irqs, &v->vm.loop);
	v->vm.irqs.first_msi_gsi = TOY_MSI_GSIS;
	v->ram = aligned_alloc(4096, TOY_RAM);
	memset(v->ram, 0, TOY_RAM);
	assert_int_equal(memory_add_borrowed(&v->vm.mem, 0, TOY_RAM, v->ram, 0, "ram"), 0);
	return v;
}

static inline void toy_vm_free(struct toy_vm *v)
{
	vm_destroy(&v->vm);
	free(v->ram);
	free(v);
}

/* @threaded: threads of its own; else pump() serves it. Not attached yet. */
static inline struct toy *toy_new_ops(struct toy_vm *v, bool threaded, const struct virtio_ops *ops)
{
	struct toy *t = calloc(1, sizeof(*t));

	t->destroyed = &v->destroyed;
	sem_init(&t->entered, 0, 0);
	sem_init(&t->gate, 0, 0);
	assert_int_equal(virtio_init(&t->vdev, &v->vm, ops, "toy", 0, TOY_FEATURE, TOY_QUEUES,
				     TOY_SIZE, threaded ? NULL : &v->vm.loop),
			 0);
	for (u8 i = 0; i < TOY_CONFIG; i++)
		t->vdev.config[i] = i;
	v->toy = t;
	return t;
}

static inline struct toy *toy_new(struct toy_vm *v, bool threaded)
{
	return toy_new_ops(v, threaded, &toy_ops);
}

/* Is it served: DRIVER_OK, not broken, and allowed to touch memory? */
static inline bool toy_live(struct virtio_device *vdev)
{
	bool live;

	virtio_lock(vdev);
	live = vdev->active && !vdev->held && !(vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
	virtio_unlock(vdev);
	return live;
}

static inline void toy_nothing(void *opaque) {}

/*
 * What the loop was told of before is done when this returns: the first call may come ahead of an
 * event in its batch, the second one of those that epoll found beside it, the third of none.
 */
static inline void toy_sync(struct virtio_device *vdev, u16 q)
{
	for (int i = 0; i < 3; i++)
		event_call_sync(vdev->queues[q].loop, toy_nothing, NULL);
}

/* Free a toy that was never attached. */
static inline void toy_free(struct toy *t)
{
	virtio_fini(&t->vdev);
	free(t);
}

static inline void toy_stop_loop(void *opaque)
{
	event_loop_stop(opaque);
}

/* Run the main loop until nothing is pending. */
static inline void pump(struct toy_vm *v)
{
	for (int i = 0; i < 2; i++) {
		struct event_post post = { .fn = toy_stop_loop, .opaque = &v->vm.loop };

		event_loop_post(&v->vm.loop, &post);
		event_loop_run(&v->vm.loop);
		event_loop_rearm(&v->vm.loop);
	}
}

/* A request of @len bytes in descriptors @head and @head + 1: out at @gpa, in at @gpa + 0x8000. */
static inline void toy_request(struct vring_driver *d, u16 head, u64 gpa, u32 len)
{
	vdrv_desc(d, head, gpa, len, VRING_DESC_F_NEXT, (u16)(head + 1));
	vdrv_desc(d, head + 1u, gpa + 0x8000, len, VRING_DESC_F_WRITE, 0);
	vdrv_offer(d, head);
}

static inline u64 mmio_get(struct toy_vm *v, u64 addr, u32 len)
{
	u8 data[8];

	bus_read(&v->vm.mmio, addr, data, len);
	return get_le(data, len);
}

static inline void mmio_put(struct toy_vm *v, u64 addr, u32 len, u64 value)
{
	u8 data[8];

	put_le(data, len, value);
	bus_write(&v->vm.mmio, addr, data, len);
}

#define S_ACK	      VIRTIO_CONFIG_S_ACKNOWLEDGE
#define S_DRIVER      VIRTIO_CONFIG_S_DRIVER
#define S_FEATURES_OK VIRTIO_CONFIG_S_FEATURES_OK
#define S_DRIVER_OK   VIRTIO_CONFIG_S_DRIVER_OK
#define S_NEEDS_RESET VIRTIO_CONFIG_S_NEEDS_RESET
#define TOY_ACCEPT                                                        \
	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_RING_F_EVENT_IDX) | \
	 BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC))

#endif
