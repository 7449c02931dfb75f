/* SPDX-License-Identifier: MIT */
/* A device: what it is, its regions, reset and features (Linux drivers/vfio/pci/vfio_pci_core.c).
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "vfio.h"

#define CONFIG	  VFIO_PCI_CONFIG_REGION_INDEX
#define ROM	  VFIO_PCI_ROM_REGION_INDEX
#define BAR_AT(i) (0x10 + 4 * (i))

/* Somebody binds it or gets its descriptor. */
long vdev_opened(struct vdev *d)
{
	if (vfio_in_list(vfio_settings.busy, d->kind->name))
		return model_refused(-EBUSY, "%s is in use", d->id);
	if (d->bound)
		return model_broken(-EBUSY, "%s is open already", d->id);
	return 0;
}

void vdev_reset(struct vdev *d)
{
	/* The kernel puts back what it had: BARs and the command stay. */
	memset(d->regs, 0, sizeof(d->regs));
	vdev_line(d, false);
	if (d->kind->reset)
		d->kind->reset(d);
	vmig_reset(d);
	model_log("\"reset\": \"%s\"", d->id);
}

static long get_info(struct model_call *c, struct vdev *d)
{
	struct vfio_device_info i = { 0 };
	long ret = vfio_get(c, &i, 16, 16);

	if (ret)
		return ret;
	i.flags = VFIO_DEVICE_FLAGS_PCI | (vfio_settings.no_reset ? 0 : VFIO_DEVICE_FLAGS_RESET);
	i.num_regions = VDEV_REGIONS;
	i.num_irqs = VDEV_IRQS;
	return vfio_put(c, &i, 16);
}

static long get_region(struct model_call *c, struct vdev *d)
{
	struct {
		struct vfio_region_info info;
		struct vfio_info_cap_header cap;
	} all = { 0 };
	struct vdev_region *r;
	u32 given;
	long ret = vfio_get(c, &all.info, sizeof(all.info), sizeof(all.info));

	if (ret)
		return ret;
	given = all.info.argsz;
	if (all.info.index >= VDEV_REGIONS)
		return model_broken(-EINVAL, "VFIO_DEVICE_GET_REGION_INFO: region %u",
				    all.info.index);
	if (all.info.index == VFIO_PCI_VGA_REGION_INDEX)
		return -EINVAL;
	r = &d->regions[all.info.index];
	all.info.offset = VDEV_REGION(all.info.index);
	all.info.size = r->size;
	all.info.flags = r->flags;
	all.info.cap_offset = 0;
	all.info.argsz = sizeof(all.info);
	if (r->msix_mappable) {
		all.cap.id = VFIO_REGION_INFO_CAP_MSIX_MAPPABLE;
		all.cap.version = 1;
		all.info.flags |= VFIO_REGION_INFO_FLAG_CAPS;
		if (given < sizeof(all))
			all.info.argsz = sizeof(all);
		else
			all.info.cap_offset = sizeof(all.info);
	}
	return vfio_put(c, &all, all.info.cap_offset ? (u32)sizeof(all) : (u32)sizeof(all.info));
}

static long get_irq(struct model_call *c, struct vdev *d)
{
	struct vfio_irq_info i = { 0 };
	long ret = vfio_get(c, &i, sizeof(i), sizeof(i));

	if (ret)
		return ret;
	/* What a device has none of says so by its count or, of the error, by -EINVAL. */
	if (i.index >= VDEV_IRQS || (i.index == VFIO_PCI_ERR_IRQ_INDEX && !d->irq_count[i.index]))
		return -EINVAL;
	i.count = d->irq_count[i.index];
	i.flags = d->irq_flags[i.index];
	return vfio_put(c, &i, sizeof(i));
}

/* What a reset of the bus would take along is, here, the device's group. */
static bool is_reset_too(const struct vdev *d, const struct vdev *other)
{
	return other == d || (other->group == d->group && !other->kind->mdev);
}

#define HOT_HEAD 12U
struct hot_info {
	u32 argsz, flags, count;
	struct vfio_pci_dependent_device devices[VDEV_MAX];
};

static void add_dependent(struct hot_info *all, u32 n, const struct vdev *d,
			  const struct vdev *other)
{
	struct vfio_pci_dependent_device *dev = &all->devices[n];
	u32 bus;

	if (sscanf(other->id, "%*x:%x", &bus) != 1)
		bus = 0;
	dev->bus = (u8)bus;
	dev->group_id = other->group;
	/* Linux vfio_iommufd_get_dev_id: by a cdev these are iommufd's numbers; 0 is a device
	 * without one, which is the caller's with its group; and here all are of one group. */
	if (d->iommufd)
		dev->group_id = other->iommufd == d->iommufd ? other->devid : 0;
}

