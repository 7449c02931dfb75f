/* SPDX-License-Identifier: MIT */
/*
 * arm64 guests: the interrupt controller that the tree names, GICv2 (Arm IHI 0048B) or GICv3 (IHI
 * 0069H). All is in group 1 of GICv3, group 0 of GICv2. Shared interrupts go to the first CPU.
 */
#include "arm.h"

/* Distributor */
#define GICD_CTLR	0x0
#define GICD_IGROUPR	0x80
#define GICD_ISENABLER	0x100
#define GICD_ICENABLER	0x180
#define GICD_IPRIORITYR 0x400
#define GICD_ITARGETSR	0x800
#define GICD_ICFGR	0xc00
#define GICD_SGIR	0xf00
#define GICD_IROUTER	0x6000
#define CTLR_GROUP1	(1 << 1)
#define CTLR_ARE	(1 << 4)
#define CTLR_RWP	(1u << 31)
/* CPU interface of GICv2 */
#define GICC_CTLR 0x0
#define GICC_PMR  0x4
#define GICC_IAR  0xc
#define GICC_EOIR 0x10
/* Redistributors: two frames of 64 KiB, four with GICv4's */
#define GICR_TYPER   0x8
#define GICR_WAKER   0x14
#define GICR_SGI     0x10000
#define TYPER_VLPIS  (1 << 1)
#define TYPER_LAST   (1 << 4)
#define WAKER_SLEEP  (1 << 1)
#define WAKER_ASLEEP (1 << 2)
/* System registers, which not every assembler knows by name */
#define ICC_PMR	    "s3_0_c4_c6_0"
#define ICC_IAR1    "s3_0_c12_c12_0"
#define ICC_EOIR1   "s3_0_c12_c12_1"
#define ICC_CTLR    "s3_0_c12_c12_4"
#define ICC_SRE	    "s3_0_c12_c12_5"
#define ICC_IGRPEN1 "s3_0_c12_c12_7"
#define ICC_SGI1R   "s3_0_c12_c11_5"

#define FIRST_SPI     32
#define FIRST_SPECIAL 1020
#define PRIORITY      0xa0a0a0a0
#define NR_VECTORS    0x50
#define SGI_VECTOR    0x20 /* of SGI 0: vectors of IPIs are 0x20 to 0x2f */

u32 gic_version;
static u64 distributor, cpu_interface;
static u32 node = FDT_NONE;
static u64 first_redistributor;
static u8 cpu_masks[8];		 /* GICv2 has no more */
static u64 affinities[MAX_CPUS]; /* of those that came up */
static u8 vectors_of[FIRST_SPECIAL];
static u8 lpi_vectors[MAX_LPIS];
static void (*handlers[NR_VECTORS])(void);
static void (*quiets[FIRST_SPI])(void);

void gic_init(void)
{
	u64 size;

	node = fdt_compatible("arm,gic-v3", 0);
	gic_version = 3;
	if (node == FDT_NONE) {
		node = fdt_compatible("arm,cortex-a15-gic", 0);
		gic_version = 2;
	}
	if (node == FDT_NONE)
		node = fdt_compatible("arm,gic-400", 0);
	if (!fdt_reg(node, 0, &distributor, &size) ||
	    (gic_version == 2 && !fdt_reg(node, 1, &cpu_interface, &size))) {
		gic_version = 0;
		return;
	}
	write32(distributor + GICD_CTLR, gic_version == 3 ? CTLR_ARE | CTLR_GROUP1 : 1);
}

/* Devicetree binding arm,gic-v3: type, number, flags. */
u32 arch_irq_cells(void)
{
	return 3;
}

u32 arch_irq_number(const void *cells, bool *edge)
{
	*edge = fdt_cell(cells, 2) & 3; /* 1 and 2: edges, 4 and 8: levels */
	return fdt_cell(cells, 1) + (fdt_cell(cells, 0) ? 16 : 32);
}

/* The redistributor of @affinity, or 0. */
static u64 find_redistributor(u64 affinity)
{
	u32 wanted = (u32)(affinity >> 32 << 24 | (affinity & 0xffffff));
	u32 regions = fdt_u32(node, "#redistributor-regions", 1);
	u64 base, size;

	for (u32 i = 0; i < regions && fdt_reg(node, 1 + i, &base, &size); i++)
		for (u64 at = base; at < base + size;) {
			u64 typer = read64(at + GICR_TYPER);

			if (typer >> 32 == wanted)
				return at;
			if (typer & TYPER_LAST)
				break;
			at += typer & TYPER_VLPIS ? 0x40000 : 0x20000;
		}
	return 0;
}

u64 gic_redistributor(void)
{
	return gic_version == 3 ? first_redistributor : 0;
}

static u64 redistributors[MAX_CPUS];

static void v3_cpu_init(u32 index)
{
	u64 rd = find_redistributor(affinities[index]);

	redistributors[index] = rd;
	if (!rd) {
		print("cpu %u has no redistributor\n", index);
		return;
	}
	if (!index)
		first_redistributor = rd;
	write32(rd + GICR_WAKER, read32(rd + GICR_WAKER) & ~WAKER_SLEEP);
	for (u32 i = 0; i < 100000 && (read32(rd + GICR_WAKER) & WAKER_ASLEEP); i++)
		arch_pause();
	write32(rd + GICR_SGI + GICD_IGROUPR, ~0u);
	for (u32 i = 0; i < 16; i += 4)
		write32(rd + GICR_SGI + GICD_IPRIORITYR + i, PRIORITY);
	write32(rd + GICR_SGI + GICD_ISENABLER, 0xffff);
	sysreg_write(ICC_SRE, 1);
	isb();
	sysreg_write(ICC_PMR, 0xff);
	sysreg_write(ICC_CTLR, 0); /* EOI ends it */
	sysreg_write(ICC_IGRPEN1, 1);
	isb();
}

