/* SPDX-License-Identifier: MIT */
/*
 * virtio-net's control queue (VIRTIO 1.3, 5.1.6.5). A command that is not what the specification
 * says, or that belongs to a feature that was not agreed, changes nothing and gets
 * VIRTIO_NET_ERR.
 */
#include <linux/if_tun.h>

#include "lkvm/log.h"
#include "net.h"

#ifndef TUN_F_USO4
#define TUN_F_USO4 0x20 /* Linux 6.2 */
#define TUN_F_USO6 0x40
#endif
#ifndef VIRTIO_NET_F_GUEST_USO4
#define VIRTIO_NET_F_GUEST_USO4 54 /* 5.1.3 */
#define VIRTIO_NET_F_GUEST_USO6 55
#define VIRTIO_NET_F_HOST_USO	56
#endif

/* Offloads (5.1.6.5.8) */

/* What a TUN_F_* of the back end stands for: the host takes it from the guest, and may give it. */
static const struct {
	u32 tun_f;
	u8 host, guest;
} offload_map[] = {
	{ TUN_F_CSUM, VIRTIO_NET_F_CSUM, VIRTIO_NET_F_GUEST_CSUM },
	{ TUN_F_TSO4, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_GUEST_TSO4 },
	{ TUN_F_TSO6, VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_GUEST_TSO6 },
	{ TUN_F_TSO_ECN, VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_GUEST_ECN },
	{ TUN_F_UFO, VIRTIO_NET_F_HOST_UFO, VIRTIO_NET_F_GUEST_UFO },
	/* One bit for what the guest sends, two for what it gets. */
	{ TUN_F_USO4, VIRTIO_NET_F_HOST_USO, VIRTIO_NET_F_GUEST_USO4 },
	{ TUN_F_USO6, VIRTIO_NET_F_HOST_USO, VIRTIO_NET_F_GUEST_USO6 },
};

u64 net_offload_features(u32 tun_f)
{
	u64 f = 0;

	for (size_t i = 0; i < ARRAY_SIZE(offload_map); i++)
		if (tun_f & offload_map[i].tun_f)
			f |= BIT_ULL(offload_map[i].host) | BIT_ULL(offload_map[i].guest);
	return f;
}

