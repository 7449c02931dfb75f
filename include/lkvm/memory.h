/* SPDX-License-Identifier: MIT */
/*
 * Guest memory: the only way to touch guest RAM.
 *
 * A guest_memory is a sorted set of regions, each with its host mapping. It knows nothing of KVM:
 * listeners (KVM memory slots, later VFIO maps and vhost tables) are told of every change, so tests
 * and fuzzers use it over plain buffers.
 *
 * Regions come and go while everything runs. A lookup takes no lock: it searches a table that never
 * changes, and whoever adds or removes a region publishes another table. So a thread may be in an
 * old table, or hold a pointer into a region, at the moment when the region goes. Three steps make
 * that safe:
 *  - memory_remove tells the listeners (from then on the guest cannot reach the region) and
 *    publishes a table without it. The host mapping and the old table stay.
 *  - Nobody holds a pointer any more: devices were quiesced before, and a vcpu is a memory_reader:
 *    its counter is odd while it handles an exit. Inside KVM_RUN it holds nothing.
 *  - memory_reclaim waits until each reader whose counter is odd has moved on, then unmaps what was
 *    removed and frees the old tables.
 * vm_remove_memory (vm.h) is the three in one; nothing else removes memory of a machine that runs.
 * What is added replaces tables too; those wait for the next memory_reclaim or for memory_destroy.
 *
 * A region may be private: the guest uses pages of a guest_memfd that the host cannot touch, unless
 * it shares a page; then it uses the region's host mapping, as always. A map says which pages are
 * shared, at first none. The host mapping is there either way: who still writes to a page that was
 * shared a moment ago writes to a page that nobody reads.
 *
 * Anonymous RAM is advised to be of transparent huge pages, of which the host zeroes the whole at
 * the first access. So not where a loader writes a few bytes here and there, and a guest that is
 * small needs no more (memory-huge.c).
 *
 * A file may become shorter, or its storage may fail, while it is mapped. The guest that touches
 * such a page ends (KVM_RUN fails); lkvm itself finds zeroes there instead of a SIGBUS, and whoever
 * wants to know is told (memory-guard.c).
 */
#ifndef LKVM_MEMORY_H
#define LKVM_MEMORY_H

#include <pthread.h>
#include <stdatomic.h>

#include "lkvm/types.h"

enum memory_kind {
	MEM_RAM,
	MEM_ROM,    /* the guest may not write */
	MEM_DEVICE, /* mapped for the guest (a BAR of a real device); never RAM for a device here */
	/* The contents of a file, which are there before the guest and after it. Devices read and
	 * write it as RAM, but it is none: nothing is loaded there, and no page is given back. */
	MEM_PMEM,
	MEM_PMEM_RO, /* the same, which nobody writes; devices read it */
};

/* May devices write there? */
static inline bool memory_is_writable(enum memory_kind kind)
{
	return kind == MEM_RAM || kind == MEM_PMEM;
}

enum memory_backing {
	MEM_ANON,    /* private anonymous mapping; transparent huge pages: see the top */
	MEM_MEMFD,   /* shared memfd: other processes can map it (vhost-user) */
	MEM_HUGETLB, /* an unnamed file on the hugetlbfs mount @path */
	/* The file @path, or @fd: shared, so what the guest writes is in it; of MEM_PMEM_RO it need
	 * not be writable. */
	MEM_FILE,
	MEM_GUEST_MEMFD, /* @fd is a guest_memfd that the host may map */
	MEM_BORROWED,	 /* the caller's buffer @hva: not unmapped, not owned */
};

/* What memory_add is to map; zeroes are anonymous RAM. */
struct memory_desc {
	u64 gpa;
	u64 size; /* bytes; like @gpa a multiple of the page size. May end at the very top: 2^64 */
	enum memory_kind kind;
	enum memory_backing backing;
	const char *path; /* MEM_HUGETLB, MEM_FILE */
	int fd;	      /* MEM_FILE without @path, MEM_GUEST_MEMFD: duplicated, stays the caller's */
	u64 offset;   /* MEM_FILE, MEM_GUEST_MEMFD: where in the file; of pages */
	u64 page;     /* MEM_FILE: the file's, a power of two; 0: the host's */
	u64 align;    /* MEM_FILE: of the host address, a power of two; 0: @page */
	u64 file_len; /* MEM_PMEM_RO: the rest of @size reads as zeroes; 0: @size */
	int lost_fd;  /* MEM_FILE: an eventfd that is written when lkvm found zeroes instead of the
		       * file, the caller's; 0: nobody wants to know */
	void *hva;    /* MEM_BORROWED: page-aligned, outlives the set */
	bool private; /* RAM or ROM: see the top; not with MEM_GUEST_MEMFD */
	int private_fd;	  /* its guest_memfd, from 0 on; duplicated, stays the caller's */
	const char *name; /* static string for messages and dumps */
};

