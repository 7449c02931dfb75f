/* SPDX-License-Identifier: MIT */
/* Guest memory: tables of regions, listeners, readers, checked access (include/lkvm/memory.h). */
#include "lkvm/memory.h"

#include <stdlib.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/memory-map.h"
#include "lkvm/shared-map.h"

/* What a lookup needs of a region, side by side. */
struct memory_entry {
	u64 gpa;
	u64 size;
	u8 *ram; /* its host address; NULL: the region says what of it is RAM */
	struct memory_region *region;
};

/* Sorted by gpa, never empty. Once published it does not change. */
struct memory_table {
	struct memory_table *older; /* of those that wait to be freed */
	u32 count;
	struct memory_entry entries[];
};

void memory_init(struct guest_memory *mem)
{
	memset(mem, 0, sizeof(*mem));
	pthread_mutex_init(&mem->lock, NULL);
	pthread_mutex_init(&mem->reclaim_lock, NULL);
	pthread_mutex_init(&mem->reader_lock, NULL);
	pthread_cond_init(&mem->passed, NULL);
}

/* Tables */

static const struct memory_table *load_table(const struct guest_memory *mem)
{
	return __atomic_load_n(&mem->table, __ATOMIC_ACQUIRE);
}

/* The last entry that begins at or below @gpa, or NULL. */
static const struct memory_entry *find_below(const struct memory_table *t, u64 gpa)
{
	const struct memory_entry *e;
	u32 n;

	if (!t)
		return NULL;
	e = t->entries;
	/* The compiler makes a conditional move of this: which half is as good as random. */
	for (n = t->count; n > 1; n -= n / 2)
		e = e[n / 2].gpa <= gpa ? e + n / 2 : e;
	return e->gpa <= gpa ? e : NULL;
}

/* The entry that holds @gpa, or NULL. */
static const struct memory_entry *find_entry(const struct memory_table *t, u64 gpa)
{
	const struct memory_entry *e = find_below(t, gpa);

	return e && gpa - e->gpa < e->size ? e : NULL;
}

/* The first entry above @gpa, or NULL. */
static const struct memory_entry *find_above(const struct memory_table *t, u64 gpa)
{
	const struct memory_entry *e = find_below(t, gpa);

	if (!t)
		return NULL;
	e = e ? e + 1 : t->entries;
	return e < t->entries + t->count ? e : NULL;
}

static void set_entry(struct memory_entry *e, struct memory_region *r)
{
	e->gpa = r->gpa;
	e->size = r->size;
	e->ram = memory_is_writable(r->kind) && !r->shared ? r->hva : NULL;
	e->region = r;
}

/* A copy of the table with @added, without @removed (NULL: neither); NULL: no memory. */
static struct memory_table *copy_table(const struct guest_memory *mem, struct memory_region *added,
				       const struct memory_region *removed)
{
	const struct memory_table *from = mem->table;
	u32 count = from ? from->count : 0, n = 0;
	struct memory_table *to = malloc(sizeof(*to) + (count + 1) * sizeof(to->entries[0]));

	if (!to)
		return NULL;
	to->older = NULL;
	for (u32 i = 0; i < count; i++) {
		if (added && from->entries[i].gpa > added->gpa) {
			set_entry(&to->entries[n++], added);
			added = NULL;
		}
		if (from->entries[i].region != removed)
			to->entries[n++] = from->entries[i];
	}
	if (added)
		set_entry(&to->entries[n++], added);
	to->count = n;
	return to;
}

/* Under the lock: lookups see @t from now on. A table of nothing is none. */
static void publish(struct guest_memory *mem, struct memory_table *t)
{
	struct memory_table *old = mem->table;

	if (!t->count) {
		free(t);
		t = NULL;
	}
	__atomic_store_n(&mem->table, t, __ATOMIC_RELEASE);
	if (old) {
		old->older = mem->old_tables;
		mem->old_tables = old;
	}
}

static void free_tables(struct memory_table *t)
{
	while (t) {
		struct memory_table *older = t->older;

		free(t);
		t = older;
	}
}

