/* SPDX-License-Identifier: MIT */
/*
 * virtio-net (VIRTIO 1.3, 5.1): pairs of queues and a control queue. Each direction of a pair has a
 * loop of its own, which watches the backend: for packets the one, for room the other; control
 * commands are the first receiver's. Packets move straight between guest buffers and the backend,
 * checksums and segmentation are left to whoever needs them done.
 */
#include "net.h"

#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/vm.h"

#define ETHERNET_CLASS 0x0200
#define ALL_HASH_TYPES 0x1ff /* 5.1.6.4.3 */
#define DUPLEX_FULL    1     /* 5.1.4: as ethtool's */

/* Which queue is what (5.1.2) */

enum net_role { ROLE_RX, ROLE_TX, ROLE_CTRL, ROLE_NONE };

static enum net_role role_of(const struct virtio_net *net, u16 q)
{
	const u16 packets = net_has_pairs(net) ? (u16)(2 * net->nr_pairs) : 2;

	if (q < packets)
		return q % 2 ? ROLE_TX : ROLE_RX;
	return q == packets ? ROLE_CTRL : ROLE_NONE;
}

/* Serving */

/* The queue is the kernel's to serve, as long as its pair is in use. */
static bool give(struct virtio_net *net, u16 q)
{
	if (q / 2 >= atomic_load(&net->pairs))
		return false;
	/* Of the interface we only hear when it goes. */
	if (role_of(net, q) == ROLE_RX)
		net_watch_fd(net, &net->rx[q / 2].ev, 0);
	return vhost_rings_run(&net->rings, q);
}

static bool net_run(struct virtio_device *vdev, u16 q)
{
	struct virtio_net *net = virtio_to_net(vdev);

	/* The guest runs on elsewhere: the switches there are to learn of it (5.1.6.5.4). */
	if (atomic_exchange(&net->moved, false))
		net_link_announce(&net->link, true);
	if (q == net->rx[0].q)
		event_mod(&net->news, EPOLLIN);
	if (net->nb->vhost && role_of(net, q) < ROLE_CTRL)
		return give(net, q);
	switch (role_of(net, q)) {
	case ROLE_RX:
		return net_rx_run(&net->rx[q / 2]);
	case ROLE_TX:
		return net_tx_run(&net->tx[q / 2]);
	case ROLE_CTRL:
		return net_ctrl_run(net, q);
	default:
		return false;
	}
}

/* What came before the first driver waits for it. What came before a later one was for the driver
 * before, maybe in forms that this one did not agree to. */
static void drop_old_packets(struct virtio_net *net)
{
	struct net_rx *rx = &net->rx[0];
	struct iovec iov = { .iov_base = rx->spill, .iov_len = sizeof(rx->spill) };

	for (unsigned int i = 0; i < 4096 && net->driven; i++)
		if (net->nb->ops->readv(rx->nq, &iov, 1) <= 0)
			break;
	net->driven = true;
}

/* On the loop of the first queue that starts. DRIVER_OK waits for this, so what comes after it is
 * not thrown away. A queue that comes back after its reset loses nothing either. */
static void begin(struct virtio_net *net)
{
	bool loaded = net->rules.begun;

	if (atomic_load(&net->begun))
		return;
	net_read_news(net);
	net_link_refresh(&net->link);
	atomic_store(&net->begun, true);
	if (!atomic_load(&net->link.gone)) {
		net_ctrl_begin(net);
		drop_old_packets(net);
	}
	net->rules.begun = 1;
	atomic_store(&net->moved, loaded && virtio_has(&net->vdev, VIRTIO_NET_F_GUEST_ANNOUNCE));
}

static void net_started(struct virtio_device *vdev, u16 q)
{
	begin(virtio_to_net(vdev));
}

static bool net_stopped(struct virtio_device *vdev, u16 q)
{
	struct virtio_net *net = virtio_to_net(vdev);

	if (net->nb->vhost)
		return vhost_rings_stopped(&net->rings, q);
	if (role_of(net, q) == ROLE_RX) {
		net_watch_fd(net, &net->rx[q / 2].ev, 0);
		net_rx_drop(&net->rx[q / 2]);
	} else if (role_of(net, q) == ROLE_TX) {
		net_tx_drop(&net->tx[q / 2]);
	}
	return true;
}

