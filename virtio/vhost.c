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

/* Between two looks at rings whose back end is gone. */
#define LOOK_NS 100000000ULL
/* Of rings: what the back end must know, and what only lkvm could do. */
#define RING_FEATURES (BIT_ULL(VIRTIO_RING_F_INDIRECT_DESC) | BIT_ULL(VIRTIO_RING_F_EVENT_IDX))
#define NOT_OFFERED                                                   \
	(BIT_ULL(VIRTIO_F_RING_PACKED) | BIT_ULL(VIRTIO_F_IN_ORDER) | \
	 BIT_ULL(VIRTIO_F_NOTIFICATION_DATA))

/* What the back end had taken from the rings nobody replies to. */
static void fail(struct vhost_rings *r)
{
	virtio_lock(r->vdev);
	virtio_set_needs_reset(r->vdev);
	virtio_unlock(r->vdev);
}

static bool lost(const struct vhost_rings *r)
{
	return r->vhost->gone && r->answer;
}

/* Interrupts */

static void on_call(void *opaque, u32 events)
{
	struct vhost_given *g = opaque;
	struct virtio_device *vdev = g->rings->vdev;
	u64 count;

	if (read(g->call.fd, &count, sizeof(count)) < 0)
		return;
	virtio_lock(vdev);
	if (vdev->transport && vdev->queues[g->index].started)
		vdev->transport->interrupt(vdev, g->index);
	virtio_unlock(vdev);
}

/* The vector's own descriptor where there is one; else ours, that the loop forwards. */
static int call_fd(struct vhost_rings *r, u16 q)
{
	const struct virtio_transport_ops *t = r->vdev->transport;
	int fd = t && t->interrupt_fd ? t->interrupt_fd(r->vdev, q) : -1;

	return fd >= 0 ? fd : r->given[q].call.fd;
}

/* Rings */

/* The first one: nothing of the driver's changes any more, and memory stays as it is until all are
 * taken back. */
static int configure(struct vhost_rings *r)
{
	u64 features = r->vdev->features & r->vhost->features;
	int ret = r->vhost->ops->set_features(r->vhost, features);

	return ret ? ret : r->vhost->ops->set_memory(r->vhost, &r->vdev->vm->mem);
}

static int give(struct vhost_rings *r, u16 i)
{
	struct virtio_queue *q = &r->vdev->queues[i];
	struct vhost_ring ring = {
		.index = i,
		.size = q->vq.size,
		.base = q->vq.last_avail,
		.desc = q->vq.desc,
		.avail = q->vq.avail,
		.used = q->vq.used,
		.kick = q->notify.fd,
		.call = call_fd(r, i),
	};
	int ret = r->nr_running ? 0 : configure(r);

	/* The core asked the driver for silence; the back end may want to hear of it. */
	if (!ret && virtq_enable_notify(&q->vq))
		eventfd_raise(q->notify.fd);
	return ret ? ret : r->vhost->ops->start_ring(r->vhost, &ring);
}

/* Ring @i is lkvm's again, and the back end did not say where it stands. */
static void ring_lost(struct vhost_rings *r, u16 i)
{
	if (!lost(r))
		fail(r);
	else if (!r->finished)
		vhost_rings_adopt(r, i);
}

/* Also of a back end that has gone: then nobody touches the ring any more. */
static void take_back(struct vhost_rings *r, u16 i)
{
	struct virtio_queue *q = &r->vdev->queues[i];
	u32 base;

	if (!r->given[i].runs)
		return;
	r->given[i].runs = false;
	r->nr_running--;
	if (r->vhost->ops->stop_ring(r->vhost, i, &base))
		ring_lost(r, i);
	else
		q->vq.last_avail = q->vq.used_idx = (u16)base;
	if (event_add(q->loop, &q->notify))
		err("%s: queue %u: cannot watch its notifications", r->vdev->name, i);
	/* Its last interrupt, where it has not gone out by itself. */
	on_call(&r->given[i], 0);
}

static void look_later(struct vhost_rings *r)
{
	if (r->looking)
		return;
	r->looking = true;
	event_timer_set(&r->look, LOOK_NS);
}

/* A ring that is in use asks for the next look (vhost_rings_run). */
static void on_look(void *opaque)
{
	struct vhost_rings *r = opaque;

	r->looking = false;
	for (u16 i = 0; i < r->nr_given; i++)
		virtio_serve(r->vdev, i);
}

/* Its configuration changed, or it is gone. */
static void on_news(void *opaque)
{
	struct vhost_rings *r = opaque;
	void (*changed)(struct virtio_device * vdev);

	virtio_lock(r->vdev);
	changed = r->config_changed;
	r->vhost->news = !changed;
	virtio_unlock(r->vdev);
	if (changed)
		changed(r->vdev);
}

