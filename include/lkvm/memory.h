/* SPDX-License-Identifier: MIT */
/*
 * Guest memory: the only way to touch guest RAM.
 *
 * A guest_memory is a small sorted set of regions, each with its host mapping. It knows nothing of
 * KVM: listeners (KVM memory slots, later VFIO maps and vhost tables) are told of every change, so
 * tests and fuzzers use it over plain buffers. Regions are added while the machine is built and
 * removed when it is torn down; between the two, lookups from any thread need no lock.
 */
#ifndef LKVM_MEMORY_H
#define LKVM_MEMORY_H

#include "lkvm/types.h"

enum mem_backing {
	MEM_ANON,     /* private anonymous mapping, transparent huge pages advised */
	MEM_MEMFD,    /* shared memfd: other processes can map it (vhost-user) */
	MEM_HUGETLB,  /* a file on a hugetlbfs mount, or memfd with huge pages */
	MEM_BORROWED, /* the caller's buffer: not unmapped, not owned */
};

#define MEM_ROM BIT(0) /* guest may not write; not reachable by memory_ptr (it is no RAM) */

struct mem_region {
	u64 gpa;
	u64 size;
	void *hva;
	enum mem_backing backing;
	u32 flags;
	int fd;		  /* -1 unless MEM_MEMFD or MEM_HUGETLB */
	const char *name; /* static string for messages and dumps */
	unsigned int id;  /* unique, never reused: a listener's slot number */
};

struct mem_listener {
	/* Called for each region added, and at registration for those that exist. 0 or -errno. */
	int (*add)(struct mem_listener *l, const struct mem_region *region);
	void (*remove)(struct mem_listener *l, const struct mem_region *region);
	struct mem_listener *next;
};

#define MEM_MAX_REGIONS 32

struct guest_memory {
	struct mem_region regions[MEM_MAX_REGIONS]; /* sorted by gpa */
	unsigned int count;
	unsigned int next_id;
	struct mem_listener *listeners;
};

void memory_init(struct guest_memory *mem);
/* Unmaps and closes everything that the set owns, telling the listeners. Safe on a zeroed set. */
void memory_destroy(struct guest_memory *mem);

/*
 * Map @size bytes (a multiple of the page size) at @gpa. For MEM_HUGETLB @path names the hugetlbfs
 * mount. Memory is not touched: it costs nothing until the guest uses it. 0, or -EINVAL (alignment,
 * wrap), -EEXIST (overlap), -ENOSPC (too many regions), or mmap's errno.
 */
int memory_add(struct guest_memory *mem, u64 gpa, u64 size, enum mem_backing backing,
	     const char *path, u32 flags, const char *name) __must_check;
/* The same over the caller's page-aligned buffer, which must outlive the set. */
int memory_add_borrowed(struct guest_memory *mem, u64 gpa, u64 size, void *hva, u32 flags,
		      const char *name) __must_check;
int memory_add_listener(struct guest_memory *mem, struct mem_listener *listener) __must_check;

/*
 * Host address of guest RAM [gpa, gpa+len), or NULL when it is not wholly inside one RAM region.
 * len 0 is valid anywhere inside RAM. Never cache across a reset of the machine.
 */
void *memory_ptr(const struct guest_memory *mem, u64 gpa, u64 len) __must_check;
/* Is every byte of the range RAM? Regions that touch count as one. */
bool memory_is_ram(const struct guest_memory *mem, u64 gpa, u64 len) __must_check;
/* Copy across regions; all or nothing: -EFAULT (nothing copied) when a byte of the range is not
 * RAM. */
int memory_read(const struct guest_memory *mem, u64 gpa, void *buf, u64 len) __must_check;
int memory_write(struct guest_memory *mem, u64 gpa, const void *buf, u64 len) __must_check;
int memory_zero(struct guest_memory *mem, u64 gpa, u64 len) __must_check;
/* Give all RAM back to the host: it reads as zero afterwards. Used on reboot. */
void memory_discard_all(struct guest_memory *mem);
/* Sum of the RAM regions in bytes. */
u64 memory_ram_size(const struct guest_memory *mem);

#endif
