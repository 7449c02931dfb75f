/* SPDX-License-Identifier: MIT */
/*
 * Queues in three files: queue.c serves them, queue-stop.c starts, stops and holds them, and
 * queue-init.c makes them. What these and the registers' state machine (virtio.c) alone use.
 */
#ifndef LKVM_VIRTIO_QUEUE_H
#define LKVM_VIRTIO_QUEUE_H

#include "lkvm/virtio.h"

static inline void lock(struct virtio_device *vdev)
{
	pthread_mutex_lock(&vdev->lock);
}

static inline void unlock(struct virtio_device *vdev)
{
	pthread_mutex_unlock(&vdev->lock);
}

/* queue-init.c */

/* Make @nr queues with their eventfds and loops, and start the threads. -errno: the caller calls
 * virtio_queues_fini. */
int virtio_queues_init(struct virtio_device *vdev, u16 nr, u16 size,
		       struct event_loop *loop) __must_check;
void virtio_queues_fini(struct virtio_device *vdev);

/* queue.c */

/* Under vdev->lock: what the loop may do now follows from the state of queue and device. */
void virtio_update_queue(struct virtio_queue *q);
void virtio_update_queues(struct virtio_device *vdev);
/* On the loop: what waited while the queue was held, as far as it may go out now. */
void virtio_send_replies(struct virtio_queue *q);
/* The handler of queue.notify. Nobody reads the eventfd: each write to it is an event of its own
 * (EPOLLET). */
void virtio_on_notify(void *opaque, u32 events);
/* Under vdev->lock: say NEEDS_RESET, and stop serving (2.1.2). */
void virtio_set_needs_reset(struct virtio_device *vdev);

/* queue-stop.c */

/* The handlers of queue.stop_post, drop_post and hold_post. */
void virtio_stop_on_loop(void *opaque);
void virtio_drop_on_loop(void *opaque);
void virtio_still_on_loop(void *opaque);
/* Serve an enabled queue. Under control. */
void virtio_start_queue(struct virtio_queue *q);
/* Under vdev->lock: from now on nothing is popped or pushed. What was not started is stopped at
 * once; for the rest virtio_stop_queue follows, under control, without the lock. */
void virtio_ask_stop(struct virtio_queue *q);
void virtio_stop_queue(struct virtio_queue *q);

#endif
