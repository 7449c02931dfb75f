/* SPDX-License-Identifier: MIT */
/* The ends of virtio-vsock's connections on the host: sockets; see vsock.h. */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "vsock.h"

/* Waiting */

void vsock_host_wait(struct vsock_conn *c, u32 ticks)
{
	struct virtio_vsock *vs = c->vs;

	c->patience = ticks;
	if (!vs->ticking)
		event_timer_set(&vs->timer, VSOCK_TICK_NS);
	vs->ticking = true;
}

/* One tick of a connection that waits. */
static void tick(struct vsock_conn *c)
{
	if (c->state == VSOCK_CONNECTING)
		vsock_host_connect(c);
	if (!c->patience || --c->patience)
		return;
	/* Nobody told the guest of a program that did not say what it wants. */
	if (c->state == VSOCK_LINE)
		vsock_conn_free(c);
	else
		vsock_conn_fail(c);
}

/* A guest that stands still is given time: nothing expires while its queues do not run. */
void vsock_host_on_tick(void *opaque)
{
	struct virtio_vsock *vs = opaque;
	bool live = virtio_queue_live(&vs->vdev, VSOCK_RX), more = false;

	for (u32 i = 0; i < vs->nr_conns; i++) {
		struct vsock_conn *c = &vs->conns[i];

		if (c->patience && live)
			tick(c);
		more |= c->patience != 0;
	}
	if (live && vs->accept_later)
		vsock_host_accept(vs, true);
	more |= vs->accept_later;
	vs->ticking = more;
	if (more)
		event_timer_set(&vs->timer, VSOCK_TICK_NS);
	vs->flush(vs);
}

/* To the host */

/* The other end is gone: what waits for it is of no use. */
static void host_closed(struct vsock_conn *c)
{
	vsock_conn_close(c);
	/* The guest was told, or will be: maybe its ports are in use again. */
	if (c->state == VSOCK_LINGER && c->send) {
		c->state = VSOCK_DYING;
		return;
	}
	if (c->state == VSOCK_LINGER) {
		vsock_conn_free(c);
		return;
	}
	c->state = VSOCK_CLOSING;
	c->readable = false;
	c->host_shut = VSOCK_BOTH;
	vsock_conn_send(c, VSOCK_SEND_SHUTDOWN);
	vsock_host_wait(c, VSOCK_WAIT_CLOSE);
}

/* Its reader is gone, or does not read any more. */
static void host_reads_no_more(struct vsock_conn *c)
{
	c->forwarded = c->received;
	free(c->buf);
	c->buf = NULL;
	c->buf_len = 0;
	if (c->state == VSOCK_LINGER) {
		host_closed(c);
		return;
	}
	if (c->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)
		return;
	c->host_shut |= VIRTIO_VSOCK_SHUTDOWN_RCV;
	vsock_conn_send(c, VSOCK_SEND_SHUTDOWN);
}

