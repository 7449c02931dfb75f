/* SPDX-License-Identifier: MIT */
/*
 * Guest memory for proofs: two regions whose bytes nobody keeps, and one that devices only read.
 * Each read gives anything, so they stand for a guest that writes at any moment; what is proved of
 * a read or write is where it lies.
 */
#ifndef PROVE_GUEST_H
#define PROVE_GUEST_H

#include <stdatomic.h>
#include <string.h>

#include "lkvm/log.h"
#include "lkvm/memory.h"
#include "lkvm/virtqueue.h"

extern bool nondet_bool(void);
extern u16 nondet_u16(void);
extern u32 nondet_u32(void);
extern u64 nondet_u64(void);

struct any_desc {
	u64 a, b;
};
extern struct any_desc nondet_desc(void);

/* Large enough for a chain that is too long for one (2.7.5.2). */
#ifndef REGION
#define REGION (6 * GiB)
#endif

static u8 low[REGION], high[REGION], read_only[REGION];

static bool in_guest(const void *p, u64 len)
{
	return (__CPROVER_POINTER_OBJECT(p) == __CPROVER_POINTER_OBJECT(low) ||
		__CPROVER_POINTER_OBJECT(p) == __CPROVER_POINTER_OBJECT(high)) &&
	       range_within(__CPROVER_POINTER_OFFSET(p), len, 0, REGION);
}

static bool in_readable(const void *p, u64 len)
{
	return in_guest(p, len) ||
	       (__CPROVER_POINTER_OBJECT(p) == __CPROVER_POINTER_OBJECT(read_only) &&
		range_within(__CPROVER_POINTER_OFFSET(p), len, 0, REGION));
}

/* All that is said of the real one (memory.c): NULL, or @len bytes of one region. */
void *memory_ptr(const struct guest_memory *mem, u64 gpa, u64 len)
{
	u64 at = nondet_u64();

	if (nondet_bool() || !range_within(at, len, 0, REGION))
		return NULL;
	return (nondet_bool() ? low : high) + at;
}

/* The same, or of the one that is only read. */
const void *memory_source(const struct guest_memory *mem, u64 gpa, u64 len)
{
	u64 at = nondet_u64();

	if (nondet_bool() || !range_within(at, len, 0, REGION))
		return memory_ptr(mem, gpa, len);
	return read_only + at;
}

static void guest_copy(void *to, const void *from, u64 len)
{
	__CPROVER_assert(in_guest(from, len), "what is copied is guest memory");
	__CPROVER_assert(len == sizeof(struct any_desc), "and a descriptor");
	*(struct any_desc *)to = nondet_desc();
}

static u32 guest_load(const void *p, u64 len)
{
	__CPROVER_assert(in_guest(p, len), "what is read is guest memory");
	return nondet_u32();
}

static void guest_store(const void *p, u64 len)
{
	__CPROVER_assert(in_guest(p, len), "what is written is guest memory");
}

#define memcpy(to, from, len)	      guest_copy(to, from, len)
#define __atomic_load_n(p, order)     ((typeof(*(p)))guest_load(p, sizeof(*(p))))
#define __atomic_store_n(p, v, order) ((void)(v), guest_store(p, sizeof(*(p))))
#undef atomic_thread_fence
#define atomic_thread_fence(order) ((void)0)
#undef guest_warn
#define guest_warn(...) ((void)0)

#endif