static bool net_held(struct virtio_device *vdev, u16 q)
{
	struct virtio_net *net = virtio_to_net(vdev);

	if (net->nb->vhost)
		return vhost_rings_stopped(&net->rings, q);
	if (role_of(net, q) == ROLE_RX)
		net_rx_give_back(&net->rx[q / 2]);
	return true;
}

/* Under the lock, and nothing is served: the packets' loops look at no rules. */
static void net_reset(struct virtio_device *vdev)
{
	struct virtio_net *net = virtio_to_net(vdev);

	atomic_store(&net->begun, false);
	atomic_store(&net->link.announce, false);
	atomic_store(&net->moved, false);
	atomic_store(&net->pairs, 1);
	memset(&net->rules, 0, sizeof(net->rules));
	memcpy(vdev->config + offsetof(struct virtio_net_config, mac), net->mac, sizeof(net->mac));
}

static bool net_remembered_ok(const struct virtio_device *vdev)
{
	const struct virtio_net *net = container_of(vdev, struct virtio_net, vdev);

	return net_rules_valid(net, &net->rules);
}

/* Watching the back end */

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

static int watch_event(struct event *ev, struct event_loop *loop, bool on)
{
	struct watching w = { .ev = ev, .loop = loop };

	if (!on && ev->loop)
		event_call_sync(ev->loop, unwatch_on_loop, ev);
	if (on && ev->fd >= 0)
		event_call_sync(loop, watch_on_loop, &w);
	return w.ret;
}

struct making {
	struct event_timer *timer;
	struct event_loop *loop;
	void (*fn)(void *opaque);
	void *opaque;
};

static void make_on_loop(void *opaque)
{
	const struct making *m = opaque;

	event_timer_init(m->timer, m->loop, m->fn, m->opaque);
}

static void end_on_loop(void *opaque)
{
	event_timer_destroy(opaque);
}

static void watch_timer(struct making m, bool on)
{
	if (on)
		event_call_sync(m.loop, make_on_loop, &m);
	else if (m.timer->loop)
		event_call_sync(m.timer->loop, end_on_loop, m.timer);
}

static void watch_timers(struct net_rx *rx, struct net_tx *tx, bool on)
{
	struct virtio_queue *queues = rx->net->vdev.queues;

	watch_timer((struct making){ &rx->retry, queues[rx->q].loop, net_on_rx_retry, rx }, on);
	watch_timer((struct making){ &tx->retry, queues[tx->q].loop, net_on_tx_retry, tx }, on);
}

static void net_calls(struct virtio_device *vdev)
{
	vhost_rings_calls(&virtio_to_net(vdev)->rings);
}

/* In the loops for good: a guest that starts finds nothing missing on the host. */
static int watch_pairs(struct virtio_net *net, bool on)
{
	struct virtio_queue *queues = net->vdev.queues;
	int ret = 0;

	for (u16 i = 0; i < net->nr_pairs && !ret; i++) {
		struct net_rx *rx = &net->rx[i];
		struct net_tx *tx = &net->tx[i];

		ret = watch_event(&rx->ev, queues[rx->q].loop, on);
		if (net->nb->vhost)
			continue;
		if (!ret)
			ret = watch_event(&tx->ev, queues[tx->q].loop, on);
		if (!ret)
			watch_timers(rx, tx, on);
	}
	if (!ret)
		ret = watch_event(&net->news, queues[net->rx[0].q].loop, on);
	return ret;
}

static int net_watch(struct virtio_device *vdev, bool on)
{
	struct virtio_net *net = virtio_to_net(vdev);
	int ret = watch_pairs(net, on);

	return ret || !net->nb->vhost ? ret : vhost_rings_watch(&net->rings, on);
}

static void net_finish(struct virtio_device *vdev)
{
	struct virtio_net *net = virtio_to_net(vdev);
	struct net_backend *nb = net->nb;

	if (nb->vhost)
		vhost_rings_finish(&net->rings);
	if (nb->ops->finish)
		nb->ops->finish(nb);
}

