/* SPDX-License-Identifier: MIT */
/*
 * The part of a virtio device that every transport and every device shares (VIRTIO 1.3, chapters 2
 * and 3; see include/lkvm/virtio.h): the state machine behind the registers, queues with their
 * eventfds, the I/O thread.
 */
#include "lkvm/virtio.h"

#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

#define FEATURES_ALWAYS                                                   \
	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_RING_F_EVENT_IDX) | \
	 BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC))

void virtio_lock(struct virtio_device *vdev)
{
	pthread_mutex_lock(&vdev->lock);
}

void virtio_unlock(struct virtio_device *vdev)
{
	pthread_mutex_unlock(&vdev->lock);
}

bool virtio_live(const struct virtio_device *vdev)
{
	return vdev->active && !vdev->paused && !(vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* Queues on the loop's thread */

/* May run once after a reset has taken the event out of the loop: then nothing is live. */
static void on_notify(void *opaque, u32 events)
{
	struct virtio_queue *q = opaque;
	struct virtio_device *vdev = q->vdev;

	eventfd_drain(q->notify.fd);
	virtio_lock(vdev);
	if (virtio_live(vdev) && q->vq.enabled)
		vdev->ops->notify(vdev, q->vq.index);
	virtio_unlock(vdev);
}

static void kick_all(struct virtio_device *vdev)
{
	for (u16 i = 0; i < vdev->nr_queues; i++)
		if (vdev->queues[i].vq.enabled)
			eventfd_raise(vdev->queues[i].notify.fd);
}

void virtio_kick(struct virtio_device *vdev, u32 q)
{
	if (q < vdev->nr_queues)
		eventfd_raise(vdev->queues[q].notify.fd);
}

/* Making and ending */

static int init_queues(struct virtio_device *vdev, u16 nr_queues, u16 queue_size)
{
	vdev->queues = xcalloc(nr_queues, sizeof(*vdev->queues));
	for (u16 i = 0; i < nr_queues; i++) {
		struct virtio_queue *q = &vdev->queues[i];

		q->vdev = vdev;
		q->vq.mem = &vdev->vm->mem;
		q->vq.name = vdev->name;
		q->vq.index = i;
		q->vq.max_size = queue_size;
		virtq_reset(&q->vq);
		q->notify.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (q->notify.fd < 0)
			return -errno;
		q->notify.events = EPOLLIN;
		q->notify.fn = on_notify;
		q->notify.opaque = q;
		vdev->nr_queues++;
	}
	return 0;
}

static int init_loop(struct virtio_device *vdev)
{
	int ret;

	vdev->loop = xcalloc(1, sizeof(*vdev->loop));
	ret = event_loop_init(vdev->loop, vdev->name);
	if (ret) {
		free(vdev->loop);
		vdev->loop = NULL;
		return ret;
	}
	vdev->owns_loop = true;
	return 0;
}

int virtio_init(struct virtio_device *vdev, struct vm *vm, const struct virtio_ops *ops,
		const char *kind, u32 index, u64 host_features, u16 nr_queues, u16 queue_size,
		struct event_loop *loop)
{
	pthread_mutexattr_t attr;
	int ret = -EINVAL;

	memset(vdev, 0, sizeof(*vdev));
	vdev->ops = ops;
	vdev->vm = vm;
	vdev->loop = loop;
	vdev->host_features = host_features | FEATURES_ALWAYS;
	if (vm->access_platform)
		vdev->host_features |= BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);
	vdev->name = xasprintf("%s%u", kind, index);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&vdev->lock, &attr);
	pthread_mutexattr_destroy(&attr);
	if (!nr_queues || nr_queues > VIRTIO_MAX_QUEUES || !queue_size ||
	    (queue_size & (queue_size - 1)) || queue_size > VIRTQ_MAX_SIZE)
		goto fail;
	ret = init_queues(vdev, nr_queues, queue_size);
	if (ret)
		goto fail;
	if (!loop) {
		ret = init_loop(vdev);
		if (ret)
			goto fail;
	}
	return 0;
fail:
	err("%s: cannot set up %u queues of %u entries: %s", vdev->name, nr_queues, queue_size,
	    strerror(-ret));
	virtio_fini(vdev);
	return ret;
}

void virtio_fini(struct virtio_device *vdev)
{
	if (!vdev->name)
		return;
	/* Without its thread no call of on_notify can be under way. */
	if (vdev->owns_loop)
		event_loop_stop_thread(vdev->loop);
	for (u16 i = 0; i < vdev->nr_queues; i++) {
		event_del(&vdev->queues[i].notify);
		close(vdev->queues[i].notify.fd);
	}
	if (vdev->owns_loop) {
		event_loop_destroy(vdev->loop);
		free(vdev->loop);
	}
	free(vdev->queues);
	pthread_mutex_destroy(&vdev->lock);
	free((char *)vdev->name);
	vdev->name = NULL;
	vdev->queues = NULL;
	vdev->nr_queues = 0;
	vdev->loop = NULL;
}

