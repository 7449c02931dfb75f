/* SPDX-License-Identifier: MIT */
/*
 * The MSI-X capability (PCI Local Bus 3.0, 6.8.2; see include/lkvm/pci.h). Each vector has a route,
 * and with it a GSI and an eventfd, from pci_device_add to the end. The table says which message it
 * is; Message Control, the vector's mask and bus mastering (a message is a memory write) say in
 * which mode. The guest may write anything: what the host refuses mutes that vector alone.
 */
#include <assert.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/pci.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

/* Not in older headers under these names: Message Control is the 16 bits after the link. */
#define CAP_SIZE     12
#define ENTRY_SIZE   PCI_MSIX_ENTRY_SIZE
#define CONTROL_BITS (PCI_MSIX_FLAGS_ENABLE | PCI_MSIX_FLAGS_MASKALL)

static void free_routes(struct msix *msix)
{
	for (u32 v = 0; v < msix->nr; v++) {
		msi_route_free(msix->routes[v]);
		msix->routes[v] = NULL;
	}
	msix->added = false;
}

int msix_take_routes(struct msix *msix)
{
	struct pci_device *pci = msix->pci;
	struct irqs *irqs = &pci->host->dev.vm->irqs;
	int ret = 0;

	for (u32 v = 0; v < msix->nr && !ret; v++)
		ret = msi_route_alloc(irqs, pci_requester(pci), &msix->routes[v]);
	msix->added = !ret;
	if (!ret)
		return 0;
	free_routes(msix);
	if (ret == -ENOSPC)
		err("%s: no routes are left for its %u message interrupts: this host's KVM "
		    "supports %u in one VM (KVM_CAP_IRQ_ROUTING); use fewer devices or queues",
		    pci->dev.name, msix->nr, irq_room_for_routes(irqs));
	else
		err("%s: cannot make its message interrupts: %s", pci->dev.name, strerror(-ret));
	return ret;
}

static int take_routes(struct pci_device *pci)
{
	return msix_take_routes(pci->msix);
}

void msix_init(struct msix *msix, struct pci_device *pci, u16 nr, u8 bar, u32 table_offset,
	       u32 pba_offset)
{
	u8 *cap;
	u8 at;

	assert(nr && nr <= MSIX_MAX_VECTORS && bar < PCI_NR_BARS);
	assert(!(table_offset & 7) && !(pba_offset & 7));
	at = pci_add_capability(pci, PCI_CAP_ID_MSIX, CAP_SIZE);
	cap = pci->config + at;
	put_le(cap + PCI_MSIX_FLAGS, 2, nr - 1u);
	put_le(cap + PCI_MSIX_TABLE, 4, table_offset | bar);
	put_le(cap + PCI_MSIX_PBA, 4, pba_offset | bar);
	msix_init_at(msix, pci, at);
	pci->plugged = take_routes;
}

