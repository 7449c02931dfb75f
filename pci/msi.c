/* SPDX-License-Identifier: MIT */
/*
 * The MSI capability (PCI Local Bus 3.0, 6.8.1; see include/lkvm/pci.h). Each message has a route,
 * and with it a GSI and an eventfd, from plugging to the end. All go to one address; the lowest
 * bits of the data are the message's number. The registers are in configuration space alone, so
 * there is no state beside it but what is pending, which the routes keep.
 */
#include <stdlib.h>
#include <string.h>

#include "lkvm/log.h"
#include "lkvm/pci.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

/* Multiple Message Capable and Enable: bits 3:1 and 6:4, as powers of two. */
#define CAPABLE(control) ((control) >> 1 & 7U)
#define ENABLED(control) ((control) >> 4 & 7U)

static u32 control_of(const struct msi_cap *msi)
{
	return (u32)get_le(msi->pci->config + msi->cap + PCI_MSI_FLAGS, 2);
}

static u32 data_at(const struct msi_cap *msi)
{
	return msi->cap + (msi->wide ? PCI_MSI_DATA_64 : PCI_MSI_DATA_32);
}

static u32 mask_at(const struct msi_cap *msi)
{
	return msi->cap + (msi->wide ? PCI_MSI_MASK_64 : PCI_MSI_MASK_32);
}

static u32 pending_at(const struct msi_cap *msi)
{
	return mask_at(msi) + 4;
}

u32 msi_cap_size(u32 control)
{
	u32 size = control & PCI_MSI_FLAGS_64BIT ? 14 : 10;

	return control & PCI_MSI_FLAGS_MASKBIT ? size + 10 : size;
}

static u32 all_bits(const struct msi_cap *msi)
{
	return (u32)(BIT_ULL(msi->nr) - 1);
}

void msi_cap_init(struct msi_cap *msi, struct pci_device *pci, u8 cap)
{
	u32 control = (u32)get_le(pci->config + cap + PCI_MSI_FLAGS, 2);
	u32 size = msi_cap_size(control);

	memset(msi, 0, sizeof(*msi));
	msi->pci = pci;
	msi->cap = cap;
	/* 6 and 7 are reserved. */
	msi->nr = MIN(1U << CAPABLE(control), MSI_MAX_VECTORS);
	msi->wide = control & PCI_MSI_FLAGS_64BIT;
	msi->maskable = control & PCI_MSI_FLAGS_MASKBIT;
	pthread_mutex_init(&msi->lock, NULL);
	control &= PCI_MSI_FLAGS_QMASK | PCI_MSI_FLAGS_64BIT | PCI_MSI_FLAGS_MASKBIT;
	memset(pci->config + cap + PCI_MSI_FLAGS, 0, size - PCI_MSI_FLAGS);
	memset(pci->wmask + cap, 0, size);
	put_le(pci->config + cap + PCI_MSI_FLAGS, 2, control);
	put_le(pci->wmask + cap + PCI_MSI_FLAGS, 2, PCI_MSI_FLAGS_ENABLE | PCI_MSI_FLAGS_QSIZE);
	put_le(pci->wmask + cap + PCI_MSI_ADDRESS_LO, 4, ~3U);
	if (msi->wide)
		put_le(pci->wmask + cap + PCI_MSI_ADDRESS_HI, 4, ~0U);
	put_le(pci->wmask + data_at(msi), 2, 0xffff);
	if (msi->maskable)
		put_le(pci->wmask + mask_at(msi), 4, all_bits(msi));
}

static void free_routes(struct msi_cap *msi)
{
	for (u32 v = 0; v < msi->nr; v++) {
		msi_route_free(msi->routes[v]);
		msi->routes[v] = NULL;
	}
}

