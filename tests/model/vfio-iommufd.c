/* SPDX-License-Identifier: MIT */
/* /dev/iommu: spaces (IOAS), page tables (HWPT) and devices, by numbers. */
#include <stdio.h>
#include <stdlib.h>

#include "vfio.h"

#define HWPT_PASID     8U
#define MAX_IOAS_FLAGS 7U

enum what { IOAS = 1, HWPT, DEVICE };

struct vobject {
	struct vobject *next;
	u32 id, users;
	enum what what;
	struct vspace space;  /* IOAS */
	struct vobject *ioas; /* HWPT: of which */
	bool pasid;	      /* HWPT: made for PASIDs */
	struct vdev *dev;     /* DEVICE */
};

static struct vobject *find(const struct viommufd *fd, u32 id)
{
	struct vobject *o = fd->objects;

	while (o && o->id != id)
		o = o->next;
	return o;
}

static struct vobject *make(struct viommufd *fd, enum what what)
{
	struct vobject *o = calloc(1, sizeof(*o));

	if (!o)
		abort();
	o->id = ++fd->next_id;
	o->what = what;
	o->next = fd->objects;
	fd->objects = o;
	return o;
}

static void drop(struct viommufd *fd, struct vobject *o)
{
	struct vobject **at = &fd->objects;

	while (*at != o)
		at = &(*at)->next;
	*at = o->next;
	if (o->what == HWPT)
		o->ioas->users--;
	vspace_clear(&o->space);
	free(o);
}

static long destroy(struct model_call *c, struct viommufd *fd)
{
	struct m_destroy d = { 0 };
	struct vobject *o;
	long ret = vfio_get(c, &d, sizeof(d), sizeof(d));

	if (ret)
		return ret;
	o = find(fd, d.id);
	if (!o || o->what == DEVICE)
		return model_broken(-ENOENT, "IOMMU_DESTROY: %u is nothing of the caller's", d.id);
	if (o->users)
		return model_broken(-EBUSY, "IOMMU_DESTROY: %u is in use", d.id);
	drop(fd, o);
	return 0;
}

/* NULL: a broken rule, -ENOENT. */
static struct vobject *ioas_of(const struct model_call *c, const struct viommufd *fd, u32 id)
{
	struct vobject *o = find(fd, id);

	if (o && o->what == IOAS)
		return o;
	model_broken(0, "%s: %u is no IOAS", c->name, id);
	return NULL;
}

static long ranges(struct model_call *c, struct viommufd *fd)
{
	struct m_iova_ranges r = { 0 };
	u64 all[2][2] = { { 0, ~0ULL } };
	struct vobject *o;
	u32 n = 1, room;
	long ret = vfio_get(c, &r, sizeof(r), sizeof(r));

	if (ret)
		return ret;
	o = ioas_of(c, fd, r.ioas_id);
	if (!o)
		return -ENOENT;
	/* Only what devices are attached to has limits. */
	if (o->space.physical)
		n = vspace_ranges(all, 2);
	room = r.num_iovas < n ? r.num_iovas : n;
	if (model_write(r.allowed_iovas, all, room * sizeof(all[0])) && room)
		return -EFAULT;
	ret = r.num_iovas < n ? -EMSGSIZE : 0;
	r.num_iovas = n;
	r.out_alignment = MODEL_PAGE;
	n = (u32)vfio_put(c, &r, sizeof(r));
	return n ? (long)(int)n : ret;
}

static long map(struct model_call *c, struct viommufd *fd)
{
	struct m_map m = { 0 };
	struct vobject *o;
	long ret = vfio_get(c, &m, sizeof(m), sizeof(m));

	if (ret)
		return ret;
	o = ioas_of(c, fd, m.ioas_id);
	if (!o)
		return -ENOENT;
	model_note(c, "iova", "%llu", (unsigned long long)m.iova);
	model_note(c, "size", "%llu", (unsigned long long)m.length);
	if (m.flags & ~MAX_IOAS_FLAGS || !(m.flags & 1) || m.reserved)
		return model_broken(-EOPNOTSUPP, "IOMMU_IOAS_MAP: flags 0x%x", m.flags);
	if (vspace_is_bar(m.user_va, m.length))
		return model_refused(-EFAULT, "IOMMU_IOAS_MAP: a BAR has no pages to pin");
	return vspace_map(
		&o->space,
		&(struct vspace_map){ m.iova, m.length, m.user_va, m.flags & 4, m.flags & 2, NULL },
		"IOMMU_IOAS_MAP");
}

static long map_file(struct model_call *c, struct viommufd *fd)
{
	struct m_map_file m = { 0 };
	struct vobject *o;
	long ret = vfio_get(c, &m, sizeof(m), sizeof(m));

	if (ret)
		return ret;
	o = ioas_of(c, fd, m.ioas_id);
	return o ? vdmabuf_map(c, &o->space, &m) : -ENOENT;
}

