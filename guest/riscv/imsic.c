/* SPDX-License-Identifier: MIT */
/*
 * riscv64 guests: IMSICs (RISC-V Advanced Interrupt Architecture 1.0, chapter 3; Devicetree binding
 * riscv,imsics), as supervisor mode has them.
 */
#include "riscv.h"

#define PAGE 4096
/* Registers behind siselect; in 64 bits those with odd numbers are not there (3.8). */
enum { EIDELIVERY = 0x70, EITHRESHOLD = 0x72, EIE0 = 0xc0 };

static u32 node = FDT_NONE;
static u64 files[MAX_CPUS];
static u32 numbers[MAX_CPUS];

/* File @n of the node: its regions, one after the other, have them a whole number of pages apart.
 */
static u64 file_address(u32 n)
{
	u64 at = (u64)n * (PAGE << fdt_u32(node, "riscv,guest-index-bits", 0)), base, size;

	for (u32 i = 0; fdt_reg(node, i, &base, &size); i++) {
		if (at < size)
			return base + at;
		at -= size;
	}
	return 0;
}

static void read_files(const void *p, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		u32 cpu = hart_of_controller(fdt_cell(p, i * 2));

		if (cpu == MAX_CPUS)
			continue;
		files[cpu] = file_address(i);
		numbers[cpu] = i;
	}
}

/* Those of machine mode, if they are described, raise another interrupt. */
bool imsic_init(void)
{
	u32 len;

	for (u32 n = 0; (node = fdt_compatible("riscv,imsics", n)) != FDT_NONE; n++) {
		const void *p = fdt_prop(node, "interrupts-extended", &len);

		if (!p || len < 8 || fdt_cell(p, 1) != IRQ_EXTERNAL)
			continue;
		read_files(p, len / 8);
		return files[0] != 0;
	}
	return false;
}

u32 imsic_node(void)
{
	return node;
}

static void write_register(u32 reg, u64 value)
{
	csr_write(CSR_SISELECT, reg);
	csr_write(CSR_SIREG, value);
}

void imsic_cpu_init(void)
{
	write_register(EITHRESHOLD, 0);
	write_register(EIE0, ~1ULL);
	write_register(EIDELIVERY, 1);
}

u64 imsic_file(u32 index)
{
	return files[index];
}

u32 imsic_number(u32 index)
{
	return numbers[index];
}

/* stopei (3.10): the identity is above the priority, and a write of anything claims it. */
u32 imsic_claim(void)
{
	u64 v;

	__asm__ volatile("csrrw %0, " CSR_STOPEI ", zero" : "=r"(v) : : "memory");
	return (u32)(v >> 16 & 0x7ff);
}
