/* SPDX-License-Identifier: MIT */
/* Making and ending of queues, with the eventfds and loops that serve them. */
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "queue.h"

static int init_queue(struct virtio_device *vdev, u16 i, u16 size, struct event_loop *loop)
{
	struct virtio_queue *q = &vdev->queues[i];

	q->vdev = vdev;
	q->loop = loop;
	q->vq.mem = &vdev->vm->mem;
	q->vq.name = vdev->name;
	q->vq.index = i;
	q->vq.max_size = size;
	virtq_reset(&q->vq);
	q->stop_post = (struct event_post){ .fn = virtio_stop_on_loop, .opaque = q };
	q->drop_post = (struct event_post){ .fn = virtio_drop_on_loop, .opaque = q };
	q->hold_post = (struct event_post){ .fn = virtio_still_on_loop, .opaque = q };
	q->notify = (struct event){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.events = EPOLLIN | EPOLLET,
		.fn = virtio_on_notify,
		.opaque = q,
	};
	if (q->notify.fd < 0)
		return -errno;
	vdev->nr_queues++;
	/* As many as can be in flight. */
	q->replies = xcalloc(size, sizeof(*q->replies));
	return event_add(loop, &q->notify);
}

static int init_loops(struct virtio_device *vdev, u16 nr)
{
	vdev->loops = xcalloc(nr, sizeof(*vdev->loops));
	for (u16 i = 0; i < nr; i++) {
		int ret = event_loop_init(&vdev->loops[i], vdev->name);

		if (ret)
			return ret;
		vdev->nr_loops++;
		ret = event_loop_start_thread(&vdev->loops[i]);
		if (ret)
			return ret;
	}
	return 0;
}

static void end_loops(struct virtio_device *vdev)
{
	for (u16 i = 0; i < vdev->nr_loops; i++)
		event_loop_destroy(&vdev->loops[i]);
	free(vdev->loops);
	vdev->loops = NULL;
	vdev->nr_loops = 0;
}

int virtio_queues_init(struct virtio_device *vdev, u16 nr, u16 size, struct event_loop *loop)
{
	u16 nr_loops = vdev->ops->nr_loops ? MIN(vdev->ops->nr_loops, nr) : nr;
	int ret = loop ? 0 : init_loops(vdev, nr_loops);

	vdev->queues = xcalloc(nr, sizeof(*vdev->queues));
	for (u16 i = 0; i < nr && !ret; i++)
		ret = init_queue(vdev, i, size, loop ? loop : &vdev->loops[i % nr_loops]);
	return ret;
}

/* Nothing of the queue runs any more once this is over, also where the loop lives on. */
static void detach(void *opaque)
{
	struct virtio_queue *q = opaque;

	event_del(&q->notify);
	event_loop_unpost(q->loop, &q->stop_post);
	event_loop_unpost(q->loop, &q->drop_post);
	event_loop_unpost(q->loop, &q->hold_post);
}

void virtio_queues_fini(struct virtio_device *vdev)
{
	for (u16 i = 0; i < vdev->nr_queues; i++)
		event_call_sync(vdev->queues[i].loop, detach, &vdev->queues[i]);
	end_loops(vdev);
	for (u16 i = 0; i < vdev->nr_queues; i++) {
		close(vdev->queues[i].notify.fd);
		free(vdev->queues[i].replies);
	}
	free(vdev->queues);
	vdev->queues = NULL;
	vdev->nr_queues = 0;
}

int virtio_use_loop(struct virtio_device *vdev, struct event_loop *loop)
{
	int ret = vdev->ops->watch ? vdev->ops->watch(vdev, false) : 0;

	for (u16 i = 0; i < vdev->nr_queues; i++)
		event_call_sync(vdev->queues[i].loop, detach, &vdev->queues[i]);
	end_loops(vdev);
	for (u16 i = 0; i < vdev->nr_queues && !ret; i++) {
		vdev->queues[i].loop = loop;
		ret = event_add(loop, &vdev->queues[i].notify);
	}
	return ret || !vdev->ops->watch ? ret : vdev->ops->watch(vdev, true);
}
