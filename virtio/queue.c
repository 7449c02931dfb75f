/* SPDX-License-Identifier: MIT */
/*
 * Serving queues on their loops (see include/lkvm/virtio.h for who may do what): turns, requests,
 * replies and interrupts. What the loop may do is told to it by two flags, may_pop and may_push,
 * which it reads without a lock at each request; who sets them is queue-stop.c.
 */
#include "queue.h"

#include "lkvm/log.h"
#include "lkvm/trace.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

/* A turn of one queue, before other events of its loop have theirs. (A packet of 64 KiB takes 43
 * receive buffers.) */
#define TURN_REQUESTS 48
#define TURN_BYTES    (4 * MiB)
/* Replies within so long are told to the driver together. */
#define GATHER_NS 50000

/* State, under vdev->lock */

void virtio_update_queue(struct virtio_queue *q)
{
	const struct virtio_device *vdev = q->vdev;
	bool on = q->started && !q->stopping && !(vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET);

	atomic_store(&q->may_push, on && !vdev->held);
	atomic_store(&q->may_pop, on && !vdev->held && !vdev->quiesced);
}

void virtio_update_queues(struct virtio_device *vdev)
{
	for (u16 i = 0; i < vdev->nr_queues; i++)
		virtio_update_queue(&vdev->queues[i]);
}

