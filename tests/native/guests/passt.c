/* SPDX-License-Identifier: MIT */
/*
 * The first virtio network card, at a network that gives addresses by DHCP (RFC 2131): asks for
 * one, says which, finds its router (RFC 826), sends it a datagram to the port that "port" says and
 * prints the answer; then answers datagrams to port 7 until one says "end".
 */
#include "virtio.h"

#define HDR   12
#define RX    0
#define TX    1
#define NR_RX 8

#define IP  0x0008 /* EtherTypes, in network order */
#define ARP 0x0608

struct frame {
	u8 virtio[HDR];
	u8 to[6], from[6];
	u16 proto;
	u8 data[2048]; /* from the IP or ARP header on */
} __attribute__((packed));

static struct virtio v;
static struct frame rx[NR_RX], tx;
static u8 mac[6], my_ip[4], router_ip[4], router_mac[6];

static void put16(u8 *p, u16 x)
{
	p[0] = (u8)(x >> 8);
	p[1] = (u8)x;
}

static u16 get16(const u8 *p)
{
	return (u16)(p[0] << 8 | p[1]);
}

static void send_frame(const u8 *to, u16 proto, u32 len)
{
	memset(tx.virtio, 0, HDR);
	memcpy(tx.to, to, 6);
	memcpy(tx.from, mac, 6);
	tx.proto = proto;
	vq_add(&v, TX, &(struct vq_buf){ &tx, HDR + 14 + len, false }, 1);
	vq_kick(&v, TX);
	if (vq_wait(&v, TX, NULL) < 0)
		print("the card keeps the packet\n");
}

/* RFC 791, 3.1; without a checksum of UDP's (RFC 768). */
static void send_udp(const u8 *to_mac, const u8 *from, const u8 *to, u16 sport, u16 dport, u32 len)
{
	u8 *ip = tx.data, *udp = ip + 20;
	u32 sum = 0;

	memset(ip, 0, 20);
	ip[0] = 0x45;
	put16(ip + 2, (u16)(28 + len));
	ip[8] = 64;
	ip[9] = 17;
	memcpy(ip + 12, from, 4);
	memcpy(ip + 16, to, 4);
	for (u32 i = 0; i < 20; i += 2)
		sum += get16(ip + i);
	sum = (sum & 0xffff) + (sum >> 16);
	put16(ip + 10, (u16) ~(sum + (sum >> 16)));
	put16(udp, sport);
	put16(udp + 2, dport);
	put16(udp + 4, (u16)(8 + len));
	put16(udp + 6, 0);
	send_frame(to_mac, IP, 28 + len);
}

static void send_arp(u16 op, const u8 *to_mac, const u8 *ip)
{
	u8 *a = tx.data;

	memset(a, 0, 46);
	put16(a, 1);
	put16(a + 2, 0x0800);
	a[4] = 6;
	a[5] = 4;
	put16(a + 6, op);
	memcpy(a + 8, mac, 6);
	memcpy(a + 14, my_ip, 4);
	if (op == 2)
		memcpy(a + 18, to_mac, 6);
	memcpy(a + 24, ip, 4);
	send_frame(to_mac, ARP, 28);
}

static void answer_arp(const u8 *a)
{
	if (get16(a + 6) == 1 && !memcmp(a + 24, my_ip, 4))
		send_arp(2, a + 8, a + 14);
	else if (get16(a + 6) == 2 && !memcmp(a + 14, router_ip, 4))
		memcpy(router_mac, a + 8, 6);
}

static struct frame *take(void)
{
	int head = vq_used(&v, RX, NULL);

	if (head < 0)
		return NULL;
	if (rx[head].proto == ARP)
		answer_arp(rx[head].data);
	return &rx[head];
}

static void give_back(struct frame *f)
{
	u16 i = (u16)(f - rx);

	vq_chain(&v, RX, i, &(struct vq_buf){ f, sizeof(*f), true }, 1);
	vq_offer(&v, RX, i);
	vq_kick(&v, RX);
}

