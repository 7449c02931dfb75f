/* SPDX-License-Identifier: MIT */
/*
 * 32-bit entries: PVH (Xen docs/misc/pvh.pandoc) with -DPVH, multiboot (0.6.96) with -DMULTIBOOT.
 * Both enter in flat 32-bit protected mode with EBX pointing to what the loader has to say; from
 * here it goes to long mode and start64.
 */
#include "x86.h"

#ifdef PVH
	/* XEN_ELFNOTE_PHYS32_ENTRY */
	.section .note.Xen, "a", @note
	.balign	4
	.long	4, 8, 18
	.asciz	"Xen"
	.quad	enter32
#define FROM FROM_PVH
#endif

#ifdef MULTIBOOT
	.section .multiboot, "a"
	.balign	4
	.long	0x1badb002, 3, -(0x1badb002 + 3)
#define FROM FROM_MULTIBOOT
#endif

	.section .start32, "ax"
	.code32
	.globl	enter32
enter32:
	cld
	cli
	movl	%ebx, %esi
#ifdef MULTIBOOT
	cmpl	$0x2badb002, %eax
	jne	bad_magic
#endif
	/* Four page directories of 2 MiB pages, then the two levels above. */
	movl	$pds, %edi
	movl	$0x83, %eax
1:	movl	%eax, (%edi)
	addl	$8, %edi
	addl	$0x200000, %eax
	jnc	1b
	movl	$pds + 3, %eax
	movl	$pdpt, %edi
	movl	$4, %ecx
2:	movl	%eax, (%edi)
	addl	$8, %edi
	addl	$4096, %eax
	loop	2b
	movl	$pdpt + 3, pml4

	movl	%cr4, %eax
	orl	$0x20, %eax		/* PAE */
	movl	%eax, %cr4
	movl	$pml4, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax	/* PG */
	movl	%eax, %cr0
	lgdt	gdtr
	ljmp	$SEL_CODE64, $1f
	.code64
1:	movl	%esi, %edi
	movl	$FROM, %esi
	jmp	start64

#ifdef MULTIBOOT
	.code32
bad_magic:
	movb	$98, %al
	outb	%al, $0xf4
	hlt
	jmp	bad_magic
#endif

	.bss
	.balign	4096
pml4:	.skip	4096
pdpt:	.skip	4096
pds:	.skip	4 * 4096

	.section .note.GNU-stack, "", @progbits
