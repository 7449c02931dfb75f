/* SPDX-License-Identifier: MIT */
/*
 * The registers of virtio over PCI from before VIRTIO 1.0 (VIRTIO 1.3, 4.1.4.10): 20 or 24 bytes in
 * an I/O BAR, the device's configuration after them. There is nothing else: a transitional device,
 * which has the capabilities of 4.1.4 too, lets the driver choose, and who asks for this transport
 * has chosen.
 */
#include <linux/virtio_pci.h>

#include "legacy.h"
#include "lkvm/util.h"
#include "pci.h"

#define BAR_IO	 0
#define BAR_MSIX 1 /* a page: table and pending bits of 65 vectors need less */

#define MSIX_BAR_SIZE 0x1000
#define MSIX_PBA      0x800
#define IO_BAR_MIN    64u

_Static_assert((VIRTIO_MAX_QUEUES + 1) * PCI_MSIX_ENTRY_SIZE <= MSIX_PBA, "the table fits");

static u32 config_offset(struct virtio_pci *vp)
{
	return (u32)VIRTIO_PCI_CONFIG_OFF(msix_enabled(&vp->msix));
}

static struct virtqueue *selected(struct virtio_pci *vp)
{
	return vp->queue_sel < vp->vdev->nr_queues ? &vp->vdev->queues[vp->queue_sel].vq : NULL;
}

/* But for the ISR byte no register changes by being read, so any access is a part of this. Under
 * vdev->lock. */
static void header_image(struct virtio_pci *vp, u8 *p)
{
	struct virtio_device *vdev = vp->vdev;
	struct virtqueue *vq = selected(vp);

	memset(p, 0, VIRTIO_PCI_CONFIG_OFF(true));
	put_le(p + VIRTIO_PCI_HOST_FEATURES, 4, (u32)virtio_offered(vdev));
	put_le(p + VIRTIO_PCI_GUEST_FEATURES, 4, (u32)vdev->features);
	if (vq) {
		/* 4.1.5.1.3.1: 0 says that the queue is free. */
		if (vq->enabled)
			put_le(p + VIRTIO_PCI_QUEUE_PFN, 4,
			       (u32)(vq->desc_gpa >> VIRTIO_PCI_QUEUE_ADDR_SHIFT));
		put_le(p + VIRTIO_PCI_QUEUE_NUM, 2, vq->size);
	}
	put_le(p + VIRTIO_PCI_QUEUE_SEL, 2, vp->queue_sel);
	p[VIRTIO_PCI_STATUS] = vdev->status & LEGACY_STATUS;
	put_le(p + VIRTIO_MSI_CONFIG_VECTOR, 2, vpci_get_vector(vp, true));
	put_le(p + VIRTIO_MSI_QUEUE_VECTOR, 2,
	       vq ? vpci_get_vector(vp, false) : VIRTIO_MSI_NO_VECTOR);
}

static void io_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct virtio_pci *vp = opaque;
	u32 header = config_offset(vp), at = (u32)offset;
	u8 image[VIRTIO_PCI_CONFIG_OFF(true)];

	if (at >= header) {
		virtio_config_read(vp->vdev, at - header, data, len);
		return;
	}
	memset(data, 0, len);
	if (!range_within(at, len, 0, header))
		return;
	virtio_lock(vp->vdev);
	header_image(vp, image);
	virtio_unlock(vp->vdev);
	memcpy(data, image + at, len);
	if (ranges_overlap(at, len, VIRTIO_PCI_ISR, 1))
		((u8 *)data)[VIRTIO_PCI_ISR - at] = vpci_take_isr(vp);
}

/* Linux before 2.6.34 drives the device and leaves bus mastering off: the legacy interface has no
 * rule about it, so who says that it drives the device means that, too. */
static void let_master(struct virtio_pci *vp)
{
	struct pci_device *pci = &vp->pci;
	u8 command[2];

	if (atomic_load(&pci->bus_master))
		return;
	pci_config_copy(pci, PCI_COMMAND, command, 2);
	pci_device_write(pci, PCI_COMMAND, (u32)get_le(command, 2) | PCI_COMMAND_MASTER, 2);
}