/* Of memory-guard.c: the mapping of a file. */
struct memory_guard {
	uintptr_t begin, end; /* host addresses; @end 0: not guarded */
	u64 page;	      /* of the mapping */
	int prot, fd;
	atomic_ullong lost; /* the host address where something was missed; 0: nowhere yet */
	struct memory_guard *next;
};

/* Nothing that is public changes while the region exists. */
struct memory_region {
	u64 gpa;
	u64 size;
	void *hva;
	enum memory_kind kind;
	enum memory_backing backing;
	int fd; /* -1: the backing has none */
	u64 offset;
	int private_fd; /* -1: it is not private */
	u64 *shared;	/* shared-map.h; NULL: it is not private */
	const char *name;
	struct memory_region *next; /* of those that wait for memory_reclaim */
	u64 file_len;		    /* how much of it is in the file */
	struct memory_guard guard;
};

/*
 * Both are called with the set locked: they may look addresses up, but not change the set. 0 or
 * -errno; a refusal is undone with those that were told before.
 */
struct memory_listener {
	/* Called for each region added, and at registration for those that exist. */
	int (*add)(struct memory_listener *l, const struct memory_region *region);
	/* When it returns 0 nothing behind the listener reaches the region any more. A set that is
	 * destroyed ignores refusals. */
	int (*remove)(struct memory_listener *l, const struct memory_region *region);
	/* Pages of a private region, [offset, offset+len), become @shared or private, which they
	 * are at first. NULL: of no interest. */
	int (*convert)(struct memory_listener *l, const struct memory_region *region, u64 offset,
		       u64 len, bool shared);
	struct memory_listener *next;
};

/* A thread that looks addresses up while regions may go: see the top. */
struct memory_reader {
	struct guest_memory *mem; /* NULL: not registered */
	atomic_uint count;	  /* odd: it may hold pointers */
	unsigned int awaited;	  /* what @count was when memory_reclaim began to wait */
	struct memory_reader *next;
};

struct memory_table; /* of memory.c */

struct guest_memory {
	struct memory_table *table; /* NULL: empty. Read without the lock */
	pthread_mutex_t lock;	    /* guards changes of the table, and the next four */
	bool loading;		    /* from memory_begin_load to memory_end_load */
	/* Devices of the host's have addresses of pages: giving one back would split guest and
	 * device apart. */
	atomic_bool pinned;
	atomic_bool lost_said; /* memory_say_lost did */
	struct memory_listener *listeners;
	struct memory_table *old_tables;
	struct memory_region *removed;
	pthread_mutex_t reclaim_lock; /* memory_reclaim from beginning to end */
	pthread_mutex_t reader_lock;  /* guards the list of readers, and what they await */
	pthread_cond_t passed;	      /* a reader moved on while memory_reclaim was waiting */
	struct memory_reader *readers;
	atomic_bool waiting;
};

void memory_init(struct guest_memory *mem);
/* Unmaps and closes everything that the set owns, telling the listeners; it is empty then. Safe on
 * a zeroed set. Nobody uses it any more. */
void memory_destroy(struct guest_memory *mem);

/*
 * Map what @desc says. The memory is not touched: it costs nothing until the guest uses it. 0, or
 * -EINVAL (alignment, wrap, a file that ends too soon), -EEXIST (overlap), -ENOMEM, the
 * errno of open or mmap, or what a listener said. Prints nothing. Any thread, at any time.
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
/*
 * Take out the region that begins at @gpa, see the top: it stays mapped until memory_reclaim. 0,
 * -ENOENT, -ENOMEM, or what a listener said: then all is as before.
 */
int memory_remove(struct guest_memory *mem, u64 gpa) __must_check;
/* Wait for the readers, then unmap what was removed before and free old tables. The caller is no
 * reader at this moment (or memory_read_end was called), and devices are quiesced. */
void memory_reclaim(struct guest_memory *mem);

int memory_add_listener(struct guest_memory *mem, struct memory_listener *listener) __must_check;
/* Tells it that each region goes, and forgets it. One that is not registered is ignored. */
void memory_remove_listener(struct guest_memory *mem, struct memory_listener *listener);

/*
 * The calling thread is a reader from begin to end; they do not nest. Cheap: an atomic store each.
 * @reader was registered, outlives that, and is removed outside of begin and end.
 */
void memory_add_reader(struct guest_memory *mem, struct memory_reader *reader);
void memory_remove_reader(struct memory_reader *reader);
void memory_read_begin(struct memory_reader *reader);
void memory_read_end(struct memory_reader *reader);

/*
 * Host address of guest RAM, or MEM_PMEM, [gpa, gpa+len), or NULL when it is not wholly inside one
 * such region, or a page of it is private. len 0 is valid anywhere inside. Valid until
 * memory_read_end of a reader, or the quiescing of a device: then translate again. Never cache
 * across a reset of the machine.
 */
