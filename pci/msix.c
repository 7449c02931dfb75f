/* SPDX-License-Identifier: MIT */
/*
 * The MSI-X capability (PCI Local Bus 3.0, 6.8.2; see include/lkvm/pci.h). The guest may write
 * anything into the table; a vector's route is made when it is first needed, that is when MSI-X is
 * enabled and the vector is unmasked.
 */
#include <assert.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/pci.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

/* Not in older headers under these names: Message Control is the 16 bits behind the link. */
#define CAP_SIZE     12
#define ENTRY_SIZE   PCI_MSIX_ENTRY_SIZE
#define CONTROL_BITS (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL)

void msix_init(struct msix *msix, struct pci_device *pci, u16 nr, u8 bar, u32 table_offset,
	       u32 pba_offset)
{
	u8 *cap;

	assert(nr && nr <= MSIX_MAX_VECTORS && bar < PCI_NR_BARS);
	assert(!(table_offset & 7) && !(pba_offset & 7));
	memset(msix, 0, sizeof(*msix));
	msix->pci = pci;
	msix->nr = nr;
	msix->table = xcalloc(nr, ENTRY_SIZE);
	msix->pending = xcalloc(1, msix_pba_size(msix));
	msix->routes = xcalloc(nr, sizeof(*msix->routes));
	pthread_mutex_init(&msix->lock, NULL);
	msix->cap = pci_add_capability(pci, PCI_CAP_ID_MSIX, CAP_SIZE);
	cap = pci->config + msix->cap;
	put_le(cap + PCI_MSIX_FLAGS, 2, nr - 1u);
	put_le(cap + PCI_MSIX_TABLE, 4, table_offset | bar);
	put_le(cap + PCI_MSIX_PBA, 4, pba_offset | bar);
	put_le(pci->wmask + msix->cap + PCI_MSIX_FLAGS, 2, CONTROL_BITS);
	msix_reset(msix);
}

static void free_routes(struct msix *msix)
{
	for (u32 v = 0; v < msix->nr; v++) {
		msi_route_free(msix->routes[v]);
		msix->routes[v] = NULL;
	}
}

void msix_fini(struct msix *msix)
{
	if (!msix->table)
		return;
	free_routes(msix);
	free(msix->table);
	free(msix->pending);
	free(msix->routes);
	msix->table = NULL;
	pthread_mutex_destroy(&msix->lock);
}

static u8 *entry(const struct msix *msix, u32 v)
{
	return msix->table + (size_t)v * ENTRY_SIZE;
}

void msix_reset(struct msix *msix)
{
	pthread_mutex_lock(&msix->lock);
	msix->enabled = false;
	msix->masked = false;
	free_routes(msix);
	memset(msix->table, 0, msix_table_size(msix));
	memset(msix->pending, 0, msix_pba_size(msix));
	for (u32 v = 0; v < msix->nr; v++)
		entry(msix, v)[PCI_MSIX_ENTRY_VECTOR_CTRL] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	pthread_mutex_unlock(&msix->lock);
}

/* Vectors, under msix->lock */

