/* SPDX-License-Identifier: MIT */
/*
 * A device that stands in for one of VFIO's, for programs over the library: regions are bytes in
 * memory (those that may be mapped, in a memfd), interrupts remember what they were bound to, and
 * what was asked is counted. It answers by the rules of Linux drivers/vfio/pci as far as they
 * matter to who asks correctly, and with -EINVAL else.
 */
#ifndef FAKE_VFIO_H
#define FAKE_VFIO_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/util.h"
#include "lkvm/vfio.h"
#include "vfio-abi.h"

#define FAKE_VFIO_VECTORS 64U
#define FAKE_VFIO_FD	  1000000 /* of nobody */

struct fake_region {
	u64 size;
	u32 flags; /* VFIO_REGION_INFO_FLAG_*, as the fake says */
	u8 *bytes;
	int memfd; /* what mmap gives, with the same bytes; -1: none */
	/* What it says of parts that may be mapped; 0: the whole, where flags say so. */
	u32 nr_areas;
	struct vfio_area areas[8];
	bool msix_mappable;
};

struct fake_vfio {
	struct vfio_config cfg;
	struct vfio_device dev; /* over this fake, inspected by fake_vfio_open */
	struct fake_region regions[VFIO_MAX_REGIONS];
	struct vfio_irq irqs[VFIO_MAX_IRQS];
	/* What each interrupt writes to; -1: nothing. */
	s32 fds[VFIO_MAX_IRQS][FAKE_VFIO_VECTORS];
	u32 nr_bound[VFIO_MAX_IRQS]; /* how many vectors are there; 0: the kind is off */
	bool masked[VFIO_MAX_IRQS];
	s32 unmask_fd; /* INTx: what unmasks it; -1: nothing */
	u32 flags;     /* VFIO_DEVICE_FLAGS_* */
	u32 resets, set_irqs, reads, writes;
	/* Called first, when set: a value other than 1 is the result. */
	int (*before)(struct fake_vfio *f, unsigned long request, void *arg);
	/* Called before a write changes bytes; true: it was all there is to do. */
	bool (*on_write)(struct fake_vfio *f, u32 region, u64 offset, const void *buf, u32 len);
	void *opaque;
};

/* A region's place in the device's descriptor, as vfio-pci's. */
#define FAKE_VFIO_OFFSET(index) ((u64)(index) << 40)

static inline void fake_vfio_region(struct fake_vfio *f, u32 index, u64 size, u32 flags)
{
	struct fake_region *r = &f->regions[index];

	r->size = size;
	r->flags = flags;
	r->memfd = -1;
	if (flags & VFIO_REGION_INFO_FLAG_MMAP) {
		r->memfd = memfd_create("region", MFD_CLOEXEC);
		if (r->memfd < 0 || ftruncate(r->memfd, (off_t)size) < 0)
			abort();
		r->bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, r->memfd, 0);
		if (r->bytes == MAP_FAILED)
			abort();
	} else {
		r->bytes = calloc(1, size);
	}
}

static inline int fake_region_info(struct fake_vfio *f, struct vfio_region_info *info)
{
	struct fake_region *r;
	u32 len = sizeof(*info), next = 0;
	u8 *end;

	if (info->argsz < sizeof(*info) || info->index >= VFIO_MAX_REGIONS)
		return -EINVAL;
	r = &f->regions[info->index];
	if (info->index == VFIO_PCI_VGA_REGION_INDEX && !r->size)
		return -EINVAL;
	info->flags = r->flags;
	info->size = r->size;
	info->offset = FAKE_VFIO_OFFSET(info->index);
	info->cap_offset = 0;
	if (r->nr_areas)
		len += (u32)sizeof(struct vfio_region_info_cap_sparse_mmap) +
		       r->nr_areas * (u32)sizeof(struct vfio_region_sparse_mmap_area);
	if (r->msix_mappable)
		len += (u32)sizeof(struct vfio_info_cap_header);
	if (len == sizeof(*info))
		return 0;
	info->flags |= VFIO_REGION_INFO_FLAG_CAPS;
	if (info->argsz < len) {
		info->argsz = len;
		return 0;
	}
	info->cap_offset = sizeof(*info);
	end = (u8 *)info + sizeof(*info);
	if (r->nr_areas) {
		struct vfio_region_info_cap_sparse_mmap *sparse = (void *)end;

		next = r->msix_mappable ? (u32)(len - sizeof(struct vfio_info_cap_header)) : 0;
		*sparse = (struct vfio_region_info_cap_sparse_mmap){
			.header = { VFIO_REGION_INFO_CAP_SPARSE_MMAP, 1, next },
			.nr_areas = r->nr_areas,
		};
		for (u32 i = 0; i < r->nr_areas; i++) {
			sparse->areas[i].offset = r->areas[i].offset;
			sparse->areas[i].size = r->areas[i].size;
		}
	}
	if (r->msix_mappable)
		*(struct vfio_info_cap_header *)((u8 *)info + len -
						 sizeof(struct vfio_info_cap_header)) =
			(struct vfio_info_cap_header){ VFIO_REGION_INFO_CAP_MSIX_MAPPABLE, 1, 0 };
	return 0;
}

