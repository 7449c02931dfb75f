/* SPDX-License-Identifier: MIT */
/*
 * virtio-net (VIRTIO 1.3, 5.1): one pair of queues and a control queue. Each direction has a loop
 * of its own, which watches the backend: for packets the one, for room the other; control commands
 * are the receiver's. Packets move straight between guest buffers and the backend, checksums and
 * segmentation are left to whoever needs them done.
 */
#include <limits.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/net.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "lkvm/virtio.h"
#include "lkvm/vm.h"

enum { RX, TX, CTRL, NR_QUEUES };

#define QUEUE_SIZE 256
/* An IP packet of 64 KiB after an Ethernet header with two VLAN tags. */
#define MAX_PACKET (NET_HDR_LEN + 65536 + 22)
/* Packets before the loop looks at its other events. */
#define BATCH 64
/* Receive buffers taken from the ring at once; MAX_PACKET needs 43 of 1.5 KiB. */
#define RX_BUFS QUEUE_SIZE

#define ETHERNET_CLASS 0x0200
#define CONFIG_LEN     (offsetof(struct virtio_net_config, mtu) + 2)

/* A receive buffer that was popped and waits for a packet. */
struct rx_buf {
	struct virtq_request req;
	u16 nr_iov;
	size_t len;
};

struct virtio_net {
	struct virtio_device vdev;
	struct net_backend *nb;
	atomic_bool gone; /* the backend failed for good */

	/* The receiver's. */
	bool begun;  /* DRIVER_OK was seen; a queue that comes back after its reset loses nothing */
	bool driven; /* ... and by an earlier driver too */
	struct event rx_ev; /* of nb->poll_fd, in the loop until the backend is gone */
	struct rx_buf bufs[RX_BUFS];
	unsigned int nr_bufs;
	struct iovec iov[IOV_MAX]; /* of bufs[], one after the other; one entry stays free */
	unsigned int nr_iov;
	size_t room; /* bytes in bufs[] */
	/* A packet longer than the buffers at hand (all after the first @spilled_at bytes is in
	 * spill) that waits for more of them; 0: none. */
	size_t pending;
	size_t spilled_at;
	u8 spill[MAX_PACKET];
	struct iovec ctrl_iov[VIRTQ_MAX_SEGS];

	/* The sender's. */
	struct event tx_ev; /* of nb->room_fd */
	bool tx_blocked;    /* the backend is full: wait until it takes more */
	struct iovec tx_iov[VIRTQ_MAX_SEGS];
};

/* Feature bits that need a TUN_F_* of the backend, for what the host takes and what it may give. */
static const struct {
	u32 tun_f;
	u8 host, guest;
} offload_map[] = {
	{ TUN_F_CSUM, VIRTIO_NET_F_CSUM, VIRTIO_NET_F_GUEST_CSUM },
	{ TUN_F_TSO4, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_GUEST_TSO4 },
	{ TUN_F_TSO6, VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_GUEST_TSO6 },
	{ TUN_F_TSO_ECN, VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_GUEST_ECN },
};

static struct virtio_net *to_net(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_net, vdev);
}

/* The interface was removed under us. The guest sees the cable pulled and lives on. */
static void backend_gone(struct virtio_net *net, int error)
{
	const u32 at = offsetof(struct virtio_net_config, status);
	__le16 down = 0;

	if (atomic_exchange(&net->gone, true))
		return;
	warn("%s: interface '%s' was removed (%s); the guest's link is down", net->vdev.name,
	     net->nb->name, strerror(error));
	virtio_config_set(&net->vdev, at, &down, sizeof(down));
}

/* Wait for nothing that could not be handled: a level-triggered event would come at once again. */
static void watch(struct virtio_net *net, struct event *ev, u32 events)
{
	if (atomic_load(&net->gone))
		event_del(ev);
	else if (ev->loop)
		event_mod(ev, events);
}

/* Receiving */

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
		backend_gone(net, -ret);
	return ret;
}

