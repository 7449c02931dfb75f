/* SPDX-License-Identifier: MIT */
/*
 * net/toeplitz.c by the vectors of Microsoft's RSS verification suite, net/flow.c by packets, and
 * the kernel's program of net/rss-bpf.c against both, by random ones.
 */
#include <arpa/inet.h>
#include <linux/bpf.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../../net/tun.h"
#include "lkvm/flow.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "unit.h"

static const u8 key[NET_RSS_KEY] = {
	0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43, 0xa3,
	0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3,
	0x80, 0x30, 0xf2, 0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa,
};

static const struct vector {
	const char *src, *dst;
	u16 sport, dport;
	u32 addresses, ports;
} vectors[] = {
	{ "66.9.149.187", "161.142.100.80", 2794, 1766, 0x323e8fc2, 0x51ccc178 },
	{ "199.92.111.2", "65.69.140.83", 14230, 4739, 0xd718262a, 0xc626b0ea },
	{ "24.19.198.95", "12.22.207.184", 12898, 38024, 0xd2d0a5de, 0x5c2b394a },
	{ "38.27.205.30", "209.142.163.6", 48228, 2217, 0x82989176, 0xafc7327f },
	{ "153.39.163.191", "202.188.127.2", 44251, 1303, 0x5d1809c5, 0x10e828a2 },
	{ "3ffe:2501:200:1fff::7", "3ffe:2501:200:3::1", 2794, 1766, 0x2cc18cd5, 0x40207d3d },
	{ "3ffe:501:8::260:97ff:fe40:efab", "ff02::1", 14230, 4739, 0x0f0c461c, 0xdde51bbf },
	{ "3ffe:1900:4545:3:200:f8ff:fe21:67cf", "fe80::200:f8ff:fe21:67cf", 44251, 38024,
	  0x4b61e985, 0x02d1feef },
};

struct frame {
	u8 p[NET_FLOW_BYTES];
	size_t len;
};

static void add(struct frame *f, const void *bytes, size_t len)
{
	memcpy(f->p + f->len, bytes, len);
	f->len += len;
}

static void add16(struct frame *f, u16 v)
{
	u8 be[2] = { (u8)(v >> 8), (u8)v };

	add(f, be, 2);
}

/* Ethernet and IP; @tags VLAN tags. @proto is the transport's or that of an extension. */
static void begin_frame(struct frame *f, const struct vector *v, u8 proto, int tags)
{
	bool ip6 = strchr(v->src, ':');
	u8 head[40] = { 0 };

	f->len = 0;
	memset(f->p, 0, sizeof(f->p));
	add(f, "\2\0\0\0\0\1\2\0\0\0\0\2", 12);
	for (int i = 0; i < tags; i++) {
		add16(f, i ? 0x8100 : 0x88a8);
		add16(f, 5);
	}
	add16(f, ip6 ? 0x86dd : 0x0800);
	if (ip6) {
		head[0] = 0x60;
		head[6] = proto;
		assert_int_equal(inet_pton(AF_INET6, v->src, head + 8), 1);
		assert_int_equal(inet_pton(AF_INET6, v->dst, head + 24), 1);
		add(f, head, 40);
		return;
	}
	head[0] = 0x46; /* with an option */
	head[9] = proto;
	assert_int_equal(inet_pton(AF_INET, v->src, head + 12), 1);
	assert_int_equal(inet_pton(AF_INET, v->dst, head + 16), 1);
	add(f, head, 24);
}

static void add_ports(struct frame *f, const struct vector *v)
{
	add16(f, v->sport);
	add16(f, v->dport);
	f->len += 16;
}

/* The hash of @f, and what is reported in *@report. */
static u32 hash(const struct frame *f, u32 types, u8 *report)
{
	struct net_flow flow;
	struct toeplitz t;

	toeplitz_prepare(&t, key);
	net_flow_of(f->p, f->len, types, &flow);
	*report = flow.report;
	return toeplitz_hash(&t, flow.input, flow.len);
}

#define ALL 0x1ff

