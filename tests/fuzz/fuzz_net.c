/* SPDX-License-Identifier: MIT */
/*
 * virtio/net.c behind both transports, over a network in memory. The first byte of the input: bit
 * 0, MMIO instead of PCI; bit 1, no offloads (and so no control queue).
 */
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "fuzz_virtio.h"
#include "lkvm/net.h"
#include "lkvm/util.h"

enum { RX, TX, CTRL };

#define MAX_WAITING 8
#define MAX_LEN	    (NET_HDR_LEN_HASH + 65536 + 22) /* what virtio/net.c takes for the longest packet \
						     */

static struct mem_net {
	struct net_backend nb;
	u32 waiting[MAX_WAITING]; /* lengths of packets that came in */
	u32 nr_waiting;
	u32 full;      /* so many writes are told to wait */
	int read_err;  /* of the next read, 0: none */
	int write_err; /* of the next write */
	bool ending;   /* an error was put in that ends it */
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
	fz_check(len > NET_HDR_LEN && len <= MAX_LEN);
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

static void mem_close(struct net_backend *nb)
{
	close(nb->pair[0].poll_fd);
	close(nb->pair[0].room_fd);
}

static const struct net_backend_ops mem_ops = {
	.readv = mem_readv,
	.writev = mem_writev,
	.set_offloads = mem_set_offloads,
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

static void command(struct fv *d, struct fz *f)
{
	struct fv_buf bufs[2] = { { .gpa = FV_DATA, .len = 10 },
				  { .gpa = FV_DATA + 16, .len = 1, .in = true } };
	u8 *p = d->v.ram + FV_DATA;

	p[0] = VIRTIO_NET_CTRL_GUEST_OFFLOADS;
	p[1] = VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET;
	put_le(p + 2, 8, fz_u16(f));
	fv_offer(d, CTRL, bufs, 2);
	fv_kick(d, CTRL);
	fz_pump(&d->v);
}

/* Receive buffers, all of one size. */
static void refill(struct fv *d, struct fz *f)
{
	u8 how = fz_u8(f);
	u32 len = how & 0x80 ? 1526 : NET_HDR_LEN + fz_u8(f);

	for (u32 i = 0; i < how % 32; i++) {
		struct fv_buf buf = { .gpa = FV_DATA + i * len, .len = len, .in = true };

		/* Or each in many pieces: more of them than one packet may have. */
		if (how & 0x40)
			fv_offer_table(d, RX, &buf, 1, FV_TABLE);
		else
			fv_offer(d, RX, &buf, 1);
	}
	fv_kick(d, RX);
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

	switch (what % 6) {
	case 0:
		receive(d, f);
		break;
	case 1:
		refill(d, f);
		break;
	case 2:
		buf = (struct fv_buf){ .gpa = FV_DATA, .len = NET_HDR_LEN + fz_u16(f) % 4096 };
		fv_offer(d, TX, &buf, 1);
		fv_kick(d, TX);
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

	fv_begin(&d, how & 1);
	net = (struct mem_net){
		.nb = {
			.ops = &mem_ops,
			.nr_pairs = 1,
			.pair[0].nb = &net.nb,
			.pair[0].poll_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			.offloads = how & 2 ? 0 : TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN,
			.mtu = how & 4 ? 9000 : 0,
			.name = "fuzz",
		},
	};
	net.nb.pair[0].room_fd = dup(net.nb.pair[0].poll_fd);
	fz_check(!virtio_net_new(&d.v.vm, &net.nb, mac, 0, &vdev));
	fv_run(&d, vdev, &f, own);
	mem_close(&net.nb);
	return 0;
}