/* For devices */

/* 2.1.2: a driver that was told DRIVER_OK learns of it by a configuration interrupt. */
static void set_needs_reset(struct virtio_device *vdev)
{
	if (vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	vdev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	if ((vdev->status & VIRTIO_CONFIG_S_DRIVER_OK) && vdev->transport)
		vdev->transport->interrupt(vdev, -1);
}

void virtio_broken(struct virtio_device *vdev, const char *why)
{
	virtio_lock(vdev);
	guest_warn("%s: %s; it stops until its driver resets it", vdev->name, why);
	set_needs_reset(vdev);
	virtio_unlock(vdev);
}

int virtio_pop(struct virtio_device *vdev, u16 q, struct virtq_chain *chain)
{
	int ret = 0;

	virtio_lock(vdev);
	if (q < vdev->nr_queues && virtio_live(vdev) && vdev->queues[q].vq.enabled) {
		ret = virtq_pop(&vdev->queues[q].vq, chain);
		if (ret < 0) {
			set_needs_reset(vdev);
			ret = 0;
		}
	}
	virtio_unlock(vdev);
	return ret;
}

void virtio_push(struct virtio_device *vdev, u16 q, u16 head, u32 len)
{
	virtio_lock(vdev);
	if (q < vdev->nr_queues)
		virtq_push(&vdev->queues[q].vq, head, len);
	virtio_unlock(vdev);
}

void virtio_signal(struct virtio_device *vdev, u16 q)
{
	virtio_lock(vdev);
	if (q < vdev->nr_queues && vdev->active && virtq_should_signal(&vdev->queues[q].vq) &&
	    vdev->transport)
		vdev->transport->interrupt(vdev, q);
	virtio_unlock(vdev);
}

void virtio_config_changed(struct virtio_device *vdev)
{
	virtio_lock(vdev);
	vdev->config_generation++;
	if (vdev->active && vdev->transport)
		vdev->transport->interrupt(vdev, -1);
	virtio_unlock(vdev);
}

/* The state machine (3.1.1) */

u64 virtio_offered(const struct virtio_device *vdev)
{
	return vdev->host_features;
}

void virtio_accept_features(struct virtio_device *vdev, u32 word, u32 value)
{
	unsigned int shift = 32 * (word & 1);
	u64 wanted = (u64)value << shift;

	virtio_lock(vdev);
	if (vdev->status & VIRTIO_CONFIG_S_FEATURES_OK) {
		guest_warn("%s: the driver changes features after FEATURES_OK", vdev->name);
	} else if (word > 1) {
		vdev->bad_features |= value != 0;
	} else {
		/* What is not offered is not kept, so nothing can act on it; that it was asked for
		 * is remembered until the reset. */
		vdev->features &= ~(0xffffffffULL << shift);
		vdev->features |= wanted & vdev->host_features;
		vdev->bad_features |= (wanted & ~vdev->host_features) != 0;
	}
	virtio_unlock(vdev);
}

static bool features_ok(struct virtio_device *vdev)
{
	if (vdev->bad_features) {
		guest_warn("%s: the driver asks for features that are not offered", vdev->name);
		return false;
	}
	if (!virtio_has(vdev, VIRTIO_F_VERSION_1)) {
		guest_warn("%s: the driver is for legacy devices (no VERSION_1)", vdev->name);
		return false;
	}
	/* 6.1: such a driver gives plain addresses, of memory that the device cannot reach. */
	if (vdev->host_features & BIT_ULL(VIRTIO_F_ACCESS_PLATFORM) &&
	    !virtio_has(vdev, VIRTIO_F_ACCESS_PLATFORM)) {
		guest_warn("%s: the driver does not put its buffers into shared memory (no "
			   "ACCESS_PLATFORM); a protected guest must",
			   vdev->name);
		return false;
	}
	return true;
}

void virtio_enable_queue(struct virtio_device *vdev, u16 q)
{
	struct virtqueue *vq;

	virtio_lock(vdev);
	if (q >= vdev->nr_queues || vdev->queues[q].vq.enabled)
		goto out;
	if (!(vdev->status & VIRTIO_CONFIG_S_FEATURES_OK) || vdev->active) {
		guest_warn("%s: queue %u: enabled at the wrong time, status 0x%x", vdev->name, q,
			   vdev->status);
		goto out;
	}
	vq = &vdev->queues[q].vq;
	vq->event_idx = virtio_has(vdev, VIRTIO_RING_F_EVENT_IDX);
	vq->indirect = virtio_has(vdev, VIRTIO_RING_F_INDIRECT_DESC);
	if (virtq_enable(vq))
		set_needs_reset(vdev);
out:
	virtio_unlock(vdev);
}

void virtio_disable_queue(struct virtio_device *vdev, u16 q)
{
	virtio_lock(vdev);
	if (q < vdev->nr_queues && vdev->queues[q].vq.enabled) {
		event_del(&vdev->queues[q].notify);
		virtq_reset(&vdev->queues[q].vq);
	}
	virtio_unlock(vdev);
}

void virtio_set_paused(struct virtio_device *vdev, bool paused)
{
	virtio_lock(vdev);
	if (vdev->paused && !paused && vdev->active)
		kick_all(vdev);
	vdev->paused = paused;
	virtio_unlock(vdev);
}

static void detach_queues(struct virtio_device *vdev)
{
	for (u16 i = 0; i < vdev->nr_queues; i++)
		event_del(&vdev->queues[i].notify);
}

/* On the host's own failure the driver is told in the only way that there is. */
static int attach_queues(struct virtio_device *vdev)
{
	int ret;

	if (vdev->owns_loop && !vdev->loop->has_thread) {
		ret = event_loop_start_thread(vdev->loop);
		if (ret)
			goto fail;
	}
	for (u16 i = 0; i < vdev->nr_queues; i++) {
		if (!vdev->queues[i].vq.enabled)
			continue;
		ret = event_add(vdev->loop, &vdev->queues[i].notify);
		if (ret)
			goto fail;
	}
	return 0;
fail:
	err("%s: cannot serve its queues: %s", vdev->name, strerror(-ret));
	detach_queues(vdev);
	return ret;
}

static void activate(struct virtio_device *vdev)
{
	vdev->status |= VIRTIO_CONFIG_S_DRIVER_OK;
	if ((vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET) || attach_queues(vdev)) {
		set_needs_reset(vdev);
		return;
	}
	vdev->active = true;
	if (vdev->transport)
		vdev->transport->set_active(vdev, true);
	if (vdev->ops->activate)
		vdev->ops->activate(vdev);
	/* A driver may notify (and drivers do) before it sets DRIVER_OK: look at each queue once.
	 */
	kick_all(vdev);
}

void virtio_device_reset(struct virtio_device *vdev)
{
	bool was_active;

	virtio_lock(vdev);
	if (vdev->ops->reset)
		vdev->ops->reset(vdev);
	was_active = vdev->active;
	vdev->active = false;
	if (was_active && vdev->transport)
		vdev->transport->set_active(vdev, false);
	detach_queues(vdev);
	for (u16 i = 0; i < vdev->nr_queues; i++) {
		virtq_reset(&vdev->queues[i].vq);
		eventfd_drain(vdev->queues[i].notify.fd);
	}
	vdev->status = 0;
	vdev->features = 0;
	vdev->bad_features = false;
	virtio_unlock(vdev);
}

void virtio_set_status(struct virtio_device *vdev, u8 status)
{
	u8 added;

	if (!status) {
		virtio_device_reset(vdev);
		return;
	}
	virtio_lock(vdev);
	/* Bits go only by a reset (2.1.1), and NEEDS_RESET is not the driver's to set. */
	added = status & (u8)~vdev->status;
	vdev->status |= added & (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
				 VIRTIO_CONFIG_S_FAILED);
	if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && features_ok(vdev))
		vdev->status |= VIRTIO_CONFIG_S_FEATURES_OK;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK) {
		if (vdev->status & VIRTIO_CONFIG_S_FEATURES_OK)
			activate(vdev);
		else
			guest_warn("%s: DRIVER_OK without FEATURES_OK", vdev->name);
	}
	virtio_unlock(vdev);
}

/* Configuration space */

void virtio_config_read(struct virtio_device *vdev, u32 offset, void *buf, u32 len)
{
	memset(buf, 0, len);
	virtio_lock(vdev);
	if (offset < vdev->ops->config_len)
		vdev->ops->config_read(vdev, offset, buf, MIN(len, vdev->ops->config_len - offset));
	virtio_unlock(vdev);
}

void virtio_config_write(struct virtio_device *vdev, u32 offset, const void *buf, u32 len)
{
	virtio_lock(vdev);
	if (vdev->ops->config_write && range_within(offset, len, 0, vdev->ops->config_len))
		vdev->ops->config_write(vdev, offset, buf, len);
	virtio_unlock(vdev);
}
