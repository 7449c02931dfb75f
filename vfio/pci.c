/* SPDX-License-Identifier: MIT */
/* A device of the host's as a function on the guest's PCI (see include/lkvm/vfio.h). */
#include <errno.h>

#include "lkvm/vfio.h"

int vfio_pci_add(struct vm *vm, struct vfio_device *dev, u32 index)
{
	return -ENOTSUP;
}