static bool vector_open(const struct msix *msix, u32 v)
{
	return msix->enabled && !msix->masked &&
	       !(entry(msix, v)[PCI_MSIX_ENTRY_VECTOR_CTRL] & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

/* The route of an open vector, as the table has it. NULL when the host refuses it. */
static struct msi_route *open_route(struct msix *msix, u32 v)
{
	struct irqs *irqs = &msix->pci->host->dev.vm->irqs;
	u64 addr = get_le(entry(msix, v) + PCI_MSIX_ENTRY_LOWER_ADDR, 8);
	u32 data = (u32)get_le(entry(msix, v) + PCI_MSIX_ENTRY_DATA, 4);
	int ret = 0;

	if (!msix->routes[v])
		ret = msi_route_alloc(irqs, msix->pci->devfn, &msix->routes[v]);
	if (!ret)
		ret = msi_route_update(msix->routes[v], addr, data);
	if (!ret)
		return msix->routes[v];
	guest_warn("%s: message interrupt %u to 0x%llx, data 0x%x: %s", msix->pci->dev.name, v,
		   addr, data, strerror(-ret));
	return NULL;
}

/* Something about the vector changed: have its route ready, and send what waited. */
static void sync_vector(struct msix *msix, u32 v)
{
	u64 bit = BIT_ULL(v % 64);
	struct msi_route *route;

	if (!vector_open(msix, v))
		return;
	route = open_route(msix, v);
	if (msix->pending[v / 64] & bit) {
		msix->pending[v / 64] &= ~bit;
		if (route)
			msi_route_trigger(route);
	}
}

void msix_restored(struct msix *msix)
{
	u16 control = (u16)get_le(msix->pci->config + msix->cap + PCI_MSIX_FLAGS, 2);

	pthread_mutex_lock(&msix->lock);
	free_routes(msix);
	msix->enabled = control & PCI_MSIX_FLAGS_ENABLE;
	msix->masked = control & PCI_MSIX_FLAGS_MASKALL;
	for (u32 v = 0; v < msix->nr; v++)
		sync_vector(msix, v);
	pthread_mutex_unlock(&msix->lock);
}

void msix_notify(struct msix *msix, u32 v)
{
	if (v >= msix->nr || !atomic_load(&msix->pci->bus_master))
		return;
	pthread_mutex_lock(&msix->lock);
	if (msix->enabled) {
		if (!vector_open(msix, v))
			msix->pending[v / 64] |= BIT_ULL(v % 64);
		else if (msix->routes[v])
			msi_route_trigger(msix->routes[v]);
	}
	pthread_mutex_unlock(&msix->lock);
}

bool msix_enabled(struct msix *msix)
{
	bool enabled;

	pthread_mutex_lock(&msix->lock);
	enabled = msix->enabled;
	pthread_mutex_unlock(&msix->lock);
	return enabled;
}

void msix_config_written(struct msix *msix, u32 offset, u32 len)
{
	u16 control;

	if (!ranges_overlap(offset, len, msix->cap + PCI_MSIX_FLAGS, 2))
		return;
	control = (u16)get_le(msix->pci->config + msix->cap + PCI_MSIX_FLAGS, 2);
	pthread_mutex_lock(&msix->lock);
	msix->enabled = control & PCI_MSIX_FLAGS_ENABLE;
	msix->masked = control & PCI_MSIX_FLAGS_MASKALL;
	if (msix->enabled) {
		for (u32 v = 0; v < msix->nr; v++)
			sync_vector(msix, v);
	} else {
		free_routes(msix);
		memset(msix->pending, 0, msix_pba_size(msix));
	}
	pthread_mutex_unlock(&msix->lock);
}

/* The table and the pending bits */

void msix_table_read(struct msix *msix, u64 offset, void *data, u32 len)
{
	memset(data, 0, len);
	if (!range_within(offset, len, 0, msix_table_size(msix)))
		return;
	pthread_mutex_lock(&msix->lock);
	memcpy(data, msix->table + offset, len);
	pthread_mutex_unlock(&msix->lock);
}

/* Aligned words of 4 or 8 bytes (6.8.2); anything else has no defined result and is dropped. */
void msix_table_write(struct msix *msix, u64 offset, const void *data, u32 len)
{
	u32 v;

	if ((len != 4 && len != 8) || offset % len ||
	    !range_within(offset, len, 0, msix_table_size(msix)))
		return;
	v = (u32)(offset / ENTRY_SIZE);
	pthread_mutex_lock(&msix->lock);
	memcpy(msix->table + offset, data, len);
	/* Reserved bits read as zero: the address is aligned, and the control word has one bit. */
	entry(msix, v)[PCI_MSIX_ENTRY_LOWER_ADDR] &= 0xfc;
	put_le(entry(msix, v) + PCI_MSIX_ENTRY_VECTOR_CTRL, 4,
	       entry(msix, v)[PCI_MSIX_ENTRY_VECTOR_CTRL] & PCI_MSIX_ENTRY_CTRL_MASKBIT);
	sync_vector(msix, v);
	pthread_mutex_unlock(&msix->lock);
}

void msix_pba_read(struct msix *msix, u64 offset, void *data, u32 len)
{
	memset(data, 0, len);
	if (!range_within(offset, len, 0, msix_pba_size(msix)))
		return;
	pthread_mutex_lock(&msix->lock);
	for (u32 i = 0; i < len; i++, offset++)
		((u8 *)data)[i] = (u8)(msix->pending[offset / 8] >> (8 * (offset % 8)));
	pthread_mutex_unlock(&msix->lock);
}
