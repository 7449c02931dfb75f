/* SPDX-License-Identifier: MIT */
/* A network card on a bench, over pairs of sockets; for tests of virtio/net*.c. */
#ifndef LKVM_TESTS_NET_PAIR_H
#define LKVM_TESTS_NET_PAIR_H

#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "lkvm/net.h"
#include "lkvm/util.h"
#include "virtio_rig.h"

enum { RX, TX, CTRL };

/* Looks, a tenth of a millisecond apart: minutes. */
#define HANG 3000000

#define MAX_PAIRS 3

struct sock_net {
	struct net_backend nb;
	int peer; /* the test's end */
	int peers[MAX_PAIRS];
	u32 tun_f;
	unsigned int sets, hdr_len, pairs;
	bool steers, reports;
	struct net_rss rss; /* if it does */
	u8 mac[6];
	int refuse; /* what it says to each of these */
};

static inline struct sock_net *to_sock(struct net_backend *nb)
{
	return container_of(nb, struct sock_net, nb);
}

static inline ssize_t sock_readv(struct net_queue *nq, const struct iovec *iov, int count)
{
	ssize_t n = readv(nq->poll_fd, iov, count);

	return n < 0 ? -errno : n;
}

static inline ssize_t sock_writev(struct net_queue *nq, const struct iovec *iov, int count)
{
	ssize_t n = writev(nq->poll_fd, iov, count);

	return n < 0 ? -errno : n;
}

static inline int sock_set_offloads(struct net_backend *nb, u32 tun_f)
{
	to_sock(nb)->tun_f = tun_f;
	to_sock(nb)->sets++;
	return 0;
}

static inline int sock_set_hdr_len(struct net_backend *nb, unsigned int len)
{
	to_sock(nb)->hdr_len = len;
	return -to_sock(nb)->refuse;
}

static inline int sock_use_pairs(struct net_backend *nb, u16 pairs)
{
	if (to_sock(nb)->refuse)
		return -to_sock(nb)->refuse;
	to_sock(nb)->pairs = pairs;
	return 0;
}

static inline int sock_steer(struct net_backend *nb, const struct net_rss *rss, bool report)
{
	struct sock_net *s = to_sock(nb);

	if (s->refuse)
		return -s->refuse;
	s->steers = rss;
	s->reports = report;
	if (rss)
		s->rss = *rss;
	return 0;
}

static inline int sock_set_mac(struct net_backend *nb, const u8 mac[6])
{
	memcpy(to_sock(nb)->mac, mac, 6);
	return -to_sock(nb)->refuse;
}

static inline void sock_close(struct net_backend *nb)
{
	struct sock_net *s = to_sock(nb);

	for (u16 i = 0; i < nb->nr_pairs; i++) {
		close(nb->pair[i].poll_fd);
		close(nb->pair[i].room_fd);
		if (i || s->peer >= 0)
			close(s->peers[i]);
	}
	free(s);
}

static const struct net_backend_ops sock_ops = {
	.readv = sock_readv,
	.writev = sock_writev,
	.set_offloads = sock_set_offloads,
	.set_hdr_len = sock_set_hdr_len,
	.use_pairs = sock_use_pairs,
	.steer = sock_steer,
	.set_mac = sock_set_mac,
	.close = sock_close,
};

static const u8 mac[6] = { 2, 0, 0, 1, 2, 3 };

static struct sock_net *pair; /* of the test that runs */

static inline void make_pair(struct sock_net *s, u16 i)
{
	int fds[2], room = MiB;

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, fds), 0);
	setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
	s->nb.pair[i] =
		(struct net_queue){ .nb = &s->nb, .poll_fd = fds[0], .room_fd = dup(fds[0]) };
	s->peers[i] = fds[1];
}

/* The back end alone. */
static inline struct sock_net *make_unlinked(struct rig *r, u16 pairs)
{
	struct sock_net *s = pair = xcalloc(1, sizeof(*s));

	rig_init(r);
	s->nb.ops = &sock_ops;
	s->nb.nr_pairs = pairs;
	for (u16 i = 0; i < pairs; i++)
		make_pair(s, i);
	s->peer = s->peers[0];
	s->nb.name = "pair";
	s->nb.mtu = 9000;
	s->nb.offloads = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
	s->nb.hash_types = 0x3f;
	return s;
}

static inline struct sock_net *make_pairs(struct rig *r, u16 pairs, struct virtio_device **vdev)
{
	struct sock_net *s = make_unlinked(r, pairs);

	assert_int_equal(virtio_net_new(&r->vm, &s->nb, mac, 0, vdev), 0);
	return s;
}

static inline struct sock_net *make(struct rig *r, struct virtio_device **vdev)
{
	return make_pairs(r, 1, vdev);
}

