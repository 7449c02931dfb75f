/* SPDX-License-Identifier: MIT */
/*
 * Which packets a driver of a network card wants (VIRTIO 1.3, 5.1.6.5.1 to 5.1.6.5.3). A tap hands
 * over whatever its bridge floods, so this is done here.
 */
#include "net.h"

#define ETH_VLAN     0x8100 /* IEEE 802.1Q, 9.6 */
#define ETH_LEN	     14
#define ETH_VLAN_LEN 18

static bool in_table(const struct net_macs *macs, const u8 *mac)
{
	for (u16 i = 0; i < macs->nr; i++)
		if (!memcmp(macs->mac[i], mac, 6))
			return true;
	return macs->too_many;
}

static bool wants_vlan(const struct virtio_net *net, const u8 *eth, size_t len)
{
	u32 id;

	if (!virtio_has(&net->vdev, VIRTIO_NET_F_CTRL_VLAN) || len < ETH_VLAN_LEN ||
	    (eth[12] << 8 | eth[13]) != ETH_VLAN)
		return true;
	id = (u32)(eth[14] << 8 | eth[15]) & 0xfff;
	return net->rules.vlans[id / 8] & BIT(id % 8);
}

static bool wants_address(const struct virtio_net *net, const u8 *to)
{
	static const u8 broadcast[6] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff };
	const struct net_rules *rules = &net->rules;

	if (!memcmp(to, broadcast, sizeof(broadcast)))
		return !(rules->mode & NET_RX_NOBCAST);
	if (to[0] & 1)
		return !(rules->mode & NET_RX_NOMULTI) &&
		       (rules->mode & NET_RX_ALLMULTI || in_table(&rules->multi, to));
	return !(rules->mode & NET_RX_NOUNI) &&
	       (rules->mode & NET_RX_ALLUNI ||
		!memcmp(net->vdev.config + offsetof(struct virtio_net_config, mac), to, 6) ||
		in_table(&rules->uni, to));
}

bool net_wanted(const struct virtio_net *net, const struct iovec *iov, unsigned int count)
{
	u8 eth[ETH_VLAN_LEN];
	size_t len;

	if (!(net->rules.mode & NET_RX_FILTER))
		return true;
	len = iov_to_buf(iov, count, net_hdr_len(net), eth, sizeof(eth));
	return len >= ETH_LEN && wants_vlan(net, eth, len) && wants_address(net, eth);
}
