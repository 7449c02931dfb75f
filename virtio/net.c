/* SPDX-License-Identifier: MIT */
/*
 * virtio-net (VIRTIO 1.3, 5.1): one pair of queues and a control queue. Each direction has a loop
 * of its own, which watches the backend: for packets the one, for room the other; control commands
 * are the receiver's. Packets move straight between guest buffers and the backend, checksums and
 * segmentation are left to whoever needs them done.
 */
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/net.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "lkvm/virtio.h"
#include "lkvm/vm.h"
#include "net.h"

#define ETHERNET_CLASS 0x0200
#define CONFIG_LEN     (offsetof(struct virtio_net_config, mtu) + 2)

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

/* Sending */

/* One packet; -EAGAIN: the backend is full. Everything else is done with. */
static int tx_packet(struct virtio_net *net, const struct virtq_request *req)
{
	ssize_t n;

	if (req->out_len <= NET_HDR_LEN || req->out_len > MAX_PACKET) {
		guest_warn("%s: dropped a packet of %zu bytes", net->vdev.name, req->out_len);
		return 0;
	}
	if (atomic_load(&net->link.gone) || net->tx_down)
		return 0;
	n = net->nb->ops->writev(net->nb, virtq_out(req), req->nr_out);
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n >= 0)
		return 0;
	if (net_link_is_removed((int)-n)) {
		net_link_set_gone(&net->link, (int)-n);
	} else if (net_link_is_down((int)-n)) {
		net->tx_down = true;
		net_link_set(&net->link, NET_LINK_TX, true);
	} else {
		guest_warn("%s: '%s' refused a packet: %s", net->vdev.name, net->nb->name,
			   strerror((int)-n));
	}
	return 0;
}

/* Room for a packet is waited for, and so is an interface that comes up: it has room then. */
static void tx_watch(struct virtio_net *net)
{
	net_watch_fd(net, &net->tx_ev, net->tx_blocked || net->tx_down ? EPOLLOUT : 0);
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
	tx_watch(net);
	return !net->tx_blocked;
}

static void on_tx(void *opaque, u32 events)
{
	struct virtio_net *net = opaque;

	net->tx_blocked = false;
	/* A paused device tells its driver nothing; it looks again when it goes on. */
	if (net->tx_down && virtio_queue_live(&net->vdev, TX) &&
	    !(events & (EPOLLERR | EPOLLHUP))) {
		net->tx_down = false;
		net_link_set(&net->link, NET_LINK_TX, false);
	}
	net_watch_fd(net, &net->tx_ev, 0);
	if (events & (EPOLLERR | EPOLLHUP)) {
		net_link_set_gone(&net->link, ENODEV);
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
	struct virtio_net *net = virtio_to_net(vdev);

	switch (q) {
	case RX:
		return net_rx_run(net);
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
		guest_warn("%s: '%s' refuses the offloads that it offered", net->vdev.name,
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
	struct virtio_net *net = virtio_to_net(vdev);

	if (q == RX)
		net_link_refresh(&net->link);
	if (q == RX && !net->begun && !atomic_load(&net->link.gone))
		begin_receiving(net);
}

static bool net_stopped(struct virtio_device *vdev, u16 q)
{
	struct virtio_net *net = virtio_to_net(vdev);

	if (q == RX) {
		net_watch_fd(net, &net->rx_ev, 0);
		net->nr_bufs = 0;
		net->nr_iov = 0;
		net->room = 0;
		net->pending = 0;
	} else if (q == TX) {
		net->tx_blocked = false;
		tx_watch(net);
	}
	return true;
}

static bool net_held(struct virtio_device *vdev, u16 q)
{
	if (q == RX)
		net_rx_give_back(virtio_to_net(vdev));
	return true;
}

static void net_reset(struct virtio_device *vdev)
{
	virtio_to_net(vdev)->begun = false;
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

static void make_retry(void *opaque)
{
	struct virtio_net *net = opaque;

	event_timer_init(&net->rx_retry, net->vdev.queues[RX].loop, net_on_rx_retry, net);
	net->rx_waits = false;
}

static void end_retry(void *opaque)
{
	event_timer_destroy(opaque);
}

/* The timer's too, which is the receiver's. */
static void watch_retry(struct virtio_net *net, bool on)
{
	if (on)
		event_call_sync(net->vdev.queues[RX].loop, make_retry, net);
	else if (net->rx_retry.loop)
		event_call_sync(net->rx_retry.loop, end_retry, &net->rx_retry);
}

/* In the loops for good: a guest that starts finds nothing missing on the host. */
static int net_watch(struct virtio_device *vdev, bool on)
{
	struct virtio_net *net = virtio_to_net(vdev);
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
	watch_retry(net, on);
	return 0;
}

static void net_detach(struct virtio_device *vdev)
{
	int ret __maybe_unused = net_watch(vdev, false);
}

static void net_destroy(struct virtio_device *vdev)
{
	net_link_destroy(&virtio_to_net(vdev)->link);
	free(virtio_to_net(vdev));
}

static const struct virtio_ops net_ops = {
	.id = VIRTIO_ID_NET,
	.rules = net_rules,
	.pci_class = ETHERNET_CLASS,
	.in_order = true,
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
	net->rx_ev = (struct event){ .fd = nb->poll_fd, .fn = net_on_rx, .opaque = net };
	net->tx_ev = (struct event){ .fd = nb->room_fd, .fn = on_tx, .opaque = net };
	ret = virtio_init(&net->vdev, vm, &net_ops, "virtio-net", index, offered(nb),
			  nb->offloads ? NR_QUEUES : CTRL, QUEUE_SIZE, NULL);
	if (ret)
		goto fail;
	net_link_init(&net->link, &net->vdev, nb->name);
	memcpy(cfg.mac, mac, sizeof(cfg.mac));
	memcpy(net->vdev.config, &cfg, CONFIG_LEN);
	ret = net_watch(&net->vdev, true);
	if (ret) {
		err("%s: cannot watch '%s': %s%s", net->vdev.name, nb->name, strerror(-ret),
		    limit_hint(ret));
		virtio_fini(&net->vdev);
		net_link_destroy(&net->link);
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
