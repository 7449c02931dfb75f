/* SPDX-License-Identifier: MIT */
/* The common configuration structure of virtio over PCI (VIRTIO 1.3, 4.1.4.3). */
#include <linux/virtio_pci.h>

#include "lkvm/util.h"
#include "pci.h"

#ifndef VIRTIO_PCI_COMMON_Q_RESET
#define VIRTIO_PCI_COMMON_Q_NDATA 56 /* 4.1.4.3, not in older headers */
#define VIRTIO_PCI_COMMON_Q_RESET 58
#endif

/* Vectors */

/* NULL: there is no such queue. */
static u16 *vector_slot(struct virtio_pci *vp, bool config)
{
	if (config)
		return &vp->config_vector;
	return vp->queue_sel < vp->vdev->nr_queues ? &vp->queue_vector[vp->queue_sel] : NULL;
}

u16 vpci_get_vector(struct virtio_pci *vp, bool config)
{
	u16 *slot = vector_slot(vp, config);
	u16 vector = 0;

	pthread_mutex_lock(&vp->irq_lock);
	if (slot)
		vector = *slot;
	pthread_mutex_unlock(&vp->irq_lock);
	return vector;
}

void vpci_set_vector(struct virtio_pci *vp, bool config, u16 vector)
{
	u16 *slot = vector_slot(vp, config);

	pthread_mutex_lock(&vp->irq_lock);
	if (slot)
		*slot = vector < vp->msix.nr ? vector : VIRTIO_MSI_NO_VECTOR;
	pthread_mutex_unlock(&vp->irq_lock);
	if (!config && vp->vdev->ops->interrupts_changed)
		vp->vdev->ops->interrupts_changed(vp->vdev);
}

/* Registers */

static struct virtqueue *selected(struct virtio_pci *vp)
{
	return vp->queue_sel < vp->vdev->nr_queues ? &vp->vdev->queues[vp->queue_sel].vq : NULL;
}

static u32 feature_word(u64 features, u32 sel)
{
	return sel > 1 ? 0 : (u32)(features >> (32 * sel));
}

/* No register of this structure changes by being read, so any access is a part of its image. Under
 * vdev->lock. */
static void common_image(struct virtio_pci *vp, u8 *p)
{
	struct virtio_device *vdev = vp->vdev;
	struct virtqueue *vq = selected(vp);

	memset(p, 0, VPCI_COMMON_SIZE);
	put_le(p + VIRTIO_PCI_COMMON_DFSELECT, 4, vp->device_features_sel);
	put_le(p + VIRTIO_PCI_COMMON_DF, 4,
	       feature_word(virtio_offered(vdev), vp->device_features_sel));
	put_le(p + VIRTIO_PCI_COMMON_GFSELECT, 4, vp->driver_features_sel);
	put_le(p + VIRTIO_PCI_COMMON_GF, 4, feature_word(vdev->features, vp->driver_features_sel));
	put_le(p + VIRTIO_PCI_COMMON_MSIX, 2, vpci_get_vector(vp, true));
	put_le(p + VIRTIO_PCI_COMMON_NUMQ, 2, vdev->nr_queues);
	p[VIRTIO_PCI_COMMON_STATUS] = vdev->status;
	p[VIRTIO_PCI_COMMON_CFGGENERATION] = (u8)vdev->config_generation;
	put_le(p + VIRTIO_PCI_COMMON_Q_SELECT, 2, vp->queue_sel);
	if (!vq)
		return; /* size 0: there is no such queue */
	put_le(p + VIRTIO_PCI_COMMON_Q_SIZE, 2, vq->size);
	put_le(p + VIRTIO_PCI_COMMON_Q_MSIX, 2, vpci_get_vector(vp, false));
	put_le(p + VIRTIO_PCI_COMMON_Q_ENABLE, 2, vq->enabled);
	put_le(p + VIRTIO_PCI_COMMON_Q_NOFF, 2, vp->queue_sel);
	put_le(p + VIRTIO_PCI_COMMON_Q_DESCLO, 8, vq->desc_gpa);
	put_le(p + VIRTIO_PCI_COMMON_Q_AVAILLO, 8, vq->avail_gpa);
	put_le(p + VIRTIO_PCI_COMMON_Q_USEDLO, 8, vq->used_gpa);
	put_le(p + VIRTIO_PCI_COMMON_Q_RESET, 2, virtio_queue_stopping(vdev, vp->queue_sel));
}