static long unmap(struct model_call *c, struct viommufd *fd)
{
	struct m_unmap u = { 0 };
	struct vobject *o;
	bool all;
	u64 done;
	long ret = vfio_get(c, &u, sizeof(u), sizeof(u));

	if (ret)
		return ret;
	o = ioas_of(c, fd, u.ioas_id);
	if (!o)
		return -ENOENT;
	all = !u.iova && u.length == ~0ULL;
	model_note(c, "iova", "%llu", (unsigned long long)u.iova);
	if (!all && (!u.length || u.iova + u.length - 1 < u.iova))
		return model_broken(-EINVAL, "IOMMU_IOAS_UNMAP: an empty range");
	ret = vspace_unmap(&o->space, u.iova, u.length, all, &done);
	if (ret)
		return model_broken(-ENOENT, "IOMMU_IOAS_UNMAP: a mapping is cut at 0x%llx",
				    (unsigned long long)u.iova);
	if (!done && !all)
		return model_refused(-ENOENT, "IOMMU_IOAS_UNMAP: nothing is mapped at 0x%llx",
				     (unsigned long long)u.iova);
	u.length = done;
	return vfio_put(c, &u, sizeof(u));
}

static long hwpt_alloc(struct model_call *c, struct viommufd *fd)
{
	struct m_hwpt_alloc a = { 0 };
	struct vobject *dev, *ioas, *o;
	long ret = vfio_get(c, &a, 40, sizeof(a));

	if (ret)
		return ret;
	dev = find(fd, a.dev_id);
	ioas = find(fd, a.pt_id);
	if (!dev || dev->what != DEVICE || !ioas || ioas->what != IOAS)
		return model_broken(-ENOENT, "IOMMU_HWPT_ALLOC: device %u, IOAS %u", a.dev_id,
				    a.pt_id);
	if (dev->dev->kind->mdev)
		return model_broken(-EINVAL, "IOMMU_HWPT_ALLOC: of a device without an IOMMU");
	if (a.flags & ~(HWPT_PASID | 2U) || a.reserved || a.data_type || a.data_len)
		return model_broken(-EOPNOTSUPP, "IOMMU_HWPT_ALLOC: flags 0x%x, type %u", a.flags,
				    a.data_type);
	if (a.flags & HWPT_PASID && !vfio_settings.pasid)
		return model_refused(-EOPNOTSUPP, "IOMMU_HWPT_ALLOC: the IOMMU has no PASIDs");
	o = make(fd, HWPT);
	o->ioas = ioas;
	o->pasid = a.flags & HWPT_PASID;
	ioas->users++;
	a.out_hwpt_id = o->id;
	return vfio_put(c, &a, a.size < sizeof(a) ? a.size : (u32)sizeof(a));
}

static long hw_info(struct model_call *c, struct viommufd *fd)
{
	struct m_hw_info i = { 0 };
	struct vobject *dev;
	long ret = vfio_get(c, &i, 32, sizeof(i));

	if (ret)
		return ret;
	dev = find(fd, i.dev_id);
	if (!dev || dev->what != DEVICE || dev->dev->kind->mdev)
		return model_broken(-ENOENT, "IOMMU_GET_HW_INFO: %u is no device behind an IOMMU",
				    i.dev_id);
	if (i.flags)
		return model_broken(-EOPNOTSUPP, "IOMMU_GET_HW_INFO: flags 0x%x", i.flags);
	i.data_len = 0;
	i.out_data_type = 0;
	i.out_max_pasid_log2 = (u8)vfio_settings.pasid;
	i.out_capabilities = 1 | (vfio_settings.pasid ? 6 : 0);
	return vfio_put(c, &i, i.size < sizeof(i) ? i.size : (u32)sizeof(i));
}

long viommufd_ioctl(struct model_call *c)
{
	struct viommufd *fd = c->file->vfio;
	struct m_ioas_alloc a = { 0 };
	long ret;

	switch (c->request) {
	case M_DESTROY:
		return destroy(c, fd);
	case M_IOAS_ALLOC:
		ret = vfio_get(c, &a, sizeof(a), sizeof(a));
		if (ret || a.flags)
			return ret ? ret : model_broken(-EOPNOTSUPP, "IOMMU_IOAS_ALLOC: flags");
		a.out_ioas_id = make(fd, IOAS)->id;
		return vfio_put(c, &a, sizeof(a));
	case M_IOAS_IOVA_RANGES:
		return ranges(c, fd);
	case M_IOAS_MAP:
		return map(c, fd);
	case M_IOAS_MAP_FILE:
		return map_file(c, fd);
	case M_IOAS_UNMAP:
		return unmap(c, fd);
	case M_HWPT_ALLOC:
		return hwpt_alloc(c, fd);
	case M_GET_HW_INFO:
		return hw_info(c, fd);
	default:
		return -ENOTTY;
	}
}

