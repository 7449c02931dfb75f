/* SPDX-License-Identifier: MIT */
/* Traps: save what C does not and call riscv_trap(return address of what was interrupted). */
	.macro	each what
	\what	ra, 0(sp)
	\what	t0, 8(sp)
	\what	t1, 16(sp)
	\what	t2, 24(sp)
	\what	t3, 32(sp)
	\what	t4, 40(sp)
	\what	t5, 48(sp)
	\what	t6, 56(sp)
	\what	a0, 64(sp)
	\what	a1, 72(sp)
	\what	a2, 80(sp)
	\what	a3, 88(sp)
	\what	a4, 96(sp)
	\what	a5, 104(sp)
	\what	a6, 112(sp)
	\what	a7, 120(sp)
	.endm

	.text
	.balign	4
	.globl	trap_entry
trap_entry:
	addi	sp, sp, -128
	each	sd
	mv	a0, ra
	call	riscv_trap
	each	ld
	addi	sp, sp, 128
	sret

	.section .note.GNU-stack, "", %progbits
