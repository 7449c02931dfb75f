/* SPDX-License-Identifier: MIT */
/*
 * What a virtio device remembers (see include/lkvm/state.h), as a part of its transport's state:
 * the registers that the driver set, and where each ring stands. A paused device holds no request:
 * what was under way was replied to, the rest was given back to the ring. So a loaded device starts
 * its queues and finds there what there is to do.
 */
#include "lkvm/state.h"
#include "lkvm/log.h"
#include "queue.h"

#define STATUS_BITS                                                                         \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK | \
	 VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_NEEDS_RESET | VIRTIO_CONFIG_S_FAILED)

static bool broken(const struct virtio_device *vdev)
{
	return vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET;
}

int virtio_save(struct virtio_device *vdev)
{
	/* A stop that the driver asked for, and that the host's storage held up. */
	virtio_wait_stopped(vdev, false);
	for (u16 i = 0; i < vdev->nr_queues; i++) {
		const struct virtio_queue *q = &vdev->queues[i];

		if (!q->nr_replies && (!q->vq.in_flight || broken(vdev)))
			continue;
		err("%s: cannot be saved: replies wait for PCI bus mastering, which its driver "
		    "switched off",
		    vdev->name);
		return -EBUSY;
	}
	return vdev->ops->may_save ? vdev->ops->may_save(vdev) : 0;
}

static int virtio_check(const void *obj)
{
	const struct virtio_device *vdev = obj;
	bool ok = vdev->status & VIRTIO_CONFIG_S_DRIVER_OK && !broken(vdev);

	for (u16 i = 0; i < vdev->nr_queues; i++)
		if (vdev->queues[i].vq.in_flight && !broken(vdev))
			return -EINVAL;
	if ((vdev->features & ~vdev->host_features) || (vdev->status & ~STATUS_BITS) ||
	    (vdev->active && !(vdev->status & VIRTIO_CONFIG_S_DRIVER_OK)) || (!vdev->active && ok))
		return -EINVAL;
	return vdev->ops->remembered_ok && !vdev->ops->remembered_ok(vdev) ? -EINVAL : 0;
}

/* A position of a packed ring. */
static bool in_ring(const struct virtqueue *vq, u16 pos)
{
	return (pos & 0x7fff) < vq->size;
}

static int queue_check(const void *obj)
{
	const struct virtqueue *vq = &((const struct virtio_queue *)obj)->vq;
	u32 flying = 0;

	for (u32 i = 0; i < ARRAY_SIZE(vq->flying); i++)
		flying += (u32)__builtin_popcountll(vq->flying[i]);
	for (u32 i = vq->max_size; i < VIRTQ_MAX_SIZE; i++)
		if (vq->flying[i / 64] & BIT_ULL(i % 64))
			return -EINVAL;
	if (vq->enabled && vq->packed &&
	    !(in_ring(vq, vq->last_avail) && in_ring(vq, vq->used_idx) &&
	      in_ring(vq, vq->signalled_used)))
		return -EINVAL;
	/* What lies between the two is in flight: a ring has no more places than it has. */
	if (vq->enabled && vq->packed && !vq->in_flight && vq->last_avail != vq->used_idx)
		return -EINVAL;
	return flying == vq->in_flight && vq->size <= VIRTQ_MAX_SIZE ? 0 : -EINVAL;
}

int virtio_load(struct virtio_device *vdev)
{
	int ret = 0;

	pthread_mutex_lock(&vdev->control);
	for (u16 i = 0; i < vdev->nr_queues; i++) {
		struct virtio_queue *q = &vdev->queues[i];

		if (virtq_restore(&q->vq) && !ret && !broken(vdev)) {
			err("state of %s: the ring of queue %u is not in RAM", vdev->name, i);
			ret = -EFAULT;
		}
	}
	for (u16 i = 0; i < vdev->nr_queues && vdev->active && !ret; i++)
		if (vdev->queues[i].vq.enabled)
			virtio_start_queue(&vdev->queues[i]);
	if (vdev->transport)
		vdev->transport->queues_changed(vdev);
	pthread_mutex_unlock(&vdev->control);
	return ret;
}

static u32 config_len(const void *obj)
{
	return ((const struct virtio_device *)obj)->ops->config_len;
}

static u32 nr_queues(const void *obj)
{
	return ((const struct virtio_device *)obj)->nr_queues;
}

static const struct state_field queue_fields[] = {
	STATE_UP_TO(struct virtio_queue, vq.size, VIRTQ_MAX_SIZE),
	STATE_VALUE(struct virtio_queue, vq.desc_gpa),
	STATE_VALUE(struct virtio_queue, vq.avail_gpa),
	STATE_VALUE(struct virtio_queue, vq.used_gpa),
	STATE_BOOL(struct virtio_queue, vq.enabled),
	STATE_BOOL(struct virtio_queue, vq.packed),
	STATE_BOOL(struct virtio_queue, vq.in_order),
	STATE_BOOL(struct virtio_queue, vq.event_idx),
	STATE_BOOL(struct virtio_queue, vq.indirect),
	STATE_BOOL(struct virtio_queue, vq.broken),

	STATE_VALUE(struct virtio_queue, vq.last_avail),
	STATE_VALUE(struct virtio_queue, vq.used_idx),
	STATE_VALUE(struct virtio_queue, vq.signalled_used),
	STATE_BOOL(struct virtio_queue, vq.signalled_valid),
	STATE_UP_TO(struct virtio_queue, vq.in_flight, VIRTQ_MAX_SIZE),
	STATE_ARRAY(struct virtio_queue, vq.flying),
	STATE_BOOL(struct virtio_queue, signal_missed),
	STATE_VALUE(struct virtio_queue, consumed),
};
static const struct device_state queue_state = {
	.version = 2,
	STATE_TABLE(queue_fields),
	.check = queue_check,
};

static const struct state_field fields[] = {
	STATE_VALUE(struct virtio_device, features),
	STATE_BOOL(struct virtio_device, bad_features),
	STATE_VALUE(struct virtio_device, status),
	STATE_BOOL(struct virtio_device, active),
	STATE_VALUE(struct virtio_device, config_generation),
	STATE_VALUE(struct virtio_device, own),
	STATE_COUNTED(struct virtio_device, remembered, remembered_len),
	STATE_AT(struct virtio_device, config, config_len),
	STATE_PARTS_AT(struct virtio_device, queues, nr_queues, &queue_state),
};

const struct device_state virtio_state = {
	.version = 3,
	STATE_TABLE(fields),
	.check = virtio_check,
};