/* The bytes that went; 0: none now. The end is looked after. */
static size_t write_out(struct vsock_conn *c, struct iovec *iov, size_t count)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = count };
	ssize_t n;

	do {
		n = sendmsg(c->ev.fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return (size_t)n;
	if (errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
		host_reads_no_more(c);
	return 0;
}

/* Tell the guest of the room that came back when it sees little of it. */
static void grant(struct vsock_conn *c)
{
	if (c->forwarded != c->told && c->received - c->told > VSOCK_BUF / 2)
		vsock_conn_send(c, VSOCK_SEND_CREDIT);
}

/* Keep from byte @done on; it fits, since it is what was granted. */
static void keep(struct vsock_conn *c, const struct iovec *iov, unsigned int count, size_t done,
		 size_t len)
{
	if (!c->buf) {
		c->buf = malloc(VSOCK_BUF);
		c->buf_at = 0;
	}
	if (!c->buf) {
		guest_warn("%s: no memory for a connection; it ends", c->vs->vdev.name);
		vsock_conn_fail(c);
		return;
	}
	while (done < len) {
		u32 at = (c->buf_at + c->buf_len) % VSOCK_BUF;
		size_t n = iov_to_buf(iov, count, done, c->buf + at,
				      MIN(len - done, (size_t)(VSOCK_BUF - at)));

		c->buf_len += (u32)n;
		done += n;
	}
}

void vsock_host_write(struct vsock_conn *c, const struct iovec *iov, unsigned int count, size_t len)
{
	size_t n = 0;

	if (!c->buf_len && len && !(c->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV))
		n = write_out(c, (struct iovec *)iov, count);
	c->forwarded += (u32)n;
	if (c->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)
		c->forwarded = c->received;
	else if (n < len)
		keep(c, iov, count, n, len);
	if (c->state == VSOCK_OPEN)
		grant(c);
}

/* There is room in the socket. */
static void write_kept(struct vsock_conn *c)
{
	while (c->buf_len) {
		u32 first = MIN(c->buf_len, VSOCK_BUF - c->buf_at);
		struct iovec iov[2] = { { c->buf + c->buf_at, first },
					{ c->buf, c->buf_len - first } };
		u32 n = (u32)write_out(c, iov, 2);

		if (!n)
			break;
		c->buf_at = (c->buf_at + n) % VSOCK_BUF;
		c->buf_len -= n;
		c->forwarded += n;
	}
	if (c->state == VSOCK_OPEN)
		grant(c);
	if (c->buf_len || c->ev.fd < 0)
		return;
	free(c->buf);
	c->buf = NULL;
	if (c->state == VSOCK_LINGER)
		host_closed(c);
	else
		vsock_host_shutdown(c);
}

void vsock_host_shutdown(struct vsock_conn *c)
{
	if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND && !c->buf_len)
		shutdown(c->ev.fd, SHUT_WR);
	if (c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)
		shutdown(c->ev.fd, SHUT_RD);
}

/* From the host */

static void end_seen(struct vsock_conn *c)
{
	if (c->hung_up) {
		host_closed(c);
		return;
	}
	c->host_shut |= VIRTIO_VSOCK_SHUTDOWN_SEND;
	vsock_conn_send(c, VSOCK_SEND_SHUTDOWN);
}

ssize_t vsock_host_read(struct vsock_conn *c, const struct iovec *iov, unsigned int count)
{
	ssize_t n;

	do {
		n = readv(c->ev.fd, iov, (int)count);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return n;
	c->readable = false;
	if (n < 0 && errno == EAGAIN)
		return -EAGAIN;
	if (!n)
		end_seen(c);
	else
		vsock_conn_fail(c); /* the program left without reading all */
	return -EAGAIN;
}

/* A program that came says which port it wants. */
static void read_line(struct vsock_conn *c, bool says_no_more)
{
	struct virtio_vsock *vs = c->vs;
	u32 port;
	int ret = vs->vb->ops->asked(vs->vb, c->ev.fd, &port);

	if (ret == -EAGAIN && !says_no_more)
		return;
	if (ret) {
		vsock_conn_free(c);
		return;
	}
	/* A port of our own that the guest does not know together with its one. */
	do {
		vs->next_port = ((vs->next_port + 1) & (VSOCK_PORTS - 1)) | VSOCK_PORTS;
	} while (vsock_conn_find(vs, vs->next_port, port));
	vsock_conn_enter(c, vs->next_port, port);
	c->state = VSOCK_REQUESTED;
	vsock_conn_send(c, VSOCK_SEND_REQUEST);
	vsock_host_wait(c, VSOCK_WAIT_RESPONSE);
}

/* Will the end of the host's side not be seen by reading? It was seen, or the guest does not read.
 */
static bool nobody_reads(const struct vsock_conn *c)
{
	return c->state == VSOCK_LINGER ||
	       (c->state == VSOCK_OPEN && (c->host_shut & VIRTIO_VSOCK_SHUTDOWN_SEND ||
					   c->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV));
}

static void on_socket(void *opaque, u32 events)
{
	struct vsock_conn *c = opaque;
	struct virtio_vsock *vs = c->vs;

	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
		c->readable = true;
	if (events & (EPOLLHUP | EPOLLERR))
		c->hung_up = true;
	if (events & EPOLLOUT && c->buf_len)
		write_kept(c);
	if (c->state == VSOCK_LINE)
		read_line(c, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
	else if (c->state == VSOCK_REQUESTED && c->hung_up)
		vsock_conn_fail(c);
	else if (c->hung_up && nobody_reads(c))
		host_closed(c);
	else if (c->state == VSOCK_OPEN && c->readable)
		vsock_conn_send(c, 0);
	vs->flush(vs);
}

static int watch(struct vsock_conn *c)
{
	c->ev.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
	c->ev.fn = on_socket;
	c->ev.opaque = c;
	return event_add(c->vs->vdev.queues[VSOCK_RX].loop, &c->ev);
}

/* Beginning */

void vsock_host_connect(struct vsock_conn *c)
{
	struct virtio_vsock *vs = c->vs;
	int fd = vs->vb->ops->connect(vs->vb, c->host_port);

	if (fd == -EAGAIN)
		return;
	c->ev.fd = fd < 0 ? -1 : fd;
	if (fd < 0 || watch(c)) {
		if (fd != -ENOENT && fd != -ECONNREFUSED)
			guest_warn("%s: '%s_%u' cannot be connected to: %s", vs->vdev.name,
				   vs->vb->name, c->host_port, strerror(fd < 0 ? -fd : ENOSPC));
		vsock_conn_fail(c);
		return;
	}
	c->state = VSOCK_OPEN;
	c->patience = 0;
	vsock_conn_send(c, VSOCK_SEND_RESPONSE);
}

void vsock_host_answer(struct vsock_conn *c)
{
	struct virtio_vsock *vs = c->vs;

	if (vs->vb->ops->answer(vs->vb, c->ev.fd, c->host_port))
		vsock_conn_fail(c);
}

void vsock_host_accept(struct virtio_vsock *vs, bool on)
{
	vs->accept_later = false;
	if (vs->listener.loop)
		event_mod(&vs->listener, on ? EPOLLIN : 0);
}

/* Nobody can come for now (no place, no descriptor, the VM is paused); the next tick looks again.
 */
static void pause_accepting(struct virtio_vsock *vs)
{
	vsock_host_accept(vs, false);
	vs->accept_later = true;
	if (!vs->ticking)
		event_timer_set(&vs->timer, VSOCK_TICK_NS);
	vs->ticking = true;
}

void vsock_host_on_listen(void *opaque, u32 events)
{
	struct virtio_vsock *vs = opaque;
	struct vsock_conn *c;
	int fd;

	if (!virtio_queue_live(&vs->vdev, VSOCK_RX)) {
		pause_accepting(vs);
		return;
	}
	c = vsock_conn_new(vs, VSOCK_LINE, -1);
	if (!c) {
		pause_accepting(vs);
		return;
	}
	fd = vs->vb->ops->accept(vs->vb);
	c->ev.fd = fd < 0 ? -1 : fd;
	if (fd < 0 || watch(c)) {
		vsock_conn_free(c);
		if (fd == -EAGAIN)
			return;
		guest_warn("%s: '%s' cannot take a connection: %s%s", vs->vdev.name, vs->vb->name,
			   strerror(fd < 0 ? -fd : ENOSPC), limit_hint(fd));
		pause_accepting(vs);
		return;
	}
	vsock_host_wait(c, VSOCK_WAIT_LINE);
}
