/* SPDX-License-Identifier: MIT */
/*
 * virtio-net (VIRTIO 1.3, 5.1) of one pair of queues that a vhost-user back end serves (a switch,
 * or passt): it knows what packets may look like; address, link and MTU are ours. When it is gone
 * the link is down and what the guest sends goes nowhere.
 */
#include <linux/virtio_net.h>

#include "lkvm/util.h"
#include "vhost.h"

#define QUEUE_SIZE 256
#define RX	   0
/* What the back end does to packets. Of it all, as those that need a control queue have no use. */
#define FEATURES                                                               \
	(BIT_ULL(VIRTIO_NET_F_CSUM) | BIT_ULL(VIRTIO_NET_F_GUEST_CSUM) |       \
	 BIT_ULL(VIRTIO_NET_F_GUEST_TSO4) | BIT_ULL(VIRTIO_NET_F_GUEST_TSO6) | \
	 BIT_ULL(VIRTIO_NET_F_GUEST_ECN) | BIT_ULL(VIRTIO_NET_F_GUEST_UFO) |   \
	 BIT_ULL(VIRTIO_NET_F_HOST_TSO4) | BIT_ULL(VIRTIO_NET_F_HOST_TSO6) |   \
	 BIT_ULL(VIRTIO_NET_F_HOST_ECN) | BIT_ULL(VIRTIO_NET_F_HOST_UFO) |     \
	 BIT_ULL(VIRTIO_NET_F_MRG_RXBUF))

/* 5.1.3.1 */
static const struct virtio_feature_rule rules[] = {
	{ VIRTIO_NET_F_GUEST_TSO4, BIT_ULL(VIRTIO_NET_F_GUEST_CSUM) },
	{ VIRTIO_NET_F_GUEST_TSO6, BIT_ULL(VIRTIO_NET_F_GUEST_CSUM) },
	{ VIRTIO_NET_F_GUEST_UFO, BIT_ULL(VIRTIO_NET_F_GUEST_CSUM) },
	{ VIRTIO_NET_F_GUEST_ECN,
	  BIT_ULL(VIRTIO_NET_F_GUEST_TSO4) | BIT_ULL(VIRTIO_NET_F_GUEST_TSO6) },
	{ VIRTIO_NET_F_HOST_TSO4, BIT_ULL(VIRTIO_NET_F_CSUM) },
	{ VIRTIO_NET_F_HOST_TSO6, BIT_ULL(VIRTIO_NET_F_CSUM) },
	{ VIRTIO_NET_F_HOST_UFO, BIT_ULL(VIRTIO_NET_F_CSUM) },
	{ VIRTIO_NET_F_HOST_ECN,
	  BIT_ULL(VIRTIO_NET_F_HOST_TSO4) | BIT_ULL(VIRTIO_NET_F_HOST_TSO6) },
	{ 0, 0 },
};

static const struct virtio_ops vhost_net_ops = {
	.id = VIRTIO_ID_NET,
	.rules = rules,
	.pci_class = 0x0200, /* Ethernet */
	.config_len = sizeof(struct virtio_net_config),
	VHOST_DEVICE_OPS,
};

static bool answer(struct virtio_device *vdev, u16 q, const struct virtq_request *req)
{
	if (q == RX)
		return false;
	virtio_push(vdev, q, req, 0);
	return true;
}

static void config_changed(struct virtio_device *vdev)
{
	const u32 at = offsetof(struct virtio_net_config, status);
	const __le16 down = 0;
	const struct vhost_device *d = container_of(vdev, struct vhost_device, vdev);

	if (d->rings.vhost->gone && virtio_config_byte(vdev, at))
		virtio_config_set(vdev, at, &down, sizeof(down));
}

int virtio_vhost_net_new(struct vm *vm, struct vhost *vhost, const u8 mac[6], u16 mtu, u32 index,
			 struct virtio_device **out)
{
	struct virtio_net_config cfg = { .status = cpu_to_le16(VIRTIO_NET_S_LINK_UP),
					 .mtu = cpu_to_le16(mtu) };
	struct vhost_device *d;
	int ret = vhost_device_new(vm, vhost, &vhost_net_ops, "virtio-net", index, FEATURES, 2,
				   QUEUE_SIZE, &d);

	if (ret)
		return ret;
	d->vdev.host_features |= BIT_ULL(VIRTIO_NET_F_MAC) | BIT_ULL(VIRTIO_NET_F_STATUS) |
				 (mtu ? BIT_ULL(VIRTIO_NET_F_MTU) : 0);
	d->rings.answer = answer;
	memcpy(cfg.mac, mac, sizeof(cfg.mac));
	memcpy(d->vdev.config, &cfg, sizeof(cfg));
	vhost_rings_tell(&d->rings, config_changed);
	*out = &d->vdev;
	return 0;
}

int virtio_vhost_net_create(struct vm *vm, struct vhost *vhost, const u8 mac[6], u16 mtu, u32 index)
{
	struct virtio_device *vdev;
	int ret = virtio_vhost_net_new(vm, vhost, mac, mtu, index, &vdev);

	return ret ? ret : virtio_attach_or_destroy(vdev);
}