void virtio_set_needs_reset(struct virtio_device *vdev)
{
	if (vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	vdev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	virtio_update_queues(vdev);
	for (u16 i = 0; i < vdev->nr_queues; i++)
		if (vdev->queues[i].started)
			event_loop_post(vdev->queues[i].loop, &vdev->queues[i].drop_post);
	/* 2.1.2: a driver that was told DRIVER_OK learns of it by a configuration interrupt. */
	if ((vdev->status & VIRTIO_CONFIG_S_DRIVER_OK) && vdev->transport)
		vdev->transport->interrupt(vdev, -1);
}

/* Serving, on the loop */

void virtio_send_replies(struct virtio_queue *q)
{
	u16 done = 0;

	for (; done < q->nr_replies && atomic_load(&q->may_push); done++) {
		const struct virtio_reply *r = &q->replies[done];
		struct virtq_request req = { .head = r->head };

		/* Where there is no memory any more there is no driver that waits for it. */
		if (r->has_status && memory_write(q->vq.mem, r->status_gpa, &r->status, 1))
			guest_warn("%s: the memory of a reply is gone", q->vdev->name);
		if (r->last)
			virtq_push(&q->vq, &req, r->len);
		else
			virtq_push_later(&q->vq, &req, r->len);
	}
	q->nr_replies = (u16)(q->nr_replies - done);
	memmove(q->replies, q->replies + done, q->nr_replies * sizeof(*q->replies));
}

static bool begin_turn(struct virtio_queue *q)
{
	bool go;

	lock(q->vdev);
	go = atomic_load(&q->may_pop) && !q->serving;
	if (go)
		q->busy = true;
	unlock(q->vdev);
	if (!go)
		return false;
	q->serving = true;
	q->exhausted = false;
	q->budget = TURN_REQUESTS;
	q->budget_bytes = TURN_BYTES;
	q->signal_ns = now_ns();
	return true;
}

static void end_turn(struct virtio_queue *q)
{
	q->serving = false;
	virtio_signal(q->vdev, q->vq.index);
	if (q->exhausted)
		eventfd_raise(q->notify.fd);
	lock(q->vdev);
	q->busy = false;
	unlock(q->vdev);
}

void virtio_serve(struct virtio_device *vdev, u16 i)
{
	struct virtio_queue *q = &vdev->queues[i];
	bool empty;

	if (!begin_turn(q))
		return;
	virtio_send_replies(q);
	do {
		virtq_disable_notify(&q->vq);
		empty = vdev->ops->queue_run(vdev, i);
	} while (empty && !q->exhausted && virtio_queue_live(vdev, i) &&
		 virtq_enable_notify(&q->vq));
	end_turn(q);
}

void virtio_on_notify(void *opaque, u32 events)
{
	struct virtio_queue *q = opaque;

	virtio_serve(q->vdev, q->vq.index);
}

bool virtio_queue_live(struct virtio_device *vdev, u16 q)
{
	return atomic_load(&vdev->queues[q].may_pop);
}

/* Is there something left of this turn? There is always a next one. */
static bool spend(struct virtio_queue *q)
{
	if (!q->serving)
		return true;
	if (!q->budget || !q->budget_bytes) {
		q->exhausted = true;
		return false;
	}
	q->budget--;
	return true;
}

int virtio_pop(struct virtio_device *vdev, u16 i, struct virtq_request *req, struct iovec *iov,
	       unsigned int max)
{
	struct virtio_queue *q = &vdev->queues[i];
	int ret;

	if (!atomic_load(&q->may_pop) || !spend(q))
		return 0;
	ret = virtq_pop(&q->vq, req, iov, max);
	if (ret < 0 && ret != -E2BIG) {
		lock(vdev);
		virtio_set_needs_reset(vdev);
		unlock(vdev);
		return 0;
	}
	if (ret > 0 && trace_wants(vdev->vm->trace, TRACE_VIRTIO))
		trace_line(vdev->vm->trace, "virtio %s queue %u pop %u out %zu in %zu", vdev->name,
			   i, req->head, req->out_len, req->in_len);
	if (ret > 0)
		q->budget_bytes -= MIN(q->budget_bytes, req->out_len + req->in_len);
	return ret;
}

void virtio_unpop(struct virtio_device *vdev, u16 q, const struct virtq_request *req)
{
	virtq_unpop(&vdev->queues[q].vq, req);
}

/* The guest address of a byte of its RAM. */
static bool gpa_of(const struct guest_memory *mem, const u8 *host, u64 *gpa)
{
	const struct memory_region *r;

	memory_for_each(mem, r) {
		if (!r->hva || host < (u8 *)r->hva || host >= (u8 *)r->hva + r->size)
			continue;
		*gpa = r->gpa + (u64)(host - (u8 *)r->hva);
		return true;
	}
	return false;
}

/* May the reply @r, with its status at @where (or NULL), go out? If not it waits, or (the queue is
 * to stop) it is dropped. */
static bool may_reply(struct virtio_queue *q, struct virtio_reply r, const u8 *where)
{
	struct virtio_device *vdev = q->vdev;
	bool wait;

	if (atomic_load(&q->may_push) && !q->nr_replies)
		return true;
	lock(vdev);
	wait = q->started && !q->stopping && !(vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
	unlock(vdev);
	if (!wait || q->nr_replies == q->vq.size)
		return false;
	r.has_status = where && gpa_of(q->vq.mem, where, &r.status_gpa);
	q->replies[q->nr_replies++] = r;
	return false;
}

static void trace_push(const struct virtio_queue *q, const struct virtq_request *req, u32 len)
{
	if (trace_wants(q->vdev->vm->trace, TRACE_VIRTIO))
		trace_line(q->vdev->vm->trace, "virtio %s queue %u push %u len %u", q->vdev->name,
			   q->vq.index, req->head, len);
}

void virtio_push_later(struct virtio_device *vdev, u16 i, const struct virtq_request *req, u32 len)
{
	struct virtio_queue *q = &vdev->queues[i];

	trace_push(q, req, len);
	if (may_reply(q, (struct virtio_reply){ .head = req->head, .len = len }, NULL))
		virtq_push_later(&q->vq, req, len);
}

static void push(struct virtio_queue *q, const struct virtq_request *req, u32 len)
{
	virtq_push(&q->vq, req, len);
	if (q->serving && now_ns() - q->signal_ns > GATHER_NS)
		virtio_signal(q->vdev, q->vq.index);
}

void virtio_push(struct virtio_device *vdev, u16 i, const struct virtq_request *req, u32 len)
{
	struct virtio_queue *q = &vdev->queues[i];

	trace_push(q, req, len);
	if (may_reply(q, (struct virtio_reply){ .head = req->head, .last = true, .len = len },
		      NULL))
		push(q, req, len);
}

void virtio_push_status(struct virtio_device *vdev, u16 i, const struct virtq_request *req, u32 len,
			u8 *where, u8 status)
{
	struct virtio_queue *q = &vdev->queues[i];
	const struct virtio_reply r = {
		.head = req->head, .last = true, .len = len, .status = status
	};

	trace_push(q, req, len);
	if (!may_reply(q, r, where))
		return;
	*where = status;
	push(q, req, len);
}

void virtio_signal(struct virtio_device *vdev, u16 i)
{
	struct virtio_queue *q = &vdev->queues[i];

	if (q->serving)
		q->signal_ns = now_ns();
	if (!atomic_load(&q->may_push))
		return;
	if (!virtq_should_signal(&q->vq) && !q->signal_missed)
		return;
	lock(vdev);
	/* Held since the look above: then the driver hears of it when it is let go. */
	q->signal_missed = !atomic_load(&q->may_push);
	if (!q->signal_missed && trace_wants(vdev->vm->trace, TRACE_VIRTIO))
		trace_line(vdev->vm->trace, "virtio %s queue %u interrupt", vdev->name, i);
	if (!q->signal_missed && vdev->transport)
		vdev->transport->interrupt(vdev, i);
	unlock(vdev);
}

void virtio_kick(struct virtio_device *vdev, u32 q)
{
	if (q < vdev->nr_queues)
		eventfd_raise(vdev->queues[q].notify.fd);
}
