/* SPDX-License-Identifier: MIT */
/* virtio-net's receivers (VIRTIO 1.3, 5.1.6.3, 5.1.6.4). */
#include "lkvm/log.h"
#include "net.h"

/* Errors of the backend in a row, and the time until it is asked again. */
#define RX_ERRORS   8
#define RX_RETRY_NS 100000000ULL
/* Packets before the loop looks at its other events. */
#define BATCH 64
/* Packets after which room is made for the longest of them alone. */
#define LOOK 64

static struct iovec *rx_iov(struct net_rx *rx)
{
	return rx->iov + rx->first_iov;
}

static struct rx_buf *rx_buf(struct net_rx *rx, unsigned int i)
{
	return &rx->bufs[rx->first_buf + i];
}

/* What is held, back to the front where there is no place behind it. */
static void rx_make_place(struct net_rx *rx)
{
	if (rx->first_buf + rx->nr_bufs == ARRAY_SIZE(rx->bufs)) {
		memmove(rx->bufs, rx_buf(rx, 0), rx->nr_bufs * sizeof(rx->bufs[0]));
		rx->first_buf = 0;
	}
	/* readv takes IOV_MAX, one of which is ours. */
	if (rx->first_iov > ARRAY_SIZE(rx->iov) - IOV_MAX) {
		memmove(rx->iov, rx_iov(rx), rx->nr_iov * sizeof(rx->iov[0]));
		rx->first_iov = 0;
	}
}

/* Take one more buffer from the ring: 0, -ENOBUFS there is none, -ENOSPC no place for it. */
static int rx_take(struct net_rx *rx)
{
	struct virtio_device *vdev = &rx->net->vdev;
	unsigned int left = IOV_MAX - 1 - rx->nr_iov;
	struct virtq_request *req;
	struct rx_buf *buf;
	int ret;

	if (rx->nr_bufs == RX_BUFS)
		return -ENOSPC;
	rx_make_place(rx);
	buf = rx_buf(rx, rx->nr_bufs);
	req = &buf->req;
	ret = virtio_pop(vdev, rx->q, req, rx_iov(rx) + rx->nr_iov, left);
	if (ret == -E2BIG) {
		if (!rx->nr_bufs)
			virtio_broken(vdev, "a receive buffer is in too many pieces");
		return -ENOSPC;
	}
	if (ret != 1)
		return -ENOBUFS;
	/* 5.1.6.3.2: at least the header. */
	if (req->in_len < net_hdr_len(rx->net) || req->nr_out) {
		virtio_broken(vdev, "a receive buffer is shorter than the header");
		return -ENOBUFS;
	}
	buf->nr_iov = req->nr_in;
	buf->len = req->in_len;
	rx->nr_bufs++;
	rx->nr_iov += req->nr_in;
	rx->room += req->in_len;
	return 0;
}

/* Buffers for @len bytes, or as many as there are: what rx_take says when that is less. */
static int rx_fill(struct net_rx *rx, size_t len)
{
	int ret = 0;

	while (rx->room < len && !ret)
		ret = rx_take(rx);
	return ret;
}

/* Drop the first @n buffers, which went back to the driver. */
static void rx_consume(struct net_rx *rx, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		struct rx_buf *buf = rx_buf(rx, i);

		rx->first_iov += buf->nr_iov;
		rx->nr_iov -= buf->nr_iov;
		rx->room -= buf->len;
	}
	rx->first_buf += n;
	rx->nr_bufs -= n;
}

