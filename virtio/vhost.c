/* SPDX-License-Identifier: MIT */
/*
 * A virtio device whose queues somebody else serves (include/lkvm/vhost.h). The core sees a queue
 * as any other: to run it is to give the ring away, with its notification's eventfd and the one of
 * its interrupt; to stop or to hold it is to take the ring back, with the index where it goes on.
 * In between the core has nothing to do with it. All that may wait for the back end runs on the one
 * loop of the device, which otherwise sleeps.
 */
#include "vhost.h"

#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "queue.h"

/* Of rings: what the back end must know, and what only lkvm could do. */
#define RING_FEATURES (BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | BIT_ULL(VIRTIO_RING_F_EVENT_IDX))
#define NOT_OFFERED                                                   \
	(BIT_ULL(VIRTIO_F_RING_PACKED) | BIT_ULL(VIRTIO_F_IN_ORDER) | \
	 BIT_ULL(VIRTIO_F_NOTIFICATION_DATA))

static struct vhost_device *to_vhost(struct virtio_device *vdev)
{
	return container_of(vdev, struct vhost_device, vdev);
}

/* The back end is no more, which was said; what it had taken from the rings nobody replies to. */
static void fail(struct vhost_device *d)
{
	virtio_lock(&d->vdev);
	virtio_set_needs_reset(&d->vdev);
	virtio_unlock(&d->vdev);
}

/* Interrupts */

static void on_call(void *opaque, u32 events)
{
	struct virtio_queue *q = opaque;
	struct virtio_device *vdev = q->vdev;
	u64 count;

	if (read(to_vhost(vdev)->call[q->vq.index].fd, &count, sizeof(count)) < 0)
		return;
	virtio_lock(vdev);
	if (vdev->transport && q->started)
		vdev->transport->interrupt(vdev, q->vq.index);
	virtio_unlock(vdev);
}

/* The vector's own descriptor where there is one; else ours, that the loop forwards. */
static int call_fd(struct vhost_device *d, u16 q)
{
	const struct virtio_transport_ops *t = d->vdev.transport;
	int fd = t && t->interrupt_fd ? t->interrupt_fd(&d->vdev, q) : -1;

	return fd >= 0 ? fd : d->call[q].fd;
}

/* The driver chose other vectors, or switched MSI-X: rare while queues run. What went to an old one
 * meanwhile is made good for. */
static void renew_calls(void *opaque)
{
	struct vhost_device *d = opaque;

	for (u16 i = 0; i < d->vdev.nr_queues; i++) {
		if (!d->runs[i])
			continue;
		if (d->vhost->ops->set_call(d->vhost, i, call_fd(d, i)))
			fail(d);
		eventfd_raise(d->call[i].fd);
	}
}

void vhost_device_calls(struct virtio_device *vdev)
{
	event_loop_post(vdev->queues[0].loop, &to_vhost(vdev)->calls_post);
}

/* Rings */

/* The first one: nothing of the driver's changes any more, and memory stays as it is until all are
 * taken back. */
static int configure(struct vhost_device *d)
{
	struct virtio_device *vdev = &d->vdev;
	u64 features = vdev->features & d->vhost->features;
	int ret = d->vhost->ops->set_features(d->vhost, features);

	return ret ? ret : d->vhost->ops->set_memory(d->vhost, &vdev->vm->mem);
}

static int give(struct vhost_device *d, u16 i)
{
	struct virtio_queue *q = &d->vdev.queues[i];
	struct vhost_ring ring = {
		.index = i,
		.size = q->vq.size,
		.base = q->vq.last_avail,
		.desc = q->vq.desc,
		.avail = q->vq.avail,
		.used = q->vq.used,
		.kick = q->notify.fd,
		.call = call_fd(d, i),
	};
	int ret = d->nr_running ? 0 : configure(d);

	/* The core asked the driver for silence; the back end may want to hear of it. */
	if (!ret && virtq_enable_notify(&q->vq))
		eventfd_raise(q->notify.fd);
	return ret ? ret : d->vhost->ops->start_ring(d->vhost, &ring);
}

bool vhost_device_run(struct virtio_device *vdev, u16 i)
{
	struct vhost_device *d = to_vhost(vdev);
	struct virtio_queue *q = &vdev->queues[i];

	if (d->runs[i] || d->finished || !virtio_queue_live(vdev, i))
		return false;
	if (give(d, i)) {
		fail(d);
		return false;
	}
	d->runs[i] = true;
	d->nr_running++;
	/* Notifications are the back end's from now on; it looks at the ring once in any case. */
	event_del(&q->notify);
	eventfd_raise(q->notify.fd);
	return false;
}

