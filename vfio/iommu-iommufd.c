/* SPDX-License-Identifier: MIT */
/*
 * Devices by their character devices, and page tables of iommufd (Linux
 * Documentation/userspace-api/iommufd.rst). One address space (IOAS) for all devices; they are
 * attached while it is empty, so that each map pins its own memory, and reserved addresses are
 * known before anything is mapped.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iommu.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vfio-bind.h"
#include "lkvm/vfio-dmabuf.h"
#include "lkvm/vfio-host.h"
#include "lkvm/vfio-pasid.h"
#include "vfio-abi.h"

/* Hosts have two or three. */
#define FIRST_RANGES 64U

static int iommufd_open(struct vfio_set *set)
{
	for (u32 i = 0; i < set->nr_devices; i++) {
		struct vfio_device *dev = &set->devices[i];
		char name[32], path[64];
		int ret;

		if (!host_vfio_cdev(set->host->root, dev->name.sysfs, name)) {
			err("--vfio %s: its character device has just gone", dev->cfg->device);
			return -ENODEV;
		}
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s", name);
		ret = vfio_set_open_node(set, dev, path);
		if (ret < 0)
			return ret;
		set->files[i].fd = ret;
		set->nr_files = i + 1;
	}
	return 0;
}

static void iommufd_close(struct vfio_set *set) {}

static int say(const struct vfio_device *dev, const char *what, int ret)
{
	char *why = ret == -EBUSY ? vfio_why_not(dev->set->host->root, &dev->name) : NULL;
	const char *hint = "";

	if (ret == -EBUSY && !why)
		why = vfio_set_user(dev->set, dev, "another process uses it or its group");
	/* Linux vfio_df_open: what is open is not bound again. */
	else if (ret == -EINVAL && !dev->devid)
		why = vfio_set_user(dev->set, dev, "another process may have it");
	if (why)
		hint = "; ";
	else if (ret == -EPERM)
		hint = "; its interrupts are not isolated from other devices' "
		       "(iommufd.allow_unsafe_interrupts)";
	else if (ret == -ENOMEM)
		hint = "; raise the limit of locked memory (ulimit -l, LimitMEMLOCK= of systemd)";
	err("--vfio %s: %s: %s%s%s", dev->cfg->device, what, strerror(-ret), hint, why ? why : "");
	free(why);
	return ret;
}

/* A cdev is bound once until it is closed; one that was of an earlier VM still is. */
static int bind_device(struct vfio_set *set, u32 i)
{
	struct vfio_device *dev = &set->devices[i];
	struct vfio_abi_bind_iommufd bind = { .argsz = sizeof(bind), .iommufd = set->fd };
	/* Without a PASID: see struct vfio_abi_attach_pt. */
	struct vfio_abi_attach_pt attach = {
		.argsz = offsetof(struct vfio_abi_attach_pt, pasid),
		.pt_id = set->ioas,
	};
	u32 *table = &set->files[i].table;
	int ret = 0;

	if (!dev->devid) {
		ret = vfio_set_ioctl(set, set->files[i].fd, VFIO_ABI_BIND_IOMMUFD, &bind);
		if (ret < 0)
			return say(dev, "cannot bind it to iommufd", ret);
		dev->devid = bind.out_devid;
	}
	if (dev->cfg->pasid) {
		ret = vfio_pasid_prepare(dev, set->ioas, table);
		if (ret)
			return ret;
		attach.pt_id = *table;
	}
	ret = vfio_set_ioctl(set, set->files[i].fd, VFIO_ABI_ATTACH_IOMMUFD_PT, &attach);
	if (ret < 0)
		return say(dev, "cannot attach it to the guest's address space", ret);
	set->files[i].bound = true;
	dev->fd = set->files[i].fd;
	return *table ? vfio_pasid_probe(dev, *table) : 0;
}

static void iommufd_unbind(struct vfio_set *set)
{
	for (u32 i = set->nr_devices; i-- > 0;) {
		struct vfio_abi_detach_pt detach = {
			.argsz = offsetof(struct vfio_abi_detach_pt, pasid),
		};

		if (set->files[i].bound)
			(void)vfio_set_ioctl(set, set->files[i].fd, VFIO_ABI_DETACH_IOMMUFD_PT,
					     &detach);
		if (set->files[i].table)
			vfio_pasid_free_table(&set->devices[i], set->files[i].table);
		set->files[i].table = 0;
		set->files[i].bound = false;
		set->devices[i].fd = -1;
	}
	if (set->ioas) {
		struct iommu_abi_destroy destroy = { .size = sizeof(destroy), .id = set->ioas };

		(void)vfio_set_ioctl(set, set->fd, IOMMU_ABI_DESTROY, &destroy);
	}
	set->ioas = 0;
}

