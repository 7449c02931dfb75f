/* SPDX-License-Identifier: MIT */
/* A region's host mapping (for memory.c): make it, give its pages back, undo it. */
#ifndef LKVM_MEMORY_MAP_H
#define LKVM_MEMORY_MAP_H

#include "lkvm/memory.h"

/*
 * Allocate the region that @desc describes and map it; its place is the caller's to check. 0, or
 * -EINVAL (a file that ends too soon), or the errno of what failed; then nothing is left.
 */
int memory_map(const struct memory_desc *desc, struct memory_region **out) __must_check;
/* Of anonymous memory: what is touched for the first time from now on comes in huge pages, or does
 * not. */
void memory_advise(const struct memory_region *r, bool huge);
/* Unmap, close and free it. */
void memory_unmap(struct memory_region *r);
/* [offset, offset+len) of the mapping reads as zeroes afterwards; the host gets the pages back
 * where the backing can do that. */
void memory_discard(const struct memory_region *r, u64 offset, u64 len);
/* The same for the pages of its guest_memfd; 0 or -errno. */
int memory_discard_private(const struct memory_region *r, u64 offset, u64 len) __must_check;

/* memory-guard.c: @g->begin to @fd are set. It outlives every access; NULL and what is not guarded
 * are fine to remove. 0 or -errno. */
int memory_guard_add(struct memory_guard *g) __must_check;
void memory_guard_remove(struct memory_guard *g);

#endif
