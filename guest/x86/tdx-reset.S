/* SPDX-License-Identifier: MIT */
/*
 * The first code of a trust domain that lkvm starts without firmware: a page that ends at 4 GiB
 * (include/lkvm/guest-tdx.h). The TDX module enters every vcpu at 0xfffffff0 in 32-bit flat mode
 * with ESI its number (TDX module ABI, initial state of vcpus). Vcpu 0 accepts all memory that was
 * not added before the start and goes to the kernel; the others wait until the kernel says in the
 * mailbox where they are to go (ACPI 6.5, 5.2.12.19).
 *
 * It is measured, so it is assembler alone: the same bytes by every compiler. Tests define
 * TDX_PLAYED, bring the addresses as symbols, and a function in place of TDCALL.
 */
#include "lkvm/guest-tdx.h"

#ifdef TDX_PLAYED
#define TDCALL call tdx_played
#else
#define TDCALL .byte 0x66, 0x0f, 0x01, 0xcc
	.set	tdx_info, TDX_CODE
	.set	tdx_tables, TDX_TABLES
	.set	tdx_stack_top, TDX_TABLES
	.set	tdx_mailbox, TDX_MAILBOX
#endif

#define SEL_CODE64 0x10
#define SEL_DATA   0x18

/* TDX module ABI: leaves of TDCALL, and bits 63:32 of what they return. */
#define TDG_VP_VMCALL	    0
#define TDG_MEM_PAGE_ACCEPT 6
#define LEVEL_2M	    1
#define SIZE_MISMATCH	    0xc0000b0b
#define OPERAND_BUSY	    0x80000200
#define BUSY_TRIES	    0x100000
/* GHCI 1.5, 3.4: R11, and which registers the host sees: RDX, RBX, RSI, RDI, R8 to R15. */
#define REPORT_FATAL_ERROR 0x10003
#define FATAL_REGISTERS	   0xffcc

#define PAGE_4K 0x1000
#define PAGE_2M 0x200000

	.section .text.tdx, "ax"
	.code32
	.globl	tdx_start32
tdx_start32:
	cli
	cld
	lgdt	tdx_gdtr
	movl	%cr4, %eax		/* MCE stays: a TD cannot clear it */
	orl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	$tdx_tables, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx	/* EFER.LME, which a TD finds set and cannot write */
	rdmsr
	btsl	$8, %eax
	jc	1f
	wrmsr
1:	movl	%cr0, %eax
	orl	$0x80000021, %eax	/* PG, NE, PE */
	movl	%eax, %cr0
	ljmp	$SEL_CODE64, $tdx_start64

	.code64
tdx_start64:
	movl	$SEL_DATA, %eax
	movl	%eax, %ds
	movl	%eax, %es
	movl	%eax, %ss
	testl	%esi, %esi
	jnz	park
	movl	$tdx_stack_top, %esp
	call	accept_all
	movl	$tdx_info, %ebp
	movq	TDX_INFO_PARAMS(%rbp), %rsi
	movq	TDX_INFO_ENTRY(%rbp), %rax
	xorl	%ebx, %ebx
	xorl	%ebp, %ebp
	jmp	*%rax

/* ESI: who waits. The command is written last, and taken back when its vcpu goes (5.2.12.19). */
#ifdef TDX_PLAYED
	.globl	tdx_park
tdx_park:
#endif
park:
	movl	$tdx_mailbox, %ebx
1:	pause
	cmpw	$1, (%rbx)
	jne	1b
	cmpl	%esi, 4(%rbx)
	jne	1b
	movq	8(%rbx), %rax
	movw	$0, (%rbx)
	jmp	*%rax

/* R12: ranges that are left, R13: this one; RBX: the page, RBP: the end. */
accept_all:
	movl	$tdx_info, %eax
	movq	TDX_INFO_COUNT(%rax), %r12
	leaq	TDX_INFO_RANGES(%rax), %r13