static bool rx_run(struct virtio_net *net)
{
	int ret = 0;

	for (unsigned int i = 0; i < BATCH && !ret; i++)
		ret = atomic_load(&net->gone) ? -EPIPE : rx_step(net);
	/* No buffers: the driver brings some. No packet: the event comes. Both: go on in a while.
	 */
	watch(net, &net->rx_ev, ret == -ENOBUFS ? 0 : EPOLLIN);
	return ret == -ENOBUFS;
}

static void on_rx(void *opaque, u32 events)
{
	struct virtio_net *net = opaque;

	if (events & (EPOLLERR | EPOLLHUP)) {
		backend_gone(net, ENODEV);
		event_del(&net->rx_ev);
	} else if (!virtio_queue_live(&net->vdev, RX)) {
		watch(net, &net->rx_ev, 0);
	} else {
		virtio_serve(&net->vdev, RX);
	}
}

/* Every buffer goes back, unread. A packet that lies in some of them in part moves to our own. */
static void rx_give_back(struct virtio_net *net)
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

/* Sending */

/* One packet; -EAGAIN: the backend is full. Everything else is done with. */
static int tx_packet(struct virtio_net *net, const struct virtq_request *req)
{
	ssize_t n;

	if (req->out_len <= NET_HDR_LEN || req->out_len > MAX_PACKET) {
		guest_warn("%s: dropped a packet of %zu bytes", net->vdev.name, req->out_len);
		return 0;
	}
	if (atomic_load(&net->gone))
		return 0;
	n = net->nb->ops->writev(net->nb, virtq_out(req), req->nr_out);
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n == -EBADFD)
		backend_gone(net, EBADFD);
	else if (n < 0)
		guest_warn("%s: '%s' refused a packet: %s", net->vdev.name, net->nb->name,
			   strerror((int)-n));
	return 0;
}

static bool tx_run(struct virtio_net *net)
{
	struct virtio_device *vdev = &net->vdev;
	struct virtq_request req;

	while (!net->tx_blocked &&
	       virtio_pop(vdev, TX, &req, net->tx_iov, ARRAY_SIZE(net->tx_iov)) == 1) {
		if (tx_packet(net, &req) == -EAGAIN) {
			virtio_unpop(vdev, TX, &req);
			net->tx_blocked = true;
		} else {
			virtio_push(vdev, TX, &req, 0);
		}
	}
	watch(net, &net->tx_ev, net->tx_blocked ? EPOLLOUT : 0);
	return !net->tx_blocked;
}

static void on_tx(void *opaque, u32 events)
{
	struct virtio_net *net = opaque;

	net->tx_blocked = false;
	watch(net, &net->tx_ev, 0);
	if (events & (EPOLLERR | EPOLLHUP)) {
		backend_gone(net, ENODEV);
		event_del(&net->tx_ev);
	}
	virtio_serve(&net->vdev, TX);
}

/* Control (5.1.6.5) */

static int set_offloads(struct virtio_net *net, u64 bits)
{
	u32 tun_f = 0;

	/* Segmentation without checksums makes no sense (5.1.3.1), and the kernel refuses it. */
	if (bits & BIT_ULL(VIRTIO_NET_F_GUEST_CSUM))
		for (size_t i = 0; i < ARRAY_SIZE(offload_map); i++)
			if (bits & BIT_ULL(offload_map[i].guest))
				tun_f |= offload_map[i].tun_f;
	return net->nb->offloads ? net->nb->ops->set_offloads(net->nb, tun_f) : 0;
}

static u64 guest_offloads(const struct virtio_net *net)
{
	u64 bits = 0;

	for (size_t i = 0; i < ARRAY_SIZE(offload_map); i++)
		bits |= BIT_ULL(offload_map[i].guest);
	return bits & net->vdev.features;
}

/* vdev->own: of those that were agreed, what the driver has switched off since. */
static u64 current_offloads(const struct virtio_net *net)
{
	return guest_offloads(net) & ~net->vdev.own;
}

