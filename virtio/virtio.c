/* SPDX-License-Identifier: MIT */
/*
 * The part of a virtio device that every transport and every device shares (VIRTIO 1.3, chapters 2
 * and 3; see include/lkvm/virtio.h): the state machine behind the registers. What happens to the
 * queues is queue.c's.
 */
#include "lkvm/virtio.h"

#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <time.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "queue.h"

#define FEATURES_ALWAYS                                                        \
	(BIT_ULL(VIRTIO_F_VERSION_1) | BIT_ULL(VIRTIO_RING_F_EVENT_IDX) |      \
	 BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | BIT_ULL(VIRTIO_F_RING_RESET) | \
	 BIT_ULL(VIRTIO_F_RING_PACKED))

/* How often a vcpu that waits for a stop looks whether the VM ends. */
#define LOOK_NS 20000000

void virtio_lock(struct virtio_device *vdev)
{
	pthread_mutex_lock(&vdev->lock);
}

void virtio_unlock(struct virtio_device *vdev)
{
	pthread_mutex_unlock(&vdev->lock);
}

/* Making and ending */

static void init_locks(struct virtio_device *vdev)
{
	pthread_condattr_t attr;

	pthread_mutex_init(&vdev->control, NULL);
	pthread_mutex_init(&vdev->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&vdev->changed, &attr);
	pthread_condattr_destroy(&attr);
}

int virtio_init(struct virtio_device *vdev, struct vm *vm, const struct virtio_ops *ops,
		const char *kind, u32 index, u64 host_features, u16 nr_queues, u16 queue_size,
		struct event_loop *loop)
{
	int ret = -EINVAL;

	memset(vdev, 0, sizeof(*vdev));
	vdev->ops = ops;
	vdev->vm = vm;
	vdev->host_features = host_features | FEATURES_ALWAYS;
	if (vm->cfg->no_virtio_packed)
		vdev->host_features &= ~BIT_ULL(VIRTIO_F_RING_PACKED);
	if (ops->in_order || vm->cfg->virtio_in_order)
		vdev->host_features |= BIT_ULL(VIRTIO_F_IN_ORDER);
	if (vm->cfg->virtio_notification_data)
		vdev->host_features |= BIT_ULL(VIRTIO_F_NOTIFICATION_DATA);
	if (vm->access_platform)
		vdev->host_features |= BIT_ULL(VIRTIO_F_ACCESS_PLATFORM);
	vdev->name = xasprintf("%s%u", kind, index);
	vdev->config = xcalloc(1, ops->config_len + 1);
	init_locks(vdev);
	if (!nr_queues || nr_queues > VIRTIO_MAX_QUEUES || !queue_size ||
	    (queue_size & (queue_size - 1)) || queue_size > VIRTQ_MAX_SIZE)
		goto fail;
	ret = virtio_queues_init(vdev, nr_queues, queue_size, loop);
	if (!ret)
		return 0;
fail:
	err("%s: cannot set up %u queues of %u entries: %s%s", vdev->name, nr_queues, queue_size,
	    strerror(-ret), limit_hint(ret));
	virtio_fini(vdev);
	return ret;
}

void virtio_finish(struct virtio_device *vdev)
{
	if (vdev->ops->finish)
		vdev->ops->finish(vdev);
}

void virtio_fini(struct virtio_device *vdev)
{
	if (!vdev->name)
		return;
	virtio_device_reset(vdev);
	if (vdev->ops->detach)
		vdev->ops->detach(vdev);
	virtio_queues_fini(vdev);
	pthread_cond_destroy(&vdev->changed);
	pthread_mutex_destroy(&vdev->lock);
	pthread_mutex_destroy(&vdev->control);
	free(vdev->config);
	free((char *)vdev->name);
	vdev->config = NULL;
	vdev->name = NULL;
}

/* For devices */

void virtio_broken(struct virtio_device *vdev, const char *why)
{
	guest_warn("%s: %s; it stops until its driver resets it", vdev->name, why);
	virtio_lock(vdev);
	virtio_set_needs_reset(vdev);
	virtio_unlock(vdev);
}

void virtio_config_set(struct virtio_device *vdev, u32 offset, const void *buf, u32 len)
{
	virtio_lock(vdev);
	memcpy(vdev->config + offset, buf, len);
	vdev->config_generation++;
	if (vdev->active && vdev->transport)
		vdev->transport->interrupt(vdev, -1);
	virtio_unlock(vdev);
}

