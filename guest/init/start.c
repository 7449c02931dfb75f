/* SPDX-License-Identifier: MIT */
/* Where the kernel enters: the words of the kernel's command line, and its environment, are of no
 * interest. */
#include "init.h"

asm(".text\n\t.globl _start\n" SYS_ENTRY);
