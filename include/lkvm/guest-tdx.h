/* SPDX-License-Identifier: MIT */
/*
 * What lkvm and its own first code of a trust domain (guest/x86/tdx-reset.S) agree on: pages that
 * end at 4 GiB, where a TD's vcpus begin. All of them are measured, and the code believes nothing
 * else: what registers bring from outside it does not look at. Shared with assembler.
 */
#ifndef LKVM_GUEST_TDX_H
#define LKVM_GUEST_TDX_H

/* From below: the mailbox of ACPI 6.5, 5.2.12.19, in which Linux starts vcpus; a stack; page tables
 * that map the first 4 GiB to themselves (PML4, PDPT, four PDs); code, with what it needs to know
 * at its beginning. */
#define TDX_MAILBOX   0xffff7000
#define TDX_STACK     0xffff8000
#define TDX_TABLES    0xffff9000
#define TDX_CODE      0xfffff000
#define TDX_STUB_SIZE 0x9000

/* struct tdx_info */
#define TDX_INFO_ENTRY	0
#define TDX_INFO_PARAMS 8
#define TDX_INFO_COUNT	16
#define TDX_INFO_RANGES 24
#define TDX_MAX_RANGES	64
#define TDX_INFO_SIZE	(TDX_INFO_RANGES + 16 * TDX_MAX_RANGES)

#ifndef __ASSEMBLER__
#include "lkvm/types.h"

struct tdx_info {
	__le64 entry;  /* of the kernel, in 64-bit mode */
	__le64 params; /* RSI there */
	__le64 count;
	struct {
		__le64 start, end; /* pages to accept */
	} ranges[TDX_MAX_RANGES];
};
_Static_assert(sizeof(struct tdx_info) == TDX_INFO_SIZE, "as the code has it");
#endif

#endif
