/* SPDX-License-Identifier: MIT */
/*
 * An open device: its regions, interrupts and features (Linux include/uapi/linux/vfio.h). What the
 * kernel says of them is believed as far as it is consistent: drivers of mdevs are software.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vfio.h"
#include "vfio-abi.h"

/* More than any driver says of a region. */
#define MAX_REGION_INFO (64 * KiB)
#define MAX_AREAS	256U

static int device_ioctl(struct vfio_device *dev, unsigned long request, void *arg)
{
	return dev->calls->ioctl(dev->opaque, dev->fd, request, arg);
}

/* What a region may be mapped of */

static int compare_areas(const void *a, const void *b)
{
	const struct vfio_area *x = a, *y = b;

	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Keep what is of whole pages, in the region and not twice there. */
static void tidy_areas(struct vfio_region *region)
{
	u64 page = (u64)sysconf(_SC_PAGESIZE), end = 0;
	u32 kept = 0;

	qsort(region->areas, region->nr_areas, sizeof(region->areas[0]), compare_areas);
	for (u32 i = 0; i < region->nr_areas; i++) {
		struct vfio_area area = region->areas[i];

		if (!area.size || (area.offset | area.size) & (page - 1) || area.offset < end ||
		    !range_within(area.offset, area.size, 0, region->size))
			continue;
		end = area.offset + area.size;
		region->areas[kept++] = area;
	}
	region->nr_areas = kept;
}

static void take_sparse(struct vfio_region *region, const u8 *cap, size_t room)
{
	const struct vfio_region_info_cap_sparse_mmap *sparse = (const void *)cap;
	u32 nr;

	if (room < sizeof(*sparse) || region->areas)
		return;
	nr = MIN(sparse->nr_areas, MAX_AREAS);
	nr = (u32)MIN(nr, (room - sizeof(*sparse)) / sizeof(sparse->areas[0]));
	region->areas = xcalloc(nr + 1, sizeof(region->areas[0]));
	for (u32 i = 0; i < nr; i++)
		region->areas[i] =
			(struct vfio_area){ sparse->areas[i].offset, sparse->areas[i].size };
	region->nr_areas = nr;
}

/* The chain goes forward; one that does not is cut off. */
static void take_capabilities(struct vfio_region *region, const u8 *info, u32 len, u32 at)
{
	const struct vfio_info_cap_header *cap;

	for (; at && at % 8 == 0 && range_within(at, sizeof(*cap), 0, len); at = cap->next) {
		cap = (const void *)(info + at);
		if (cap->id == VFIO_REGION_INFO_CAP_SPARSE_MMAP)
			take_sparse(region, info + at, len - at);
		if (cap->next <= at)
			break;
	}
}

static void take_whole(struct vfio_region *region)
{
	region->areas = xcalloc(1, sizeof(region->areas[0]));
	region->areas[0] = (struct vfio_area){ 0, region->size };
	region->nr_areas = 1;
}

/* Asked twice where there is more to say than the first answer had room for. */
static int inspect_region(struct vfio_device *dev, u32 index)
{
	struct vfio_region *region = &dev->regions[index];
	u32 len = sizeof(struct vfio_region_info);
	struct vfio_region_info *info = xcalloc(1, len);
	int ret;

	*info = (struct vfio_region_info){ .argsz = len, .index = index };
	ret = device_ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, info);
	if (ret >= 0 && info->argsz > len && info->argsz <= MAX_REGION_INFO) {
		len = info->argsz;
		free(info);
		info = xcalloc(1, len);
		*info = (struct vfio_region_info){ .argsz = len, .index = index };
		ret = device_ioctl(dev, VFIO_DEVICE_GET_REGION_INFO, info);
	}
	/* -EINVAL: there is no such region (VGA, most often). */
	if (ret >= 0) {
		region->size = info->size;
		region->offset = info->offset;
		region->flags = info->flags;
		if (info->flags & VFIO_REGION_INFO_FLAG_CAPS)
			take_capabilities(region, (const u8 *)info, len, info->cap_offset);
		if (!region->areas && info->flags & VFIO_REGION_INFO_FLAG_MMAP)
			take_whole(region);
		if (region->areas)
			tidy_areas(region);
	}
	free(info);
	return ret == -EINVAL || ret > 0 ? 0 : ret;
}

