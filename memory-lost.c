/* SPDX-License-Identifier: MIT */
/* Which file of guest memory ended, or failed, under its mapping (see include/lkvm/memory.h). */
#include <stdatomic.h>
#include <sys/stat.h>

#include "lkvm/log.h"
#include "lkvm/memory.h"

/* A region that lost something, and at which byte of it. */
static const struct memory_region *find_lost(const struct guest_memory *mem, u64 *offset)
{
	const struct memory_region *r;
	struct stat st;

	memory_for_each(mem, r) {
		u64 lost = atomic_load(&r->guard.lost);

		if (r->backing != MEM_FILE)
			continue;
		*offset = lost - (uintptr_t)r->hva;
		if (lost)
			return r;
		if (fstat(r->fd, &st) < 0 || !S_ISREG(st.st_mode) ||
		    r->offset + r->file_len <= (u64)st.st_size)
			continue;
		*offset = (u64)st.st_size > r->offset ? (u64)st.st_size - r->offset : 0;
		return r;
	}
	return NULL;
}

bool memory_say_lost(struct guest_memory *mem)
{
	u64 offset;
	const struct memory_region *r = find_lost(mem, &offset);

	if (r && !atomic_exchange(&mem->lost_said, true))
		err("%s: the guest's memory is gone at byte %llu: the file was truncated, or its "
		    "storage failed",
		    r->name, offset);
	return r;
}
