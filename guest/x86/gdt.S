/* SPDX-License-Identifier: MIT */
/* The segments of every entry: 64-bit code, data, 32-bit code (SEL_*). */
#include "x86.h"

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

	.section .note.GNU-stack, "", @progbits