/* The address of a ring: all 8 bytes, or one half. */
static void write_ring_address(struct virtqueue *vq, u32 offset, u64 value, u32 len)
{
	u32 field = offset & ~7u;
	u64 *gpa = field == VIRTIO_PCI_COMMON_Q_DESCLO	  ? &vq->desc_gpa
		   : field == VIRTIO_PCI_COMMON_Q_AVAILLO ? &vq->avail_gpa
							  : &vq->used_gpa;

	if (len == 8 && !(offset & 7))
		*gpa = value;
	else if (len == 4 && offset & 4)
		*gpa = (*gpa & 0xffffffffULL) | value << 32;
	else if (len == 4)
		*gpa = (*gpa & ~0xffffffffULL) | value;
}

/* Under vdev->lock. */
static void write_queue_field(struct virtio_pci *vp, u32 offset, u64 value, u32 len)
{
	struct virtqueue *vq = selected(vp);

	if (!vq)
		return;
	if (offset == VIRTIO_PCI_COMMON_Q_MSIX && len == 2) {
		vpci_set_vector(vp, false, (u16)value);
		return;
	}
	/* What describes a queue changes only while it is not enabled. */
	if (vq->enabled)
		return;
	if (offset == VIRTIO_PCI_COMMON_Q_SIZE && len == 2)
		vq->size = (u16)value;
	else if (offset >= VIRTIO_PCI_COMMON_Q_DESCLO && offset < VIRTIO_PCI_COMMON_Q_NDATA &&
		 !(offset & 3))
		write_ring_address(vq, offset, value, len);
}

/* What starts or stops something, and so runs without the lock. False: another register. */
static bool write_action(struct virtio_pci *vp, u32 offset, u64 value, u32 len)
{
	struct virtio_device *vdev = vp->vdev;
	u32 word;
	u16 q;

	virtio_lock(vdev);
	word = vp->driver_features_sel;
	q = vp->queue_sel;
	virtio_unlock(vdev);
	if (offset == VIRTIO_PCI_COMMON_GF && len == 4) {
		virtio_accept_features(vdev, word, (u32)value);
	} else if (offset == VIRTIO_PCI_COMMON_STATUS && len == 1) {
		virtio_set_status(vdev, (u8)value);
	} else if (offset == VIRTIO_PCI_COMMON_Q_ENABLE && len == 2) {
		if (value == 1)
			virtio_enable_queue(vdev, q);
	} else if (offset == VIRTIO_PCI_COMMON_Q_RESET && len == 2) {
		if (value == 1)
			virtio_reset_queue(vdev, q);
	} else {
		return false;
	}
	return true;
}

void vpci_common_write(struct virtio_pci *vp, u32 offset, u64 value, u32 len)
{
	if (write_action(vp, offset, value, len))
		return;
	virtio_lock(vp->vdev);
	if (offset == VIRTIO_PCI_COMMON_DFSELECT && len == 4)
		vp->device_features_sel = (u32)value;
	else if (offset == VIRTIO_PCI_COMMON_GFSELECT && len == 4)
		vp->driver_features_sel = (u32)value;
	else if (offset == VIRTIO_PCI_COMMON_MSIX && len == 2)
		vpci_set_vector(vp, true, (u16)value);
	else if (offset == VIRTIO_PCI_COMMON_Q_SELECT && len == 2)
		vp->queue_sel = (u16)value;
	else if (offset > VIRTIO_PCI_COMMON_Q_SELECT)
		write_queue_field(vp, offset, value, len);
	virtio_unlock(vp->vdev);
}

void vpci_common_read(struct virtio_pci *vp, u32 offset, void *data, u32 len)
{
	u8 image[VPCI_COMMON_SIZE];

	virtio_lock(vp->vdev);
	common_image(vp, image);
	virtio_unlock(vp->vdev);
	memcpy(data, image + offset, len);
}
