/* SPDX-License-Identifier: MIT */
/*
 * Private guest memory: pages change between the region's guest_memfd, which the guest alone uses,
 * and its host mapping, which both do (see include/lkvm/memory.h).
 */
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/memory-map.h"
#include "lkvm/memory.h"
#include "lkvm/shared-map.h"

/* Under the lock: the private region that holds @gpa, and in *len as much of [gpa, gpa+len) as it
 * holds. */
static const struct memory_region *find_private(const struct guest_memory *mem, u64 gpa, u64 *len)
{
	const struct memory_region *r = memory_find(mem, gpa);

	if (!r || !r->shared)
		return NULL;
	*len = MIN(*len, r->size - (gpa - r->gpa));
	return r;
}

static int tell_convert(struct guest_memory *mem, const struct memory_region *r, u64 offset,
			u64 len, bool shared)
{
	struct memory_listener *l, *u;
	int ret = 0;

	for (l = mem->listeners; l; l = l->next) {
		ret = l->convert ? l->convert(l, r, offset, len, shared) : 0;
		if (ret)
			break;
	}
	/* The guest uses the other pages now: those that it used go back to the host. */
	if (!ret && shared)
		ret = memory_discard_private(r, offset, len);
	else if (!ret)
		memory_discard(r, offset, len);
	if (!ret)
		return 0;
	for (u = mem->listeners; u != l; u = u->next)
		if (u->convert && u->convert(u, r, offset, len, !shared))
			err("guest memory at 0x%llx (%s): it is unknown which of it is shared",
			    r->gpa + offset, r->name);
	return ret;
}

/* Pages that are all in the other state. A page is marked as shared only while everybody has it
 * so: marked last, and unmarked first. */
static int convert_run(struct guest_memory *mem, const struct memory_region *r, u64 offset, u64 len,
		       bool shared)
{
	int ret;

	if (!shared)
		shared_map_set(r->shared, offset, len, false);
	ret = tell_convert(mem, r, offset, len, shared);
	if (shared == !ret)
		shared_map_set(r->shared, offset, len, true);
	return ret;
}

/* All of it is private memory. */
static int convert(struct guest_memory *mem, u64 gpa, u64 len, bool shared)
{
	while (len) {
		u64 n = len, run;
		const struct memory_region *r = find_private(mem, gpa, &n);
		u64 offset = gpa - r->gpa;
		int ret = 0;

		run = shared_map_run(r->shared, offset, n, !shared);
		if (run)
			ret = convert_run(mem, r, offset, run, shared);
		else
			run = shared_map_run(r->shared, offset, n, shared);
		if (ret)
			return ret;
		gpa += run;
		len -= run;
	}
	return 0;
}

int memory_set_shared(struct guest_memory *mem, u64 gpa, u64 len, bool shared)
{
	u64 page = (u64)sysconf(_SC_PAGESIZE), at = gpa, left = len;
	int ret = 0;

	if (!IS_ALIGNED(gpa | len, page) || (len && gpa + (len - 1) < gpa))
		return -EINVAL;
	pthread_mutex_lock(&mem->lock);
	while (left && !ret) {
		u64 n = left;

		if (!find_private(mem, at, &n))
			ret = -EFAULT;
		at += n;
		left -= n;
	}
	if (!ret)
		ret = convert(mem, gpa, len, shared);
	pthread_mutex_unlock(&mem->lock);
	return ret;
}
