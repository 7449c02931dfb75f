/* SPDX-License-Identifier: MIT */
/*
 * A host that stands in for one with VFIO: nodes, groups and cdevs, /dev/vfio/vfio and /dev/iommu,
 * KVM's device, and the links of sysfs in a folder. It answers by the rules of Linux drivers/vfio
 * and drivers/iommu/iommufd as far as they matter here, writes down the names of the calls that
 * change something, and lets one call fail. Time stands still but for what maps take.
 */
#ifndef FAKE_IOMMU_H
#define FAKE_IOMMU_H

#include <kvm-compat.h>

#include "../../vfio/iommu.h"
#include "fake_vfio.h"

#define FAKE_VM_FD    50
#define FAKE_FIRST_FD 100
#define FAKE_FILES    64U
#define FAKE_MAPS     4096U
#define FAKE_RANGES   200U
#define FAKE_DEVICES  4U

enum fake_kind {
	FAKE_NOTHING,
	FAKE_KVM,
	FAKE_CONTAINER,
	FAKE_GROUP,
	FAKE_CDEV,
	FAKE_DEVICE, /* of a group */
	FAKE_IOMMUFD,
	FAKE_DMABUF,
};

struct fake_file {
	enum fake_kind kind;
	u32 number;	/* the group, or the index of the device */
	bool told;	/* KVM was */
	bool joined;	/* FAKE_GROUP: it is in the container */
	bool bound;	/* FAKE_CDEV */
	u32 ioas;	/* FAKE_CDEV: attached to */
	bool has_iommu; /* FAKE_CONTAINER: VFIO_SET_IOMMU */
};

struct fake_map {
	u64 iova, size, va;
	bool writable, file;
};

struct fake_iommu_device {
	const char *id;
	u32 group;
	bool cdev, mdev;
	struct fake_vfio vfio; /* what the device says */
};

struct fake_iommu {
	struct vfio_host host;
	char root[64];
	u32 nr_devices;
	struct fake_iommu_device devices[FAKE_DEVICES];
	struct fake_file files[FAKE_FILES];
	u32 nr_maps, nr_ioas, live_ioas;
	struct fake_map maps[FAKE_MAPS];
	char log[8192];
	/* How the host is */
	bool no_iommufd, no_kvm, not_viable, dmabufs;
	int open_error; /* of every node but /dev/iommu; 0: none */
	int api;
	u32 nr_ranges, max_maps;
	u64 ranges[FAKE_RANGES][2];
	u64 lock_room;
	u64 ns_per_mib; /* that a map takes */
	/* The dma-buf that was asked for last. */
	u32 exported_region;
	struct vfio_abi_dma_buf_range exported_range;
	/* The call of this number (from 1 on; 0: none) fails. */
	u32 calls, fail_at;
	int fail_with;
	char failed[64]; /* its name */
};

static u64 fake_now;

static inline u64 fake_clock(void)
{
	return fake_now;
}

static inline u64 fake_lock_room(void *opaque, u64 wanted)
{
	struct fake_iommu *f = opaque;

	return f->lock_room;
}

static inline void fake_log(struct fake_iommu *f, const char *what)
{
	size_t len = strlen(f->log);

	snprintf(f->log + len, sizeof(f->log) - len, "%s\n", what);
}

/* A call begins: 0, or how it fails. */
static inline int fake_call(struct fake_iommu *f, const char *name)
{
	fake_log(f, name);
	if (++f->calls != f->fail_at)
		return 0;
	snprintf(f->failed, sizeof(f->failed), "%s", name);
	return f->fail_with;
}

/* Before a device of it is used; unless that is what failed. */
static inline void fake_must_be_told(struct fake_iommu *f, const struct fake_file *file)
{
	if (!f->no_kvm && !file->told && !f->failed[0])
		fake_log(f, "WRONG: used before KVM knows it");
}

static inline int fake_new_file(struct fake_iommu *f, enum fake_kind kind, u32 number)
{
	for (u32 i = 0; i < FAKE_FILES; i++) {
		if (f->files[i].kind)
			continue;
		f->files[i] = (struct fake_file){ .kind = kind, .number = number };
		return FAKE_FIRST_FD + (int)i;
	}
	abort();
}

