/* SPDX-License-Identifier: MIT */
/* The built-in guest as data of lkvm: an ELF image, and how many bytes it has. */
#ifdef __CET__
#include <cet.h> /* the note that there is no code here that a jump would have to be kept from */
#endif
	.section .rodata
	.globl	selftest_image, selftest_image_len
	.balign	16
selftest_image:
	.incbin	SELFTEST_IMAGE
1:
	.balign	4
selftest_image_len:
	.long	1b - selftest_image

	.section .note.GNU-stack, "", %progbits
