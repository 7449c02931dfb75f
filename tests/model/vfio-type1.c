/* SPDX-License-Identifier: MIT */
/* The older way: /dev/vfio/vfio as a container of groups with a type 1 IOMMU, /dev/vfio/N. */
#include <stdio.h>
#include <stdlib.h>

#include "vfio.h"

static struct vgroup groups[VDEV_MAX + 1];
static u32 nr_groups;

struct vgroup *vgroup_find(u32 number)
{
	for (u32 i = 0; i < nr_groups; i++)
		if (groups[i].number == number)
			return &groups[i];
	if (nr_groups == MODEL_ARRAY(groups))
		model_usage("more than %u groups", VDEV_MAX);
	groups[nr_groups] = (struct vgroup){ .number = number };
	return &groups[nr_groups++];
}

bool vgroup_is_viable(u32 number)
{
	char driver[64];
	struct vdev *d;

	for (u32 i = 0; (d = vdev_nth(i)); i++)
		if (d->group == number && !d->kind->mdev &&
		    vtree_driver(d->id, driver, sizeof(driver)) && strcmp(driver, "vfio-pci"))
			return false;
	return true;
}

static bool is_emulated(u32 number)
{
	struct vdev *d;

	for (u32 i = 0; (d = vdev_nth(i)); i++)
		if (d->group == number)
			return d->kind->mdev;
	return false;
}

static long set_container(struct model_call *c, struct vgroup *g)
{
	struct vcontainer *container;
	struct model_file *f;
	s32 fd;

	if (model_read(&fd, c->arg, sizeof(fd)))
		return -EFAULT;
	f = model_file(fd);
	if (f->type != MODEL_VFIO_CONTAINER)
		return model_broken(-EINVAL,
				    "VFIO_GROUP_SET_CONTAINER: descriptor %d is no container", fd);
	if (g->container)
		return model_broken(-EINVAL, "VFIO_GROUP_SET_CONTAINER: group %u is in one",
				    g->number);
	if (!vgroup_is_viable(g->number))
		return model_broken(-EINVAL, "VFIO_GROUP_SET_CONTAINER: group %u is not viable",
				    g->number);
	container = f->vfio;
	container->groups++;
	container->space.users++;
	if (!is_emulated(g->number))
		container->space.physical++;
	g->container = container;
	return 0;
}

/* Nobody has it open, and no group is in it. */
static void forget_container(struct vcontainer *container)
{
	if (!container->open && !container->groups)
		free(container);
}

static void leave_container(struct vgroup *g)
{
	struct vcontainer *container = g->container;

	if (!container)
		return;
	g->container = NULL;
	container->space.users--;
	if (!is_emulated(g->number))
		container->space.physical--;
	if (--container->groups)
		return;
	container->type = 0;
	vspace_clear(&container->space);
	forget_container(container);
}

static long get_device(struct model_call *c, struct vgroup *g)
{
	char name[64] = "";
	struct vdev *d;
	long ret;
	int fd;

	for (u32 i = 0; i < sizeof(name) - 1; i++)
		if (model_read(&name[i], c->arg + i, 1) || !name[i])
			break;
	if (!g->container || !g->container->type)
		return model_broken(-EINVAL, "VFIO_GROUP_GET_DEVICE_FD: before %s",
				    g->container ? "VFIO_SET_IOMMU" : "VFIO_GROUP_SET_CONTAINER");
	vfio_must_be_told(g->told, "VFIO_GROUP_GET_DEVICE_FD");
	d = vdev_find(name);
	if (!d || d->group != g->number)
		return model_broken(-ENODEV, "VFIO_GROUP_GET_DEVICE_FD: no such device in it");
	ret = vdev_opened(d);
	if (ret)
		return ret;
	fd = model_new_fd("vfio-device", 0, MODEL_VFIO_DEVICE);
	if (fd < 0)
		return fd;
	model_file(fd)->vfio = d;
	d->open = d->bound = true;
	d->in = g;
	d->space = &g->container->space;
	g->devices++;
	model_note(c, "device", "\"%s\"", d->id);
	return fd;
}

long vgroup_ioctl(struct model_call *c)
{
	struct vgroup *g = c->file->vfio;
	struct vfio_group_status status = { 0 };
	long ret;

	switch (c->request) {
	case VFIO_GROUP_GET_STATUS:
		ret = vfio_get(c, &status, sizeof(status), sizeof(status));
		if (ret)
			return ret;
		status.flags = (vgroup_is_viable(g->number) ? (u32)VFIO_GROUP_FLAGS_VIABLE : 0) |
			       (g->container ? (u32)VFIO_GROUP_FLAGS_CONTAINER_SET : 0);
		return vfio_put(c, &status, sizeof(status));
	case VFIO_GROUP_SET_CONTAINER:
		return set_container(c, g);
	case VFIO_GROUP_UNSET_CONTAINER:
		if (!g->container || g->devices)
			return model_broken(g->container ? -EBUSY : -EINVAL,
					    "VFIO_GROUP_UNSET_CONTAINER: %s",
					    g->container ? "devices are open" : "it is in none");
		leave_container(g);
		return 0;
	case VFIO_GROUP_GET_DEVICE_FD:
		return get_device(c, g);
	default:
		return model_broken(-ENOTTY, "request 0x%lx is none of a group's", c->request);
	}
}

void vgroup_closed(struct vgroup *g)
{
	if (g->told)
		model_broken(0, "group %u is closed before KVM has forgotten it", g->number);
	g->open = g->told = false;
	if (!g->devices)
		leave_container(g);
}