static void test_vectors(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(vectors); i++) {
		const struct vector *v = &vectors[i];
		bool ip6 = strchr(v->src, ':');

		for (int tags = 0; tags <= 2; tags++) {
			struct frame f;
			u8 report;

			begin_frame(&f, v, IPPROTO_TCP, tags);
			add_ports(&f, v);
			assert_int_equal(hash(&f, ALL, &report), v->ports);
			assert_int_equal(report, ip6 ? VIRTIO_NET_HASH_REPORT_TCPv6
						     : VIRTIO_NET_HASH_REPORT_TCPv4);
			assert_int_equal(hash(&f, ALL & ~0x12, &report), v->addresses);
			assert_int_equal(report, ip6 ? VIRTIO_NET_HASH_REPORT_IPv6
						     : VIRTIO_NET_HASH_REPORT_IPv4);
			assert_int_equal(hash(&f, ip6 ? 0x47 : 0x38, &report), 0);
			assert_int_equal(report, VIRTIO_NET_HASH_REPORT_NONE);
			begin_frame(&f, v, IPPROTO_UDP, tags);
			add_ports(&f, v);
			assert_int_equal(hash(&f, ALL, &report), v->ports);
			assert_int_equal(report, ip6 ? VIRTIO_NET_HASH_REPORT_UDPv6
						     : VIRTIO_NET_HASH_REPORT_UDPv4);
			begin_frame(&f, v, IPPROTO_ICMP, tags);
			add_ports(&f, v);
			assert_int_equal(hash(&f, ALL, &report), v->addresses);
		}
	}
}

/* Of fragments only the first has ports, and none is told from another by them. */
static void test_fragments(void **state)
{
	static const u8 extension[8] = { IPPROTO_TCP, 0, 0, 1 };
	struct frame f;
	u8 report;

	begin_frame(&f, &vectors[0], IPPROTO_TCP, 0);
	f.p[14 + 6] = 0x20;
	add_ports(&f, &vectors[0]);
	assert_int_equal(hash(&f, ALL, &report), vectors[0].addresses);
	f.p[14 + 6] = 0x40; /* do not fragment */
	assert_int_equal(hash(&f, ALL, &report), vectors[0].ports);
	begin_frame(&f, &vectors[5], IPPROTO_FRAGMENT, 0);
	add(&f, extension, 8);
	add_ports(&f, &vectors[5]);
	assert_int_equal(hash(&f, 0x3f, &report), vectors[5].addresses);
	f.p[14 + 40 + 3] = 0; /* the one and only */
	assert_int_equal(hash(&f, 0x3f, &report), vectors[5].ports);
}

/* A mobile node: its addresses are in extension headers. */
static void test_home(void **state)
{
	u8 routing[24] = { IPPROTO_DSTOPTS, 2, 2, 1 }, home[24] = { IPPROTO_UDP, 2, 1, 2, 0, 0 };
	struct vector v = vectors[5];
	struct frame f;
	u8 report;

	assert_int_equal(inet_pton(AF_INET6, v.dst, routing + 8), 1);
	home[6] = 201;
	home[7] = 16;
	assert_int_equal(inet_pton(AF_INET6, v.src, home + 8), 1);
	v.src = "fe80::1";
	v.dst = "fe80::2";
	begin_frame(&f, &v, IPPROTO_ROUTING, 0);
	add(&f, routing, 24);
	add(&f, home, 24);
	add_ports(&f, &v);
	assert_int_equal(hash(&f, ALL, &report), vectors[5].ports);
	assert_int_equal(report, VIRTIO_NET_HASH_REPORT_UDPv6_EX);
	assert_int_equal(hash(&f, ALL & ~0x100, &report), vectors[5].addresses);
	assert_int_equal(report, VIRTIO_NET_HASH_REPORT_IPv6_EX);
	/* Without those types the packet's own. */
	assert_int_not_equal(hash(&f, 0x3f, &report), vectors[5].ports);
	assert_int_equal(report, VIRTIO_NET_HASH_REPORT_UDPv6);
	/* Cut in the middle of an extension: the addresses alone. */
	f.len -= 30;
	hash(&f, ALL & ~0x40, &report);
	assert_int_equal(report, VIRTIO_NET_HASH_REPORT_IPv6);
}