/* The packet of @len bytes lies in the first buffers: the driver gets all of them at once. */
static void rx_push(struct net_rx *rx, size_t len)
{
	struct virtio_device *vdev = &rx->net->vdev;
	__le16 num;
	unsigned int n = 0;

	for (size_t have = 0; have < len; n++)
		have += rx_buf(rx, n)->len;
	num = cpu_to_le16((u16)n);
	if (net_hdr_len(rx->net) >= NET_HDR_LEN)
		iov_from_buf(rx_iov(rx), rx_buf(rx, 0)->nr_iov,
			     offsetof(struct virtio_net_hdr_v1, num_buffers), &num, sizeof(num));
	for (unsigned int i = 0; i + 1 < n; i++) {
		const struct rx_buf *buf = rx_buf(rx, i);

		virtio_push_later(vdev, rx->q, &buf->req, (u32)buf->len);
		len -= buf->len;
	}
	virtio_push(vdev, rx->q, &rx_buf(rx, n - 1)->req, (u32)len);
	rx_consume(rx, n);
}

static bool mergeable(const struct net_rx *rx)
{
	return virtio_has(&rx->net->vdev, VIRTIO_NET_F_MRG_RXBUF);
}

/* Deliver the pending packet if its rest fits now. False: wait for more buffers. */
static bool rx_finish_pending(struct net_rx *rx)
{
	int ret = rx_fill(rx, rx->pending);

	if (ret == -ENOBUFS)
		return false;
	/* -ENOSPC: in buffers so small it never fits. */
	if (!ret) {
		iov_from_buf(rx_iov(rx), rx->nr_iov, rx->spilled_at, rx->spill,
			     rx->pending - rx->spilled_at);
		rx_push(rx, rx->pending);
	}
	rx->pending = 0;
	return true;
}

/* What comes next is about as long as what came last. */
static void rx_learn(struct net_rx *rx, size_t len)
{
	rx->longest = MAX(rx->longest, len);
	rx->expect = MAX(rx->expect, len);
	if (rx->until_look--)
		return;
	rx->until_look = LOOK;
	rx->expect = rx->longest;
	rx->longest = 0;
}

/* One packet from the backend; 0 or -errno. */
static int rx_packet(struct net_rx *rx)
{
	const unsigned int count = mergeable(rx) ? rx->nr_iov : rx_buf(rx, 0)->nr_iov;
	const size_t room = mergeable(rx) ? rx->room : rx_buf(rx, 0)->len;
	struct iovec *iov = rx_iov(rx), saved = iov[count];
	bool wanted;
	ssize_t n;

	/* After the guest's buffers stands ours, so that nothing is cut off unseen. */
	iov[count].iov_base = rx->spill;
	iov[count].iov_len = sizeof(rx->spill);
	n = rx->net->nb->ops->readv(rx->nq, iov, (int)count + 1);
	wanted = n > 0 && net_wanted(rx->net, iov, count + 1);
	if (wanted && n >= NET_HDR_LEN_HASH && virtio_has(&rx->net->vdev, VIRTIO_NET_F_HASH_REPORT))
		net_hash_report(rx->net, iov, count + 1);
	iov[count] = saved;
	if (n < 0)
		return (int)n;
	if ((size_t)n < net_hdr_len(rx->net))
		return n ? 0 : -EPIPE;
	rx->owed = (u64)n - net_hdr_len(rx->net);
	rx->paid = false;
	if (!wanted)
		return 0;
	rx_learn(rx, (size_t)n);
	if ((size_t)n <= room) {
		rx_push(rx, (size_t)n);
	} else if (mergeable(rx)) {
		rx->pending = (size_t)n;
		rx->spilled_at = room;
	}
	/* Without mergeable buffers a packet that is too long is dropped (5.1.6.4.1). */
	return 0;
}

/*
 * The backend said @error instead of giving a packet. Some errors come with one packet, others come
 * and go with the interface: after a few in a row, look again in a while.
 */
static int rx_failed(struct net_rx *rx, int error)
{
	struct virtio_net *net = rx->net;

	if (net_link_is_removed(error)) {
		net_link_set_gone(&net->link, error);
		return -error;
	}
	if (net_link_is_down(error))
		net_link_set(&net->link, NET_LINK_RX(rx->pair), true);
	else if (!rx->errors)
		guest_warn("%s: '%s' lost a packet: %s", net->vdev.name, net->nb->name,
			   strerror(error));
	if (++rx->errors < RX_ERRORS)
		return 0;
	rx->waits = true;
	event_timer_set(&rx->retry, RX_RETRY_NS);
	return -error;
}

