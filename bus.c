/* SPDX-License-Identifier: MIT */
/*
 * An address space of devices (see include/lkvm/bus.h): a sorted table behind a sequence counter. A
 * reader copies the entry it found and starts over when the counter moved; so handlers run without
 * any lock and may change the bus themselves. A table that is outgrown stays allocated until the
 * bus goes, because a reader may still be in it: tables double, so that is at most as much again.
 */
#include "lkvm/bus.h"

#include <stdlib.h>

struct bus_table {
	struct bus_table *older;
	u32 capacity;
	atomic_uint count;
	struct bus_region regions[];
};

#define BUS_FIRST_CAPACITY 32

static struct bus_table *table_new(u32 capacity, struct bus_table *older)
{
	struct bus_table *t = calloc(1, sizeof(*t) + capacity * sizeof(t->regions[0]));

	if (!t)
		return NULL;
	t->capacity = capacity;
	t->older = older;
	if (older) {
		t->count = older->count;
		memcpy(t->regions, older->regions, older->count * sizeof(t->regions[0]));
	}
	return t;
}

int bus_init(struct bus *bus, const char *name, u64 limit)
{
	memset(bus, 0, sizeof(*bus));
	bus->name = name;
	bus->limit = limit;
	bus->table = table_new(BUS_FIRST_CAPACITY, NULL);
	if (!bus->table)
		return -ENOMEM;
	pthread_mutex_init(&bus->lock, NULL);
	return 0;
}

void bus_destroy(struct bus *bus)
{
	struct bus_table *t = bus->table;

	if (!t)
		return;
	while (t) {
		struct bus_table *older = t->older;

		free(t);
		t = older;
	}
	bus->table = NULL;
	while (bus->counts) {
		struct bus_count *c = bus->counts;

		bus->counts = c->next;
		free(c);
	}
	bus->idle = NULL;
	pthread_mutex_destroy(&bus->lock);
}

/*
 * Entries are copied word by word with relaxed atomics: a torn copy is thrown away by the sequence
 * check, but it must not be a data race in the language's eyes.
 */
static void region_load(struct bus_region *to, const struct bus_region *from)
{
	__atomic_load(&from->base, &to->base, __ATOMIC_RELAXED);
	__atomic_load(&from->size, &to->size, __ATOMIC_RELAXED);
	__atomic_load(&from->ops, &to->ops, __ATOMIC_RELAXED);
	__atomic_load(&from->opaque, &to->opaque, __ATOMIC_RELAXED);
	__atomic_load(&from->name, &to->name, __ATOMIC_RELAXED);
	__atomic_load(&from->count, &to->count, __ATOMIC_RELAXED);
}

static void region_store(struct bus_region *to, const struct bus_region *from)
{
	__atomic_store(&to->base, (u64 *)&from->base, __ATOMIC_RELAXED);
	__atomic_store_n(&to->size, from->size, __ATOMIC_RELAXED);
	__atomic_store_n(&to->ops, from->ops, __ATOMIC_RELAXED);
	__atomic_store_n(&to->opaque, from->opaque, __ATOMIC_RELAXED);
	__atomic_store_n(&to->name, from->name, __ATOMIC_RELAXED);
	__atomic_store_n(&to->count, from->count, __ATOMIC_RELAXED);
}

