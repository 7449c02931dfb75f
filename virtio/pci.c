/* SPDX-License-Identifier: MIT */
/*
 * virtio over PCI (VIRTIO 1.3, 4.1), modern only: five capabilities, one memory BAR of 32 KiB, and
 * MSI-X with a vector for each queue and one for the configuration, or INTx with the ISR byte.
 */
#include <linux/virtio_pci.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "pci.h"

#define VIRTIO_PCI_VENDOR	 0x1af4 /* 4.1.2 */
#define VIRTIO_PCI_DEVICE_MODERN 0x1040 /* plus the device type */
#define VIRTIO_PCI_REVISION	 1

/* The BAR, a page for each part. */
#define BAR_NR	       0
#define BAR_SIZE       0x8000
#define BAR_PAGE       0x1000
#define BAR_COMMON     0x0000
#define BAR_ISR	       0x1000
#define BAR_DEVICE     0x2000
#define BAR_NOTIFY     0x3000
#define BAR_MSIX_TABLE 0x4000
#define BAR_MSIX_PBA   0x5000

static struct virtio_pci *from_pci(struct pci_device *pci)
{
	return container_of(pci, struct virtio_pci, pci);
}

static struct virtio_pci *from_device(struct device *dev)
{
	return container_of(dev, struct virtio_pci, pci.dev);
}

/* Interrupts (4.1.4.5, 4.1.5.1) */

static void update_line(struct virtio_pci *vp)
{
	pci_set_intx(&vp->pci, vp->isr && !msix_enabled(&vp->msix));
}

static void vpci_interrupt(struct virtio_device *vdev, int q)
{
	struct virtio_pci *vp = vdev->transport_data;
	u16 vector = VIRTIO_MSI_NO_VECTOR;

	pthread_mutex_lock(&vp->irq_lock);
	if (q < 0)
		vp->isr |= VIRTIO_PCI_ISR_CONFIG;
	if (msix_enabled(&vp->msix)) {
		vector = q < 0 ? vp->config_vector : vp->queue_vector[q];
	} else {
		if (q >= 0)
			vp->isr |= 1;
		update_line(vp);
	}
	pthread_mutex_unlock(&vp->irq_lock);
	if (vector != VIRTIO_MSI_NO_VECTOR)
		msix_notify(&vp->msix, vector);
}

/* Reading the ISR byte acknowledges. */
static u8 take_isr(struct virtio_pci *vp)
{
	u8 isr;

	pthread_mutex_lock(&vp->irq_lock);
	isr = vp->isr;
	vp->isr = 0;
	update_line(vp);
	pthread_mutex_unlock(&vp->irq_lock);
	return isr;
}

/* Let KVM signal the queues' eventfds itself; where it cannot, the BAR's handler does. Under
 * bind_lock. */
static void bind_ioeventfds(struct virtio_pci *vp)
{
	struct virtio_device *vdev = vp->vdev;
	u64 base = vp->bar_base + BAR_NOTIFY;

	for (u16 i = 0; i < vdev->nr_queues; i++) {
		bool want = vp->mapped && virtio_queue_started(vdev, i);
		u64 offset = (u64)i * VPCI_NOTIFY_STRIDE;

		if (vp->bound[i] && (!want || vp->bound_base != base)) {
			vm_ioeventfd(vdev->vm, false, vp->bound_base + offset, 0, NULL,
				     vdev->queues[i].notify.fd, false);
			vp->bound[i] = false;
		}
		if (!vp->bound[i] && want)
			vp->bound[i] = !vm_ioeventfd(vdev->vm, false, base + offset, 0, NULL,
						     vdev->queues[i].notify.fd, true);
	}
	vp->bound_base = base;
}

static void vpci_queues_changed(struct virtio_device *vdev)
{
	struct virtio_pci *vp = vdev->transport_data;
	bool useless;

	virtio_lock(vdev);
	useless = vdev->active && vdev->held;
	virtio_unlock(vdev);
	if (useless)
		guest_warn("%s: its driver left PCI bus mastering off, so it cannot access memory",
			   vdev->name);
	pthread_mutex_lock(&vp->bind_lock);
	bind_ioeventfds(vp);
	pthread_mutex_unlock(&vp->bind_lock);
}