static int iommufd_bind(struct vfio_set *set)
{
	struct iommu_abi_ioas_alloc alloc = { .size = sizeof(alloc) };
	int ret = vfio_set_ioctl(set, set->fd, IOMMU_ABI_IOAS_ALLOC, &alloc);

	if (ret < 0) {
		err("--vfio %s: /dev/iommu: cannot make an address space: %s",
		    set->devices[0].cfg->device, strerror(-ret));
		return ret;
	}
	set->ioas = alloc.out_ioas_id;
	ret = 0;
	for (u32 i = 0; i < set->nr_devices && !ret; i++)
		ret = bind_device(set, i);
	if (ret)
		iommufd_unbind(set);
	return ret;
}

/* The kernel gives as many ranges as there is room for, and then says how many there are. */
static int ask_ranges(struct vfio_set *set, struct vfio_iommu_info *out, u32 *nr)
{
	struct iommu_abi_iova_range *ranges = xcalloc(*nr, sizeof(ranges[0]));
	struct iommu_abi_ioas_iova_ranges arg = {
		.size = sizeof(arg),
		.ioas_id = set->ioas,
		.num_iovas = *nr,
		.allowed_iovas = (uintptr_t)ranges,
	};
	int ret = vfio_set_ioctl(set, set->fd, IOMMU_ABI_IOAS_IOVA_RANGES, &arg);

	out->page = arg.out_iova_alignment;
	if (ret >= 0) {
		out->nr_ranges = MIN(arg.num_iovas, *nr);
		out->ranges = xcalloc(MAX(out->nr_ranges, 1U), sizeof(out->ranges[0]));
		for (u32 i = 0; i < out->nr_ranges; i++)
			out->ranges[i] = (struct vfio_window){ ranges[i].start, ranges[i].last };
	}
	*nr = arg.num_iovas;
	free(ranges);
	return MIN(ret, 0);
}

static int iommufd_describe(struct vfio_set *set, struct vfio_iommu_info *out)
{
	u32 room = FIRST_RANGES, nr = room;
	int ret;

	*out = (struct vfio_iommu_info){ .maps = ~0U };
	/* Each time with more, so this ends. */
	while ((ret = ask_ranges(set, out, &nr)) == -EMSGSIZE && nr > room) {
		if (nr > VFIO_MAX_RANGES)
			return -E2BIG;
		room = nr;
	}
	return ret;
}

static int iommufd_map(struct vfio_set *set, u64 iova, u64 size, void *hva, bool writable)
{
	struct iommu_abi_ioas_map map = {
		.size = sizeof(map),
		.flags = IOMMU_ABI_MAP_FIXED_IOVA | IOMMU_ABI_MAP_READABLE |
			 (writable ? IOMMU_ABI_MAP_WRITEABLE : 0),
		.ioas_id = set->ioas,
		.user_va = (uintptr_t)hva,
		.length = size,
		.iova = iova,
	};

	return MIN(vfio_set_ioctl(set, set->fd, IOMMU_ABI_IOAS_MAP, &map), 0);
}

/* BARs have no pages that could be pinned. The map keeps the dma-buf. */
static int iommufd_map_bar(struct vfio_set *set, u64 iova, u64 size, struct vfio_device *dev,
			   u32 region, u64 offset)
{
	struct iommu_abi_ioas_map_file map = {
		.size = sizeof(map),
		.flags =
			IOMMU_ABI_MAP_FIXED_IOVA | IOMMU_ABI_MAP_READABLE | IOMMU_ABI_MAP_WRITEABLE,
		.ioas_id = set->ioas,
		.length = size,
		.iova = iova,
	};
	int ret;

	map.fd = vfio_dmabuf_export(dev, region, offset, size);
	if (map.fd < 0)
		return map.fd;
	ret = vfio_set_ioctl(set, set->fd, IOMMU_ABI_IOAS_MAP_FILE, &map);
	set->host->calls->close(set->host->opaque, map.fd);
	return MIN(ret, 0);
}

static int iommufd_unmap(struct vfio_set *set, u64 iova, u64 size)
{
	struct iommu_abi_ioas_unmap unmap = {
		.size = sizeof(unmap),
		.ioas_id = set->ioas,
		.iova = iova,
		.length = size,
	};

	return MIN(vfio_set_ioctl(set, set->fd, IOMMU_ABI_IOAS_UNMAP, &unmap), 0);
}

const struct vfio_iommu_ops vfio_iommufd_ops = {
	.name = "iommufd",
	.open = iommufd_open,
	.close = iommufd_close,
	.bind = iommufd_bind,
	.unbind = iommufd_unbind,
	.describe = iommufd_describe,
	.map = iommufd_map,
	.map_bar = iommufd_map_bar,
	.unmap = iommufd_unmap,
};