static void v2_cpu_init(u32 index)
{
	if (index < ARRAY_SIZE(cpu_masks))
		cpu_masks[index] = read8(distributor + GICD_ITARGETSR);
	for (u32 i = 0; i < 16; i += 4)
		write32(distributor + GICD_IPRIORITYR + i, PRIORITY);
	write32(distributor + GICD_ISENABLER, 0xffff);
	write32(cpu_interface + GICC_PMR, 0xff);
	write32(cpu_interface + GICC_CTLR, 1);
}

void arch_cpu_init(u32 index)
{
	affinities[index] = arch_cpu_id();
	if (gic_version == 3)
		v3_cpu_init(index);
	else if (gic_version == 2)
		v2_cpu_init(index);
}

/* The frame that has private interrupts, as this CPU sees it. */
static u64 private_frame(void)
{
	u64 rd = redistributors[arch_cpu_index()];

	return gic_version == 3 ? rd + GICR_SGI : distributor;
}

void gic_enable_private(u32 intid, u32 vector, void (*quiet)(void))
{
	if (!gic_version || intid >= FIRST_SPI)
		return;
	vectors_of[intid] = (u8)vector;
	quiets[intid] = quiet;
	write8(private_frame() + GICD_IPRIORITYR + intid, (u8)PRIORITY);
	write32(private_frame() + GICD_ISENABLER, 1u << intid);
}

void gic_lead_lpi(u32 intid, u32 vector)
{
	lpi_vectors[intid - FIRST_LPI] = (u8)vector;
}

void arch_set_handler(u32 vector, void (*fn)(void))
{
	handlers[vector] = fn;
}

static void wait_distributor(void)
{
	for (u32 i = 0; i < 100000 && (read32(distributor) & CTLR_RWP); i++)
		arch_pause();
}

void arch_mask_irq(u32 irq)
{
	if (!gic_version || irq >= FIRST_SPECIAL)
		return;
	write32(distributor + GICD_ICENABLER + irq / 32 * 4, 1u << irq % 32);
	if (gic_version == 3)
		wait_distributor();
}

void arch_route_irq(u32 irq, u32 vector, bool edge)
{
	u64 config = distributor + GICD_ICFGR + irq / 16 * 4;
	u32 bit = 2u << irq % 16 * 2;

	if (!gic_version || irq < FIRST_SPI || irq >= FIRST_SPECIAL)
		return;
	arch_mask_irq(irq);
	vectors_of[irq] = (u8)vector;
	write32(config, edge ? read32(config) | bit : read32(config) & ~bit);
	write8(distributor + GICD_IPRIORITYR + irq, (u8)PRIORITY);
	if (gic_version == 3) {
		u64 group = distributor + GICD_IGROUPR + irq / 32 * 4;

		write32(group, read32(group) | 1u << irq % 32);
		write64(distributor + GICD_IROUTER + 8ULL * irq, affinities[0]);
	} else {
		write8(distributor + GICD_ITARGETSR + irq, cpu_masks[0]);
	}
	write32(distributor + GICD_ISENABLER + irq / 32 * 4, 1u << irq % 32);
}

/* Software generated interrupts: the number is the low half of the vector. */

void arch_send_ipi(u32 index, u32 vector)
{
	u64 a = affinities[index], id = vector & 0xf;

	dsb();
	if (gic_version == 3) {
		/* ICC_SGI1R_EL1: Aff3, range selector, Aff2, INTID, Aff1, targets of 16 */
		sysreg_write(ICC_SGI1R, (a >> 32 & 0xff) << 48 | (a >> 4 & 0xf) << 44 |
						(a >> 16 & 0xff) << 32 | id << 24 |
						(a >> 8 & 0xff) << 16 | 1ULL << (a & 0xf));
		isb();
	} else if (gic_version == 2 && index < ARRAY_SIZE(cpu_masks)) {
		write32(distributor + GICD_SGIR, (u32)cpu_masks[index] << 16 | (u32)id);
	}
}

void gic_send_to_nobody(void)
{
	if (gic_version == 3) {
		sysreg_write(ICC_SGI1R, 0);
		isb();
	} else if (gic_version == 2) {
		write32(distributor + GICD_SGIR, 0);
	}
}

static u32 vector_of(u32 intid)
{
	if (intid < 16)
		return SGI_VECTOR + intid;
	if (intid < FIRST_SPECIAL)
		return vectors_of[intid];
	return intid - FIRST_LPI < MAX_LPIS ? lpi_vectors[intid - FIRST_LPI] : 0;
}

void gic_dispatch(void)
{
	u32 ack = gic_version == 3 ? (u32)sysreg_read(ICC_IAR1) : read32(cpu_interface + GICC_IAR);
	u32 intid = gic_version == 3 ? ack : ack & 0x3ff, vector;

	if (intid >= FIRST_SPECIAL && intid < FIRST_LPI)
		return;
	dsb();
	if (intid < FIRST_SPI && quiets[intid])
		quiets[intid]();
	vector = vector_of(intid);
	if (vector < NR_VECTORS && handlers[vector])
		handlers[vector]();
	if (gic_version == 3) {
		sysreg_write(ICC_EOIR1, ack);
		isb();
	} else {
		write32(cpu_interface + GICC_EOIR, ack);
	}
}