static void vpci_reset_registers(struct virtio_device *vdev)
{
	struct virtio_pci *vp = vdev->transport_data;

	vp->device_features_sel = 0;
	vp->driver_features_sel = 0;
	vp->queue_sel = 0;
	pthread_mutex_lock(&vp->irq_lock);
	vp->isr = 0;
	vp->config_vector = VIRTIO_MSI_NO_VECTOR;
	for (u32 i = 0; i < VIRTIO_MAX_QUEUES; i++)
		vp->queue_vector[i] = VIRTIO_MSI_NO_VECTOR;
	update_line(vp);
	pthread_mutex_unlock(&vp->irq_lock);
}

static const struct virtio_transport_ops vpci_transport = {
	.interrupt = vpci_interrupt,
	.reset = vpci_reset_registers,
	.queues_changed = vpci_queues_changed,
};

/* The BAR. @len is at most 8 and the access lies inside; each part checks its own end. */

static void bar_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct virtio_pci *vp = opaque;
	u32 at = offset % BAR_PAGE;

	memset(data, 0, len);
	switch (offset - at) {
	case BAR_COMMON:
		if (range_within(at, len, 0, VPCI_COMMON_SIZE))
			vpci_common_read(vp, at, data, len);
		break;
	case BAR_ISR:
		if (!at)
			*(u8 *)data = take_isr(vp);
		break;
	case BAR_DEVICE:
		virtio_config_read(vp->vdev, at, data, len);
		break;
	case BAR_MSIX_TABLE:
		msix_table_read(&vp->msix, at, data, len);
		break;
	case BAR_MSIX_PBA:
		msix_pba_read(&vp->msix, at, data, len);
		break;
	}
}

static void bar_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct virtio_pci *vp = opaque;
	u32 at = offset % BAR_PAGE;

	switch (offset - at) {
	case BAR_COMMON:
		vpci_common_write(vp, at, get_le(data, len), len);
		break;
	case BAR_DEVICE:
		virtio_config_write(vp->vdev, at, data, len);
		break;
	case BAR_NOTIFY:
		/* 4.1.4.4.1: the address alone says which queue, whatever data comes with it. */
		if (!(at % VPCI_NOTIFY_STRIDE))
			virtio_kick(vp->vdev, at / VPCI_NOTIFY_STRIDE);
		break;
	case BAR_MSIX_TABLE:
		msix_table_write(&vp->msix, at, data, len);
		break;
	}
}

static const struct bus_ops bar_ops = { bar_read, bar_write };

/* Configuration space: read under host->lock, written under host->update */

/*
 * The window of 4.1.4.9: bar, offset and length say which bytes of the BAR an access of
 * pci_cfg_data stands for. They are the guest's, and checked here. MSI-X is no part of what the
 * capabilities describe: its lock may be held for as long as KVM takes to change routes, and
 * host->lock is not to wait for that.
 */
static bool window_target(const struct virtio_pci *vp, u32 *offset, u32 *len)
{
	const u8 *cap = vp->pci.config + vp->window_cap;

	*offset = (u32)get_le(cap + VIRTIO_PCI_CAP_OFFSET, 4);
	*len = (u32)get_le(cap + VIRTIO_PCI_CAP_LENGTH, 4);
	return cap[VIRTIO_PCI_CAP_BAR] == BAR_NR && (*len == 1 || *len == 2 || *len == 4) &&
	       !(*offset % *len) && range_within(*offset, *len, 0, BAR_MSIX_TABLE);
}

static bool touches_window(const struct virtio_pci *vp, u32 offset, u32 len)
{
	return ranges_overlap(offset, len, vp->window_cap + sizeof(struct virtio_pci_cap), 4);
}

static void vpci_config_read(struct pci_device *pci, u32 offset, u32 len)
{
	struct virtio_pci *vp = from_pci(pci);
	u32 target, size;

	if (touches_window(vp, offset, len) && window_target(vp, &target, &size))
		bar_read(vp, target, pci->config + vp->window_cap + sizeof(struct virtio_pci_cap),
			 size);
}

static void vpci_config_written(struct pci_device *pci, u32 offset, u32 len)
{
	struct virtio_pci *vp = from_pci(pci);
	u32 target, size;
	u8 data[4];

	msix_config_written(&vp->msix, offset, len);
	/* With MSI-X the line is silent. */
	pthread_mutex_lock(&vp->irq_lock);
	update_line(vp);
	pthread_mutex_unlock(&vp->irq_lock);
	if (ranges_overlap(offset, len, PCI_COMMAND, 2)) {
		virtio_set_held(vp->vdev, !atomic_load(&pci->bus_master));
		if (!atomic_load(&pci->bus_master))
			virtio_wait_held(vp->vdev);
	}
	if (!touches_window(vp, offset, len) || !window_target(vp, &target, &size))
		return;
	pci_config_copy(pci, vp->window_cap + (u32)sizeof(struct virtio_pci_cap), data, size);
	bar_write(vp, target, data, size);
}

