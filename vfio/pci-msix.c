/* SPDX-License-Identifier: MIT */
/*
 * MSI-X of a function that is passed through (PCI Local Bus 3.0, 6.8.2; see pci-irqs.h). The table
 * is pci/msix.c's. The host gets those vectors that the guest uses, when it unmasks them first:
 * one by one, or where its kernel cannot add any while MSI-X is on, by switching it off and on with
 * more, twice as many each time. What was sent between is made up for by one interrupt to each.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "pci-irqs.h"

#define INDEX VFIO_PCI_MSIX_IRQ_INDEX

/* As the device says it first. Accesses of BARs look at this: configuration space changes under
 * locks that those do not take. */
static void find_parts(const struct vfio_pci *vp, struct vfio_msix_part parts[2])
{
	const u8 *config = vp->pci.config + vp->msix_cap;
	u32 nr = ((u32)get_le(config + PCI_MSIX_FLAGS, 2) & PCI_MSIX_FLAGS_QSIZE) + 1;

	for (unsigned int part = 0; part < 2; part++) {
		u32 where = (u32)get_le(config + (part ? PCI_MSIX_PBA : PCI_MSIX_TABLE), 4);

		parts[part] = (struct vfio_msix_part){
			.bar = where & PCI_MSIX_TABLE_BIR,
			.offset = where & PCI_MSIX_TABLE_OFFSET,
			.size = part ? (nr + 63) / 64 * 8 : nr * PCI_MSIX_ENTRY_SIZE,
		};
	}
}

/* NULL: nothing is wrong with what the device says. */
static const char *find_fault(const struct vfio_pci *vp, const struct vfio_msix_part parts[2])
{
	if (!vp->dev->irqs[INDEX].count)
		return "the host has none of it";
	for (unsigned int part = 0; part < 2; part++) {
		const struct vfio_msix_part *p = &parts[part];

		if (p->bar >= PCI_NR_BARS ||
		    vp->pci.bars[p->bar].flags & PCI_BASE_ADDRESS_SPACE_IO ||
		    !range_within(p->offset, p->size, 0, vp->bars[p->bar].size))
			return part ? "its pending bits are not within a BAR"
				    : "its table is not within a BAR";
	}
	if (parts[0].bar == parts[1].bar &&
	    ranges_overlap(parts[0].offset, parts[0].size, parts[1].offset, parts[1].size))
		return "its table and its pending bits overlap";
	return NULL;
}

/* The host's side. All under irqs->lock. */

static s32 vector_fd(struct vfio_pci_irqs *irqs, u32 v)
{
	return irqs->used[v] ? MAX(msix_fd(&irqs->msix, v), -1) : -1;
}