/* Also of a back end that has gone: then nobody touches the ring any more. */
static void take_back(struct vhost_device *d, u16 i)
{
	struct virtio_queue *q = &d->vdev.queues[i];
	u32 base;

	if (!d->runs[i])
		return;
	d->runs[i] = false;
	d->nr_running--;
	if (d->vhost->ops->stop_ring(d->vhost, i, &base))
		fail(d);
	else
		q->vq.last_avail = q->vq.used_idx = (u16)base;
	if (event_add(q->loop, &q->notify))
		err("%s: queue %u: cannot watch its notifications", d->vdev.name, i);
	/* Its last interrupt, where it has not gone out by itself. */
	on_call(q, 0);
}

bool vhost_device_stopped(struct virtio_device *vdev, u16 q)
{
	take_back(to_vhost(vdev), q);
	return true;
}

static void take_all_back(void *opaque)
{
	struct vhost_device *d = opaque;

	d->finished = true;
	for (u16 i = 0; i < d->vdev.nr_queues; i++)
		take_back(d, i);
}

void vhost_device_finish(struct virtio_device *vdev)
{
	event_call_sync(vdev->queues[0].loop, take_all_back, to_vhost(vdev));
}

/* Its end */

static void on_end(void *opaque, u32 events)
{
	struct vhost_device *d = opaque;

	if (!vhost_check(d->vhost))
		return;
	event_del(&d->end);
	fail(d);
}

int vhost_device_watch(struct virtio_device *vdev, bool on)
{
	struct vhost_device *d = to_vhost(vdev);
	struct event_loop *loop = vdev->queues[0].loop;
	int ret = 0;

	if (!d->call)
		return 0;
	if (on && d->vhost->fd >= 0 && !d->vhost->gone)
		ret = event_add(loop, &d->end);
	for (u16 i = 0; i < vdev->nr_queues && on && !ret; i++)
		ret = event_add(loop, &d->call[i]);
	if (on && !ret)
		return 0;
	event_del(&d->end);
	for (u16 i = 0; i < vdev->nr_queues; i++)
		event_del(&d->call[i]);
	return ret;
}

static void unwatch(void *opaque)
{
	struct virtio_device *vdev = opaque;

	event_loop_unpost(vdev->queues[0].loop, &to_vhost(vdev)->calls_post);
	if (vhost_device_watch(vdev, false))
		debug("%s: still watched", vdev->name);
}

void vhost_device_detach(struct virtio_device *vdev)
{
	if (vdev->nr_queues)
		event_call_sync(vdev->queues[0].loop, unwatch, vdev);
}

/* Making and ending */

void vhost_device_destroy(struct virtio_device *vdev)
{
	struct vhost_device *d = to_vhost(vdev);

	/* The core has forgotten how many queues there were. */
	for (struct event *e = d->call; e && e->fn; e++)
		close(e->fd);
	free(d->call);
	free(d->runs);
	free(d);
}

static int make_calls(struct vhost_device *d)
{
	for (u16 i = 0; i < d->vdev.nr_queues; i++) {
		int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

		if (fd < 0)
			return -errno;
		d->call[i] = (struct event){
			.fd = fd,
			.events = EPOLLIN,
			.fn = on_call,
			.opaque = &d->vdev.queues[i],
		};
	}
	return 0;
}

int vhost_device_new(struct vm *vm, struct vhost *vhost, const struct virtio_ops *ops,
		     const char *kind, u32 index, u64 features, u16 nr_queues, u16 queue_size,
		     struct vhost_device **out)
{
	struct vhost_device *d = xcalloc(1, sizeof(*d));
	int ret;

	d->vhost = vhost;
	d->calls_post = (struct event_post){ .fn = renew_calls, .opaque = d };
	d->end = (struct event){
		.fd = vhost->fd, .events = EPOLLIN | EPOLLRDHUP, .fn = on_end, .opaque = d
	};
	ret = virtio_init(&d->vdev, vm, ops, kind, index, features & vhost->features, nr_queues,
			  queue_size, NULL);
	if (ret) {
		free(d);
		return ret;
	}
	d->vdev.host_features &= ~NOT_OFFERED & (vhost->features | ~RING_FEATURES);
	d->call = xcalloc(nr_queues + 1u, sizeof(*d->call));
	d->runs = xcalloc(nr_queues, sizeof(*d->runs));
	ret = make_calls(d);
	if (!ret)
		ret = vhost_device_watch(&d->vdev, true);
	if (ret) {
		err("%s: cannot watch its back end: %s", d->vdev.name, strerror(-ret));
		virtio_fini(&d->vdev);
		vhost_device_destroy(&d->vdev);
		return ret;
	}
	*out = d;
	return 0;
}

int vhost_device_attach(struct virtio_device *vdev)
{
	int ret = virtio_attach(vdev);

	if (ret) {
		virtio_fini(vdev);
		vhost_device_destroy(vdev);
	}
	return ret;
}
