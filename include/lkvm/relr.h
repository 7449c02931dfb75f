/* SPDX-License-Identifier: MIT */
/* Relative relocations packed as DT_RELR, where the C library's start-up code does not know them.
 */
#ifndef LKVM_RELR_H
#define LKVM_RELR_H

/*
 * util/relr.c: apply the program's own, once: a C library that would do it too then finds none.
 * Called by relr_start (x86/relr-start.c, arm/relr-start.c), the entry point of a binary that is
 * linked for it, before anything else runs: without thread-local memory, before other relocations.
 */
void relocate_self(void);

#endif
