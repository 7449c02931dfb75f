/* SPDX-License-Identifier: MIT */
/* virtio-net's receiver (VIRTIO 1.3, 5.1.6.3, 5.1.6.4). */
#include <linux/virtio_net.h>

#include "lkvm/log.h"
#include "net.h"

/* Errors of the backend in a row, and the time until it is asked again. */
#define RX_ERRORS   8
#define RX_RETRY_NS 100000000ULL
/* Packets before the loop looks at its other events. */
#define BATCH 64

/* Take one more buffer from the ring: 0, -ENOBUFS there is none, -ENOSPC no place for it. */
static int rx_take(struct virtio_net *net)
{
	unsigned int left = (unsigned int)ARRAY_SIZE(net->iov) - 1 - net->nr_iov;
	struct rx_buf *buf = &net->bufs[net->nr_bufs];
	struct virtq_request *req = &buf->req;
	int ret;

	if (net->nr_bufs == RX_BUFS)
		return -ENOSPC;
	ret = virtio_pop(&net->vdev, RX, req, net->iov + net->nr_iov, left);
	if (ret == -E2BIG) {
		if (!net->nr_bufs)
			virtio_broken(&net->vdev, "a receive buffer is in too many pieces");
		return -ENOSPC;
	}
	if (ret != 1)
		return -ENOBUFS;
	/* 5.1.6.3.2: at least the header. */
	if (req->in_len < NET_HDR_LEN || req->nr_out) {
		virtio_broken(&net->vdev, "a receive buffer is shorter than the header");
		return -ENOBUFS;
	}
	buf->nr_iov = req->nr_in;
	buf->len = req->in_len;
	net->nr_bufs++;
	net->nr_iov += req->nr_in;
	net->room += req->in_len;
	return 0;
}

/* Buffers for @len bytes, or as many as there are: what rx_take says when that is less. */
static int rx_fill(struct virtio_net *net, size_t len)
{
	int ret = 0;

	while (net->room < len && !ret)
		ret = rx_take(net);
	return ret;
}

/* Drop the first @n buffers, which went back to the driver. */
static void rx_consume(struct virtio_net *net, unsigned int n)
{
	unsigned int nr_iov = 0;

	for (unsigned int i = 0; i < n; i++) {
		nr_iov += net->bufs[i].nr_iov;
		net->room -= net->bufs[i].len;
	}
	net->nr_bufs -= n;
	net->nr_iov -= nr_iov;
	memmove(net->bufs, net->bufs + n, net->nr_bufs * sizeof(net->bufs[0]));
	memmove(net->iov, net->iov + nr_iov, net->nr_iov * sizeof(net->iov[0]));
}

/* The packet of @len bytes lies in the first buffers: the driver gets all of them at once. */
static void rx_push(struct virtio_net *net, size_t len)
{
	__le16 num;
	unsigned int n = 0;

	for (size_t have = 0; have < len; n++)
		have += net->bufs[n].len;
	num = cpu_to_le16((u16)n);
	iov_from_buf(net->iov, net->bufs[0].nr_iov, offsetof(struct virtio_net_hdr_v1, num_buffers),
		     &num, sizeof(num));
	for (unsigned int i = 0; i + 1 < n; i++) {
		virtio_push_later(&net->vdev, RX, &net->bufs[i].req, (u32)net->bufs[i].len);
		len -= net->bufs[i].len;
	}
	virtio_push(&net->vdev, RX, &net->bufs[n - 1].req, (u32)len);
	rx_consume(net, n);
}

static bool mergeable(const struct virtio_net *net)
{
	return virtio_has(&net->vdev, VIRTIO_NET_F_MRG_RXBUF);
}

/* Deliver the pending packet if its rest fits now. False: wait for more buffers. */
static bool rx_finish_pending(struct virtio_net *net)
{
	int ret = rx_fill(net, net->pending);

	if (ret == -ENOBUFS)
		return false;
	/* -ENOSPC: in buffers so small it never fits. */
	if (!ret) {
		iov_from_buf(net->iov, net->nr_iov, net->spilled_at, net->spill,
			     net->pending - net->spilled_at);
		rx_push(net, net->pending);
	}
	net->pending = 0;
	return true;
}