next_range:
	testq	%r12, %r12
	jz	4f
	movq	(%r13), %rbx
	movq	8(%r13), %rbp
1:	cmpq	%rbp, %rbx
	jae	3f
	testl	$PAGE_2M - 1, %ebx
	jnz	2f
	leaq	PAGE_2M(%rbx), %rax
	cmpq	%rbp, %rax
	ja	2f
	leaq	LEVEL_2M(%rbx), %rcx
	call	accept_page
	movl	$PAGE_2M, %ecx
	testl	%eax, %eax
	jz	5f
	/* The host has it in small pages. */
	cmpl	$SIZE_MISMATCH, %eax
	jne	fatal
2:	movq	%rbx, %rcx
	call	accept_page
	movl	$PAGE_4K, %ecx
	testl	%eax, %eax
	jnz	fatal
5:	addq	%rcx, %rbx
	jmp	1b
3:	addq	$16, %r13
	decq	%r12
	jmp	next_range
4:	ret

/* RCX: page and level. EAX: what is wrong, 0: nothing; R14 has all of it. That a page was accepted
 * before is wrong too: then it is not the zeroes that the kernel counts on. */
accept_page:
	movl	$BUSY_TRIES, %r15d
1:	movl	$TDG_MEM_PAGE_ACCEPT, %eax
	TDCALL
	movq	%rax, %r14
	shrq	$32, %rax
	cmpl	$OPERAND_BUSY, %eax
	jne	2f
	pause
	decl	%r15d
	jnz	1b
2:	ret

/* RBX: the page; R14: what the module said. To the host in words. */
fatal:
	subq	$64, %rsp
	movq	%rsp, %rdi
	leaq	text(%rip), %rsi
	movl	$64, %ecx
	rep movsb
	leaq	TEXT_PAGE(%rsp), %rdi
	movq	%rbx, %rdx
	call	put_hex
	leaq	TEXT_STATUS(%rsp), %rdi
	movq	%r14, %rdx
	call	put_hex
	movq	(%rsp), %r14
	movq	8(%rsp), %r15
	movq	16(%rsp), %rbx
	movq	24(%rsp), %rdi
	movq	32(%rsp), %rsi
	movq	40(%rsp), %r8
	movq	48(%rsp), %r9
	movq	56(%rsp), %rdx
1:	movl	$TDG_VP_VMCALL, %eax
	movl	$FATAL_REGISTERS, %ecx
	xorl	%r10d, %r10d
	movl	$REPORT_FATAL_ERROR, %r11d
	xorl	%r12d, %r12d
	xorl	%r13d, %r13d
	TDCALL
	jmp	1b

/* RDX as 16 digits to RDI. */
put_hex:
	movl	$16, %ecx
1:	rolq	$4, %rdx
	movl	%edx, %eax
	andl	$15, %eax
	cmpl	$10, %eax
	jb	2f
	addl	$'a' - '0' - 10, %eax
2:	addl	$'0', %eax
	stosb
	decl	%ecx
	jnz	1b
	ret

	.balign	8
tdx_gdt:
	.quad	0, 0
	.quad	0x00af9b000000ffff	/* 0x10: 64-bit code, as Linux's boot protocol has it */
	.quad	0x00cf93000000ffff	/* 0x18: data */
tdx_gdtr:
	.word	4 * 8 - 1
	.long	tdx_gdt
text:	.ascii	"lkvm: cannot accept 0x................: 0x................"
	.skip	64 - (. - text)
	.set	TEXT_PAGE, 22
	.set	TEXT_STATUS, 42

#ifndef TDX_PLAYED
/* Filled in by lkvm. */
	.section .info, "a"
	.skip	TDX_INFO_SIZE

	.section .reset, "ax"
	.code32
	.globl	tdx_reset
tdx_reset:
	jmp	tdx_start32
#endif

	.section .note.GNU-stack, "", @progbits