static void unmap_all(struct memory_region *r)
{
	while (r) {
		struct memory_region *next = r->next;

		memory_unmap(r);
		r = next;
	}
}

/* Changes */

/* Under the lock: undo what those from the first listener to before @end were told. */
static void undo_add(struct guest_memory *mem, const struct memory_listener *end,
		     const struct memory_region *r)
{
	for (struct memory_listener *l = mem->listeners; l != end; l = l->next)
		l->remove(l, r);
}

/* Tell @l of @r, and what of it is shared already. */
static int introduce(struct memory_listener *l, const struct memory_region *r)
{
	u64 offset = 0, n;
	int ret = l->add(l, r);

	while (!ret && r->shared && l->convert && offset < r->size) {
		n = shared_map_run(r->shared, offset, r->size - offset, true);
		if (n)
			ret = l->convert(l, r, offset, n, true);
		else
			n = shared_map_run(r->shared, offset, r->size - offset, false);
		if (ret)
			l->remove(l, r);
		offset += n;
	}
	return ret;
}

static int tell_add(struct guest_memory *mem, const struct memory_region *r)
{
	for (struct memory_listener *l = mem->listeners; l; l = l->next) {
		int ret = introduce(l, r);

		if (ret) {
			undo_add(mem, l, r);
			return ret;
		}
	}
	return 0;
}

static int tell_remove(struct guest_memory *mem, const struct memory_region *r)
{
	for (struct memory_listener *l = mem->listeners; l; l = l->next) {
		int ret = l->remove(l, r);

		if (!ret)
			continue;
		for (struct memory_listener *u = mem->listeners; u != l; u = u->next)
			if (introduce(u, r))
				err("guest memory at 0x%llx (%s): cannot add it again", r->gpa,
				    r->name);
		return ret;
	}
	return 0;
}

static int check_place(const struct guest_memory *mem, const struct memory_desc *d)
{
	u64 page = (u64)sysconf(_SC_PAGESIZE), last = d->gpa + (d->size - 1);
	const struct memory_entry *e;

	if (!d->size || last < d->gpa || !IS_ALIGNED(d->gpa | d->size | d->offset, page))
		return -EINVAL;
	if (d->private && (d->kind == MEM_DEVICE || d->backing == MEM_GUEST_MEMFD))
		return -EINVAL;
	/* Whoever overlaps it begins at or below its last byte. */
	e = find_below(mem->table, last);
	return e && e->gpa + (e->size - 1) >= d->gpa ? -EEXIST : 0;
}

int memory_add(struct guest_memory *mem, const struct memory_desc *desc)
{
	struct memory_table *t = NULL;
	struct memory_region *r;
	int ret;

	pthread_mutex_lock(&mem->lock);
	ret = check_place(mem, desc);
	if (ret)
		goto out;
	ret = memory_map(desc, &r);
	if (ret)
		goto out;
	memory_advise(r, !mem->loading);
	t = copy_table(mem, r, NULL);
	ret = t ? tell_add(mem, r) : -ENOMEM;
	if (ret) {
		free(t);
		memory_unmap(r);
		goto out;
	}
	publish(mem, t);
out:
	pthread_mutex_unlock(&mem->lock);
	return ret;
}

int memory_remove(struct guest_memory *mem, u64 gpa)
{
	const struct memory_entry *e;
	struct memory_region *r;
	struct memory_table *t;
	int ret = -ENOENT;

	pthread_mutex_lock(&mem->lock);
	e = find_entry(mem->table, gpa);
	if (!e || e->gpa != gpa)
		goto out;
	r = e->region;
	t = copy_table(mem, NULL, r);
	ret = t ? tell_remove(mem, r) : -ENOMEM;
	if (ret) {
		free(t);
		goto out;
	}
	publish(mem, t);
	r->next = mem->removed;
	mem->removed = r;
out:
	pthread_mutex_unlock(&mem->lock);
	return ret;
}

