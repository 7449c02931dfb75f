/* SPDX-License-Identifier: MIT */
/* The registers of virtio over MMIO from before VIRTIO 1.0: version 1 (VIRTIO 1.3, 4.2.4). */
#include "legacy.h"
#include "mmio.h"

/* Under these names only where a program asks for them; 4.2.4. */
#define MMIO_GUEST_PAGE_SIZE 0x028
#define MMIO_QUEUE_ALIGN     0x03c
#define MMIO_QUEUE_PFN	     0x040

static u32 read_reg(struct virtio_mmio *m, u32 reg)
{
	struct virtqueue *vq = vmmio_selected(m);

	if (reg != MMIO_QUEUE_PFN || !vq || !vq->enabled || !m->page_size)
		return 0;
	return (u32)(vq->desc_gpa / m->page_size);
}

/* The driver counts pages of the size that it has told us. */
static void write_pfn(struct virtio_mmio *m, u32 pfn)
{
	u32 queue, align = 0;
	u64 gpa;

	virtio_lock(m->vdev);
	queue = m->queue_sel;
	gpa = (u64)pfn * (m->page_size ? m->page_size : LEGACY_ALIGN);
	if (queue < m->vdev->nr_queues)
		align = m->queue_align[queue];
	virtio_unlock(m->vdev);
	legacy_set_queue(m->vdev, queue, gpa, align ? align : LEGACY_ALIGN);
}

static void write_reg(struct virtio_mmio *m, u32 reg, u32 value)
{
	if (reg == MMIO_QUEUE_PFN) {
		write_pfn(m, value);
		return;
	}
	virtio_lock(m->vdev);
	if (reg == MMIO_GUEST_PAGE_SIZE)
		m->page_size = value;
	else if (reg == MMIO_QUEUE_ALIGN && vmmio_selected(m))
		m->queue_align[m->queue_sel] = value;
	virtio_unlock(m->vdev);
}

static const struct vmmio_regs legacy_regs = {
	.version = 1,
	.status_bits = LEGACY_STATUS,
	.read = read_reg,
	.write = write_reg,
	.accept_features = legacy_accept_features,
	.set_status = legacy_set_status,
	.kick = legacy_kick,
};

int virtio_mmio_legacy_attach(struct virtio_device *vdev)
{
	legacy_begin(vdev);
	return vmmio_attach(vdev, &legacy_regs);
}
