/* SPDX-License-Identifier: MIT */
/*
 * BARs of a function that is passed through (PCI Local Bus 3.0, 6.2.5; see pci.h). The guest's
 * addresses are the core's alone; the device keeps the host's. What the kernel lets be mapped is
 * guest memory of the kind MEM_DEVICE wherever the BAR is decoded, so the guest reaches it without
 * an exit; the rest, and the pages of the MSI-X table, are trapped and end in reads and writes of
 * the device's file.
 *
 * A map that goes stays in this process until the end: nobody holds pointers into MEM_DEVICE, so it
 * is taken out of guest memory at once, while host->update is held. What guest memory keeps of each
 * is given back on the main loop, after some; a guest that is faster finds its BARs trapped.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "pci.h"
#include "vfio-abi.h"

/* So many removals before the main loop is asked to clear up, and before nothing more is mapped. */
#define RECLAIM_AFTER 64U
#define MAX_REMOVED   1024U

/* Traps */

static void bar_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct vfio_pci_bar *bar = opaque;
	u8 bytes[8];

	if (vfio_pci_msix_covers(bar->vp, bar->index, offset, len))
		vfio_pci_msix_read(bar->vp, bar->index, offset, data, len);
	else if (!vfio_device_read(bar->vp->dev, bar->index, offset, bytes, len))
		memcpy(data, bytes, len);
}

static void bar_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct vfio_pci_bar *bar = opaque;

	if (vfio_pci_msix_covers(bar->vp, bar->index, offset, len))
		vfio_pci_msix_write(bar->vp, bar->index, offset, data, len);
	else
		(void)vfio_device_write(bar->vp->dev, bar->index, offset, data, len);
}

static const struct bus_ops bar_ops = { bar_read, bar_write };

/* Sizes and kinds */

static int bar_error(const struct vfio_pci *vp, u32 i, const char *why)
{
	err("--vfio %s: BAR %u: %s", vp->dev->name.id, i, why);
	return -EINVAL;
}

/* The size that the guest sees: a software device's need not be a power of two. */
static u64 decoded_size(const struct vfio_pci *vp, u32 i, u64 size, bool io)
{
	u64 shown = io ? 4 : 16;

	while (shown < size)
		shown <<= 1;
	if (shown != size)
		warn("--vfio %s: BAR %u has 0x%llx bytes; the guest sees 0x%llx, the rest of which "
		     "reads as ones",
		     vp->dev->name.id, i, size, shown);
	return shown;
}

static int init_bar(struct vfio_pci *vp, u32 i, bool *wide)
{
	u64 size = vp->dev->regions[i].size;
	u32 reg = vfio_pci_config_get(vp, PCI_BASE_ADDRESS_0 + 4 * i, 4), flags;
	bool io = reg & PCI_BASE_ADDRESS_SPACE_IO;

	*wide = !io && (reg & PCI_BASE_ADDRESS_MEM_TYPE_MASK) == PCI_BASE_ADDRESS_MEM_TYPE_64;
	vp->bars[i] = (struct vfio_pci_bar){ .vp = vp, .index = i, .size = size };
	if (!size)
		return 0;
	if (*wide && i + 1 == PCI_NR_BARS)
		return bar_error(vp, i,
				 "says that it is the lower half of a 64-bit address, but "
				 "it is the last");
	if (*wide && vp->dev->regions[i + 1].size)
		return bar_error(vp, i, "is 64 bits wide, but the next one is another");
	/* 6.2.5.1, and what 64 bits can address beside other things. */
	if (size > (io ? 64 * KiB : *wide ? 1ULL << 56 : 2 * GiB))
		return bar_error(vp, i, "is larger than one of its kind can be");
	flags = io ? PCI_BASE_ADDRESS_SPACE_IO
		   : (reg & PCI_BASE_ADDRESS_MEM_PREFETCH) |
				(*wide ? PCI_BASE_ADDRESS_MEM_TYPE_64 : 0);
	pci_set_bar(&vp->pci, i, decoded_size(vp, i, size, io), flags, &bar_ops, &vp->bars[i]);
	return 0;
}

int vfio_pci_bars_init(struct vfio_pci *vp)
{
	int ret = 0;

	for (u32 i = 0; i < PCI_NR_BARS && !ret; i++) {
		bool wide;

		ret = init_bar(vp, i, &wide);
		if (!ret && wide && vp->bars[i].size)
			i++;
	}
	return ret;
}

/* What may be mapped */

struct hole {
	u64 begin, end;
};

/* The pages of the table and of the pending bits, as far as they are in BAR @i. */
static u32 find_holes(const struct vfio_pci *vp, u32 i, struct hole holes[2])
{
	u64 page = (u64)sysconf(_SC_PAGESIZE);
	u32 n = 0;

	for (unsigned int part = 0; part < 2; part++) {
		u64 offset, size;
		u32 bar;

		if (!vfio_pci_msix_part(vp, part, &bar, &offset, &size) || bar != i)
			continue;
		holes[n++] = (struct hole){ offset & ~(page - 1), ALIGN_UP(offset + size, page) };
	}
	if (n == 2 && holes[1].begin < holes[0].begin) {
		struct hole first = holes[1];

		holes[1] = holes[0];
		holes[0] = first;
	}
	return n;
}

