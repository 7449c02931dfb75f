/* SPDX-License-Identifier: MIT */
/*
 * PCI-PCI bridges (PCI-to-PCI Bridge Architecture 1.2, chapter 3), for the functions that bus 0 has
 * no place for. Firmware numbers buses and sets windows up; here they are so from the start, since
 * guests without firmware may keep what they find. Those that number anew are followed: a bus is
 * where its bridge says, and what is behind is decoded as far as the bridge lets it through.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/pci.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

/* QEMU's documentation gives this id to a bridge without registers of its own. */
#define BRIDGE_VENDOR 0x1b36
#define BRIDGE_DEVICE 0x0001

struct pci_bridge {
	struct pci_device pci;
	struct pci_bus bus;
	u64 io, mem32, mem64; /* where its windows begin at power-on */
	char name[16];
};

static struct pci_bridge *from_pci(struct pci_device *pci)
{
	return container_of(pci, struct pci_bridge, pci);
}

static struct pci_bridge *from_device(struct device *dev)
{
	return container_of(dev, struct pci_bridge, pci.dev);
}

/* Windows. A limit below its base: there is none. */

static void put_windows(u8 *c, const struct pci_bridge *bridge)
{
	const struct pci_host *host = bridge->pci.host;
	bool io = host->next_io > bridge->io, mem32 = host->next_mem32 > bridge->mem32;
	bool mem64 = host->next_mem64 > bridge->mem64;
	u64 base = mem64 ? bridge->mem64 : ~0ULL, last = mem64 ? host->next_mem64 - 1 : 0;

	c[PCI_IO_BASE] = io ? (u8)(bridge->io >> 8) & 0xf0 : 0xf0;
	c[PCI_IO_LIMIT] = io ? (u8)((host->next_io - 1) >> 8) & 0xf0 : 0;
	put_le(c + PCI_MEMORY_BASE, 2, mem32 ? bridge->mem32 >> 16 & 0xfff0 : 0xfff0);
	put_le(c + PCI_MEMORY_LIMIT, 2, mem32 ? (host->next_mem32 - 1) >> 16 & 0xfff0 : 0);
	put_le(c + PCI_PREF_MEMORY_BASE, 2, (base >> 16 & 0xfff0) | PCI_PREF_RANGE_TYPE_64);
	put_le(c + PCI_PREF_MEMORY_LIMIT, 2, (last >> 16 & 0xfff0) | PCI_PREF_RANGE_TYPE_64);
	put_le(c + PCI_PREF_BASE_UPPER32, 4, base >> 32);
	put_le(c + PCI_PREF_LIMIT_UPPER32, 4, last >> 32);
}

void pci_bridge_grow(struct pci_device *bridge)
{
	put_windows(bridge->config, from_pci(bridge));
	put_windows(bridge->initial, from_pci(bridge));
}

/* The function */

static void bridge_written(struct pci_device *pci, u32 offset, u32 len)
{
	struct pci_bus *bus = &from_pci(pci)->bus;

	if (!ranges_overlap(offset, len, PCI_COMMAND, 2) &&
	    !ranges_overlap(offset, len, PCI_IO_BASE, PCI_CAPABILITY_LIST - PCI_IO_BASE))
		return;
	for (u32 i = 0; i < PCI_NR_DEVFNS; i++)
		if (bus->functions[i])
			pci_follow_bridge(bus->functions[i]);
	pci_update_bus_bars(bus);
}

static const struct pci_ops bridge_ops = { .config_written = bridge_written };

static int bridge_realize(struct device *dev, struct vm *vm)
{
	struct pci_bridge *bridge = from_device(dev);
	struct pci_host *host = vm->pci;

	pthread_mutex_lock(&host->update);
	pthread_mutex_lock(&host->lock);
	for (struct pci_bus **end = &host->root.next;; end = &(*end)->next) {
		if (*end)
			continue;
		*end = &bridge->bus;
		break;
	}
	pci_place(host, &bridge->pci, &host->root, (u8)PCI_DEVFN(0, ++host->nr_bridges));
	host->root.functions[bridge->pci.devfn] = &bridge->pci;
	host->next_io = bridge->io = ALIGN_UP(host->next_io, (u64)PCI_IO_GRAIN);
	host->next_mem32 = bridge->mem32 = ALIGN_UP(host->next_mem32, (u64)PCI_MEM_GRAIN);
	host->next_mem64 = bridge->mem64 = ALIGN_UP(host->next_mem64, (u64)PCI_MEM_GRAIN);
	bridge->pci.config[PCI_SECONDARY_BUS] = (u8)host->nr_bridges;
	bridge->pci.config[PCI_SUBORDINATE_BUS] = (u8)host->nr_bridges;
	memcpy(bridge->pci.initial, bridge->pci.config, bridge->pci.config_size);
	pci_bridge_grow(&bridge->pci);
	pthread_mutex_unlock(&host->lock);
	pthread_mutex_unlock(&host->update);
	return 0;
}

static void bridge_reset(struct device *dev)
{
	pci_device_reset(&from_device(dev)->pci);
}

/* What is behind it went before. */
static void bridge_destroy(struct device *dev)
{
	struct pci_bridge *bridge = from_device(dev);
	struct pci_host *host = bridge->pci.host;
	struct pci_bus **at = &host->root.next;

	pthread_mutex_lock(&host->update);
	pthread_mutex_lock(&host->lock);
	while (*at != &bridge->bus)
		at = &(*at)->next;
	*at = bridge->bus.next;
	host->nr_bridges--;
	pthread_mutex_unlock(&host->lock);
	pthread_mutex_unlock(&host->update);
	pci_device_fini(&bridge->pci);
	free(bridge);
}

static const struct device_ops bridge_device_ops = {
	.realize = bridge_realize,
	.reset = bridge_reset,
	.state = &pci_device_state,
	.destroy = bridge_destroy,
};

/* What the guest may change: numbers, windows (their low bits say of which kind they are), what is
 * let through. */
static void init_registers(struct pci_device *pci)
{
	const u32 command = PCI_COMMAND_IO | PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER;

	pci->config[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE;
	put_le(pci->config + PCI_COMMAND, 2, command);
	put_le(pci->wmask + PCI_COMMAND, 2, command);
	memset(pci->wmask + PCI_PRIMARY_BUS, 0xff, 4); /* with the secondary latency timer */
	pci->wmask[PCI_IO_BASE] = 0xf0;
	pci->wmask[PCI_IO_LIMIT] = 0xf0;
	for (u32 reg = PCI_MEMORY_BASE; reg < PCI_PREF_BASE_UPPER32; reg += 2)
		put_le(pci->wmask + reg, 2, 0xfff0);
	memset(pci->wmask + PCI_PREF_BASE_UPPER32, 0xff, 8);
}

int pci_bridge_add(struct pci_host *host)
{
	const struct pci_ident ident = {
		.vendor = BRIDGE_VENDOR, .device = BRIDGE_DEVICE, .class = 0x0604, /* PCI-PCI */
	};
	struct pci_bridge *bridge = xcalloc(1, sizeof(*bridge));

	snprintf(bridge->name, sizeof(bridge->name), "pci-bridge%u", host->nr_bridges + 1);
	bridge->pci.dev.name = bridge->name;
	bridge->pci.dev.ops = &bridge_device_ops;
	bridge->pci.ops = &bridge_ops;
	bridge->bus.bridge = &bridge->pci;
	pci_device_init(&bridge->pci, &ident, PCI_CFG_SPACE_SIZE);
	init_registers(&bridge->pci);
	return device_add(host->dev.vm, &bridge->pci.dev);
}
