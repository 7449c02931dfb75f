/* SPDX-License-Identifier: MIT */
/*
 * A PCI function: its configuration space with write masks, capabilities, interrupt pin and life
 * (PCI Local Bus 3.0, chapter 6; see include/lkvm/pci.h).
 */
#include <assert.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/pci.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

static void set_config(struct pci_device *pci, u32 offset, u32 len, u32 value)
{
	put_le(pci->config + offset, len, value);
}

static void set_wmask(struct pci_device *pci, u32 offset, u32 len, u32 value)
{
	put_le(pci->wmask + offset, len, value);
}

void pci_device_init(struct pci_device *pci, const struct pci_ident *id, u32 config_size)
{
	assert(config_size == PCI_CFG_SPACE_SIZE || config_size == PCI_CFG_SPACE_EXP_SIZE);
	pci->config_size = config_size;
	pci->config = xcalloc(1, config_size);
	pci->wmask = xcalloc(1, config_size);
	pci->initial = xcalloc(1, config_size);
	pci->next_cap = PCI_STD_HEADER_SIZEOF;
	pci->last_cap = PCI_CAPABILITY_LIST;
	set_config(pci, PCI_VENDOR_ID, 2, id->vendor);
	set_config(pci, PCI_DEVICE_ID, 2, id->device);
	set_config(pci, PCI_REVISION_ID, 1, id->revision);
	set_config(pci, PCI_CLASS_PROG, 1, id->prog_if);
	set_config(pci, PCI_CLASS_DEVICE, 2, id->class);
	set_config(pci, PCI_SUBSYSTEM_VENDOR_ID, 2, id->subsystem_vendor);
	set_config(pci, PCI_SUBSYSTEM_ID, 2, id->subsystem);
	set_wmask(pci, PCI_CACHE_LINE_SIZE, 1, 0xff);
	set_wmask(pci, PCI_LATENCY_TIMER, 1, 0xff);
	set_wmask(pci, PCI_COMMAND, 2, PCI_COMMAND_MASTER);
}

void pci_set_bar(struct pci_device *pci, unsigned int bar, u64 size, u32 flags,
		 const struct bus_ops *ops, void *opaque)
{
	bool io = flags & PCI_BASE_ADDRESS_SPACE_IO;
	bool wide = !io && (flags & PCI_BASE_ADDRESS_MEM_TYPE_64);
	u32 at = PCI_BASE_ADDRESS_0 + 4 * bar;
	u16 command = (u16)get_le(pci->config + PCI_COMMAND, 2);
	u16 decode = io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
	u64 mask = ~(size - 1);

	assert(bar + wide < PCI_NR_BARS && !pci->bars[bar].size);
	assert(size >= (io ? 4 : 16) && !(size & (size - 1)) && (wide || size <= 1ULL << 31));
	pci->bars[bar] = (struct pci_bar){
		.size = size,
		.flags = flags,
		.ops = ops,
		.opaque = opaque,
	};
	set_config(pci, at, 4, flags);
	set_wmask(pci, at, 4, (u32)mask);
	if (wide)
		set_wmask(pci, at + 4, 4, (u32)(mask >> 32));
	/* Decoded at power-on, and the guest may switch it off and on. */
	set_config(pci, PCI_COMMAND, 2, command | decode);
	set_wmask(pci, PCI_COMMAND, 2, (u32)get_le(pci->wmask + PCI_COMMAND, 2) | decode);
}

void pci_set_rom(struct pci_device *pci, u64 size, const struct bus_ops *ops, void *opaque)
{
	assert(size >= 2 * KiB && size <= 1ULL << 31 && !(size & (size - 1)));
	pci->bars[PCI_ROM_BAR] = (struct pci_bar){ .size = size, .ops = ops, .opaque = opaque };
	set_config(pci, PCI_ROM_ADDRESS, 4, 0);
	set_wmask(pci, PCI_ROM_ADDRESS, 4, (u32) ~(size - 1) | PCI_ROM_ADDRESS_ENABLE);
	set_config(pci, PCI_COMMAND, 2,
		   (u32)get_le(pci->config + PCI_COMMAND, 2) | PCI_COMMAND_MEMORY);
	set_wmask(pci, PCI_COMMAND, 2,
		  (u32)get_le(pci->wmask + PCI_COMMAND, 2) | PCI_COMMAND_MEMORY);
}

