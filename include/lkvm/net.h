/* SPDX-License-Identifier: MIT */
/*
 * What stands behind a virtio-net device: packets with a header of virtio's in front (VIRTIO 1.3,
 * 5.1.6), on one pair of queues or several.
 */
#ifndef LKVM_NET_H
#define LKVM_NET_H

#include <sys/types.h>
#include <sys/uio.h>

#include "lkvm/rate.h"
#include "lkvm/types.h"

struct event_loop;
struct net_backend;
struct net_config;
struct vhost;

#define NET_HDR_LEN	 12 /* struct virtio_net_hdr_v1: what a back end begins with */
#define NET_HDR_LEN_HASH 20 /* struct virtio_net_hdr_v1_hash */
#define NET_MAX_PAIRS	 16

/* One pair of queues: packets come out of it and go into it, in one thread each. */
struct net_queue {
	struct net_backend *nb;
	int poll_fd; /* readable when a packet waits; -1: never */
	/* Writable when a packet may be sent; -1: always. A descriptor of its own (dup): either may
	 * be watched in any loop, both in one. */
	int room_fd;
};

#define NET_RSS_KEY   40
#define NET_RSS_TABLE 128

/* Which packet goes to which pair (5.1.6.5.6.3): by a hash over those fields of it that @types
 * (VIRTIO_NET_RSS_HASH_TYPE_*) names. */
struct net_rss {
	u32 types;
	u16 mask;	  /* entries of @table, less one; a power of two less one */
	u16 unclassified; /* the pair of packets that have no hash */
	u16 table[NET_RSS_TABLE];
	u8 key[NET_RSS_KEY];
};

/* On any thread, one call at a time but for readv and writev. All but readv, writev and close may
 * be NULL. */
struct net_backend_ops {
	/* One packet, header in front. Bytes moved; -EAGAIN: wait for poll_fd or room_fd; -EIO,
	 * -ENETDOWN: the interface is down, and room_fd tells when it is up; -EBADFD, -ENODEV: it
	 * was removed; other -errno: the packet is dropped. */
	ssize_t (*readv)(struct net_queue *nq, const struct iovec *iov, int count);
	ssize_t (*writev)(struct net_queue *nq, const struct iovec *iov, int count);
	/* The offloads that the guest accepted (TUN_F_*); NULL: there are none. */
	int (*set_offloads)(struct net_backend *nb, u32 tun_f);
	/* Headers are of @len bytes from now on, beginning with those of NET_HDR_LEN (or 10). NULL:
	 * it has NET_HDR_LEN for good. */
	int (*set_hdr_len)(struct net_backend *nb, unsigned int len);
	/* Give packets to the first @pairs pairs alone; it begins with one. Those of the others
	 * report EPOLLERR meanwhile. NULL: it has one. */
	int (*use_pairs)(struct net_backend *nb, u16 pairs);
	/* Choose the pair by @rss; NULL: as the back end thinks best. @rss is copied. @report,
	 * where it @reports: write what it chose by into headers, which are of NET_HDR_LEN_HASH. */
	int (*steer)(struct net_backend *nb, const struct net_rss *rss, bool report);
	/* The guest changed its address. */
	int (*set_mac)(struct net_backend *nb, const u8 mac[6]);
	/* The link is, by all news that has come: 1 up, 0 down; -errno: nobody tells. NULL: there
	 * is never news. */
	int (*link)(struct net_backend *nb);
	/* The machine ends, and maybe the process with it: what close does that others see. */
	void (*finish)(struct net_backend *nb);
	void (*close)(struct net_backend *nb);
};

struct net_backend {
	const struct net_backend_ops *ops;
	struct net_queue pair[NET_MAX_PAIRS];
	int link_fd;	/* with ops->link: readable when there is news; -1: never */
	u16 nr_pairs;	/* at least 1 */
	u32 offloads;	/* TUN_F_* that it can take from and give to the guest; 0: none */
	u32 hash_types; /* that steer can tell apart; 0: it cannot steer */
	bool reports;	/* steer can have the hashes reported */
	u16 mtu;	/* 0: not said */
	u32 speed;	/* Mbit/s; 0: not known */
	bool has_mac;	/* the guest's card should have this one */
	u8 mac[6];
	struct rate_config rx_rate, tx_rate; /* that the card keeps to; packets are operations */
	const char *name;		     /* for messages */
	/* Who moves the packets in place of readv and writev, and of limits; its own. NULL: nobody.
	 */
	struct vhost *vhost;
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

/*
 * net/user.c: start passt for a card. It is looked after in @loop, the main
 * one; it ends with the back end. Prints. net_user_wrap is the same over the socket @fd to one that
 * runs; it takes @fd, on failure too.
 */
int net_user_open(const struct net_config *cfg, struct event_loop *loop,
		  struct net_backend **out) __must_check;
int net_user_wrap(int fd, struct net_backend **out) __must_check;

/* net/loopback.c: a network that gives back every packet, in order; for NET_LOOPBACK. */
int net_loopback_open(struct net_backend **out) __must_check;

#endif
