/* SPDX-License-Identifier: MIT */
/* The entry point for include/lkvm/relr.h. The stack is as the C library's own, _start, wants it.
 */
#include "lkvm/relr.h"

__asm__(".pushsection .text.relr_start, \"ax\", %progbits\n"
	".globl relr_start\n"
	".type relr_start, %function\n"
	"relr_start:\n"
	"	bl relocate_self\n"
	"	b _start\n"
	".size relr_start, . - relr_start\n"
	".popsection\n");
