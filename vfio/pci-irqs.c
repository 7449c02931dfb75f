/* SPDX-License-Identifier: MIT */
/* The interrupt half of a function that is passed through: none yet. */
#include "pci.h"

int vfio_pci_irqs_init(struct vfio_pci *vp)
{
	return 0;
}

int vfio_pci_irqs_plugged(struct vfio_pci *vp)
{
	return 0;
}

void vfio_pci_irqs_config_written(struct vfio_pci *vp, u32 offset, u32 len) {}

void vfio_pci_irqs_reset(struct vfio_pci *vp) {}

void vfio_pci_irqs_fini(struct vfio_pci *vp) {}

bool vfio_pci_msix_part(const struct vfio_pci *vp, unsigned int part, u32 *bar, u64 *offset,
			u64 *size)
{
	return false;
}

bool vfio_pci_msix_covers(const struct vfio_pci *vp, u32 bar, u64 offset, u32 len)
{
	return false;
}

void vfio_pci_msix_read(struct vfio_pci *vp, u32 bar, u64 offset, void *data, u32 len) {}

void vfio_pci_msix_write(struct vfio_pci *vp, u32 bar, u64 offset, const void *data, u32 len) {}