/* Switch on with @n vectors. 0; -errno; how many there are. */
static int bind_all(struct vfio_pci_irqs *irqs, u32 n)
{
	s32 *fds;
	int ret;

	assert(n);
	fds = calloc(n, sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	for (u32 v = 0; v < n; v++)
		fds[v] = vector_fd(irqs, v);
	ret = vfio_device_set_irqs(irqs->vp->dev, INDEX, 0, fds, n);
	free(fds);
	return ret;
}

static void warn_limit(struct vfio_pci_irqs *irqs, u32 v, const char *why)
{
	guest_warn("%s: MSI-X interrupt %u stays silent: %s", irqs->vp->pci.dev.name, v, why);
}

/* Switch on with @n vectors, or with what the host has of them; one is needed. */
static int enable(struct vfio_pci_irqs *irqs, u32 n)
{
	int ret;

	n = MIN(n, irqs->nr_limit);
	ret = bind_all(irqs, n);
	if (ret > 0 && (u32)ret < n) {
		irqs->nr_limit = n = (u32)ret;
		ret = bind_all(irqs, n);
	}
	irqs->nr_on = ret ? 0 : n;
	return ret > 0 ? -ENOSPC : ret;
}

/* What was sent while it was off. A spurious message is harmless, a lost one is not. */
static void make_up(struct vfio_pci_irqs *irqs)
{
	for (u32 v = 0; v < irqs->nr_on; v++)
		if (irqs->used[v])
			msix_notify(&irqs->msix, v);
}

static void grow(struct vfio_pci_irqs *irqs, u32 v)
{
	u32 had = irqs->nr_on, n = MAX(v + 1, 2 * had);
	int ret = had ? vfio_device_set_irqs(irqs->vp->dev, INDEX, 0, NULL, 0) : 0;

	if (ret >= 0)
		ret = enable(irqs, n);
	/* Those that there were, at least. */
	if (ret < 0 && had)
		ret = enable(irqs, had);
	if (ret < 0)
		warn_limit(irqs, v, strerror(-ret));
	else if (v >= irqs->nr_on)
		warn_limit(irqs, v, "the host has no more");
	make_up(irqs);
}

static void bind_one(struct vfio_pci_irqs *irqs, u32 v)
{
	s32 fd = vector_fd(irqs, v);
	int ret;

	if (v >= irqs->nr_limit) {
		warn_limit(irqs, v, "the host has no more");
	} else if (v >= irqs->nr_on && irqs->vp->dev->irqs[INDEX].flags & VFIO_IRQ_INFO_NORESIZE) {
		grow(irqs, v);
	} else {
		ret = vfio_device_set_irqs(irqs->vp->dev, INDEX, v, &fd, 1);
		if (ret)
			warn_limit(irqs, v, strerror(ret > 0 ? ENOSPC : -ret));
		else
			irqs->nr_on = MAX(irqs->nr_on, v + 1);
	}
}

/* Under msix->lock. Before the kind is on, what is used is only noted. */
static void changed(struct msix *msix, u32 first, u32 n)
{
	struct vfio_pci_irqs *irqs = container_of(msix, struct vfio_pci_irqs, msix);

	pthread_mutex_lock(&irqs->lock);
	for (u32 v = first; v < first + n; v++) {
		if (irqs->used[v] || !msix_vector_wanted(msix, v))
			continue;
		irqs->used[v] = true;
		if (irqs->on == INDEX)
			bind_one(irqs, v);
	}
	pthread_mutex_unlock(&irqs->lock);
}

/* At least one: VFIO has no MSI-X that is on and has none. */
int vfio_pci_msix_on(struct vfio_pci_irqs *irqs)
{
	u32 n = 1;

	irqs->nr_limit = MIN((u32)irqs->msix.nr, irqs->vp->dev->irqs[INDEX].count);
	for (u32 v = 0; v < irqs->msix.nr; v++)
		if (irqs->used[v])
			n = v + 1;
	return enable(irqs, n);
}

void vfio_pci_msix_forget(struct vfio_pci_irqs *irqs)
{
	irqs->nr_on = 0;
	if (irqs->used)
		memset(irqs->used, 0, irqs->msix.nr * sizeof(*irqs->used));
}

/* Life */

void vfio_pci_msix_init(struct vfio_pci_irqs *irqs)
{
	struct vfio_pci *vp = irqs->vp;
	const char *fault;

	if (!vp->msix_cap)
		return;
	find_parts(vp, irqs->parts);
	fault = find_fault(vp, irqs->parts);
	if (fault)
		vfio_pci_cut_cap(vp, vp->msix_cap, "MSI-X", fault);
	vfio_pci_emulate(vp, vp->msix_cap, PCI_CAP_MSIX_SIZEOF, 0);
	if (fault)
		return;
	msix_init_at(&irqs->msix, &vp->pci, vp->msix_cap);
	irqs->used = xcalloc(irqs->msix.nr, sizeof(*irqs->used));
	irqs->msix.changed = changed;
}

void vfio_pci_msix_fini(struct vfio_pci_irqs *irqs)
{
	msix_fini(&irqs->msix);
	free(irqs->used);
	irqs->used = NULL;
}

/* The guest's accesses */

bool vfio_pci_msix_part(const struct vfio_pci *vp, unsigned int part, u32 *bar, u64 *offset,
			u64 *size)
{
	if (!vp->irqs || !vp->irqs->msix.table)
		return false;
	*bar = vp->irqs->parts[part].bar;
	*offset = vp->irqs->parts[part].offset;
	*size = vp->irqs->parts[part].size;
	return true;
}

/* The part that the access touches, with @offset from its begin (it may be below); 2: none. */
static unsigned int touched(const struct vfio_pci *vp, u32 bar, u64 *offset, u32 len)
{
	for (unsigned int part = 0; part < 2; part++) {
		u64 begin, size;
		u32 i;

		if (vfio_pci_msix_part(vp, part, &i, &begin, &size) && i == bar &&
		    ranges_overlap(*offset, len, begin, size)) {
			*offset -= begin;
			return part;
		}
	}
	return 2;
}

bool vfio_pci_msix_covers(const struct vfio_pci *vp, u32 bar, u64 offset, u32 len)
{
	return touched(vp, bar, &offset, len) < 2;
}

/* Vectors that the host has no use of are masked in the device: it has their pending bits itself.
 * @offset is within the pending bits, @at the same place within the BAR. */
static void add_device_bits(struct vfio_pci_irqs *irqs, u32 bar, u64 at, u64 offset, u8 *data,
			    u32 len)
{
	u8 mask[8] = { 0 }, bits[8];
	bool any = false;

	pthread_mutex_lock(&irqs->lock);
	for (u32 i = 0; i < 8 * len && irqs->on == INDEX; i++) {
		u64 v = 8 * offset + i;

		if (v >= irqs->msix.nr || irqs->used[v])
			continue;
		mask[i / 8] |= (u8)BIT(i % 8);
		any = true;
	}
	pthread_mutex_unlock(&irqs->lock);
	if (!any || vfio_device_read(irqs->vp->dev, bar, at, bits, len))
		return;
	for (u32 i = 0; i < len; i++)
		data[i] |= bits[i] & mask[i];
}

/* What leaves the part on either side has no defined result: beyond it msix.c reads zeroes. */
void vfio_pci_msix_read(struct vfio_pci *vp, u32 bar, u64 offset, void *data, u32 len)
{
	u64 at = offset;
	unsigned int part = touched(vp, bar, &offset, len);

	if (!part) {
		msix_table_read(&vp->irqs->msix, offset, data, len);
		return;
	}
	msix_pba_read(&vp->irqs->msix, offset, data, len);
	if (range_within(offset, len, 0, msix_pba_size(&vp->irqs->msix)))
		add_device_bits(vp->irqs, bar, at, offset, data, len);
}

void vfio_pci_msix_write(struct vfio_pci *vp, u32 bar, u64 offset, const void *data, u32 len)
{
	if (!touched(vp, bar, &offset, len))
		msix_table_write(&vp->irqs->msix, offset, data, len);
}
