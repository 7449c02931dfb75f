/* SPDX-License-Identifier: MIT */
/*
 * A driver from before VIRTIO 1.0, on PCI (registers in I/O space) or MMIO (version 1): it reads
 * and writes the first disk, or, told "net", pings over the first card. It notifies before
 * DRIVER_OK, as block drivers of that time do, and never asks for bus mastering.
 */
#include "guest.h"

enum { NET = 1, BLK = 2 };
enum { ACKNOWLEDGE = 1, DRIVER = 2, DRIVER_OK = 4 };
/* 4.1.4.10, and 4.2.4 in the same order. */
enum { FEATURES, GUEST_FEATURES, PFN, NUM, SELECT, NOTIFY, STATUS };
static const struct {
	u16 port, len, mmio;
} regs[] = {
	[FEATURES] = { 0, 4, 0x10 }, [GUEST_FEATURES] = { 4, 4, 0x20 }, [PFN] = { 8, 4, 0x40 },
	[NUM] = { 12, 2, 0x34 },     [SELECT] = { 14, 2, 0x30 },	[NOTIFY] = { 16, 2, 0x50 },
	[STATUS] = { 18, 1, 0x70 },
};

#define MAX_QUEUE 256
#define PAGE	  4096u
#define PROTO	  0xb588 /* IEEE 802 local experimental 1, 0x88b5, in network order */

struct desc {
	u64 addr;
	u32 len;
	u16 flags, next;
};

/* A ring: 16 bytes, 2 and 8 for each entry, the used part on its own page. */
static u8 rings[2][4 * PAGE] __attribute__((aligned(4096)));
static u32 size[2];
static u16 offered[2], seen[2];
static u64 mmio;
static u32 port;

static u32 get(u32 r)
{
	return port ? arch_port_read(port + regs[r].port, regs[r].len)
		    : read32(mmio + regs[r].mmio);
}

static void put(u32 r, u32 value)
{
	if (port)
		arch_port_write(port + regs[r].port, regs[r].len, value);
	else
		write32(mmio + regs[r].mmio, value);
}

static u8 config(u32 at)
{
	return port ? (u8)arch_port_read(port + 20 + at, 1) : read8(mmio + 0x100 + at);
}

static bool find(u32 id)
{
	u64 base = arch_ecam();
	u32 irq;

	for (u64 fn = base; base && fn < base + 32 * 0x8000; fn += 0x8000) {
		u32 ids = read32(fn);

		if ((ids & 0xffff) != 0x1af4 || ids >> 16 < 0x1000 || ids >> 16 > 0x103f ||
		    read16(fn + 0x2e) != id || read8(fn + 8))
			continue;
		port = read32(fn + 0x10) & ~3u;
		return port;
	}
	for (u32 i = 0; arch_virtio_mmio(i, &mmio, &irq); i++)
		if (read32(mmio) == 0x74726976 && read32(mmio + 4) == 1 && read32(mmio + 8) == id)
			return true;
	return false;
}

static struct desc *descs(u32 q)
{
	return (struct desc *)rings[q];
}

static volatile u16 *avail(u32 q)
{
	return (volatile u16 *)(rings[q] + 16 * size[q]);
}

static volatile u32 *used(u32 q)
{
	return (volatile u32 *)(rings[q] +
				((16 * size[q] + 2 * (3 + size[q]) + PAGE - 1) & ~(PAGE - 1)));
}

static bool queue(u32 q)
{
	put(SELECT, q);
	size[q] = get(NUM);
	if (!size[q] || size[q] > MAX_QUEUE || get(PFN))
		return false;
	if (!port) {
		write32(mmio + 0x38, size[q]);
		write32(mmio + 0x3c, PAGE);
	}
	put(PFN, (u32)((uintptr_t)rings[q] / PAGE));
	avail(q)[0] = 1; /* no interrupts */
	return get(PFN) == (uintptr_t)rings[q] / PAGE;
}

static bool begin(u32 id, u32 features, u32 queues)
{
	if (!find(id)) {
		print("no legacy device\n");
		return false;
	}
	if (!port)
		write32(mmio + 0x28, PAGE);
	put(STATUS, 0);
	put(STATUS, ACKNOWLEDGE);
	put(STATUS, ACKNOWLEDGE | DRIVER);
	put(GUEST_FEATURES, get(FEATURES) & features);
	for (u32 q = 0; q < queues; q++) {
		if (!queue(q)) {
			print("no queue %u\n", q);
			return false;
		}
	}
	return true;
}

