/* SPDX-License-Identifier: MIT */
/*
 * How queues start, stop and stand still (see include/lkvm/virtio.h).
 *
 * What the loop may do is decided under vdev->lock and told to it by may_pop and may_push. Whoever
 * wants more than that, namely that the loop does nothing any more, makes a synchronous call on it,
 * which comes between two runs of a queue. Only where a run may wait for the host (ops->blocks) and
 * one is under way, the call is posted instead and nobody waits.
 */
#include "lkvm/util.h"
#include "queue.h"

static bool any_started(const struct virtio_device *vdev)
{
	for (u16 i = 0; i < vdev->nr_queues; i++)
		if (vdev->queues[i].started)
			return true;
	return false;
}

/* The queue is the registers' again, and the reset that waited for the last one is complete. */
static void stopped(struct virtio_queue *q)
{
	struct virtio_device *vdev = q->vdev;

	virtq_reset(&q->vq);
	q->started = false;
	q->stopping = false;
	q->signal_missed = false;
	q->nr_replies = 0;
	virtio_update_queue(q);
	if (vdev->resetting && !any_started(vdev)) {
		if (vdev->ops->reset)
			vdev->ops->reset(vdev);
		if (vdev->transport && vdev->transport->reset)
			vdev->transport->reset(vdev);
		vdev->status = 0;
		vdev->features = 0;
		vdev->bad_features = false;
		vdev->own = 0;
		vdev->resetting = false;
	}
	pthread_cond_broadcast(&vdev->changed);
}

/* Starting and stopping */

static void start_on_loop(void *opaque)
{
	struct virtio_queue *q = opaque;
	struct virtio_device *vdev = q->vdev;

	if (vdev->ops->queue_started)
		vdev->ops->queue_started(vdev, q->vq.index);
	lock(vdev);
	q->started = true;
	q->quiet = true;
	virtio_update_queue(q);
	unlock(vdev);
	/* A driver may notify (and drivers do) before it sets DRIVER_OK: look once. */
	eventfd_raise(q->notify.fd);
}

void virtio_start_queue(struct virtio_queue *q)
{
	event_call_sync(q->loop, start_on_loop, q);
}

void virtio_ask_stop(struct virtio_queue *q)
{
	if (!q->started) {
		stopped(q);
		return;
	}
	q->stopping = true;
	virtio_update_queue(q);
}

void virtio_stop_on_loop(void *opaque)
{
	struct virtio_queue *q = opaque;
	struct virtio_device *vdev = q->vdev;
	bool done = !vdev->ops->queue_stopped || vdev->ops->queue_stopped(vdev, q->vq.index);

	lock(vdev);
	if (done && q->stopping)
		stopped(q);
	unlock(vdev);
}

/* NEEDS_RESET: the ring stays as it is for the driver to look at, but nothing is kept of it. */
void virtio_drop_on_loop(void *opaque)
{
	struct virtio_queue *q = opaque;
	struct virtio_device *vdev = q->vdev;
	bool drop;

	lock(vdev);
	drop = q->started && vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET;
	unlock(vdev);
	if (!drop || (vdev->ops->queue_stopped && !vdev->ops->queue_stopped(vdev, q->vq.index)))
		return;
	/* Nothing is left that a hold may have been waiting for. */
	lock(vdev);
	q->quiet = true;
	pthread_cond_broadcast(&vdev->changed);
	unlock(vdev);
}

/* Would a call on the loop of @q wait for the host? Under the lock. It does not begin to while
 * may_pop is off. */
static bool at_work(const struct virtio_queue *q)
{
	const struct virtio_device *vdev = q->vdev;

	for (u16 i = 0; i < vdev->nr_queues && vdev->ops->blocks; i++)
		if (vdev->queues[i].loop == q->loop && vdev->queues[i].busy)
			return true;
	return false;
}

/* Run @fn on the loop, and wait for it unless the loop waits for the host. */
static void call_loop(struct virtio_queue *q, struct event_post *post)
{
	bool later;

	lock(q->vdev);
	later = at_work(q);
	unlock(q->vdev);
	if (later)
		event_loop_post(q->loop, post);
	else
		event_call_sync(q->loop, post->fn, q);
}