static void vpci_bar_moved(struct pci_device *pci, unsigned int bar)
{
	struct virtio_pci *vp = from_pci(pci);

	pthread_mutex_lock(&vp->bind_lock);
	vp->mapped = pci->bars[bar].mapped;
	vp->bar_base = pci->bars[bar].addr;
	bind_ioeventfds(vp);
	pthread_mutex_unlock(&vp->bind_lock);
}

static const struct pci_ops vpci_ops = {
	.config_read = vpci_config_read,
	.config_written = vpci_config_written,
	.bar_moved = vpci_bar_moved,
};

/* The device */

/* A capability of 4.1.4, and @extra bytes after it. */
static u8 add_cap(struct virtio_pci *vp, u8 type, u32 offset, u32 length, u8 extra)
{
	u8 size = (u8)(sizeof(struct virtio_pci_cap) + extra);
	u8 at = pci_add_capability(&vp->pci, PCI_CAP_ID_VNDR, size);
	u8 *cap = vp->pci.config + at;

	cap[VIRTIO_PCI_CAP_LEN] = size;
	cap[VIRTIO_PCI_CAP_CFG_TYPE] = type;
	cap[VIRTIO_PCI_CAP_BAR] = BAR_NR;
	put_le(cap + VIRTIO_PCI_CAP_OFFSET, 4, offset);
	put_le(cap + VIRTIO_PCI_CAP_LENGTH, 4, length);
	return at;
}

