/* SPDX-License-Identifier: MIT */
/* virtio-vsock's queues (VIRTIO 1.3, 5.10); see vsock.h. */
#include "vsock.h"

#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

#define QUEUE_SIZE 256

/* To the guest */

/* Take a buffer of @req into the room at @iov. 1: done, 0: there is none. */
static int take(struct virtio_vsock *vs, struct virtq_request *req, struct iovec *iov,
		unsigned int room, size_t min)
{
	if (virtio_pop(&vs->vdev, VSOCK_RX, req, iov, room) != 1)
		return 0;
	if (req->in_len >= min)
		return 1;
	virtio_broken(&vs->vdev, "a receive buffer is too short");
	return 0;
}

/* A packet without data. False: no buffer. */
static bool send_header(struct virtio_vsock *vs, const struct virtio_vsock_hdr *hdr)
{
	struct virtq_request *req = &vs->reqs[0];

	if (!take(vs, req, vs->iov, ARRAY_SIZE(vs->iov), VSOCK_HDR))
		return false;
	iov_from_buf(virtq_in(req), req->nr_in, 0, hdr, VSOCK_HDR);
	virtio_push(&vs->vdev, VSOCK_RX, req, VSOCK_HDR);
	return true;
}

static bool send_stray(struct virtio_vsock *vs)
{
	const struct vsock_stray *s = &vs->strays[vs->stray_at];
	const struct virtio_vsock_hdr hdr = {
		.src_cid = cpu_to_le64(s->src_cid),
		.dst_cid = cpu_to_le64(vs->events.cid),
		.src_port = cpu_to_le32(s->src_port),
		.dst_port = cpu_to_le32(s->dst_port),
		.type = cpu_to_le16(s->type),
		.op = cpu_to_le16(VIRTIO_VSOCK_OP_RST),
	};

	if (!send_header(vs, &hdr))
		return false;
	vs->stray_at = (vs->stray_at + 1) % VSOCK_STRAYS;
	vs->nr_strays--;
	return true;
}

/* Receive buffers for data, several where the last one was filled: how many, and the iovecs for
 * what comes behind their headers in vs->part. */
static unsigned int take_batch(struct virtio_vsock *vs, const struct vsock_conn *c,
			       unsigned int *count)
{
	unsigned int n = 0, used = 0, max = c->bulk ? VSOCK_BATCH : 1;
	size_t room = vsock_conn_credit(c);

	for (*count = 0; n < max && room; n++) {
		struct virtq_request *req = &vs->reqs[n];
		size_t len;
		int parts;

		if (!take(vs, req, vs->iov + used, (unsigned int)ARRAY_SIZE(vs->iov) - used,
			  VSOCK_HDR + 1))
			break;
		len = MIN(req->in_len - VSOCK_HDR, room);
		/* It has no more parts than the list that it is of, which lies within @iov. */
		parts = iov_slice(virtq_in(req), req->nr_in, VSOCK_HDR, len, vs->part + *count,
				  (unsigned int)ARRAY_SIZE(vs->part) - *count);
		if (parts < 0) {
			virtio_unpop(&vs->vdev, VSOCK_RX, req);
			break;
		}
		used += req->nr_out + req->nr_in;
		*count += (unsigned int)parts;
		room -= len;
	}
	return n;
}

/* The first @len bytes of data lie in the first of @n buffers; the others go back. */
static void push_batch(struct virtio_vsock *vs, struct vsock_conn *c, unsigned int n, size_t len)
{
	unsigned int i = 0;

	for (; i < n && len; i++) {
		struct virtq_request *req = &vs->reqs[i];
		size_t part = MIN(req->in_len - VSOCK_HDR, len);
		struct virtio_vsock_hdr hdr;

		vsock_conn_header(c, VIRTIO_VSOCK_OP_RW, 0, (u32)part, &hdr);
		iov_from_buf(virtq_in(req), req->nr_in, 0, &hdr, VSOCK_HDR);
		virtio_push(&vs->vdev, VSOCK_RX, req, (u32)(VSOCK_HDR + part));
		c->sent += (u32)part;
		len -= part;
		c->bulk = part == req->in_len - VSOCK_HDR;
	}
	while (n > i)
		virtio_unpop(&vs->vdev, VSOCK_RX, &vs->reqs[--n]);
}

/* False: no buffer. */
static bool send_data(struct virtio_vsock *vs, struct vsock_conn *c)
{
	unsigned int count, n = take_batch(vs, c, &count);
	ssize_t len;

	if (!n)
		return false;
	len = vsock_host_read(c, vs->part, count);
	push_batch(vs, c, n, len > 0 ? (size_t)len : 0);
	return true;
}

/* The next packet without data that the connection has to send; 0: none. In the order in which the
 * guest understands them. */