/* Within a call of the back end's. */
static void on_changed(void *opaque)
{
	struct vhost_rings *r = opaque;

	event_loop_post(r->vdev->queues[0].loop, &r->news_post);
}

void vhost_rings_tell(struct vhost_rings *r, void (*config_changed)(struct virtio_device *vdev))
{
	bool news;

	virtio_lock(r->vdev);
	r->config_changed = config_changed;
	news = r->vhost->news;
	virtio_unlock(r->vdev);
	if (news)
		on_changed(r);
}

/* The back end is no more, which was said. */
static void give_up(struct vhost_rings *r)
{
	if (!lost(r)) {
		fail(r);
		return;
	}
	on_news(r);
	for (u16 i = 0; i < r->nr_given; i++) {
		take_back(r, i);
		/* For what comes from now on. */
		eventfd_raise(r->vdev->queues[i].notify.fd);
	}
	look_later(r);
}

void vhost_rings_started(struct vhost_rings *r, u16 i)
{
	/* The bit is remembered: one that was loaded is not new. */
	if (!r->answer || r->vdev->own & BIT_ULL(i))
		return;
	virtq_mark_new(&r->vdev->queues[i].vq);
	r->vdev->own |= BIT_ULL(i);
}

bool vhost_rings_run(struct vhost_rings *r, u16 i)
{
	struct virtio_queue *q = &r->vdev->queues[i];

	if (r->given[i].runs || r->finished || !virtio_queue_live(r->vdev, i))
		return false;
	if (lost(r)) {
		look_later(r);
		return vhost_rings_answer(r, i);
	}
	if (give(r, i)) {
		ring_lost(r, i);
		give_up(r);
		return false;
	}
	r->given[i].runs = true;
	r->nr_running++;
	/* Notifications are the back end's from now on; it looks at the ring once in any case. */
	event_del(&q->notify);
	eventfd_raise(q->notify.fd);
	return false;
}

bool vhost_rings_stopped(struct vhost_rings *r, u16 i)
{
	if (r->answer && r->vdev->queues[i].stopping)
		r->vdev->own &= ~BIT_ULL(i);
	take_back(r, i);
	if (r->nr_running && lost(r))
		give_up(r);
	return true;
}

static void take_all_back(void *opaque)
{
	struct vhost_rings *r = opaque;

	r->finished = true;
	for (u16 i = 0; i < r->nr_given; i++)
		take_back(r, i);
}

void vhost_rings_finish(struct vhost_rings *r)
{
	event_call_sync(r->vdev->queues[0].loop, take_all_back, r);
}

/* Other vectors */

/* The driver chose other vectors, or switched MSI-X: rare while queues run. What went to an old one
 * meanwhile is made good for. */
static void renew_calls(void *opaque)
{
	struct vhost_rings *r = opaque;

	for (u16 i = 0; i < r->nr_given; i++) {
		if (!r->given[i].runs)
			continue;
		if (r->vhost->ops->set_call(r->vhost, i, call_fd(r, i))) {
			give_up(r);
			return;
		}
		eventfd_raise(r->given[i].call.fd);
	}
}

void vhost_rings_calls(struct vhost_rings *r)
{
	event_loop_post(r->vdev->queues[0].loop, &r->calls_post);
}

/* Its end */

static void on_end(void *opaque, u32 events)
{
	struct vhost_rings *r = opaque;

	if (!vhost_check(r->vhost))
		return;
	/* A complaint of a ring that was taken back since is nobody's. */
	if (!r->vhost->gone) {
		if (r->nr_running)
			fail(r);
		return;
	}
	event_del(&r->end);
	event_del(&r->said);
	give_up(r);
}

static void on_said(void *opaque, u32 events)
{
	struct vhost_rings *r = opaque;

	r->vhost->ops->hear(r->vhost);
	if (!r->vhost->gone)
		return;
	event_del(&r->said);
	give_up(r);
}

int vhost_rings_watch(struct vhost_rings *r, bool on)
{
	struct event_loop *loop = r->vdev->queues[0].loop;
	int ret = 0;

	if (on)
		event_timer_init(&r->look, loop, on_look, r);
	if (on && r->vhost->fd >= 0 && !r->vhost->gone)
		ret = event_add(loop, &r->end);
	if (on && !ret && r->vhost->ops->hear && r->vhost->channel >= 0 && !r->vhost->gone)
		ret = event_add(loop, &r->said);
	for (u16 i = 0; i < r->nr_given && on && !ret; i++)
		ret = event_add(loop, &r->given[i].call);
	if (on && !ret)
		return 0;
	event_timer_destroy(&r->look);
	r->looking = false;
	event_del(&r->end);
	event_del(&r->said);
	for (u16 i = 0; i < r->nr_given; i++)
		event_del(&r->given[i].call);
	return ret;
}