void *memory_ptr(const struct guest_memory *mem, u64 gpa, u64 len) __must_check;
/* The same for what is only read: in a MEM_PMEM_RO, too. */
const void *memory_source(const struct guest_memory *mem, u64 gpa, u64 len) __must_check;
/* Is every byte of the range RAM that the host may touch? Regions that touch count as one. */
bool memory_is_ram(const struct guest_memory *mem, u64 gpa, u64 len) __must_check;
/* The same of RAM that may be private, too: what the guest starts from may lie there. */
bool memory_holds_ram(const struct guest_memory *mem, u64 gpa, u64 len) __must_check;
/* Copy across regions; all or nothing: -EFAULT (nothing copied) when a byte of the range is neither
 * RAM nor MEM_PMEM, or private. A page that becomes private meanwhile ends the copy with -EFAULT,
 * too. */
int memory_read(const struct guest_memory *mem, u64 gpa, void *buf, u64 len) __must_check;
int memory_write(struct guest_memory *mem, u64 gpa, const void *buf, u64 len) __must_check;
int memory_zero(struct guest_memory *mem, u64 gpa, u64 len) __must_check;
/* Give all RAM back to the host, private pages too: it reads as zero afterwards. Used on reboot.
 * What is shared stays shared. While @pinned the pages stay, and are filled with zeroes. */
void memory_discard_all(struct guest_memory *mem);
/*
 * Give the RAM at [hva, hva+len) back to the host: whole pages of the host's that lie in it read as
 * zero afterwards, or, where the host has none (hugetlbfs), may stay. Nothing is done, and 0
 * returned, while @pinned. -EFAULT: not wholly inside one RAM region that is not private. Any
 * thread that may hold host addresses.
 */
int memory_give_back(struct guest_memory *mem, void *hva, u64 len) __must_check;
/*
 * Between these two lie the first writes into fresh memory (empty, or after memory_discard_all):
 * small pages are taken for them, and huge pages next to them come later, when the host finds the
 * time. After memory_end_load, and where there was no memory_begin_load, the first access takes a
 * huge page.
 */
void memory_begin_load(struct guest_memory *mem);
void memory_end_load(struct guest_memory *mem);
/* In between: [gpa, gpa+len) is about to be written from its beginning to its end, so huge pages
 * that lie wholly in it are taken. */
void memory_expect(struct guest_memory *mem, u64 gpa, u64 len);
/* In between: the guest may use a little of the zeroes at [gpa, gpa+len), so it finds small pages
 * there; nothing where they are many. */
void memory_expect_few(struct guest_memory *mem, u64 gpa, u64 len);
/*
 * The guest shares [gpa, gpa+len) or makes it private; their contents are lost, but for pages that
 * were so before. 0, or -EINVAL (not of whole pages), -EFAULT (a page belongs to no private region:
 * nothing happened), or what a listener or the guest_memfd said: the pages before those that it was
 * said about are converted. Any thread.
 */
int memory_set_shared(struct guest_memory *mem, u64 gpa, u64 len, bool shared) __must_check;
/* Sum of the RAM regions in bytes. */
u64 memory_ram_size(const struct guest_memory *mem);

/*
 * memory-peek.c: copy what is there, of any kind but MEM_DEVICE, for a look: nothing is allocated
 * for pages that nobody has touched, and what was lost reads as zeroes. 0, or -EFAULT: not memory,
 * or private (with some of @buf written). While the VM is paused.
 */
int memory_peek(const struct guest_memory *mem, u64 gpa, void *buf, size_t len) __must_check;

/*
 * memory-flush.c: what is mapped at @gpa, a page of the host's, stays as it is, but whoever else
 * maps it (KVM) finds it anew at the next access. 0; -EFAULT: no RAM that lkvm has mapped, or
 * private; or the errno of mprotect. Any thread that may hold host addresses.
 */
int memory_flush_page(struct guest_memory *mem, u64 gpa) __must_check;

/* memory-lost.c: has a file lost something that is mapped, as far as is known? Says so, the first
 * time. Any thread. */
bool memory_say_lost(struct guest_memory *mem);

/* The region of any kind that holds @gpa, or NULL. */
const struct memory_region *memory_find(const struct guest_memory *mem, u64 gpa);
/* The next region above @region (NULL: the lowest), or NULL: a walk in the order of addresses.
 * What is added or removed meanwhile may be met or not. */
const struct memory_region *memory_next(const struct guest_memory *mem,
					const struct memory_region *region);
#define memory_for_each(mem, r) for ((r) = memory_next(mem, NULL); (r); (r) = memory_next(mem, r))
/* Where the RAM that begins at @base ends, over regions that touch; @base itself: there is none.
 * RAM up to the top of all addresses ends at 0. */
u64 memory_ram_end(const struct guest_memory *mem, u64 base);

#endif
