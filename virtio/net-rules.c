/* SPDX-License-Identifier: MIT */
/* Feature bits of virtio-net that need others (VIRTIO 1.3, 5.1.3.1). */
#include <linux/virtio_net.h>

#include "net.h"

#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_VQ_NOTF_COAL 52 /* 6, as the rest */
#define VIRTIO_NET_F_NOTF_COAL	  53
#define VIRTIO_NET_F_GUEST_USO4	  54
#define VIRTIO_NET_F_GUEST_USO6	  55
#define VIRTIO_NET_F_HOST_USO	  56
#define VIRTIO_NET_F_HASH_REPORT  57
#define VIRTIO_NET_F_RSS	  60
#define VIRTIO_NET_F_RSC_EXT	  61
#endif

#define ONE(name) BIT_ULL(VIRTIO_NET_F_##name)
#define RULE(name, any)                                    \
	{                                                  \
		.bit = VIRTIO_NET_F_##name, .needs = (any) \
	}

const struct virtio_feature_rule net_rules[] = {
	RULE(GUEST_TSO4, ONE(GUEST_CSUM)),
	RULE(GUEST_TSO6, ONE(GUEST_CSUM)),
	RULE(GUEST_ECN, ONE(GUEST_TSO4) | ONE(GUEST_TSO6)),
	RULE(GUEST_UFO, ONE(GUEST_CSUM)),
	RULE(GUEST_USO4, ONE(GUEST_CSUM)),
	RULE(GUEST_USO6, ONE(GUEST_CSUM)),
	RULE(HOST_TSO4, ONE(CSUM)),
	RULE(HOST_TSO6, ONE(CSUM)),
	RULE(HOST_ECN, ONE(HOST_TSO4) | ONE(HOST_TSO6)),
	RULE(HOST_UFO, ONE(CSUM)),
	RULE(HOST_USO, ONE(CSUM)),
	RULE(CTRL_RX, ONE(CTRL_VQ)),
	RULE(CTRL_VLAN, ONE(CTRL_VQ)),
	RULE(GUEST_ANNOUNCE, ONE(CTRL_VQ)),
	RULE(MQ, ONE(CTRL_VQ)),
	RULE(CTRL_MAC_ADDR, ONE(CTRL_VQ)),
	RULE(NOTF_COAL, ONE(CTRL_VQ)),
	RULE(VQ_NOTF_COAL, ONE(CTRL_VQ)),
	RULE(RSC_EXT, ONE(HOST_TSO4) | ONE(HOST_TSO6)),
	RULE(RSS, ONE(CTRL_VQ)),
	RULE(HASH_REPORT, ONE(CTRL_VQ)),
	{ 0 },
};