u8 pci_add_capability(struct pci_device *pci, u8 id, u8 len)
{
	u32 at = pci->next_cap;

	assert(at + len <= PCI_CFG_SPACE_SIZE);
	pci->config[at + PCI_CAP_LIST_ID] = id;
	pci->config[pci->last_cap] = (u8)at;
	pci->last_cap = at + PCI_CAP_LIST_NEXT;
	pci->next_cap = ALIGN_UP(at + len, 4u);
	pci->config[PCI_STATUS] |= PCI_STATUS_CAP_LIST;
	return (u8)at;
}

/* INTx */

/* Slot and pin to the host's line: the usual rotation, so that slots share lines evenly. A bridge
 * rotates in the same way to its own pins, and all bridges are in slot 0. */
unsigned int pci_intx_line(const struct pci_device *pci)
{
	return (PCI_SLOT(pci->devfn) + pci->intx_pin - 1u) % 4;
}

/* Under intx_lock. The line is a wired OR of the functions on it. */
static void update_intx(struct pci_device *pci)
{
	struct pci_host *host = pci->host;
	bool level = pci->intx_raised && !pci->intx_disabled;
	unsigned int i = pci_intx_line(pci);

	if (level == pci->intx_counted)
		return;
	pci->intx_counted = level;
	host->intx_count[i] += level ? 1 : -1u;
	irq_line_set(&host->intx[i], host->intx_count[i] != 0);
}

void pci_set_intx(struct pci_device *pci, bool level)
{
	struct pci_host *host = pci->host;

	if (!host || !pci->intx_pin)
		return;
	pthread_mutex_lock(&host->intx_lock);
	pci->intx_raised = level;
	update_intx(pci);
	pthread_mutex_unlock(&host->intx_lock);
}

/* Life */

/* Guests look for other functions of a slot only when the first one says so. */
static void mark_multifunction(struct pci_device *first)
{
	first->config[PCI_HEADER_TYPE] |= 0x80;
	first->initial[PCI_HEADER_TYPE] |= 0x80;
}

void pci_place(struct pci_host *host, struct pci_device *pci, struct pci_bus *bus, u8 devfn)
{
	pci->host = host;
	pci->bus = bus;
	pci->devfn = devfn;
	pci->dev.parent = &host->dev;
	if (PCI_FUNC(devfn))
		mark_multifunction(bus->functions[PCI_DEVFN(PCI_SLOT(devfn), 0)]);
}

/* Follow the command register, and the bridge's. Under host->update. */
static void update_command(struct pci_device *pci)
{
	u16 command = (u16)get_le(pci->config + PCI_COMMAND, 2), up = command;

	if (pci->bus->bridge)
		up = (u16)get_le(pci->bus->bridge->config + PCI_COMMAND, 2);
	atomic_store(&pci->bus_master, command & up & PCI_COMMAND_MASTER);
	pthread_mutex_lock(&pci->host->intx_lock);
	pci->intx_disabled = command & PCI_COMMAND_INTX_DISABLE;
	if (pci->intx_pin)
		update_intx(pci);
	pthread_mutex_unlock(&pci->host->intx_lock);
}

void pci_device_reset(struct pci_device *pci)
{
	struct pci_host *host = pci->host;

	pci_set_intx(pci, false);
	pthread_mutex_lock(&host->update);
	pthread_mutex_lock(&host->lock);
	memcpy(pci->config, pci->initial, pci->config_size);
	pthread_mutex_unlock(&host->lock);
	update_command(pci);
	pci_update_bars(pci);
	pthread_mutex_unlock(&host->update);
}

void pci_function_reset(struct pci_device *pci)
{
	struct pci_host *host = pci->host;

	pthread_mutex_lock(&host->lock);
	memcpy(pci->config, pci->initial, pci->config_size);
	set_config(pci, PCI_COMMAND, 2, 0);
	for (unsigned int i = 0; i < PCI_NR_BARS; i++) {
		u32 at = PCI_BASE_ADDRESS_0 + 4 * i;

		put_le(pci->config + at, 4,
		       get_le(pci->config + at, 4) & ~get_le(pci->wmask + at, 4));
	}
	set_config(pci, PCI_ROM_ADDRESS, 4, 0);
	pthread_mutex_unlock(&host->lock);
	update_command(pci);
	pci_update_bars(pci);
}

void pci_device_restored(struct pci_device *pci)
{
	pthread_mutex_lock(&pci->host->update);
	update_command(pci);
	pci_update_bars(pci);
	pthread_mutex_unlock(&pci->host->update);
}