static u8 control(struct virtio_net *net, const struct virtq_request *req)
{
	struct {
		struct virtio_net_ctrl_hdr hdr;
		__le64 offloads;
	} __attribute__((packed)) cmd;
	u64 bits;

	if (iov_to_buf(virtq_out(req), req->nr_out, 0, &cmd, sizeof(cmd)) != sizeof(cmd) ||
	    cmd.hdr.class != VIRTIO_NET_CTRL_GUEST_OFFLOADS ||
	    cmd.hdr.cmd != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET ||
	    !virtio_has(&net->vdev, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))
		return VIRTIO_NET_ERR;
	bits = le64_to_cpu(cmd.offloads);
	if (bits & ~guest_offloads(net))
		return VIRTIO_NET_ERR;
	if (set_offloads(net, bits))
		return VIRTIO_NET_ERR;
	net->vdev.own = guest_offloads(net) & ~bits;
	return VIRTIO_NET_OK;
}

static bool ctrl_run(struct virtio_net *net)
{
	struct virtio_device *vdev = &net->vdev;
	struct virtq_request req;

	while (virtio_pop(vdev, CTRL, &req, net->ctrl_iov, ARRAY_SIZE(net->ctrl_iov)) == 1) {
		u8 ack = control(net, &req);

		iov_from_buf(virtq_in(&req), req.nr_in, 0, &ack, 1);
		virtio_push(vdev, CTRL, &req, req.nr_in ? 1 : 0);
	}
	return true;
}

/* The device */

static bool net_run(struct virtio_device *vdev, u16 q)
{
	struct virtio_net *net = to_net(vdev);

	switch (q) {
	case RX:
		return rx_run(net);
	case TX:
		return tx_run(net);
	default:
		return ctrl_run(net);
	}
}

/* DRIVER_OK waits for this, so what comes after it is not thrown away. */
static void begin_receiving(struct virtio_net *net)
{
	struct iovec iov = { .iov_base = net->spill, .iov_len = sizeof(net->spill) };

	net->begun = true;
	if (set_offloads(net, current_offloads(net)))
		warn("%s: '%s' refuses the offloads that it offered", net->vdev.name,
		     net->nb->name);
	/* What came before the first driver waits for it. What came before a later one was for the
	 * driver before, maybe in forms that this one did not agree to. */
	for (unsigned int i = 0; i < 4096 && net->driven; i++)
		if (net->nb->ops->readv(net->nb, &iov, 1) <= 0)
			break;
	net->driven = true;
}

static void net_started(struct virtio_device *vdev, u16 q)
{
	struct virtio_net *net = to_net(vdev);

	if (q == RX && !net->begun && !atomic_load(&net->gone))
		begin_receiving(net);
}

static bool net_stopped(struct virtio_device *vdev, u16 q)
{
	struct virtio_net *net = to_net(vdev);

	if (q == RX) {
		watch(net, &net->rx_ev, 0);
		net->nr_bufs = 0;
		net->nr_iov = 0;
		net->room = 0;
		net->pending = 0;
	} else if (q == TX) {
		watch(net, &net->tx_ev, 0);
		net->tx_blocked = false;
	}
	return true;
}

static bool net_held(struct virtio_device *vdev, u16 q)
{
	if (q == RX)
		rx_give_back(to_net(vdev));
	return true;
}

static void net_reset(struct virtio_device *vdev)
{
	to_net(vdev)->begun = false;
}

struct watching {
	struct event_loop *loop;
	struct event *ev;
	int ret;
};

static void watch_on_loop(void *opaque)
{
	struct watching *w = opaque;

	w->ev->events = 0;
	w->ret = event_add(w->loop, w->ev);
}

static void unwatch_on_loop(void *opaque)
{
	event_del(opaque);
}