static int inspect_irq(struct vfio_device *dev, u32 index)
{
	struct vfio_irq_info info = { .argsz = sizeof(info), .index = index };
	int ret = device_ioctl(dev, VFIO_DEVICE_GET_IRQ_INFO, &info);

	if (ret >= 0)
		dev->irqs[index] = (struct vfio_irq){ info.flags, info.count };
	return ret == -EINVAL || ret > 0 ? 0 : ret;
}

int vfio_device_inspect(struct vfio_device *dev)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };
	const char *what = "VFIO_DEVICE_GET_INFO";
	int ret = device_ioctl(dev, VFIO_DEVICE_GET_INFO, &info);

	if (ret >= 0) {
		dev->flags = info.flags;
		dev->nr_regions = MIN(info.num_regions, VFIO_MAX_REGIONS);
		dev->nr_irqs = MIN(info.num_irqs, VFIO_MAX_IRQS);
		ret = 0;
	}
	for (u32 i = 0; i < dev->nr_regions && !ret; i++) {
		what = "VFIO_DEVICE_GET_REGION_INFO";
		ret = inspect_region(dev, i);
	}
	for (u32 i = 0; i < dev->nr_irqs && !ret; i++) {
		what = "VFIO_DEVICE_GET_IRQ_INFO";
		ret = inspect_irq(dev, i);
	}
	if (ret)
		err("--vfio %s: %s: %s", dev->name.id, what, strerror(-ret));
	return ret;
}

void vfio_device_forget(struct vfio_device *dev)
{
	for (u32 i = 0; i < VFIO_MAX_REGIONS; i++) {
		free(dev->regions[i].areas);
		dev->regions[i] = (struct vfio_region){ 0 };
	}
	dev->nr_regions = 0;
	dev->nr_irqs = 0;
	free(dev->mapped);
	dev->mapped = NULL;
	dev->nr_mapped = 0;
}

/* Regions */

static const struct vfio_region *find_range(const struct vfio_device *dev, u32 region, u64 offset,
					    u64 len)
{
	if (region >= dev->nr_regions || !range_within(offset, len, 0, dev->regions[region].size))
		return NULL;
	return &dev->regions[region];
}

int vfio_device_read(struct vfio_device *dev, u32 region, u64 offset, void *buf, u32 len)
{
	const struct vfio_region *r = find_range(dev, region, offset, len);
	ssize_t n;

	if (!r)
		return -EINVAL;
	n = dev->calls->pread(dev->opaque, dev->fd, buf, len, r->offset + offset);
	return n < 0 ? (int)n : n == (ssize_t)len ? 0 : -EIO;
}

int vfio_device_write(struct vfio_device *dev, u32 region, u64 offset, const void *buf, u32 len)
{
	const struct vfio_region *r = find_range(dev, region, offset, len);
	ssize_t n;

	if (!r)
		return -EINVAL;
	n = dev->calls->pwrite(dev->opaque, dev->fd, buf, len, r->offset + offset);
	return n < 0 ? (int)n : n == (ssize_t)len ? 0 : -EIO;
}

