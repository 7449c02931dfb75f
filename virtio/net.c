/* SPDX-License-Identifier: MIT */
/*
 * virtio-net (VIRTIO 1.3, 5.1): one pair of queues and a control queue, served on an I/O thread of
 * its own. Packets move straight between guest buffers and the backend, checksums and segmentation
 * are left to whoever needs them done.
 */
#include <limits.h>
#include <linux/if_tun.h>
#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/net.h"
#include "lkvm/util.h"
#include "lkvm/virtio.h"
#include "lkvm/vm.h"

enum { RX, TX, CTRL, NR_QUEUES };

#define QUEUE_SIZE 256
/* An IP packet of 64 KiB behind an Ethernet header with two VLAN tags. */
#define MAX_PACKET (NET_HDR_LEN + 65536 + 22)
/* Packets in one direction before the other, and whoever wants the lock, gets a turn. */
#define BATCH 64
/* Receive buffers taken from the ring at once; MAX_PACKET needs 43 of 1.5 KiB. */
#define RX_BUFS QUEUE_SIZE

#define ETHERNET_CLASS 0x0200
#define CONFIG_LEN     (offsetof(struct virtio_net_config, mtu) + 2)

/* A receive buffer that was popped and waits for a packet. */
struct rx_buf {
	u16 head;
	u16 nr_iov;
	size_t len;
};

struct virtio_net {
	struct virtio_device vdev;
	struct net_backend *nb;
	struct virtio_net_config cfg; /* little-endian */
	struct event ev;	      /* the backend's poll_fd */
	bool gone;		      /* the backend failed for good */
	bool rx_ready;		      /* there are buffers: look for packets */
	bool tx_blocked;	      /* the backend is full: wait until it takes more */

	struct rx_buf bufs[RX_BUFS];
	unsigned int nr_bufs;
	struct iovec iov[IOV_MAX]; /* of bufs[], one behind the other; one entry stays free */
	unsigned int nr_iov;
	size_t room; /* bytes in bufs[] */
	/* A packet longer than the buffers at hand (all behind the first @spilled_at bytes is in
	 * spill) that waits for more of them; 0: none. */
	size_t pending;
	size_t spilled_at;
	u8 spill[MAX_PACKET];

	struct virtq_chain chain;
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

static struct virtqueue *queue(struct virtio_net *net, u16 q)
{
	return &net->vdev.queues[q].vq;
}

/* Wait for nothing that could not be handled: a level-triggered event would come at once again. */
static void update_poll(struct virtio_net *net)
{
	u32 events = (net->rx_ready ? (u32)EPOLLIN : 0) | (net->tx_blocked ? (u32)EPOLLOUT : 0);

	if (net->ev.loop)
		event_mod(&net->ev, events);
}

/* The interface was removed under us. The guest sees the cable pulled and lives on. */
static void backend_gone(struct virtio_net *net, int error)
{
	if (net->gone)
		return;
	net->gone = true;
	net->rx_ready = false;
	net->tx_blocked = false;
	event_del(&net->ev);
	warn("%s: '%s' is gone (%s); the guest's link is down", net->vdev.name, net->nb->name,
	     strerror(error));
	net->cfg.status &= cpu_to_le16((u16)~VIRTIO_NET_S_LINK_UP);
	virtio_config_changed(&net->vdev);
}

/* Receiving */

/* Take one more buffer from the ring: 0, -ENOBUFS there is none, -ENOSPC no place for it. */
static int rx_take(struct virtio_net *net)
{
	struct virtq_chain *c = &net->chain;
	struct rx_buf *buf;

	if (net->nr_bufs == RX_BUFS)
		return -ENOSPC;
	if (virtio_pop(&net->vdev, RX, c) != 1)
		return -ENOBUFS;
	if (net->nr_iov + c->nr_in > ARRAY_SIZE(net->iov) - 1) {
		virtq_unpop(queue(net, RX));
		if (!net->nr_bufs)
			virtio_broken(&net->vdev, "a receive buffer is in too many pieces");
		return -ENOSPC;
	}
	/* 5.1.6.3.2: at least the header. */
	if (c->in_len < NET_HDR_LEN) {
		virtio_broken(&net->vdev, "a receive buffer is shorter than the header");
		return -ENOBUFS;
	}
	buf = &net->bufs[net->nr_bufs++];
	buf->head = c->head;
	buf->nr_iov = c->nr_in;
	buf->len = c->in_len;
	memcpy(&net->iov[net->nr_iov], virtq_in(c), c->nr_in * sizeof(struct iovec));
	net->nr_iov += c->nr_in;
	net->room += c->in_len;
	return 0;
}

/* Buffers for @len bytes, or as many as there are: what rx_take says when that is less. */
static int rx_fill(struct virtio_net *net, size_t len)
{
	int ret = 0;

	virtq_disable_notify(queue(net, RX));
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
		virtq_push_later(queue(net, RX), net->bufs[i].head, (u32)net->bufs[i].len);
		len -= net->bufs[i].len;
	}
	virtio_push(&net->vdev, RX, net->bufs[n - 1].head, (u32)len);
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

