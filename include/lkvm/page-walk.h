/* SPDX-License-Identifier: MIT */
/*
 * All that the kernel of a guest has mapped, for a dump that shows its addresses: page tables as a
 * tree of any depth, whose entries the architecture reads. The tables are the guest's: they may be
 * endless, or lie anywhere, so the work and the result have a limit.
 */
#ifndef LKVM_PAGE_WALK_H
#define LKVM_PAGE_WALK_H

#include "lkvm/types.h"

struct guest_memory;

enum page_entry { PAGE_ENTRY_NONE, PAGE_ENTRY_TABLE, PAGE_ENTRY_LEAF };

/* What translates the 2^bits addresses from @base on. Entries have 8 bytes, little-endian. */
struct page_tables {
	u64 root; /* physical address of the first table */
	u64 base;
	u32 bits;
	u32 page_shift; /* of the smallest page; a table but the first is one page */
	bool user;	/* the vcpu is in a program: these may be fewer than the kernel's own */
	u64 priv;	/* the architecture's */
	/* What @entry, for addresses from @va on, says in a table whose entries stand for 2^shift
	 * bytes each; *addr: where the next table is, or the memory. */
	enum page_entry (*read)(const struct page_tables *t, u64 entry, u64 va, u32 shift,
				u64 *addr);
};

struct page_map {
	u64 va, gpa, len;
};

/* Adjacent pieces are one. Ascending. */
struct page_maps {
	struct page_map *list; /* owned */
	u32 nr;
	u32 left_out; /* small ones that there was no room for */
	bool cut;     /* the tables were too many to follow them all */
};

/* How many there are at most: the larger ones are kept. */
#define PAGE_MAPS_MAX 8192U
/* Tables that are read: they map 128 GiB by pages of 4 KiB. */
#define PAGE_TABLES_MAX 65536U

/* What of @mem that is no device is mapped; while the VM is paused. @maps was zeroed. */
void page_walk(const struct page_tables *t, const struct guest_memory *mem, struct page_maps *maps);

#endif
