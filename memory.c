/* SPDX-License-Identifier: MIT */
/* Guest memory: regions, checked access, listeners (see include/lkvm/memory.h). */
#include "lkvm/memory.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lkvm/log.h"

void memory_init(struct guest_memory *mem)
{
	memset(mem, 0, sizeof(*mem));
}

static void unmap_region(const struct mem_region *r)
{
	if (r->backing == MEM_BORROWED)
		return;
	munmap(r->hva, r->size);
	if (r->fd >= 0)
		close(r->fd);
}

void memory_destroy(struct guest_memory *mem)
{
	for (unsigned int i = mem->count; i-- > 0;) {
		for (struct mem_listener *l = mem->listeners; l; l = l->next)
			l->remove(l, &mem->regions[i]);
		unmap_region(&mem->regions[i]);
	}
	memset(mem, 0, sizeof(*mem));
}

/* Where a new region goes in the sorted array, or -errno when it cannot. */
static int find_place(const struct guest_memory *mem, u64 gpa, u64 size)
{
	u64 page = (u64)sysconf(_SC_PAGESIZE);
	unsigned int at = 0;

	if (!size || gpa + size < gpa || !IS_ALIGNED(gpa, page) || !IS_ALIGNED(size, page))
		return -EINVAL;
	if (mem->count == MEM_MAX_REGIONS)
		return -ENOSPC;
	for (unsigned int i = 0; i < mem->count; i++) {
		if (ranges_overlap(gpa, size, mem->regions[i].gpa, mem->regions[i].size))
			return -EEXIST;
		if (mem->regions[i].gpa < gpa)
			at = i + 1;
	}
	return (int)at;
}

static int insert_region(struct guest_memory *mem, unsigned int at, struct mem_region *region)
{
	struct mem_listener *l;
	int ret = 0;

	region->id = mem->next_id;
	for (l = mem->listeners; l; l = l->next) {
		ret = l->add(l, region);
		if (ret)
			goto undo;
	}
	memmove(&mem->regions[at + 1], &mem->regions[at],
		(mem->count - at) * sizeof(mem->regions[0]));
	mem->regions[at] = *region;
	mem->count++;
	mem->next_id++;
	return 0;
undo:
	for (struct mem_listener *u = mem->listeners; u != l; u = u->next)
		u->remove(u, region);
	return ret;
}

static int open_backing(u64 size, enum mem_backing backing, const char *path, const char *name)
{
	int fd, ret;

	if (backing == MEM_MEMFD) {
		fd = memfd_create(name, MFD_CLOEXEC);
	} else {
		/* An unnamed file: nothing stays on the mount, however the process ends. */
		fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	}
	if (fd < 0)
		return -errno;
	if (ftruncate(fd, (off_t)size) < 0) {
		ret = -errno;
		close(fd);
		return ret;
	}
	return fd;
}

int memory_add(struct guest_memory *mem, u64 gpa, u64 size, enum mem_backing backing,
	     const char *path, u32 flags, const char *name)
{
	int prot = PROT_READ | PROT_WRITE;
	int map_flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	struct mem_region r = {
		.gpa = gpa,
		.size = size,
		.backing = backing,
		.flags = flags,
		.fd = -1,
		.name = name,
	};
	int at = find_place(mem, gpa, size);
	int ret;

	if (at < 0)
		return at;
	if (backing == MEM_MEMFD || backing == MEM_HUGETLB) {
		r.fd = open_backing(size, backing, path, name);
		if (r.fd < 0)
			return r.fd;
		/* Huge pages are reserved here: without enough of them this fails, not the guest
		 * later. */
		map_flags = MAP_SHARED;
	}
	r.hva = mmap(NULL, size, prot, map_flags, r.fd, 0);
	if (r.hva == MAP_FAILED) {
		ret = -errno;
		if (r.fd >= 0)
			close(r.fd);
		return ret;
	}
	if (backing == MEM_ANON) {
		madvise(r.hva, size, MADV_HUGEPAGE);
		/* A core dump is for lkvm's own state; a guest's memory would make it huge. */
		madvise(r.hva, size, MADV_DONTDUMP);
	}
	ret = insert_region(mem, (unsigned int)at, &r);
	if (ret)
		unmap_region(&r);
	return ret;
}

int memory_add_borrowed(struct guest_memory *mem, u64 gpa, u64 size, void *hva, u32 flags,
		      const char *name)
{
	struct mem_region r = {
		.gpa = gpa,
		.size = size,
		.hva = hva,
		.backing = MEM_BORROWED,
		.flags = flags,
		.fd = -1,
		.name = name,
	};
	int at = find_place(mem, gpa, size);

	return at < 0 ? at : insert_region(mem, (unsigned int)at, &r);
}

int memory_add_listener(struct guest_memory *mem, struct mem_listener *listener)
{
	for (unsigned int i = 0; i < mem->count; i++) {
		int ret = listener->add(listener, &mem->regions[i]);

		if (ret) {
			while (i-- > 0)
				listener->remove(listener, &mem->regions[i]);
			return ret;
		}
	}
	listener->next = mem->listeners;
	mem->listeners = listener;
	return 0;
}

/* The RAM region that holds @gpa, or NULL. Few regions, so a linear search is the quickest. */
static const struct mem_region *find_ram(const struct guest_memory *mem, u64 gpa)
{
	for (unsigned int i = 0; i < mem->count; i++) {
		const struct mem_region *r = &mem->regions[i];

		if (gpa >= r->gpa && gpa - r->gpa < r->size)
			return r->flags & MEM_ROM ? NULL : r;
	}
	return NULL;
}

void *memory_ptr(const struct guest_memory *mem, u64 gpa, u64 len)
{
	const struct mem_region *r = find_ram(mem, gpa);

	if (!r || len > r->size - (gpa - r->gpa))
		return NULL;
	return (u8 *)r->hva + (gpa - r->gpa);
}

bool memory_is_ram(const struct guest_memory *mem, u64 gpa, u64 len)
{
	while (len) {
		const struct mem_region *r = find_ram(mem, gpa);
		u64 n;

		if (!r)
			return false;
		n = MIN(len, r->size - (gpa - r->gpa));
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
		const struct mem_region *r = find_ram(mem, gpa);
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
	for (unsigned int i = 0; i < mem->count; i++) {
		const struct mem_region *r = &mem->regions[i];
		int ret = -1;

		if (r->flags & MEM_ROM)
			continue;
		if (r->backing == MEM_ANON)
			ret = madvise(r->hva, r->size, MADV_DONTNEED);
		else if (r->fd >= 0)
			ret = fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
					(off_t)r->size);
		if (ret < 0)
			memset(r->hva, 0, r->size);
	}
}

u64 memory_ram_size(const struct guest_memory *mem)
{
	u64 sum = 0;

	for (unsigned int i = 0; i < mem->count; i++)
		if (!(mem->regions[i].flags & MEM_ROM))
			sum += mem->regions[i].size;
	return sum;
}
