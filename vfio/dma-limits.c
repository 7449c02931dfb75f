/* SPDX-License-Identifier: MIT */
/*
 * What may stand in the way of pinning guest memory, found before the first page is: the limit of
 * locked memory (setrlimit(2), RLIMIT_MEMLOCK), memory that the host does not have, and addresses
 * that the IOMMU reserves (Linux Documentation/ABI/testing/sysfs-kernel-iommu_groups).
 */
#include <errno.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attr.h"
#include "iommu.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

static const char *first_device(const struct vfio_set *set)
{
	return set->devices[0].cfg->device;
}

/* The number in the line "@key: NUMBER kB" of a file of /proc, in bytes; -errno. */
static int read_kib(const char *root, const char *file, const char *key, u64 *out)
{
	char path[PATH_MAX], line[256], *rest;
	int ret = -ENOENT;
	FILE *f;

	snprintf(path, sizeof(path), "%s%s", root, file);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (ret && fgets(line, sizeof(line), f)) {
		const char *first = strtok_r(line, ": \t\n", &rest);
		const char *number = first ? strtok_r(NULL, " \t\n", &rest) : NULL;
		u64 kib;

		if (!number || strcmp(first, key) || parse_u64(number, &kib) ||
		    kib > UINT64_MAX / KiB)
			continue;
		*out = kib * KiB;
		ret = 0;
	}
	fclose(f);
	return ret;
}

static bool may_lock_all(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { { 0 } };

	return !syscall(SYS_capget, &header, data) && data[0].effective & BIT(CAP_IPC_LOCK);
}

