/* SPDX-License-Identifier: MIT */
/*
 * Uses a device that is passed through: edu, as the model of VFIO plays it (docs/model.md). Its
 * registers, a BAR that is mapped, DMA both ways, each kind of interrupt, a reset of the function.
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
	STATUS = 0x24,
	RAISE = 0x60,
	ACK = 0x64,
	VECTOR = 0x68,
	DMA_FROM = 0x80,
	DMA_TO = 0x88,
	DMA_COUNT = 0x90,
	DMA_CMD = 0x98,
	BUFFER = 0x40000,
	MARK = 0xff00, /* of BAR 2: it has rebooted */
	NVME_RAISE = 0x3800,
};

static struct pci_scan scan;
static u64 fn, regs, memory;
static int wrong;
static volatile u32 came[4];
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

static void on_first(void)
{
	came[1]++;
}
static void on_second(void)
{
	came[2]++;
}
/* A level: it comes again unless the device has let it go. */
static void on_line(void)
{
	came[3]++;
	write32(regs + ACK, ~0u);
}

/*
 * It comes. More than once is said, and allowed, as drivers allow it: a KVM that tells of the end
 * of an interrupt before the write that lowers its line makes a level come again. Unit tests count.
 */
static bool interrupted(u32 by)
{
	u64 since = arch_cycles();
	u32 others;

	while (!came[by] && !arch_hangs(since))
		arch_wait();
	others = came[1] + came[2] + came[3] - came[by];
	if (came[by] != 1 || others)
		print("# %u interrupts of kind %u, %u others\n", came[by], by, others);
	return came[by] != 0;
}

static void raise(u32 at, u32 value)
{
	came[1] = came[2] = came[3] = 0;
	write32(regs + at, value);
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

static void try_line(void)
{
	u32 line = read8(fn + 0x3c); /* what the machine wrote there: a GSI */

	arch_set_handler(0x30, on_line);
	arch_route_irq(line, 0x30, false);
	for (u32 i = 0; i < 2; i++) {
		raise(RAISE, 1);
		tell(i ? "intx again" : "intx", interrupted(3) && !read32(regs + STATUS));
	}
	arch_mask_irq(line);
}

static bool message(u32 vector, u64 *addr, u32 *data)
{
	return arch_msi_message(vector, pci_requester(&scan), addr, data);
}

static void try_msi(void)
{
	u64 cap = capability(5), addr;
	u32 data;

	if (!cap || !message(0x31, &addr, &data))
		return tell("msi", false);
	arch_set_handler(0x31, on_first);
	write32(cap + 4, (u32)addr);
	write32(cap + 8, (u32)(addr >> 32));
	write16(cap + 12, (u16)data);
	write16(cap + 2, read16(cap + 2) | 1);
	write32(regs + VECTOR, 0);
	raise(RAISE, 1);
	tell("msi", interrupted(1));
	write16(cap + 2, read16(cap + 2) & ~1u);
	write32(regs + ACK, ~0u);
}

static void fill(u64 table, u32 entry, u32 vector, bool masked)
{
	u64 addr;
	u32 data;

	message(vector, &addr, &data);
	write32(table + 16 * entry, (u32)addr);
	write32(table + 16 * entry + 4, (u32)(addr >> 32));
	write32(table + 16 * entry + 8, data);
	write32(table + 16 * entry + 12, masked);
}

/* Two entries; the second one is masked while its message is raised. */
static void try_msix(u32 at, u32 first, u32 second)
{
	u64 cap = capability(0x11), table;
	u32 where;

	if (!cap)
		return tell("msix", false);
	arch_set_handler(0x31, on_first);
	arch_set_handler(0x32, on_second);
	where = read32(cap + 4);
	table = bar(where & 7) + (where & ~7u);
	write16(cap + 2, read16(cap + 2) | 0xc000);
	fill(table, 1, 0x31, false);
	fill(table, 5, 0x32, true);
	write16(cap + 2, (read16(cap + 2) & ~0x4000u) | 0x8000);
	if (at == RAISE)
		write32(regs + VECTOR, 1);
	raise(at, first);
	tell("msix", interrupted(1));
	if (at == RAISE)
		write32(regs + VECTOR, 5);
	raise(at, second);
	/* The write has come back, so the message was sent, or kept. */
	read32(at == RAISE ? regs + STATUS : table);
	tell("msix masked", !came[2]);
	write32(table + 16 * 5 + 12, 0);
	tell("msix unmasked", interrupted(2));
	/* Before the reboot it stays on: that is the machine's to switch off. */
	if (!has_word("reboot") || read32(memory + MARK) == 1)
		write16(cap + 2, read16(cap + 2) & 0x3fff);
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
	try_msix(NVME_RAISE, 1, 5);
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
	try_line();
	try_msi();
	try_msix(RAISE, 1, 1);
	if (has_word("reboot") && read32(memory + MARK) != 1) {
		write32(memory + MARK, 1);
		outb(0x64, 0xfe);
		for (;;)
			arch_pause();
	}
	try_reset();
	return wrong;
}
