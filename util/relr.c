/* SPDX-License-Identifier: MIT */
/*
 * A static program's own DT_RELR (System V gABI, chapter 5, "Relative Relocation Table"): an even
 * entry is the address of a word to relocate, an odd one a bit map of the 63 words after the last.
 * musl's start-up code for static programs reads DT_RELA alone in the versions that distributions
 * have. Built without a stack protector: its canary is in memory that is not there yet.
 */
#include "lkvm/relr.h"

#include <elf.h>

#include "lkvm/types.h"

#ifndef DT_RELR /* as new as the table itself */
#define DT_RELRSZ 35
#define DT_RELR	  36
#endif

/* The linker's. Hidden, so that finding them takes no relocation. */
extern char own_header[] __asm__("__ehdr_start") __attribute__((visibility("hidden")));
extern Elf64_Dyn own_dynamic[] __asm__("_DYNAMIC") __attribute__((visibility("hidden")));

void relocate_self(void)
{
	u64 base = (u64)(uintptr_t)own_header, size = 0;
	const u64 *entry = NULL;
	u64 *word = (u64 *)own_header; /* the table begins with an address */

	for (Elf64_Dyn *d = own_dynamic; d->d_tag != DT_NULL; d++) {
		if (d->d_tag == DT_RELR)
			entry = (const u64 *)(own_header + d->d_un.d_ptr);
		if (d->d_tag == DT_RELRSZ) {
			size = d->d_un.d_val;
			d->d_un.d_val = 0;
		}
	}
	for (; entry && size; size -= sizeof(*entry), entry++) {
		if (!(*entry & 1)) {
			word = (u64 *)(own_header + *entry);
			*word++ += base;
			continue;
		}
		for (unsigned int i = 0; i < 63; i++)
			if (*entry >> (i + 1) & 1)
				word[i] += base;
		word += 63;
	}
}