static void net_detach(struct virtio_device *vdev)
{
	struct virtio_net *net = virtio_to_net(vdev);
	int ret __maybe_unused;

	vhost_rings_detach(&net->rings);
	ret = watch_pairs(net, false);
}

/* Making and ending */

static void free_net(struct virtio_net *net)
{
	for (u16 i = 0; i < net->nr_pairs; i++)
		pthread_mutex_destroy(&net->rx[i].lock);
	vhost_rings_fini(&net->rings);
	free(net->rx);
	free(net->tx);
	free(net);
}

static void net_destroy(struct virtio_device *vdev)
{
	net_link_destroy(&virtio_to_net(vdev)->link);
	free_net(virtio_to_net(vdev));
}

static const struct virtio_ops net_ops = {
	.id = VIRTIO_ID_NET,
	.rules = net_rules,
	.pci_class = ETHERNET_CLASS,
	.in_order = true,
	.config_len = sizeof(struct virtio_net_config),
	.queue_started = net_started,
	.queue_run = net_run,
	.queue_stopped = net_stopped,
	.queue_held = net_held,
	.reset = net_reset,
	.watch = net_watch,
	.remembered_ok = net_remembered_ok,
	.finish = net_finish,
	.detach = net_detach,
	.destroy = net_destroy,
};

/* A hash for each packet is worth its time where flows are spread, and we see the packet. */
static bool reports_hashes(const struct net_backend *nb)
{
	return nb->nr_pairs > 1 && nb->ops->set_hdr_len && !nb->vhost;
}

static u64 offered(const struct net_backend *nb)
{
	u64 f = BIT_ULL(VIRTIO_NET_F_MAC) | BIT_ULL(VIRTIO_NET_F_STATUS) |
		BIT_ULL(VIRTIO_NET_F_MRG_RXBUF) | BIT_ULL(VIRTIO_NET_F_CTRL_VQ) |
		BIT_ULL(VIRTIO_NET_F_CTRL_RX) | BIT_ULL(VIRTIO_NET_F_CTRL_RX_EXTRA) |
		BIT_ULL(VIRTIO_NET_F_CTRL_VLAN) | BIT_ULL(VIRTIO_NET_F_CTRL_MAC_ADDR) |
		BIT_ULL(VIRTIO_NET_F_GUEST_ANNOUNCE);

	if (nb->mtu)
		f |= BIT_ULL(VIRTIO_NET_F_MTU);
	if (nb->speed)
		f |= BIT_ULL(VIRTIO_NET_F_SPEED_DUPLEX);
	if (nb->nr_pairs > 1)
		f |= BIT_ULL(VIRTIO_NET_F_MQ);
	if (nb->nr_pairs > 1 && nb->hash_types)
		f |= BIT_ULL(VIRTIO_NET_F_RSS);
	if (reports_hashes(nb))
		f |= BIT_ULL(VIRTIO_NET_F_HASH_REPORT);
	/* Linux switches offloads off for XDP and bridges, so who offers GUEST_TSO* needs the
	 * command as well. */
	if (nb->offloads)
		f |= BIT_ULL(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS) | net_offload_features(nb->offloads);
	if (nb->vhost && !(nb->vhost->features & BIT_ULL(VIRTIO_NET_F_MRG_RXBUF)))
		f &= ~BIT_ULL(VIRTIO_NET_F_MRG_RXBUF);
	return f;
}

static void fill_config(struct virtio_net *net, const u8 mac[6])
{
	const struct net_backend *nb = net->nb;
	struct virtio_net_config cfg = {
		.status = cpu_to_le16(VIRTIO_NET_S_LINK_UP),
		.max_virtqueue_pairs = cpu_to_le16(net->nr_pairs),
		.mtu = cpu_to_le16(nb->mtu),
		.speed = cpu_to_le32(nb->speed),
		.duplex = nb->speed ? DUPLEX_FULL : 0,
	};

	if (net->hash_types) {
		cfg.rss_max_key_size = NET_RSS_KEY;
		cfg.rss_max_indirection_table_length = cpu_to_le16(NET_RSS_TABLE);
		cfg.supported_hash_types = cpu_to_le32(net->hash_types);
	}
	memcpy(net->mac, mac, sizeof(net->mac));
	memcpy(cfg.mac, mac, sizeof(cfg.mac));
	memcpy(net->vdev.config, &cfg, sizeof(cfg));
}