void memory_destroy(struct guest_memory *mem)
{
	struct memory_table *t = mem->table;

	for (u32 i = t ? t->count : 0; i-- > 0;) {
		undo_add(mem, NULL, t->entries[i].region);
		memory_unmap(t->entries[i].region);
	}
	free_tables(t);
	free_tables(mem->old_tables);
	unmap_all(mem->removed);
	pthread_cond_destroy(&mem->passed);
	pthread_mutex_destroy(&mem->reader_lock);
	pthread_mutex_destroy(&mem->reclaim_lock);
	pthread_mutex_destroy(&mem->lock);
	memory_init(mem);
}

int memory_add_listener(struct guest_memory *mem, struct memory_listener *listener)
{
	const struct memory_table *t;
	int ret = 0;

	pthread_mutex_lock(&mem->lock);
	t = mem->table;
	for (u32 i = 0; t && i < t->count && !ret; i++) {
		ret = introduce(listener, t->entries[i].region);
		while (ret && i-- > 0)
			listener->remove(listener, t->entries[i].region);
	}
	if (!ret) {
		listener->next = mem->listeners;
		mem->listeners = listener;
	}
	pthread_mutex_unlock(&mem->lock);
	return ret;
}

void memory_remove_listener(struct guest_memory *mem, struct memory_listener *listener)
{
	const struct memory_table *t;
	struct memory_listener **p;

	pthread_mutex_lock(&mem->lock);
	t = mem->table;
	for (p = &mem->listeners; *p && *p != listener; p = &(*p)->next)
		;
	if (*p) {
		*p = listener->next;
		for (u32 i = t ? t->count : 0; i-- > 0;)
			listener->remove(listener, t->entries[i].region);
	}
	pthread_mutex_unlock(&mem->lock);
}

/* Readers */

void memory_add_reader(struct guest_memory *mem, struct memory_reader *reader)
{
	atomic_init(&reader->count, 0);
	reader->awaited = 0;
	reader->mem = mem;
	pthread_mutex_lock(&mem->reader_lock);
	reader->next = mem->readers;
	mem->readers = reader;
	pthread_mutex_unlock(&mem->reader_lock);
}

void memory_remove_reader(struct memory_reader *reader)
{
	struct guest_memory *mem = reader->mem;

	if (!mem)
		return;
	pthread_mutex_lock(&mem->reader_lock);
	for (struct memory_reader **p = &mem->readers; *p; p = &(*p)->next) {
		if (*p == reader) {
			*p = reader->next;
			break;
		}
	}
	reader->mem = NULL;
	pthread_cond_broadcast(&mem->passed);
	pthread_mutex_unlock(&mem->reader_lock);
}

void memory_read_begin(struct memory_reader *reader)
{
	unsigned int count = atomic_load_explicit(&reader->count, memory_order_relaxed);

	atomic_store_explicit(&reader->count, count + 1, memory_order_relaxed);
	/* Out before a table is read: who removes publishes a table and then reads the count. */
	atomic_thread_fence(memory_order_seq_cst);
}

void memory_read_end(struct memory_reader *reader)
{
	struct guest_memory *mem = reader->mem;
	unsigned int count = atomic_load_explicit(&reader->count, memory_order_relaxed);

	atomic_store_explicit(&reader->count, count + 1, memory_order_release);
	/* Either this thread sees who waits, or that one sees the count. */
	atomic_thread_fence(memory_order_seq_cst);
	if (atomic_load_explicit(&mem->waiting, memory_order_relaxed)) {
		pthread_mutex_lock(&mem->reader_lock);
		pthread_cond_broadcast(&mem->passed);
		pthread_mutex_unlock(&mem->reader_lock);
	}
}

/* Under reader_lock: is a reader still where it was when the wait began? */
static bool is_anyone_inside(const struct guest_memory *mem)
{
	for (const struct memory_reader *r = mem->readers; r; r = r->next)
		if ((r->awaited & 1) &&
		    atomic_load_explicit(&r->count, memory_order_acquire) == r->awaited)
			return true;
	return false;
}