void *vfio_device_map(struct vfio_device *dev, u32 region, u64 offset, u64 size)
{
	const struct vfio_region *r = find_range(dev, region, offset, size);
	int prot = 0;
	void *p;

	if (!r) {
		errno = EINVAL;
		return NULL;
	}
	if (r->flags & VFIO_REGION_INFO_FLAG_READ)
		prot |= PROT_READ;
	if (r->flags & VFIO_REGION_INFO_FLAG_WRITE)
		prot |= PROT_WRITE;
	p = dev->calls->mmap(dev->opaque, size, prot, dev->fd, r->offset + offset);
	if (!p)
		return NULL;
	dev->mapped = xrealloc(dev->mapped, (dev->nr_mapped + 1) * sizeof(dev->mapped[0]));
	dev->mapped[dev->nr_mapped++] = (struct vfio_mapped){ p, size, region, offset };
	return p;
}

const struct vfio_mapped *vfio_device_find_map(const struct vfio_device *dev, const void *p,
					       u64 size)
{
	for (u32 i = 0; i < dev->nr_mapped; i++)
		if (range_within((uintptr_t)p, size, (uintptr_t)dev->mapped[i].hva,
				 dev->mapped[i].size))
			return &dev->mapped[i];
	return NULL;
}

void vfio_device_unmap(struct vfio_device *dev, void *p, u64 size)
{
	for (u32 i = 0; i < dev->nr_mapped; i++) {
		if (dev->mapped[i].hva != p)
			continue;
		dev->mapped[i] = dev->mapped[--dev->nr_mapped];
		break;
	}
	dev->calls->munmap(dev->opaque, p, size);
}

/* Interrupts */

int vfio_device_set_irqs(struct vfio_device *dev, u32 index, u32 start, const s32 *fds, u32 count)
{
	u32 len = (u32)sizeof(struct vfio_irq_set) + count * (u32)sizeof(fds[0]);
	struct vfio_irq_set *set = calloc(1, len);
	int ret;

	if (!set)
		return -ENOMEM;
	set->argsz = len;
	set->flags = VFIO_IRQ_SET_ACTION_TRIGGER |
		     (count ? VFIO_IRQ_SET_DATA_EVENTFD : VFIO_IRQ_SET_DATA_NONE);
	set->index = index;
	set->start = start;
	set->count = count;
	if (count)
		memcpy(set->data, fds, count * sizeof(fds[0]));
	ret = device_ioctl(dev, VFIO_DEVICE_SET_IRQS, set);
	free(set);
	return ret;
}

int vfio_device_irq_action(struct vfio_device *dev, u32 index, u32 start, u32 action, int fd)
{
	/* The structure ends in an array: of one, or of none. */
	u32 words[sizeof(struct vfio_irq_set) / sizeof(u32) + 1] = { 0 };
	struct vfio_irq_set *set = (void *)words;

	set->argsz = (u32)sizeof(*set) + (fd < 0 ? 0 : (u32)sizeof(s32));
	set->flags = action | (fd < 0 ? VFIO_IRQ_SET_DATA_NONE : VFIO_IRQ_SET_DATA_EVENTFD);
	set->index = index;
	set->start = start;
	set->count = 1;
	if (fd >= 0)
		memcpy(set->data, &(s32){ fd }, sizeof(s32));
	return MIN(device_ioctl(dev, VFIO_DEVICE_SET_IRQS, set), 0);
}

/* The rest */

int vfio_device_reset(struct vfio_device *dev)
{
	if (!(dev->flags & VFIO_DEVICE_FLAGS_RESET))
		return -ENOTTY;
	return MIN(device_ioctl(dev, VFIO_DEVICE_RESET, NULL), 0);
}

int vfio_device_feature(struct vfio_device *dev, u32 flags, void *data, u32 len)
{
	u32 size = (u32)sizeof(struct vfio_device_feature) + len;
	struct vfio_device_feature *feature = calloc(1, size);
	int ret;

	if (!feature)
		return -ENOMEM;
	feature->argsz = size;
	feature->flags = flags;
	if (len)
		memcpy(feature->data, data, len);
	ret = device_ioctl(dev, VFIO_DEVICE_FEATURE, feature);
	if (ret >= 0 && len)
		memcpy(data, feature->data, len);
	free(feature);
	return ret;
}