static inline struct fake_file *fake_file(struct fake_iommu *f, int fd)
{
	static struct fake_file none;

	none = (struct fake_file){ 0 };
	if (fd < FAKE_FIRST_FD || fd >= FAKE_FIRST_FD + (int)FAKE_FILES)
		return &none;
	return &f->files[fd - FAKE_FIRST_FD];
}

static inline int fake_open(void *opaque, const char *path, int flags)
{
	struct fake_iommu *f = opaque;
	char name[64];
	int ret;

	snprintf(name, sizeof(name), "open %s", path);
	ret = fake_call(f, name);
	if (ret)
		return ret;
	if (!strcmp(path, "/dev/iommu"))
		return f->no_iommufd ? -ENOENT : fake_new_file(f, FAKE_IOMMUFD, 0);
	if (f->open_error)
		return f->open_error;
	if (!strcmp(path, "/dev/vfio/vfio"))
		return fake_new_file(f, FAKE_CONTAINER, 0);
	for (u32 i = 0; i < f->nr_devices; i++) {
		snprintf(name, sizeof(name), "/dev/vfio/devices/vfio%u", i);
		if (f->devices[i].cdev && !strcmp(path, name))
			return fake_new_file(f, FAKE_CDEV, i);
		snprintf(name, sizeof(name), "/dev/vfio/%u", f->devices[i].group);
		if (!strcmp(path, name))
			return fake_new_file(f, FAKE_GROUP, f->devices[i].group);
	}
	return -ENOENT;
}

static inline struct fake_file *fake_find(struct fake_iommu *f, enum fake_kind kind)
{
	for (u32 i = 0; i < FAKE_FILES; i++)
		if (f->files[i].kind == kind)
			return &f->files[i];
	return NULL;
}

static inline void fake_close(void *opaque, int fd)
{
	struct fake_iommu *f = opaque;
	struct fake_file *file = fake_file(f, fd);

	if (!file->kind)
		abort();
	/* KVM has a reference to what it was told of. */
	if (file->told)
		fake_log(f, "WRONG: closed before KVM has forgotten it");
	if (file->kind == FAKE_CONTAINER || (file->kind == FAKE_IOMMUFD))
		f->nr_maps = f->live_ioas = 0;
	*file = (struct fake_file){ 0 };
}

/* Maps */

static inline bool fake_is_usable(const struct fake_iommu *f, u64 iova, u64 size)
{
	for (u32 i = 0; i < f->nr_ranges; i++)
		if (iova >= f->ranges[i][0] && iova + size - 1 <= f->ranges[i][1])
			return true;
	return !f->nr_ranges;
}

static inline int fake_map(struct fake_iommu *f, struct fake_map map)
{
	for (u32 i = 0; i < f->nr_maps; i++)
		if (map.iova < f->maps[i].iova + f->maps[i].size &&
		    f->maps[i].iova < map.iova + map.size)
			return -EEXIST;
	if (!map.size || (map.iova | map.size | map.va) & 4095 ||
	    !fake_is_usable(f, map.iova, map.size))
		return -EINVAL;
	if (f->nr_maps == MIN(f->max_maps, FAKE_MAPS))
		return -ENOSPC;
	fake_now += f->ns_per_mib * (map.size / MiB);
	f->maps[f->nr_maps++] = map;
	return 0;
}

static inline int fake_unmap(struct fake_iommu *f, u64 iova, u64 size, u64 *done)
{
	*done = 0;
	for (u32 i = 0; i < f->nr_maps;) {
		struct fake_map *m = &f->maps[i];

		if (m->iova >= iova + size || iova >= m->iova + m->size) {
			i++;
			continue;
		}
		if (m->iova < iova || m->iova + m->size > iova + size)
			return -EINVAL;
		*done += m->size;
		*m = f->maps[--f->nr_maps];
	}
	return 0;
}

/* iommufd */

