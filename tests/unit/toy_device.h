/* SPDX-License-Identifier: MIT */
/*
 * For unit tests of transports: a VM without KVM, an interrupt chip that records, and a toy device
 * that copies what it is given into what it may write.
 */
#ifndef TEST_TOY_DEVICE_H
#define TEST_TOY_DEVICE_H

#include "unit.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/pci.h"
#include "lkvm/util.h"
#include "lkvm/virtio.h"
#include "lkvm/vm.h"
#include "vring_driver.h"

#define TOY_RAM	     0x100000u
#define TOY_QUEUES   3
#define TOY_SIZE     64
#define TOY_ID	     42
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
};

struct toy {
	struct virtio_device vdev;
	struct virtq_chain chain;
	u8 config[TOY_CONFIG];
	u32 activated, resets, notified;
	unsigned int slow_us; /* between a request and its reply */
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

static inline int toy_set_routes(void *opaque, const struct kvm_irq_routing_entry *entries,
				 u32 count)
{
	struct toy_chip *c = opaque;

	return c->refuse_routes ? -EINVAL : 0;
}

static const struct irq_chip_ops toy_chip_ops = {
	.set_level = toy_set_level,
	.send_msi = toy_send_msi,
	.bind_irqfd = toy_bind_irqfd,
	.set_routes = toy_set_routes,
};

static inline void toy_config_read(struct virtio_device *vdev, u32 offset, void *buf, u32 len)
{
	struct toy *t = container_of(vdev, struct toy, vdev);

	assert_true(range_within(offset, len, 0, TOY_CONFIG));
	memcpy(buf, t->config + offset, len);
}

static inline void toy_config_write(struct virtio_device *vdev, u32 offset, const void *buf,
				    u32 len)
{
	struct toy *t = container_of(vdev, struct toy, vdev);

	assert_true(range_within(offset, len, 0, TOY_CONFIG));
	memcpy(t->config + offset, buf, len);
}

static inline void toy_activate(struct virtio_device *vdev)
{
	container_of(vdev, struct toy, vdev)->activated++;
}

static inline void toy_notify(struct virtio_device *vdev, u16 q)
{
	struct toy *t = container_of(vdev, struct toy, vdev);
	struct virtqueue *vq = &vdev->queues[q].vq;

	t->notified++;
	do {
		virtq_disable_notify(vq);
		while (virtio_pop(vdev, q, &t->chain) == 1) {
			size_t n = MIN(t->chain.out_len, t->chain.in_len);
			u8 buf[512];
			size_t done = 0;

			if (t->slow_us)
				usleep(t->slow_us);
			while (done < n) {
				size_t part = iov_to_buf(virtq_out(&t->chain), t->chain.nr_out,
							 done, buf, MIN(sizeof(buf), n - done));

				iov_from_buf(virtq_in(&t->chain), t->chain.nr_in, done, buf, part);
				done += part;
			}
			virtio_push(vdev, q, t->chain.head, (u32)n);
		}
		virtio_signal(vdev, q);
	} while (virtq_enable_notify(vq));
}

static inline void toy_reset(struct virtio_device *vdev)
{
	container_of(vdev, struct toy, vdev)->resets++;
}

static inline void toy_destroy(struct virtio_device *vdev)
{
	struct toy *t = container_of(vdev, struct toy, vdev);

	*t->destroyed = true;
	free(t);
}

static const struct virtio_ops toy_ops = {
	.id = TOY_ID,
	.pci_class = 0x0180,
	.config_len = TOY_CONFIG,
	.config_read = toy_config_read,
	.config_write = toy_config_write,
	.activate = toy_activate,
	.notify = toy_notify,
	.reset = toy_reset,
	.destroy = toy_destroy,
};

static inline struct toy_vm *toy_vm_new(enum virtio_transport_kind transport)
{
	struct toy_vm *v = calloc(1, sizeof(*v));

	log_set_level(LOG_ERROR);
	v->cfg.transport = transport;
	assert_int_equal(vm_init(&v->vm, &v->cfg), 0);
	assert_int_equal(irq_init(&v->vm.irqs, &toy_chip_ops, &v->chip), 0);
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

/* @threaded: an I/O thread of its own; else pump() serves it. Not attached yet. */
static inline struct toy *toy_new(struct toy_vm *v, bool threaded)
{
	struct toy *t = calloc(1, sizeof(*t));

	t->destroyed = &v->destroyed;
	for (u8 i = 0; i < TOY_CONFIG; i++)
		t->config[i] = i;
	assert_int_equal(virtio_init(&t->vdev, &v->vm, &toy_ops, "toy", 0, TOY_FEATURE, TOY_QUEUES,
				     TOY_SIZE, threaded ? NULL : &v->vm.loop),
			 0);
	v->toy = t;
	return t;
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
