/* SPDX-License-Identifier: MIT */
/* What stands behind a virtio-net device: packets with a virtio_net_hdr_v1 in front. */
#ifndef LKVM_NET_H
#define LKVM_NET_H

#include <sys/types.h>
#include <sys/uio.h>

#include "lkvm/types.h"

struct net_config;
struct net_backend;

#define NET_HDR_LEN 12 /* struct virtio_net_hdr_v1 */

struct net_backend_ops {
	/* One packet, header in front. Bytes moved; -EAGAIN: wait for poll_fd or room_fd; -EIO,
	 * -ENETDOWN: the interface is down, and room_fd tells when it is up; -EBADFD, -ENODEV: it
	 * was removed; other -errno: the packet is dropped. */
	ssize_t (*readv)(struct net_backend *nb, const struct iovec *iov, int count);
	ssize_t (*writev)(struct net_backend *nb, const struct iovec *iov, int count);
	/* The offloads that the guest accepted (TUN_F_*). */
	int (*set_offloads)(struct net_backend *nb, u32 tun_f);
	void (*close)(struct net_backend *nb);
};

struct net_backend {
	const struct net_backend_ops *ops;
	int poll_fd; /* readable when a packet waits; -1: never */
	/* Writable when a packet may be sent; -1: always. A descriptor of its own (dup): either may
	 * be watched in any loop, both in one. */
	int room_fd;
	u32 offloads;	  /* TUN_F_* that it can take from and give to the guest; 0: none */
	u16 mtu;	  /* 0: not said */
	const char *name; /* for messages */
};

/* Prints what is wrong (no such tap, busy, no permission); *out is owned by the caller
 * (ops->close). */
int net_backend_open(const struct net_config *cfg, struct net_backend **out) __must_check;

/*
 * net/mac.c: an address for card @index of the VM @name that is the same each time that this host
 * (or container, by its host name) runs it, and that another host's VM of the same name does not
 * have. @name NULL: another one each time.
 */
void net_make_mac(const char *name, u32 index, u8 mac[6]);

/* net/loopback.c: a network that gives back every packet, in order; for NET_LOOPBACK. */
int net_loopback_open(struct net_backend **out) __must_check;

#endif
