/* SPDX-License-Identifier: MIT */
/* Which kind of interrupt a function that is passed through has on (see pci-irqs.h). */
#include "pci-irqs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

static const char *const kind_names[] = { "INTx", "MSI", "MSI-X" };

int vfio_pci_irqs_init(struct vfio_pci *vp)
{
	struct vfio_pci_irqs *irqs = xcalloc(1, sizeof(*irqs));

	irqs->vp = vp;
	irqs->wanted = VFIO_NO_KIND;
	irqs->on = VFIO_NO_KIND;
	irqs->intx.resample_fd = -1;
	irqs->intx.fd = -1;
	pthread_mutex_init(&irqs->lock, NULL);
	vp->irqs = irqs;
	vfio_pci_msi_init(irqs);
	vfio_pci_msix_init(irqs);
	return 0;
}

/* The host's side */

/* Under lock, as the next. */
static void switch_off(struct vfio_pci_irqs *irqs)
{
	int ret = 0;

	if (irqs->on == VFIO_NO_KIND)
		return;
	/* MSI-X that could not be switched on again with more is off. */
	if (irqs->on != VFIO_PCI_MSIX_IRQ_INDEX || irqs->nr_on)
		ret = vfio_device_set_irqs(irqs->vp->dev, irqs->on, 0, NULL, 0);
	if (ret < 0)
		guest_warn("%s: %s of the device cannot be switched off: %s",
			   irqs->vp->pci.dev.name, kind_names[irqs->on], strerror(-ret));
	if (irqs->on == VFIO_PCI_INTX_IRQ_INDEX)
		vfio_pci_intx_off(irqs);
	irqs->on = VFIO_NO_KIND;
}

static int switch_on(struct vfio_pci_irqs *irqs, u32 kind, u32 count)
{
	int ret;

	switch (kind) {
	case VFIO_PCI_INTX_IRQ_INDEX:
		ret = vfio_pci_intx_on(irqs);
		break;
	case VFIO_PCI_MSI_IRQ_INDEX:
		ret = vfio_pci_msi_on(irqs, count);
		break;
	case VFIO_PCI_MSIX_IRQ_INDEX:
		ret = vfio_pci_msix_on(irqs);
		break;
	default:
		return 0;
	}
	if (!ret)
		irqs->on = kind;
	return ret;
}

/* What the guest's registers say, and how many messages of it. Under host->update. */
static u32 chosen_kind(struct vfio_pci_irqs *irqs, u32 *count)
{
	struct vfio_pci *vp = irqs->vp;

	*count = 0;
	if (irqs->msix.table && msix_enabled(&irqs->msix))
		return VFIO_PCI_MSIX_IRQ_INDEX;
	*count = irqs->msi.pci ? msi_cap_used(&irqs->msi) : 0;
	if (*count)
		return VFIO_PCI_MSI_IRQ_INDEX;
	return vp->pci.intx_pin ? VFIO_PCI_INTX_IRQ_INDEX : VFIO_NO_KIND;
}

/* Under host->update, or before the guest starts. What failed is tried again when the guest chooses
 * anew. */
static int follow(struct vfio_pci_irqs *irqs)
{
	u32 count, kind = chosen_kind(irqs, &count);
	int ret;

	if (kind == irqs->wanted && count == irqs->wanted_count)
		return 0;
	irqs->wanted = kind;
	irqs->wanted_count = count;
	pthread_mutex_lock(&irqs->lock);
	switch_off(irqs);
	if (kind != VFIO_PCI_MSIX_IRQ_INDEX)
		vfio_pci_msix_forget(irqs);
	ret = switch_on(irqs, kind, count);
	pthread_mutex_unlock(&irqs->lock);
	return ret;
}

void vfio_pci_irqs_config_read(struct vfio_pci *vp, u32 offset, u32 len)
{
	if (vp->irqs && vp->irqs->msi.pci)
		msi_cap_config_read(&vp->irqs->msi, offset, len);
}

void vfio_pci_irqs_config_written(struct vfio_pci *vp, u32 offset, u32 len)
{
	struct vfio_pci_irqs *irqs = vp->irqs;
	int ret;

	if (!irqs || !irqs->ready)
		return;
	if (irqs->msi.pci)
		msi_cap_config_written(&irqs->msi, offset, len);
	if (irqs->msix.table)
		msix_config_written(&irqs->msix, offset, len);
	ret = follow(irqs);
	if (ret)
		guest_warn("%s: the device has no interrupts now: %s cannot be switched on: %s",
			   vp->pci.dev.name, kind_names[irqs->wanted], strerror(-ret));
}

/* Life */

/* Drivers that use messages work without. */
static void do_without_intx(struct vfio_pci_irqs *irqs, int error)
{
	struct vfio_pci *vp = irqs->vp;

	warn("--vfio %s: the guest sees no INTx, since the host gives none: %s; a driver that "
	     "uses MSI or MSI-X works",
	     vp->dev->name.id, strerror(-error));
	pci_take_intx_pin(&vp->pci);
}

/* The host writes to a descriptor of each message: nothing else delivers it. */
static int take_fds(struct vfio_pci_irqs *irqs)
{
	int ret = 0;

	for (u32 v = 0; irqs->msi.pci && v < irqs->msi.nr; v++)
		ret = MIN(ret, msi_cap_fd(&irqs->msi, v));
	for (u32 v = 0; irqs->msix.table && v < irqs->msix.nr; v++)
		ret = MIN(ret, msix_fd(&irqs->msix, v));
	if (ret)
		err("--vfio %s: cannot create an eventfd for each of its message interrupts: %s%s",
		    irqs->vp->dev->name.id, strerror(-ret),
		    ret == -EMFILE ? "; raise 'ulimit -n'" : "");
	return ret;
}

int vfio_pci_irqs_plugged(struct vfio_pci *vp)
{
	struct vfio_pci_irqs *irqs = vp->irqs;
	int ret = 0;

	if (irqs->msi.pci)
		ret = msi_cap_take_routes(&irqs->msi);
	if (!ret && irqs->msix.table)
		ret = msix_take_routes(&irqs->msix);
	if (!ret)
		ret = take_fds(irqs);
	if (ret)
		return ret;
	if (vp->pci.intx_pin)
		ret = vfio_pci_intx_plugged(irqs);
	if (ret)
		do_without_intx(irqs, ret);
	irqs->ready = true;
	ret = follow(irqs);
	if (ret)
		do_without_intx(irqs, ret);
	return 0;
}

void vfio_pci_irqs_reset(struct vfio_pci *vp)
{
	struct vfio_pci_irqs *irqs = vp->irqs;

	if (!irqs)
		return;
	if (irqs->msi.pci)
		msi_cap_reset(&irqs->msi);
	if (irqs->msix.table)
		msix_reset(&irqs->msix);
	pthread_mutex_lock(&irqs->lock);
	switch_off(irqs);
	vfio_pci_msix_forget(irqs);
	pthread_mutex_unlock(&irqs->lock);
	irqs->wanted = VFIO_NO_KIND;
}

void vfio_pci_irqs_fini(struct vfio_pci *vp)
{
	struct vfio_pci_irqs *irqs = vp->irqs;

	if (!irqs)
		return;
	pthread_mutex_lock(&irqs->lock);
	switch_off(irqs);
	pthread_mutex_unlock(&irqs->lock);
	vfio_pci_intx_fini(irqs);
	msi_cap_fini(&irqs->msi);
	vfio_pci_msix_fini(irqs);
	pthread_mutex_destroy(&irqs->lock);
	free(irqs);
	vp->irqs = NULL;
}
