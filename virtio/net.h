/* SPDX-License-Identifier: MIT */
/*
 * Between the files of virtio-net: net.c has the device, the sender and the control queue, net-rx.c
 * the receiver, net-link.c the link.
 */
#ifndef LKVM_VIRTIO_NET_H
#define LKVM_VIRTIO_NET_H

#include <limits.h>

#include "lkvm/net.h"
#include "lkvm/util.h"
#include "lkvm/virtio.h"
#include "net-link.h"

enum { RX, TX, CTRL, NR_QUEUES };

#define QUEUE_SIZE 256
/* An IP packet of 64 KiB after an Ethernet header with two VLAN tags. */
#define MAX_PACKET (NET_HDR_LEN + 65536 + 22)
/* Receive buffers taken from the ring at once; MAX_PACKET needs 43 of 1.5 KiB. */
#define RX_BUFS QUEUE_SIZE

/* A receive buffer that was popped and waits for a packet. */
struct rx_buf {
	struct virtq_request req;
	u16 nr_iov;
	size_t len;
};

struct virtio_net {
	struct virtio_device vdev;
	struct net_backend *nb;
	struct net_link link;

	/* The receiver's. */
	bool begun;  /* DRIVER_OK was seen; a queue that comes back after its reset loses nothing */
	bool driven; /* ... and by an earlier driver too */
	struct event rx_ev; /* of nb->poll_fd, in the loop until the backend is gone */
	struct rx_buf bufs[RX_BUFS];
	unsigned int nr_bufs;
	struct iovec iov[IOV_MAX]; /* of bufs[], one after the other; one entry stays free */
	unsigned int nr_iov;
	size_t room; /* bytes in bufs[] */
	/* A packet longer than the buffers at hand (all after the first @spilled_at bytes is in
	 * spill) that waits for more of them; 0: none. */
	size_t pending;
	size_t spilled_at;
	u8 spill[MAX_PACKET];
	struct iovec ctrl_iov[VIRTQ_MAX_SEGS];
	unsigned int rx_errors;	     /* in a row */
	bool rx_waits;		     /* there were many: until @rx_retry */
	struct event_timer rx_retry; /* in the receiver's loop as long as rx_ev is */

	/* The sender's. */
	struct event tx_ev; /* of nb->room_fd */
	bool tx_blocked;    /* the backend is full: wait until it takes more */
	bool tx_down;	    /* the interface is down: packets are dropped until it takes some */
	struct iovec tx_iov[VIRTQ_MAX_SEGS];
};

static inline struct virtio_net *virtio_to_net(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_net, vdev);
}

/* Wait for nothing that could not be handled: a level-triggered event would come at once again. */
static inline void net_watch_fd(struct virtio_net *net, struct event *ev, u32 events)
{
	if (atomic_load(&net->link.gone))
		event_del(ev);
	else if (ev->loop)
		event_mod(ev, events);
}

/* net-rules.c */
extern const struct virtio_feature_rule net_rules[];

/* net-rx.c, all on the receiver's loop. */
bool net_rx_run(struct virtio_net *net);
void net_on_rx(void *opaque, u32 events);
void net_on_rx_retry(void *opaque);
/* Every buffer goes back, unread. A packet that lies in some of them in part moves to our own. */
void net_rx_give_back(struct virtio_net *net);

#endif
