/* SPDX-License-Identifier: MIT */
/* The registers of virtio over MMIO since VIRTIO 1.0: version 2 (VIRTIO 1.3, 4.2.2). */
#include <linux/virtio_mmio.h>

#include "mmio.h"

#define MMIO_QUEUE_RESET 0x0c0 /* 4.2.2, not in the kernel's headers */

/* 4.2.4: what version 1 has where version 2 has nothing, or has other things at other places. */
#define MMIO_GUEST_PAGE_SIZE 0x028
#define MMIO_QUEUE_ALIGN     0x03c
#define MMIO_QUEUE_PFN	     0x040

static u32 read_reg(struct virtio_mmio *m, u32 reg)
{
	struct virtqueue *vq = vmmio_selected(m);

	switch (reg) {
	case VIRTIO_MMIO_QUEUE_READY:
		return vq && vq->enabled;
	case MMIO_QUEUE_RESET:
		return vq && virtio_queue_stopping(m->vdev, (u16)m->queue_sel);
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		return ~0u; /* there is no shared memory region: length -1 */
	case VIRTIO_MMIO_CONFIG_GENERATION:
		return m->vdev->config_generation;
	default:
		return 0;
	}
}

static void set_half(u64 *value, bool high, u32 half)
{
	*value = high ? (*value & 0xffffffffULL) | (u64)half << 32
		      : (*value & ~0xffffffffULL) | half;
}

/* What describes a queue changes only while it is not enabled. Under vdev->lock. */
static void write_queue_reg(struct virtio_mmio *m, u32 reg, u32 value)
{
	struct virtqueue *vq = vmmio_selected(m);
	bool high = reg & 4;

	if (!vq || vq->enabled)
		return;
	switch (reg) {
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		set_half(&vq->desc_gpa, high, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		set_half(&vq->avail_gpa, high, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		set_half(&vq->used_gpa, high, value);
		break;
	}
}

/* Linux does not look at QueueReady after it wrote 0: the vcpu waits. */
static void write_queue_ready(struct virtio_mmio *m, u32 queue, bool ready)
{
	if (queue >= m->vdev->nr_queues)
		return;
	if (ready) {
		virtio_enable_queue(m->vdev, (u16)queue);
	} else {
		virtio_disable_queue(m->vdev, (u16)queue);
		virtio_wait_stopped(m->vdev, true);
	}
}

static void write_reg(struct virtio_mmio *m, u32 reg, u32 value)
{
	u32 queue;

	virtio_lock(m->vdev);
	queue = m->queue_sel;
	virtio_unlock(m->vdev);
	switch (reg) {
	case VIRTIO_MMIO_QUEUE_READY:
		write_queue_ready(m, queue, value & 1);
		break;
	case MMIO_QUEUE_RESET:
		/* Who knows this register polls it. */
		if (value == 1 && queue < m->vdev->nr_queues)
			virtio_reset_queue(m->vdev, (u16)queue);
		break;
	case MMIO_GUEST_PAGE_SIZE:
	case MMIO_QUEUE_ALIGN:
	case MMIO_QUEUE_PFN:
		virtio_tell_legacy(m->vdev);
		break;
	default:
		virtio_lock(m->vdev);
		write_queue_reg(m, reg, value);
		virtio_unlock(m->vdev);
	}
}

static const struct vmmio_regs modern_regs = {
	.version = 2,
	.status_bits = 0xff,
	.read = read_reg,
	.write = write_reg,
	.accept_features = virtio_accept_features,
	.set_status = virtio_set_status,
	.kick = virtio_kick,
};

int virtio_mmio_attach(struct virtio_device *vdev)
{
	return vmmio_attach(vdev, &modern_regs);
}
