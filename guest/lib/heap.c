/* SPDX-License-Identifier: MIT */
/* Memory behind the image, up to where link.ld says that the guest ends. */
#include "guest.h"

extern char heap_begin[], heap_end[];
static u64 next;

void *heap_alloc(size_t size, size_t align)
{
	u64 at = next ? next : (u64)heap_begin;
	u64 *p;

	at = (at + align - 1) & ~(u64)(align - 1);
	if (at > (u64)heap_end || size > (u64)heap_end - at)
		return NULL;
	next = at + size;
	p = (u64 *)at;
	for (size_t i = 0; i < size / 8; i++)
		p[i] = 0;
	return p;
}
