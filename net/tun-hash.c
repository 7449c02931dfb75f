/* SPDX-License-Identifier: MIT */
/*
 * RSS and its hashes by the tun driver itself: Linux's series "tun: Introduce virtio-net hashing
 * feature", which no released kernel has so far. Its versions 3 to 11 and version 12 have ioctls of
 * their own, none of which stands for another: a kernel that lacks them says -EINVAL. A report
 * without RSS is not asked for, since the guest's key is no part of it.
 */
#include <linux/virtio_net.h>
#include <sys/ioctl.h>

#include "lkvm/util.h"
#include "tun.h"

struct rss_head {
	u16 mask, unclassified;
};

/* Versions 3 to 11. */
struct tun_vnet_hash {
	u16 flags;
	u8 pad[2];
	u32 types;
};
#define TUN_VNET_HASH_REPORT BIT(0)
#define TUN_VNET_HASH_RSS    BIT(1)
#define TUNGETVNETHASHCAP    _IOR('T', 228, struct tun_vnet_hash)
#define TUNSETVNETHASH	     _IOW('T', 229, struct tun_vnet_hash)

/* Version 12. */
struct tun_vnet_rss {
	u32 types;
	struct rss_head rss;
};
#define TUNGETVNETHASHTYPES	  _IOR('T', 228, u32)
#define TUNSETVNETREPORTINGAUTOMQ _IOR('T', 229, u32)
#define TUNSETVNETREPORTINGRSS	  _IOR('T', 230, struct tun_vnet_rss)
#define TUNSETVNETRSS		  _IOR('T', 231, struct tun_vnet_rss)

#define ALL_TYPES ((VIRTIO_NET_RSS_HASH_TYPE_UDP_EX << 1) - 1)

/* Behind either head: the table, then the key. */
struct rss_tail {
	u16 table[NET_RSS_TABLE];
	u8 key[NET_RSS_KEY];
};

enum tun_hashing tun_hash_probe(int fd, u32 *types)
{
	struct tun_vnet_hash cap = { 0 };

	if (!ioctl(fd, TUNGETVNETHASHTYPES, types)) {
		*types &= ALL_TYPES;
		return *types ? TUN_HASHES_V12 : TUN_HASHES_NOT;
	}
	if (ioctl(fd, TUNGETVNETHASHCAP, &cap) ||
	    (~cap.flags & (TUN_VNET_HASH_REPORT | TUN_VNET_HASH_RSS)))
		return TUN_HASHES_NOT;
	*types = cap.types & ALL_TYPES;
	return *types ? TUN_HASHES_V3 : TUN_HASHES_NOT;
}

/* The key follows the entries that there are. */
static void fill_tail(struct rss_tail *tail, const struct net_rss *rss)
{
	size_t len = (rss->mask + (size_t)1) * sizeof(rss->table[0]);

	memcpy(tail, rss->table, len);
	memcpy((u8 *)tail + len, rss->key, sizeof(rss->key));
}

static int set_v12(int fd, const struct net_rss *rss, bool report)
{
	struct {
		struct tun_vnet_rss head;
		struct rss_tail tail;
	} all = { 0 };
	u32 none = 0;

	if (!rss)
		return ioctl(fd, TUNSETVNETREPORTINGAUTOMQ, &none) < 0 ? -errno : 0;
	all.head.types = rss->types;
	all.head.rss = (struct rss_head){ rss->mask, rss->unclassified };
	fill_tail(&all.tail, rss);
	return ioctl(fd, report ? TUNSETVNETREPORTINGRSS : TUNSETVNETRSS, &all) < 0 ? -errno : 0;
}

static int set_v3(int fd, const struct net_rss *rss, bool report)
{
	struct {
		struct tun_vnet_hash head;
		struct rss_head rss;
		struct rss_tail tail;
	} all = { 0 };

	if (rss) {
		all.head.flags = TUN_VNET_HASH_RSS | (report ? TUN_VNET_HASH_REPORT : 0);
		all.head.types = rss->types;
		all.rss = (struct rss_head){ rss->mask, rss->unclassified };
		fill_tail(&all.tail, rss);
	}
	return ioctl(fd, TUNSETVNETHASH, &all) < 0 ? -errno : 0;
}

int tun_hash_set(int fd, enum tun_hashing hashing, const struct net_rss *rss, bool report)
{
	return hashing == TUN_HASHES_V12 ? set_v12(fd, rss, report) : set_v3(fd, rss, report);
}