void virtio_stop_queue(struct virtio_queue *q)
{
	bool stopping;

	lock(q->vdev);
	stopping = q->stopping;
	unlock(q->vdev);
	if (stopping)
		call_loop(q, &q->stop_post);
}

void virtio_queue_idle(struct virtio_device *vdev, u16 i)
{
	struct virtio_queue *q = &vdev->queues[i];

	lock(vdev);
	q->quiet = true;
	if (q->stopping)
		stopped(q);
	pthread_cond_broadcast(&vdev->changed);
	unlock(vdev);
}

bool virtio_queue_stopping(const struct virtio_device *vdev, u16 q)
{
	return vdev->queues[q].stopping;
}

bool virtio_queue_started(struct virtio_device *vdev, u16 i)
{
	const struct virtio_queue *q = &vdev->queues[i];
	bool yes;

	lock(vdev);
	yes = q->started && !q->stopping;
	unlock(vdev);
	return yes;
}

/* Holding back */

static void nothing(void *opaque) {}

void virtio_set_held(struct virtio_device *vdev, bool held)
{
	struct event_post pause = { .fn = nothing };

	lock(vdev);
	vdev->held = held;
	virtio_update_queues(vdev);
	unlock(vdev);
	for (u16 i = 0; i < vdev->nr_queues; i++) {
		struct virtio_queue *q = &vdev->queues[i];
		bool started, later;

		lock(vdev);
		started = q->started;
		later = at_work(q);
		unlock(vdev);
		if (started && !held)
			eventfd_raise(q->notify.fd);
		else if (started && !later) /* what it was doing is over then */
			event_call_sync(q->loop, pause.fn, q);
	}
}

static void hold_on_loop(void *opaque)
{
	struct virtio_queue *q = opaque;
	struct virtio_device *vdev = q->vdev;
	bool quiet;

	/* It was let go, and has had no turn since. */
	if (q->nr_replies) {
		virtio_send_replies(q);
		virtio_signal(vdev, q->vq.index);
	}
	quiet = !vdev->ops->queue_held || vdev->ops->queue_held(vdev, q->vq.index);
	lock(vdev);
	q->quiet = quiet;
	unlock(vdev);
}

/* The device is held: is anything still under way? See virtio_wait_held. */
void virtio_still_on_loop(void *opaque)
{
	struct virtio_queue *q = opaque;
	struct virtio_device *vdev = q->vdev;
	bool held;

	lock(vdev);
	held = vdev->held && q->started && !q->stopping;
	unlock(vdev);
	if (held)
		hold_on_loop(q);
	lock(vdev);
	q->quiet = q->quiet || !held;
	pthread_cond_broadcast(&vdev->changed);
	unlock(vdev);
}

void virtio_quiesce(struct virtio_device *vdev)
{
	lock(vdev);
	vdev->quiesced = true;
	virtio_update_queues(vdev);
	for (u16 i = 0; i < vdev->nr_queues; i++) {
		struct virtio_queue *q = &vdev->queues[i];

		if (!q->started)
			continue;
		unlock(vdev);
		event_call_sync(q->loop, hold_on_loop, q);
		lock(vdev);
		while (q->started && !q->quiet)
			pthread_cond_wait(&vdev->changed, &vdev->lock);
		unlock(vdev);
		/* After the last reply comes its interrupt. */
		event_call_sync(q->loop, nothing, NULL);
		lock(vdev);
	}
	unlock(vdev);
}

static void remap_on_loop(void *opaque)
{
	struct virtio_queue *q = opaque;

	lock(q->vdev);
	if (q->vq.enabled && virtq_remap(&q->vq))
		virtio_set_needs_reset(q->vdev);
	unlock(q->vdev);
}

void virtio_resume(struct virtio_device *vdev)
{
	/* Whether the loop serves it yet or not, this is the place where nobody else looks. */
	for (u16 i = 0; i < vdev->nr_queues; i++)
		event_call_sync(vdev->queues[i].loop, remap_on_loop, &vdev->queues[i]);
	lock(vdev);
	vdev->quiesced = false;
	virtio_update_queues(vdev);
	unlock(vdev);
	for (u16 i = 0; i < vdev->nr_queues; i++)
		eventfd_raise(vdev->queues[i].notify.fd);
}