	/* Behind the guest's buffers stands ours, so that nothing is cut off unseen. */
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

static void rx_run(struct virtio_net *net)
{
	unsigned int budget = BATCH;
	int ret = 0;

	while (budget-- && !net->gone && virtio_live(&net->vdev)) {
		ret = rx_step(net);
		/* Out of buffers: ask to be told, then look once more. */
		if (ret == -ENOBUFS && virtio_live(&net->vdev) &&
		    virtq_enable_notify(queue(net, RX)))
			continue;
		if (ret)
			break;
	}
	net->rx_ready = ret != -ENOBUFS && !net->gone && virtio_live(&net->vdev);
	virtio_signal(&net->vdev, RX);
	update_poll(net);
	/* The last look may have ended with the budget while buffers wait. */
	if (ret == -ENOBUFS && virtio_live(&net->vdev) && virtq_enable_notify(queue(net, RX)))
		virtio_kick(&net->vdev, RX);
}

/* Sending */

/* The packet in net->chain; -EAGAIN: the backend is full. Everything else is done with. */
static int tx_packet(struct virtio_net *net)
{
	struct virtq_chain *c = &net->chain;
	ssize_t n;

	if (c->out_len <= NET_HDR_LEN || c->out_len > MAX_PACKET) {
		guest_warn("%s: dropped a packet of %zu bytes", net->vdev.name, c->out_len);
		return 0;
	}
	if (net->gone)
		return 0;
	n = net->nb->ops->writev(net->nb, virtq_out(c), c->nr_out);
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n == -EBADFD)
		backend_gone(net, EBADFD);
	else if (n < 0)
		guest_warn("%s: '%s' refused a packet: %s", net->vdev.name, net->nb->name,
			   strerror((int)-n));
	return 0;
}

static void tx_run(struct virtio_net *net)
{
	struct virtio_device *vdev = &net->vdev;
	unsigned int budget = BATCH;

	if (net->tx_blocked)
		return;
	do {
		virtq_disable_notify(queue(net, TX));
		while (budget && virtio_pop(vdev, TX, &net->chain) == 1) {
			if (tx_packet(net) == -EAGAIN) {
				virtq_unpop(queue(net, TX));
				net->tx_blocked = true;
				update_poll(net);
				goto out;
			}
			virtio_push(vdev, TX, net->chain.head, 0);
			budget--;
		}
	} while (budget && virtio_live(vdev) && virtq_enable_notify(queue(net, TX)));
out:
	virtio_signal(vdev, TX);
	if (!budget)
		virtio_kick(vdev, TX);
}