static u16 next_op(struct vsock_conn *c, u32 *bit)
{
	static const struct {
		u32 bit;
		u16 op;
	} order[] = {
		{ VSOCK_SEND_REQUEST, VIRTIO_VSOCK_OP_REQUEST },
		{ VSOCK_SEND_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE },
		{ VSOCK_SEND_RST, VIRTIO_VSOCK_OP_RST },
		{ VSOCK_SEND_CREDIT, VIRTIO_VSOCK_OP_CREDIT_UPDATE },
		{ VSOCK_SEND_CREDIT_REQUEST, VIRTIO_VSOCK_OP_CREDIT_REQUEST },
		{ VSOCK_SEND_SHUTDOWN, VIRTIO_VSOCK_OP_SHUTDOWN },
	};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		*bit = order[i].bit;
		if (c->send & *bit)
			return order[i].op;
	}
	return 0;
}

/* May data be moved? Where only credit is missing the guest is asked for it, once. */
static bool has_data(struct vsock_conn *c)
{
	if (c->state != VSOCK_OPEN || !c->readable || c->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND ||
	    c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)
		return false;
	if (vsock_conn_credit(c)) {
		c->asked = false;
		return true;
	}
	if (!c->asked)
		c->send |= VSOCK_SEND_CREDIT_REQUEST;
	c->asked = true;
	return false;
}

/* One packet, or one read. False: no buffer. */
static bool send_one(struct virtio_vsock *vs, struct vsock_conn *c)
{
	bool data = has_data(c);
	struct virtio_vsock_hdr hdr;
	u32 bit;
	u16 op = next_op(c, &bit);

	if (op) {
		const u32 told = c->told, send = c->send;

		vsock_conn_header(c, op, op == VIRTIO_VSOCK_OP_SHUTDOWN ? c->host_shut : 0, 0,
				  &hdr);
		if (!send_header(vs, &hdr)) {
			c->told = told;
			c->send = send;
			return false;
		}
		c->send &= ~bit;
	} else if (data) {
		if (!send_data(vs, c))
			return false;
	}
	if (c->state == VSOCK_DYING && !c->send) {
		vsock_conn_free(c);
		return true;
	}
	/* The others have their turn first. */
	vsock_conn_unlist(c);
	if (c->send || has_data(c) || c->send)
		vsock_conn_send(c, 0);
	return true;
}

/* True: buffers are missing. */
static bool send_all(struct virtio_vsock *vs)
{
	while (vs->nr_strays)
		if (!send_stray(vs))
			return true;
	while (vs->list.next != &vs->list)
		if (!send_one(vs, vs->list.next))
			return true;
	return false;
}

static bool rx_run(struct virtio_vsock *vs)
{
	bool starved;

	do {
		starved = send_all(vs);
		if (!vs->tx_waits || vs->nr_strays == VSOCK_STRAYS)
			break;
		vs->tx_waits = false;
		virtio_serve(&vs->vdev, VSOCK_TX);
	} while (!starved);
	return starved;
}

static void flush(struct virtio_vsock *vs)
{
	if (vs->nr_strays || vs->list.next != &vs->list)
		virtio_serve(&vs->vdev, VSOCK_RX);
}

/* From the guest */

static void tx_packet(struct virtio_vsock *vs, const struct virtq_request *req)
{
	struct virtio_vsock_hdr hdr;
	int count = 0;
	size_t len;

	if (iov_to_buf(virtq_out(req), req->nr_out, 0, &hdr, VSOCK_HDR) != VSOCK_HDR) {
		guest_warn("%s: dropped a packet of %zu bytes", vs->vdev.name, req->out_len);
		return;
	}
	len = le32_to_cpu(hdr.len);
	if (len > req->out_len - VSOCK_HDR) {
		guest_warn("%s: dropped a packet that ends before its data", vs->vdev.name);
		vsock_refuse(vs, &hdr);
		return;
	}
	if (len)
		count = iov_slice(virtq_out(req), req->nr_out, VSOCK_HDR, len, vs->part,
				  ARRAY_SIZE(vs->part));
	if (count >= 0)
		vsock_packet(vs, &hdr, vs->part, (unsigned int)count, len);
}

/* Each packet may need a stray to answer it. */
static bool tx_run(struct virtio_vsock *vs)
{
	struct virtio_device *vdev = &vs->vdev;
	struct virtq_request req;

	for (;;) {
		if (vs->nr_strays == VSOCK_STRAYS)
			flush(vs);
		vs->tx_waits = vs->nr_strays == VSOCK_STRAYS;
		if (vs->tx_waits ||
		    virtio_pop(vdev, VSOCK_TX, &req, vs->iov, ARRAY_SIZE(vs->iov)) != 1)
			break;
		tx_packet(vs, &req);
		virtio_push(vdev, VSOCK_TX, &req, 0);
	}
	flush(vs);
	return !vs->tx_waits;
}

