/* SPDX-License-Identifier: MIT */
/*
 * Between the files of virtio-net: net.c has the device, net-rx.c the receivers, net-tx.c the
 * senders, net-ctrl.c the control queue, net-filter.c who wants which packet, net-hash.c the report
 * of hashes, net-pairs.c what they share, net-link.c the link.
 *
 * Each direction of each pair of queues has a loop of its own. What the driver asked for by
 * commands (struct net_rules) is changed with the locks of all receivers held, and a receiver holds
 * its own for each packet: when a command is acknowledged no packet is under way by the old rules.
 *
 * Where the host's kernel moves the packets (nb->vhost) the queues of the pairs in use are given to
 * it, and there is one loop, for commands. Which packets the driver wants is not looked at then,
 * as 5.1.6.5.1 to 5.1.6.5.3 allow.
 */
#ifndef LKVM_VIRTIO_NET_H
#define LKVM_VIRTIO_NET_H

#include <limits.h>
#include <linux/virtio_net.h>
#include <pthread.h>

#include "lkvm/flow.h"
#include "lkvm/net.h"
#include "lkvm/util.h"
#include "lkvm/virtio.h"
#include "net-link.h"
#include "vhost.h"

#define QUEUE_SIZE 256
/* An IP packet of 64 KiB after an Ethernet header with two VLAN tags. */
#define MAX_PACKET (NET_HDR_LEN_HASH + 65536 + 22)
/* Receive buffers taken from the ring at once; MAX_PACKET needs 43 of 1.5 KiB. */
#define RX_BUFS QUEUE_SIZE

/* A receive buffer that was popped and waits for a packet. */
struct rx_buf {
	struct virtq_request req;
	u16 nr_iov;
	size_t len;
};

/* Of one pair; everything but @lock is the loop's. */
struct net_rx {
	struct virtio_net *net;
	struct net_queue *nq;
	u16 pair, q; /* @q: the virtqueue */
	pthread_mutex_t lock;
	struct event ev; /* of nq->poll_fd, in the loop until the backend is gone */
	/* bufs[first_buf..+nr_bufs) and their iov[first_iov..+nr_iov), one after the other: they
	 * move to the front when the end is reached. One entry of iov stays free. */
	struct rx_buf bufs[2 * RX_BUFS];
	struct iovec iov[2 * IOV_MAX];
	unsigned int first_buf, nr_bufs, first_iov, nr_iov;
	size_t room; /* bytes in the buffers */
	/* Mergeable buffers are prepared for packets as long as the last ones were: what is longer
	 * is copied once. */
	size_t expect, longest;
	unsigned int until_look; /* packets until @expect shrinks to @longest */
	/* A packet longer than the buffers at hand (all after the first @spilled_at bytes is in
	 * spill) that waits for more of them; 0: none. */
	size_t pending;
	size_t spilled_at;
	u8 spill[MAX_PACKET];
	unsigned int errors;	  /* in a row */
	bool waits;		  /* there were many, or the limit is reached: until @retry */
	struct event_timer retry; /* in the loop as long as @ev is */
	/* The length of a packet is known when it was read: the next one pays for it. */
	u64 owed;
	bool paid;
};

struct net_tx {
	struct virtio_net *net;
	struct net_queue *nq;
	u16 pair, q;
	struct event ev; /* of nq->room_fd */
	bool blocked;	 /* the backend is full: wait until it takes more */
	bool waits;	 /* the limit is reached: until @retry */
	struct event_timer retry;
	bool down; /* the interface is down: packets are dropped until it takes some */
	struct iovec iov[VIRTQ_MAX_SEGS];
};

/* 5.1.6.5.1; all clear is what a device begins with. */
enum net_rx_mode {
	NET_RX_FILTER = BIT(0), /* not promiscuous */
	NET_RX_ALLMULTI = BIT(1),
	NET_RX_ALLUNI = BIT(2),
	NET_RX_NOMULTI = BIT(3),
	NET_RX_NOUNI = BIT(4),
	NET_RX_NOBCAST = BIT(5),
};

#define NET_MACS 64 /* of each table; of more, all are taken */

struct net_macs {
	u16 nr;	      /* up to NET_MACS */
	u16 too_many; /* there were more */
	u8 mac[NET_MACS][6];
};

/* What the driver asked for by commands; saved and loaded as these bytes. All zeroes after a
 * reset. */
struct net_rules {
	u8 mode;     /* enum net_rx_mode */
	u8 begun;    /* the driver is at work, so what is loaded has moved */
	u8 hashing;  /* rss.types and rss.key are set */
	u8 steering; /* and the rest of rss */
	u16 pairs;   /* that are in use; 0: one */
	u16 unused;
	struct net_macs uni, multi;
	u8 vlans[4096 / 8];
	struct net_rss rss;
};