static struct virtio_net *alloc_net(struct net_backend *nb)
{
	struct virtio_net *net = xcalloc(1, sizeof(*net));

	net->nb = nb;
	net->nr_pairs = nb->nr_pairs;
	/* Where the back end steers it must know what it hashes by; what is only reported is done
	 * here. */
	if (nb->nr_pairs > 1 && nb->hash_types)
		net->hash_types = nb->hash_types;
	else if (reports_hashes(nb))
		net->hash_types = ALL_HASH_TYPES;
	atomic_store(&net->pairs, 1);
	rate_init(&net->rx_limit, &nb->rx_rate);
	rate_init(&net->tx_limit, &nb->tx_rate);
	net->ops = net_ops;
	net->ops.nr_loops = (u16)(2 * net->nr_pairs);
	if (nb->vhost) {
		net->ops.nr_loops = 1;
		net->ops.blocks = true;
		net->ops.interrupts_changed = net_calls;
	}
	net->news = (struct event){ .fd = nb->ops->link ? nb->link_fd : -1,
				    .fn = net_on_news,
				    .opaque = net };
	net->rx = xcalloc(net->nr_pairs, sizeof(*net->rx));
	net->tx = xcalloc(net->nr_pairs, sizeof(*net->tx));
	for (u16 i = 0; i < net->nr_pairs; i++) {
		struct net_rx *rx = &net->rx[i];
		struct net_tx *tx = &net->tx[i];

		*tx = (struct net_tx){ .net = net, .nq = &nb->pair[i], .pair = i };
		tx->q = (u16)(2 * i + 1);
		tx->ev = (struct event){ .fd = tx->nq->room_fd, .fn = net_on_tx, .opaque = tx };
		rx->net = net;
		rx->nq = &nb->pair[i];
		rx->pair = i;
		rx->q = (u16)(2 * i);
		rx->ev = (struct event){ .fd = rx->nq->poll_fd, .fn = net_on_rx, .opaque = rx };
		pthread_mutex_init(&rx->lock, NULL);
		net_rx_drop(rx);
	}
	return net;
}

int virtio_net_new(struct vm *vm, struct net_backend *nb, const u8 mac[6], u32 index,
		   struct virtio_device **out)
{
	struct virtio_net *net = alloc_net(nb);
	int ret;

	ret = virtio_init(&net->vdev, vm, &net->ops, "virtio-net", index, offered(nb),
			  (u16)(2 * net->nr_pairs + 1), QUEUE_SIZE, NULL);
	if (ret)
		goto fail;
	net->vdev.remembered = (u8 *)&net->rules;
	net->vdev.remembered_len = sizeof(net->rules);
	net_link_init(&net->link, &net->vdev, nb->name);
	fill_config(net, mac);
	net_link_begin(&net->link, nb->ops->link && !nb->ops->link(nb));
	if (nb->vhost)
		ret = vhost_rings_init(&net->rings, &net->vdev, nb->vhost);
	if (ret)
		goto fini;
	ret = watch_pairs(net, true);
	if (ret) {
		err("%s: cannot watch '%s': %s%s", net->vdev.name, nb->name, strerror(-ret),
		    limit_hint(ret));
		goto fini;
	}
	*out = &net->vdev;
	return 0;
fini:
	virtio_fini(&net->vdev);
	net_link_destroy(&net->link);
fail:
	free_net(net);
	return ret;
}

int virtio_net_create(struct vm *vm, struct net_backend *nb, const u8 mac[6], u32 index)
{
	struct virtio_device *vdev;
	int ret = virtio_net_new(vm, nb, mac, index, &vdev);

	return ret ? ret : virtio_attach_or_destroy(vdev);
}
