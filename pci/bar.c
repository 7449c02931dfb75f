/* SPDX-License-Identifier: MIT */
/*
 * Base address registers: where they are, and whether they are decoded (PCI Local Bus 3.0, 6.2.5;
 * see include/lkvm/pci.h). A guest may write any address. Only what lies wholly in a window of the
 * host bridge and collides with nothing is mapped; the rest waits until it can be.
 */
#include <stdio.h>

#include "lkvm/log.h"
#include "lkvm/pci.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

static bool is_io(const struct pci_bar *bar)
{
	return bar->flags & PCI_BASE_ADDRESS_SPACE_IO;
}

static bool is_wide(const struct pci_bar *bar)
{
	return !is_io(bar) && (bar->flags & PCI_BASE_ADDRESS_MEM_TYPE_64);
}

/* Its register in configuration space. */
static u32 bar_register(unsigned int i)
{
	return i == PCI_ROM_BAR ? PCI_ROM_ADDRESS : PCI_BASE_ADDRESS_0 + 4 * i;
}

/* The bus that carries the BAR, and its address there. */
static struct bus *bar_bus(const struct pci_device *pci, const struct pci_bar *bar, u64 *addr)
{
	const struct arch_pci_layout *layout = pci->host->layout;
	struct vm *vm = pci->host->dev.vm;

	if (!is_io(bar))
		return &vm->mmio;
	if (!layout->io_in_mmio)
		return &vm->pio;
	*addr = *addr - layout->io_base + layout->io_mmio_base;
	return &vm->mmio;
}

bool pci_bar_place(const struct pci_device *pci, unsigned int bar, u64 *addr)
{
	*addr = pci->bars[bar].addr;
	return bar_bus(pci, &pci->bars[bar], addr) == &pci->host->dev.vm->pio;
}

static bool in_window(const struct pci_device *pci, const struct pci_bar *bar, u64 addr)
{
	const struct arch_pci_layout *l = pci->host->layout;

	if (is_io(bar))
		return range_within(addr, bar->size, l->io_base, l->io_size);
	return range_within(addr, bar->size, l->mem32_base, l->mem32_size) ||
	       range_within(addr, bar->size, pci->host->mem64_base, l->mem64_size);
}

/* Bridges. A limit below its base: there is no such window. */

static bool within(u64 addr, u64 size, u64 base, u64 last)
{
	return base <= last && addr >= base && addr <= last && size - 1 <= last - addr;
}

