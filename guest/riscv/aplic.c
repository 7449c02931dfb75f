/* SPDX-License-Identifier: MIT */
/*
 * riscv64 guests: the APLIC (RISC-V Advanced Interrupt Architecture 1.0, chapter 4; Devicetree
 * binding riscv,aplic) that turns interrupts into messages for the IMSIC of the first CPU.
 */
#include "riscv.h"

#define DOMAINCFG    0x0
#define DOMAINCFG_IE (1 << 8)
#define DOMAINCFG_DM (1 << 2) /* by messages */
#define SOURCECFG(n) (4ULL * (n))
#define IN_CLRIP     0x1d00 /* read: the inputs */
#define SETIENUM     0x1edc
#define CLRIENUM     0x1fdc
#define SETIPNUM_LE  0x2000
#define TARGET(n)    (0x3000 + 4ULL * (n))
#define TARGET_HART  18
enum { SOURCE_INACTIVE = 0, SOURCE_EDGE_RISING = 4, SOURCE_LEVEL_HIGH = 6 };
#define NR_SOURCES 1024

static u64 aplic;
static u32 nr_sources;
static u16 levels[IMSIC_IDS + 1]; /* the source of the identity, if it is a level */

/* The domain that sends to supervisor mode's IMSICs. */
bool aplic_init(void)
{
	u32 imsic = fdt_u32(imsic_node(), "phandle", 0), node;
	u64 size;

	for (u32 n = 0; (node = fdt_compatible("riscv,aplic", n)) != FDT_NONE; n++)
		if (imsic && fdt_u32(node, "msi-parent", 0) == imsic)
			break;
	if (!fdt_reg(node, 0, &aplic, &size))
		return false;
	nr_sources = fdt_u32(node, "riscv,num-sources", 0);
	write32(aplic + DOMAINCFG, DOMAINCFG_IE | DOMAINCFG_DM);
	return true;
}

void aplic_mask(u32 source)
{
	if (source && source <= nr_sources)
		write32(aplic + CLRIENUM, source);
}

/*
 * 4.9.2: a message is sent when a level rises. Written here, its number is pending again; only
 * while the input is raised, which some controllers do not look at themselves.
 */
void aplic_again(u32 identity)
{
	u32 source = levels[identity];

	if (source && (read32(aplic + IN_CLRIP + source / 32 * 4) >> source % 32 & 1))
		write32(aplic + SETIPNUM_LE, source);
}

void aplic_route(u32 source, u32 identity, bool edge)
{
	if (!source || source > nr_sources || identity > IMSIC_IDS)
		return;
	aplic_mask(source);
	levels[identity] = (u16)(edge ? 0 : source);
	write32(aplic + SOURCECFG(source), edge ? SOURCE_EDGE_RISING : SOURCE_LEVEL_HIGH);
	write32(aplic + TARGET(source), imsic_number(0) << TARGET_HART | identity);
	write32(aplic + SETIENUM, source);
	aplic_again(identity); /* its rise may have been missed */
}
