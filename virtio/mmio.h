/* SPDX-License-Identifier: MIT */
/*
 * virtio over MMIO (VIRTIO 1.3, 4.2) in three files: mmio.c is the device with its window, its
 * line, its state and the registers that both versions have, mmio-modern.c those of version 2,
 * mmio-legacy.c those of version 1.
 */
#ifndef LKVM_VIRTIO_MMIO_H
#define LKVM_VIRTIO_MMIO_H

#include <pthread.h>

#include "lkvm/irq.h"
#include "lkvm/virtio.h"

struct virtio_mmio;

/* A version of the registers. */
struct vmmio_regs {
	u32 version;
	u8 status_bits; /* those that its drivers know */
	/* What only this version has. Reading under vdev->lock. */
	u32 (*read)(struct virtio_mmio *m, u32 reg);
	void (*write)(struct virtio_mmio *m, u32 reg, u32 value);
	/* How it takes what both have. */
	void (*accept_features)(struct virtio_device *vdev, u32 word, u32 value);
	void (*set_status)(struct virtio_device *vdev, u8 status);
	void (*kick)(struct virtio_device *vdev, u32 q);
};

struct virtio_mmio {
	struct device dev;
	struct virtio_device *vdev;
	const struct vmmio_regs *regs;
	u32 index;
	u64 base;
	u32 gsi;
	struct irq_line line;
	/* Under vdev->lock. */
	u32 host_features_sel, driver_features_sel, queue_sel;
	u32 page_size;			    /* version 1; a reset of the device leaves it */
	u32 queue_align[VIRTIO_MAX_QUEUES]; /* version 1 */
	pthread_mutex_t bind_lock;
	bool bound[VIRTIO_MAX_QUEUES]; /* its ioeventfd is in KVM */
	bool bound_any;		       /* for any value, so there is one queue alone */
	pthread_mutex_t irq_lock;      /* status and line move together */
	u32 interrupt_status;
};

/* Make the transport of @vdev with these registers; as virtio_attach. */
int vmmio_attach(struct virtio_device *vdev, const struct vmmio_regs *regs) __must_check;

static inline struct virtqueue *vmmio_selected(struct virtio_mmio *m)
{
	return m->queue_sel < m->vdev->nr_queues ? &m->vdev->queues[m->queue_sel].vq : NULL;
}

#endif
