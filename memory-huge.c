/* SPDX-License-Identifier: MIT */
/*
 * Where guest memory is of transparent huge pages (see include/lkvm/memory.h). The first access to
 * a huge page's place decides: the host zeroes it and maps it whole, or it fills it with small
 * pages, one by one, which its khugepaged may put together much later. A start writes some dozen
 * pages around an image that may be as small: in huge pages that would be megabytes to zero. So the
 * loader gets small ones, but for what it fills wholly; all else is the guest's, in huge ones.
 */
#include <sys/mman.h>

#include "lkvm/memory-map.h"
#include "lkvm/memory.h"

/* Of most hosts. Larger ones (pages of 16 or 64 KiB) are not worth the room. */
#define HUGE_PAGE (2 * MiB)
/* Zeroes (a .bss) of a kernel that is small; a large one uses them. */
#define FEW (4 * MiB)

static void set_loading(struct guest_memory *mem, bool loading)
{
	const struct memory_region *r;

	pthread_mutex_lock(&mem->lock);
	mem->loading = loading;
	memory_for_each(mem, r)
		memory_advise(r, !loading);
	pthread_mutex_unlock(&mem->lock);
}

void memory_begin_load(struct guest_memory *mem)
{
	set_loading(mem, true);
}

void memory_end_load(struct guest_memory *mem)
{
	set_loading(mem, false);
}

/* While it is loaded: the host's address of guest memory that may be of huge pages, or 0; in *len
 * as much of it as is in one region. Under the lock. */
static u64 loading_at(const struct guest_memory *mem, u64 gpa, u64 *len)
{
	const struct memory_region *r = mem->loading ? memory_find(mem, gpa) : NULL;

	if (!r || r->backing != MEM_ANON)
		return 0;
	*len = MIN(*len, r->size - (gpa - r->gpa));
	return (uintptr_t)r->hva + (gpa - r->gpa);
}

void memory_expect(struct guest_memory *mem, u64 gpa, u64 len)
{
	u64 hva, start, end;

	pthread_mutex_lock(&mem->lock);
	hva = loading_at(mem, gpa, &len);
	start = ALIGN_UP(hva, HUGE_PAGE);
	end = hva ? ALIGN_DOWN(hva + len, HUGE_PAGE) : 0;
	if (end > start)
		madvise((void *)(uintptr_t)start, end - start, MADV_HUGEPAGE);
	pthread_mutex_unlock(&mem->lock);
}

void memory_expect_few(struct guest_memory *mem, u64 gpa, u64 len)
{
	u64 hva, end;

	if (len > FEW)
		return;
	pthread_mutex_lock(&mem->lock);
	hva = loading_at(mem, gpa, &len);
	end = hva ? hva + len : 0;
	/* To read is enough: the page of zeroes that all share takes the place. */
	for (; hva < end; hva = ALIGN_DOWN(hva, HUGE_PAGE) + HUGE_PAGE)
		(void)*(volatile const u8 *)(uintptr_t)hva;
	pthread_mutex_unlock(&mem->lock);
}
