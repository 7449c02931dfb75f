/* SPDX-License-Identifier: MIT */
/*
 * virtio/net*.c behind each transport, over a network in memory. The first byte of the input: the
 * transport (fuzz_transport.h); bit 1, no offloads; bit 2, an MTU; bit 3, two pairs of queues; bit
 * 4, a limit; bit 5, fewer kinds of hashes.
 */
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define FV_QUEUES 5
#define FV_DATA	  0x3000u
#include "fuzz_virtio.h"
#include "lkvm/flow.h"
#include "lkvm/net.h"
#include "lkvm/util.h"

enum { RX, TX };

#define MAX_WAITING 8
#define MAX_LEN                                                                           \
	(NET_HDR_LEN_HASH + 65536 + 22) /* what virtio/net.c takes for the longest packet \
					 */

static struct mem_net {
	struct net_backend nb;
	u32 waiting[MAX_WAITING]; /* lengths of packets that came in */
	u32 nr_waiting;
	u32 full;      /* so many writes are told to wait */
	int read_err;  /* of the next read, 0: none */
	int write_err; /* of the next write */
	bool ending;   /* an error was put in that ends it */
	u16 pairs;     /* in use */
	unsigned int hdr_len;
} net;
static u8 packet[MAX_LEN];
static u32 checksum;

static void set_readable(bool readable)
{
	u64 count = 1;
	ssize_t n __maybe_unused = readable ? write(net.nb.pair[0].poll_fd, &count, sizeof(count))
					    : read(net.nb.pair[0].poll_fd, &count, sizeof(count));
}

static ssize_t mem_readv(struct net_queue *nq, const struct iovec *iov, int count)
{
	u32 len;
	int err = net.read_err;

	fz_check(count > 0 && count <= 1024);
	net.read_err = 0;
	if (err)
		return -err;
	if (!net.nr_waiting)
		return -EAGAIN;
	len = net.waiting[--net.nr_waiting];
	if (!net.nr_waiting)
		set_readable(false);
	return (ssize_t)iov_from_buf(iov, (unsigned int)count, 0, packet, len);
}

static ssize_t mem_writev(struct net_queue *nq, const struct iovec *iov, int count)
{
	size_t len = iov_len(iov, (unsigned int)count);
	int err = net.write_err;

	fz_check(count > 0 && count <= 1024);
	fz_check(len > 10 && len <= MAX_LEN);
	if (net.full) {
		net.full--;
		return -EAGAIN;
	}
	net.write_err = 0;
	if (err)
		return -err;
	for (int i = 0; i < count; i++)
		for (size_t j = 0; j < iov[i].iov_len; j++)
			checksum += ((const u8 *)iov[i].iov_base)[j];
	return (ssize_t)len;
}

static int mem_set_offloads(struct net_backend *nb, u32 tun_f)
{
	fz_check(!(tun_f & ~nb->offloads));
	return tun_f & TUN_F_TSO_ECN ? -EINVAL : 0;
}

static int mem_set_hdr_len(struct net_backend *nb, unsigned int len)
{
	fz_check(len == NET_HDR_LEN || len == NET_HDR_LEN_HASH || len == 10);
	net.hdr_len = len;
	return 0;
}

static int mem_use_pairs(struct net_backend *nb, u16 pairs)
{
	fz_check(pairs && pairs <= nb->nr_pairs);
	net.pairs = pairs;
	return 0;
}

static int mem_steer(struct net_backend *nb, const struct net_rss *rss, bool report)
{
	if (!rss)
		return 0;
	fz_check(!(rss->types & ~nb->hash_types) && rss->mask < NET_RSS_TABLE);
	for (u32 i = 0; i <= rss->mask; i++)
		fz_check(rss->table[i] < nb->nr_pairs);
	return 0;
}

static int mem_set_mac(struct net_backend *nb, const u8 mac[6])
{
	return mac[0] & 1 ? -EADDRNOTAVAIL : 0;
}

static void mem_close(struct net_backend *nb)
{
	for (u16 i = 0; i < nb->nr_pairs; i++) {
		close(nb->pair[i].poll_fd);
		close(nb->pair[i].room_fd);
	}
}

static const struct net_backend_ops mem_ops = {
	.readv = mem_readv,
	.writev = mem_writev,
	.set_offloads = mem_set_offloads,
	.set_hdr_len = mem_set_hdr_len,
	.use_pairs = mem_use_pairs,
	.steer = mem_steer,
	.set_mac = mem_set_mac,
	.close = mem_close,
};

/* A packet comes in. Its length: small, or anything up to what is possible. */
static void receive(struct fv *d, struct fz *f)
{
	u8 how = fz_u8(f);
	u32 len = how & 0x80 ? fz_u16(f) + 32u : how;

	if (net.nr_waiting == MAX_WAITING)
		return;
	net.waiting[net.nr_waiting++] = MIN(len, (u32)MAX_LEN);
	net.ending |= !len;
	set_readable(true);
	fz_pump(&d->v);
}

