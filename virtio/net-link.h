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

/* Who found it down; it is up when nobody does. */
enum net_link_side { NET_LINK_RX = BIT(0), NET_LINK_TX = BIT(1), NET_LINK_GONE = BIT(2) };

struct net_link {
	struct virtio_device *vdev;
	const char *name; /* of the interface */
	pthread_mutex_t lock;
	u32 down; /* enum net_link_side, under lock */
	atomic_bool gone;
};

/* @vdev's configuration and @name are borrowed. */
void net_link_init(struct net_link *l, struct virtio_device *vdev, const char *name);
void net_link_destroy(struct net_link *l);
/* What an error of the backend says of the interface. */
bool net_link_is_removed(int error);
bool net_link_is_down(int error);
void net_link_set(struct net_link *l, enum net_link_side side, bool down);
/* Tell the driver what is known; its configuration may be that of a state that was loaded. */
void net_link_refresh(struct net_link *l);
/* For good. */
void net_link_set_gone(struct net_link *l, int error);

#endif
