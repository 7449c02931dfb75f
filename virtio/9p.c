/* SPDX-License-Identifier: MIT */
/*
 * The 9P transport of virtio (VIRTIO 1.3, 5.9; Linux's net/9p/trans_virtio.c): one queue, whose
 * requests are a message and the room for its answer each. What they say is fs/'s; here they
 * travel.
 *
 * When the queue stops, the session is over: whatever drives it next begins with a version. When it
 * is held, what the host has not begun goes back into the ring.
 */
#include <linux/virtio_9p.h>
#include <stdlib.h>

#include "lkvm/fs.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/virtio.h"
#include "lkvm/vm.h"

/* Linux's driver counts on so many. */
#define QUEUE_SIZE 128u
/* struct virtio_9p_config: the length of the tag, and the tag. */
#define TAG_MAX	   255u
#define CONFIG_LEN (2 + TAG_MAX)

struct virtio_9p;

struct request {
	struct p9_request p9;
	struct virtio_9p *dev;
	struct request *next; /* of those that are free */
	u64 number;	      /* counts the pops of this queue */
	u16 head;
	struct iovec iov[P9_MAX_SEGS];
};

struct virtio_9p {
	struct virtio_device vdev;
	struct share *share; /* borrowed */
	struct p9 *p9;	     /* on the queue's loop */

	/* The rest belongs to that loop. */
	bool stopped, idle_awaited;
	u64 popped; /* requests that the ring gave and did not get back */
	struct request *free;
	struct request requests[QUEUE_SIZE]; /* as many as can be in flight */
};

static struct virtio_9p *to_9p(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_9p, vdev);
}

static void free_request(struct request *r)
{
	r->next = r->dev->free;
	r->dev->free = r;
}

/* What a stop or a hold waits for has come back. */
static void check_idle(struct virtio_9p *dev)
{
	if (!dev->idle_awaited || p9_busy(dev->p9))
		return;
	dev->idle_awaited = false;
	if (dev->stopped)
		p9_reset(dev->p9);
	virtio_queue_idle(&dev->vdev, 0);
}

static void on_ended(void *opaque)
{
	struct virtio_9p *dev = opaque;

	virtio_signal(&dev->vdev, 0);
	/* Nothing here touches guest memory after this. */
	check_idle(dev);
}

static void on_done(struct p9_request *p9, int ret)
{
	struct request *r = container_of(p9, struct request, p9);
	struct virtq_request req = { .head = r->head };
	struct virtio_9p *dev = r->dev;

	if (!dev->stopped && ret == -EPROTO)
		virtio_broken(&dev->vdev, "a message has no header or no room for its answer");
	else if (!dev->stopped)
		virtio_push(&dev->vdev, 0, &req, ret < 0 ? 0 : (u32)ret);
	free_request(r);
}

static void submit(struct virtio_9p *dev, struct request *r, const struct virtq_request *req)
{
	r->number = dev->popped++;
	r->head = req->head;
	r->p9 = (struct p9_request){
		.out = virtq_out(req),
		.in = virtq_in(req),
		.nr_out = req->nr_out,
		.nr_in = req->nr_in,
		.out_len = req->out_len,
		.in_len = req->in_len,
		.done = on_done,
	};
	p9_submit(dev->p9, &r->p9);
}

static bool dev_run(struct virtio_device *vdev, u16 q)
{
	struct virtio_9p *dev = to_9p(vdev);
	struct virtq_request req;

	while (dev->free) {
		struct request *r = dev->free;
		/* 2.7.5.3.1: a chain is no longer than the queue. */
		int ret = virtio_pop(vdev, q, &req, r->iov, ARRAY_SIZE(r->iov));

		if (ret == -E2BIG)
			virtio_broken(vdev,
				      "a message has more buffers than the queue has entries");
		if (ret != 1)
			break;
		dev->free = r->next;
		submit(dev, r, &req);
	}
	p9_kick(dev->p9);
	return true;
}

static void dev_started(struct virtio_device *vdev, u16 q)
{
	to_9p(vdev)->stopped = false;
}

static bool dev_stopped(struct virtio_device *vdev, u16 q)
{
	struct virtio_9p *dev = to_9p(vdev);

	dev->stopped = true;
	p9_cancel(dev->p9);
	dev->idle_awaited = p9_busy(dev->p9) > 0;
	if (!dev->idle_awaited)
		p9_reset(dev->p9);
	return !dev->idle_awaited;
}

