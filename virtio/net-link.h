/* SPDX-License-Identifier: MIT */
/*
 * The link of a network card, as its driver sees it: it follows the host's interface, down and up
 * again, until that is removed. Both of the card's loops tell what they find.
 */
#ifndef LKVM_NET_LINK_H
#define LKVM_NET_LINK_H

#include <pthread.h>
#include <stdatomic.h>

#include "lkvm/types.h"

struct virtio_device;

/* Who found it down: a receiver, a sender, whoever saw the interface go, the host's news of it. It
 * is up when nobody does. */
#define NET_LINK_RX(pair) BIT_ULL(2 * (pair))
#define NET_LINK_TX(pair) BIT_ULL(2 * (pair) + 1)
#define NET_LINK_GONE	  BIT_ULL(63)
#define NET_LINK_HOST	  BIT_ULL(62)

struct net_link {
	struct virtio_device *vdev;
	const char *name; /* of the interface */
	pthread_mutex_t lock;
	u64 down;	      /* NET_LINK_*; under lock */
	atomic_bool announce; /* the driver is asked to announce itself (5.1.6.5.4) */
	atomic_bool gone;
};

/* @vdev's configuration and @name are borrowed. */
void net_link_init(struct net_link *l, struct virtio_device *vdev, const char *name);
void net_link_destroy(struct net_link *l);
/* What an error of the backend says of the interface. */
bool net_link_is_removed(int error);
bool net_link_is_down(int error);
void net_link_set(struct net_link *l, u64 side, bool down);
/* Ask the driver to announce its addresses to the network, or (it did) not any more. */
void net_link_announce(struct net_link *l, bool announce);
/* Tell the driver what is known; its configuration may be that of a state that was loaded. */
void net_link_refresh(struct net_link *l);
/* How it is before the guest is there. */
void net_link_begin(struct net_link *l, bool down);
/* For good. */
void net_link_set_gone(struct net_link *l, int error);

#endif
