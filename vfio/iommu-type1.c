/* SPDX-License-Identifier: MIT */
/*
 * Devices by their groups, and page tables of a container of type 1, version 2 (Linux
 * include/uapi/linux/vfio.h). All groups are in the container before anything is mapped.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "attr.h"
#include "iommu.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "vfio-abi.h"

/* With as many ranges as are believed, and what else there is. */
#define MAX_INFO (VFIO_MAX_RANGES * (u32)sizeof(struct vfio_iova_range) + 4 * KiB)

static int open_container(struct vfio_set *set)
{
	const char *device = set->devices[0].cfg->device;
	int ret = vfio_set_open_node(set, &set->devices[0], "/dev/vfio/vfio");

	if (ret < 0)
		return ret;
	set->fd = ret;
	ret = vfio_set_ioctl(set, set->fd, VFIO_GET_API_VERSION, NULL);
	if (ret < 0) {
		err("--vfio %s: /dev/vfio/vfio: VFIO_GET_API_VERSION: %s", device, strerror(-ret));
		return ret;
	}
	if (ret != VFIO_API_VERSION) {
		err("--vfio %s: /dev/vfio/vfio has version %d of VFIO; only %d is known", device,
		    ret, VFIO_API_VERSION);
		return -ENOTSUP;
	}
	ret = vfio_set_ioctl(set, set->fd, VFIO_CHECK_EXTENSION, (void *)VFIO_TYPE1v2_IOMMU);
	if (ret <= 0) {
		err("--vfio %s: the kernel has no type 1 IOMMU driver: load the module "
		    "vfio_iommu_type1",
		    device);
		return -ENOTSUP;
	}
	return 0;
}

/* VMs need what protects the host: devices without an IOMMU are not theirs. */
static int refuse_noiommu(struct vfio_set *set, const struct vfio_device *dev, u32 number)
{
	char path[PATH_MAX], name[32] = "";
	FILE *f;

	snprintf(path, sizeof(path), "%s/sys/kernel/iommu_groups/%u/name", set->host->root, number);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (!fgets(name, sizeof(name), f))
		name[0] = '\0';
	fclose(f);
	name[strcspn(name, "\n")] = '\0';
	if (strcmp(name, "vfio-noiommu"))
		return 0;
	vfio_say_why_not(set, dev,
			 "no IOMMU stands between it and the host's memory (vfio-noiommu): that is "
			 "for drivers in user space, not for a guest; turn the IOMMU on "
			 "(intel_iommu=on, firmware)");
	return -EPERM;
}

static int open_group(struct vfio_set *set, const struct vfio_device *dev, u32 number)
{
	struct vfio_file *f = &set->files[set->nr_files];
	struct vfio_group_status status = { .argsz = sizeof(status) };
	char path[64];
	int ret;

	snprintf(path, sizeof(path), "/dev/vfio/%u", number);
	ret = vfio_set_open_node(set, dev, path);
	if (ret < 0)
		return ret;
	*f = (struct vfio_file){ .fd = ret, .number = number };
	set->nr_files++;
	ret = vfio_set_ioctl(set, f->fd, VFIO_GROUP_GET_STATUS, &status);
	if (ret < 0) {
		err("--vfio %s: %s: VFIO_GROUP_GET_STATUS: %s", dev->cfg->device, path,
		    strerror(-ret));
		return ret;
	}
	if (!(status.flags & VFIO_GROUP_FLAGS_VIABLE)) {
		char *text = xasprintf("other devices of its group %u have drivers of the host's; "
				       "bind those to vfio-pci too ('lkvm vfio list' shows them)",
				       number);

		vfio_say_why_not(set, dev, text);
		free(text);
		return -EPERM;
	}
	return 0;
}

static struct vfio_file *find_group(struct vfio_set *set, u32 number)
{
	for (u32 i = 0; i < set->nr_files; i++)
		if (set->files[i].number == number)
			return &set->files[i];
	return NULL;
}