static void wait_for_readers(struct guest_memory *mem)
{
	pthread_mutex_lock(&mem->reader_lock);
	atomic_store_explicit(&mem->waiting, true, memory_order_relaxed);
	/* After the new table and @waiting, before the counts: see memory_read_begin and _end. */
	atomic_thread_fence(memory_order_seq_cst);
	for (struct memory_reader *r = mem->readers; r; r = r->next)
		r->awaited = atomic_load_explicit(&r->count, memory_order_acquire);
	while (is_anyone_inside(mem))
		pthread_cond_wait(&mem->passed, &mem->reader_lock);
	atomic_store_explicit(&mem->waiting, false, memory_order_relaxed);
	pthread_mutex_unlock(&mem->reader_lock);
}

void memory_reclaim(struct guest_memory *mem)
{
	struct memory_region *removed;
	struct memory_table *tables;

	/* One at a time: each reader has room for one wait. */
	pthread_mutex_lock(&mem->reclaim_lock);
	pthread_mutex_lock(&mem->lock);
	removed = mem->removed;
	tables = mem->old_tables;
	mem->removed = NULL;
	mem->old_tables = NULL;
	pthread_mutex_unlock(&mem->lock);
	wait_for_readers(mem);
	free_tables(tables);
	unmap_all(removed);
	pthread_mutex_unlock(&mem->reclaim_lock);
}

/* Lookups */

const struct memory_region *memory_find(const struct guest_memory *mem, u64 gpa)
{
	const struct memory_entry *e = find_entry(load_table(mem), gpa);

	return e ? e->region : NULL;
}

const struct memory_region *memory_next(const struct guest_memory *mem,
					const struct memory_region *region)
{
	const struct memory_table *t = load_table(mem);
	const struct memory_entry *e;

	if (!t)
		return NULL;
	e = region ? find_above(t, region->gpa) : t->entries;
	return e ? e->region : NULL;
}

/* How much of [offset, offset+len) in a region without a pointer of its own is RAM for the host. */
static u64 shared_run(const struct memory_region *r, u64 offset, u64 len)
{
	return r->kind == MEM_RAM && r->shared ? shared_map_run(r->shared, offset, len, true) : 0;
}

/* Apart from memory_ptr, which is short without it: every descriptor of a guest goes there. */
static __attribute__((noinline)) void *shared_ptr(const struct memory_region *r, u64 offset,
						  u64 len)
{
	u64 n = MAX(len, 1ULL);

	return shared_run(r, offset, n) == n ? (u8 *)r->hva + offset : NULL;
}

void *memory_ptr(const struct guest_memory *mem, u64 gpa, u64 len)
{
	const struct memory_entry *e = find_entry(load_table(mem), gpa);
	u64 offset;

	if (!e)
		return NULL;
	offset = gpa - e->gpa;
	if (len > e->size - offset)
		return NULL;
	return e->ram ? e->ram + offset : shared_ptr(e->region, offset, len);
}

const void *memory_source(const struct guest_memory *mem, u64 gpa, u64 len)
{
	const struct memory_entry *e = find_entry(load_table(mem), gpa);

	if (!e || e->region->kind != MEM_PMEM_RO)
		return memory_ptr(mem, gpa, len);
	return len <= e->size - (gpa - e->gpa) ? (u8 *)e->region->hva + (gpa - e->gpa) : NULL;
}

/* As far as RAM goes without a gap from @gpa on, in one region and at most *len bytes: its host
 * address, and *len becomes that. False: @gpa is not RAM. */
static bool find_run(const struct memory_table *t, u64 gpa, u8 **host, u64 *len)
{
	const struct memory_entry *e = find_entry(t, gpa);
	u64 offset;

	if (!e)
		return false;
	offset = gpa - e->gpa;
	*len = MIN(*len, e->size - offset);
	if (!e->ram)
		*len = shared_run(e->region, offset, *len);
	*host = (u8 *)e->region->hva + offset;
	return *len != 0;
}

/* @kept: may some of it be MEM_PMEM? */
static bool is_ram(const struct memory_table *t, u64 gpa, u64 len, bool kept)
{
	u8 *host;

	while (len) {
		u64 n = len;

		if (!find_run(t, gpa, &host, &n) ||
		    (!kept && find_entry(t, gpa)->region->kind == MEM_PMEM))
			return false;
		gpa += n;
		len -= n;
		/* Nothing follows the last address. */
		if (!gpa && len)
			return false;
	}
	return true;
}