long viommufd_bind(struct model_call *c, struct vdev *d)
{
	struct m_bind b = { 0 };
	struct model_file *f;
	struct vobject *o;
	long ret = vfio_get(c, &b, 16, sizeof(b));

	if (ret)
		return ret;
	f = model_file(b.iommufd);
	if (b.flags)
		return model_broken(-EINVAL, "VFIO_DEVICE_BIND_IOMMUFD: flags 0x%x", b.flags);
	if (f->type != MODEL_VFIO_IOMMUFD)
		return model_broken(-EBADF, "VFIO_DEVICE_BIND_IOMMUFD: descriptor %d is no iommufd",
				    b.iommufd);
	if (d->bound)
		return model_broken(-EINVAL, "VFIO_DEVICE_BIND_IOMMUFD: a second time");
	vfio_must_be_told(d->told, "VFIO_DEVICE_BIND_IOMMUFD");
	ret = vdev_opened(d);
	if (ret)
		return ret;
	/* Linux iommu_device_claim_dma_owner */
	if (!vgroup_is_viable(d->group))
		return model_refused(-EBUSY,
				     "VFIO_DEVICE_BIND_IOMMUFD: the host has a device of group %u",
				     d->group);
	o = make(f->vfio, DEVICE);
	o->dev = d;
	o->users = 1;
	d->bound = true;
	d->iommufd = f->vfio;
	d->devid = b.out_devid = o->id;
	model_note(c, "device", "\"%s\"", d->id);
	return vfio_put(c, &b, 16);
}

static void put_pt(struct vdev *d)
{
	struct vobject *o = d->space ? find(d->iommufd, d->pt_id) : NULL;

	if (!o)
		return;
	o->users--;
	d->space->users--;
	if (!d->kind->mdev)
		d->space->physical--;
	d->space = NULL;
	d->pt_id = 0;
}

/* Without PASIDs; those are a device's of which the model has none that uses them. */
long viommufd_attach(struct model_call *c, struct vdev *d)
{
	struct m_attach a = { 0 };
	struct vobject *o, *rid;
	struct vspace *s;
	long ret = vfio_get(c, &a, 12, sizeof(a));

	if (ret)
		return ret;
	if (!d->iommufd)
		return model_broken(-EINVAL, "VFIO_DEVICE_ATTACH_IOMMUFD_PT: of a group's device");
	o = find(d->iommufd, a.pt_id);
	if (a.flags & ~1U || (a.flags & 1 && a.argsz < sizeof(a)))
		return model_broken(-EINVAL, "VFIO_DEVICE_ATTACH_IOMMUFD_PT: flags 0x%x", a.flags);
	if (!o || o->what == DEVICE)
		return model_broken(-ENOENT, "VFIO_DEVICE_ATTACH_IOMMUFD_PT: %u is no page table",
				    a.pt_id);
	if (a.flags & 1) {
		if (d->kind->mdev || !vfio_settings.pasid)
			return model_refused(-EOPNOTSUPP,
					     "VFIO_DEVICE_ATTACH_IOMMUFD_PT: no PASIDs");
		if (!a.pasid || a.pasid >> vfio_settings.pasid || o->what != HWPT || !o->pasid)
			return model_broken(-EINVAL,
					    "VFIO_DEVICE_ATTACH_IOMMUFD_PT: PASID %u to %u",
					    a.pasid, a.pt_id);
		/* Linux iommufd_hwpt_pasid_compat */
		rid = d->space ? find(d->iommufd, d->pt_id) : NULL;
		if (rid && (rid->what != HWPT || !rid->pasid))
			return model_broken(-EINVAL,
					    "VFIO_DEVICE_ATTACH_IOMMUFD_PT: PASID %u "
					    "beside page tables without",
					    a.pasid);
		return 0;
	}
	if (o->what == HWPT && d->kind->mdev)
		return model_broken(-EINVAL, "VFIO_DEVICE_ATTACH_IOMMUFD_PT: an mdev has an IOAS");
	s = o->what == HWPT ? &o->ioas->space : &o->space;
	if (!d->kind->mdev && vspace_has_reserved(s))
		return model_broken(-EADDRINUSE,
				    "VFIO_DEVICE_ATTACH_IOMMUFD_PT: reserved addresses are mapped");
	put_pt(d);
	o->users++;
	s->users++;
	if (!d->kind->mdev)
		s->physical++;
	d->space = s;
	d->pt_id = a.pt_id;
	return vfio_put(c, &a, 12);
}

long viommufd_detach(struct model_call *c, struct vdev *d)
{
	struct m_attach a = { 0 };
	long ret = vfio_get(c, &a, 8, 12);

	if (ret)
		return ret;
	if (!(a.flags & 1))
		put_pt(d);
	return 0;
}

/* When it is closed, devices that are bound keep it, and what they are attached to. */
static void put_iommufd(struct viommufd *fd)
{
	if (!fd->closed)
		return;
	for (struct vobject *o = fd->objects, *next; o; o = next) {
		next = o->next;
		if (!o->users && o->what != DEVICE)
			drop(fd, o);
	}
	if (!fd->objects)
		free(fd);
}

void viommufd_unbind(struct vdev *d)
{
	struct vobject *o;

	if (!d->iommufd)
		return;
	put_pt(d);
	o = find(d->iommufd, d->devid);
	if (o)
		drop(d->iommufd, o);
	put_iommufd(d->iommufd);
	d->iommufd = NULL;
	d->devid = 0;
}

void viommufd_closed(struct viommufd *fd)
{
	fd->closed = true;
	put_iommufd(fd);
}