static int type1_open(struct vfio_set *set)
{
	for (u32 i = 0; i < set->nr_devices; i++) {
		struct vfio_device *dev = &set->devices[i];
		u32 number = 0;
		int ret = vfio_attr_group(set->host->root, dev->name.sysfs, &number);

		if (ret == -ENOENT || ret == -ENOTDIR)
			vfio_say_why_not(set, dev,
					 "is in no IOMMU group: there is no such device ('lkvm "
					 "vfio list'), or the host has no IOMMU or does not use it "
					 "(intel_iommu=on, firmware)");
		else if (ret)
			err("--vfio %s: %s/iommu_group: %s", dev->cfg->device, dev->name.sysfs,
			    strerror(-ret));
		if (!ret)
			ret = refuse_noiommu(set, dev, number);
		if (!ret && !find_group(set, number))
			ret = open_group(set, dev, number);
		if (ret)
			return ret;
	}
	return open_container(set);
}

static void type1_close(struct vfio_set *set) {}

static void type1_unbind(struct vfio_set *set)
{
	for (u32 i = set->nr_devices; i-- > 0;) {
		struct vfio_device *dev = &set->devices[i];

		if (dev->fd >= 0)
			set->host->calls->close(set->host->opaque, dev->fd);
		dev->fd = -1;
	}
	for (u32 i = set->nr_files; i-- > 0;) {
		struct vfio_file *f = &set->files[i];

		if (f->bound)
			(void)vfio_set_ioctl(set, f->fd, VFIO_GROUP_UNSET_CONTAINER, NULL);
		f->bound = false;
	}
}

/* Of the devices in it, the first one's name. */
static const char *device_of(struct vfio_set *set, const struct vfio_file *f)
{
	for (u32 i = 0; i < set->nr_devices; i++) {
		u32 number;

		if (!vfio_attr_group(set->host->root, set->devices[i].name.sysfs, &number) &&
		    number == f->number)
			return set->devices[i].cfg->device;
	}
	return set->devices[0].cfg->device;
}

static int join_container(struct vfio_set *set, struct vfio_file *f)
{
	int ret = vfio_set_ioctl(set, f->fd, VFIO_GROUP_SET_CONTAINER, &set->fd);

	if (ret < 0) {
		err("--vfio %s: cannot put its group %u into the container: %s%s",
		    device_of(set, f), f->number, strerror(-ret),
		    ret == -EPERM    ? "; its interrupts are not isolated from other devices' "
				       "(vfio_iommu_type1.allow_unsafe_interrupts)"
		    : ret == -EINVAL ? "; is it in another container?"
				     : "");
		return ret;
	}
	f->bound = true;
	return 0;
}