bool memory_is_ram(const struct guest_memory *mem, u64 gpa, u64 len)
{
	return is_ram(load_table(mem), gpa, len, false);
}

bool memory_holds_ram(const struct guest_memory *mem, u64 gpa, u64 len)
{
	const struct memory_table *t = load_table(mem);

	while (len) {
		const struct memory_entry *e = find_entry(t, gpa);
		u64 n;

		if (!e || e->region->kind != MEM_RAM)
			return false;
		n = MIN(len, e->size - (gpa - e->gpa));
		gpa += n;
		len -= n;
		/* Nothing follows the last address. */
		if (!gpa && len)
			return false;
	}
	return true;
}

enum copy_kind { COPY_OUT, COPY_IN, COPY_ZERO };

static int copy_range(const struct guest_memory *mem, u64 gpa, void *buf, u64 len,
		      enum copy_kind kind)
{
	const struct memory_table *t = load_table(mem);
	u8 *p = buf, *host;

	if (!is_ram(t, gpa, len, true))
		return -EFAULT;
	while (len) {
		u64 n = len;

		if (!find_run(t, gpa, &host, &n))
			return -EFAULT;
		if (kind == COPY_OUT)
			memcpy(p, host, n);
		else if (kind == COPY_IN)
			memcpy(host, p, n);
		else
			memset(host, 0, n);
		if (p)
			p += n;
		gpa += n;
		len -= n;
	}
	return 0;
}

int memory_read(const struct guest_memory *mem, u64 gpa, void *buf, u64 len)
{
	return copy_range(mem, gpa, buf, len, COPY_OUT);
}

int memory_write(struct guest_memory *mem, u64 gpa, const void *buf, u64 len)
{
	return copy_range(mem, gpa, (void *)buf, len, COPY_IN);
}

int memory_zero(struct guest_memory *mem, u64 gpa, u64 len)
{
	return copy_range(mem, gpa, NULL, len, COPY_ZERO);
}

void memory_discard_all(struct guest_memory *mem)
{
	const struct memory_region *r;

	pthread_mutex_lock(&mem->lock);
	memory_for_each(mem, r) {
		if (r->kind != MEM_RAM)
			continue;
		if (atomic_load(&mem->pinned))
			memset(r->hva, 0, r->size);
		else
			memory_discard(r, 0, r->size);
		if (r->shared && memory_discard_private(r, 0, r->size))
			err("guest memory at 0x%llx (%s): cannot discard its private pages", r->gpa,
			    r->name);
	}
	pthread_mutex_unlock(&mem->lock);
}

int memory_give_back(struct guest_memory *mem, void *hva, u64 len)
{
	u64 page = (u64)sysconf(_SC_PAGESIZE);
	const struct memory_region *r;
	u64 first, end;

	memory_for_each(mem, r) {
		if (r->kind != MEM_RAM || r->shared ||
		    !range_within((uintptr_t)hva, len, (uintptr_t)r->hva, r->size))
			continue;
		first = ALIGN_UP((u64)((u8 *)hva - (u8 *)r->hva), page);
		end = ((u64)((u8 *)hva - (u8 *)r->hva) + len) & ~(page - 1);
		if (first < end && !atomic_load(&mem->pinned))
			memory_discard(r, first, end - first);
		return 0;
	}
	return -EFAULT;
}

u64 memory_ram_size(const struct guest_memory *mem)
{
	const struct memory_region *r;
	u64 sum = 0;

	memory_for_each(mem, r)
		if (r->kind == MEM_RAM)
			sum += r->size;
	return sum;
}

u64 memory_ram_end(const struct guest_memory *mem, u64 base)
{
	const struct memory_region *r;

	while ((r = memory_find(mem, base)) && r->gpa == base && r->kind == MEM_RAM) {
		base += r->size;
		if (!base)
			break;
	}
	return base;
}
