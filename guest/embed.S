/* SPDX-License-Identifier: MIT */
/* Guests as data of lkvm, and how many bytes they have: that of `lkvm selftest`, an image; and the init of Linux guests. */
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

	.globl	guest_init_image, guest_init_image_len
	.balign	16
guest_init_image:
	.incbin	INIT_IMAGE
2:
	.balign	4
guest_init_image_len:
	.long	2b - guest_init_image

	.section .note.GNU-stack, "", %progbits
