/* SPDX-License-Identifier: MIT */
/* virtio-net's senders (VIRTIO 1.3, 5.1.6.2). */
#include "lkvm/log.h"
#include "net.h"

/* One packet; -EAGAIN: the backend is full. Everything else is done with. */
static int tx_packet(struct net_tx *tx, const struct virtq_request *req)
{
	struct virtio_net *net = tx->net;
	ssize_t n;

	if (req->out_len <= net_hdr_len(net) || req->out_len > MAX_PACKET) {
		guest_warn("%s: dropped a packet of %zu bytes", net->vdev.name, req->out_len);
		return 0;
	}
	if (atomic_load(&net->link.gone) || tx->down)
		return 0;
	n = net->nb->ops->writev(tx->nq, virtq_out(req), req->nr_out);
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n >= 0)
		return 0;
	if (net_link_is_removed((int)-n)) {
		net_link_set_gone(&net->link, (int)-n);
	} else if (net_link_is_down((int)-n)) {
		tx->down = true;
		net_link_set(&net->link, NET_LINK_TX(tx->pair), true);
	} else {
		guest_warn("%s: '%s' refused a packet: %s", net->vdev.name, net->nb->name,
			   strerror((int)-n));
	}
	return 0;
}

/* Room for a packet is waited for, and so is an interface that comes up: it has room then. */
static void tx_watch(struct net_tx *tx)
{
	net_watch_fd(tx->net, &tx->ev, tx->blocked || tx->down ? EPOLLOUT : 0);
}

/* May a packet of so many bytes be sent by the limit? Else the timer is set. */
static bool tx_may_send(struct net_tx *tx, size_t len)
{
	u64 wait;

	if (!rate_limited(&tx->net->tx_limit))
		return true;
	wait = rate_take(&tx->net->tx_limit, len, 1, now_ns());
	tx->waits = wait;
	if (wait)
		event_timer_set(&tx->retry, wait);
	return !wait;
}

void net_on_tx_retry(void *opaque)
{
	struct net_tx *tx = opaque;

	tx->waits = false;
	virtio_serve(&tx->net->vdev, tx->q);
}

bool net_tx_run(struct net_tx *tx)
{
	struct virtio_device *vdev = &tx->net->vdev;
	struct virtq_request req;

	/* 5.1.6.5.5.1: it is served once the driver asked for the pair. */
	if (tx->pair >= atomic_load(&tx->net->pairs))
		return false;
	while (!tx->blocked && !tx->waits &&
	       virtio_pop(vdev, tx->q, &req, tx->iov, ARRAY_SIZE(tx->iov)) == 1) {
		if (!tx_may_send(tx, req.out_len)) {
			virtio_unpop(vdev, tx->q, &req);
		} else if (tx_packet(tx, &req) == -EAGAIN) {
			virtio_unpop(vdev, tx->q, &req);
			tx->blocked = true;
		} else {
			virtio_push(vdev, tx->q, &req, 0);
		}
	}
	tx_watch(tx);
	return !tx->blocked && !tx->waits;
}

void net_on_tx(void *opaque, u32 events)
{
	struct net_tx *tx = opaque;
	struct virtio_net *net = tx->net;

	if (events & (EPOLLERR | EPOLLHUP) && !net_lost(net, &tx->ev, tx->pair, events))
		return;
	tx->blocked = false;
	/* A paused device tells its driver nothing; it looks again when it goes on. */
	if (tx->down && virtio_queue_live(&net->vdev, tx->q) && !(events & (EPOLLERR | EPOLLHUP))) {
		tx->down = false;
		net_link_set(&net->link, NET_LINK_TX(tx->pair), false);
	}
	net_watch_fd(net, &tx->ev, 0);
	virtio_serve(&net->vdev, tx->q);
}

void net_tx_drop(struct net_tx *tx)
{
	tx->blocked = false;
	tx_watch(tx);
}