static inline int fake_iommufd(struct fake_iommu *f, unsigned long request, void *arg)
{
	struct iommu_abi_ioas_alloc *alloc = arg;
	struct iommu_abi_destroy *destroy = arg;
	struct iommu_abi_ioas_iova_ranges *ranges = arg;
	u32 given;
	struct iommu_abi_ioas_map *map = arg;
	struct iommu_abi_ioas_map_file *file = arg;
	struct iommu_abi_ioas_unmap *unmap = arg;
	int ret;

	switch (request) {
	case IOMMU_ABI_IOAS_ALLOC:
		ret = fake_call(f, "IOAS_ALLOC");
		if (ret)
			return ret;
		alloc->out_ioas_id = ++f->nr_ioas;
		f->live_ioas++;
		return 0;
	case IOMMU_ABI_DESTROY:
		ret = fake_call(f, "DESTROY");
		for (u32 i = 0; i < FAKE_FILES && !ret; i++)
			if (f->files[i].ioas == destroy->id)
				ret = -EBUSY;
		if (ret)
			return ret;
		f->nr_maps = 0;
		f->live_ioas--;
		return 0;
	case IOMMU_ABI_IOAS_IOVA_RANGES:
		ret = fake_call(f, "IOVA_RANGES");
		if (ret)
			return ret;
		ranges->out_iova_alignment = 4096;
		given = MIN(ranges->num_iovas, f->nr_ranges);
		if (given)
			memcpy((void *)(uintptr_t)ranges->allowed_iovas, f->ranges,
			       MIN(given, FAKE_RANGES) * sizeof(f->ranges[0]));
		ranges->num_iovas = f->nr_ranges;
		return given < f->nr_ranges ? -EMSGSIZE : 0;
	case IOMMU_ABI_IOAS_MAP:
		ret = fake_call(f, "MAP");
		return ret ? ret
			   : fake_map(f, (struct fake_map){ map->iova, map->length, map->user_va,
							    map->flags & 2, false });
	case IOMMU_ABI_IOAS_MAP_FILE:
		ret = fake_call(f, "MAP_FILE");
		if (!ret && fake_file(f, file->fd)->kind != FAKE_DMABUF)
			ret = -EBADF;
		return ret ? ret
			   : fake_map(f, (struct fake_map){ file->iova, file->length, 0,
							    file->flags & 2, true });
	case IOMMU_ABI_IOAS_UNMAP:
		ret = fake_call(f, "UNMAP");
		if (!ret)
			ret = fake_unmap(f, unmap->iova, unmap->length, &unmap->length);
		return !ret && !unmap->length ? -ENOENT : ret;
	default:
		return -ENOTTY;
	}
}

static inline int fake_device(struct fake_iommu *f, u32 i, unsigned long request, void *arg)
{
	const struct vfio_device_feature *feature = arg;
	int ret;

	if (request == VFIO_DEVICE_GET_INFO) {
		ret = fake_call(f, "GET_INFO");
		if (ret)
			return ret;
	}
	if (request == VFIO_DEVICE_FEATURE &&
	    (feature->flags & 0xffff) == VFIO_ABI_FEATURE_DMA_BUF) {
		ret = fake_call(f, "DMA_BUF");
		f->exported_region = ((const struct vfio_abi_dma_buf *)feature->data)->region_index;
		f->exported_range = ((const struct vfio_abi_dma_buf *)feature->data)->ranges[0];
		if (ret || !f->dmabufs)
			return ret ? ret : -ENOTTY;
		return fake_new_file(f, FAKE_DMABUF, 0);
	}
	return fake_vfio_ioctl(&f->devices[i].vfio, FAKE_VFIO_FD, request, arg);
}

static inline int fake_cdev(struct fake_iommu *f, struct fake_file *file, unsigned long request,
			    void *arg)
{
	struct vfio_abi_bind_iommufd *bind = arg;
	struct vfio_abi_attach_pt *attach = arg;
	int ret;

	switch (request) {
	case VFIO_ABI_BIND_IOMMUFD:
		ret = fake_call(f, "BIND");
		fake_must_be_told(f, file);
		if (ret || file->bound || fake_file(f, bind->iommufd)->kind != FAKE_IOMMUFD)
			return ret ? ret : -EINVAL;
		file->bound = true;
		bind->out_devid = 1000 + file->number;
		return 0;
	case VFIO_ABI_ATTACH_IOMMUFD_PT:
		ret = fake_call(f, "ATTACH");
		if (ret || !file->bound || attach->argsz != 12)
			return ret ? ret : -EINVAL;
		file->ioas = attach->pt_id;
		return 0;
	case VFIO_ABI_DETACH_IOMMUFD_PT:
		ret = fake_call(f, "DETACH");
		if (!ret)
			file->ioas = 0;
		return ret;
	default:
		return file->bound ? fake_device(f, file->number, request, arg) : -EINVAL;
	}
}

