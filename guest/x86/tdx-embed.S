/* SPDX-License-Identifier: MIT */
/* The page of tdx-reset.S as data of lkvm. */
#ifdef __CET__
#include <cet.h> /* the note that there is no code here that a jump would have to be kept from */
#endif
	.section .rodata
	.globl	tdx_reset_page
	.balign	16
tdx_reset_page:
	.incbin	TDX_RESET_PAGE

	.section .note.GNU-stack, "", %progbits
