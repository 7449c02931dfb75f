/* SPDX-License-Identifier: MIT */
/*
 * Queues and the loops that serve them (see include/lkvm/virtio.h for who may do what).
 *
 * What the loop may do is decided under vdev->lock and told to it by two flags, may_pop and
 * may_push, which it reads without the lock at each request. Whoever wants more than that, namely
 * that the loop does nothing any more, makes a synchronous call on it, which comes between two runs
 * of a queue. Only where a run may wait for the host (ops->blocks) and one is under way, the call
 * is posted instead and nobody waits.
 */
#include "queue.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

/* A turn of one queue, before other events of its loop have theirs. (A packet of 64 KiB takes 43
 * receive buffers.) */
#define TURN_REQUESTS 48
#define TURN_BYTES    (4 * MiB)
/* Replies within so long are told to the driver together. */
#define GATHER_NS 50000

static void lock(struct virtio_device *vdev)
{
	pthread_mutex_lock(&vdev->lock);
}

static void unlock(struct virtio_device *vdev)
{
	pthread_mutex_unlock(&vdev->lock);
}

/* State, under vdev->lock */

static void update(struct virtio_queue *q)
{
	const struct virtio_device *vdev = q->vdev;
	bool on = q->started && !q->stopping && !(vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET);

	atomic_store(&q->may_push, on && !vdev->held);
	atomic_store(&q->may_pop, on && !vdev->held && !vdev->quiesced);
}

static void update_all(struct virtio_device *vdev)
{
	for (u16 i = 0; i < vdev->nr_queues; i++)
		update(&vdev->queues[i]);
}

void virtio_set_needs_reset(struct virtio_device *vdev)
{
	if (vdev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	vdev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	update_all(vdev);
	for (u16 i = 0; i < vdev->nr_queues; i++)
		if (vdev->queues[i].started)
			event_loop_post(vdev->queues[i].loop, &vdev->queues[i].drop_post);
	/* 2.1.2: a driver that was told DRIVER_OK learns of it by a configuration interrupt. */
	if ((vdev->status & VIRTIO_CONFIG_S_DRIVER_OK) && vdev->transport)
		vdev->transport->interrupt(vdev, -1);
}

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
	update(q);
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

/* Serving, on the loop */

/* What waited while the queue was held, as far as it may go out now. */
static void send_replies(struct virtio_queue *q)
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
	send_replies(q);
	do {
		virtq_disable_notify(&q->vq);
		empty = vdev->ops->queue_run(vdev, i);
	} while (empty && !q->exhausted && virtio_queue_live(vdev, i) &&
		 virtq_enable_notify(&q->vq));
	end_turn(q);
}

/* Nobody reads the eventfd: each write to it is an event of its own (EPOLLET). */
static void on_notify(void *opaque, u32 events)
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

void virtio_push_later(struct virtio_device *vdev, u16 i, const struct virtq_request *req, u32 len)
{
	struct virtio_queue *q = &vdev->queues[i];

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
	if (!q->signal_missed && vdev->transport)
		vdev->transport->interrupt(vdev, i);
	unlock(vdev);
}

void virtio_kick(struct virtio_device *vdev, u32 q)
{
	if (q < vdev->nr_queues)
		eventfd_raise(vdev->queues[q].notify.fd);
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
	update(q);
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
	update(q);
}

static void stop_on_loop(void *opaque)
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
static void drop_on_loop(void *opaque)
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
	update_all(vdev);
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
		send_replies(q);
		virtio_signal(vdev, q->vq.index);
	}
	quiet = !vdev->ops->queue_held || vdev->ops->queue_held(vdev, q->vq.index);
	lock(vdev);
	q->quiet = quiet;
	unlock(vdev);
}

/* The device is held: is anything still under way? See virtio_wait_held. */
static void still_on_loop(void *opaque)
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
	update_all(vdev);
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
	update_all(vdev);
	unlock(vdev);
	for (u16 i = 0; i < vdev->nr_queues; i++)
		eventfd_raise(vdev->queues[i].notify.fd);
}

/* Making and ending */

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
	q->stop_post = (struct event_post){ .fn = stop_on_loop, .opaque = q };
	q->drop_post = (struct event_post){ .fn = drop_on_loop, .opaque = q };
	q->hold_post = (struct event_post){ .fn = still_on_loop, .opaque = q };
	q->notify = (struct event){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.events = EPOLLIN | EPOLLET,
		.fn = on_notify,
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
