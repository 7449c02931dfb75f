/* SPDX-License-Identifier: MIT */
/*
 * Other CPUs: real mode at AP_START (copied there) to long mode, a stack of their own and ap_main,
 * which cpu.c sets, as ap_cr3. Intel SDM volume 3, 9.4.
 */
#include "x86.h"

#define AT(label) (AP_START + label - ap_begin)

	.section .rodata
	.code16
	.globl	ap_begin
ap_begin:
	cli
	cld
	movw	%cs, %ax
	movw	%ax, %ds
	lgdtl	ap_gdtr - ap_begin
	movl	%cr0, %eax
	andl	$0x9fffffff, %eax	/* caches on */
	orl	$1, %eax		/* PE */
	movl	%eax, %cr0
	ljmpl	$SEL_CODE32, $AT(1f)
	.code32
1:	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	movl	%cr4, %eax
	orl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	ap_cr3, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax	/* PG */
	movl	%eax, %cr0
	ljmp	$SEL_CODE64, $ap64
	.balign	8
ap_gdtr:
	.word	5 * 8 - 1
	.long	gdt
	.globl	ap_end
ap_end:

	.text
	.code64
ap64:	lgdt	gdtr
	movl	$1, %edi
	lock xaddl %edi, ap_next
	movl	%edi, %eax
	incl	%eax
	imull	$STACK_SIZE, %eax
	leaq	ap_stacks(%rax), %rsp
	xorl	%ebp, %ebp
	call	*ap_main(%rip)
1:	hlt
	jmp	1b

	.data
	.globl	ap_cr3
ap_cr3:	.quad	0
	.globl	ap_main
ap_main:
	.quad	0
ap_next:
	.long	1

	.section .stacks, "aw", @nobits
	.balign	16
ap_stacks:
	.skip	MAX_CPUS * STACK_SIZE

	.section .note.GNU-stack, "", @progbits
