/* SPDX-License-Identifier: MIT */
/*
 * Entry on riscv64: Linux's Image header (Documentation/arch/riscv/boot-image-header.rst), whose
 * first word jumps over it, so that the same file is a flat image too. a0: the hart, a1: the device
 * tree. Without paging: supervisor mode sees physical memory.
 */
#include "riscv.h"

	.section .start, "ax"
	.globl	_start
_start:
	.option	push
	.option	norvc
	j	begin
	nop
	.option	pop
	.quad	TEXT_OFFSET
	.quad	image_space
	.quad	0		/* little-endian */
	.long	2		/* version 0.2 */
	.long	0
	.quad	0
	.ascii	"RISCV\0\0\0"
	.ascii	"RSC\x05"
	.long	0

begin:	li	tp, 0
	lla	sp, boot_stack_end
	lla	t0, bss_begin
	lla	t1, bss_end
1:	sd	zero, 0(t0)
	addi	t0, t0, 8
	bltu	t0, t1, 1b
	call	cpu_setup
	lla	a2, secondary_entry
	call	riscv_start
1:	wfi
	j	1b

	/* SBI HSM: a1 is the index. */
	.balign	4
secondary_entry:
	mv	tp, a1
	lla	sp, stacks
	addi	t0, tp, 1
	li	t1, STACK_SIZE
	mul	t0, t0, t1
	add	sp, sp, t0
	call	cpu_setup
	mv	a0, tp
	call	cpus_secondary
2:	wfi
	j	2b

	/* What a call keeps: ra, sp, s0 to s11 */
	.macro	each_kept what, at
	\what	ra, 0(\at)
	\what	sp, 8(\at)
	\what	s0, 16(\at)
	\what	s1, 24(\at)
	\what	s2, 32(\at)
	\what	s3, 40(\at)
	\what	s4, 48(\at)
	\what	s5, 56(\at)
	\what	s6, 64(\at)
	\what	s7, 72(\at)
	\what	s8, 80(\at)
	\what	s9, 88(\at)
	\what	s10, 96(\at)
	\what	s11, 104(\at)
	.endm

	.globl	riscv_suspend
riscv_suspend:
	each_kept sd, a0
	mv	a2, a0
	lla	a1, resume_entry
	li	a0, 0		/* to memory */
	li	a6, 0
	li	a7, SBI_SUSP
	ecall
	ret

	/* a0: the hart, a1: where they are. */
	.balign	4
resume_entry:
	li	tp, 0
	call	cpu_setup
	each_kept ld, a1
	li	a0, 0
	ret

cpu_setup:
	csrw	sie, zero
	csrw	satp, zero
	lla	t0, trap_entry
	csrw	stvec, t0
	ret

#include "stacks.inc"

	.section .note.GNU-stack, "", %progbits
