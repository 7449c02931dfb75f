/* SPDX-License-Identifier: MIT */
/*
 * A page that the guest must fault in again. The host's memory management tells KVM of each change
 * of a mapping (mmu notifiers: Linux Documentation/mm/mmu_notifier.rst), and KVM then forgets what
 * it knew of that page. So the page becomes executable, and is not the moment after: at no time is
 * it out of reach of another vcpu, or of a device that uses it.
 */
#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lkvm/memory.h"

int memory_flush_page(struct guest_memory *mem, u64 gpa)
{
	const struct memory_region *r = memory_find(mem, gpa);
	uintptr_t at;

	if (!r || r->kind != MEM_RAM || r->backing == MEM_BORROWED || r->shared)
		return -EFAULT;
	at = (uintptr_t)r->hva + (gpa - r->gpa);
	/* A part of a huge page cannot have a protection of its own: hugetlbfs says EINVAL. */
	for (u64 page = (u64)sysconf(_SC_PAGESIZE); page <= r->size; page *= 2) {
		void *begin = (void *)ALIGN_DOWN(at, page);

		if (!mprotect(begin, page, PROT_READ | PROT_WRITE | PROT_EXEC))
			return mprotect(begin, page, PROT_READ | PROT_WRITE) ? -errno : 0;
		if (errno != EINVAL)
			break;
	}
	return -errno;
}
