/* SPDX-License-Identifier: MIT */
/*
 * Guest memory for the DMA of the set's devices: I/O addresses are guest physical ones. The kernel
 * pins what is mapped, and fills and zeroes it for that, which takes a second for some gigabytes
 * and keeps a host CPU for as long as one call lasts. So memory is mapped in pieces whose size
 * follows the time that they take; a signal ends lkvm between two.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iommu.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define FIRST_PIECE (512 * MiB)
#define MIN_PIECE   (2 * MiB) /* a huge page of most hosts */
#define MAX_PIECE   (64 * GiB)
/* One call should last less than the one, and need not be as short as the other. */
#define LONG_NS	    (100 * 1000000ULL)
#define SHORT_NS    (40 * 1000000ULL)
#define PROGRESS_NS (1000 * 1000000ULL)
/* Maps of a container that are kept for what comes later, BARs, where there are so many. */
#define SPARE_MAPS 64U

static const char *first_device(const struct vfio_set *set)
{
	return set->devices[0].cfg->device;
}

/* Few maps are left: pieces become larger than time alone would have them. */
static u64 next_piece(const struct vfio_dma *dma, u64 rest)
{
	u64 piece = dma->piece;
	u64 maps = dma->info.maps > dma->spare ? dma->info.maps - dma->spare : 1;

	if (dma->starting && dma->done < dma->all)
		rest = MAX(rest, dma->all - dma->done);
	/* One more for each end that is no multiple of it. */
	while (piece < BIT_ULL(62) && rest / piece + 2 > maps)
		piece *= 2;
	return piece;
}

/* @size bytes took @ns. */
static void learn(struct vfio_dma *dma, u64 size, u64 ns)
{
	/* What was smaller says nothing of a whole one. */
	if (ns < SHORT_NS && size >= dma->piece && dma->piece < MAX_PIECE)
		dma->piece *= 2;
	for (; ns > LONG_NS && dma->piece > MIN_PIECE; ns /= 2)
		dma->piece /= 2;
}

/* How much of @rest bytes at @iova is mapped next: up to a multiple of the piece. */
static u64 piece_at(const struct vfio_dma *dma, u64 iova, u64 rest)
{
	u64 piece = next_piece(dma, rest);

	return MIN(rest, piece - (iova & (piece - 1)));
}

/* Map all of @r, or nothing. */
static int map_region(struct vfio_set *set, const struct memory_region *r, bool writable)
{
	struct vfio_dma *dma = &set->dma;
	u64 done = 0;

	while (done < r->size) {
		u64 size = piece_at(dma, r->gpa + done, r->size - done), start;
		int ret;

		if (dma->starting && set->pins)
			log_progress("pinning", "guest memory", dma->done, dma->all);
		start = set->host->clock();
		ret = dma->starting && vfio_set_is_to_end(set) ? -EINTR : 0;
		if (!ret)
			ret = set->iommu->map(set, r->gpa + done, size, (u8 *)r->hva + done,
					      writable);
		if (ret) {
			if (done)
				(void)set->iommu->unmap(set, r->gpa, done);
			return ret;
		}
		learn(dma, size, set->host->clock() - start);
		if (dma->info.maps != ~0U && dma->info.maps)
			dma->info.maps--;
		done += size;
		if (r->kind != MEM_DEVICE)
			dma->done += size;
	}
	return 0;
}

static const char *hint_for(const struct memory_region *r, int error)
{
	if (error == -ENOMEM)
		return "; all of it is pinned: give the guest less (--mem), or raise the limit of "
		       "locked memory (ulimit -l, LimitMEMLOCK= of systemd)";
	/* Linux mm/gup.c, writable_file_mapping_allowed; pages of DAX */
	if (r->kind == MEM_PMEM && (error == -EFAULT || error == -EOPNOTSUPP))
		return "; the file system of --pmem's file does not let devices write: use tmpfs, "
		       "or --pmem FILE,ro";
	return "";
}

static void say_failed(struct vfio_set *set, const struct memory_region *r, int ret)
{
	char size[32];

	if (ret == -ENOSPC)
		err("--vfio %s: the IOMMU driver takes no more maps; raise the module parameter "
		    "vfio_iommu_type1.dma_entry_limit",
		    first_device(set));
	else
		err("--vfio %s: cannot map %s of guest memory at 0x%llx for DMA: %s%s",
		    first_device(set), format_size(r->size, size, sizeof(size)), r->gpa,
		    strerror(-ret), hint_for(r, ret));
}

/* What devices need not reach */

/* It is not mapped, so it is not to be unmapped. */
static int leave_out(struct vfio_dma *dma, u64 gpa)
{
	u64 *more = realloc(dma->left_out, (dma->nr_left_out + 1) * sizeof(*more));

	if (!more)
		return -ENOMEM;
	dma->left_out = more;
	more[dma->nr_left_out++] = gpa;
	return 0;
}

static bool was_left_out(struct vfio_dma *dma, u64 gpa)
{
	for (u32 i = 0; i < dma->nr_left_out; i++) {
		if (dma->left_out[i] != gpa)
			continue;
		dma->left_out[i] = dma->left_out[--dma->nr_left_out];
		return true;
	}
	return false;
}

/* Does a device other than @dev do DMA by itself? */
static bool has_peer(const struct vfio_set *set, const struct vfio_device *dev)
{
	for (u32 i = 0; i < set->nr_devices; i++)
		if (&set->devices[i] != dev && set->devices[i].name.bus == VFIO_BUS_PCI)
			return true;
	return false;
}

