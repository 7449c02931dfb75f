/* SPDX-License-Identifier: MIT */
/*
 * Uses a device that is passed through: edu, as the model of VFIO plays it (docs/model.md). Its
 * registers, a BAR that is mapped, DMA both ways, a reset of the function.
 * A line for each, "NAME: ok" or what was wrong; the status is how many were. With the word list
 * only what functions there are; with nvme a register on the page of an MSI-X table; with peer DMA
 * from edu to nvme; with reboot it reboots once and does it again.
 */
#include "pci.h"
#include "x86.h"

enum {
	EDU = 0x11e81234,
	NVME = 0x00101b36,
	ID = 0x00,
	LIVE = 0x04,
	DMA_FROM = 0x80,
	DMA_TO = 0x88,
	DMA_COUNT = 0x90,
	DMA_CMD = 0x98,
	BUFFER = 0x40000,
	MARK = 0xff00,	      /* of BAR 2: it has rebooted */
	NVME_BESIDE = 0x3800, /* on the page of the MSI-X table */
};

static struct pci_scan scan;
static u64 fn, regs, memory;
static int wrong;
static u32 ram[2048] __attribute__((aligned(4096)));

static void tell(const char *name, bool good)
{
	print("%s: %s\n", name, good ? "ok" : "wrong");
	wrong += !good;
}

static bool find(u32 ids)
{
	memset(&scan, 0, sizeof(scan));
	while (pci_next(&scan))
		if (read32(scan.fn) == ids) {
			fn = scan.fn;
			return true;
		}
	return false;
}

static u64 bar(u32 index)
{
	u32 low = read32(fn + 0x10 + 4 * index);
	u64 at = (low & ~0xfu) | (low & 4 ? (u64)read32(fn + 0x14 + 4 * index) << 32 : 0);

	if (at >> 32)
		arch_map_gib(at & ~((1ULL << 30) - 1));
	return at;
}

static u64 capability(u8 id)
{
	for (u32 n = 0, at = read8(fn + 0x34); at && n < 48; at = read8(fn + at + 1), n++)
		if (read8(fn + at) == id)
			return fn + at;
	return 0;
}

static bool dma(u64 from, u64 to, u32 count, u32 command)
{
	write32(regs + DMA_FROM, (u32)from);
	write32(regs + DMA_FROM + 4, (u32)(from >> 32));
	write32(regs + DMA_TO, (u32)to);
	write32(regs + DMA_TO + 4, (u32)(to >> 32));
	write32(regs + DMA_COUNT, count);
	write32(regs + DMA_CMD, command);
	return !read32(regs + DMA_CMD);
}

static void try_dma(void)
{
	u64 at = (u64)(unsigned long)ram;
	bool good;

	for (u32 i = 0; i < 1024; i++)
		ram[i] = i * 0x9e3779b1u;
	/* Across the edge of a page, too. */
	good = dma(at + 64, BUFFER, 4032, 1) && dma(BUFFER, at + 4100, 4032, 3);
	tell("dma", good && !memcmp(ram + 16, ram + 1025, 4032));
}

static void try_reset(void)
{
	u64 cap = capability(0x10);
	u32 first = read32(fn + 0x10);

	if (!cap)
		return tell("flr", false);
	write32(regs + LIVE, 1);
	write16(cap + 8, read16(cap + 8) | 0x8000);
	/* The BARs are gone, as of any function that was reset. */
	write32(fn + 0x10, first);
	write32(fn + 0x18, read32(fn + 0x18) ? read32(fn + 0x18) : (u32)memory);
	write16(fn + 4, 6);
	tell("flr", !read32(regs + LIVE) && read32(regs + ID) == 0x010000ed);
}

static void list(void)
{
	while (pci_next(&scan)) {
		print("function %x: %x", scan.id, read32(scan.fn));
		for (u32 n = 0, at = read8(scan.fn + 0x34); at && n < 48;
		     at = read8(scan.fn + at + 1), n++)
			print(" %x@%x", read8(scan.fn + at), at);
		print("\n");
	}
}

static int nvme(void)
{
	if (!find(NVME))
		return 1;
	write16(fn + 4, 6);
	regs = bar(0);
	write32(regs + 0x20, 0x12345678);
	tell("registers", read32(regs + 0x20) == 0x12345678);
	write32(regs + NVME_BESIDE, 0x87654321);
	tell("beside", read32(regs + NVME_BESIDE) == 0x87654321);
	return wrong;
}

/* From edu's buffer into a BAR of nvme. */
static int peer(void)
{
	u64 at = (u64)(unsigned long)ram, other;

	if (!find(NVME))
		return 1;
	write16(fn + 4, 6);
	other = bar(0);
	if (!find(EDU))
		return 100;
	write16(fn + 4, 6);
	regs = bar(0);
	for (u32 i = 0; i < 16; i++)
		ram[i] = i * 0x9e3779b1u;
	tell("peer", dma(at, BUFFER, 64, 1) && dma(BUFFER, other + 0x100, 64, 3) &&
			     read32(other + 0x104) == 0x9e3779b1u &&
			     read32(other + 0x13c) == 15 * 0x9e3779b1u);
	return wrong;
}

int guest_main(void)
{
	if (has_word("peer"))
		return peer();
	if (has_word("list")) {
		list();
		return 0;
	}
	if (has_word("nvme"))
		return nvme();
	if (!find(EDU))
		return 100;
	write16(fn + 4, 6);
	regs = bar(0);
	memory = bar(2);
	tell("registers", read32(regs + ID) == 0x010000ed);
	write32(regs + LIVE, 0x12345678);
	tell("alive", read32(regs + LIVE) == 0xedcba987);
	write64(memory + 0x8000, 0x1122334455667788);
	tell("mapped", read32(memory + 0x8004) == 0x11223344);
	try_dma();
	if (has_word("reboot") && read32(memory + MARK) != 1) {
		write32(memory + MARK, 1);
		outb(0x64, 0xfe);
		for (;;)
			arch_pause();
	}
	try_reset();
	return wrong;
}
