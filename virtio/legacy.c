/* SPDX-License-Identifier: MIT */
/* Drivers from before VIRTIO 1.0; see legacy.h. */
#include "legacy.h"

#include <linux/virtio_ring.h>

#include "lkvm/log.h"
#include "lkvm/util.h"

#ifndef VIRTIO_F_ANY_LAYOUT
#define VIRTIO_F_ANY_LAYOUT 27 /* 6.3 */
#endif

u16 legacy_pci_id(u32 id)
{
	/* 4.1.2.1 */
	static const u16 ids[] = {
		[VIRTIO_ID_NET] = 0x1000,     [VIRTIO_ID_BLOCK] = 0x1001,
		[VIRTIO_ID_CONSOLE] = 0x1003, [VIRTIO_ID_RNG] = 0x1005,
		[VIRTIO_ID_BALLOON] = 0x1002, [VIRTIO_ID_SCSI] = 0x1004,
		[VIRTIO_ID_9P] = 0x1009,
	};

	return id < ARRAY_SIZE(ids) ? ids[id] : 0;
}

void legacy_begin(struct virtio_device *vdev)
{
	vdev->legacy = true;
	vdev->host_features &= 0xffffffffU;
	/* No device here asks how a request is cut into buffers. */
	vdev->host_features |= BIT_ULL(VIRTIO_F_ANY_LAYOUT);
}

void legacy_accept_features(struct virtio_device *vdev, u32 word, u32 value)
{
	if (word)
		return;
	/* There is no way to refuse: what was not offered is dropped. */
	virtio_accept_features(vdev, 0, value & (u32)virtio_offered(vdev));
}

/* Features may have been written after the rings. */
static void settle_features(struct virtio_device *vdev)
{
	virtio_lock(vdev);
	for (u16 i = 0; i < vdev->nr_queues && !vdev->active; i++) {
		struct virtqueue *vq = &vdev->queues[i].vq;

		vq->event_idx = virtio_has(vdev, VIRTIO_RING_F_EVENT_IDX);
		vq->indirect = virtio_has(vdev, VIRTIO_RING_F_INDIRECT_DESC);
	}
	virtio_unlock(vdev);
}

void legacy_set_status(struct virtio_device *vdev, u8 status)
{
	u8 known = status & LEGACY_STATUS;

	if (!status) {
		/* These drivers do not look whether the reset is complete. */
		virtio_set_status(vdev, 0);
		virtio_wait_stopped(vdev, true);
		return;
	}
	if (known & VIRTIO_CONFIG_S_DRIVER_OK) {
		settle_features(vdev);
		known |= VIRTIO_CONFIG_S_FEATURES_OK;
	}
	if (known)
		virtio_set_status(vdev, known);
}

/* 3.1.2: before DRIVER_OK too, as block drivers do that read partitions while they probe. */
void legacy_kick(struct virtio_device *vdev, u32 q)
{
	bool early;

	virtio_lock(vdev);
	early = q < vdev->nr_queues && vdev->queues[q].vq.enabled && !vdev->resetting &&
		!(vdev->status & VIRTIO_CONFIG_S_DRIVER_OK);
	virtio_unlock(vdev);
	if (early)
		legacy_set_status(vdev, VIRTIO_CONFIG_S_DRIVER_OK);
	virtio_kick(vdev, q);
}

/* 2.7.2: table, available ring with its event index, and from the next boundary the used ring. */
static bool lay_out(struct virtio_device *vdev, struct virtqueue *vq, u64 gpa, u32 align)
{
	u64 size = vq->size;

	if (vq->enabled)
		return false;
	if (gpa + 16 * size < gpa || !align || (align & (align - 1))) {
		guest_warn("%s: queue %u: no ring can be at 0x%llx, aligned to %u", vdev->name,
			   vq->index, gpa, align);
		return false;
	}
	vq->desc_gpa = gpa;
	vq->avail_gpa = gpa + 16 * size;
	vq->used_gpa = ALIGN_UP(vq->avail_gpa + 2 * (3 + size), (u64)align);
	return true;
}

void legacy_set_queue(struct virtio_device *vdev, u32 q, u64 gpa, u32 align)
{
	bool enable;

	if (q >= vdev->nr_queues)
		return;
	if (!gpa) {
		virtio_disable_queue(vdev, (u16)q);
		virtio_wait_stopped(vdev, true);
		return;
	}
	virtio_lock(vdev);
	enable = lay_out(vdev, &vdev->queues[q].vq, gpa, align);
	virtio_unlock(vdev);
	if (enable)
		virtio_enable_queue(vdev, (u16)q);
}