/* Does @bridge let accesses of these addresses through to its bus? */
static bool forwards(const struct pci_device *bridge, bool io, u64 addr, u64 size)
{
	const u8 *c = bridge->config;
	u16 command = (u16)get_le(c + PCI_COMMAND, 2);
	u64 base, last;

	if (!(command & (io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return false;
	if (io)
		return within(addr, size, (u64)(c[PCI_IO_BASE] & 0xf0) << 8,
			      (u64)(c[PCI_IO_LIMIT] & 0xf0) << 8 | (PCI_IO_GRAIN - 1));
	base = get_le(c + PCI_MEMORY_BASE, 2) << 16;
	last = get_le(c + PCI_MEMORY_LIMIT, 2) << 16 | (PCI_MEM_GRAIN - 1);
	if (within(addr, size, base, last))
		return true;
	base = get_le(c + PCI_PREF_BASE_UPPER32, 4) << 32 |
	       (get_le(c + PCI_PREF_MEMORY_BASE, 2) & PCI_PREF_RANGE_MASK & 0xffff) << 16;
	last = get_le(c + PCI_PREF_LIMIT_UPPER32, 4) << 32 |
	       (get_le(c + PCI_PREF_MEMORY_LIMIT, 2) & PCI_PREF_RANGE_MASK & 0xffff) << 16 |
	       (PCI_MEM_GRAIN - 1);
	return within(addr, size, base, last);
}

static bool decoded(const struct pci_device *pci, unsigned int i, u64 *addr)
{
	const struct pci_device *bridge = pci->bus->bridge;
	const struct pci_bar *bar = &pci->bars[i];
	u16 command = (u16)get_le(pci->config + PCI_COMMAND, 2);
	const u8 *reg = pci->config + bar_register(i);

	*addr = get_le(reg, is_wide(bar) ? 8 : 4) & ~(bar->size - 1);
	if (!(command & (is_io(bar) ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY)))
		return false;
	if (i == PCI_ROM_BAR && !(*reg & PCI_ROM_ADDRESS_ENABLE))
		return false;
	if (bridge && !forwards(bridge, is_io(bar), *addr, bar->size))
		return false;
	return in_window(pci, bar, *addr);
}

static void unmap_bar(struct pci_device *pci, unsigned int i)
{
	struct pci_bar *bar = &pci->bars[i];
	u64 addr = bar->addr;

	bus_remove(bar_bus(pci, bar, &addr), addr);
	bar->mapped = false;
	if (pci->ops && pci->ops->bar_moved)
		pci->ops->bar_moved(pci, i);
}

/* Map what is decoded and is not mapped yet; what collides stays unmapped. */
static void map_bars(struct pci_device *pci)
{
	for (unsigned int i = 0; i <= PCI_ROM_BAR; i++) {
		struct pci_bar *bar = &pci->bars[i];
		u64 addr, at;

		if (!bar->size || bar->mapped || !decoded(pci, i, &addr))
			continue;
		at = addr;
		if (bus_add(bar_bus(pci, bar, &at), at, bar->size, bar->ops, bar->opaque,
			    pci->dev.name))
			continue;
		bar->mapped = true;
		bar->addr = addr;
		if (pci->ops && pci->ops->bar_moved)
			pci->ops->bar_moved(pci, i);
	}
}

/* Unmap what is not decoded where it is; is anything? */
static bool unmap_bars(struct pci_device *pci)
{
	bool freed = false;

	for (unsigned int i = 0; i <= PCI_ROM_BAR; i++) {
		struct pci_bar *bar = &pci->bars[i];
		u64 addr;

		if (!bar->mapped || (decoded(pci, i, &addr) && addr == bar->addr))
			continue;
		unmap_bar(pci, i);
		freed = true;
	}
	return freed;
}

static void map_bus(struct pci_bus *bus)
{
	for (unsigned int i = 0; i < PCI_NR_DEVFNS; i++)
		if (bus->functions[i])
			map_bars(bus->functions[i]);
}

void pci_update_bars(struct pci_device *pci)
{
	bool freed = unmap_bars(pci);

	map_bars(pci);
	/* The place that became free may be where another function has been told to go. */
	for (struct pci_bus *bus = &pci->host->root; bus && freed; bus = bus->next)
		map_bus(bus);
}

void pci_update_bus_bars(struct pci_bus *bus)
{
	for (unsigned int i = 0; i < PCI_NR_DEVFNS; i++)
		if (bus->functions[i])
			unmap_bars(bus->functions[i]);
	for (bus = &bus->bridge->host->root; bus; bus = bus->next)
		map_bus(bus);
}

void pci_unmap_bars(struct pci_device *pci)
{
	for (unsigned int i = 0; i <= PCI_ROM_BAR; i++)
		if (pci->bars[i].mapped)
			unmap_bar(pci, i);
}

/* Why BAR @i has no place from @next on. */
static void say_no_room(const struct pci_device *pci, unsigned int i, u64 next)
{
	const struct arch_pci_layout *l = pci->host->layout;
	const struct pci_bar *bar = &pci->bars[i];
	u64 base = is_io(bar) ? l->io_base : is_wide(bar) ? pci->host->mem64_base : l->mem32_base;
	u64 size = is_io(bar) ? l->io_size : is_wide(bar) ? l->mem64_size : l->mem32_size;
	char which[16] = "its ROM", needs[32], left[32], all[32];

	if (i != PCI_ROM_BAR)
		snprintf(which, sizeof(which), "BAR %u", i);
	err("%s: no room for its registers in the PCI windows: %s needs %s of addresses, and its "
	    "window of %s has %s left; %s",
	    pci->dev.name, which, format_size(bar->size, needs, sizeof(needs)),
	    format_size(size, all, sizeof(all)),
	    format_size(base + size - MIN(next, base + size), left, sizeof(left)),
	    bar->size > size ? "this machine cannot have it" : "use fewer devices");
}

/* The largest BAR that is not in @placed; -1: all are. Largest first, no room is lost between them:
 * each begins at a multiple of its size. */
static int next_bar(const struct pci_device *pci, u32 placed)
{
	int largest = -1;

	for (int i = 0; i <= PCI_ROM_BAR; i++)
		if (!(placed & BIT(i)) && pci->bars[i].size &&
		    (largest < 0 || pci->bars[i].size > pci->bars[largest].size))
			largest = i;
	return largest;
}

int pci_assign_bars(struct pci_device *pci)
{
	struct pci_host *host = pci->host;
	u64 next_io = host->next_io, next_mem32 = host->next_mem32, next_mem64 = host->next_mem64;
	u32 placed = 0;
	int i;

	for (; (i = next_bar(pci, placed)) >= 0; placed |= BIT(i)) {
		struct pci_bar *bar = &pci->bars[i];
		u64 *next = is_io(bar) ? &next_io : is_wide(bar) ? &next_mem64 : &next_mem32;
		u64 addr = ALIGN_UP(*next, bar->size);

		if (addr < *next || !in_window(pci, bar, addr)) {
			say_no_room(pci, (unsigned int)i, *next);
			return -ENOSPC;
		}
		put_le(pci->config + bar_register((unsigned int)i), is_wide(bar) ? 8 : 4,
		       addr | bar->flags);
		*next = addr + bar->size;
	}
	host->next_io = next_io;
	host->next_mem32 = next_mem32;
	host->next_mem64 = next_mem64;
	return 0;
}
