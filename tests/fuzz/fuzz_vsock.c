/* SPDX-License-Identifier: MIT */
/*
 * virtio/vsock*.c behind each transport, over pairs of sockets whose other ends the input holds.
 * The first byte: the transport (fuzz_transport.h).
 */
#include <linux/virtio_vsock.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../virtio/vsock.h"
#include "fuzz_virtio.h"
#include "lkvm/util.h"

#define CID   7
#define PEERS 8
#define PORTS 6 /* that packets name, on either side */

static struct mem_vsock {
	struct vsock_backend vb;
	int peers[PEERS]; /* -1: none */
	u32 waiting;	  /* programs that came */
} host;

static void set_readable(bool readable)
{
	u64 count = 1;
	ssize_t n __maybe_unused = readable ? write(host.vb.listen_fd, &count, sizeof(count))
					    : read(host.vb.listen_fd, &count, sizeof(count));
}

/* One end of a new pair; the other one is a peer. */
static int make_pair(void)
{
	int fds[2], size = 4096;

	for (u32 i = 0; i < PEERS; i++) {
		if (host.peers[i] >= 0)
			continue;
		fz_check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
		/* Soon full, both ways. */
		setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		host.peers[i] = fds[1];
		return fds[0];
	}
	return -EMFILE;
}

static int mem_connect(struct vsock_backend *vb, u32 port)
{
	if (port % PORTS == 4)
		return -EAGAIN;
	return port % PORTS == 5 ? -ECONNREFUSED : make_pair();
}

static int mem_accept(struct vsock_backend *vb)
{
	if (!host.waiting)
		return -EAGAIN;
	if (!--host.waiting)
		set_readable(false);
	return make_pair();
}

/* A byte: its port. */
static int mem_asked(struct vsock_backend *vb, int fd, u32 *port)
{
	u8 byte;
	ssize_t n = read(fd, &byte, 1);

	if (n < 0)
		return -errno;
	*port = byte % PORTS;
	return n ? 0 : -EPIPE;
}