/* In the loops for good: a guest that starts finds nothing missing on the host. */
static int net_watch(struct virtio_device *vdev, bool on)
{
	struct virtio_net *net = to_net(vdev);
	struct event *events[] = { [RX] = &net->rx_ev, [TX] = &net->tx_ev };

	for (size_t q = 0; q < ARRAY_SIZE(events); q++) {
		struct watching w = { .ev = events[q] };

		if (!on && w.ev->loop)
			event_call_sync(w.ev->loop, unwatch_on_loop, w.ev);
		if (!on || w.ev->fd < 0)
			continue;
		w.loop = vdev->queues[q].loop;
		event_call_sync(w.loop, watch_on_loop, &w);
		if (w.ret)
			return w.ret;
	}
	return 0;
}

static void net_detach(struct virtio_device *vdev)
{
	int ret __maybe_unused = net_watch(vdev, false);
}

static void net_destroy(struct virtio_device *vdev)
{
	free(to_net(vdev));
}

static const struct virtio_ops net_ops = {
	.id = VIRTIO_ID_NET,
	.pci_class = ETHERNET_CLASS,
	.nr_loops = 2,
	.config_len = CONFIG_LEN,
	.queue_started = net_started,
	.queue_run = net_run,
	.queue_stopped = net_stopped,
	.queue_held = net_held,
	.reset = net_reset,
	.watch = net_watch,
	.detach = net_detach,
	.destroy = net_destroy,
};

static u64 offered(const struct net_backend *nb)
{
	u64 f = BIT_ULL(VIRTIO_NET_F_MAC) | BIT_ULL(VIRTIO_NET_F_STATUS) |
		BIT_ULL(VIRTIO_NET_F_MRG_RXBUF);

	if (nb->mtu)
		f |= BIT_ULL(VIRTIO_NET_F_MTU);
	/* Linux switches offloads off for XDP and bridges, so who offers GUEST_TSO* needs the
	 * command as well. */
	if (nb->offloads)
		f |= BIT_ULL(VIRTIO_NET_F_CTRL_VQ) | BIT_ULL(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	for (size_t i = 0; i < ARRAY_SIZE(offload_map); i++)
		if (nb->offloads & offload_map[i].tun_f)
			f |= BIT_ULL(offload_map[i].host) | BIT_ULL(offload_map[i].guest);
	return f;
}

int virtio_net_new(struct vm *vm, struct net_backend *nb, const u8 mac[6], u32 index,
		   struct virtio_device **out)
{
	struct virtio_net *net = xcalloc(1, sizeof(*net));
	struct virtio_net_config cfg = {
		.status = cpu_to_le16(VIRTIO_NET_S_LINK_UP),
		.mtu = cpu_to_le16(nb->mtu),
	};
	int ret;

	net->nb = nb;
	net->rx_ev = (struct event){ .fd = nb->poll_fd, .fn = on_rx, .opaque = net };
	net->tx_ev = (struct event){ .fd = nb->room_fd, .fn = on_tx, .opaque = net };
	ret = virtio_init(&net->vdev, vm, &net_ops, "virtio-net", index, offered(nb),
			  nb->offloads ? NR_QUEUES : CTRL, QUEUE_SIZE, NULL);
	if (ret)
		goto fail;
	memcpy(cfg.mac, mac, sizeof(cfg.mac));
	memcpy(net->vdev.config, &cfg, CONFIG_LEN);
	ret = net_watch(&net->vdev, true);
	if (ret) {
		err("%s: cannot watch '%s': %s%s", net->vdev.name, nb->name, strerror(-ret),
		    limit_hint(ret));
		virtio_fini(&net->vdev);
		goto fail;
	}
	*out = &net->vdev;
	return 0;
fail:
	free(net);
	return ret;
}

int virtio_net_create(struct vm *vm, struct net_backend *nb, const u8 mac[6], u32 index)
{
	struct virtio_device *vdev;
	int ret;

	ret = virtio_net_new(vm, nb, mac, index, &vdev);
	if (ret)
		return ret;
	ret = virtio_attach(vdev);
	if (ret) {
		virtio_fini(vdev);
		net_destroy(vdev);
	}
	return ret;
}