struct virtio_net {
	struct virtio_device vdev;
	struct virtio_ops ops; /* as many loops as there are queues of packets */
	struct net_backend *nb;
	struct net_link link;
	struct event
		news; /* of it, on the first receiver's loop; without EPOLLIN while they wait */
	u16 nr_pairs;
	u32 hash_types;	     /* that are offered */
	atomic_ushort pairs; /* that are served: rules.pairs */
	atomic_bool begun;   /* DRIVER_OK was seen */
	atomic_bool moved;   /* it was loaded, and has not run since */
	bool driven;	     /* a driver was at work before; the first receiver's */
	u8 mac[6];	     /* the card's own, until the driver gives another */
	struct net_rules rules;
	struct toeplitz toeplitz; /* of rules.rss.key */
	struct rate_limit rx_limit, tx_limit;
	struct iovec ctrl_iov[VIRTQ_MAX_SEGS];
	struct vhost_rings rings; /* with nb->vhost */
	struct net_rx *rx;	  /* nr_pairs */
	struct net_tx *tx;
};

static inline struct virtio_net *virtio_to_net(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_net, vdev);
}

/* 5.1.6: the size of the header depends on what was agreed. */
static inline unsigned int net_hdr_len(const struct virtio_net *net)
{
	if (virtio_has(&net->vdev, VIRTIO_NET_F_HASH_REPORT))
		return NET_HDR_LEN_HASH;
	if (virtio_has(&net->vdev, VIRTIO_F_VERSION_1) ||
	    virtio_has(&net->vdev, VIRTIO_NET_F_MRG_RXBUF))
		return NET_HDR_LEN;
	return sizeof(struct virtio_net_hdr);
}

/* 5.1.2: without these there is one pair, whatever the device could. */
static inline bool net_has_pairs(const struct virtio_net *net)
{
	return virtio_has(&net->vdev, VIRTIO_NET_F_MQ) || virtio_has(&net->vdev, VIRTIO_NET_F_RSS);
}

/* net-pairs.c */

/* Wait for nothing that could not be handled: a level-triggered event would come at once again. */
void net_watch_fd(struct virtio_net *net, struct event *ev, u32 events);
/* An event says that the interface of @ev is gone; is it so, or has its pair no packets now? */
bool net_lost(struct virtio_net *net, struct event *ev, u16 pair, u32 events);
/* There may be news of the link; net_on_news: on the first receiver's loop. */
void net_read_news(struct virtio_net *net);
void net_on_news(void *opaque, u32 events);
/* Around a change of the rules. */
void net_rules_lock(struct virtio_net *net);
void net_rules_unlock(struct virtio_net *net);
/* With nb->vhost, on the loop: the rings of a pair are ours again. */
void net_take_back(struct virtio_net *net, u16 pair);
/* net-rules.c */
extern const struct virtio_feature_rule net_rules[];

/* net-rx.c, all on the receiver's loop. */
bool net_rx_run(struct net_rx *rx);
void net_on_rx(void *opaque, u32 events);
void net_on_rx_retry(void *opaque);
/* Forget every buffer. */
void net_rx_drop(struct net_rx *rx);
/* Every buffer goes back, unread. A packet that lies in some of them in part moves to our own. */
void net_rx_give_back(struct net_rx *rx);

/* net-tx.c, on the sender's loop. */
bool net_tx_run(struct net_tx *tx);
void net_on_tx(void *opaque, u32 events);
void net_on_tx_retry(void *opaque);
void net_tx_drop(struct net_tx *tx);

/* net-ctrl.c, on the loop of the control queue. */
bool net_ctrl_run(struct virtio_net *net, u16 q);
/* Bring the rules to the back end; on the first receiver's loop, before it begins. */
void net_ctrl_begin(struct virtio_net *net);
/* The bits of VIRTIO_NET_F_GUEST_*, and of VIRTIO_NET_F_HOST_*, that offloads TUN_F_* stand for. */
u64 net_offload_features(u32 tun_f);
/* Are rules that are loaded whole? */
bool net_rules_valid(const struct virtio_net *net, const struct net_rules *rules);

/* net-hash.c: the packet begins in @iov. The caller holds a receiver's lock. */
void net_hash_report(const struct virtio_net *net, const struct iovec *iov, unsigned int count);

/* net-filter.c: does the driver want the packet that begins in @iov, its header first? The caller
 * holds a receiver's lock. */
bool net_wanted(const struct virtio_net *net, const struct iovec *iov, unsigned int count);

#endif