void net_on_rx_retry(void *opaque)
{
	struct net_rx *rx = opaque;

	rx->waits = false;
	net_watch_fd(rx->net, &rx->ev, EPOLLIN);
}

/* May a packet be read by the limit? Else the timer is set. */
static bool rx_may_read(struct net_rx *rx)
{
	u64 wait;

	if (!rate_limited(&rx->net->rx_limit) || rx->paid)
		return true;
	wait = rate_take(&rx->net->rx_limit, rx->owed, 1, now_ns());
	rx->paid = !wait;
	rx->waits = wait;
	if (wait)
		event_timer_set(&rx->retry, wait);
	else
		rx->owed = 0;
	return !wait;
}

/* What keeps receiving from going on? 0: nothing yet. Under the receiver's lock. */
static int rx_step(struct net_rx *rx)
{
	int ret;

	if (rx->pair >= atomic_load(&rx->net->pairs))
		return -EAGAIN;
	if (atomic_load(&rx->net->link.gone))
		return -EPIPE;
	if (rx->pending && !rx_finish_pending(rx))
		return -ENOBUFS;
	ret = rx_fill(rx, mergeable(rx) ? rx->expect : 1);
	if (!rx->nr_bufs)
		return ret;
	if (!rx_may_read(rx))
		return -EAGAIN;
	ret = rx_packet(rx);
	if (ret && ret != -EAGAIN)
		return rx_failed(rx, -ret);
	if (rx->errors)
		net_link_set(&rx->net->link, NET_LINK_RX(rx->pair), false);
	rx->errors = 0;
	return ret;
}

bool net_rx_run(struct net_rx *rx)
{
	int ret = 0;

	if (rx->waits)
		return false;
	for (unsigned int i = 0; i < BATCH && !ret; i++) {
		pthread_mutex_lock(&rx->lock);
		ret = rx_step(rx);
		pthread_mutex_unlock(&rx->lock);
	}
	/* No buffers: the driver brings some. No packet: the event comes. Both: go on in a while.
	 */
	net_watch_fd(rx->net, &rx->ev, ret == -ENOBUFS || rx->waits ? 0 : EPOLLIN);
	return ret == -ENOBUFS;
}

void net_on_rx(void *opaque, u32 events)
{
	struct net_rx *rx = opaque;
	struct virtio_net *net = rx->net;

	if (events & (EPOLLERR | EPOLLHUP))
		net_lost(net, &rx->ev, rx->pair, events);
	else if (!virtio_queue_live(&net->vdev, rx->q))
		net_watch_fd(net, &rx->ev, 0);
	else
		virtio_serve(&net->vdev, rx->q);
}

void net_rx_drop(struct net_rx *rx)
{
	rx->first_buf = 0;
	rx->nr_bufs = 0;
	rx->first_iov = 0;
	rx->nr_iov = 0;
	rx->room = 0;
	rx->pending = 0;
	rx->expect = 1;
}

void net_rx_give_back(struct net_rx *rx)
{
	if (rx->pending > sizeof(rx->spill)) {
		rx->pending = 0;
	} else if (rx->pending) {
		memmove(rx->spill + rx->spilled_at, rx->spill, rx->pending - rx->spilled_at);
		iov_to_buf(rx_iov(rx), rx->nr_iov, 0, rx->spill, rx->spilled_at);
		rx->spilled_at = 0;
	}
	while (rx->nr_bufs)
		virtio_unpop(&rx->net->vdev, rx->q, &rx_buf(rx, --rx->nr_bufs)->req);
	rx->first_buf = 0;
	rx->first_iov = 0;
	rx->nr_iov = 0;
	rx->room = 0;
}
