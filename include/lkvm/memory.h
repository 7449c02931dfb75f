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

enum memory_kind {
	MEM_RAM,
	MEM_ROM,    /* the guest may not write */
	MEM_DEVICE, /* mapped for the guest (a BAR of a real device); never RAM for a device here */
};

enum memory_backing {
	MEM_ANON,	 /* private anonymous mapping, transparent huge pages advised */
	MEM_MEMFD,	 /* shared memfd: other processes can map it (vhost-user) */
	MEM_HUGETLB,	 /* an unnamed file on the hugetlbfs mount @path */
	MEM_FILE,	 /* the file @path, or @fd: shared, so what the guest writes is in it */
	MEM_GUEST_MEMFD, /* @fd is a guest_memfd that the host may map */
	MEM_BORROWED,	 /* the caller's buffer @hva: not unmapped, not owned */
};

/* What memory_add shall map; zeroes are anonymous RAM. */
struct memory_desc {
	u64 gpa;
	u64 size; /* bytes; like @gpa a multiple of the page size. May end at the very top: 2^64 */
	enum memory_kind kind;
	enum memory_backing backing;
	const char *path; /* MEM_HUGETLB, MEM_FILE */
	int fd;	    /* MEM_FILE without @path, MEM_GUEST_MEMFD: duplicated, stays the caller's */
	u64 offset; /* MEM_FILE, MEM_GUEST_MEMFD: where in the file; of pages */
	void *hva;  /* MEM_BORROWED: page-aligned, outlives the set */
	const char *name; /* static string for messages and dumps */
};

/* Nothing in it changes while the region exists. */
struct memory_region {
	u64 gpa;
	u64 size;
	void *hva;
	enum memory_kind kind;
	enum memory_backing backing;
	int fd; /* -1: the backing has none */
	u64 offset;
	const char *name;
	unsigned int id; /* unique, never reused: a listener's slot number */
};

struct memory_listener {
	/* Called for each region added, and at registration for those that exist. 0 or -errno. */
	int (*add)(struct memory_listener *l, const struct memory_region *region);
	void (*remove)(struct memory_listener *l, const struct memory_region *region);
	struct memory_listener *next;
};

#define MEM_MAX_REGIONS 32

struct guest_memory {
	struct memory_region *regions[MEM_MAX_REGIONS]; /* sorted by gpa */
	unsigned int count;
	unsigned int next_id;
	struct memory_listener *listeners;
};

void memory_init(struct guest_memory *mem);
/* Unmaps and closes everything that the set owns, telling the listeners. Safe on a zeroed set. */
void memory_destroy(struct guest_memory *mem);

/*
 * Map what @desc says. The memory is not touched: it costs nothing until the guest uses it. 0, or
 * -EINVAL (alignment, wrap, a file that ends too soon), -EEXIST (overlap), -ENOSPC (too many
 * regions), the errno of open or mmap, or what a listener said. Prints nothing.
 */
int memory_add(struct guest_memory *mem, const struct memory_desc *desc) __must_check;
/* The same for MEM_BORROWED. */
static inline int memory_add_borrowed(struct guest_memory *mem, u64 gpa, u64 size, void *hva,
				      enum memory_kind kind, const char *name)
{
	return memory_add(mem, &(struct memory_desc){
				       .gpa = gpa,
				       .size = size,
				       .kind = kind,
				       .backing = MEM_BORROWED,
				       .hva = hva,
				       .name = name,
			       });
}
int memory_add_listener(struct guest_memory *mem, struct memory_listener *listener) __must_check;

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

/* The region of any kind that holds @gpa, or NULL. */
const struct memory_region *memory_find(const struct guest_memory *mem, u64 gpa);
/* The next region above @region (NULL: the lowest), or NULL: a walk in the order of addresses. */
const struct memory_region *memory_next(const struct guest_memory *mem,
					const struct memory_region *region);
#define memory_for_each(mem, r) for ((r) = memory_next(mem, NULL); (r); (r) = memory_next(mem, r))
/* Where the RAM that begins at @base ends, over regions that touch; @base itself: there is none.
 * RAM up to the top of all addresses ends at 0. */
u64 memory_ram_end(const struct guest_memory *mem, u64 base);

#endif