/* Groups and the container */

static inline bool fake_has_devices(const struct fake_iommu *f, u32 group)
{
	for (u32 i = 0; i < FAKE_FILES; i++)
		if (f->files[i].kind == FAKE_DEVICE &&
		    f->devices[f->files[i].number].group == group)
			return true;
	return false;
}

static inline int fake_group(struct fake_iommu *f, struct fake_file *file, unsigned long request,
			     void *arg)
{
	struct vfio_group_status *status = arg;
	struct fake_file *container = fake_find(f, FAKE_CONTAINER);
	int ret;

	switch (request) {
	case VFIO_GROUP_GET_STATUS:
		ret = fake_call(f, "GROUP_GET_STATUS");
		status->flags = f->not_viable ? 0 : VFIO_GROUP_FLAGS_VIABLE;
		return ret;
	case VFIO_GROUP_SET_CONTAINER:
		ret = fake_call(f, "SET_CONTAINER");
		if (ret || file->joined || fake_file(f, *(int *)arg)->kind != FAKE_CONTAINER)
			return ret ? ret : -EINVAL;
		file->joined = true;
		return 0;
	case VFIO_GROUP_UNSET_CONTAINER:
		ret = fake_call(f, "UNSET_CONTAINER");
		if (ret || !file->joined || fake_has_devices(f, file->number))
			return ret ? ret : -EBUSY;
		file->joined = false;
		for (u32 i = 0; i < FAKE_FILES; i++)
			if (f->files[i].joined)
				return 0;
		container->has_iommu = false;
		f->nr_maps = 0;
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD:
		ret = fake_call(f, "GET_DEVICE_FD");
		fake_must_be_told(f, file);
		if (ret || !file->joined || !container->has_iommu)
			return ret ? ret : -EINVAL;
		for (u32 i = 0; i < f->nr_devices; i++)
			if (!strcmp(f->devices[i].id, arg) && f->devices[i].group == file->number)
				return fake_new_file(f, FAKE_DEVICE, i);
		return -ENODEV;
	default:
		return -ENOTTY;
	}
}

static inline int fake_type1_info(struct fake_iommu *f, struct vfio_iommu_type1_info *info)
{
	struct {
		struct vfio_info_cap_header header;
		u32 nr, reserved;
		u64 ranges[FAKE_RANGES][2];
	} *iova = (void *)(info + 1);
	struct vfio_iommu_type1_info_dma_avail *avail = (void *)(iova + 1);
	u32 given = info->argsz, need = sizeof(*info) + sizeof(*iova) + sizeof(*avail);

	info->flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	info->iova_pgsizes = ~4095ULL;
	info->cap_offset = 0;
	info->argsz = need;
	/* It says so of itself, but has fewer here. */
	if (f->nr_ranges > FAKE_RANGES)
		info->argsz += (f->nr_ranges - FAKE_RANGES) * (u32)sizeof(f->ranges[0]);
	if (given < need)
		return 0;
	info->cap_offset = sizeof(*info);
	iova->header = (struct vfio_info_cap_header){ VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1,
						      (u32)(sizeof(*info) + sizeof(*iova)) };
	iova->nr = f->nr_ranges;
	memcpy(iova->ranges, f->ranges, sizeof(f->ranges));
	*avail = (struct vfio_iommu_type1_info_dma_avail){
		.header = { VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 1, 0 },
		.avail = f->max_maps - f->nr_maps,
	};
	return 0;
}