static void unwatch(void *opaque)
{
	struct vhost_rings *r = opaque;

	event_loop_unpost(r->vdev->queues[0].loop, &r->calls_post);
	event_loop_unpost(r->vdev->queues[0].loop, &r->own_post);
	r->vhost->changed = NULL;
	event_loop_unpost(r->vdev->queues[0].loop, &r->news_post);
	if (vhost_rings_watch(r, false))
		debug("%s: still watched", r->vdev->name);
}

void vhost_rings_detach(struct vhost_rings *r)
{
	if (r->nr_given && r->vdev->nr_queues)
		event_call_sync(r->vdev->queues[0].loop, unwatch, r);
}

/* Making and ending */

void vhost_rings_fini(struct vhost_rings *r)
{
	for (u16 i = 0; i < r->nr_given; i++)
		close(r->given[i].call.fd);
	free(r->given);
	r->given = NULL;
	r->nr_given = 0;
}

static int make_calls(struct vhost_rings *r, u16 nr)
{
	r->given = xcalloc(nr, sizeof(*r->given));
	for (; r->nr_given < nr; r->nr_given++) {
		struct vhost_given *g = &r->given[r->nr_given];
		int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

		if (fd < 0)
			return -errno;
		g->rings = r;
		g->index = r->nr_given;
		g->call = (struct event){ .fd = fd, .events = EPOLLIN, .fn = on_call, .opaque = g };
	}
	return 0;
}

int vhost_rings_init(struct vhost_rings *r, struct virtio_device *vdev, struct vhost *vhost)
{
	int ret;

	r->vdev = vdev;
	r->vhost = vhost;
	r->calls_post = (struct event_post){ .fn = renew_calls, .opaque = r };
	r->news_post = (struct event_post){ .fn = on_news, .opaque = r };
	vhost->opaque = r;
	vhost->changed = on_changed;
	r->end = (struct event){
		.fd = vhost->fd, .events = EPOLLIN | EPOLLRDHUP, .fn = on_end, .opaque = r
	};
	r->said = (struct event){
		.fd = vhost->channel, .events = EPOLLIN, .fn = on_said, .opaque = r
	};
	vdev->host_features &= ~NOT_OFFERED & (vhost->features | ~RING_FEATURES);
	ret = make_calls(r, vdev->nr_queues);
	if (!ret)
		ret = vhost_rings_watch(r, true);
	if (!ret)
		return 0;
	err("%s: cannot watch its back end: %s", vdev->name, strerror(-ret));
	vhost->changed = NULL;
	vhost_rings_fini(r);
	return ret;
}

/* Devices that give all their queues away */

static struct vhost_rings *rings_of(struct virtio_device *vdev)
{
	return &container_of(vdev, struct vhost_device, vdev)->rings;
}

void vhost_device_started(struct virtio_device *vdev, u16 q)
{
	vhost_rings_started(rings_of(vdev), q);
}

bool vhost_device_run(struct virtio_device *vdev, u16 q)
{
	return vhost_rings_run(rings_of(vdev), q);
}

bool vhost_device_stopped(struct virtio_device *vdev, u16 q)
{
	return vhost_rings_stopped(rings_of(vdev), q);
}

void vhost_device_calls(struct virtio_device *vdev)
{
	vhost_rings_calls(rings_of(vdev));
}

int vhost_device_watch(struct virtio_device *vdev, bool on)
{
	return vhost_rings_watch(rings_of(vdev), on);
}

void vhost_device_finish(struct virtio_device *vdev)
{
	vhost_rings_finish(rings_of(vdev));
}

void vhost_device_detach(struct virtio_device *vdev)
{
	vhost_rings_detach(rings_of(vdev));
}

void vhost_device_destroy(struct virtio_device *vdev)
{
	vhost_rings_fini(rings_of(vdev));
	free(container_of(vdev, struct vhost_device, vdev));
}

int vhost_device_new(struct vm *vm, struct vhost *vhost, const struct virtio_ops *ops,
		     const char *kind, u32 index, u64 features, u16 nr_queues, u16 queue_size,
		     struct vhost_device **out)
{
	struct vhost_device *d = xcalloc(1, sizeof(*d));
	int ret;

	ret = virtio_init(&d->vdev, vm, ops, kind, index, features & vhost->features, nr_queues,
			  queue_size, NULL);
	if (!ret) {
		ret = vhost_rings_init(&d->rings, &d->vdev, vhost);
		if (ret)
			virtio_fini(&d->vdev);
	}
	if (ret)
		free(d);
	else
		*out = d;
	return ret;
}