static const struct net_rss rss = { .types = 0x3f, .mask = 127, .unclassified = 9 };

static u32 pick(const struct frame *f, const struct net_rss *r)
{
	u8 report;
	u32 h = hash(f, r->types, &report);

	return report ? r->table[h & r->mask] : r->unclassified;
}

/* The program's answer for @f: a socket filter is run on what follows the Ethernet header, so
 * another stands in front. */
static u32 run(const struct rss_bpf *b, const struct frame *f)
{
	u8 packet[14 + NET_FLOW_BYTES] = { 0 };
	union bpf_attr attr = { 0 };

	memcpy(packet + 14, f->p, f->len);
	attr.test.prog_fd = (u32)rss_bpf_program(b);
	attr.test.data_in = (uintptr_t)packet;
	attr.test.data_size_in = (u32)(14 + f->len);
	attr.test.repeat = 1;
	if (syscall(SYS_bpf, BPF_PROG_TEST_RUN, &attr, sizeof(attr)) < 0)
		fail_msg("BPF_PROG_TEST_RUN: %s", strerror(errno));
	return attr.test.retval;
}

static u64 seed = 5;

static u32 rnd(u32 n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return (u32)(seed >> 20) % n;
}

static bool is_extension(u8 proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_FRAGMENT || proto == IPPROTO_DSTOPTS ||
	       proto == IPPROTO_ROUTING;
}

/* A packet that is almost right. */
static void any_frame(struct frame *f)
{
	static const u8 protos[] = { IPPROTO_TCP,     IPPROTO_UDP,	IPPROTO_ICMP,
				     IPPROTO_HOPOPTS, IPPROTO_FRAGMENT, IPPROTO_DSTOPTS,
				     IPPROTO_ROUTING, IPPROTO_TCP };
	const struct vector *v = &vectors[rnd(ARRAY_SIZE(vectors))];
	u8 proto = protos[rnd(8)];

	begin_frame(f, v, proto, (int)rnd(4) % 3);
	if (!strchr(v->src, ':') && !rnd(3))
		f->p[f->len - 24 + 6 + rnd(2)] = (u8)BIT(rnd(8));
	for (int i = 0; i < 10 && is_extension(proto); i++) {
		u8 header[24] = { 0 };

		header[0] = protos[rnd(8)];
		header[1] = proto == IPPROTO_FRAGMENT ? 0 : (u8)rnd(3);
		if (proto == IPPROTO_FRAGMENT)
			header[3] = (u8)(rnd(2) ? rnd(256) : 0);
		if (f->len + 24 > sizeof(f->p) - 32)
			break;
		add(f, header, 8U * (header[1] + 1U));
		proto = header[0];
	}
	add_ports(f, v);
	if (!rnd(4))
		f->len -= rnd(40);
	for (u32 n = rnd(4); n; n--)
		f->p[12 + rnd((u32)f->len - 12)] = (u8)rnd(256);
}

static void test_program(void **state)
{
	struct rss_bpf *b = rss_bpf_open();
	struct net_rss r = rss;
	u32 seen = 0;

	if (!b) {
		print_message("no BPF here\n");
		skip();
	}
	memcpy(r.key, key, sizeof(key));
	for (u32 i = 0; i < 20000; i++) {
		struct frame f;
		u32 want, got;

		if (i % 100 == 0) {
			r.types = i % 300 ? rnd(0x40) : 0x3f;
			r.mask = (u16)((1U << rnd(8)) - 1);
			for (u32 e = 0; e < NET_RSS_TABLE; e++)
				r.table[e] = (u16)rnd(8);
			rss_bpf_set(b, &r);
		}
		any_frame(&f);
		want = pick(&f, &r);
		got = run(b, &f);
		if (want != got)
			fail_msg("packet %u, types %#x: %u instead of %u", i, r.types, got, want);
		seen |= BIT(want);
	}
	assert_int_equal(seen, 0x2ff);
	rss_bpf_close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_home),
		cmocka_unit_test(test_program),
	};

	log_set_level(LOG_DEBUG);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
