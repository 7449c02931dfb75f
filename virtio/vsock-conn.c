/* SPDX-License-Identifier: MIT */
/* virtio-vsock's connections: their table, their credit (VIRTIO 1.3, 5.10.6.3), their end; see
 * vsock.h.
 */
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "vsock.h"

/* The list of those that have something to send */

void vsock_conn_send(struct vsock_conn *c, u32 what)
{
	struct vsock_conn *head = &c->vs->list;

	c->send |= what;
	if (c->next)
		return;
	c->prev = head->prev;
	c->next = head;
	head->prev->next = c;
	head->prev = c;
}

void vsock_conn_unlist(struct vsock_conn *c)
{
	if (!c->next)
		return;
	c->prev->next = c->next;
	c->next->prev = c->prev;
	c->next = c->prev = NULL;
}

/* The table */

static struct vsock_conn **bucket(struct virtio_vsock *vs, u32 host_port, u32 guest_port)
{
	u32 hash = (host_port * 2654435761u) ^ (guest_port * 2246822519u);

	return &vs->buckets[(hash >> 16) % VSOCK_BUCKETS];
}

static struct vsock_conn **place(struct virtio_vsock *vs, u32 host_port, u32 guest_port)
{
	struct vsock_conn **p = bucket(vs, host_port, guest_port);

	while (*p && ((*p)->host_port != host_port || (*p)->guest_port != guest_port))
		p = &(*p)->bucket_next;
	return p;
}

struct vsock_conn *vsock_conn_find(struct virtio_vsock *vs, u32 host_port, u32 guest_port)
{
	return *place(vs, host_port, guest_port);
}

void vsock_conn_enter(struct vsock_conn *c, u32 host_port, u32 guest_port)
{
	struct vsock_conn **p = bucket(c->vs, host_port, guest_port);

	c->host_port = host_port;
	c->guest_port = guest_port;
	c->bucket_next = *p;
	*p = c;
}

static void leave_table(struct vsock_conn *c)
{
	struct vsock_conn **p = place(c->vs, c->host_port, c->guest_port);

	if (*p == c)
		*p = c->bucket_next;
	c->bucket_next = NULL;
}

struct vsock_conn *vsock_conn_new(struct virtio_vsock *vs, enum vsock_state state, int fd)
{
	struct vsock_conn *c = vs->free;

	if (c) {
		vs->free = c->bucket_next;
	} else if (vs->nr_conns < VSOCK_CONNS) {
		c = &vs->conns[vs->nr_conns++];
	} else {
		guest_warn("%s: %u connections are open, which is the maximum; others are refused "
			   "or wait",
			   vs->vdev.name, VSOCK_CONNS);
		return NULL;
	}
	memset(c, 0, sizeof(*c));
	c->vs = vs;
	c->state = state;
	c->ev.fd = fd;
	return c;
}

void vsock_conn_close(struct vsock_conn *c)
{
	event_del(&c->ev);
	if (c->ev.fd >= 0)
		close(c->ev.fd);
	c->ev.fd = -1;
	free(c->buf);
	c->buf = NULL;
	c->buf_len = 0;
}

void vsock_conn_free(struct vsock_conn *c)
{
	struct virtio_vsock *vs = c->vs;

	vsock_conn_unlist(c);
	leave_table(c);
	vsock_conn_close(c);
	c->state = VSOCK_FREE;
	c->patience = 0;
	c->send = 0;
	c->bucket_next = vs->free;
	vs->free = c;
}

static void end(struct vsock_conn *c, enum vsock_state state)
{
	leave_table(c);
	c->state = state;
	c->patience = 0;
	c->send = 0;
	vsock_conn_send(c, VSOCK_SEND_RST);
}

void vsock_conn_fail(struct vsock_conn *c)
{
	vsock_conn_close(c);
	end(c, VSOCK_DYING);
}

void vsock_conn_reset(struct vsock_conn *c)
{
	if (c->buf_len)
		end(c, VSOCK_LINGER);
	else
		vsock_conn_fail(c);
}

void vsock_conns_init(struct virtio_vsock *vs)
{
	vs->list.next = vs->list.prev = &vs->list;
	vs->next_port = VSOCK_PORTS;
}

void vsock_conns_close(struct virtio_vsock *vs)
{
	for (u32 i = 0; i < vs->nr_conns; i++)
		if (vs->conns[i].state != VSOCK_FREE)
			vsock_conn_free(&vs->conns[i]);
	vs->nr_strays = 0;
	vs->tx_waits = false;
}

/* Credit (5.10.6.3) */

/* A guest that takes back what it granted has none. */
u32 vsock_conn_credit(const struct vsock_conn *c)
{
	u32 ahead = c->sent - c->guest_fwd;

	return ahead < c->guest_buf ? c->guest_buf - ahead : 0;
}

void vsock_conn_header(struct vsock_conn *c, u16 op, u32 flags, u32 len,
		       struct virtio_vsock_hdr *hdr)
{
	*hdr = (struct virtio_vsock_hdr){
		.src_cid = cpu_to_le64(VSOCK_HOST_CID),
		.dst_cid = cpu_to_le64(c->vs->events.cid),
		.src_port = cpu_to_le32(c->host_port),
		.dst_port = cpu_to_le32(c->guest_port),
		.len = cpu_to_le32(len),
		.type = cpu_to_le16(VIRTIO_VSOCK_TYPE_STREAM),
		.op = cpu_to_le16(op),
		.flags = cpu_to_le32(flags),
		.buf_alloc = cpu_to_le32(VSOCK_BUF),
		.fwd_cnt = cpu_to_le32(c->forwarded),
	};
	c->told = c->forwarded;
	c->send &= ~VSOCK_SEND_CREDIT;
}