static inline int fake_set_irqs(struct fake_vfio *f, const struct vfio_irq_set *set)
{
	const s32 *fds = (const void *)set->data;
	u32 action = set->flags & VFIO_IRQ_SET_ACTION_TYPE_MASK;
	u32 data = set->flags & VFIO_IRQ_SET_DATA_TYPE_MASK;

	f->set_irqs++;
	if (set->argsz < sizeof(*set) || set->index >= VFIO_MAX_IRQS ||
	    (u64)set->start + set->count > f->irqs[set->index].count ||
	    (u64)set->start + set->count > FAKE_VFIO_VECTORS ||
	    (data == VFIO_IRQ_SET_DATA_EVENTFD &&
	     set->argsz < sizeof(*set) + set->count * sizeof(s32)))
		return -EINVAL;
	if (action == VFIO_IRQ_SET_ACTION_TRIGGER && data == VFIO_IRQ_SET_DATA_NONE &&
	    !set->count) {
		if (set->index <= VFIO_PCI_MSIX_IRQ_INDEX && !f->nr_bound[set->index])
			return -EINVAL;
		for (u32 v = 0; v < FAKE_VFIO_VECTORS; v++)
			f->fds[set->index][v] = -1;
		f->nr_bound[set->index] = 0;
		if (set->index == VFIO_PCI_INTX_IRQ_INDEX)
			f->unmask_fd = -1;
		return 0;
	}
	if (action == VFIO_IRQ_SET_ACTION_TRIGGER && data == VFIO_IRQ_SET_DATA_EVENTFD) {
		/* One kind at a time. */
		for (u32 i = 0; i <= VFIO_PCI_MSIX_IRQ_INDEX; i++)
			if (i != set->index && set->index <= VFIO_PCI_MSIX_IRQ_INDEX &&
			    f->nr_bound[i])
				return -EINVAL;
		/* Without dynamic allocation the first call says how many there are. */
		if (f->nr_bound[set->index] && set->start + set->count > f->nr_bound[set->index] &&
		    f->irqs[set->index].flags & VFIO_IRQ_INFO_NORESIZE)
			return -EINVAL;
		f->nr_bound[set->index] = MAX(f->nr_bound[set->index], set->start + set->count);
		memcpy(&f->fds[set->index][set->start], fds, set->count * sizeof(fds[0]));
		return 0;
	}
	if (action == VFIO_IRQ_SET_ACTION_MASK || action == VFIO_IRQ_SET_ACTION_UNMASK) {
		/* vfio-pci: INTx alone, and only where it is set up. */
		if (set->index != VFIO_PCI_INTX_IRQ_INDEX || !f->nr_bound[set->index])
			return -EINVAL;
		if (data == VFIO_IRQ_SET_DATA_EVENTFD)
			f->unmask_fd = fds[0];
		else
			f->masked[set->index] = action == VFIO_IRQ_SET_ACTION_MASK;
		return 0;
	}
	return -EINVAL;
}

static inline int fake_vfio_ioctl(void *opaque, int fd, unsigned long request, void *arg)
{
	struct fake_vfio *f = opaque;
	struct vfio_device_info *info = arg;
	struct vfio_irq_info *irq = arg;

	if (fd != FAKE_VFIO_FD)
		return -EBADF;
	if (f->before) {
		int ret = f->before(f, request, arg);

		if (ret != 1)
			return ret;
	}
	switch (request) {
	case VFIO_DEVICE_GET_INFO:
		info->flags = f->flags;
		info->num_regions = VFIO_MAX_REGIONS;
		info->num_irqs = VFIO_MAX_IRQS;
		return 0;
	case VFIO_DEVICE_GET_REGION_INFO:
		return fake_region_info(f, arg);
	case VFIO_DEVICE_GET_IRQ_INFO:
		if (irq->argsz < sizeof(*irq) || irq->index >= VFIO_MAX_IRQS)
			return -EINVAL;
		irq->flags = f->irqs[irq->index].flags;
		irq->count = f->irqs[irq->index].count;
		return 0;
	case VFIO_DEVICE_SET_IRQS:
		return fake_set_irqs(f, arg);
	case VFIO_DEVICE_RESET:
		f->resets++;
		return f->flags & VFIO_DEVICE_FLAGS_RESET ? 0 : -ENOTTY;
	default:
		return -ENOTTY;
	}
}

