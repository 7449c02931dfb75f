/* SPDX-License-Identifier: MIT */
/*
 * What PCI functions, the host bridge and MSI-X remember (see include/lkvm/state.h): configuration
 * space, from which mappings and routes follow, and what is not in there.
 */
#include "lkvm/state.h"
#include "lkvm/pci.h"

/* A function */

/* What the guest cannot write is what this function was built with. */
static int pci_device_check(const void *obj)
{
	const struct pci_device *pci = obj;

	for (u32 i = 0; i < pci->config_size; i++)
		if ((pci->config[i] ^ pci->initial[i]) & ~pci->wmask[i])
			return -EINVAL;
	return 0;
}

static int pci_device_load(void *obj)
{
	pci_device_restored(obj);
	return 0;
}

static const struct state_field pci_device_fields[] = {
	STATE_COUNTED(struct pci_device, config, config_size),
	STATE_BOOL(struct pci_device, intx_raised),
};

const struct device_state pci_device_state = {
	.version = 1,
	STATE_TABLE(pci_device_fields),
	.device_at = offsetof(struct pci_device, dev),
	.check = pci_device_check,
	.load = pci_device_load,
};

/* The host bridge. Who holds a line follows from the functions. */

static int pci_host_load(void *obj)
{
	pci_device_restored(&((struct pci_host *)obj)->bridge);
	return 0;
}

static const struct state_field pci_host_fields[] = {
	STATE_VALUE(struct pci_host, config_address),
	STATE_VALUE(struct pci_host, reset_control),
	STATE_PART(struct pci_host, bridge, &pci_device_state),
};

const struct device_state pci_host_state = {
	.version = 2,
	STATE_TABLE(pci_host_fields),
	.device_at = offsetof(struct pci_host, dev),
	.load = pci_host_load,
};

/* MSI-X. Enabled and masked are in the configuration space. */

static u32 table_size(const void *obj)
{
	return msix_table_size(obj);
}

static u32 pending_words(const void *obj)
{
	return msix_pba_size(obj) / 8;
}

/* Reserved bits are zero, as msix_table_write leaves them. */
static int msix_check(const void *obj)
{
	const struct msix *msix = obj;
	u32 rest = msix->nr % 64;

	for (u32 v = 0; v < msix->nr; v++) {
		const u8 *entry = msix->table + (size_t)v * PCI_MSIX_ENTRY_SIZE;

		if (entry[PCI_MSIX_ENTRY_LOWER_ADDR] & 3 ||
		    get_le(entry + PCI_MSIX_ENTRY_VECTOR_CTRL, 4) > PCI_MSIX_ENTRY_CTRL_MASKBIT)
			return -EINVAL;
	}
	return rest && msix->pending[msix->nr / 64] >> rest ? -EINVAL : 0;
}

static const struct state_field msix_fields[] = {
	STATE_AT(struct msix, table, table_size),
	STATE_AT(struct msix, pending, pending_words),
};

const struct device_state msix_state = {
	.version = 1,
	STATE_TABLE(msix_fields),
	.check = msix_check,
};
