/* SPDX-License-Identifier: MIT */
/*
 * The first vsock device (VIRTIO 1.3, 5.10). With "connect=PORT" it sends to that port of the host
 * as many packets as "packets" says and compares what comes back; then, or at once, it takes one
 * connection after the other on port 52 and sends everything back, until one says "end".
 */
#include "virtio.h"

#define VSOCK 19
enum { RX, TX };
enum { REQUEST = 1, RESPONSE, RST, SHUTDOWN, RW, CREDIT_UPDATE, CREDIT_REQUEST };

#define HOST	2
#define ECHO	52
#define NR_RX	32
#define DATA	4096
#define WINDOW	(NR_RX * DATA)
#define PATTERN 2654435761u

struct packet {
	u64 src_cid, dst_cid;
	u32 src_port, dst_port, len;
	u16 type, op;
	u32 flags, buf_alloc, fwd_cnt;
	u32 data[DATA / 4];
} __attribute__((packed));
#define HDR 44

static struct virtio v;
static struct packet rx[NR_RX], tx[NR_RX];
static u64 cid;
static u32 next_tx, pending;
/* Of the one connection: counters of both directions. */
static u32 sent, received, host_alloc, host_fwd;

static void offer(struct packet *p, u32 i)
{
	vq_chain(&v, RX, (u16)i, &(struct vq_buf){ p, sizeof(*p), true }, 1);
	vq_offer(&v, RX, (u16)i);
}

static void reap(void)
{
	while (vq_used(&v, TX, NULL) >= 0)
		pending--;
}

/* The next packet to send, with its header. */
static struct packet *header(u32 op, u32 local, u32 remote, u32 len)
{
	struct packet *p = &tx[next_tx];

	while (pending == NR_RX)
		reap();
	next_tx = (next_tx + 1) % NR_RX;
	memset(p, 0, HDR);
	p->src_cid = cid;
	p->dst_cid = HOST;
	p->src_port = local;
	p->dst_port = remote;
	p->len = len;
	p->type = 1;
	p->op = (u16)op;
	p->buf_alloc = WINDOW;
	p->fwd_cnt = received;
	return p;
}

static void put(struct packet *p)
{
	vq_chain(&v, TX, (u16)(p - tx), &(struct vq_buf){ p, HDR + p->len, false }, 1);
	vq_offer(&v, TX, (u16)(p - tx));
	pending++;
	vq_kick(&v, TX);
	sent += p->len;
}

static void control(u32 op, u32 local, u32 remote)
{
	put(header(op, local, remote, 0));
}

static struct packet *poll_rx(void)
{
	int head = vq_used(&v, RX, NULL);

	if (head < 0)
		return NULL;
	host_alloc = rx[head].buf_alloc;
	host_fwd = rx[head].fwd_cnt;
	return &rx[head];
}

static void give_back(struct packet *p)
{
	offer(p, (u32)(p - rx));
	vq_kick(&v, RX);
}

static bool may_send(u32 len)
{
	return sent - host_fwd + len <= host_alloc;
}

/* Our data comes back, in packets of any size: how many words of it are wrong. */
static u32 compare(const struct packet *p)
{
	u32 wrong = 0;

	for (u32 i = 0; i < p->len; i += 4)
		wrong += p->data[i / 4] != ((received + i) / 4) * PATTERN;
	return wrong;
}

static bool client(u32 port, u32 packets)
{
	u32 wrong = 0, op = REQUEST;
	struct packet *p;

	sent = received = host_alloc = host_fwd = 0;
	control(REQUEST, 1000, port);
	while (op != RST && op != SHUTDOWN && received < packets * DATA) {
		p = poll_rx();
		if (p) {
			op = p->op;
			if (op == RW) {
				wrong += compare(p);
				received += p->len;
				control(CREDIT_UPDATE, 1000, port);
			}
			give_back(p);
		}
		reap();
		if (op != REQUEST && sent < packets * DATA && may_send(DATA)) {
			p = header(RW, 1000, port, DATA);
			for (u32 i = 0; i < DATA / 4; i++)
				p->data[i] = (sent / 4 + i) * PATTERN;
			put(p);
		}
	}
	print("client: %u bytes back, %u words wrong, last operation %u\n", received, wrong, op);
	p = header(SHUTDOWN, 1000, port, 0);
	p->flags = 3;
	put(p);
	return received == packets * DATA && !wrong;
}

static void echo(struct packet *p, u32 port)
{
	struct packet *q;

	while (!may_send(p->len)) {
		struct packet *more = poll_rx();

		/* The window of the other side is larger than ours: only credit comes now. */
		if (more)
			give_back(more);
	}
	q = header(RW, ECHO, port, p->len);
	memcpy(q->data, p->data, p->len);
	received += p->len;
	q->fwd_cnt = received;
	put(q);
}

/* False: it said "end". */
static bool serve(struct packet *p)
{
	u32 port = p->src_port;
	bool end = false;

	switch (p->op) {
	case REQUEST:
		sent = received = 0;
		control(p->dst_port == ECHO ? RESPONSE : RST, p->dst_port, port);
		break;
	case RW:
		end = p->len >= 3 && !memcmp(p->data, "end", 3);
		echo(p, port);
		break;
	case SHUTDOWN:
		print("served %u bytes\n", received);
		control(RST, ECHO, port);
		break;
	case CREDIT_REQUEST:
		control(CREDIT_UPDATE, ECHO, port);
		break;
	}
	return !end;
}

int guest_main(void)
{
	u32 port = word_value("connect", 0), i;
	bool ok = true, more = true;

	if (!virtio_open(&v, VSOCK, 0)) {
		print("no vsock\n");
		return 1;
	}
	if (!virtio_negotiate(&v, virtio_offered(&v) & 1) || !virtio_queue(&v, RX, false) ||
	    !virtio_queue(&v, TX, false) || !virtio_queue(&v, 2, false)) {
		print("the device does not agree\n");
		return 1;
	}
	virtio_driver_ok(&v);
	cid = read32(v.config) | (u64)read32(v.config + 4) << 32;
	print("vsock %u\n", (u32)cid);
	for (i = 0; i < NR_RX; i++)
		offer(&rx[i], i);
	vq_kick(&v, RX);
	if (port)
		ok = client(port, word_value("packets", 16));
	while (more) {
		struct packet *p = poll_rx();

		reap();
		if (!p) {
			arch_pause();
			continue;
		}
		more = serve(p);
		give_back(p);
	}
	while (pending)
		reap();
	return ok ? 0 : 1;
}
