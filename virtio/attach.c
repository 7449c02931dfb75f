/* SPDX-License-Identifier: MIT */
/*
 * The transport of a virtio device is the configuration's choice. Devices that are younger than
 * VIRTIO 1.0 have no legacy interface: among legacy ones they are modern.
 */
#include "legacy.h"
#include "lkvm/config.h"
#include "lkvm/virtio.h"
#include "lkvm/vm.h"

int virtio_attach(struct virtio_device *vdev)
{
	bool legacy = legacy_pci_id(vdev->ops->id);

	switch (vdev->vm->cfg->transport) {
	case TRANSPORT_MMIO_LEGACY:
		return legacy ? virtio_mmio_legacy_attach(vdev) : virtio_mmio_attach(vdev);
	case TRANSPORT_MMIO:
		return virtio_mmio_attach(vdev);
	case TRANSPORT_PCI_LEGACY:
		return legacy ? virtio_pci_legacy_attach(vdev) : virtio_pci_attach(vdev);
	default:
		return virtio_pci_attach(vdev);
	}
}

int virtio_attach_or_destroy(struct virtio_device *vdev)
{
	const struct virtio_ops *ops = vdev->ops;
	int ret = virtio_attach(vdev);

	if (ret) {
		virtio_fini(vdev);
		ops->destroy(vdev);
	}
	return ret;
}
