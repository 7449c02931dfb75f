/* SPDX-License-Identifier: MIT */
/* Host mappings of guest memory, one backing at a time (see include/lkvm/memory.h). */
#include "lkvm/memory-map.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/shared-map.h"

/* A file that ends within the region would kill whoever touches what is missing (SIGBUS). */
static int check_length(int fd, u64 offset, u64 size)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode) && !range_within(offset, size, 0, (u64)st.st_size))
		return -EINVAL;
	return 0;
}

/* A new file of @size bytes, or -1 and errno. Huge pages are reserved when it is mapped: without
 * enough of them that fails, not the guest later. */
static int new_file(int fd, u64 size)
{
	int error;

	if (fd < 0 || !ftruncate(fd, (off_t)size))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

/* The descriptor behind the region, -1 where there is none; *error is 0 or -errno. */
static int open_backing(const struct memory_desc *d, int *error)
{
	int fd = -1;

	*error = 0;
	switch (d->backing) {
	case MEM_ANON:
	case MEM_BORROWED:
		return -1;
	case MEM_MEMFD:
		fd = new_file(memfd_create(d->name, MFD_CLOEXEC), d->size);
		break;
	case MEM_HUGETLB:
		/* An unnamed file: nothing stays on the mount, however the process ends. */
		fd = new_file(open(d->path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600), d->size);
		break;
	case MEM_FILE:
		fd = d->path ? open(d->path,
				    (d->kind == MEM_PMEM_RO ? O_RDONLY : O_RDWR) | O_CLOEXEC)
			     : fcntl(d->fd, F_DUPFD_CLOEXEC, 0);
		break;
	case MEM_GUEST_MEMFD:
		fd = fcntl(d->fd, F_DUPFD_CLOEXEC, 0);
		break;
	}
	if (fd < 0)
		*error = -errno;
	return fd;
}

static int map_pages(struct memory_region *r)
{
	int flags = r->fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED;

	r->hva = mmap(NULL, r->size, PROT_READ | PROT_WRITE, flags, r->fd, (off_t)r->offset);
	if (r->hva == MAP_FAILED)
		return -errno;
	return 0;
}

/* A host address like KVM and the host's huge pages want it: addresses without memory, of which the
 * beginning is given back. */
static int reserve(struct memory_region *r, u64 align)
{
	u8 *room = mmap(NULL, r->size + align, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	u64 before;

	if (room == MAP_FAILED)
		return -errno;
	before = ALIGN_UP((u64)(uintptr_t)room, align) - (u64)(uintptr_t)room;
	if (before)
		munmap(room, before);
	munmap(room + before + r->size, align - before);
	r->hva = room + before;
	return 0;
}

/* The file, then, of ROM, zeroes. */
static int map_file(const struct memory_desc *d, struct memory_region *r)
{
	int prot = d->kind == MEM_PMEM_RO ? PROT_READ : PROT_READ | PROT_WRITE;
	u64 page = MAX(d->page, (u64)sysconf(_SC_PAGESIZE));
	u64 len = MIN(ALIGN_UP(r->file_len, page), r->size);
	int ret = reserve(r, MAX(d->align, page));

	if (ret)
		return ret;
	if (mmap(r->hva, len, prot, MAP_SHARED | MAP_FIXED, r->fd, (off_t)r->offset) ==
		    MAP_FAILED ||
	    (len < r->size && mprotect((u8 *)r->hva + len, r->size - len, prot))) {
		ret = -errno;
		munmap(r->hva, r->size);
		return ret;
	}
	r->guard = (struct memory_guard){
		.begin = (uintptr_t)r->hva,
		.end = (uintptr_t)r->hva + len,
		.page = page,
		.prot = prot,
		.fd = d->lost_fd,
	};
	ret = memory_guard_add(&r->guard);
	if (ret)
		munmap(r->hva, r->size);
	return ret;
}

static int map_region(const struct memory_desc *d, struct memory_region *r)
{
	int ret = d->backing == MEM_BORROWED ? 0
		  : d->backing == MEM_FILE   ? map_file(d, r)
					     : map_pages(r);

	/* A core dump is for lkvm's own state; a guest's memory would make it huge. */
	if (!ret && (d->backing == MEM_ANON || d->backing == MEM_FILE))
		madvise(r->hva, r->size, MADV_DONTDUMP);
	return ret;
}

static int open_private(const struct memory_desc *d, struct memory_region *r)
{
	if (!d->private)
		return 0;
	r->private_fd = fcntl(d->private_fd, F_DUPFD_CLOEXEC, 0);
	if (r->private_fd < 0)
		return -errno;
	r->shared = shared_map_new(d->size);
	return r->shared ? 0 : -ENOMEM;
}

static void free_region(struct memory_region *r)
{
	free(r->shared);
	if (r->private_fd >= 0)
		close(r->private_fd);
	if (r->fd >= 0)
		close(r->fd);
	free(r);
}

int memory_map(const struct memory_desc *d, struct memory_region **out)
{
	struct memory_region *r = calloc(1, sizeof(*r));
	int ret;

	if (!r)
		return -ENOMEM;
	r->gpa = d->gpa;
	r->size = d->size;
	r->kind = d->kind;
	r->backing = d->backing;
	r->name = d->name;
	r->hva = d->hva;
	r->private_fd = -1;
	r->fd = open_backing(d, &ret);
	if (ret)
		goto fail;
	ret = open_private(d, r);
	if (ret)
		goto fail;
	if (d->backing == MEM_FILE || d->backing == MEM_GUEST_MEMFD)
		r->offset = d->offset;
	r->file_len = d->file_len ? d->file_len : d->size;
	if (d->backing == MEM_FILE)
		ret = check_length(r->fd, r->offset, r->file_len);
	if (!ret)
		ret = map_region(d, r);
	if (ret)
		goto fail;
	*out = r;
	return 0;
fail:
	free_region(r);
	return ret;
}

void memory_advise(const struct memory_region *r, bool huge)
{
	if (r->backing == MEM_ANON)
		madvise(r->hva, r->size, huge ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
}

void memory_unmap(struct memory_region *r)
{
	memory_guard_remove(&r->guard);
	if (r->backing != MEM_BORROWED)
		munmap(r->hva, r->size);
	free_region(r);
}

static int punch_hole(int fd, u64 offset, u64 len)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	return fallocate(fd, mode, (off_t)offset, (off_t)len) < 0 ? -errno : 0;
}

int memory_discard_private(const struct memory_region *r, u64 offset, u64 len)
{
	return punch_hole(r->private_fd, offset, len);
}

void memory_discard(const struct memory_region *r, u64 offset, u64 len)
{
	u8 *hva = (u8 *)r->hva + offset;
	int ret = -1;

	if (r->backing == MEM_ANON)
		ret = madvise(hva, len, MADV_DONTNEED);
	else if (r->fd >= 0)
		ret = punch_hole(r->fd, r->offset + offset, len);
	if (ret < 0)
		memset(hva, 0, len);
}