void msix_init_at(struct msix *msix, struct pci_device *pci, u8 cap)
{
	u32 control = (u32)get_le(pci->config + cap + PCI_MSIX_FLAGS, 2);

	memset(msix, 0, sizeof(*msix));
	msix->pci = pci;
	pci->msix = msix;
	msix->cap = cap;
	msix->nr = (u16)((control & PCI_MSIX_FLAGS_QSIZE) + 1);
	msix->table = xcalloc(msix->nr, ENTRY_SIZE);
	msix->pending = xcalloc(1, msix_pba_size(msix));
	msix->routes = xcalloc(msix->nr, sizeof(*msix->routes));
	pthread_mutex_init(&msix->lock, NULL);
	put_le(pci->config + cap + PCI_MSIX_FLAGS, 2, msix->nr - 1U);
	put_le(pci->wmask + cap + PCI_MSIX_FLAGS, 2, CONTROL_BITS);
	msix_reset(msix);
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

/* Vectors, under msix->lock */

static enum msi_mode vector_mode(const struct msix *msix, u32 v)
{
	if (!msix->enabled)
		return MSI_OFF;
	if (msix->masked || !msix->master ||
	    entry(msix, v)[PCI_MSIX_ENTRY_VECTOR_CTRL] & PCI_MSIX_ENTRY_CTRL_MASKBIT)
		return MSI_MASKED;
	return MSI_OPEN;
}

static u64 vector_addr(const struct msix *msix, u32 v)
{
	return get_le(entry(msix, v) + PCI_MSIX_ENTRY_LOWER_ADDR, 8);
}

static u32 vector_data(const struct msix *msix, u32 v)
{
	return (u32)get_le(entry(msix, v) + PCI_MSIX_ENTRY_DATA, 4);
}

/*
 * Vectors @first to @first + @n changed, or what governs all: their routes follow. The table comes
 * first, by one call for all that open, so that no message goes where the last one went.
 */
static void sync_vectors(struct msix *msix, u32 first, u32 n)
{
	struct irqs *irqs = &msix->pci->host->dev.vm->irqs;
	u32 end = first + n;
	int ret;

	for (u32 v = first; v < end; v++)
		if (vector_mode(msix, v) == MSI_OPEN)
			msi_route_stage(msix->routes[v], vector_addr(msix, v),
					vector_data(msix, v));
	ret = msi_routes_commit(irqs, msix->routes + first, n);
	for (u32 v = first; v < end; v++)
		msi_route_set_mode(msix->routes[v], vector_mode(msix, v));
	for (u32 v = first; v < end && ret; v++)
		if (vector_mode(msix, v) == MSI_OPEN && !msi_route_live(msix->routes[v]))
			guest_warn("%s: message interrupt %u to 0x%llx, data 0x%x: %s",
				   msix->pci->dev.name, v, vector_addr(msix, v),
				   vector_data(msix, v), strerror(-ret));
	if (msix->changed)
		msix->changed(msix, first, n);
}

bool msix_vector_wanted(const struct msix *msix, u32 v)
{
	return msix->enabled &&
	       !(entry(msix, v)[PCI_MSIX_ENTRY_VECTOR_CTRL] & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

void msix_reset(struct msix *msix)
{
	pthread_mutex_lock(&msix->lock);
	msix->enabled = false;
	msix->masked = false;
	msix->master = false;
	memset(msix->table, 0, msix_table_size(msix));
	for (u32 v = 0; v < msix->nr; v++)
		entry(msix, v)[PCI_MSIX_ENTRY_VECTOR_CTRL] = PCI_MSIX_ENTRY_CTRL_MASKBIT;
	if (msix->added)
		sync_vectors(msix, 0, msix->nr);
	pthread_mutex_unlock(&msix->lock);
}

void msix_notify(struct msix *msix, u32 v)
{
	if (v < msix->nr && msix->added)
		msi_route_trigger(msix->routes[v]);
}

bool msix_enabled(struct msix *msix)
{
	return atomic_load(&msix->enabled);
}

int msix_fd(struct msix *msix, u32 v)
{
	return v < msix->nr && msix->added ? msi_route_fd(msix->routes[v]) : -EINVAL;
}

/* Under msix->lock. */
static void follow_config(struct msix *msix)
{
	u16 control = (u16)get_le(msix->pci->config + msix->cap + PCI_MSIX_FLAGS, 2);
	bool enable = control & PCI_MSIX_FLAGS_ENABLE;

	/* Whoever sees it enabled gives up the line: from then on each message is kept at least. */
	for (u32 v = 0; v < msix->nr && enable && !msix->enabled; v++)
		msi_route_set_mode(msix->routes[v], MSI_MASKED);
	msix->enabled = enable;
	msix->masked = control & PCI_MSIX_FLAGS_MASKALL;
	msix->master = atomic_load(&msix->pci->bus_master);
	sync_vectors(msix, 0, msix->nr);
}

void msix_config_written(struct msix *msix, u32 offset, u32 len)
{
	if (!ranges_overlap(offset, len, msix->cap + PCI_MSIX_FLAGS, 2) &&
	    !ranges_overlap(offset, len, PCI_COMMAND, 2))
		return;
	pthread_mutex_lock(&msix->lock);
	follow_config(msix);
	pthread_mutex_unlock(&msix->lock);
}

/* Make the image of the pending bits. Under msix->lock. */
static void gather_pending(struct msix *msix)
{
	memset(msix->pending, 0, msix_pba_size(msix));
	for (u32 v = 0; v < msix->nr; v++)
		if (msi_route_pending(msix->routes[v]))
			msix->pending[v / 64] |= BIT_ULL(v % 64);
}

void msix_save(struct msix *msix)
{
	pthread_mutex_lock(&msix->lock);
	gather_pending(msix);
	pthread_mutex_unlock(&msix->lock);
}

void msix_load(struct msix *msix)
{
	pthread_mutex_lock(&msix->lock);
	for (u32 v = 0; v < msix->nr; v++) {
		msi_route_set_mode(msix->routes[v], MSI_OFF);
		msi_route_set_mode(msix->routes[v], MSI_MASKED);
		if (msix->pending[v / 64] & BIT_ULL(v % 64))
			msi_route_trigger(msix->routes[v]);
	}
	follow_config(msix);
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
	sync_vectors(msix, v, 1);
	pthread_mutex_unlock(&msix->lock);
}

void msix_pba_read(struct msix *msix, u64 offset, void *data, u32 len)
{
	memset(data, 0, len);
	if (!range_within(offset, len, 0, msix_pba_size(msix)))
		return;
	pthread_mutex_lock(&msix->lock);
	gather_pending(msix);
	for (u32 i = 0; i < len; i++, offset++)
		((u8 *)data)[i] = (u8)(msix->pending[offset / 8] >> (8 * (offset % 8)));
	pthread_mutex_unlock(&msix->lock);
}