/* The device */

static bool vsock_run(struct virtio_device *vdev, u16 q)
{
	switch (q) {
	case VSOCK_RX:
		return rx_run(vsock_of(vdev));
	case VSOCK_TX:
		return tx_run(vsock_of(vdev));
	default:
		return vsock_events_run(vdev, &vsock_of(vdev)->events);
	}
}

static void vsock_started(struct virtio_device *vdev, u16 q)
{
	struct virtio_vsock *vs = vsock_of(vdev);

	if (q != VSOCK_RX)
		return;
	vsock_events_started(vdev, &vs->events);
	/* Who came before waits in the listener's queue. */
	vsock_host_accept(vs, true);
}

static bool vsock_stopped(struct virtio_device *vdev, u16 q)
{
	struct virtio_vsock *vs = vsock_of(vdev);

	if (q == VSOCK_EVENT)
		return true;
	if (q == VSOCK_RX)
		vsock_host_accept(vs, false);
	vsock_conns_close(vs);
	return true;
}

static void vsock_reset(struct virtio_device *vdev)
{
	vsock_events_reset(&vsock_of(vdev)->events);
}

struct watching {
	struct virtio_vsock *vs;
	bool on;
	int ret;
};

static void watch_on_loop(void *opaque)
{
	struct watching *w = opaque;
	struct virtio_vsock *vs = w->vs;
	struct event_loop *loop = vs->vdev.queues[VSOCK_RX].loop;

	if (!w->on) {
		event_del(&vs->listener);
		event_timer_destroy(&vs->timer);
		return;
	}
	event_timer_init(&vs->timer, loop, vsock_host_on_tick, vs);
	vs->ticking = false;
	vs->listener.events = 0;
	w->ret = vs->listener.fd < 0 ? 0 : event_add(loop, &vs->listener);
}

static int vsock_watch(struct virtio_device *vdev, bool on)
{
	struct watching w = { .vs = vsock_of(vdev), .on = on };

	if (vdev->nr_queues)
		event_call_sync(vdev->queues[VSOCK_RX].loop, watch_on_loop, &w);
	return w.ret;
}

static void vsock_finish(struct virtio_device *vdev)
{
	struct virtio_vsock *vs = vsock_of(vdev);

	vs->vb->ops->finish(vs->vb);
}

static void vsock_detach(struct virtio_device *vdev)
{
	int ret __maybe_unused = vsock_watch(vdev, false);
}

static void vsock_destroy(struct virtio_device *vdev)
{
	free(vsock_of(vdev));
}

static const struct virtio_ops vsock_ops = {
	.id = VIRTIO_ID_VSOCK,
	.pci_class = 0x0780, /* communication controller, other */
	.nr_loops = 1,
	.config_len = sizeof(struct virtio_vsock_config),
	.queue_started = vsock_started,
	.queue_run = vsock_run,
	.queue_stopped = vsock_stopped,
	.reset = vsock_reset,
	.watch = vsock_watch,
	.finish = vsock_finish,
	.detach = vsock_detach,
	.destroy = vsock_destroy,
};

int virtio_vsock_new(struct vm *vm, struct vsock_backend *vb, u64 cid, struct virtio_device **out)
{
	struct virtio_vsock *vs = xcalloc(1, sizeof(*vs));
	int ret;

	vs->vb = vb;
	vs->flush = flush;
	vs->listener =
		(struct event){ .fd = vb->listen_fd, .fn = vsock_host_on_listen, .opaque = vs };
	vsock_conns_init(vs);
	ret = virtio_init(&vs->vdev, vm, &vsock_ops, "virtio-vsock", 0,
			  BIT_ULL(VIRTIO_VSOCK_F_STREAM), VSOCK_QUEUES, QUEUE_SIZE, NULL);
	if (ret)
		goto fail;
	vsock_events_init(&vs->vdev, &vs->events, cid);
	ret = vsock_watch(&vs->vdev, true);
	if (ret) {
		err("%s: cannot watch '%s': %s%s", vs->vdev.name, vb->name, strerror(-ret),
		    limit_hint(ret));
		virtio_fini(&vs->vdev);
		goto fail;
	}
	*out = &vs->vdev;
	return 0;
fail:
	free(vs);
	return ret;
}

int virtio_vsock_create(struct vm *vm, struct vsock_backend *vb, u64 cid)
{
	struct virtio_device *vdev;
	int ret = virtio_vsock_new(vm, vb, cid, &vdev);

	return ret ? ret : virtio_attach_or_destroy(vdev);
}
