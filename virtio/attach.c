/* SPDX-License-Identifier: MIT */
/* The transport of a virtio device is the configuration's choice. */
#include "lkvm/config.h"
#include "lkvm/virtio.h"
#include "lkvm/vm.h"

int virtio_attach(struct virtio_device *vdev)
{
	return vdev->vm->cfg->transport == TRANSPORT_MMIO ? virtio_mmio_attach(vdev)
							  : virtio_pci_attach(vdev);
}
