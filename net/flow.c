/* SPDX-License-Identifier: MIT */
/*
 * What packets are hashed by (VIRTIO 1.3, 5.1.6.4.3.1 to 5.1.6.4.3.3; IPv4: RFC 791, IPv6: RFC
 * 8200, home addresses: RFC 6275). rss-bpf.c has the same as a program for the kernel.
 */
#include <linux/if_ether.h>
#include <linux/virtio_net.h>
#include <netinet/in.h>

#include "lkvm/flow.h"
#include "lkvm/util.h"

#define VLANS	       2
#define EXTENSIONS     8
#define IP_FRAGMENT    0x3fff /* more follow, or it is not the first */
#define OPTION_PAD1    0
#define OPTION_HOME    201 /* RFC 6275, 6.3 */
#define ROUTING_TYPE_2 2   /* RFC 6275, 6.4 */

struct packet {
	const u8 *p;
	size_t len;
	size_t at; /* of the header that is looked at */
	u8 proto;  /* of what @at begins with */
	bool fragment;
	bool ip6, extended;
	const u8 *src, *dst;	 /* in the IP header */
	const u8 *home, *routed; /* instead, in extension headers; or NULL */
};

static u32 be16(const u8 *p)
{
	return (u32)(p[0] << 8 | p[1]);
}

static bool has(const struct packet *pk, size_t at, size_t len)
{
	return at <= pk->len && len <= pk->len - at;
}

static bool parse_ip4(struct packet *pk)
{
	const u8 *ip = pk->p + pk->at;

	if (!has(pk, pk->at, 20) || ip[0] >> 4 != 4 || (ip[0] & 15) < 5)
		return false;
	pk->fragment = be16(ip + 6) & IP_FRAGMENT;
	pk->proto = ip[9];
	pk->src = ip + 12;
	pk->dst = ip + 16;
	pk->at += 4U * (ip[0] & 15);
	return true;
}

/* The options of a destination options header of @len bytes at @at. */
static void find_home(struct packet *pk, size_t at, size_t len)
{
	size_t end = at + len;

	at += 2;
	while (at + 2 <= end) {
		const u8 *option = pk->p + at;

		if (option[0] == OPTION_PAD1) {
			at++;
			continue;
		}
		if (option[0] == OPTION_HOME && option[1] == 16 && at + 18 <= end) {
			pk->home = option + 2;
			return;
		}
		at += 2U + option[1];
	}
}

static bool is_extension(u8 proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_DSTOPTS ||
	       proto == IPPROTO_FRAGMENT;
}

/* One extension header; false: it is not whole. */
static bool parse_extension(struct packet *pk)
{
	const u8 *h = pk->p + pk->at;
	size_t len;

	if (!has(pk, pk->at, 8))
		return false;
	len = pk->proto == IPPROTO_FRAGMENT ? 8 : 8U * (h[1] + 1U);
	if (!has(pk, pk->at, len))
		return false;
	/* The last three bits but one are reserved. */
	if (pk->proto == IPPROTO_FRAGMENT && be16(h + 2) & 0xfff9)
		pk->fragment = true;
	if (pk->proto == IPPROTO_DSTOPTS)
		find_home(pk, pk->at, len);
	if (pk->proto == IPPROTO_ROUTING && len == 24 && h[2] == ROUTING_TYPE_2)
		pk->routed = h + 8;
	pk->extended = true;
	pk->proto = h[0];
	pk->at += len;
	return true;
}

static bool parse_ip6(struct packet *pk)
{
	const u8 *ip = pk->p + pk->at;

	if (!has(pk, pk->at, 40) || ip[0] >> 4 != 6)
		return false;
	pk->ip6 = true;
	pk->proto = ip[6];
	pk->src = ip + 8;
	pk->dst = ip + 24;
	pk->at += 40;
	for (int i = 0; i < EXTENSIONS && is_extension(pk->proto); i++) {
		if (!parse_extension(pk)) {
			pk->proto = IPPROTO_NONE;
			break;
		}
	}
	return true;
}