static int set_offloads(struct virtio_net *net, u64 bits)
{
	u32 tun_f = 0;

	if (!net->nb->offloads)
		return 0;
	/* Segmentation without checksums makes no sense (5.1.3.1), and the kernel refuses it. */
	if (bits & BIT_ULL(VIRTIO_NET_F_GUEST_CSUM))
		for (size_t i = 0; i < ARRAY_SIZE(offload_map); i++)
			if (bits & BIT_ULL(offload_map[i].guest))
				tun_f |= offload_map[i].tun_f;
	/* It knows these two together alone. */
	if (~tun_f & (TUN_F_USO4 | TUN_F_USO6))
		tun_f &= ~(u32)(TUN_F_USO4 | TUN_F_USO6);
	return net->nb->ops->set_offloads(net->nb, tun_f);
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

/* Commands */

struct command {
	const struct virtq_request *req;
	u8 class, cmd;
	size_t at, len; /* what is read of it, and how long it is */
};

/* The next bytes of it, which are copied once. */
static bool take(struct command *c, void *buf, size_t len)
{
	if (iov_to_buf(virtq_out(c->req), c->req->nr_out, c->at, buf, len) != len)
		return false;
	c->at += len;
	return true;
}

/* All that is left of it. */
static bool take_last(struct command *c, void *buf, size_t len)
{
	return c->len - c->at == len && take(c, buf, len);
}

static u8 set_guest_offloads(struct virtio_net *net, struct command *c)
{
	__le64 wanted;
	u64 bits;

	if (c->cmd != VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET || !take_last(c, &wanted, sizeof(wanted)))
		return VIRTIO_NET_ERR;
	bits = le64_to_cpu(wanted);
	if (bits & ~guest_offloads(net) || set_offloads(net, bits))
		return VIRTIO_NET_ERR;
	net->vdev.own = guest_offloads(net) & ~bits;
	return VIRTIO_NET_OK;
}

static u8 set_rx_mode(struct virtio_net *net, struct command *c)
{
	static const struct {
		u8 bit, feature;
		bool off; /* the bit is set when the driver says 0 */
	} modes[] = {
		[VIRTIO_NET_CTRL_RX_PROMISC] = { NET_RX_FILTER, VIRTIO_NET_F_CTRL_RX, true },
		[VIRTIO_NET_CTRL_RX_ALLMULTI] = { NET_RX_ALLMULTI, VIRTIO_NET_F_CTRL_RX, false },
		[VIRTIO_NET_CTRL_RX_ALLUNI] = { NET_RX_ALLUNI, VIRTIO_NET_F_CTRL_RX_EXTRA, false },
		[VIRTIO_NET_CTRL_RX_NOMULTI] = { NET_RX_NOMULTI, VIRTIO_NET_F_CTRL_RX_EXTRA,
						 false },
		[VIRTIO_NET_CTRL_RX_NOUNI] = { NET_RX_NOUNI, VIRTIO_NET_F_CTRL_RX_EXTRA, false },
		[VIRTIO_NET_CTRL_RX_NOBCAST] = { NET_RX_NOBCAST, VIRTIO_NET_F_CTRL_RX_EXTRA,
						 false },
	};
	u8 on;

	if (c->cmd >= ARRAY_SIZE(modes) || !virtio_has(&net->vdev, modes[c->cmd].feature) ||
	    !take_last(c, &on, 1) || on > 1)
		return VIRTIO_NET_ERR;
	net_rules_lock(net);
	net->rules.mode &= (u8)~modes[c->cmd].bit;
	if (on != modes[c->cmd].off)
		net->rules.mode |= modes[c->cmd].bit;
	net_rules_unlock(net);
	return VIRTIO_NET_OK;
}

/* 5.1.6.5.2: a number and so many addresses. */
static bool take_macs(struct command *c, struct net_macs *macs)
{
	__le32 number;
	u32 n;

	memset(macs, 0, sizeof(*macs));
	if (!take(c, &number, sizeof(number)))
		return false;
	n = le32_to_cpu(number);
	if (n > (c->len - c->at) / 6)
		return false;
	if (n > NET_MACS) {
		macs->too_many = 1;
		c->at += n * 6UL;
		return true;
	}
	macs->nr = (u16)n;
	return !n || take(c, macs->mac, n * 6UL);
}

static u8 set_mac_tables(struct virtio_net *net, struct command *c)
{
	struct net_macs uni, multi;

	if (!virtio_has(&net->vdev, VIRTIO_NET_F_CTRL_RX) || !take_macs(c, &uni) ||
	    !take_macs(c, &multi) || c->at != c->len)
		return VIRTIO_NET_ERR;
	net_rules_lock(net);
	net->rules.uni = uni;
	net->rules.multi = multi;
	net_rules_unlock(net);
	return VIRTIO_NET_OK;
}

static u8 set_mac(struct virtio_net *net, struct command *c)
{
	u8 mac[6];

	if (c->cmd == VIRTIO_NET_CTRL_MAC_TABLE_SET)
		return set_mac_tables(net, c);
	if (c->cmd != VIRTIO_NET_CTRL_MAC_ADDR_SET ||
	    !virtio_has(&net->vdev, VIRTIO_NET_F_CTRL_MAC_ADDR) || !take_last(c, mac, sizeof(mac)))
		return VIRTIO_NET_ERR;
	if (net->nb->ops->set_mac && net->nb->ops->set_mac(net->nb, mac))
		return VIRTIO_NET_ERR;
	net_rules_lock(net);
	virtio_lock(&net->vdev);
	memcpy(net->vdev.config + offsetof(struct virtio_net_config, mac), mac, sizeof(mac));
	net->vdev.config_generation++;
	virtio_unlock(&net->vdev);
	net_rules_unlock(net);
	return VIRTIO_NET_OK;
}

static u8 set_vlan(struct virtio_net *net, struct command *c)
{
	__le16 number;
	u16 id;

	if (!virtio_has(&net->vdev, VIRTIO_NET_F_CTRL_VLAN) || c->cmd > VIRTIO_NET_CTRL_VLAN_DEL ||
	    !take_last(c, &number, sizeof(number)))
		return VIRTIO_NET_ERR;
	id = le16_to_cpu(number);
	if (id >= 8 * sizeof(net->rules.vlans))
		return VIRTIO_NET_ERR;
	net_rules_lock(net);
	net->rules.vlans[id / 8] &= (u8)~BIT(id % 8);
	if (c->cmd == VIRTIO_NET_CTRL_VLAN_ADD)
		net->rules.vlans[id / 8] |= (u8)BIT(id % 8);
	net_rules_unlock(net);
	return VIRTIO_NET_OK;
}

static u8 announced(struct virtio_net *net, const struct command *c)
{
	if (!virtio_has(&net->vdev, VIRTIO_NET_F_GUEST_ANNOUNCE) ||
	    c->cmd != VIRTIO_NET_CTRL_ANNOUNCE_ACK || c->at != c->len ||
	    !atomic_load(&net->link.announce))
		return VIRTIO_NET_ERR;
	net_link_announce(&net->link, false);
	return VIRTIO_NET_OK;
}

/* Pairs and steering (5.1.6.5.5 and 5.1.6.5.6) */

/* Serve @pairs from now on. The back end stops before the device does and begins after it, so that
 * what waits there is not lost. */
static int use_pairs(struct virtio_net *net, u16 pairs)
{
	u16 before = atomic_load(&net->pairs);
	int ret = 0;

	if (pairs > before && net->nb->ops->use_pairs)
		ret = net->nb->ops->use_pairs(net->nb, pairs);
	if (ret)
		return ret;
	net_rules_lock(net);
	atomic_store(&net->pairs, pairs);
	net->rules.pairs = pairs;
	net_rules_unlock(net);
	for (u16 i = pairs; i < before && net->nb->vhost; i++)
		net_take_back(net, i);
	if (pairs < before && net->nb->ops->use_pairs)
		ret = net->nb->ops->use_pairs(net->nb, pairs);
	for (u16 i = before; i < pairs; i++) {
		virtio_kick(&net->vdev, net->rx[i].q);
		virtio_kick(&net->vdev, net->tx[i].q);
	}
	return ret;
}

static int steer(struct virtio_net *net, const struct net_rss *rss)
{
	bool report = net->nb->reports && virtio_has(&net->vdev, VIRTIO_NET_F_HASH_REPORT);

	return net->nb->ops->steer ? net->nb->ops->steer(net->nb, rss, report) : 0;
}

static void set_hashing(struct virtio_net *net, const struct net_rss *rss, bool steering)
{
	net_rules_lock(net);
	net->rules.rss = *rss;
	toeplitz_prepare(&net->toeplitz, rss->key);
	net->rules.hashing = 1;
	net->rules.steering = steering;
	net_rules_unlock(net);
}

static u8 set_pairs(struct virtio_net *net, struct command *c)
{
	__le16 number;
	u16 pairs;

	if (!virtio_has(&net->vdev, VIRTIO_NET_F_MQ) || !take_last(c, &number, sizeof(number)))
		return VIRTIO_NET_ERR;
	pairs = le16_to_cpu(number);
	if (!pairs || pairs > net->nr_pairs || steer(net, NULL) || use_pairs(net, pairs))
		return VIRTIO_NET_ERR;
	net_rules_lock(net);
	net->rules.steering = 0;
	net_rules_unlock(net);
	return VIRTIO_NET_OK;
}

/* At the end of both commands: its length and the key. */
static bool take_key(struct command *c, struct net_rss *rss)
{
	u8 len;

	/* Linux sends the padding of its structure behind the key (6.15 and later). */
	return take(c, &len, 1) && len <= sizeof(rss->key) && (len || !rss->types) &&
	       c->len - c->at >= len && (!len || take(c, rss->key, len));
}

static u8 set_hash(struct virtio_net *net, struct command *c)
{
	struct net_rss rss = { 0 };
	__le16 reserved[4];
	__le32 types;

	if (!virtio_has(&net->vdev, VIRTIO_NET_F_HASH_REPORT) || !take(c, &types, sizeof(types)) ||
	    !take(c, reserved, sizeof(reserved)))
		return VIRTIO_NET_ERR;
	rss.types = le32_to_cpu(types);
	if (rss.types & ~net->hash_types || !take_key(c, &rss) || steer(net, NULL))
		return VIRTIO_NET_ERR;
	set_hashing(net, &rss, false);
	return VIRTIO_NET_OK;
}

static bool take_table(struct virtio_net *net, struct command *c, struct net_rss *rss, u16 *pairs)
{
	__le16 table[NET_RSS_TABLE];
	u32 n = rss->mask + 1U;

	if (n > NET_RSS_TABLE || n & (n - 1) || !take(c, table, n * sizeof(table[0])))
		return false;
	for (u32 i = 0; i < n; i++) {
		rss->table[i] = le16_to_cpu(table[i]);
		if (rss->table[i] >= net->nr_pairs)
			return false;
		*pairs = MAX(*pairs, (u16)(rss->table[i] + 1));
	}
	return true;
}

static u8 set_rss(struct virtio_net *net, struct command *c)
{
	struct {
		__le32 types;
		__le16 mask, unclassified;
	} head;
	struct net_rss rss = { 0 };
	__le16 senders;
	u16 pairs;

	if (!virtio_has(&net->vdev, VIRTIO_NET_F_RSS) || !take(c, &head, sizeof(head)))
		return VIRTIO_NET_ERR;
	rss.types = le32_to_cpu(head.types);
	rss.mask = le16_to_cpu(head.mask);
	rss.unclassified = le16_to_cpu(head.unclassified);
	if (rss.types & ~net->hash_types || rss.unclassified >= net->nr_pairs)
		return VIRTIO_NET_ERR;
	pairs = (u16)(rss.unclassified + 1);
	if (!take_table(net, c, &rss, &pairs) || !take(c, &senders, sizeof(senders)) ||
	    !take_key(c, &rss) || !senders || le16_to_cpu(senders) > net->nr_pairs)
		return VIRTIO_NET_ERR;
	pairs = MAX(pairs, le16_to_cpu(senders));
	if (use_pairs(net, pairs) || steer(net, &rss))
		return VIRTIO_NET_ERR;
	set_hashing(net, &rss, true);
	return VIRTIO_NET_OK;
}

static u8 set_queues(struct virtio_net *net, struct command *c)
{
	switch (c->cmd) {
	case VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET:
		return set_pairs(net, c);
	case VIRTIO_NET_CTRL_MQ_RSS_CONFIG:
		return set_rss(net, c);
	case VIRTIO_NET_CTRL_MQ_HASH_CONFIG:
		return set_hash(net, c);
	default:
		return VIRTIO_NET_ERR;
	}
}

static u8 control(struct virtio_net *net, const struct virtq_request *req)
{
	struct command c = { .req = req, .len = req->out_len };
	struct virtio_net_ctrl_hdr hdr;

	if (!virtio_has(&net->vdev, VIRTIO_NET_F_CTRL_VQ) || !take(&c, &hdr, sizeof(hdr)))
		return VIRTIO_NET_ERR;
	c.class = hdr.class;
	c.cmd = hdr.cmd;
	switch (c.class) {
	case VIRTIO_NET_CTRL_RX:
		return set_rx_mode(net, &c);
	case VIRTIO_NET_CTRL_MAC:
		return set_mac(net, &c);
	case VIRTIO_NET_CTRL_VLAN:
		return set_vlan(net, &c);
	case VIRTIO_NET_CTRL_ANNOUNCE:
		return announced(net, &c);
	case VIRTIO_NET_CTRL_MQ:
		return set_queues(net, &c);
	case VIRTIO_NET_CTRL_GUEST_OFFLOADS:
		return virtio_has(&net->vdev, VIRTIO_NET_F_CTRL_GUEST_OFFLOADS)
			       ? set_guest_offloads(net, &c)
			       : VIRTIO_NET_ERR;
	default:
		return VIRTIO_NET_ERR;
	}
}

bool net_ctrl_run(struct virtio_net *net, u16 q)
{
	struct virtio_device *vdev = &net->vdev;
	struct virtq_request req;

	while (virtio_pop(vdev, q, &req, net->ctrl_iov, ARRAY_SIZE(net->ctrl_iov)) == 1) {
		/* Where nothing can be answered nothing is done. */
		u8 ack = req.nr_in ? control(net, &req) : VIRTIO_NET_ERR;

		iov_from_buf(virtq_in(&req), req.nr_in, 0, &ack, 1);
		virtio_push(vdev, q, &req, req.nr_in ? 1 : 0);
	}
	return true;
}

/* All is tried; the last refusal is told. */
static void note_refusal(int *last, int ret)
{
	if (ret)
		*last = ret;
}

void net_ctrl_begin(struct virtio_net *net)
{
	const struct net_rules *rules = &net->rules;
	const u16 pairs = MAX(rules->pairs, 1);
	struct net_backend *nb = net->nb;
	int ret = set_offloads(net, current_offloads(net));

	if (nb->ops->set_hdr_len)
		note_refusal(&ret, nb->ops->set_hdr_len(nb, net_hdr_len(net)));
	if (nb->ops->use_pairs)
		note_refusal(&ret, nb->ops->use_pairs(nb, pairs));
	note_refusal(&ret, steer(net, rules->steering ? &rules->rss : NULL));
	if (ret)
		guest_warn("%s: '%s' refuses what it offered: %s", net->vdev.name, nb->name,
			   strerror(-ret));
	net_rules_lock(net);
	atomic_store(&net->pairs, pairs);
	toeplitz_prepare(&net->toeplitz, rules->rss.key);
	net_rules_unlock(net);
}

static bool macs_valid(const struct net_macs *macs)
{
	return macs->nr <= NET_MACS && macs->too_many <= 1;
}

bool net_rules_valid(const struct virtio_net *net, const struct net_rules *rules)
{
	const struct net_rss *rss = &rules->rss;

	for (u32 i = 0; i < NET_RSS_TABLE; i++)
		if (rss->table[i] >= net->nr_pairs)
			return false;
	return macs_valid(&rules->uni) && macs_valid(&rules->multi) &&
	       rules->pairs <= net->nr_pairs && rules->hashing <= 1 && rules->steering <= 1 &&
	       rss->unclassified < net->nr_pairs && rss->mask < NET_RSS_TABLE &&
	       !((rss->mask + 1) & rss->mask) && !(rss->types & ~net->hash_types);
}
