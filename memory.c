/* SPDX-License-Identifier: MIT */
/* Guest memory: regions, checked access, listeners (see include/lkvm/memory.h). */
#include "lkvm/memory.h"

#include <unistd.h>

#include "lkvm/memory-map.h"

void memory_init(struct guest_memory *mem)
{
	memset(mem, 0, sizeof(*mem));
}

void memory_destroy(struct guest_memory *mem)
{
	for (unsigned int i = mem->count; i-- > 0;) {
		for (struct memory_listener *l = mem->listeners; l; l = l->next)
			l->remove(l, mem->regions[i]);
		memory_unmap(mem->regions[i]);
	}
	memset(mem, 0, sizeof(*mem));
}

static u64 last_byte(const struct memory_region *r)
{
	return r->gpa + (r->size - 1);
}

/* Where a new region goes in the sorted array, or -errno when it cannot. */
static int find_place(const struct guest_memory *mem, const struct memory_desc *d)
{
	u64 page = (u64)sysconf(_SC_PAGESIZE);
	unsigned int at = 0;

	if (!d->size || d->gpa + (d->size - 1) < d->gpa)
		return -EINVAL;
	if (!IS_ALIGNED(d->gpa | d->size | d->offset, page))
		return -EINVAL;
	if (mem->count == MEM_MAX_REGIONS)
		return -ENOSPC;
	for (unsigned int i = 0; i < mem->count; i++) {
		if (ranges_overlap(d->gpa, d->size, mem->regions[i]->gpa, mem->regions[i]->size))
			return -EEXIST;
		if (mem->regions[i]->gpa < d->gpa)
			at = i + 1;
	}
	return (int)at;
}

static int insert_region(struct guest_memory *mem, unsigned int at, struct memory_region *region)
{
	struct memory_listener *l;
	int ret = 0;

	region->id = mem->next_id;
	for (l = mem->listeners; l; l = l->next) {
		ret = l->add(l, region);
		if (ret)
			goto undo;
	}
	memmove(&mem->regions[at + 1], &mem->regions[at],
		(mem->count - at) * sizeof(mem->regions[0]));
	mem->regions[at] = region;
	mem->count++;
	mem->next_id++;
	return 0;
undo:
	for (struct memory_listener *u = mem->listeners; u != l; u = u->next)
		u->remove(u, region);
	return ret;
}

int memory_add(struct guest_memory *mem, const struct memory_desc *desc)
{
	struct memory_region *r;
	int at = find_place(mem, desc);
	int ret;

	if (at < 0)
		return at;
	ret = memory_map(desc, &r);
	if (ret)
		return ret;
	ret = insert_region(mem, (unsigned int)at, r);
	if (ret)
		memory_unmap(r);
	return ret;
}

int memory_add_listener(struct guest_memory *mem, struct memory_listener *listener)
{
	for (unsigned int i = 0; i < mem->count; i++) {
		int ret = listener->add(listener, mem->regions[i]);

		if (ret) {
			while (i-- > 0)
				listener->remove(listener, mem->regions[i]);
			return ret;
		}
	}
	listener->next = mem->listeners;
	mem->listeners = listener;
	return 0;
}

const struct memory_region *memory_find(const struct guest_memory *mem, u64 gpa)
{
	for (unsigned int i = 0; i < mem->count; i++) {
		const struct memory_region *r = mem->regions[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size)
			return r;
	}
	return NULL;
}

const struct memory_region *memory_next(const struct guest_memory *mem,
					const struct memory_region *region)
{
	for (unsigned int i = 0; i < mem->count; i++)
		if (!region || mem->regions[i]->gpa > region->gpa)
			return mem->regions[i];
	return NULL;
}

/* The RAM region that holds @gpa, or NULL. */
static const struct memory_region *find_ram(const struct guest_memory *mem, u64 gpa)
{
	const struct memory_region *r = memory_find(mem, gpa);

	return r && r->kind == MEM_RAM ? r : NULL;
}

void *memory_ptr(const struct guest_memory *mem, u64 gpa, u64 len)
{
	const struct memory_region *r = find_ram(mem, gpa);

	if (!r || len > r->size - (gpa - r->gpa))
		return NULL;
	return (u8 *)r->hva + (gpa - r->gpa);
}

bool memory_is_ram(const struct guest_memory *mem, u64 gpa, u64 len)
{
	while (len) {
		const struct memory_region *r = find_ram(mem, gpa);
		u64 n;

		if (!r)
			return false;
		n = r->size - (gpa - r->gpa);
		if (len <= n)
			return true;
		/* Nothing follows the last address. */
		if (last_byte(r) == ~0ULL)
			return false;
		gpa += n;
		len -= n;
	}
	return true;
}

enum copy_kind { COPY_OUT, COPY_IN, COPY_ZERO };

static int copy_range(const struct guest_memory *mem, u64 gpa, void *buf, u64 len,
		      enum copy_kind kind)
{
	u8 *p = buf;

	if (!memory_is_ram(mem, gpa, len))
		return -EFAULT;
	while (len) {
		const struct memory_region *r = find_ram(mem, gpa);
		u8 *host = (u8 *)r->hva + (gpa - r->gpa);
		u64 n = MIN(len, r->size - (gpa - r->gpa));

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

	memory_for_each(mem, r)
		if (r->kind == MEM_RAM)
			memory_discard(r, 0, r->size);
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

	while ((r = find_ram(mem, base)) && r->gpa == base) {
		base += r->size;
		if (!base)
			break;
	}
	return base;
}
