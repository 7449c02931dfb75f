/* SPDX-License-Identifier: MIT */
/* The pages that a guest with private memory shares (see include/lkvm/shared-map.h). */
#include "lkvm/shared-map.h"

#include <stdlib.h>
#include <unistd.h>

#define WORD_BITS 64U

static unsigned int page_shift(void)
{
	return (unsigned int)__builtin_ctzl((unsigned long)sysconf(_SC_PAGESIZE));
}

u64 *shared_map_new(u64 size)
{
	u64 pages = size >> page_shift();

	return calloc(pages / WORD_BITS + 1, sizeof(u64));
}

u64 shared_map_run(const u64 *map, u64 offset, u64 len, bool shared)
{
	unsigned int shift = page_shift();
	u64 first = offset >> shift, page = first, last;

	if (!len)
		return 0;
	last = (offset + (len - 1)) >> shift;
	while (page <= last) {
		u64 word = __atomic_load_n(&map[page / WORD_BITS], __ATOMIC_ACQUIRE);
		unsigned int left = WORD_BITS - page % WORD_BITS, n;

		/* Ones are what ends the run. */
		word = (shared ? ~word : word) >> page % WORD_BITS;
		n = word ? MIN((unsigned int)__builtin_ctzll(word), left) : left;
		page += n;
		if (n < left)
			break;
	}
	if (page == first)
		return 0;
	if (page > last)
		return len;
	return (page << shift) - offset;
}

void shared_map_set(u64 *map, u64 offset, u64 len, bool shared)
{
	unsigned int shift = page_shift();
	u64 page = offset >> shift, end = page + (len >> shift);

	while (page < end) {
		unsigned int bit = page % WORD_BITS;
		u64 n = MIN(end - page, (u64)(WORD_BITS - bit));
		u64 mask = (n == WORD_BITS ? ~0ULL : BIT_ULL(n) - 1) << bit;

		if (shared)
			__atomic_fetch_or(&map[page / WORD_BITS], mask, __ATOMIC_RELEASE);
		else
			__atomic_fetch_and(&map[page / WORD_BITS], ~mask, __ATOMIC_RELEASE);
		page += n;
	}
}
