/* SPDX-License-Identifier: MIT */
/*
 * Entry on arm64: Linux's Image header (Documentation/arch/arm64/booting.rst), whose first word
 * jumps over it, so that the same file is a flat image too. X0: the device tree.
 *
 * The guest stays at the exception level that it is entered at. At EL2 it turns E2H on, with which
 * the registers that are named EL1 are EL2's own, so that all other code is the same; where
 * FEAT_VHE is missing it goes down to EL1.
 *
 * The MMU comes first: the page tables are data of the image, so nothing is written before memory
 * is coherent.
 */
#include "arm.h"

#define HCR_E2H	   (1 << 34)
#define HCR_RW	   (1 << 31)
#define HCR_TGE	   (1 << 27)
/* Arm ARM, SCTLR_EL1: RES1 bits, and I, C, M */
#define SCTLR_OFF  0x30d00800
#define SCTLR_ON   0x30d01805
/* 0: device-nGnRE, 1: normal, write-back */
#define MAIR	   0xff04
/* 39 bits by 4 KiB pages, write-back, inner shareable tables; nothing by TTBR1 */
#define TCR	   (25 | 1 << 8 | 1 << 10 | 3 << 12 | 25 << 16 | 1 << 23 | 2 << 30)
#define EL1H_MASKED 0x3c5

	/* The interface of GICv3 by system registers is there. */
	.macro	skip_without_gic label
	mrs	x1, id_aa64pfr0_el1
	ubfx	x1, x1, #24, #4
	cbz	x1, \label
	.endm

	.section .start, "ax"
	.globl	_start
_start:
	b	begin
	.long	0
	.quad	0		/* text_offset: right at the beginning of RAM */
	.quad	image_space
	.quad	0x2		/* little-endian, 4 KiB pages, as low in RAM as can be */
	.quad	0, 0, 0
	.ascii	"ARM\x64"
	.long	0

begin:	mov	x19, x0
	mov	x20, #0
	mrs	x21, CurrentEL
	bl	cpu_setup
	ldr	x1, =boot_stack_end
	mov	sp, x1
	ldr	x1, =bss_begin
	ldr	x2, =bss_end
1:	stp	xzr, xzr, [x1], #16
	cmp	x1, x2
	b.lo	1b
	ldr	x1, =arm_entry_el
	lsr	x21, x21, #2
	str	x21, [x1]
	mov	x0, x19
	adr	x1, secondary_entry
	mov	x29, #0
	bl	arm_start
1:	wfi
	b	1b

	/* PSCI CPU_ON: X0 is the index. */
secondary_entry:
	mov	x20, x0
	bl	cpu_setup
	ldr	x1, =stacks
	add	x2, x20, #1
	mov	x3, #STACK_SIZE
	madd	x1, x2, x3, x1
	mov	sp, x1
	mov	x0, x20
	mov	x29, #0
	bl	cpus_secondary
2:	wfi
	b	2b

	/* X20: the index. Returns with the MMU on. */
cpu_setup:
	mov	x10, x30
	msr	daifset, #0xf
	mrs	x0, CurrentEL
	cmp	x0, #2 << 2
	b.ne	mmu_on
	skip_without_gic 1f
	mov	x0, #0xf	/* SRE, no bypass, and EL1 may use it too */
	msr	s3_4_c12_c9_5, x0	/* ICC_SRE_EL2 */
	isb
	/* Not by whether E2H can be set: what is written may be read though it has no effect. */
1:	mrs	x0, id_aa64mmfr1_el1
	ubfx	x0, x0, #8, #4	/* VH */
	cbz	x0, 2f
	ldr	x0, =(HCR_E2H | HCR_TGE | HCR_RW)
	msr	hcr_el2, x0
	isb
	b	mmu_on

	/* Nothing that EL1 does shall come here. */
2:	mov	x0, #HCR_RW
	msr	hcr_el2, x0
	mov	x0, #3		/* the physical counter and timer */
	msr	cnthctl_el2, x0
	msr	cntvoff_el2, xzr
	mov	x0, #0x32ff
	msr	cptr_el2, x0
	msr	hstr_el2, xzr
	mrs	x0, midr_el1
	msr	vpidr_el2, x0
	mrs	x0, mpidr_el1
	msr	vmpidr_el2, x0
	msr	vttbr_el2, xzr
	skip_without_gic 3f
	msr	s3_4_c12_c11_0, xzr	/* ICH_HCR_EL2 */
3:	ldr	x0, =SCTLR_OFF
	msr	sctlr_el1, x0
	mov	x0, #EL1H_MASKED
	msr	spsr_el2, x0
	adr	x0, mmu_on
	msr	elr_el2, x0
	eret

mmu_on:	ldr	x0, =vectors
	msr	vbar_el1, x0
	msr	tpidr_el1, x20
	mov	x0, #MAIR
	msr	mair_el1, x0
	ldr	x0, =TCR
	mrs	x1, id_aa64mmfr0_el1
	and	x1, x1, #0xf
	cmp	x1, #5		/* 48 bits are the most by 4 KiB pages */
	b.ls	4f
	mov	x1, #5
4:	bfi	x0, x1, #32, #3
	msr	tcr_el1, x0
	ldr	x0, =page_table
	msr	ttbr0_el1, x0
	isb
	tlbi	vmalle1
	ic	iallu
	dsb	nsh
	isb
	ldr	x0, =SCTLR_ON
	msr	sctlr_el1, x0
	isb
	ret	x10
	.ltorg

#include "stacks.inc"

	.section .note.GNU-stack, "", %progbits
