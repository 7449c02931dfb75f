/* SPDX-License-Identifier: MIT */
/*
 * Guest memory as it is, for a dump (see include/lkvm/memory.h). Through the mapping a page of a
 * file that nobody has touched would be made, and one that the hardware lost would raise SIGBUS:
 * files are read as files, and the rest by the kernel, which tells of both in other ways.
 */
#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lkvm/memory.h"
#include "lkvm/util.h"

#define PAGE 4096U

/* Files of hugetlbfs, and shared memory, read as zeroes where there is nothing. */
static bool is_file(const struct memory_region *r)
{
	return r->fd >= 0 &&
	       (r->backing == MEM_MEMFD || r->backing == MEM_HUGETLB || r->backing == MEM_FILE);
}

/* One try; how many bytes, or -errno. */
static ssize_t read_some(const struct memory_region *r, u64 offset, void *buf, size_t len)
{
	struct iovec local = { .iov_base = buf, .iov_len = len };
	struct iovec remote = { .iov_base = (u8 *)r->hva + offset, .iov_len = len };
	ssize_t n;

	if (is_file(r))
		n = pread(r->fd, buf, len, (off_t)(r->offset + offset));
	else
		n = syscall(SYS_process_vm_readv, getpid(), &local, 1UL, &remote, 1UL, 0UL);
	return n < 0 ? -errno : n;
}

static void peek_region(const struct memory_region *r, u64 offset, u8 *buf, size_t len)
{
	while (len) {
		ssize_t n = read_some(r, offset, buf, len);

		if (n == -EINTR)
			continue;
		if (n == -ENOSYS || n == -EPERM) {
			/* A sandbox that forbids it, and a mapping that is guarded or ours. */
			memcpy(buf, (u8 *)r->hva + offset, len);
			return;
		}
		if (n <= 0) {
			/* A page that was lost, or lies behind the end of its file. */
			n = (ssize_t)MIN(len, (size_t)(PAGE - offset % PAGE));
			memset(buf, 0, (size_t)n);
		}
		offset += (u64)n;
		buf += n;
		len -= (size_t)n;
	}
}

int memory_peek(const struct guest_memory *mem, u64 gpa, void *buf, size_t len)
{
	u8 *to = buf;

	while (len) {
		const struct memory_region *r = memory_find(mem, gpa);
		size_t n;

		if (!r || r->kind == MEM_DEVICE || r->private_fd >= 0)
			return -EFAULT;
		n = (size_t)MIN((u64)len, r->size - (gpa - r->gpa));
		peek_region(r, gpa - r->gpa, to, n);
		gpa += n;
		to += n;
		len -= n;
	}
	return 0;
}