/* The container's driver is chosen when the first group is in it. */
static int fill_container(struct vfio_set *set)
{
	for (u32 i = 0; i < set->nr_files; i++) {
		int ret = join_container(set, &set->files[i]);

		if (!ret && !i)
			ret = vfio_set_ioctl(set, set->fd, VFIO_SET_IOMMU,
					     (void *)VFIO_TYPE1v2_IOMMU);
		if (ret < 0 && set->files[i].bound)
			err("--vfio %s: VFIO_SET_IOMMU: %s%s", device_of(set, &set->files[i]),
			    strerror(-ret),
			    ret == -EPERM ? "; its interrupts are not isolated from other devices' "
					    "(vfio_iommu_type1.allow_unsafe_interrupts)"
					  : "");
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int get_device(struct vfio_set *set, struct vfio_device *dev)
{
	u32 number = 0;
	const struct vfio_file *f;
	char *user;
	int ret = vfio_attr_group(set->host->root, dev->name.sysfs, &number);

	f = ret ? NULL : find_group(set, number);
	if (!f) {
		err("--vfio %s: is no longer in its group", dev->cfg->device);
		return -ENODEV;
	}
	ret = vfio_set_ioctl(set, f->fd, VFIO_GROUP_GET_DEVICE_FD, dev->name.id);
	if (ret >= 0) {
		dev->fd = ret;
		return 0;
	}
	user = ret == -EBUSY ? vfio_set_user(set, dev, "another process uses it") : NULL;
	if (ret == -ENODEV)
		vfio_say_why_not(set, dev, "no VFIO driver has it; 'lkvm vfio bind' binds it");
	else
		err("--vfio %s: cannot get it from its group %u: %s%s%s", dev->cfg->device, number,
		    strerror(-ret), user ? "; " : "", user ? user : "");
	free(user);
	return ret;
}

static int type1_bind(struct vfio_set *set)
{
	int ret = fill_container(set);

	for (u32 i = 0; i < set->nr_devices && !ret; i++)
		ret = get_device(set, &set->devices[i]);
	if (ret)
		type1_unbind(set);
	return ret;
}

/* What the container says of itself */

static void take_ranges(struct vfio_iommu_info *out, const u8 *cap, u32 room)
{
	const struct vfio_iommu_type1_info_cap_iova_range *r = (const void *)cap;

	if (room < sizeof(*r) || out->ranges)
		return;
	out->nr_ranges = (u32)MIN(r->nr_iovas, (room - sizeof(*r)) / sizeof(r->iova_ranges[0]));
	out->ranges = xcalloc(MAX(out->nr_ranges, 1U), sizeof(out->ranges[0]));
	for (u32 i = 0; i < out->nr_ranges; i++)
		out->ranges[i] =
			(struct vfio_window){ r->iova_ranges[i].start, r->iova_ranges[i].end };
}

static void take_capabilities(struct vfio_iommu_info *out, const u8 *info, u32 len, u32 at)
{
	const struct vfio_info_cap_header *cap;

	for (; at && at % 8 == 0 && range_within(at, sizeof(*cap), 0, len); at = cap->next) {
		cap = (const void *)(info + at);
		if (cap->id == VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE)
			take_ranges(out, info + at, len - at);
		else if (cap->id == VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL &&
			 len - at >= sizeof(struct vfio_iommu_type1_info_dma_avail))
			out->maps = ((const struct vfio_iommu_type1_info_dma_avail *)cap)->avail;
		if (cap->next <= at)
			break;
	}
}

static int type1_describe(struct vfio_set *set, struct vfio_iommu_info *out)
{
	u32 len = sizeof(struct vfio_iommu_type1_info);
	struct vfio_iommu_type1_info *info = xcalloc(1, len);
	int ret;

	*out = (struct vfio_iommu_info){ .maps = ~0U };
	info->argsz = len;
	ret = vfio_set_ioctl(set, set->fd, VFIO_IOMMU_GET_INFO, info);
	if (ret >= 0 && info->argsz > MAX_INFO) {
		ret = -E2BIG;
	} else if (ret >= 0 && info->argsz > len) {
		len = info->argsz;
		free(info);
		info = xcalloc(1, len);
		info->argsz = len;
		ret = vfio_set_ioctl(set, set->fd, VFIO_IOMMU_GET_INFO, info);
	}
	if (ret >= 0) {
		if (info->flags & VFIO_IOMMU_INFO_PGSIZES)
			out->page = info->iova_pgsizes & -info->iova_pgsizes;
		if (info->flags & VFIO_IOMMU_INFO_CAPS)
			take_capabilities(out, (const u8 *)info, len, info->cap_offset);
	}
	free(info);
	return MIN(ret, 0);
}

static int type1_map(struct vfio_set *set, u64 iova, u64 size, void *hva, bool writable)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | (writable ? VFIO_DMA_MAP_FLAG_WRITE : 0),
		.vaddr = (uintptr_t)hva,
		.iova = iova,
		.size = size,
	};

	return MIN(vfio_set_ioctl(set, set->fd, VFIO_IOMMU_MAP_DMA, &map), 0);
}

static int type1_unmap(struct vfio_set *set, u64 iova, u64 size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = iova,
		.size = size,
	};

	return MIN(vfio_set_ioctl(set, set->fd, VFIO_IOMMU_UNMAP_DMA, &unmap), 0);
}

const struct vfio_iommu_ops vfio_type1_ops = {
	.name = "groups",
	.open = type1_open,
	.close = type1_close,
	.bind = type1_bind,
	.unbind = type1_unbind,
	.describe = type1_describe,
	.map = type1_map,
	.unmap = type1_unmap,
};