static u16 ctrl_queue(const struct fv *d)
{
	bool pairs = virtio_has(d->vdev, VIRTIO_NET_F_MQ) || virtio_has(d->vdev, VIRTIO_NET_F_RSS);

	return pairs ? (u16)(2 * net.nb.nr_pairs) : 2;
}

/* RSS as it ought to be, but for some bytes. */
static u32 rss_command(u8 *p, struct fz *f)
{
	u32 n = 1U << fz_u8(f) % 9, at = 8;

	put_le(p, 4, fz_u8(f));
	put_le(p + 4, 2, n - 1);
	put_le(p + 6, 2, fz_u8(f) % 3);
	for (u32 i = 0; i < n; i++, at += 2)
		put_le(p + at, 2, fz_u8(f) % 2);
	put_le(p + at, 2, fz_u8(f) % 4);
	p[at + 2] = fz_u8(f) % 42;
	return at + 3 + p[at + 2];
}

static void command(struct fv *d, struct fz *f)
{
	struct fv_buf bufs[2] = { { .gpa = FV_DATA },
				  { .gpa = FV_DATA + 0x1000, .len = 1, .in = true } };
	u8 *p = d->v.ram + FV_DATA, how = fz_u8(f);
	u32 len = fz_u8(f);

	p[0] = how % 7;
	p[1] = fz_u8(f) % 7;
	if (how & 0x80) {
		p[0] = VIRTIO_NET_CTRL_MQ;
		p[1] = VIRTIO_NET_CTRL_MQ_RSS_CONFIG;
		len = rss_command(p + 2, f);
	} else {
		for (u32 i = 0; i < len; i++)
			p[2 + i] = fz_u8(f);
	}
	bufs[0].len = 2 + len;
	fv_offer(d, ctrl_queue(d), bufs, 2);
	fv_kick(d, ctrl_queue(d));
	fz_pump(&d->v);
}

/* Receive buffers, all of one size. */
static void refill(struct fv *d, struct fz *f, u16 q)
{
	u8 how = fz_u8(f);
	u32 len = how & 0x80 ? 1526 : NET_HDR_LEN + fz_u8(f);

	for (u32 i = 0; i < how % 32; i++) {
		struct fv_buf buf = { .gpa = FV_DATA + i * len, .len = len, .in = true };

		/* Or each in many pieces: more of them than one packet may have. */
		if (how & 0x40)
			fv_offer_table(d, q, &buf, 1, FV_TABLE);
		else
			fv_offer(d, q, &buf, 1);
	}
	fv_kick(d, q);
	fz_pump(&d->v);
}

static bool link_is_up(struct fv *d)
{
	u8 status;

	virtio_config_read(d->vdev, offsetof(struct virtio_net_config, status), &status, 1);
	return status & VIRTIO_NET_S_LINK_UP;
}

static void own(struct fv *d, struct fz *f)
{
	struct fv_buf buf;
	u8 what = fz_u8(f);
	u16 second = what & 128 && net.nb.nr_pairs > 1 ? 2 : 0;

	switch (what % 6) {
	case 0:
		receive(d, f);
		break;
	case 1:
		refill(d, f, RX + second);
		break;
	case 2:
		buf = (struct fv_buf){ .gpa = FV_DATA, .len = NET_HDR_LEN + fz_u16(f) % 4096 };
		fv_offer(d, TX + second, &buf, 1);
		fv_kick(d, TX + second);
		fz_pump(&d->v);
		break;
	case 3:
		command(d, f);
		break;
	case 4:
		net.full = what / 6 % 4;
		break;
	case 5:
		net.read_err = what & 64 ? EIO : 0;
		net.write_err = what & 128 ? EBADFD : ENOBUFS;
		net.ending |= net.read_err || what & 128;
		break;
	}
	/* Else nothing is fuzzed but a card without a link. */
	fz_check(net.ending || link_is_up(d));
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const u8 mac[6] = { 2, 0, 0, 1, 2, 3 };
	struct fz f = fz_begin(data, size);
	u8 how = fz_u8(&f);
	struct virtio_device *vdev;
	static struct fv d;

	fv_begin(&d, how);
	net = (struct mem_net){
		.pairs = 1,
		.nb = {
			.ops = &mem_ops,
			.nr_pairs = how & 8 ? 2 : 1,
			.pair[0].nb = &net.nb,
			.pair[1].nb = &net.nb,
			.pair[0].poll_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			.offloads = how & 2 ? 0 : TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
			.hash_types = how & 32 ? 0x3f : 0x1ff,
			.rx_rate.ops = how & 16 ? 1000000 : 0,
			.tx_rate.bytes = how & 16 ? MiB : 0,
			.mtu = how & 4 ? 9000 : 0,
			.name = "fuzz",
		},
	};
	net.nb.pair[1].poll_fd = dup(net.nb.pair[0].poll_fd);
	for (int i = 0; i < 2; i++)
		net.nb.pair[i].room_fd = dup(net.nb.pair[0].poll_fd);
	fz_check(!virtio_net_new(&d.v.vm, &net.nb, mac, 0, &vdev));
	fv_run(&d, vdev, &f, own);
	net.nb.nr_pairs = 2;
	mem_close(&net.nb);
	return 0;
}
