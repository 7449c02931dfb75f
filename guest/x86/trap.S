/* SPDX-License-Identifier: MIT */
/* Vectors 0 to NR_VECTORS - 1: save the registers and call trap_handler(frame), which cpu.c sets. */
#include "x86.h"

	.text
	.code64
	/* Each stub pushes an error code where the CPU does not (Intel SDM volume 3, 6.15). */
	.altmacro
	.macro	stub vector
	.balign	16
	.if	(\vector == 8) || (\vector >= 10 && \vector <= 14) || (\vector == 17) || (\vector == 21)
	.else
	pushq	$0
	.endif
	pushq	$\vector
	jmp	trap_common
	.endm

	.balign	16
	.globl	trap_stubs
trap_stubs:
	.set	i, 0
	.rept	NR_VECTORS
	stub	%i
	.set	i, i + 1
	.endr

trap_common:
	pushq	%rax
	pushq	%rcx
	pushq	%rdx
	pushq	%rbx
	pushq	%rbp
	pushq	%rsi
	pushq	%rdi
	pushq	%r8
	pushq	%r9
	pushq	%r10
	pushq	%r11
	pushq	%r12
	pushq	%r13
	pushq	%r14
	pushq	%r15
	movq	%rsp, %rdi
	cld
	call	*trap_handler(%rip)
	popq	%r15
	popq	%r14
	popq	%r13
	popq	%r12
	popq	%r11
	popq	%r10
	popq	%r9
	popq	%r8
	popq	%rdi
	popq	%rsi
	popq	%rbp
	popq	%rbx
	popq	%rdx
	popq	%rcx
	popq	%rax
	addq	$16, %rsp
	iretq

	.data
	.balign	8
	.globl	trap_handler
trap_handler:
	.quad	0

	.section .note.GNU-stack, "", @progbits