static bool parse(struct packet *pk)
{
	u32 type;

	if (!has(pk, 0, ETH_HLEN))
		return false;
	type = be16(pk->p + 12);
	pk->at = ETH_HLEN;
	for (int i = 0; i < VLANS && (type == ETH_P_8021Q || type == ETH_P_8021AD); i++) {
		if (!has(pk, pk->at, 4))
			return false;
		type = be16(pk->p + pk->at + 2);
		pk->at += 4;
	}
	if (type == ETH_P_IP)
		return parse_ip4(pk);
	return type == ETH_P_IPV6 && parse_ip6(pk);
}

/* Types of hashes and what is reported of them, for TCP, UDP and all else. */
static const struct kind {
	u32 type;
	u8 report;
} kinds[3][3] = {
	{ { VIRTIO_NET_RSS_HASH_TYPE_TCPv4, VIRTIO_NET_HASH_REPORT_TCPv4 },
	  { VIRTIO_NET_RSS_HASH_TYPE_UDPv4, VIRTIO_NET_HASH_REPORT_UDPv4 },
	  { VIRTIO_NET_RSS_HASH_TYPE_IPv4, VIRTIO_NET_HASH_REPORT_IPv4 } },
	{ { VIRTIO_NET_RSS_HASH_TYPE_TCPv6, VIRTIO_NET_HASH_REPORT_TCPv6 },
	  { VIRTIO_NET_RSS_HASH_TYPE_UDPv6, VIRTIO_NET_HASH_REPORT_UDPv6 },
	  { VIRTIO_NET_RSS_HASH_TYPE_IPv6, VIRTIO_NET_HASH_REPORT_IPv6 } },
	{ { VIRTIO_NET_RSS_HASH_TYPE_TCP_EX, VIRTIO_NET_HASH_REPORT_TCPv6_EX },
	  { VIRTIO_NET_RSS_HASH_TYPE_UDP_EX, VIRTIO_NET_HASH_REPORT_UDPv6_EX },
	  { VIRTIO_NET_RSS_HASH_TYPE_IP_EX, VIRTIO_NET_HASH_REPORT_IPv6_EX } },
};

/* The kind of hash of such a packet that is switched on, or NULL; *@ports: it has those. */
static const struct kind *choose(const struct packet *pk, const struct kind k[3], u32 types,
				 bool *ports)
{
	bool whole = !pk->fragment && has(pk, pk->at, 4);

	*ports = true;
	if (whole && pk->proto == IPPROTO_TCP && types & k[0].type)
		return &k[0];
	if (whole && pk->proto == IPPROTO_UDP && types & k[1].type)
		return &k[1];
	*ports = false;
	return types & k[2].type ? &k[2] : NULL;
}

static void add(struct net_flow *flow, const u8 *bytes, u8 len)
{
	memcpy(flow->input + flow->len, bytes, len);
	flow->len = (u8)(flow->len + len);
}

void net_flow_of(const u8 *frame, size_t len, u32 types, struct net_flow *flow)
{
	struct packet pk = { .p = frame, .len = len };
	const struct kind *kind = NULL;
	bool ports = false;

	*flow = (struct net_flow){ .report = VIRTIO_NET_HASH_REPORT_NONE };
	if (!parse(&pk))
		return;
	if (pk.extended)
		kind = choose(&pk, kinds[2], types, &ports);
	if (!kind) {
		pk.home = NULL;
		pk.routed = NULL;
		kind = choose(&pk, kinds[pk.ip6], types, &ports);
	}
	if (!kind)
		return;
	flow->report = kind->report;
	add(flow, pk.home ?: pk.src, pk.ip6 ? 16 : 4);
	add(flow, pk.routed ?: pk.dst, pk.ip6 ? 16 : 4);
	if (ports)
		add(flow, pk.p + pk.at, 4);
}