static void write_begin(struct bus *bus)
{
	atomic_fetch_add_explicit(&bus->seq, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

static void write_end(struct bus *bus)
{
	atomic_fetch_add_explicit(&bus->seq, 1, memory_order_release);
}

/* Index of the first region that ends after @addr. Bounded by count even when it reads a table in
 * motion. */
static u32 lower_bound(const struct bus_table *t, u32 count, u64 addr)
{
	u32 lo = 0, hi = count;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;
		struct bus_region r;

		region_load(&r, &t->regions[mid]);
		if (r.base + (r.size - 1) < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool bus_find(struct bus *bus, u64 addr, u32 len, struct bus_region *out)
{
	for (;;) {
		u32 seq = atomic_load_explicit(&bus->seq, memory_order_acquire);
		struct bus_table *t = atomic_load_explicit(&bus->table, memory_order_acquire);
		u32 count = atomic_load_explicit(&t->count, memory_order_relaxed);
		u32 i = lower_bound(t, count, addr);
		bool found = i < count;

		if (found) {
			region_load(out, &t->regions[i]);
			found = range_within(addr, len, out->base, out->size);
		}
		atomic_thread_fence(memory_order_acquire);
		if (!(seq & 1) && atomic_load_explicit(&bus->seq, memory_order_relaxed) == seq)
			return found;
	}
}

bool bus_read(struct bus *bus, u64 addr, void *data, u32 len)
{
	struct bus_region r;

	memset(data, 0xff, len);
	if (!bus_find(bus, addr, len, &r))
		return false;
	atomic_fetch_add_explicit(&r.count->reads, 1, memory_order_relaxed);
	if (r.ops->read)
		r.ops->read(r.opaque, addr - r.base, data, len);
	return true;
}

bool bus_write(struct bus *bus, u64 addr, const void *data, u32 len)
{
	struct bus_region r;

	if (!bus_find(bus, addr, len, &r))
		return false;
	atomic_fetch_add_explicit(&r.count->writes, 1, memory_order_relaxed);
	if (r.ops->write)
		r.ops->write(r.opaque, addr - r.base, data, len);
	return true;
}

const char *bus_name(struct bus *bus, u64 addr, u32 len)
{
	struct bus_region r;

	return bus_find(bus, addr, len, &r) ? r.count->name : NULL;
}

/* Under the lock. A BAR that moves takes the one that it left behind. */
static struct bus_count *take_count(struct bus *bus, const char *name)
{
	struct bus_count *c;

	for (struct bus_count **p = &bus->idle; (c = *p); p = &c->idle) {
		if (strcmp(c->name, name) != 0)
			continue;
		*p = c->idle;
		return c;
	}
	c = calloc(1, sizeof(*c) + strlen(name) + 1);
	if (!c)
		return NULL;
	strcpy(c->name, name);
	c->next = bus->counts;
	bus->counts = c;
	return c;
}

int bus_add(struct bus *bus, u64 base, u64 size, const struct bus_ops *ops, void *opaque,
	    const char *name)
{
	struct bus_region region = { base, size, ops, opaque, name, NULL };
	struct bus_table *t;
	int ret = 0;
	u32 at, count;

	if (!size || !range_within(base, size, 0, bus->limit))
		return -EINVAL;
	pthread_mutex_lock(&bus->lock);
	t = bus->table;
	count = t->count;
	at = lower_bound(t, count, base);
	if (at < count && ranges_overlap(base, size, t->regions[at].base, t->regions[at].size)) {
		ret = -EEXIST;
		goto out;
	}
	if (count == t->capacity) {
		t = table_new(t->capacity * 2, t);
		if (!t) {
			ret = -ENOMEM;
			goto out;
		}
		atomic_store_explicit(&bus->table, t, memory_order_release);
	}
	region.count = take_count(bus, name);
	if (!region.count) {
		ret = -ENOMEM;
		goto out;
	}
	write_begin(bus);
	for (u32 i = count; i > at; i--)
		region_store(&t->regions[i], &t->regions[i - 1]);
	region_store(&t->regions[at], &region);
	atomic_store_explicit(&t->count, count + 1, memory_order_relaxed);
	write_end(bus);
out:
	pthread_mutex_unlock(&bus->lock);
	return ret;
}

int bus_remove(struct bus *bus, u64 base)
{
	struct bus_table *t;
	int ret = -ENOENT;
	u32 at, count;

	pthread_mutex_lock(&bus->lock);
	t = bus->table;
	count = t->count;
	at = lower_bound(t, count, base);
	if (at < count && t->regions[at].base == base) {
		t->regions[at].count->idle = bus->idle;
		bus->idle = t->regions[at].count;
		write_begin(bus);
		for (u32 i = at; i + 1 < count; i++)
			region_store(&t->regions[i], &t->regions[i + 1]);
		atomic_store_explicit(&t->count, count - 1, memory_order_relaxed);
		write_end(bus);
		ret = 0;
	}
	pthread_mutex_unlock(&bus->lock);
	return ret;
}

void bus_for_each(struct bus *bus, void (*fn)(const struct bus_region *region, void *arg),
		  void *arg)
{
	u64 next = 0;

	for (;;) {
		struct bus_table *t;
		struct bus_region r;
		bool found;
		u32 i;

		pthread_mutex_lock(&bus->lock);
		t = bus->table;
		i = lower_bound(t, t->count, next);
		found = i < t->count;
		if (found)
			r = t->regions[i];
		pthread_mutex_unlock(&bus->lock);
		if (!found)
			return;
		fn(&r, arg);
		next = r.base + r.size;
		if (!next)
			return;
	}
}

void bus_for_each_count(struct bus *bus,
			void (*fn)(const char *name, u64 reads, u64 writes, void *arg), void *arg)
{
	struct bus_count *c;

	/* What is in the list stays in it. */
	pthread_mutex_lock(&bus->lock);
	c = bus->counts;
	pthread_mutex_unlock(&bus->lock);
	for (; c; c = c->next) {
		u64 reads = atomic_load_explicit(&c->reads, memory_order_relaxed);
		u64 writes = atomic_load_explicit(&c->writes, memory_order_relaxed);

		if (reads || writes)
			fn(c->name, reads, writes, arg);
	}
}
