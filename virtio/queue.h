/* SPDX-License-Identifier: MIT */
/* The part of queue.c that only the registers' state machine (virtio.c) uses. */
#ifndef LKVM_VIRTIO_QUEUE_H
#define LKVM_VIRTIO_QUEUE_H

#include "lkvm/virtio.h"

/* Make @nr queues with their eventfds and loops, and start the threads. -errno: the caller calls
 * virtio_queues_fini. */
int virtio_queues_init(struct virtio_device *vdev, u16 nr, u16 size,
		       struct event_loop *loop) __must_check;
void virtio_queues_fini(struct virtio_device *vdev);

/* Under vdev->lock: say NEEDS_RESET, and stop serving (2.1.2). */
void virtio_set_needs_reset(struct virtio_device *vdev);
/* Serve an enabled queue. Under control. */
void virtio_start_queue(struct virtio_queue *q);
/* Under vdev->lock: from now on nothing is popped or pushed. What was not started is stopped at
 * once; for the rest virtio_stop_queue follows, under control, without the lock. */
void virtio_ask_stop(struct virtio_queue *q);
void virtio_stop_queue(struct virtio_queue *q);

#endif
