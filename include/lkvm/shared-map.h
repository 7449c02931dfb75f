/* SPDX-License-Identifier: MIT */
/*
 * Which pages of a private region the guest shares with the host (for memory.c): a bit for each
 * page of the host, set: shared. Read without a lock, written under the lock of the set.
 */
#ifndef LKVM_SHARED_MAP_H
#define LKVM_SHARED_MAP_H

#include "lkvm/types.h"

/* The map of @size bytes, nothing shared; NULL: no memory. free() it. */
u64 *shared_map_new(u64 size) __must_check;
/* How many bytes of [offset, offset+len) are @shared from the first on; 0: its page is not. */
u64 shared_map_run(const u64 *map, u64 offset, u64 len, bool shared) __must_check;
/* @offset and @len: of pages. */
void shared_map_set(u64 *map, u64 offset, u64 len, bool shared);

#endif