static long hot_reset_info(struct model_call *c, struct vdev *d)
{
	struct hot_info all = { 0 };
	struct vdev *other;
	u32 given, full, n = 0;
	long ret = vfio_get(c, &all, HOT_HEAD, HOT_HEAD);

	if (ret)
		return ret;
	if (d->kind->mdev)
		return -ENODEV;
	given = all.argsz;
	/* VFIO_PCI_HOT_RESET_FLAG_DEV_ID, DEV_ID_OWNED */
	all.flags = d->iommufd ? 3 : 0;
	for (u32 i = 0; (other = vdev_nth(i)); i++)
		if (is_reset_too(d, other))
			add_dependent(&all, n++, d, other);
	all.count = n;
	full = (u32)(HOT_HEAD + n * sizeof(all.devices[0]));
	ret = vfio_put(c, &all, given < full ? HOT_HEAD : full);
	return given < full && !ret ? -ENOSPC : ret;
}

/* By groups their descriptors prove that all are the caller's; by iommufd nothing needs to. */
static long hot_reset(struct model_call *c, struct vdev *d)
{
	struct vfio_pci_hot_reset head = { 0 };
	struct vdev *other;
	bool owned = d->iommufd;
	long ret = vfio_get(c, &head, sizeof(head), sizeof(head));

	if (ret)
		return ret;
	if (d->kind->mdev)
		return -ENODEV;
	if (head.flags || head.count > VDEV_MAX || !head.count != !!d->iommufd)
		return model_broken(-EINVAL, "VFIO_DEVICE_PCI_HOT_RESET: %u groups", head.count);
	for (u32 i = 0; i < head.count; i++) {
		struct model_file *f;
		s32 fd;

		if (model_read(&fd, c->arg + sizeof(head) + i * sizeof(fd), sizeof(fd)))
			return -EFAULT;
		f = model_file(fd);
		if (f->type != MODEL_VFIO_GROUP)
			return model_broken(-EINVAL, "VFIO_DEVICE_PCI_HOT_RESET: %d is no group",
					    fd);
		owned |= ((struct vgroup *)f->vfio)->number == d->group;
	}
	if (!owned)
		return model_refused(-EINVAL,
				     "VFIO_DEVICE_PCI_HOT_RESET: not all are the caller's");
	for (u32 i = 0; (other = vdev_nth(i)); i++)
		if (is_reset_too(d, other))
			vdev_reset(other);
	return 0;
}

static long feature(struct model_call *c, struct vdev *d)
{
	struct {
		u32 argsz, flags;
		u8 data[64];
	} f = { 0 };
	u32 what, len, index;
	long ret = vfio_get(c, &f, 8, 8);

	if (ret)
		return ret;
	index = f.flags & VFIO_DEVICE_FEATURE_MASK;
	what = f.flags & ~(u32)VFIO_DEVICE_FEATURE_MASK;
	model_note(c, "feature", "%u", index);
	if (what & ~0x70000U || !(what & 0x30000U) ||
	    (!(what & VFIO_DEVICE_FEATURE_PROBE) && (what & 0x30000U) == 0x30000U))
		return model_broken(-EINVAL, "VFIO_DEVICE_FEATURE: flags 0x%x", f.flags);
	if (!vmig_has(d, index) && !vdmabuf_has(d, index))
		return -ENOTTY;
	if (what & VFIO_DEVICE_FEATURE_PROBE)
		return 0;
	len = f.argsz - 8;
	if (len > sizeof(f.data))
		len = sizeof(f.data);
	if (len && model_read(f.data, c->arg + 8, len))
		return -EFAULT;
	if (vdmabuf_has(d, index))
		return what & VFIO_DEVICE_FEATURE_SET ? -ENOTTY : vdmabuf_export(d, f.data, len);
	ret = vmig_feature(d, index, what & VFIO_DEVICE_FEATURE_SET, f.data, len);
	if (!ret && model_write(c->arg + 8, f.data, len))
		return -EFAULT;
	return ret;
}

long vdev_ioctl(struct model_call *c)
{
	struct vdev *d = c->file->vfio;

	if (c->request == M_BIND_IOMMUFD)
		return d->in ? model_broken(-EINVAL,
					    "VFIO_DEVICE_BIND_IOMMUFD: of a group's device")
			     : viommufd_bind(c, d);
	if (!d->bound)
		return model_broken(-EINVAL, "%s: before VFIO_DEVICE_BIND_IOMMUFD", c->name);
	switch (c->request) {
	case M_ATTACH_PT:
		return viommufd_attach(c, d);
	case M_DETACH_PT:
		return viommufd_detach(c, d);
	case VFIO_DEVICE_GET_INFO:
		return get_info(c, d);
	case VFIO_DEVICE_GET_REGION_INFO:
		return get_region(c, d);
	case VFIO_DEVICE_GET_IRQ_INFO:
		return get_irq(c, d);
	case VFIO_DEVICE_SET_IRQS:
		return vdev_set_irqs(c, d);
	case VFIO_DEVICE_RESET:
		if (vfio_settings.no_reset)
			return -EINVAL;
		vdev_reset(d);
		return 0;
	case VFIO_DEVICE_GET_PCI_HOT_RESET_INFO:
		return hot_reset_info(c, d);
	case VFIO_DEVICE_PCI_HOT_RESET:
		return hot_reset(c, d);
	case VFIO_DEVICE_FEATURE:
		return feature(c, d);
	default:
		return -ENOTTY;
	}
}