static int map_bar_of(struct vfio_set *set, struct vfio_device *dev, const struct vfio_mapped *map,
		      const struct memory_region *r)
{
	struct vfio_dma *dma = &set->dma;
	u64 offset = map->offset + (u64)((u8 *)r->hva - map->hva);
	int ret;

	if (!vfio_iova_is_usable(&dma->info, r->gpa, r->size))
		ret = -ERANGE;
	else if ((r->gpa | r->size) & (dma->info.page - 1))
		ret = -EINVAL;
	else if (set->iommu->map_bar)
		ret = set->iommu->map_bar(set, r->gpa, r->size, dev, map->region, offset);
	else
		ret = map_region(set, r, true);
	if (ret && !dma->bar_said)
		info("--vfio %s: the other devices do not reach its BAR %u: %s", dev->cfg->device,
		     map->region,
		     ret == -ENOTTY ? "the kernel gives no dma-buf of it (CONFIG_VFIO_PCI_DMABUF)"
				    : strerror(-ret));
	dma->bar_said |= ret != 0;
	return ret;
}

/* A BAR, for its peers. Without it the machine is nearly the same, so a failure is said once. */
static int map_bar(struct vfio_set *set, const struct memory_region *r)
{
	for (u32 i = 0; i < set->nr_devices; i++) {
		struct vfio_device *dev = &set->devices[i];
		const struct vfio_mapped *map = vfio_device_find_map(dev, r->hva, r->size);

		if (map)
			return has_peer(set, dev) ? map_bar_of(set, dev, map, r) : -ENODEV;
	}
	return -ENODEV;
}

/* ROM and what nobody writes: drivers have little to send from there. */
static int map_unneeded(struct vfio_set *set, const struct memory_region *r)
{
	int ret = -ERANGE;

	if (vfio_iova_is_usable(&set->dma.info, r->gpa, r->size))
		ret = map_region(set, r, false);
	if (ret)
		debug("VFIO: devices do not reach %s at 0x%llx: %s", r->name, r->gpa,
		      strerror(-ret));
	return ret;
}

static int on_add(struct memory_listener *l, const struct memory_region *r)
{
	struct vfio_set *set = container_of(l, struct vfio_set, dma.listener);
	int ret;

	if (memory_is_writable(r->kind)) {
		ret = vfio_check_iova(set, r);
		if (ret)
			return ret;
		ret = map_region(set, r, true);
		if (ret && ret != -EINTR)
			say_failed(set, r, ret);
		return ret;
	}
	ret = r->kind == MEM_DEVICE ? map_bar(set, r) : map_unneeded(set, r);
	return ret ? leave_out(&set->dma, r->gpa) : 0;
}

static int on_remove(struct memory_listener *l, const struct memory_region *r)
{
	struct vfio_set *set = container_of(l, struct vfio_set, dma.listener);
	int ret = was_left_out(&set->dma, r->gpa) ? 0 : set->iommu->unmap(set, r->gpa, r->size);

	if (ret)
		warn("VFIO: devices may still reach what was at 0x%llx (%s): %s", r->gpa, r->name,
		     strerror(-ret));
	return ret;
}

static void say_pinned(const struct vfio_set *set, u64 ns)
{
	char size[32];

	log_progress_end();
	if (ns < PROGRESS_NS || !set->pins)
		return;
	info("VFIO: %s of guest memory pinned in %llu.%llu s",
	     format_size(set->dma.done, size, sizeof(size)), ns / 1000000000ULL,
	     ns / 100000000ULL % 10);
}

static u64 sum_needed(const struct guest_memory *mem)
{
	const struct memory_region *r;
	u64 sum = 0;

	memory_for_each(mem, r)
		if (r->kind != MEM_DEVICE)
			sum += r->size;
	return sum;
}

static void forget(struct vfio_dma *dma, struct guest_memory *mem)
{
	free(dma->left_out);
	dma->left_out = NULL;
	dma->nr_left_out = 0;
	dma->listening = false;
	atomic_store(&mem->pinned, false);
	free(dma->info.ranges);
	dma->info.ranges = NULL;
	dma->info.nr_ranges = 0;
}

int vfio_dma_start(struct vfio_set *set, struct guest_memory *mem)
{
	struct vfio_dma *dma = &set->dma;
	u64 host_page = (u64)sysconf(_SC_PAGESIZE), start = set->host->clock();
	int ret = vfio_check_limits(set, mem);

	if (ret)
		return ret;
	*dma = (struct vfio_dma){
		.listener = { .add = on_add, .remove = on_remove },
		.piece = FIRST_PIECE,
		.starting = true,
		.all = sum_needed(mem),
	};
	ret = set->iommu->describe(set, &dma->info);
	if (ret) {
		free(dma->info.ranges);
		dma->info.ranges = NULL;
		err("--vfio %s: cannot ask the IOMMU driver what it maps: %s", first_device(set),
		    strerror(-ret));
		return ret;
	}
	dma->spare = MIN(SPARE_MAPS, dma->info.maps / 2);
	if (!dma->info.page || dma->info.page & (dma->info.page - 1))
		dma->info.page = host_page;
	/* Before the first page is pinned. A guest's page that was given back would be another one
	 * for the guest than for the device; a driver of an mdev pins when it likes. */
	atomic_store(&mem->pinned, true);
	ret = memory_add_listener(mem, &dma->listener);
	dma->starting = false;
	say_pinned(set, set->host->clock() - start);
	dma->listening = true;
	if (ret)
		forget(dma, mem);
	return ret;
}

void vfio_dma_stop(struct vfio_set *set, struct guest_memory *mem)
{
	if (!set->dma.listening)
		return;
	memory_remove_listener(mem, &set->dma.listener);
	forget(&set->dma, mem);
}