static void offer(u32 q, u16 head)
{
	avail(q)[2 + offered[q]++ % size[q]] = head;
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	avail(q)[1] = offered[q];
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	put(NOTIFY, q);
}

/* The length of the next used buffer, whose head is in *head; -1: none comes. */
static int wait(u32 q, u32 tries, u32 *head)
{
	volatile u32 *u = used(q);

	for (u32 i = 0; i < tries; i++) {
		u32 at = 1 + seen[q] % size[q] * 2;

		if (u[0] >> 16 != seen[q]) {
			__atomic_thread_fence(__ATOMIC_SEQ_CST);
			seen[q]++;
			*head = u[at];
			return (int)u[at + 1];
		}
		arch_pause();
	}
	return -1;
}

/* Disk: header, data and status in a descriptor each, as 5.2.6.4 had it. */

static u8 sector[512] __attribute__((aligned(16)));

static bool request(u32 type, u64 at)
{
	static struct {
		u32 type, prio;
		u64 at;
	} hdr;
	static volatile u8 status;
	u32 head;

	hdr.type = type;
	hdr.at = at;
	status = 0xee;
	descs(0)[0] = (struct desc){ (uintptr_t)&hdr, 16, 1, 1 };
	descs(0)[1] = (struct desc){ (uintptr_t)sector, 512, (u16)(type ? 1 : 3), 2 };
	descs(0)[2] = (struct desc){ (uintptr_t)&status, 1, 2, 0 };
	offer(0, 0);
	return wait(0, 3000000, &head) >= 0 && !head && !status;
}

static int disk(void)
{
	if (!begin(BLK, 0, 1))
		return 1;
	if (!request(0, 0)) {
		print("no sector before DRIVER_OK\n");
		return 1;
	}
	put(STATUS, ACKNOWLEDGE | DRIVER | DRIVER_OK);
	print("%u sectors, first %x\n", config(0) | config(1) << 8, checksum(sector, 512));
	memset(sector, 'L', 512);
	if (!request(1, 1) || !request(0, 0) || !request(0, 1)) {
		print("a request failed\n");
		return 1;
	}
	print("written %x\n", checksum(sector, 512));
	put(STATUS, 0);
	return get(STATUS) || get(PFN);
}

/* Network: without mergeable buffers the header has 10 bytes, in a descriptor of its own. */

static u8 rx_hdr[10], tx_hdr[10];
static struct {
	u8 to[6], from[6];
	u16 proto;
	char text[1500];
} rx, tx;

static void take_packets(void)
{
	descs(0)[0] = (struct desc){ (uintptr_t)rx_hdr, 10, 3, 1 };
	descs(0)[1] = (struct desc){ (uintptr_t)&rx, sizeof(rx), 2, 0 };
	offer(0, 0);
}

static void ping(void)
{
	u32 head;

	memset(tx.to, 0xff, 6);
	for (u32 i = 0; i < 6; i++)
		tx.from[i] = config(i);
	tx.proto = PROTO;
	memset(tx.text, 'x', 64);
	memcpy(tx.text, "ping 0", 6);
	descs(1)[0] = (struct desc){ (uintptr_t)tx_hdr, 10, 1, 1 };
	descs(1)[1] = (struct desc){ (uintptr_t)&tx, 14 + 64, 0, 0 };
	offer(1, 0);
	if (wait(1, 3000000, &head) < 0)
		print("the card keeps the packet\n");
}

static int net(void)
{
	u32 head;

	if (!begin(NET, 1 << 5, 2)) /* MAC */
		return 1;
	put(STATUS, ACKNOWLEDGE | DRIVER | DRIVER_OK);
	take_packets();
	for (;;) {
		int len;

		ping();
		len = wait(0, 20000, &head);
		if (len < 0)
			continue;
		if (rx.proto == PROTO && !memcmp(rx.text, "pong", 4)) {
			print("pong of %u bytes, sum %x\n", (u32)len - 10, checksum(rx.text, 64));
			return 0;
		}
		take_packets();
	}
}

int guest_main(void)
{
	return has_word("net") ? net() : disk();
}