static inline int fake_container(struct fake_iommu *f, struct fake_file *file,
				 unsigned long request, void *arg)
{
	struct vfio_iommu_type1_dma_map *map = arg;
	struct vfio_iommu_type1_dma_unmap *unmap = arg;
	u64 done;
	int ret;

	if (request == VFIO_GET_API_VERSION) {
		ret = fake_call(f, "GET_API_VERSION");
		return ret ? ret : f->api;
	}
	if (request == VFIO_CHECK_EXTENSION) {
		ret = fake_call(f, "CHECK_EXTENSION");
		return ret ? ret : (uintptr_t)arg == VFIO_TYPE1v2_IOMMU;
	}
	if (request == VFIO_SET_IOMMU) {
		bool any = false;

		ret = fake_call(f, "SET_IOMMU");
		for (u32 i = 0; i < FAKE_FILES; i++)
			any |= f->files[i].joined;
		if (ret || !any || file->has_iommu)
			return ret ? ret : -EINVAL;
		file->has_iommu = true;
		return 0;
	}
	if (!file->has_iommu)
		return -EINVAL;
	switch (request) {
	case VFIO_IOMMU_GET_INFO:
		ret = fake_call(f, "IOMMU_GET_INFO");
		return ret ? ret : fake_type1_info(f, arg);
	case VFIO_IOMMU_MAP_DMA:
		ret = fake_call(f, "MAP_DMA");
		return ret ? ret
			   : fake_map(f, (struct fake_map){ map->iova, map->size, map->vaddr,
							    map->flags & 2, false });
	case VFIO_IOMMU_UNMAP_DMA:
		ret = fake_call(f, "UNMAP_DMA");
		return ret ? ret : fake_unmap(f, unmap->iova, unmap->size, &done);
	default:
		return -ENOTTY;
	}
}

static inline int fake_kvm(struct fake_iommu *f, const struct kvm_device_attr *attr)
{
	bool add = attr->attr == KVM_DEV_VFIO_FILE_ADD;
	struct fake_file *file = fake_file(f, *(s32 *)(uintptr_t)attr->addr);
	int ret = fake_call(f, add ? "FILE_ADD" : "FILE_DEL");

	if (ret || (file->kind != FAKE_GROUP && file->kind != FAKE_CDEV) || file->told == add)
		return ret ? ret : -ENOENT;
	file->told = add;
	return 0;
}

static inline int fake_ioctl(void *opaque, int fd, unsigned long request, void *arg)
{
	struct fake_iommu *f = opaque;
	struct fake_file *file = fake_file(f, fd);
	int ret;

	if (fd == FAKE_VM_FD && request == KVM_CREATE_DEVICE) {
		ret = fake_call(f, "CREATE_DEVICE");
		if (ret || f->no_kvm)
			return ret ? ret : -ENODEV;
		((struct kvm_create_device *)arg)->fd = (u32)fake_new_file(f, FAKE_KVM, 0);
		return 0;
	}
	switch (file->kind) {
	case FAKE_KVM:
		return request == KVM_SET_DEVICE_ATTR ? fake_kvm(f, arg) : -ENOTTY;
	case FAKE_CONTAINER:
		return fake_container(f, file, request, arg);
	case FAKE_GROUP:
		return fake_group(f, file, request, arg);
	case FAKE_CDEV:
		return fake_cdev(f, file, request, arg);
	case FAKE_DEVICE:
		return fake_device(f, file->number, request, arg);
	case FAKE_IOMMUFD:
		return fake_iommufd(f, request, arg);
	default:
		return -EBADF;
	}
}

static inline void *fake_mmap(void *opaque, size_t len, int prot, int fd, u64 at)
{
	struct fake_iommu *f = opaque;
	struct fake_file *file = fake_file(f, fd);

	if (file->kind != FAKE_CDEV && file->kind != FAKE_DEVICE) {
		errno = EINVAL;
		return NULL;
	}
	return fake_vfio_mmap(&f->devices[file->number].vfio, len, prot, FAKE_VFIO_FD, at);
}

static const struct vfio_calls fake_iommu_calls = {
	.open = fake_open,
	.close = fake_close,
	.ioctl = fake_ioctl,
	.mmap = fake_mmap,
	.munmap = fake_vfio_munmap,
};

#endif