static void on_backend(void *opaque, u32 events)
{
	struct virtio_net *net = opaque;

	virtio_lock(&net->vdev);
	if (events & (EPOLLERR | EPOLLHUP)) {
		backend_gone(net, ENODEV);
	} else if (!virtio_live(&net->vdev)) {
		net->rx_ready = false;
		net->tx_blocked = false;
		update_poll(net);
	} else {
		if (events & EPOLLIN)
			rx_run(net);
		if (events & EPOLLOUT) {
			net->tx_blocked = false;
			update_poll(net);
			tx_run(net);
		}
	}
	virtio_unlock(&net->vdev);
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

static u8 control(struct virtio_net *net)
{
	struct virtq_chain *c = &net->chain;
	struct {
		struct virtio_net_ctrl_hdr hdr;
		__le64 offloads;
	} __attribute__((packed)) cmd;
	u64 bits;

	if (iov_to_buf(virtq_out(c), c->nr_out, 0, &cmd, sizeof(cmd)) != sizeof(cmd) ||
	    cmd.hdr.class != VIRTIO_NET_CTRL_GUEST_OFFLOADS ||
	    cmd.hdr.cmd != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET ||
	    !virtio_has(&net->vdev, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS))
		return VIRTIO_NET_ERR;
	bits = le64_to_cpu(cmd.offloads);
	if (bits & ~guest_offloads(net))
		return VIRTIO_NET_ERR;
	return set_offloads(net, bits) ? VIRTIO_NET_ERR : VIRTIO_NET_OK;
}

static void ctrl_run(struct virtio_net *net)
{
	struct virtio_device *vdev = &net->vdev;
	unsigned int budget = BATCH;

	do {
		virtq_disable_notify(queue(net, CTRL));
		while (budget && virtio_pop(vdev, CTRL, &net->chain) == 1) {
			u8 ack = control(net);

			iov_from_buf(virtq_in(&net->chain), net->chain.nr_in, 0, &ack, 1);
			virtio_push(vdev, CTRL, net->chain.head, net->chain.nr_in ? 1 : 0);
			budget--;
		}
	} while (budget && virtio_live(vdev) && virtq_enable_notify(queue(net, CTRL)));
	virtio_signal(vdev, CTRL);
	if (!budget)
		virtio_kick(vdev, CTRL);
}

/* The device */

static void net_notify(struct virtio_device *vdev, u16 q)
{
	struct virtio_net *net = to_net(vdev);

	switch (q) {
	case RX:
		rx_run(net);
		break;
	case TX:
		tx_run(net);
		break;
	case CTRL:
		ctrl_run(net);
		break;
	}
}

static void net_activate(struct virtio_device *vdev)
{
	struct virtio_net *net = to_net(vdev);
	struct iovec iov = { .iov_base = net->spill, .iov_len = sizeof(net->spill) };
	int ret;

	if (net->gone)
		return;
	if (set_offloads(net, guest_offloads(net)))
		warn("%s: '%s' refuses the offloads that it offered", vdev->name, net->nb->name);
	/* What came before was meant for nobody, or in forms that this driver did not agree to. */
	for (unsigned int i = 0; i < 4096; i++)
		if (net->nb->ops->readv(net->nb, &iov, 1) <= 0)
			break;
	net->ev = (struct event){
		.fd = net->nb->poll_fd,
		.fn = on_backend,
		.opaque = net,
	};
	ret = event_add(vdev->loop, &net->ev);
	if (ret)
		backend_gone(net, -ret);
}

static void net_reset(struct virtio_device *vdev)
{
	struct virtio_net *net = to_net(vdev);

	event_del(&net->ev);
	net->rx_ready = false;
	net->tx_blocked = false;
	net->nr_bufs = 0;
	net->nr_iov = 0;
	net->room = 0;
	net->pending = 0;
}

static void net_config_read(struct virtio_device *vdev, u32 offset, void *buf, u32 len)
{
	memcpy(buf, (u8 *)&to_net(vdev)->cfg + offset, len);
}

static void net_destroy(struct virtio_device *vdev)
{
	free(to_net(vdev));
}

static const struct virtio_ops net_ops = {
	.id = VIRTIO_ID_NET,
	.pci_class = ETHERNET_CLASS,
	.config_len = CONFIG_LEN,
	.config_read = net_config_read,
	.activate = net_activate,
	.notify = net_notify,
	.reset = net_reset,
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
	int ret;

	net->nb = nb;
	memcpy(net->cfg.mac, mac, sizeof(net->cfg.mac));
	net->cfg.status = cpu_to_le16(VIRTIO_NET_S_LINK_UP);
	net->cfg.mtu = cpu_to_le16(nb->mtu);
	ret = virtio_init(&net->vdev, vm, &net_ops, "virtio-net", index, offered(nb),
			  nb->offloads ? NR_QUEUES : CTRL, QUEUE_SIZE, NULL);
	if (ret) {
		free(net);
		return ret;
	}
	*out = &net->vdev;
	return 0;
}

int virtio_net_create(struct vm *vm, struct net_backend *nb, const u8 mac[6], u32 index)
{
	struct virtio_device *vdev;
	int ret = virtio_net_new(vm, nb, mac, index, &vdev);

	if (ret)
		return ret;
	ret = virtio_attach(vdev);
	if (ret) {
		virtio_fini(vdev);
		net_destroy(vdev);
	}
	return ret;
}
