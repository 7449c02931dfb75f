/* SPDX-License-Identifier: MIT */
/*
 * riscv64 guests: the PLIC (RISC-V Platform-Level Interrupt Controller 1.0.0). A context is a
 * CPU at one privilege: "interrupts-extended" has them in order.
 */
#include "riscv.h"

#define ENABLE(context)	   (0x2000 + 0x80ULL * (context))
#define THRESHOLD(context) (0x200000 + 0x1000ULL * (context))
#define CLAIM(context)	   (THRESHOLD(context) + 4)
#define NR_SOURCES	   1024
#define NO_CONTEXT	   (~0u)

static u64 plic;
static u32 contexts[MAX_CPUS];

static void read_contexts(u32 node)
{
	u32 len;
	const void *p = fdt_prop(node, "interrupts-extended", &len);

	for (u32 i = 0; i < MAX_CPUS; i++)
		contexts[i] = NO_CONTEXT;
	for (u32 c = 0; p && c < len / 8; c++) {
		u32 cpu = hart_of_controller(fdt_cell(p, c * 2));

		if (cpu < MAX_CPUS && fdt_cell(p, c * 2 + 1) == IRQ_EXTERNAL)
			contexts[cpu] = c;
	}
}

bool plic_init(void)
{
	u32 node = fdt_compatible("riscv,plic0", 0);
	u64 size;

	if (node == FDT_NONE)
		node = fdt_compatible("sifive,plic-1.0.0", 0);
	if (!fdt_reg(node, 0, &plic, &size))
		return false;
	read_contexts(node);
	return contexts[0] != NO_CONTEXT;
}

void plic_cpu_init(u32 index)
{
	if (contexts[index] == NO_CONTEXT)
		print("cpu %u has no context of the PLIC\n", index);
	else
		write32(plic + THRESHOLD(contexts[index]), 0);
}

void plic_enable(u32 source, bool on)
{
	u64 reg = plic + ENABLE(contexts[0]) + source / 32 * 4;
	u32 bit = 1u << source % 32;

	if (!source || source >= NR_SOURCES)
		return;
	write32(plic + 4ULL * source, on);
	write32(reg, on ? read32(reg) | bit : read32(reg) & ~bit);
}

u32 plic_claim(void)
{
	return read32(plic + CLAIM(contexts[0]));
}

void plic_complete(u32 source)
{
	write32(plic + CLAIM(contexts[0]), source);
}