void vdev_closed(struct vdev *d)
{
	if (d->told)
		model_broken(0, "%s is closed before KVM has forgotten it", d->id);
	vdev_irqs_off(d);
	viommufd_unbind(d);
	if (d->in) {
		d->in->devices--;
		if (!d->in->open)
			vgroup_closed(d->in);
	}
	d->in = NULL;
	d->space = NULL;
	d->open = d->bound = d->told = false;
	memcpy(d->config, d->initial, sizeof(d->config));
}

/* The region, and how much of [at, at + *len) is in it; NULL: -EINVAL. */
static struct vdev_region *region_at(struct vdev *d, u64 at, size_t *len, u64 *offset)
{
	u64 index = at >> 40;
	struct vdev_region *r;

	*offset = at & (VDEV_REGION(1) - 1);
	if (!d->bound) {
		model_broken(0, "%s is accessed before VFIO_DEVICE_BIND_IOMMUFD", d->id);
		return NULL;
	}
	r = index < VDEV_REGIONS ? &d->regions[index] : NULL;
	if (!r || *offset >= r->size) {
		model_broken(0, "%s: an access to region %llu at 0x%llx", d->id,
			     (unsigned long long)index, (unsigned long long)*offset);
		return NULL;
	}
	if (*len > r->size - *offset)
		*len = (size_t)(r->size - *offset);
	return r;
}

/* Is decoding on, and the function in D0? */
static bool answers(const struct vdev *d, u32 index)
{
	bool io = index < ROM && d->config[BAR_AT(index)] & 1;

	return d->kind->mdev || d->config[4] & (io ? 1 : 2);
}

ssize_t vdev_read(struct vdev *d, void *buf, size_t len, u64 at)
{
	u32 index = (u32)(at >> 40);
	u64 offset;
	struct vdev_region *r = region_at(d, at, &len, &offset);

	if (!r)
		return -EINVAL;
	vdev_line(d, d->line);
	if (index == CONFIG) {
		memcpy(buf, d->config + offset, len);
		return (ssize_t)len;
	}
	if (!answers(d, index))
		return model_refused(-EIO, "%s: region %u is read while it is off", d->id, index);
	if (d->kind->read && d->kind->read(d, index, offset, buf, (u32)len))
		return (ssize_t)len;
	if (r->bytes)
		memcpy(buf, r->bytes + offset, len);
	else
		memset(buf, 0, len);
	return (ssize_t)len;
}

/* Function level reset (PCI Express 6.0, 7.5.3.4), where the capability is. */
static void after_config(struct vdev *d, u64 offset, size_t len)
{
	u32 at = d->config[0x34], control;

	for (u32 i = 0; i < 16 && at; i++, at = d->config[at + 1]) {
		control = at + 9;
		if (d->config[at] != 0x10 || offset > control || offset + len <= control ||
		    !(d->config[control] & 0x80))
			continue;
		d->config[control] &= 0x7f;
		vdev_reset(d);
	}
}

static void write_config(struct vdev *d, const u8 *from, size_t len, u64 offset)
{
	for (size_t i = 0; i < len; i++) {
		u8 mask = d->writable[offset + i];

		d->config[offset + i] = (u8)((d->config[offset + i] & ~mask) | (from[i] & mask));
	}
	after_config(d, offset, len);
}

ssize_t vdev_write(struct vdev *d, const void *buf, size_t len, u64 at)
{
	u32 index = (u32)(at >> 40);
	u64 offset;
	struct vdev_region *r = region_at(d, at, &len, &offset);

	if (!r)
		return -EINVAL;
	if (index == ROM)
		return model_broken(-EINVAL, "%s: the ROM is written", d->id);
	vdev_line(d, d->line);
	if (index == CONFIG) {
		write_config(d, buf, len, offset);
		return (ssize_t)len;
	}
	if (!answers(d, index))
		return model_refused(-EIO, "%s: region %u is written while it is off", d->id,
				     index);
	if (d->kind->write && d->kind->write(d, index, offset, buf, (u32)len))
		return (ssize_t)len;
	if (r->bytes)
		memcpy(r->bytes + offset, buf, len);
	return (ssize_t)len;
}

void *vdev_mmap(struct vdev *d, void *at, size_t len, int prot, int flags, u64 offset)
{
	u64 index = offset >> 40, in = offset & (VDEV_REGION(1) - 1);
	struct vdev_region *r = index < VDEV_REGIONS ? &d->regions[index] : NULL;
	void *p;

	if (!d->bound || !r || r->memfd < 0 || in >= r->size || len > r->size - in ||
	    !(flags & MAP_SHARED)) {
		errno = (int)-model_broken(-EINVAL, "%s: mmap of region %llu at 0x%llx", d->id,
					   (unsigned long long)index, (unsigned long long)in);
		return MAP_FAILED;
	}
	p = model_libc_mmap(at, len, prot, flags, r->memfd, (off_t)in);
	if (p != MAP_FAILED)
		vspace_bar_mapped((u64)(uintptr_t)p, (len + MODEL_PAGE - 1) & ~(MODEL_PAGE - 1));
	return p;
}