/* One packet from the backend; 0 or -errno. */
static int rx_packet(struct virtio_net *net)
{
	unsigned int count = mergeable(net) ? net->nr_iov : net->bufs[0].nr_iov;
	size_t room = mergeable(net) ? net->room : net->bufs[0].len;
	struct iovec saved = net->iov[count];
	ssize_t n;

	/* After the guest's buffers stands ours, so that nothing is cut off unseen. */
	net->iov[count].iov_base = net->spill;
	net->iov[count].iov_len = sizeof(net->spill);
	n = net->nb->ops->readv(net->nb, net->iov, (int)count + 1);
	net->iov[count] = saved;
	if (n < 0)
		return (int)n;
	if (n < NET_HDR_LEN)
		return n ? 0 : -EPIPE;
	if ((size_t)n <= room) {
		rx_push(net, (size_t)n);
	} else if (mergeable(net)) {
		net->pending = (size_t)n;
		net->spilled_at = room;
	}
	/* Without mergeable buffers a packet that is too long is dropped (5.1.6.4.1). */
	return 0;
}

/*
 * The backend said @error instead of giving a packet. Some errors come with one packet, others come
 * and go with the interface: after a few in a row, look again in a while.
 */
static int rx_failed(struct virtio_net *net, int error)
{
	if (net_link_is_removed(error)) {
		net_link_set_gone(&net->link, error);
		return -error;
	}
	if (net_link_is_down(error))
		net_link_set(&net->link, NET_LINK_RX, true);
	else if (!net->rx_errors)
		guest_warn("%s: '%s' lost a packet: %s", net->vdev.name, net->nb->name,
			   strerror(error));
	if (++net->rx_errors < RX_ERRORS)
		return 0;
	net->rx_waits = true;
	event_timer_set(&net->rx_retry, RX_RETRY_NS);
	return -error;
}

void net_on_rx_retry(void *opaque)
{
	struct virtio_net *net = opaque;

	net->rx_waits = false;
	net_watch_fd(net, &net->rx_ev, EPOLLIN);
}

/* What keeps receiving from going on? 0: nothing yet. */
static int rx_step(struct virtio_net *net)
{
	int ret;

	if (net->pending && !rx_finish_pending(net))
		return -ENOBUFS;
	ret = rx_fill(net, mergeable(net) ? MAX_PACKET : 1);
	if (!net->nr_bufs)
		return ret;
	ret = rx_packet(net);
	if (ret && ret != -EAGAIN)
		return rx_failed(net, -ret);
	if (net->rx_errors)
		net_link_set(&net->link, NET_LINK_RX, false);
	net->rx_errors = 0;
	return ret;
}

bool net_rx_run(struct virtio_net *net)
{
	int ret = 0;

	if (net->rx_waits)
		return false;
	for (unsigned int i = 0; i < BATCH && !ret; i++)
		ret = atomic_load(&net->link.gone) ? -EPIPE : rx_step(net);
	/* No buffers: the driver brings some. No packet: the event comes. Both: go on in a while.
	 */
	net_watch_fd(net, &net->rx_ev, ret == -ENOBUFS || net->rx_waits ? 0 : EPOLLIN);
	return ret == -ENOBUFS;
}

void net_on_rx(void *opaque, u32 events)
{
	struct virtio_net *net = opaque;

	if (events & (EPOLLERR | EPOLLHUP)) {
		net_link_set_gone(&net->link, ENODEV);
		event_del(&net->rx_ev);
	} else if (!virtio_queue_live(&net->vdev, RX)) {
		net_watch_fd(net, &net->rx_ev, 0);
	} else {
		virtio_serve(&net->vdev, RX);
	}
}

void net_rx_give_back(struct virtio_net *net)
{
	if (net->pending > sizeof(net->spill)) {
		net->pending = 0;
	} else if (net->pending) {
		memmove(net->spill + net->spilled_at, net->spill, net->pending - net->spilled_at);
		iov_to_buf(net->iov, net->nr_iov, 0, net->spill, net->spilled_at);
		net->spilled_at = 0;
	}
	while (net->nr_bufs)
		virtio_unpop(&net->vdev, RX, &net->bufs[--net->nr_bufs].req);
	net->nr_iov = 0;
	net->room = 0;
}