u8 virtio_config_byte(struct virtio_device *vdev, u32 offset)
{
	u8 byte;

	virtio_lock(vdev);
	byte = vdev->config[offset];
	virtio_unlock(vdev);
	return byte;
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

/* Under the lock. */
static void tell_legacy(struct virtio_device *vdev)
{
	if (vdev->told_legacy || !vdev->transport)
		return;
	vdev->told_legacy = true;
	warn("%s: the guest's driver knows only legacy virtio; start with --virtio-transport %s",
	     vdev->name, vdev->transport->legacy_name);
}

void virtio_tell_legacy(struct virtio_device *vdev)
{
	virtio_lock(vdev);
	tell_legacy(vdev);
	virtio_unlock(vdev);
}

static bool features_ok(struct virtio_device *vdev)
{
	if (vdev->legacy)
		return true;
	if (vdev->bad_features) {
		guest_warn("%s: the driver asks for features that are not offered", vdev->name);
		return false;
	}
	for (const struct virtio_feature_rule *rule = vdev->ops->rules; rule && rule->needs;
	     rule++) {
		if (!virtio_has(vdev, rule->bit) || vdev->features & rule->needs)
			continue;
		guest_warn("%s: the driver accepts feature %u without one that it needs",
			   vdev->name, rule->bit);
		return false;
	}
	if (!virtio_has(vdev, VIRTIO_F_VERSION_1)) {
		tell_legacy(vdev);
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

static void queues_changed(struct virtio_device *vdev)
{
	if (vdev->transport)
		vdev->transport->queues_changed(vdev);
}

/* May queue @q be enabled now? Under the lock. */
static bool may_enable(struct virtio_device *vdev, u16 q)
{
	if (q >= vdev->nr_queues || vdev->queues[q].vq.enabled || vdev->resetting)
		return false;
	if (vdev->legacy || (vdev->status & VIRTIO_CONFIG_S_FEATURES_OK &&
			     (!vdev->active || virtio_has(vdev, VIRTIO_F_RING_RESET))))
		return true;
	guest_warn("%s: queue %u: enabled at the wrong time, status 0x%x", vdev->name, q,
		   vdev->status);
	return false;
}

void virtio_enable_queue(struct virtio_device *vdev, u16 q)
{
	struct virtqueue *vq;
	bool start = false;

	pthread_mutex_lock(&vdev->control);
	virtio_lock(vdev);
	if (may_enable(vdev, q)) {
		vq = &vdev->queues[q].vq;
		vq->packed = virtio_has(vdev, VIRTIO_F_RING_PACKED);
		vq->in_order = virtio_has(vdev, VIRTIO_F_IN_ORDER);
		vq->event_idx = virtio_has(vdev, VIRTIO_RING_F_EVENT_IDX);
		vq->indirect = virtio_has(vdev, VIRTIO_RING_F_INDIRECT_DESC);
		if (virtq_enable(vq))
			virtio_set_needs_reset(vdev);
		else
			start = vdev->active;
	}
	virtio_unlock(vdev);
	if (start) {
		virtio_start_queue(&vdev->queues[q]);
		queues_changed(vdev);
	}
	pthread_mutex_unlock(&vdev->control);
}

void virtio_disable_queue(struct virtio_device *vdev, u16 q)
{
	bool stop;

	if (q >= vdev->nr_queues)
		return;
	pthread_mutex_lock(&vdev->control);
	virtio_lock(vdev);
	stop = vdev->queues[q].vq.enabled && !vdev->queues[q].stopping;
	if (stop)
		virtio_ask_stop(&vdev->queues[q]);
	virtio_unlock(vdev);
	if (stop) {
		queues_changed(vdev);
		virtio_stop_queue(&vdev->queues[q]);
	}
	pthread_mutex_unlock(&vdev->control);
}

void virtio_reset_queue(struct virtio_device *vdev, u16 q)
{
	bool may;

	virtio_lock(vdev);
	may = virtio_has(vdev, VIRTIO_F_RING_RESET);
	virtio_unlock(vdev);
	if (may)
		virtio_disable_queue(vdev, q);
}

/* DRIVER_OK. Under control. */
static void activate(struct virtio_device *vdev)
{
	virtio_lock(vdev);
	vdev->status |= VIRTIO_CONFIG_S_DRIVER_OK;
	vdev->active = !(vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
	virtio_unlock(vdev);
	if (!vdev->active)
		return;
	for (u16 i = 0; i < vdev->nr_queues; i++)
		if (vdev->queues[i].vq.enabled)
			virtio_start_queue(&vdev->queues[i]);
	queues_changed(vdev);
}

/* Under control. Complete when the last queue has stopped, which may be at once. */
static void begin_reset(struct virtio_device *vdev)
{
	virtio_lock(vdev);
	vdev->resetting = vdev->nr_queues;
	vdev->active = false;
	for (u16 i = 0; i < vdev->nr_queues; i++)
		virtio_ask_stop(&vdev->queues[i]);
	virtio_unlock(vdev);
	queues_changed(vdev);
	for (u16 i = 0; i < vdev->nr_queues; i++)
		virtio_stop_queue(&vdev->queues[i]);
}

/* Under control; true: DRIVER_OK was reached now. */
static bool add_status(struct virtio_device *vdev, u8 status)
{
	bool ok = false;
	u8 added;

	virtio_lock(vdev);
	if (!vdev->resetting) {
		/* Bits go only by a reset (2.1.1), and NEEDS_RESET is not the driver's to set. */
		added = status & (u8)~vdev->status;
		vdev->status |= added & (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER |
					 VIRTIO_CONFIG_S_FAILED);
		if ((added & VIRTIO_CONFIG_S_FEATURES_OK) && features_ok(vdev))
			vdev->status |= VIRTIO_CONFIG_S_FEATURES_OK;
		if (added & VIRTIO_CONFIG_S_DRIVER_OK) {
			ok = vdev->status & VIRTIO_CONFIG_S_FEATURES_OK;
			/* Only a legacy driver does not ask for FEATURES_OK, and cannot know
			 * VERSION_1. */
			if (!ok && !virtio_has(vdev, VIRTIO_F_VERSION_1))
				tell_legacy(vdev);
			else if (!ok)
				guest_warn("%s: DRIVER_OK without FEATURES_OK", vdev->name);
		}
	}
	virtio_unlock(vdev);
	return ok;
}

void virtio_set_status(struct virtio_device *vdev, u8 status)
{
	pthread_mutex_lock(&vdev->control);
	if (!status)
		begin_reset(vdev);
	else if (add_status(vdev, status))
		activate(vdev);
	pthread_mutex_unlock(&vdev->control);
}

u8 virtio_get_status(struct virtio_device *vdev)
{
	u8 status;

	virtio_lock(vdev);
	status = vdev->status;
	virtio_unlock(vdev);
	return status;
}

/* Under the lock. */
static bool any_stopping(const struct virtio_device *vdev)
{
	for (u16 i = 0; i < vdev->nr_queues; i++)
		if (vdev->queues[i].stopping)
			return true;
	return vdev->resetting;
}

/* For a change, or a while: nobody signals that the VM leaves its running state. Under the lock. */
static void wait_a_while(struct virtio_device *vdev)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += LOOK_NS;
	if (until.tv_nsec >= 1000000000) {
		until.tv_nsec -= 1000000000;
		until.tv_sec++;
	}
	pthread_cond_timedwait(&vdev->changed, &vdev->lock, &until);
}

void virtio_wait_stopped(struct virtio_device *vdev, bool guest)
{
	virtio_lock(vdev);
	while (any_stopping(vdev) && !(guest && vm_wants_vcpus(vdev->vm)))
		wait_a_while(vdev);
	virtio_unlock(vdev);
}

/* Under the lock. */
static bool any_busy(const struct virtio_device *vdev)
{
	for (u16 i = 0; i < vdev->nr_queues; i++)
		if (vdev->queues[i].started && !vdev->queues[i].quiet)
			return true;
	return false;
}

/* Only a device that waits for the host has anything under way; it has loops of its own, but where
 * a test turns them. */
void virtio_wait_held(struct virtio_device *vdev)
{
	if (!vdev->ops->blocks || !vdev->loops)
		return;
	virtio_lock(vdev);
	for (u16 i = 0; i < vdev->nr_queues; i++) {
		struct virtio_queue *q = &vdev->queues[i];

		if (!q->started)
			continue;
		q->quiet = false;
		event_loop_post(q->loop, &q->hold_post);
	}
	while (vdev->held && any_busy(vdev) && !vm_wants_vcpus(vdev->vm))
		wait_a_while(vdev);
	virtio_unlock(vdev);
}

void virtio_device_reset(struct virtio_device *vdev)
{
	virtio_set_status(vdev, 0);
	virtio_wait_stopped(vdev, false);
}

/* Configuration space */

void virtio_config_read(struct virtio_device *vdev, u32 offset, void *buf, u32 len)
{
	memset(buf, 0, len);
	if (offset >= vdev->ops->config_len)
		return;
	virtio_lock(vdev);
	memcpy(buf, vdev->config + offset, MIN(len, vdev->ops->config_len - offset));
	virtio_unlock(vdev);
}

void virtio_config_write(struct virtio_device *vdev, u32 offset, const void *buf, u32 len)
{
	const u8 *mask = vdev->ops->config_mask;

	if (!mask || !range_within(offset, len, 0, vdev->ops->config_len))
		return;
	virtio_lock(vdev);
	for (u32 i = 0; i < len; i++) {
		u8 *byte = &vdev->config[offset + i];

		*byte = (u8)((*byte & ~mask[offset + i]) |
			     (((const u8 *)buf)[i] & mask[offset + i]));
	}
	virtio_unlock(vdev);
	if (vdev->ops->config_written)
		vdev->ops->config_written(vdev, offset, len);
}
