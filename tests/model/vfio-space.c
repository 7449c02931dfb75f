/* SPDX-License-Identifier: MIT */
/* Addresses of devices: what is mapped, what must not be, and DMA that goes through it. */
#include <stdio.h>
#include <stdlib.h>

#include "vfio.h"

#define MSI_START vfio_settings.msi
#define MSI_END	  (vfio_settings.msi + VDEV_MSI_SIZE)

static struct model_set bars; /* of lkvm's addresses */

void vspace_bar_mapped(u64 va, u64 size)
{
	model_set_add(&bars, va, va + size);
}

void vspace_unmapped(u64 va, u64 size)
{
	u64 end = (va + size + MODEL_PAGE - 1) & ~(MODEL_PAGE - 1);

	if (bars.n)
		model_set_remove(&bars, va, end);
}

bool vspace_is_reserved(u64 iova, u64 size)
{
	u64 last = iova + size - 1;

	return (iova < MSI_END && last >= MSI_START) || last >> vfio_settings.aperture;
}

bool vspace_has_reserved(const struct vspace *s)
{
	for (u32 i = 0; i < s->n; i++)
		if (vspace_is_reserved(s->maps[i].iova, s->maps[i].size))
			return true;
	return false;
}

u32 vspace_ranges(u64 (*ranges)[2], u32 n)
{
	u64 last = (1ULL << vfio_settings.aperture) - 1;
	u64 all[2][2] = { { 0, last < MSI_START ? last : MSI_START - 1 }, { MSI_END, last } };
	u32 there = last > MSI_END ? 2 : 1;

	for (u32 i = 0; i < n && i < there; i++)
		memcpy(ranges[i], all[i], sizeof(all[i]));
	return there;
}

static u64 pinned(const struct vspace *s)
{
	u64 sum = 0;

	for (u32 i = 0; i < s->n; i++)
		sum += s->maps[i].size;
	return sum;
}

static long check_map(const struct vspace *s, const struct vspace_map *m, const char *what)
{
	if (!m->size || !MODEL_ALIGNED(m->iova | m->size | m->va))
		return model_broken(-EINVAL,
				    "%s: not of whole pages: 0x%llx, 0x%llx bytes of 0x%llx", what,
				    (unsigned long long)m->iova, (unsigned long long)m->size,
				    (unsigned long long)m->va);
	if (m->iova + m->size - 1 < m->iova || m->va + m->size - 1 < m->va)
		return model_broken(-EOVERFLOW, "%s: beyond the last address", what);
	if (!m->readable && !m->writable)
		return model_broken(-EINVAL, "%s: neither to be read nor written", what);
	if (vfio_settings.max_map && m->size > vfio_settings.max_map)
		return model_broken(-EINVAL, "%s: 0x%llx bytes in one piece", what,
				    (unsigned long long)m->size);
	for (u32 i = 0; i < s->n; i++)
		if (m->iova < s->maps[i].iova + s->maps[i].size &&
		    s->maps[i].iova < m->iova + m->size)
			return model_broken(-EEXIST, "%s: 0x%llx is mapped already", what,
					    (unsigned long long)m->iova);
	if (s->physical && vspace_is_reserved(m->iova, m->size))
		return model_broken(-EINVAL, "%s: 0x%llx, 0x%llx bytes, holds reserved addresses",
				    what, (unsigned long long)m->iova, (unsigned long long)m->size);
	return 0;
}

long vspace_map(struct vspace *s, const struct vspace_map *m, const char *what)
{
	long ret = check_map(s, m, what);
	u8 byte;

	if (ret)
		return ret;
	if (vfio_settings.memlock && pinned(s) + m->size > vfio_settings.memlock)
		return model_refused(-ENOMEM, "%s: more than may be locked", what);
	if (model_read(&byte, m->va, 1) || model_read(&byte, m->va + m->size - 1, 1))
		return model_broken(-EFAULT, "%s: no memory at 0x%llx", what,
				    (unsigned long long)m->va);
	s->maps = realloc(s->maps, (s->n + 1) * sizeof(*m));
	if (!s->maps)
		abort();
	s->maps[s->n++] = *m;
	return 0;
}

/* lkvm's address is a BAR's: iommufd pins only memory with pages (Linux pin_user_pages). */
bool vspace_is_bar(u64 va, u64 size)
{
	return model_set_has_any(&bars, va, va + size);
}

long vspace_unmap(struct vspace *s, u64 iova, u64 size, bool all, u64 *done)
{
	u64 end = iova + size;

	*done = 0;
	for (u32 i = 0; i < s->n && !all; i++) {
		u64 at = s->maps[i].iova, to = at + s->maps[i].size;

		if (at < end && iova < to && (at < iova || to > end))
			return -EINVAL;
	}
	for (u32 i = 0; i < s->n;) {
		struct vspace_map *m = &s->maps[i];

		if (!all && (m->iova < iova || m->iova >= end)) {
			i++;
			continue;
		}
		*done += m->size;
		*m = s->maps[--s->n];
	}
	return 0;
}

void vspace_clear(struct vspace *s)
{
	free(s->maps);
	s->maps = NULL;
	s->n = 0;
}

static long access_piece(const struct vspace *s, u64 iova, void *buf, u32 *len, bool write)
{
	for (u32 i = 0; i < s->n; i++) {
		const struct vspace_map *m = &s->maps[i];
		u64 offset = iova - m->iova;

		if (iova < m->iova || offset >= m->size)
			continue;
		if ((write ? !m->writable : !m->readable) || (m->of && !(m->of->config[4] & 2)))
			return -EFAULT;
		if (*len > m->size - offset)
			*len = (u32)(m->size - offset);
		return write ? model_write(m->va + offset, buf, *len)
			     : model_read(buf, m->va + offset, *len);
	}
	return -EFAULT;
}

/* Bus mastering is what makes a device a master (PCI Local Bus 3.0, 6.2.2). */
long vspace_access(struct vdev *d, u64 iova, void *buf, u32 len, bool write)
{
	long ret = d->space && d->config[4] & 4 ? 0 : -EFAULT;

	while (len && !ret) {
		u32 piece = len;

		ret = access_piece(d->space, iova, buf, &piece, write);
		if (ret)
			break;
		iova += piece;
		buf = (u8 *)buf + piece;
		len -= piece;
	}
	if (ret) {
		d->faults++;
		model_log("\"dma-fault\": \"%s\", \"iova\": %llu, \"write\": %s", d->id,
			  (unsigned long long)iova, write ? "true" : "false");
	}
	return ret;
}