/* One piece; where it cannot be mapped, it is trapped. */
static void map_piece(struct vfio_pci_bar *bar, u64 begin, u64 end)
{
	struct vfio_pci_map *map = &bar->maps[bar->nr_maps];

	if (begin >= end)
		return;
	*map = (struct vfio_pci_map){ .offset = begin, .size = end - begin };
	map->hva = vfio_device_map(bar->vp->dev, bar->index, begin, end - begin);
	if (map->hva)
		bar->nr_maps++;
	else
		warn("--vfio %s: BAR %u cannot be mapped, so it is slow: %s", bar->vp->dev->name.id,
		     bar->index, strerror(errno));
}

static void map_areas(struct vfio_pci_bar *bar)
{
	const struct vfio_region *region = &bar->vp->dev->regions[bar->index];
	struct hole holes[2];
	u32 n = find_holes(bar->vp, bar->index, holes);

	/* Two holes make at most two pieces more. */
	bar->maps = xcalloc(region->nr_areas + 2, sizeof(*bar->maps));
	for (u32 a = 0; a < region->nr_areas; a++) {
		u64 begin = region->areas[a].offset, end = begin + region->areas[a].size;

		for (u32 h = 0; h < n; h++) {
			if (holes[h].end <= begin || holes[h].begin >= end)
				continue;
			map_piece(bar, begin, holes[h].begin);
			begin = holes[h].end;
		}
		map_piece(bar, begin, end);
	}
}

/* On the main loop. Without host->update: who holds that may be waiting for this loop, when a
 * driver resets its virtio device through the window in configuration space. */
static void reclaim(void *opaque)
{
	struct vfio_pci *vp = opaque;

	atomic_store(&vp->nr_removed, 0);
	vm_reclaim_memory(vp->pci.host->dev.vm);
}

int vfio_pci_bars_map(struct vfio_pci *vp)
{
	vp->reclaim = (struct event_post){ .fn = reclaim, .opaque = vp };
	/* The TSM locks the registers away from the host, which must not have them mapped. */
	if (vp->dev->cfg && vp->dev->cfg->has_tsm)
		return 0;
	/* Ports trap, and memory slots have whole pages: a BAR of less has no areas. */
	for (u32 i = 0; i < PCI_NR_BARS; i++)
		if (vp->bars[i].size && vp->dev->regions[i].nr_areas &&
		    !(vp->pci.bars[i].flags & PCI_BASE_ADDRESS_SPACE_IO))
			map_areas(&vp->bars[i]);
	return 0;
}

void vfio_pci_bars_fini(struct vfio_pci *vp)
{
	for (u32 i = 0; i < PCI_NR_BARS; i++) {
		struct vfio_pci_bar *bar = &vp->bars[i];

		for (u32 m = 0; m < bar->nr_maps; m++)
			vfio_device_unmap(vp->dev, bar->maps[m].hva, bar->maps[m].size);
		free(bar->maps);
		bar->maps = NULL;
		bar->nr_maps = 0;
	}
}

/* Where it is mapped for the guest */

static void remove_map(struct vfio_pci *vp, struct vfio_pci_map *map)
{
	int ret = memory_remove(&vp->pci.host->dev.vm->mem, map->gpa);

	/* It stays where it is until the BAR moves again. */
	if (ret) {
		guest_warn("%s: its registers at 0x%llx cannot be unmapped: %s", vp->pci.dev.name,
			   map->gpa, strerror(-ret));
		return;
	}
	map->added = false;
	if (atomic_fetch_add(&vp->nr_removed, 1) + 1 == RECLAIM_AFTER)
		event_loop_post(&vp->pci.host->dev.vm->loop, &vp->reclaim);
}

static void add_map(struct vfio_pci *vp, struct vfio_pci_map *map, u64 gpa)
{
	int ret = -EAGAIN;

	if (atomic_load(&vp->nr_removed) < MAX_REMOVED)
		ret = memory_add_borrowed(&vp->pci.host->dev.vm->mem, gpa, map->size, map->hva,
					  MEM_DEVICE, "registers of VFIO");
	map->gpa = gpa;
	map->added = !ret;
	if (ret)
		guest_warn("%s: its registers at 0x%llx are slow, since they cannot be mapped: %s",
			   vp->pci.dev.name, gpa, strerror(-ret));
}

void vfio_pci_bar_moved(struct pci_device *pci, unsigned int i)
{
	struct vfio_pci *vp = to_vfio_pci(pci);
	bool wanted = pci->bars[i].mapped && !vp->asleep;

	for (u32 m = 0; i < PCI_NR_BARS && m < vp->bars[i].nr_maps; m++) {
		struct vfio_pci_map *map = &vp->bars[i].maps[m];
		u64 gpa = pci->bars[i].addr + map->offset;

		if (map->added && (!wanted || map->gpa != gpa))
			remove_map(vp, map);
		if (wanted && !map->added)
			add_map(vp, map, gpa);
	}
}

void vfio_pci_sleep(struct vfio_pci *vp, bool asleep)
{
	if (vp->asleep == asleep)
		return;
	vp->asleep = asleep;
	for (unsigned int i = 0; i < PCI_NR_BARS; i++)
		vfio_pci_bar_moved(&vp->pci, i);
}
