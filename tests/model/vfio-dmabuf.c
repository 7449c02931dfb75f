/* SPDX-License-Identifier: MIT */
/*
 * Parts of BARs as dma-bufs (VFIO_DEVICE_FEATURE_DMA_BUF), and their maps in an IOAS, for DMA from
 * one device to another (Linux Documentation/driver-api/pci/p2pdma.rst). What is mapped is reached
 * as long as the device's memory is on.
 */
#include <stdlib.h>

#include "vfio.h"

struct vdmabuf {
	struct vdev *dev;
	u32 region;
	u64 offset, size;
};

bool vdmabuf_has(const struct vdev *d, u32 feature)
{
	return feature == M_FEATURE_DMA_BUF && !d->kind->mdev && !vfio_settings.no_dmabuf;
}

long vdmabuf_export(struct vdev *d, const void *data, u32 len)
{
	const struct m_dma_buf *b = data;
	struct vdmabuf *buf;
	u64 size;
	int fd;

	if (len < sizeof(*b) || b->flags || b->nr_ranges != 1 || b->region_index > 5)
		return model_broken(-EINVAL, "VFIO_DEVICE_FEATURE_DMA_BUF: of what is no BAR");
	size = d->regions[b->region_index].size;
	if (!b->length || !MODEL_ALIGNED(b->offset | b->length) || b->offset > size ||
	    b->length > size - b->offset || d->regions[b->region_index].memfd < 0)
		return model_broken(-EINVAL, "VFIO_DEVICE_FEATURE_DMA_BUF: 0x%llx, 0x%llx bytes",
				    (unsigned long long)b->offset, (unsigned long long)b->length);
	if (!(d->config[4] & 2))
		return model_refused(-ENODEV, "VFIO_DEVICE_FEATURE_DMA_BUF: %s's memory is off",
				     d->id);
	buf = calloc(1, sizeof(*buf));
	if (!buf)
		abort();
	*buf = (struct vdmabuf){ d, b->region_index, b->offset, b->length };
	fd = model_new_fd("dmabuf", 0, MODEL_VFIO_DMABUF);
	if (fd >= 0)
		model_file(fd)->vfio = buf;
	else
		free(buf);
	return fd;
}

/* IOMMU_IOAS_MAP_FILE into @s. */
long vdmabuf_map(struct model_call *c, struct vspace *s, const struct m_map_file *m)
{
	struct model_file *f = model_file(m->fd);
	const struct vdmabuf *buf = f->vfio;

	model_note(c, "iova", "%llu", (unsigned long long)m->iova);
	model_note(c, "size", "%llu", (unsigned long long)m->length);
	if (f->type != MODEL_VFIO_DMABUF)
		return model_broken(-EBADF, "IOMMU_IOAS_MAP_FILE: descriptor %d is no dma-buf",
				    m->fd);
	if (m->flags != 7)
		return model_broken(-EOPNOTSUPP, "IOMMU_IOAS_MAP_FILE: flags 0x%x", m->flags);
	if (m->start > buf->size || m->length > buf->size - m->start)
		return model_broken(-EINVAL, "IOMMU_IOAS_MAP_FILE: beyond the dma-buf");
	return vspace_map(
		s,
		&(struct vspace_map){
			m->iova, m->length,
			(u64)(uintptr_t)(buf->dev->regions[buf->region].bytes + buf->offset) +
				m->start,
			true, true, buf->dev },
		"IOMMU_IOAS_MAP_FILE");
}
