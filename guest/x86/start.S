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

	.bss
	.balign	16
boot_stack:
	.skip	4 * STACK_SIZE

	.section .note.GNU-stack, "", @progbits