static inline struct sock_net *start_pairs(struct rig *r, u16 pairs, u64 without)
{
	struct virtio_device *vdev;
	struct sock_net *s = make_pairs(r, pairs, &vdev);

	/* Where there is one pair the control queue is the third, whatever could be. */
	rig_start(r, vdev,
		  virtio_offered(vdev) & ~without & ~BIT_ULL(VIRTIO_RING_F_EVENT_IDX) &
			  ~BIT_ULL(VIRTIO_NET_F_HASH_REPORT));
	return s;
}

static inline struct sock_net *start(struct rig *r, u64 without)
{
	return start_pairs(r, 1, without);
}

/* The device borrows its backend. */
static inline void stop(struct rig *r)
{
	rig_stop(r);
	sock_close(&pair->nb);
}

/* The device's thread does it: wait for the next used chain. The limit is for hangs. */
static inline int wait_used(struct rig *r, u16 q, u32 *len)
{
	for (int i = 0; i < HANG; i++) {
		int head = rig_used(r, q, len);

		if (head >= 0)
			return head;
		usleep(100);
	}
	fail_msg("nothing came back from queue %u", q);
	return -1;
}

/* The interrupt follows the used ring: let it. */
static inline void expect_irq(struct rig *r, u16 q)
{
	for (int i = 0; i < HANG; i++) {
		unsigned int irqs;

		virtio_lock(r->vdev);
		irqs = r->queue_irqs[q];
		virtio_unlock(r->vdev);
		if (irqs)
			return;
		usleep(100);
	}
	fail_msg("no interrupt of queue %u", q);
}

static inline void nothing(void *opaque) {}

/* What was on its way to the queue's loop has been seen there. */
static inline void settle(struct rig *r, u16 q)
{
	for (int i = 0; i < 3; i++)
		event_call_sync(r->vdev->queues[q].loop, nothing, NULL);
}

static inline void fill(u8 *p, size_t len, u8 seed)
{
	memset(p, 0, NET_HDR_LEN);
	for (size_t i = NET_HDR_LEN; i < len; i++)
		p[i] = (u8)(seed + i * 7 + i / 251);
}

static inline void check_received(struct rig *r, const u8 *sent, size_t len,
				  const struct rig_buf *bufs, unsigned int n)
{
	size_t done = 0;

	for (unsigned int i = 0; i < n; i++) {
		size_t skip = i ? 0 : NET_HDR_LEN;
		u32 used = 0;

		wait_used(r, RX, &used);
		assert_true(used <= bufs[i].len);
		assert_memory_equal(rig_ptr(r, bufs[i].gpa + skip), sent + done + skip,
				    used - skip);
		done += used;
	}
	assert_int_equal(done, len);
	assert_int_equal(get_le(rig_ptr(r, bufs[0].gpa + 10), 2), n);
	expect_irq(r, RX);
	assert_int_equal(rig_used(r, RX, NULL), -1);
}

/* 5.1.2: behind the pairs that the driver knows. */
static inline u16 ctrl_queue(const struct rig *r)
{
	bool pairs = virtio_has(r->vdev, VIRTIO_NET_F_MQ) || virtio_has(r->vdev, VIRTIO_NET_F_RSS);

	return pairs ? (u16)(2 * pair->nb.nr_pairs) : 2;
}

enum { CLASS_RX, CLASS_MAC, CLASS_VLAN, CLASS_ANNOUNCE, CLASS_MQ, CLASS_OFFLOADS };

#define CMD RIG_DATA

/* The answer to a command whose bytes are spread over buffers of @split each. */
static inline u8 command_in(struct rig *r, const void *data, size_t len, u32 split)
{
	struct rig_buf bufs[64];
	unsigned int n = 0;
	u8 *p = rig_ptr(r, CMD);

	memcpy(p, data, len);
	for (size_t at = 0; at < len; at += split)
		bufs[n++] = (struct rig_buf){ CMD + at, (u32)MIN(split, len - at), false };
	bufs[n++] = (struct rig_buf){ CMD + 0x8000, 1, true };
	p[0x8000] = 0xee;
	rig_add(r, ctrl_queue(r), bufs, n);
	rig_notify(r, ctrl_queue(r));
	assert_true(rig_used(r, ctrl_queue(r), NULL) >= 0);
	return p[0x8000];
}

static inline u8 ctrl(struct rig *r, u8 class, u8 cmd, const void *data, size_t len)
{
	u8 bytes[8192] = { class, cmd };

	if (len)
		memcpy(bytes + 2, data, len);
	return command_in(r, bytes, 2 + len, 4096);
}

static inline u8 ctrl_number(struct rig *r, u8 class, u8 cmd, u64 number, size_t len)
{
	u8 bytes[8];

	put_le(bytes, 8, number);
	return ctrl(r, class, cmd, bytes, len);
}

#endif