void pci_device_fini(struct pci_device *pci)
{
	struct pci_host *host = pci->host;

	if (host) {
		pci_set_intx(pci, false);
		pthread_mutex_lock(&host->update);
		pci_unmap_bars(pci);
		pthread_mutex_lock(&host->lock);
		pci->bus->functions[pci->devfn] = NULL;
		pthread_mutex_unlock(&host->lock);
		pthread_mutex_unlock(&host->update);
		pci->host = NULL;
	}
	free(pci->config);
	free(pci->wmask);
	free(pci->initial);
	pci->config = NULL;
	pci->wmask = NULL;
	pci->initial = NULL;
}

/* Configuration space */

/* The bus that the guest calls @nr; where it gives a number twice, the first. */
static struct pci_bus *find_bus(struct pci_host *host, u8 nr)
{
	struct pci_bus *bus = nr ? host->root.next : &host->root;

	for (; bus && nr; bus = bus->next) {
		const u8 *config = bus->bridge->config;

		if (config[PCI_SECONDARY_BUS] == nr && config[PCI_SUBORDINATE_BUS] >= nr)
			break;
	}
	return bus;
}

static struct pci_device *find_function(struct pci_host *host, u16 bdf)
{
	struct pci_bus *bus = find_bus(host, (u8)(bdf >> 8));

	return bus ? bus->functions[bdf & 0xff] : NULL;
}

static bool has_register(const struct pci_device *pci, u32 offset, u32 len)
{
	return (len == 1 || len == 2 || len == 4) && (offset & 3) + len <= 4 &&
	       range_within(offset, len, 0, pci->config_size);
}

u32 pci_config_read(struct pci_host *host, u16 bdf, u32 offset, u32 len)
{
	struct pci_device *pci;
	u32 value = ~0u;

	pthread_mutex_lock(&host->lock);
	pci = find_function(host, bdf);
	if (pci && has_register(pci, offset, len)) {
		if (pci->ops && pci->ops->config_read)
			pci->ops->config_read(pci, offset, len);
		value = (u32)get_le(pci->config + offset, len);
		if (offset <= PCI_STATUS && PCI_STATUS < offset + len) {
			pthread_mutex_lock(&host->intx_lock);
			if (pci->intx_raised)
				value |= PCI_STATUS_INTERRUPT << (8 * (PCI_STATUS - offset));
			pthread_mutex_unlock(&host->intx_lock);
		}
	}
	pthread_mutex_unlock(&host->lock);
	return value;
}

/* Store what is writable, and follow it. Under host->update. */
static void write_registers(struct pci_device *pci, u32 offset, u32 value, u32 len)
{
	if (pci->ops && pci->ops->config_write)
		pci->ops->config_write(pci, offset, value, len);
	pthread_mutex_lock(&pci->host->lock);
	for (u32 i = 0; i < len; i++) {
		u8 mask = pci->wmask[offset + i];
		u8 *byte = &pci->config[offset + i];

		*byte = (u8)((*byte & ~mask) | ((value >> (8 * i)) & mask));
	}
	pthread_mutex_unlock(&pci->host->lock);
	if (ranges_overlap(offset, len, PCI_COMMAND, 2)) {
		update_command(pci);
		pci_update_bars(pci);
	}
	if (ranges_overlap(offset, len, PCI_BASE_ADDRESS_0, 4 * PCI_NR_BARS) ||
	    (pci->bars[PCI_ROM_BAR].size && ranges_overlap(offset, len, PCI_ROM_ADDRESS, 4)))
		pci_update_bars(pci);
	if (pci->ops && pci->ops->config_written)
		pci->ops->config_written(pci, offset, len);
}

void pci_config_write(struct pci_host *host, u16 bdf, u32 offset, u32 value, u32 len)
{
	struct pci_device *pci;

	pthread_mutex_lock(&host->update);
	pci = find_function(host, bdf);
	if (pci && has_register(pci, offset, len))
		write_registers(pci, offset, value, len);
	pthread_mutex_unlock(&host->update);
}

void pci_device_write(struct pci_device *pci, u32 offset, u32 value, u32 len)
{
	pthread_mutex_lock(&pci->host->update);
	write_registers(pci, offset, value, len);
	pthread_mutex_unlock(&pci->host->update);
}

void pci_follow_bridge(struct pci_device *pci)
{
	bool master = atomic_load(&pci->bus_master);

	update_command(pci);
	if (master != atomic_load(&pci->bus_master) && pci->ops && pci->ops->config_written)
		pci->ops->config_written(pci, PCI_COMMAND, 2);
}

void pci_config_copy(struct pci_device *pci, u32 offset, void *buf, u32 len)
{
	pthread_mutex_lock(&pci->host->lock);
	memcpy(buf, pci->config + offset, len);
	pthread_mutex_unlock(&pci->host->lock);
}
