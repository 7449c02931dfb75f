/* SPDX-License-Identifier: MIT */
/*
 * An address space of devices: one struct bus for port I/O, one for MMIO.
 *
 * Regions are sorted and never overlap. Lookups run on vcpu threads without a lock (a sequence
 * counter); changes are serialized. Handlers run with no bus lock held and may themselves change
 * the bus (a PCI BAR that moves): an @opaque must therefore live as long as the VM.
 */
#ifndef LKVM_BUS_H
#define LKVM_BUS_H

#include <pthread.h>
#include <stdatomic.h>

#include "lkvm/types.h"

struct bus_ops {
	/*
	 * @offset is relative to the region. @len is 1, 2, 4 or 8 and the access is wholly inside
	 * the region. @data is guest-endian (little-endian) bytes. A handler that ignores a read
	 * leaves @data as it is: all ones.
	 */
	void (*read)(void *opaque, u64 offset, void *data, u32 len);
	void (*write)(void *opaque, u64 offset, const void *data, u32 len);
};

struct bus_region {
	u64 base;
	u64 size;
	const struct bus_ops *ops;
	void *opaque;
	const char *name; /* lives as long as the VM */
	struct bus_count *count;
};

/* How often vcpus came to a region for its handlers. A region that is added again under its name
 * goes on where it was. */
struct bus_count {
	struct bus_count *next; /* of all that the bus ever had */
	struct bus_count *idle; /* of those without a region */
	atomic_ullong reads;
	atomic_ullong writes;
	char name[]; /* a copy: a device may go before */
};

struct bus_table;

struct bus {
	const char *name; /* "pio" or "mmio" */
	u64 limit;	  /* size of the address space */
	pthread_mutex_t lock;
	atomic_uint seq;
	_Atomic(struct bus_table *) table;
	struct bus_count *counts; /* these two under lock */
	struct bus_count *idle;
};

int bus_init(struct bus *bus, const char *name, u64 limit) __must_check;
void bus_destroy(struct bus *bus);

/* 0, -EINVAL (empty, wraps, beyond the address space), -EEXIST (overlap), -ENOMEM. */
int bus_add(struct bus *bus, u64 base, u64 size, const struct bus_ops *ops, void *opaque,
	    const char *name) __must_check;
/* Remove the region that starts at @base; -ENOENT when there is none. */
int bus_remove(struct bus *bus, u64 base);

/*
 * One access of the guest. A region that holds the whole access handles it and true is returned;
 * else a read gives all ones, a write is dropped and false is returned.
 */
bool bus_read(struct bus *bus, u64 addr, void *data, u32 len);
bool bus_write(struct bus *bus, u64 addr, const void *data, u32 len);

/* The name of the region that holds an access, which stays valid as long as the bus; NULL. */
const char *bus_name(struct bus *bus, u64 addr, u32 len);

/* The accesses so far, once for each name that has any, in no order that means something; several
 * regions of one name come as often. Any thread. */
void bus_for_each_count(struct bus *bus,
			void (*fn)(const char *name, u64 reads, u64 writes, void *arg), void *arg);

/* Calls @fn for a copy of each region in address order (for dumps and tests). */
void bus_for_each(struct bus *bus, void (*fn)(const struct bus_region *region, void *arg),
		  void *arg);

#endif
