/* SPDX-License-Identifier: MIT */
/*
 * Entry of flat images and of 64-bit ELF images: long mode, the first 4 GiB mapped to themselves,
 * RSI points to Linux's boot_params. The first byte of a flat image is _start.
 */
#include "x86.h"

	.section .start, "ax"
	.code64
	.globl	_start
_start:
	movq	%rsi, %rdi
	movl	$FROM_LINUX, %esi

	/* RDI: what the loader left; ESI: FROM_*. */
	.globl	start64
start64:
	cld
	lgdt	gdtr
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	leaq	boot_stack + 4 * STACK_SIZE, %rsp
	xorl	%ebp, %ebp
	call	x86_start
1:	hlt
	jmp	1b

	.data
	.balign	16
	.globl	gdt
gdt:	.quad	0, 0
	.quad	0x00af9b000000ffff	/* 0x10: 64-bit code */
	.quad	0x00cf93000000ffff	/* 0x18: data */
	.quad	0x00cf9b000000ffff	/* 0x20: 32-bit code */
gdt_end:
	.globl	gdtr
gdtr:	.word	gdt_end - gdt - 1
	.quad	gdt

	.bss
	.balign	16
boot_stack:
	.skip	4 * STACK_SIZE

	.section .note.GNU-stack, "", @progbits
