/* SPDX-License-Identifier: MIT */
/* The stub of SNP guests as data of lkvm, and how many bytes it has. */
#ifdef __CET__
#include <cet.h>
#endif
	.section .rodata
	.globl	snp_stub_image, snp_stub_image_len
	.balign	16
snp_stub_image:
	.incbin	SNP_STUB
1:
	.balign	4
snp_stub_image_len:
	.long	1b - snp_stub_image

	.section .note.GNU-stack, "", %progbits