/* Less what this process has locked already. The soft limit is raised for what is wanted. */
static u64 host_lock_room(void *opaque, u64 wanted)
{
	struct rlimit limit;
	u64 locked = 0;

	if (may_lock_all() || getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		return ~0ULL;
	if (read_kib("", "/proc/self/status", "VmLck", &locked))
		locked = 0;
	wanted += locked;
	if (limit.rlim_cur < wanted && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = MIN((rlim_t)wanted, limit.rlim_max);
		if (setrlimit(RLIMIT_MEMLOCK, &limit) < 0 || getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
			return ~0ULL;
	}
	if (limit.rlim_cur == RLIM_INFINITY)
		return ~0ULL;
	return limit.rlim_cur > locked ? limit.rlim_cur - locked : 0;
}

const struct vfio_host vfio_this_host = {
	.calls = &vfio_host_calls,
	.root = "",
	.lock_room = host_lock_room,
	.clock = now_ns,
};

int vfio_check_limits(struct vfio_set *set, const struct guest_memory *mem)
{
	const struct memory_region *r;
	u64 pinned = 0, fresh = 0, room, free_bytes;
	char need[32], have[32];

	/* mdevs' drivers pin a page when they use it. */
	if (!set->pins)
		return 0;
	memory_for_each(mem, r) {
		if (r->kind != MEM_DEVICE)
			pinned += r->size;
		/* Huge pages are set aside already, and a file's pages may be there. */
		if (r->backing == MEM_ANON || r->backing == MEM_MEMFD)
			fresh += r->size;
	}
	room = set->host->lock_room(set->host->opaque, pinned);
	if (room < pinned) {
		err("--vfio %s: needs %s of locked memory, the limit is %s: raise it (ulimit -l "
		    "%llu, LimitMEMLOCK= of systemd) or give the guest less (--mem)",
		    first_device(set), format_size(pinned, need, sizeof(need)),
		    format_size(room, have, sizeof(have)), ALIGN_UP(pinned, KiB) / KiB);
		return -ENOMEM;
	}
	if (!read_kib(set->host->root, "/proc/meminfo", "MemAvailable", &free_bytes) &&
	    free_bytes < fresh) {
		err("--vfio %s: all guest memory is pinned, %lluM, and the host has %lluM left "
		    "(/proc/meminfo, MemAvailable): give the guest less (--mem)",
		    first_device(set), fresh / MiB, free_bytes / MiB);
		return -ENOMEM;
	}
	return 0;
}

/* Reserved addresses */

/* The first of [iova, last] that is in no range; false: all are. */
static bool find_hole(const struct vfio_iommu_info *info, u64 iova, u64 last, u64 *hole)
{
	bool moved = true;

	if (!info->nr_ranges)
		return false;
	/* They are ordered as the kernel says them; believed is only that they are ranges. */
	while (moved) {
		moved = false;
		for (u32 i = 0; i < info->nr_ranges; i++) {
			const struct vfio_window *r = &info->ranges[i];

			if (iova < r->start || iova > r->last)
				continue;
			if (r->last >= last)
				return false;
			iova = r->last + 1;
			moved = true;
		}
	}
	*hole = iova;
	return true;
}

bool vfio_iova_is_usable(const struct vfio_iommu_info *info, u64 iova, u64 size)
{
	u64 hole;

	return !find_hole(info, iova, iova + size - 1, &hole);
}

/* Where the hole that holds @at ends, ~0: nowhere. */
static u64 hole_last(const struct vfio_iommu_info *info, u64 at)
{
	u64 last = ~0ULL;

	for (u32 i = 0; i < info->nr_ranges; i++)
		if (info->ranges[i].start > at && info->ranges[i].start - 1 < last)
			last = info->ranges[i].start - 1;
	return last;
}

/* "START LAST KIND": what @at is kept for, NULL: another place. */
static const char *kept_for(char *line, u64 at)
{
	char *rest;
	const char *from = strtok_r(line, " \t\n", &rest);
	const char *to = from ? strtok_r(NULL, " \t\n", &rest) : NULL;
	const char *kind = to ? strtok_r(NULL, " \t\n", &rest) : NULL;
	u64 start, last;

	if (!kind || parse_u64(from, &start) || parse_u64(to, &last) || at < start || at > last)
		return NULL;
	return !strcmp(kind, "msi")	     ? "for interrupts"
	       : !strncmp(kind, "direct", 6) ? "for the firmware (RMRR)"
					     : "as not to be used";
}

/* What the kernel keeps @at for, of a group of the set's; NULL: it does not say. */
static const char *reserved_for(const struct vfio_set *set, u64 at)
{
	char path[PATH_MAX], line[128];
	const char *what = NULL;

	for (u32 i = 0; i < set->nr_devices && !what; i++) {
		u32 group;
		FILE *f;

		if (vfio_attr_group(set->host->root, set->devices[i].name.sysfs, &group))
			continue;
		snprintf(path, sizeof(path), "%s/sys/kernel/iommu_groups/%u/reserved_regions",
			 set->host->root, group);
		f = fopen(path, "re");
		while (f && !what && fgets(line, sizeof(line), f))
			what = kept_for(line, at);
		if (f)
			fclose(f);
	}
	return what;
}

int vfio_check_iova(struct vfio_set *set, const struct memory_region *r)
{
	const struct vfio_iommu_info *info = &set->dma.info;
	u64 last = r->gpa + r->size - 1, hole, end;
	const char *what;

	if (!find_hole(info, r->gpa, last, &hole))
		return 0;
	end = hole_last(info, hole);
	if (end == ~0ULL) {
		err("--vfio %s: guest memory reaches up to 0x%llx, the IOMMU only to 0x%llx: give "
		    "the guest less (--mem)",
		    first_device(set), last, hole - 1);
		return -ERANGE;
	}
	what = reserved_for(set, hole);
	err("--vfio %s: guest memory at 0x%llx-0x%llx includes 0x%llx-0x%llx, which the IOMMU "
	    "reserves%s%s; give the guest so little that it ends below (--mem)",
	    first_device(set), r->gpa, last, hole, end, what ? " " : "", what ? what : "");
	return -ERANGE;
}
