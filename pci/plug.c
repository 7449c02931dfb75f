/* SPDX-License-Identifier: MIT */
/*
 * Plugging a function in: its bus, slot and number there, its first addresses and its interrupt pin
 * (see include/lkvm/pci.h). Bridges come into being here, when bus 0 is full.
 */
#include "lkvm/log.h"
#include "lkvm/pci.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

/* Bus 0 is filled slot by slot, functions when all slots have one; the others in the order in which
 * guests look. */
static void take_place(struct pci_host *host, struct pci_device *pci)
{
	u32 n = host->nr_plugged++, slots = PCI_NR_SLOTS - 1;
	struct pci_bus *bus = &host->root;
	u8 devfn = (u8)PCI_DEVFN(1 + n % slots, n / slots);

	if (n >= PCI_ROOT_PLACES) {
		n -= PCI_ROOT_PLACES;
		devfn = (u8)n;
		for (u32 i = 0; i <= n / PCI_NR_DEVFNS; i++)
			bus = bus->next;
	}
	pci_place(host, pci, bus, devfn);
}

/* Is there a bus with room? */
static int make_room(struct pci_host *host, struct pci_device *pci)
{
	if (host->nr_plugged >= PCI_MAX_PLUGGED) {
		err("%s: PCI has no place left for it: the maximum is %u devices", pci->dev.name,
		    PCI_MAX_PLUGGED);
		return -ENOSPC;
	}
	if (host->nr_plugged < PCI_ROOT_PLACES + host->nr_bridges * PCI_NR_DEVFNS)
		return 0;
	return pci_bridge_add(host);
}

static void give_intx_pin(struct pci_device *pci)
{
	/* The functions of one slot take INTA to INTD in turn. */
	u8 pin = (u8)(PCI_FUNC(pci->devfn) % 4 + 1);
	u32 gsi;

	if (pci->no_intx)
		return;
	pci->intx_pin = pin;
	pci->config[PCI_INTERRUPT_PIN] = pin;
	gsi = pci->host->layout->intx_gsi[pci_intx_line(pci)];
	pci->config[PCI_INTERRUPT_LINE] = gsi < 0xff ? (u8)gsi : 0xff;
	pci->wmask[PCI_INTERRUPT_LINE] = 0xff;
	put_le(pci->wmask + PCI_COMMAND, 2,
	       (u32)get_le(pci->wmask + PCI_COMMAND, 2) | PCI_COMMAND_INTX_DISABLE);
}

void pci_take_intx_pin(struct pci_device *pci)
{
	pci_set_intx(pci, false);
	pci->intx_pin = 0;
	pci->config[PCI_INTERRUPT_PIN] = 0;
	pci->config[PCI_INTERRUPT_LINE] = 0;
	pci->wmask[PCI_INTERRUPT_LINE] = 0;
	memcpy(pci->initial + PCI_INTERRUPT_LINE, pci->config + PCI_INTERRUPT_LINE, 2);
}

int pci_device_add(struct pci_host *host, struct pci_device *pci)
{
	int ret = make_room(host, pci);

	if (ret)
		return ret;
	pthread_mutex_lock(&host->update);
	pthread_mutex_lock(&host->lock);
	take_place(host, pci);
	ret = pci->plugged ? pci->plugged(pci) : 0;
	if (ret) {
		host->nr_plugged--;
		pci->host = NULL;
		goto out;
	}
	ret = pci_assign_bars(pci);
	if (ret) {
		host->nr_plugged--;
		pci->host = NULL;
		goto out;
	}
	give_intx_pin(pci);
	memcpy(pci->initial, pci->config, pci->config_size);
	pci->bus->functions[pci->devfn] = pci;
	if (pci->bus->bridge)
		pci_bridge_grow(pci->bus->bridge);
out:
	pthread_mutex_unlock(&host->lock);
	if (!ret)
		pci_update_bars(pci);
	pthread_mutex_unlock(&host->update);
	return ret;
}