static inline struct fake_region *fake_vfio_at(struct fake_vfio *f, u64 at, size_t len, u64 *offset)
{
	u64 index = at >> 40;

	*offset = at & (FAKE_VFIO_OFFSET(1) - 1);
	if (index >= VFIO_MAX_REGIONS || !range_within(*offset, len, 0, f->regions[index].size))
		return NULL;
	return &f->regions[index];
}

static inline ssize_t fake_vfio_pread(void *opaque, int fd, void *buf, size_t len, u64 at)
{
	struct fake_vfio *f = opaque;
	u64 offset;
	struct fake_region *r = fake_vfio_at(f, at, len, &offset);

	f->reads++;
	if (fd != FAKE_VFIO_FD || !r)
		return -EINVAL;
	memcpy(buf, r->bytes + offset, len);
	return (ssize_t)len;
}

static inline ssize_t fake_vfio_pwrite(void *opaque, int fd, const void *buf, size_t len, u64 at)
{
	struct fake_vfio *f = opaque;
	u64 offset;
	struct fake_region *r = fake_vfio_at(f, at, len, &offset);

	f->writes++;
	if (fd != FAKE_VFIO_FD || !r || !(r->flags & VFIO_REGION_INFO_FLAG_WRITE))
		return -EINVAL;
	if (!f->on_write || !f->on_write(f, (u32)(at >> 40), offset, buf, (u32)len))
		memcpy(r->bytes + offset, buf, len);
	return (ssize_t)len;
}

static inline void *fake_vfio_mmap(void *opaque, size_t len, int prot, int fd, u64 at)
{
	struct fake_vfio *f = opaque;
	u64 offset;
	struct fake_region *r = fake_vfio_at(f, at, len, &offset);
	void *p;

	if (fd != FAKE_VFIO_FD || !r || r->memfd < 0) {
		errno = EINVAL;
		return NULL;
	}
	p = mmap(NULL, len, prot, MAP_SHARED, r->memfd, (off_t)offset);
	return p == MAP_FAILED ? NULL : p;
}

static inline void fake_vfio_munmap(void *opaque, void *p, size_t len)
{
	munmap(p, len);
}

static inline int fake_vfio_open_file(void *opaque, const char *path, int flags)
{
	return -ENOENT;
}

static inline void fake_vfio_close_file(void *opaque, int fd) {}

static const struct vfio_calls fake_vfio_calls = {
	.open = fake_vfio_open_file,
	.close = fake_vfio_close_file,
	.ioctl = fake_vfio_ioctl,
	.pread = fake_vfio_pread,
	.pwrite = fake_vfio_pwrite,
	.mmap = fake_vfio_mmap,
	.munmap = fake_vfio_munmap,
};

/* Zeroed, with a configuration space of @config_size bytes; its owner then adds regions, fills
 * irqs, and calls fake_vfio_open. */
static inline void fake_vfio_init(struct fake_vfio *f, u32 config_size)
{
	memset(f, 0, sizeof(*f));
	for (u32 i = 0; i < VFIO_MAX_REGIONS; i++)
		f->regions[i].memfd = -1;
	for (u32 i = 0; i < VFIO_MAX_IRQS; i++)
		for (u32 v = 0; v < FAKE_VFIO_VECTORS; v++)
			f->fds[i][v] = -1;
	f->unmask_fd = -1;
	f->flags = VFIO_DEVICE_FLAGS_PCI | VFIO_DEVICE_FLAGS_RESET;
	f->cfg.device = (char *)"0000:03:00.0";
	fake_vfio_region(f, VFIO_PCI_CONFIG_REGION_INDEX, config_size,
			 VFIO_REGION_INFO_FLAG_READ | VFIO_REGION_INFO_FLAG_WRITE);
	f->dev = (struct vfio_device){ .calls = &fake_vfio_calls, .opaque = f, .cfg = &f->cfg };
	f->dev.fd = FAKE_VFIO_FD;
}

/* 0, or what vfio_name_parse or vfio_device_inspect says. */
static inline int fake_vfio_open(struct fake_vfio *f)
{
	int ret = vfio_name_parse(f->cfg.device, &f->dev.name);

	return ret ? ret : vfio_device_inspect(&f->dev);
}

static inline void fake_vfio_destroy(struct fake_vfio *f)
{
	vfio_device_forget(&f->dev);
	for (u32 i = 0; i < VFIO_MAX_REGIONS; i++) {
		struct fake_region *r = &f->regions[i];

		if (r->memfd >= 0) {
			munmap(r->bytes, r->size);
			close(r->memfd);
		} else {
			free(r->bytes);
		}
	}
}

#endif
