/* SPDX-License-Identifier: MIT */
/*
 * The event queue of virtio-vsock (VIRTIO 1.3, 5.10.6.7), whoever serves the others: a driver that
 * was loaded has connections that are not here, and maybe another address. All on the device's loop
 * but the address at first.
 */
#ifndef LKVM_VIRTIO_VSOCK_EVENT_H
#define LKVM_VIRTIO_VSOCK_EVENT_H

#include <linux/virtio_vsock.h>

#include "lkvm/virtio.h"

#ifndef VIRTIO_VSOCK_F_STREAM
#define VIRTIO_VSOCK_F_STREAM 0 /* 5.10.3, not in older headers */
#endif
#ifndef VIRTIO_VSOCK_F_SEQPACKET
#define VIRTIO_VSOCK_F_SEQPACKET 1
#endif

enum { VSOCK_RX, VSOCK_TX, VSOCK_EVENT, VSOCK_QUEUES };

struct vsock_events {
	u64 cid;
	bool driven;	 /* since the device was made, or its last reset */
	bool tell_reset; /* TRANSPORT_RESET is due */
};

/* The device has been made for @cid: the driver finds it there. */
void vsock_events_init(struct virtio_device *vdev, struct vsock_events *e, u64 cid);
/* A queue has started: the driver has. */
void vsock_events_started(struct virtio_device *vdev, struct vsock_events *e);
/* ops->queue_run of the queue VSOCK_EVENT. */
bool vsock_events_run(struct virtio_device *vdev, struct vsock_events *e);
void vsock_events_reset(struct vsock_events *e);

#endif