/* The next datagram to @port; its length, and where it lies until give_back. */
static struct frame *wait_udp(u16 port, u32 *len)
{
	for (;;) {
		struct frame *f = take();
		const u8 *udp = f ? f->data + 20 : NULL;

		if (f && f->proto == IP && f->data[9] == 17 && get16(udp + 2) == port) {
			*len = get16(udp + 4) - 8u;
			return f;
		}
		if (f)
			give_back(f);
		if (!(read16(v.config + 6) & 1)) {
			print("link down\n");
			return NULL;
		}
		arch_pause();
	}
}

static void print_ip(const char *what, const u8 *ip)
{
	print("%s %u.%u.%u.%u\n", what, ip[0], ip[1], ip[2], ip[3]);
}

static bool dhcp(void)
{
	static const u8 all[6] = { 255, 255, 255, 255, 255, 255 }, none[4];
	static const u8 options[] = { 0x63, 0x82, 0x53, 0x63, 53, 1, 1, 55, 3, 1, 3, 6, 255 };
	u8 *b = tx.data + 28;
	struct frame *f;
	u32 len;

	memset(b, 0, 300);
	b[0] = 1;
	b[1] = 1;
	b[2] = 6;
	b[4] = 0x42;
	memcpy(b + 28, mac, 6);
	memcpy(b + 236, options, sizeof(options));
	send_udp(all, none, all, 68, 67, 300);
	f = wait_udp(68, &len);
	if (!f)
		return false;
	b = f->data + 28;
	memcpy(my_ip, b + 16, 4);
	print_ip("address", my_ip);
	for (u32 i = 240; i + 1 < len && b[i] != 255; i += b[i] ? 2u + b[i + 1] : 1) {
		if (b[i] == 3) {
			memcpy(router_ip, b + i + 2, 4);
			print_ip("router", router_ip);
		} else if (b[i] == 26) {
			print("mtu %u\n", get16(b + i + 2));
		}
	}
	give_back(f);
	return true;
}

static bool ask(u16 port)
{
	struct frame *f;
	u32 len;

	send_arp(1, (const u8 *)"\xff\xff\xff\xff\xff\xff", router_ip);
	while (!(router_mac[0] | router_mac[1] | router_mac[5])) {
		f = take();
		if (f)
			give_back(f);
		arch_pause();
	}
	memcpy(tx.data + 28, "ask", 3);
	send_udp(router_mac, my_ip, router_ip, 4000, port, 3);
	f = wait_udp(4000, &len);
	if (!f)
		return false;
	f->data[28 + (len < 60 ? len : 60)] = '\0';
	print("answer %s\n", (char *)f->data + 28);
	give_back(f);
	return true;
}

/* True: "end" came. */
static bool echo(void)
{
	struct frame *f;
	bool end;
	u32 len;

	f = wait_udp(7, &len);
	if (!f)
		return true;
	memcpy(tx.data + 28, f->data + 28, len);
	end = len >= 3 && !memcmp(f->data + 28, "end", 3);
	send_udp(f->from, my_ip, f->data + 12, 7, get16(f->data + 20), len);
	give_back(f);
	return end;
}

int guest_main(void)
{
	u32 port = word_value("port", 0);

	if (!virtio_open(&v, VIRTIO_NET, 0)) {
		print("no card\n");
		return 1;
	}
	if (!virtio_negotiate(&v, virtio_offered(&v) & (1 << 3 | 1 << 5 | 1 << 15 | 1 << 16)) ||
	    !virtio_queue(&v, RX, false) || !virtio_queue(&v, TX, false)) {
		print("the card does not agree\n");
		return 1;
	}
	virtio_driver_ok(&v);
	for (u32 i = 0; i < 6; i++)
		mac[i] = read8(v.config + i);
	print("card mtu %u link %u csum %u\n", read16(v.config + 10), read16(v.config + 6),
	      (u32)virtio_offered(&v) & 1);
	for (u32 i = 0; i < NR_RX; i++)
		give_back(&rx[i]);
	if (!dhcp() || (port && !ask((u16)port)))
		return 1;
	print("ready\n");
	while (!echo())
		;
	return 0;
}