static long get_info(struct model_call *c, const struct vcontainer *container)
{
	struct {
		struct vfio_iommu_type1_info info;
		struct vfio_info_cap_header ranges;
		u32 n, pad;
		u64 iovas[2][2];
		struct vfio_info_cap_header avail;
		u32 left, pad2;
	} all = { 0 };
	u32 full = sizeof(all), given, at = offsetof(__typeof__(all), ranges);
	long ret = vfio_get(c, &all.info, offsetof(struct vfio_iommu_type1_info, iova_pgsizes) + 8,
			    sizeof(all.info));

	if (ret)
		return ret;
	given = all.info.argsz;
	all.info.flags = VFIO_IOMMU_INFO_PGSIZES | VFIO_IOMMU_INFO_CAPS;
	all.info.iova_pgsizes = ~(MODEL_PAGE - 1);
	all.info.argsz = full;
	all.info.cap_offset = given >= full ? at : 0;
	all.n = vspace_ranges(all.iovas, 2);
	all.ranges = (struct vfio_info_cap_header){ VFIO_IOMMU_TYPE1_INFO_CAP_IOVA_RANGE, 1,
						    (u32)offsetof(__typeof__(all), avail) };
	all.avail = (struct vfio_info_cap_header){ VFIO_IOMMU_TYPE1_INFO_DMA_AVAIL, 1, 0 };
	all.left = vfio_settings.dma_avail - container->space.n;
	return vfio_put(c, &all, given < full ? (given < 24 ? given : 24) : full);
}

static long map(struct model_call *c, struct vcontainer *container)
{
	struct vfio_iommu_type1_dma_map m = { 0 };
	long ret = vfio_get(c, &m, sizeof(m), sizeof(m));

	if (ret)
		return ret;
	model_note(c, "iova", "%llu", m.iova);
	model_note(c, "size", "%llu", m.size);
	if (m.flags & ~3U)
		return model_broken(-EINVAL, "VFIO_IOMMU_MAP_DMA: flags 0x%x", m.flags);
	if (container->space.n >= vfio_settings.dma_avail)
		return model_refused(-ENOSPC, "VFIO_IOMMU_MAP_DMA: no more than %u",
				     vfio_settings.dma_avail);
	return vspace_map(&container->space,
			  &(struct vspace_map){ m.iova, m.size, m.vaddr,
						m.flags & VFIO_DMA_MAP_FLAG_READ,
						m.flags & VFIO_DMA_MAP_FLAG_WRITE, NULL },
			  "VFIO_IOMMU_MAP_DMA");
}

static long unmap(struct model_call *c, struct vcontainer *container)
{
	struct vfio_iommu_type1_dma_unmap u = { 0 };
	bool all;
	u64 done;
	long ret = vfio_get(c, &u, sizeof(u), sizeof(u));

	if (ret)
		return ret;
	all = u.flags & VFIO_DMA_UNMAP_FLAG_ALL;
	model_note(c, "iova", "%llu", u.iova);
	if (all ? u.iova || u.size : !u.size || !MODEL_ALIGNED(u.iova | u.size))
		return model_broken(-EINVAL, "VFIO_IOMMU_UNMAP_DMA: not of whole pages");
	ret = vspace_unmap(&container->space, u.iova, u.size, all, &done);
	if (ret)
		return model_broken(ret, "VFIO_IOMMU_UNMAP_DMA: a mapping is cut at 0x%llx",
				    u.iova);
	u.size = done;
	return vfio_put(c, &u, sizeof(u));
}

static long extension(u64 what)
{
	return what == VFIO_TYPE1_IOMMU || what == VFIO_TYPE1v2_IOMMU || what == VFIO_UNMAP_ALL ||
	       what == VFIO_DMA_CC_IOMMU;
}

static long set_iommu(struct model_call *c, struct vcontainer *container)
{
	if (!container->groups)
		return model_broken(-EINVAL, "VFIO_SET_IOMMU: before VFIO_GROUP_SET_CONTAINER");
	if (container->type)
		return model_broken(-EINVAL, "VFIO_SET_IOMMU: a second time");
	if (c->arg != VFIO_TYPE1_IOMMU && c->arg != VFIO_TYPE1v2_IOMMU)
		return model_broken(-ENODEV, "VFIO_SET_IOMMU: type %lu", c->arg);
	container->type = (u32)c->arg;
	return 0;
}

long vcontainer_ioctl(struct model_call *c)
{
	struct vcontainer *container = c->file->vfio;

	switch (c->request) {
	case VFIO_GET_API_VERSION:
		return VFIO_API_VERSION;
	case VFIO_CHECK_EXTENSION:
		return extension(c->arg);
	case VFIO_SET_IOMMU:
		return set_iommu(c, container);
	default:
		break;
	}
	if (!container->type)
		return model_broken(-EINVAL, "%s: before VFIO_SET_IOMMU", c->name);
	switch (c->request) {
	case VFIO_IOMMU_GET_INFO:
		return get_info(c, container);
	case VFIO_IOMMU_MAP_DMA:
		return map(c, container);
	case VFIO_IOMMU_UNMAP_DMA:
		return unmap(c, container);
	default:
		return model_broken(-ENOTTY, "request 0x%lx is none of a container's", c->request);
	}
}

/* Its groups keep it. */
void vcontainer_closed(struct vcontainer *container)
{
	container->open = false;
	forget_container(container);
}