static int mem_answer(struct vsock_backend *vb, int fd, u32 port)
{
	return send(fd, &port, sizeof(port), MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void mem_end(struct vsock_backend *vb) {}

static const struct vsock_backend_ops mem_ops = {
	.connect = mem_connect,
	.accept = mem_accept,
	.asked = mem_asked,
	.answer = mem_answer,
	.finish = mem_end,
	.close = mem_end,
};

/* A packet of the guest, right but for what the input says. */
static void packet(struct fv *d, struct fz *f)
{
	u8 how = fz_u8(f), ports = fz_u8(f);
	u32 len = how & 0x80 ? fz_u16(f) % 0x4000 : 0, credit = fz_u16(f);
	u32 base = how & 0x20 ? 0 : VSOCK_PORTS + 1; /* of services, of programs */
	struct virtio_vsock_hdr hdr = {
		.src_cid = cpu_to_le64(how == 0x6f ? fz_u64(f) : CID),
		.dst_cid = cpu_to_le64(how == 0x6e ? fz_u64(f) : 2),
		.src_port = cpu_to_le32(ports % PORTS),
		.dst_port = cpu_to_le32(base + ports / PORTS % PORTS),
		.len = cpu_to_le32(how == 0x6d ? fz_u32(f) : len),
		.type = cpu_to_le16(how == 0x6c ? fz_u16(f) : VIRTIO_VSOCK_TYPE_STREAM),
		.op = cpu_to_le16(how % 9),
		.flags = cpu_to_le32(ports >> 6),
		.buf_alloc = cpu_to_le32(how & 0x40 ? credit : 0x10000),
		.fwd_cnt = cpu_to_le32(fz_u8(f)),
	};
	struct fv_buf bufs[2] = { { .gpa = FV_DATA, .len = VSOCK_HDR },
				  { .gpa = FV_DATA + VSOCK_HDR, .len = len } };

	memcpy(d->v.ram + FV_DATA, &hdr, VSOCK_HDR);
	fv_offer(d, VSOCK_TX, bufs, len ? 2 : 1);
	fv_kick(d, VSOCK_TX);
	fz_pump(&d->v);
}

static void refill(struct fv *d, struct fz *f)
{
	u8 how = fz_u8(f);
	u32 len = how & 0x80 ? 1024 : VSOCK_HDR + fz_u8(f);

	for (u32 i = 0; i < how % 32; i++) {
		struct fv_buf buf = { .gpa = FV_DATA + 0x4000 + i * 1024, .len = len, .in = true };

		if (how & 0x40)
			fv_offer_table(d, VSOCK_RX, &buf, 1, FV_TABLE);
		else
			fv_offer(d, VSOCK_RX, &buf, 1);
	}
	fv_kick(d, VSOCK_RX);
	fz_pump(&d->v);
}

static void peer(struct fv *d, struct fz *f)
{
	static u8 data[0x4000];
	u8 how = fz_u8(f);
	int *fd = &host.peers[how % PEERS];

	if (*fd < 0)
		return;
	switch (how / PEERS % 6) {
	case 0:
		send(*fd, data, fz_u8(f), MSG_NOSIGNAL);
		break;
	case 1:
		send(*fd, data, fz_u16(f) % sizeof(data), MSG_NOSIGNAL);
		break;
	case 2:
		for (u32 i = fz_u8(f); i && read(*fd, data, sizeof(data)) > 0; i--)
			;
		break;
	case 3:
		shutdown(*fd, SHUT_WR);
		break;
	case 4:
		shutdown(*fd, SHUT_RD);
		break;
	case 5:
		close(*fd);
		*fd = -1;
		break;
	}
	fz_pump(&d->v);
}

static void check_conns(const struct virtio_vsock *vs)
{
	u32 listed = 0;

	for (const struct vsock_conn *c = vs->list.next; c != &vs->list; c = c->next, listed++)
		fz_check(c->next->prev == c && c->state != VSOCK_FREE && listed < VSOCK_CONNS);
	fz_check(vs->nr_conns <= VSOCK_CONNS && vs->nr_strays <= VSOCK_STRAYS);
	for (u32 i = 0; i < vs->nr_conns; i++) {
		const struct vsock_conn *c = &vs->conns[i];
		bool has_socket = c->ev.fd >= 0;

		fz_check(c->buf_len <= VSOCK_BUF && (!c->buf_len || c->buf));
		fz_check(c->received - c->forwarded <= VSOCK_BUF || c->state != VSOCK_OPEN);
		fz_check(has_socket == (c->state == VSOCK_LINE || c->state == VSOCK_REQUESTED ||
					c->state == VSOCK_OPEN || c->state == VSOCK_LINGER));
		fz_check(c->state != VSOCK_DYING || c->next);
	}
}

static void own(struct fv *d, struct fz *f)
{
	struct virtio_vsock *vs = vsock_of(d->vdev);
	u8 what = fz_u8(f);

	switch (what % 8) {
	default:
		packet(d, f);
		break;
	case 3:
		refill(d, f);
		break;
	case 4:
		peer(d, f);
		break;
	case 5:
		host.waiting++;
		set_readable(true);
		fz_pump(&d->v);
		break;
	case 6:
		for (u32 i = 0; i < what; i++)
			vsock_host_on_tick(vs);
		break;
	}
	check_conns(vs);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	struct virtio_device *vdev;
	static struct fv d;

	fv_begin(&d, fz_u8(&f));
	host = (struct mem_vsock){
		.vb = { .ops = &mem_ops,
			.listen_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
			.name = "fuzz" },
	};
	memset(host.peers, 0xff, sizeof(host.peers));
	fz_check(!virtio_vsock_new(&d.v.vm, &host.vb, CID, &vdev));
	fv_run(&d, vdev, &f, own);
	close(host.vb.listen_fd);
	for (u32 i = 0; i < PEERS; i++)
		if (host.peers[i] >= 0)
			close(host.peers[i]);
	return 0;
}
