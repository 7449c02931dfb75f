/* SPDX-License-Identifier: MIT */
/*
 * arm64 guests: messages of PCI devices, by the ITS (Arm IHI 0069H, chapter 5; registers 12.18) or
 * a GICv2m frame (Arm Server Base System Architecture, appendix E), to the first CPU.
 */
#include "arm.h"

#define GITS_CTLR	  0x0
#define GITS_TYPER	  0x8
#define GITS_CBASER	  0x80
#define GITS_CWRITER	  0x88
#define GITS_CREADR	  0x90
#define GITS_BASER	  0x100
#define GITS_TRANSLATER	  0x10040
#define TYPER_PTA	  (1ULL << 19)
#define BASER_DEVICES	  1
#define BASER_COLLECTIONS 4
#define VALID		  (1ULL << 63)
/* Inner write-back cacheable, inner shareable: the places of these fields differ. */
#define BASER_CACHED (7ULL << 59 | 1ULL << 10)
#define GICR_CACHED  (7ULL << 7 | 1ULL << 10)
#define PTZ	     (1ULL << 62) /* the pending table is all zero */

#define GICR_CTLR      0x0
#define GICR_TYPER     0x8
#define GICR_PROPBASER 0x70
#define GICR_PENDBASER 0x78

#define PAGE	   (64 << 10)
#define LPI_BITS   14
#define LPI_ON	   0xa3 /* priority 0xa0, bit 1 is RES1, enabled */
#define EVENT_BITS 4
#define COMMANDS   (PAGE / 32)

enum { SYNC = 5, MAPD = 8, MAPC = 9, MAPTI = 10, INV = 12 };

static u64 its, processor;
static u64 *commands;
static u32 next_command;
static u8 *properties;

static struct lpi {
	u32 device, vector;
} lpis[MAX_LPIS];
static u32 nr_lpis;

static u64 v2m;
static u32 v2m_first, v2m_count;

static void command(u64 what, u64 a, u64 b)
{
	u64 *c = commands + next_command * 4;

	c[0] = what;
	c[1] = a;
	c[2] = b;
	c[3] = 0;
	next_command = (next_command + 1) % COMMANDS;
	dsb();
	write64(its + GITS_CWRITER, next_command * 32);
	for (u32 i = 0; i < 100000 && read64(its + GITS_CREADR) != next_command * 32; i++)
		arch_pause();
}

/* One page for each table that it wants: far more than one PCI bus needs. */
static bool give_tables(void)
{
	for (u32 i = 0; i < 8; i++) {
		u64 reg = its + GITS_BASER + 8 * i, was = read64(reg);
		u32 type = was >> 56 & 7;
		void *table;

		if (type != BASER_DEVICES && type != BASER_COLLECTIONS)
			continue;
		table = heap_alloc(PAGE, PAGE);
		if (!table)
			return false;
		write64(reg, VALID | BASER_CACHED | (u64)table | 2 << 8); /* 64 KiB pages, one */
	}
	return true;
}

static bool start_lpis(u64 rd)
{
	void *pending = heap_alloc(PAGE, PAGE);

	properties = heap_alloc((1 << LPI_BITS) - FIRST_LPI, 4096);
	if (!pending || !properties)
		return false;
	write64(rd + GICR_PROPBASER, (u64)properties | GICR_CACHED | (LPI_BITS - 1));
	write64(rd + GICR_PENDBASER, (u64)pending | GICR_CACHED | PTZ);
	write32(rd + GICR_CTLR, 1);
	return true;
}

/* Once: everything but the devices' own tables. */
static bool its_start(void)
{
	u64 base, size, rd = gic_redistributor();
	static bool tried;

	if (tried)
		return its != 0;
	tried = true;
	if (!rd || !fdt_reg(fdt_compatible("arm,gic-v3-its", 0), 0, &base, &size))
		return false;
	its = base;
	commands = heap_alloc(PAGE, PAGE);
	if (!commands || !give_tables() || !start_lpis(rd)) {
		its = 0;
		return false;
	}
	/* Redistributors are named by address or by number: both begin at bit 16. */
	processor = read64(its + GITS_TYPER) & TYPER_PTA
			    ? rd
			    : (read64(rd + GICR_TYPER) >> 8 & 0xffff) << 16;
	write64(its + GITS_CBASER, VALID | BASER_CACHED | (u64)commands | (PAGE / 4096 - 1));
	write64(its + GITS_CWRITER, 0);
	write32(its + GITS_CTLR, 1);
	command(MAPC, 0, VALID | processor);
	command(SYNC, 0, processor);
	return true;
}

/* The id by which the ITS knows @requester: the host bridge's "msi-map". */
static u32 device_id(u32 requester)
{
	u32 len, host = fdt_compatible("pci-host-ecam-generic", 0);
	const void *p = fdt_prop(host, "msi-map", &len);

	for (u32 i = 0; p && i < len / 16; i++) {
		u32 first = fdt_cell(p, i * 4);

		if (requester - first < fdt_cell(p, i * 4 + 3))
			return requester - first + fdt_cell(p, i * 4 + 2);
	}
	return requester;
}

/* Event @event of @device to an LPI of its own. */
static bool map_event(u32 device, u32 event, u32 vector)
{
	bool known = false;
	void *itt;

	for (u32 i = 0; i < nr_lpis; i++) {
		known |= lpis[i].device == device;
		if (lpis[i].device == device && lpis[i].vector == vector)
			return true;
	}
	if (nr_lpis == MAX_LPIS)
		return false;
	if (!known) {
		/* 16 bytes for an event are as much as an ITS may want (GITS_TYPER). */
		itt = heap_alloc(16 << EVENT_BITS, 256);
		if (!itt)
			return false;
		command(MAPD | (u64)device << 32, EVENT_BITS - 1, VALID | (u64)itt);
	}
	lpis[nr_lpis] = (struct lpi){ device, vector };
	gic_lead_lpi(FIRST_LPI + nr_lpis, vector);
	properties[nr_lpis] = LPI_ON;
	command(MAPTI | (u64)device << 32, event | (u64)(FIRST_LPI + nr_lpis) << 32, 0);
	nr_lpis++;
	command(INV | (u64)device << 32, event, 0);
	command(SYNC, 0, processor);
	return true;
}

/* V2M: its registers say which shared interrupts it raises. */
static bool v2m_start(void)
{
	u64 base, size;
	u32 typer;

	if (v2m)
		return true;
	if (!fdt_reg(fdt_compatible("arm,gic-v2m-frame", 0), 0, &base, &size))
		return false;
	v2m = base;
	typer = read32(v2m + 0x8);
	v2m_first = typer >> 16 & 0x3ff;
	v2m_count = typer & 0x3ff;
	return true;
}

bool arch_msi_message(u32 vector, u32 requester, u64 *addr, u32 *data)
{
	u32 event = vector & ((1 << EVENT_BITS) - 1);

	if (its_start()) {
		*addr = its + GITS_TRANSLATER;
		*data = event;
		return map_event(device_id(requester), event, vector);
	}
	if (!v2m_start() || event >= v2m_count)
		return false;
	arch_route_irq(v2m_first + event, vector, true);
	*addr = v2m + 0x40;
	*data = v2m_first + event;
	return true;
}