/* What starts or stops something, and so runs without the lock. False: another register. */
static bool write_action(struct virtio_pci *vp, u32 offset, u32 value, u32 len)
{
	struct virtio_device *vdev = vp->vdev;
	u16 q;

	virtio_lock(vdev);
	q = vp->queue_sel;
	virtio_unlock(vdev);
	if (offset == VIRTIO_PCI_GUEST_FEATURES && len == 4) {
		legacy_accept_features(vdev, 0, value);
	} else if (offset == VIRTIO_PCI_QUEUE_PFN && len == 4) {
		legacy_set_queue(vdev, q, (u64)value << VIRTIO_PCI_QUEUE_ADDR_SHIFT, LEGACY_ALIGN);
	} else if (offset == VIRTIO_PCI_QUEUE_NOTIFY && len >= 2) {
		let_master(vp);
		legacy_kick(vdev, value & 0xffff);
	} else if (offset == VIRTIO_PCI_STATUS && len == 1) {
		if (value & VIRTIO_CONFIG_S_DRIVER_OK)
			let_master(vp);
		legacy_set_status(vdev, (u8)value);
	} else {
		return false;
	}
	return true;
}

static void io_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct virtio_pci *vp = opaque;
	u32 header = config_offset(vp), at = (u32)offset;
	u32 value = (u32)get_le(data, len);

	if (at >= header) {
		virtio_config_write(vp->vdev, at - header, data, len);
		return;
	}
	if (write_action(vp, at, value, len) || len != 2)
		return;
	virtio_lock(vp->vdev);
	if (at == VIRTIO_PCI_QUEUE_SEL)
		vp->queue_sel = (u16)value;
	else if (at == VIRTIO_MSI_CONFIG_VECTOR)
		vpci_set_vector(vp, true, (u16)value);
	else if (at == VIRTIO_MSI_QUEUE_VECTOR)
		vpci_set_vector(vp, false, (u16)value);
	virtio_unlock(vp->vdev);
}

static const struct bus_ops io_ops = { io_read, io_write };

static void msix_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct virtio_pci *vp = opaque;

	if (offset < MSIX_PBA)
		msix_table_read(&vp->msix, offset, data, len);
	else
		msix_pba_read(&vp->msix, offset - MSIX_PBA, data, len);
}

static void msix_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct virtio_pci *vp = opaque;

	if (offset < MSIX_PBA)
		msix_table_write(&vp->msix, offset, data, len);
}

static const struct bus_ops msix_ops = { msix_read, msix_write };

static void build(struct virtio_pci *vp)
{
	struct virtio_device *vdev = vp->vdev;
	struct pci_ident ident = {
		.vendor = VIRTIO_PCI_VENDOR,
		.device = legacy_pci_id(vdev->ops->id),
		.subsystem_vendor = VIRTIO_PCI_VENDOR,
		.subsystem = (u16)vdev->ops->id, /* 4.1.2.1: by which drivers know the device */
		.class = (u16)vdev->ops->pci_class,
		.revision = VIRTIO_PCI_ABI_VERSION,
	};
	u32 size = IO_BAR_MIN;

	while (size < VIRTIO_PCI_CONFIG_OFF(true) + vdev->ops->config_len)
		size *= 2;
	pci_device_init(&vp->pci, &ident, PCI_CFG_SPACE_SIZE);
	pci_set_bar(&vp->pci, BAR_IO, size, PCI_BASE_ADDRESS_SPACE_IO, &io_ops, vp);
	pci_set_bar(&vp->pci, BAR_MSIX, MSIX_BAR_SIZE, PCI_BASE_ADDRESS_SPACE_MEMORY, &msix_ops,
		    vp);
	msix_init(&vp->msix, &vp->pci, (u16)(vdev->nr_queues + 1), BAR_MSIX, 0, MSIX_PBA);
}

static const struct vpci_regs legacy_regs = {
	.notify = { .bar = BAR_IO, .offset = VIRTIO_PCI_QUEUE_NOTIFY, .len = 2, .match = true },
	.build = build,
};

int virtio_pci_legacy_attach(struct virtio_device *vdev)
{
	legacy_begin(vdev);
	return vpci_attach(vdev, &legacy_regs);
}