/* Those go back that the ring gave last and that wait; what else waits goes its way. */
static bool dev_held(struct virtio_device *vdev, u16 q)
{
	struct virtio_9p *dev = to_9p(vdev);
	struct p9_request *p9;

	while (!dev->stopped && (p9 = p9_take_back(dev->p9))) {
		struct request *r = container_of(p9, struct request, p9);
		struct virtq_request req = { .head = r->head };

		if (r->number != dev->popped - 1) {
			p9_submit(dev->p9, p9);
			break;
		}
		virtio_unpop(vdev, q, &req);
		dev->popped--;
		free_request(r);
	}
	p9_kick(dev->p9);
	dev->idle_awaited = p9_busy(dev->p9) > 0;
	return !dev->idle_awaited;
}

static int dev_may_save(struct virtio_device *vdev)
{
	struct virtio_9p *dev = to_9p(vdev);

	if (!p9_in_use(dev->p9))
		return 0;
	err("--9p %s: the guest has it mounted, and files of the host that are in use cannot be "
	    "saved; "
	    "unmount %s in the guest",
	    share_path(dev->share), share_tag(dev->share));
	return -EBUSY;
}

/* Making and ending */

static void close_session(void *opaque)
{
	struct virtio_9p *dev = opaque;

	dev->stopped = true;
	p9_close(dev->p9);
	dev->p9 = NULL;
}

static void dev_finish(struct virtio_device *vdev)
{
	p9_finish(to_9p(vdev)->p9);
}

static void dev_detach(struct virtio_device *vdev)
{
	/* Without one where virtio_init failed. */
	if (to_9p(vdev)->p9)
		event_call_sync(vdev->queues[0].loop, close_session, to_9p(vdev));
}

static void unwatch(void *opaque)
{
	int ret __maybe_unused = p9_use_loop(opaque, NULL);
}

static int dev_watch(struct virtio_device *vdev, bool on)
{
	struct p9 *p9 = to_9p(vdev)->p9;

	if (on)
		return p9_use_loop(p9, vdev->queues[0].loop);
	event_call_sync(vdev->queues[0].loop, unwatch, p9);
	return 0;
}

static void dev_destroy(struct virtio_device *vdev)
{
	free(to_9p(vdev));
}

static const struct virtio_ops dev_ops = {
	.id = VIRTIO_ID_9P,
	.pci_class = 0x0280, /* network controller, other: as other VMMs' */
	.blocks = true,
	.config_len = CONFIG_LEN,
	.queue_started = dev_started,
	.queue_run = dev_run,
	.queue_stopped = dev_stopped,
	.queue_held = dev_held,
	.may_save = dev_may_save,
	.finish = dev_finish,
	.watch = dev_watch,
	.detach = dev_detach,
	.destroy = dev_destroy,
};

int virtio_9p_new(struct vm *vm, struct share *share, u32 index, unsigned int workers,
		  struct virtio_device **out)
{
	struct virtio_9p *dev = xcalloc(1, sizeof(*dev));
	size_t len = strlen(share_tag(share));
	struct virtio_device *vdev = &dev->vdev;
	int ret;

	dev->share = share;
	for (u32 i = QUEUE_SIZE; i > 0; i--) {
		dev->requests[i - 1].dev = dev;
		free_request(&dev->requests[i - 1]);
	}
	ret = virtio_init(vdev, vm, &dev_ops, "virtio-9p", index, BIT_ULL(VIRTIO_9P_MOUNT_TAG), 1,
			  QUEUE_SIZE, NULL);
	if (ret)
		goto fail;
	put_le(vdev->config, 2, len);
	memcpy(vdev->config + 2, share_tag(share), MIN(len, (size_t)TAG_MAX));
	ret = p9_open(share, vdev->queues[0].loop, workers, on_ended, dev, &dev->p9);
	if (ret) {
		virtio_fini(vdev);
		goto fail;
	}
	*out = vdev;
	return 0;
fail:
	free(dev);
	return ret;
}

int virtio_9p_create(struct vm *vm, struct share *share, u32 index)
{
	struct virtio_device *vdev;
	int ret = virtio_9p_new(vm, share, index, P9_WORKERS, &vdev);

	return ret ? ret : virtio_attach_or_destroy(vdev);
}
