/* SPDX-License-Identifier: MIT */
/* MSI of a function that is passed through (PCI Local Bus 3.0, 6.8.1; see pci-irqs.h). */
#include <string.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "pci-irqs.h"

void vfio_pci_msi_init(struct vfio_pci_irqs *irqs)
{
	struct vfio_pci *vp = irqs->vp;
	u32 at = vp->msi_cap, size, count = vp->dev->irqs[VFIO_PCI_MSI_IRQ_INDEX].count, log;
	u8 *config = vp->pci.config;

	if (!at)
		return;
	size = msi_cap_size((u32)get_le(config + at + PCI_MSI_FLAGS, 2));
	if (at + size > PCI_CFG_SPACE_SIZE || !count) {
		vfio_pci_cut_cap(vp, at, "MSI",
				 count ? "the capability does not end" : "the host has none of it");
		vfio_pci_emulate(vp, at, MIN(size, PCI_CFG_SPACE_SIZE - at), 0);
		return;
	}
	/* No more messages than VFIO gives, whatever the register says. */
	for (log = config[at + PCI_MSI_FLAGS] >> 1 & 7U; log && 1U << log > count; log--)
		;
	config[at + PCI_MSI_FLAGS] =
		(u8)((config[at + PCI_MSI_FLAGS] & ~PCI_MSI_FLAGS_QMASK) | log << 1);
	vfio_pci_emulate(vp, at, size, 0);
	msi_cap_init(&irqs->msi, &vp->pci, (u8)at);
}

int vfio_pci_msi_on(struct vfio_pci_irqs *irqs, u32 count)
{
	s32 fds[MSI_MAX_VECTORS] = { 0 };
	u32 n = count;
	int ret;

	for (u32 v = 0; v < count; v++)
		fds[v] = MAX(msi_cap_fd(&irqs->msi, v), -1);
	ret = vfio_device_set_irqs(irqs->vp->dev, VFIO_PCI_MSI_IRQ_INDEX, 0, fds, n);
	/* A power of two, as Multiple Message Enable is. */
	while (ret > 0 && n > 1) {
		n >>= 1;
		if (n > (u32)ret)
			continue;
		ret = vfio_device_set_irqs(irqs->vp->dev, VFIO_PCI_MSI_IRQ_INDEX, 0, fds, n);
	}
	if (!ret && n < count)
		guest_warn(
			"%s: the host has only %u of the %u MSI interrupts that the guest asked "
			"for; those behind stay silent (does the host's IOMMU remap interrupts?)",
			irqs->vp->pci.dev.name, n, count);
	return ret > 0 ? -ENOSPC : ret;
}
