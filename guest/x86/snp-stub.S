/* SPDX-License-Identifier: MIT */
/*
 * The first code of an SNP guest that has no firmware: it accepts all memory that was not measured
 * (AMD APM volume 2, 15.36.6: PVALIDATE), by 2 MiB where the host gives that, and goes to the kernel.
 *
 * Entered in 64-bit mode with the first 4 GiB mapped to themselves and RBX pointing to what
 * include/lkvm/guest-snp.h says. No stack, no address of its own: it may lie anywhere below 4 GiB.
 * It is measured: no byte of it may depend on the assembler, and what changes here changes the
 * measurement of every guest.
 *
 * R15 ranges left, R14 the next one, R12 the next address of this one, R13 its end; R11 the GiB that
 * the window shows (0: none), RDI where the page is mapped.
 */
#include "lkvm/guest-snp.h"

/* RAX address, ECX size, EDX 1 (to valid): EAX 0 or why not, CF: nothing had to be changed. */
#ifdef SNP_STUB_TEST
#define PVALIDATE call	snp_test_pvalidate
#define WRMSR	  call	snp_test_wrmsr
#define VMGEXIT	  call	snp_test_vmgexit
#else
#define PVALIDATE .byte	0xf2, 0x0f, 0x01, 0xff
#define WRMSR	  wrmsr
#define VMGEXIT	  .byte	0xf3, 0x0f, 0x01, 0xd9
#endif

	.section .text.snp_stub, "ax"
	.code64
	.globl	snp_stub
snp_stub:
	cld
	movq	SNP_PARAMS_COUNT(%rbx), %r15
	leaq	SNP_PARAMS_RANGES(%rbx), %r14
	xorl	%r11d, %r11d

.Lrange:
	subq	$1, %r15
	jc	.Ldone
	movq	(%r14), %r12
	movq	8(%r14), %r13
	addq	$16, %r14

.Lpage:
	cmpq	%r13, %r12
	jae	.Lrange
	movq	%r12, %rdi
	movq	%r12, %rax
	shrq	$32, %rax
	jz	.Lmapped

	/* Above 4 GiB a GiB at a time is seen through the window. */
	movq	%r12, %rax
	andq	$-0x40000000, %rax
	cmpq	%rax, %r11
	je	.Lwindow
	movq	%rax, %r11
	movq	SNP_PARAMS_C_BIT(%rbx), %rdx
	orq	%rax, %rdx
	orq	$0xe3, %rdx		/* present, writable, accessed, dirty, 2 MiB */
	movq	SNP_PARAMS_TABLE(%rbx), %rdi
	movl	$512, %ecx
1:	movq	%rdx, (%rdi)
	addq	$8, %rdi
	addq	$0x200000, %rdx
	subl	$1, %ecx
	jnz	1b
	movq	SNP_PARAMS_TABLE(%rbx), %rax
	orq	SNP_PARAMS_C_BIT(%rbx), %rax
	orq	$0x23, %rax
	movq	SNP_PARAMS_WINDOW(%rbx), %rdi
	movq	%rax, (%rdi)
	movq	%cr3, %rax
	movq	%rax, %cr3
.Lwindow:
	movl	%r12d, %edi
	andl	$0x3fffffff, %edi
	movl	$1, %eax
	shlq	$32, %rax
	orq	%rax, %rdi

.Lmapped:
	testl	$0x1fffff, %r12d
	jnz	.Lsmall
	leaq	0x200000(%r12), %rax
	cmpq	%r13, %rax
	ja	.Lsmall
	movq	%rdi, %rax
	movl	$SNP_PVALIDATE_2M, %ecx
	movl	$1, %edx
	PVALIDATE
	setc	%dl
	movl	$0x200000, %esi
	testl	%eax, %eax
	jz	.Lvalid
	cmpl	$SNP_PVALIDATE_SIZE_MISMATCH, %eax
	jne	.Lfailed
	/* The host has it by small pages: this one, and those up to the next 2 MiB. */
.Lsmall:
	movq	%rdi, %rax
	movl	$SNP_PVALIDATE_4K, %ecx
	movl	$1, %edx
	PVALIDATE
	setc	%dl
	movl	$0x1000, %esi
	testl	%eax, %eax
	jnz	.Lfailed
.Lvalid:
	/* Valid already: the host gave it twice. */
	testb	%dl, %dl
	jnz	.Lfailed
	addq	%rsi, %r12
	/* What the caches have of a page from before (CVE-2025-38560): a read of its first and of its
	 * last line is enough. */
2:	movb	(%rdi), %al
	movb	0xfff(%rdi), %al
	addq	$0x1000, %rdi
	subl	$0x1000, %esi
	jnz	2b
	jmp	.Lpage

.Lfailed:
	movl	$SNP_MSR_GHCB, %ecx
	movl	$SNP_TERM_PVALIDATE, %eax
	xorl	%edx, %edx
	WRMSR
	VMGEXIT
	hlt
	jmp	.Lfailed

.Ldone:
	movq	SNP_PARAMS_WINDOW(%rbx), %rdi
	xorl	%eax, %eax
	movq	%rax, (%rdi)
	movq	%cr3, %rax
	movq	%rax, %cr3
	movq	SNP_PARAMS_RSI(%rbx), %rsi
	movq	SNP_PARAMS_ENTRY(%rbx), %rax
	jmp	*%rax

	.section .note.GNU-stack, "", @progbits