int msi_cap_take_routes(struct msi_cap *msi)
{
	struct pci_device *pci = msi->pci;
	int ret = 0;

	for (u32 v = 0; v < msi->nr && !ret; v++)
		ret = msi_route_alloc(&pci->host->dev.vm->irqs, pci_requester(pci),
				      &msi->routes[v]);
	if (!ret)
		return 0;
	free_routes(msi);
	err("%s: cannot make its %u message interrupts: %s%s", pci->dev.name, msi->nr,
	    strerror(-ret), ret == -ENOSPC ? "; use fewer devices or queues" : "");
	return ret;
}

void msi_cap_fini(struct msi_cap *msi)
{
	if (!msi->pci)
		return;
	free_routes(msi);
	pthread_mutex_destroy(&msi->lock);
	msi->pci = NULL;
}

u32 msi_cap_used(const struct msi_cap *msi)
{
	u32 control = control_of(msi);

	/* More than there are: their number is the device's to choose, and it has no more. */
	return control & PCI_MSI_FLAGS_ENABLE ? MIN(1U << ENABLED(control), msi->nr) : 0;
}

/* Under msi->lock, as the next. */
static enum msi_mode vector_mode(const struct msi_cap *msi, u32 v, u32 used)
{
	if (v >= used)
		return MSI_OFF;
	if (!atomic_load(&msi->pci->bus_master) ||
	    (msi->maskable && get_le(msi->pci->config + mask_at(msi), 4) & BIT(v)))
		return MSI_MASKED;
	return MSI_OPEN;
}

static void sync_vectors(struct msi_cap *msi, u32 used)
{
	const u8 *config = msi->pci->config;
	u64 addr = get_le(config + msi->cap + PCI_MSI_ADDRESS_LO, msi->wide ? 8 : 4);
	u32 data = (u32)get_le(config + data_at(msi), 2);
	int ret;

	for (u32 v = 0; v < used; v++)
		if (vector_mode(msi, v, used) == MSI_OPEN)
			msi_route_stage(msi->routes[v], addr, (data & ~(used - 1)) | v);
	ret = msi_routes_commit(&msi->pci->host->dev.vm->irqs, msi->routes, msi->nr);
	for (u32 v = 0; v < msi->nr; v++)
		msi_route_set_mode(msi->routes[v], vector_mode(msi, v, used));
	if (ret)
		guest_warn("%s: message interrupts to 0x%llx, data 0x%x: %s", msi->pci->dev.name,
			   addr, data, strerror(-ret));
}

void msi_cap_reset(struct msi_cap *msi)
{
	pthread_mutex_lock(&msi->lock);
	msi->enabled = false;
	if (msi->routes[0])
		sync_vectors(msi, 0);
	pthread_mutex_unlock(&msi->lock);
}

void msi_cap_config_read(struct msi_cap *msi, u32 offset, u32 len)
{
	u32 pending = 0;

	if (!msi->maskable || !msi->routes[0] || !ranges_overlap(offset, len, pending_at(msi), 4))
		return;
	for (u32 v = 0; v < msi->nr; v++)
		if (msi_route_pending(msi->routes[v]))
			pending |= BIT(v);
	put_le(msi->pci->config + pending_at(msi), 4, pending);
}

void msi_cap_config_written(struct msi_cap *msi, u32 offset, u32 len)
{
	u32 used;

	if (!msi->routes[0] ||
	    (!ranges_overlap(offset, len, msi->cap, msi_cap_size(control_of(msi))) &&
	     !ranges_overlap(offset, len, PCI_COMMAND, 2)))
		return;
	pthread_mutex_lock(&msi->lock);
	used = msi_cap_used(msi);
	/* Whoever sees it enabled gives up the line: from then on each message is kept at least. */
	for (u32 v = 0; v < used && !msi->enabled; v++)
		msi_route_set_mode(msi->routes[v], MSI_MASKED);
	msi->enabled = used;
	sync_vectors(msi, used);
	pthread_mutex_unlock(&msi->lock);
}

int msi_cap_fd(struct msi_cap *msi, u32 v)
{
	return v < msi->nr && msi->routes[v] ? msi_route_fd(msi->routes[v]) : -EINVAL;
}
