/* SPDX-License-Identifier: MIT */
/*
 * The list of hand-off blocks from which firmware of a trust domain knows its machine (UEFI PI
 * specification, volume 3, chapter 5; Intel's TDX virtual firmware design guide, TD HOB; td-shim's
 * specification for what a payload has).
 */
#ifndef LKVM_X86_TDX_HOB_H
#define LKVM_X86_TDX_HOB_H

#include "lkvm/types.h"

struct x86_hobs {
	u8 *bytes; /* room for what the firmware set aside; the caller's */
	u64 gpa, size;
	u64 used;
	bool full; /* something did not fit */
};

/* PI, 5.5: resource types. */
#define HOB_SYSTEM_MEMORY     0U
#define HOB_UNACCEPTED_MEMORY 7U

/* Begin the list in @h, whose first three members are set; memory is zeroed. */
void x86_hobs_begin(struct x86_hobs *h);
/* A range of memory. */
void x86_hobs_add_memory(struct x86_hobs *h, u32 type, u64 start, u64 len);
/* td-shim: a bzImage, all of it at @gpa. */
void x86_hobs_add_bzimage(struct x86_hobs *h, u64 gpa);
/* td-shim: an ACPI table. */
void x86_hobs_add_acpi(struct x86_hobs *h, const void *table, u64 len);
/* The end, and what the first block says of it. 0, or -ENOSPC: it does not fit. */
int x86_hobs_end(struct x86_hobs *h) __must_check;

#endif
