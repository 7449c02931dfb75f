/* SPDX-License-Identifier: MIT */
/* What the guest's packets do to virtio-vsock's connections (VIRTIO 1.3, 5.10.6); see vsock.h. */
#include "lkvm/log.h"
#include "vsock.h"

void vsock_refuse(struct virtio_vsock *vs, const struct virtio_vsock_hdr *hdr)
{
	struct vsock_stray *s;

	/* A reset is not answered by one, and there is always a place: see vsock.c. */
	if (le16_to_cpu(hdr->op) == VIRTIO_VSOCK_OP_RST || vs->nr_strays == VSOCK_STRAYS)
		return;
	s = &vs->strays[(vs->stray_at + vs->nr_strays++) % VSOCK_STRAYS];
	s->src_cid = le64_to_cpu(hdr->dst_cid);
	s->src_port = le32_to_cpu(hdr->dst_port);
	s->dst_port = le32_to_cpu(hdr->src_port);
	s->type = le16_to_cpu(hdr->type);
}

static void on_request(struct virtio_vsock *vs, const struct virtio_vsock_hdr *hdr)
{
	struct vsock_conn *c = vsock_conn_new(vs, VSOCK_CONNECTING, -1);

	if (!c) {
		vsock_refuse(vs, hdr);
		return;
	}
	c->guest_buf = le32_to_cpu(hdr->buf_alloc);
	c->guest_fwd = le32_to_cpu(hdr->fwd_cnt);
	vsock_conn_enter(c, le32_to_cpu(hdr->dst_port), le32_to_cpu(hdr->src_port));
	vsock_host_wait(c, VSOCK_WAIT_SERVICE);
	vsock_host_connect(c);
}

static void on_response(struct vsock_conn *c)
{
	if (c->state != VSOCK_REQUESTED) {
		vsock_conn_fail(c);
		return;
	}
	c->state = VSOCK_OPEN;
	c->patience = 0;
	vsock_host_answer(c);
}

static void on_shutdown(struct vsock_conn *c, u32 flags)
{
	if (c->state != VSOCK_OPEN) {
		vsock_conn_fail(c);
		return;
	}
	c->guest_shut |= flags & VSOCK_BOTH;
	if (c->guest_shut == VSOCK_BOTH)
		vsock_conn_reset(c);
	else
		vsock_host_shutdown(c);
}

/* The guest does not wait for an answer. */
static void on_rst(struct vsock_conn *c)
{
	vsock_conn_reset(c);
	c->send = 0;
	vsock_conn_unlist(c);
	if (c->state == VSOCK_DYING)
		vsock_conn_free(c);
}

static void on_data(struct vsock_conn *c, const struct iovec *iov, unsigned int count, size_t len)
{
	/* Sent before the guest knew that the host's end is gone. */
	if (c->state == VSOCK_CLOSING)
		return;
	if (c->state != VSOCK_OPEN || c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) {
		vsock_conn_fail(c);
		return;
	}
	if (len > VSOCK_BUF - (c->received - c->forwarded)) {
		guest_warn("%s: the guest's port %u sent more than it was granted",
			   c->vs->vdev.name, c->guest_port);
		vsock_conn_fail(c);
		return;
	}
	c->received += (u32)len;
	vsock_host_write(c, iov, count, len);
}

static void on_packet(struct vsock_conn *c, const struct virtio_vsock_hdr *hdr,
		      const struct iovec *iov, unsigned int count, size_t len)
{
	c->guest_buf = le32_to_cpu(hdr->buf_alloc);
	c->guest_fwd = le32_to_cpu(hdr->fwd_cnt);
	switch (le16_to_cpu(hdr->op)) {
	case VIRTIO_VSOCK_OP_RESPONSE:
		on_response(c);
		break;
	case VIRTIO_VSOCK_OP_RST:
		on_rst(c);
		return;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		on_shutdown(c, le32_to_cpu(hdr->flags));
		break;
	case VIRTIO_VSOCK_OP_RW:
		on_data(c, iov, count, len);
		break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE:
		break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST:
		vsock_conn_send(c, VSOCK_SEND_CREDIT);
		break;
	default: /* a second REQUEST, too */
		vsock_conn_fail(c);
		break;
	}
	/* With the credit that came. */
	if (c->state == VSOCK_OPEN && c->readable)
		vsock_conn_send(c, 0);
}

void vsock_packet(struct virtio_vsock *vs, const struct virtio_vsock_hdr *hdr,
		  const struct iovec *iov, unsigned int count, size_t len)
{
	struct vsock_conn *c;

	if (le64_to_cpu(hdr->src_cid) != vs->events.cid) {
		guest_warn("%s: dropped a packet with source address %llu", vs->vdev.name,
			   le64_to_cpu(hdr->src_cid));
		return;
	}
	/* 5.10.6.4.1: an unknown type is answered. And who is not there might as well be. */
	if (le64_to_cpu(hdr->dst_cid) != VSOCK_HOST_CID ||
	    le16_to_cpu(hdr->type) != VIRTIO_VSOCK_TYPE_STREAM) {
		vsock_refuse(vs, hdr);
		return;
	}
	c = vsock_conn_find(vs, le32_to_cpu(hdr->dst_port), le32_to_cpu(hdr->src_port));
	if (c)
		on_packet(c, hdr, iov, count, len);
	else if (le16_to_cpu(hdr->op) == VIRTIO_VSOCK_OP_REQUEST)
		on_request(vs, hdr);
	else
		vsock_refuse(vs, hdr);
}