static void add_caps(struct virtio_pci *vp)
{
	struct virtio_device *vdev = vp->vdev;
	u8 at;

	add_cap(vp, VIRTIO_PCI_CAP_COMMON_CFG, BAR_COMMON, VPCI_COMMON_SIZE, 0);
	at = add_cap(vp, VIRTIO_PCI_CAP_NOTIFY_CFG, BAR_NOTIFY,
		     (u32)vdev->nr_queues * VPCI_NOTIFY_STRIDE, 4);
	put_le(vp->pci.config + at + VIRTIO_PCI_NOTIFY_CAP_MULT, 4, VPCI_NOTIFY_STRIDE);
	add_cap(vp, VIRTIO_PCI_CAP_ISR_CFG, BAR_ISR, 1, 0);
	/* 4.1.4.6: only where there is something to configure. */
	if (vdev->ops->config_len)
		add_cap(vp, VIRTIO_PCI_CAP_DEVICE_CFG, BAR_DEVICE, vdev->ops->config_len, 0);
	at = add_cap(vp, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, 4);
	vp->window_cap = at;
	vp->pci.wmask[at + VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(vp->pci.wmask + at + VIRTIO_PCI_CAP_OFFSET, 0xff, 12);
}

static void build_function(struct virtio_pci *vp)
{
	struct virtio_device *vdev = vp->vdev;
	struct pci_ident ident = {
		.vendor = VIRTIO_PCI_VENDOR,
		.device = (u16)(VIRTIO_PCI_DEVICE_MODERN + vdev->ops->id),
		.subsystem_vendor = VIRTIO_PCI_VENDOR,
		.subsystem = (u16)(VIRTIO_PCI_DEVICE_MODERN + vdev->ops->id),
		.class = (u16)vdev->ops->pci_class,
		.revision = VIRTIO_PCI_REVISION,
	};

	pci_device_init(&vp->pci, &ident, PCI_CFG_SPACE_SIZE);
	pci_set_bar(&vp->pci, BAR_NR, BAR_SIZE, PCI_BASE_ADDRESS_SPACE_MEMORY, &bar_ops, vp);
	msix_init(&vp->msix, &vp->pci, (u16)(vdev->nr_queues + 1), BAR_NR, BAR_MSIX_TABLE,
		  BAR_MSIX_PBA);
	add_caps(vp);
}

static int vpci_realize(struct device *dev, struct vm *vm)
{
	return pci_device_add(vm->pci, &from_device(dev)->pci);
}

static void vpci_reset(struct device *dev)
{
	struct virtio_pci *vp = from_device(dev);

	virtio_device_reset(vp->vdev);
	msix_reset(&vp->msix);
	virtio_set_held(vp->vdev, true);
	pci_device_reset(&vp->pci);
}

static void vpci_quiesce(struct device *dev)
{
	virtio_quiesce(from_device(dev)->vdev);
}

static void vpci_resume(struct device *dev)
{
	virtio_resume(from_device(dev)->vdev);
}

static int vpci_save(void *obj)
{
	struct virtio_pci *vp = obj;

	msix_save(&vp->msix);
	return virtio_save(vp->vdev);
}

static void vpci_forget(void *obj)
{
	virtio_device_reset(((struct virtio_pci *)obj)->vdev);
}

/* Interrupts first: a queue that starts may have something to say. */
static int vpci_load(void *obj)
{
	struct virtio_pci *vp = obj;

	pci_device_restored(&vp->pci);
	msix_load(&vp->msix);
	pthread_mutex_lock(&vp->irq_lock);
	update_line(vp);
	pthread_mutex_unlock(&vp->irq_lock);
	virtio_set_held(vp->vdev, !atomic_load(&vp->pci.bus_master));
	return virtio_load(vp->vdev);
}

static const struct state_field vpci_fields[] = {
	STATE_PART(struct virtio_pci, pci, &pci_device_state),
	STATE_PART(struct virtio_pci, msix, &msix_state),
	STATE_VALUE(struct virtio_pci, device_features_sel),
	STATE_VALUE(struct virtio_pci, driver_features_sel),
	STATE_VALUE(struct virtio_pci, queue_sel),
	STATE_VALUE(struct virtio_pci, isr),
	STATE_VALUE(struct virtio_pci, config_vector),
	STATE_ARRAY(struct virtio_pci, queue_vector),
	STATE_PART_AT(struct virtio_pci, vdev, &virtio_state),
};

static const struct device_state vpci_state = {
	.version = 1,
	STATE_TABLE(vpci_fields),
	.device_at = offsetof(struct virtio_pci, pci.dev),
	.save = vpci_save,
	.forget = vpci_forget,
	.load = vpci_load,
};

static void free_transport(struct virtio_pci *vp)
{
	pci_device_fini(&vp->pci);
	msix_fini(&vp->msix);
	pthread_mutex_destroy(&vp->irq_lock);
	pthread_mutex_destroy(&vp->bind_lock);
	free(vp);
}

static void vpci_destroy(struct device *dev)
{
	struct virtio_pci *vp = from_device(dev);
	struct virtio_device *vdev = vp->vdev;
	const struct virtio_ops *ops = vdev->ops;

	virtio_device_reset(vdev);
	virtio_lock(vdev);
	vdev->transport = NULL;
	virtio_unlock(vdev);
	free_transport(vp);
	virtio_fini(vdev);
	if (ops->destroy)
		ops->destroy(vdev);
}

static void vpci_finish(struct device *dev)
{
	virtio_finish(from_device(dev)->vdev);
}

static const struct device_ops vpci_device_ops = {
	.realize = vpci_realize,
	.reset = vpci_reset,
	.quiesce = vpci_quiesce,
	.resume = vpci_resume,
	.state = &vpci_state,
	.finish = vpci_finish,
	.destroy = vpci_destroy,
};

int virtio_pci_attach(struct virtio_device *vdev)
{
	struct virtio_pci *vp;
	int ret;

	if (!vdev->vm->pci) {
		err("%s: this VM has no PCI bus; use --virtio-transport mmio", vdev->name);
		return -ENODEV;
	}
	vp = xcalloc(1, sizeof(*vp));
	vp->vdev = vdev;
	vp->pci.dev.name = vdev->name;
	vp->pci.dev.ops = &vpci_device_ops;
	vp->pci.ops = &vpci_ops;
	pthread_mutex_init(&vp->irq_lock, NULL);
	pthread_mutex_init(&vp->bind_lock, NULL);
	build_function(vp);
	vdev->transport = &vpci_transport;
	vdev->transport_data = vp;
	vpci_reset_registers(vdev);
	vdev->held = true; /* until the driver lets it be a bus master */
	ret = device_add(vdev->vm, &vp->pci.dev);
	if (!ret)
		return 0;
	vdev->transport = NULL;
	vdev->transport_data = NULL;
	vdev->held = false;
	free_transport(vp);
	return ret;
}
