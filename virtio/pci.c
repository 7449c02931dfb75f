/* SPDX-License-Identifier: MIT */
/*
 * virtio over PCI (VIRTIO 1.3, 4.1): the function, whatever its registers look like: interrupts
 * (MSI-X with a vector for each queue and one for the configuration, or INTx with the ISR byte),
 * ioeventfds, state and life. Its registers are pci-modern.c's or pci-legacy.c's.
 */
#include <linux/virtio_pci.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "pci.h"

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

static int vpci_interrupt_fd(struct virtio_device *vdev, u16 q)
{
	struct virtio_pci *vp = vdev->transport_data;
	u16 vector = VIRTIO_MSI_NO_VECTOR;

	pthread_mutex_lock(&vp->irq_lock);
	if (msix_enabled(&vp->msix))
		vector = vp->queue_vector[q];
	pthread_mutex_unlock(&vp->irq_lock);
	return vector == VIRTIO_MSI_NO_VECTOR ? -ENOENT : msix_fd(&vp->msix, vector);
}

/* Reading the ISR byte acknowledges. */
u8 vpci_take_isr(struct virtio_pci *vp)
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
	const struct vpci_notify *at = &vp->regs->notify;
	struct virtio_device *vdev = vp->vdev;
	u64 base = vp->bar_base + at->offset;

	for (u16 i = 0; i < vdev->nr_queues; i++) {
		bool want = vp->mapped && virtio_queue_started(vdev, i);
		u64 offset = (u64)i * at->stride, q = i;
		const u64 *match = at->match ? &q : NULL;

		if (vp->bound[i] && (!want || vp->bound_base != base)) {
			vm_ioeventfd(vdev->vm, vp->bar_pio, vp->bound_base + offset, at->len, match,
				     vdev->queues[i].notify.fd, false);
			vp->bound[i] = false;
		}
		if (!vp->bound[i] && want)
			vp->bound[i] = !vm_ioeventfd(vdev->vm, vp->bar_pio, base + offset, at->len,
						     match, vdev->queues[i].notify.fd, true);
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
	.legacy_name = "pci-legacy",
	.interrupt = vpci_interrupt,
	.interrupt_fd = vpci_interrupt_fd,
	.reset = vpci_reset_registers,
	.queues_changed = vpci_queues_changed,
};

/* Configuration space: read under host->lock, written under host->update */

static void vpci_config_read(struct pci_device *pci, u32 offset, u32 len)
{
	struct virtio_pci *vp = from_pci(pci);

	if (vp->regs->config_read)
		vp->regs->config_read(vp, offset, len);
}

static void vpci_config_written(struct pci_device *pci, u32 offset, u32 len)
{
	struct virtio_pci *vp = from_pci(pci);

	bool msix = msix_enabled(&vp->msix);

	msix_config_written(&vp->msix, offset, len);
	if (msix != msix_enabled(&vp->msix) && vp->vdev->ops->interrupts_changed)
		vp->vdev->ops->interrupts_changed(vp->vdev);
	/* With MSI-X the line is silent. */
	pthread_mutex_lock(&vp->irq_lock);
	update_line(vp);
	pthread_mutex_unlock(&vp->irq_lock);
	if (ranges_overlap(offset, len, PCI_COMMAND, 2)) {
		virtio_set_held(vp->vdev, !atomic_load(&pci->bus_master));
		if (!atomic_load(&pci->bus_master))
			virtio_wait_held(vp->vdev);
	}
	if (vp->regs->config_written)
		vp->regs->config_written(vp, offset, len);
}

static void vpci_bar_moved(struct pci_device *pci, unsigned int bar)
{
	struct virtio_pci *vp = from_pci(pci);

	if (bar != vp->regs->notify.bar)
		return;
	pthread_mutex_lock(&vp->bind_lock);
	vp->mapped = pci->bars[bar].mapped;
	vp->bar_pio = pci_bar_place(pci, bar, &vp->bar_base);
	bind_ioeventfds(vp);
	pthread_mutex_unlock(&vp->bind_lock);
}

static const struct pci_ops vpci_ops = {
	.config_read = vpci_config_read,
	.config_written = vpci_config_written,
	.bar_moved = vpci_bar_moved,
};

/* The device */

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

int vpci_attach(struct virtio_device *vdev, const struct vpci_regs *regs)
{
	struct virtio_pci *vp;
	int ret;

	if (!vdev->vm->pci) {
		err("%s: this VM has no PCI bus; use --virtio-transport mmio", vdev->name);
		return -ENODEV;
	}
	vp = xcalloc(1, sizeof(*vp));
	vp->vdev = vdev;
	vp->regs = regs;
	vp->pci.dev.name = vdev->name;
	vp->pci.dev.ops = &vpci_device_ops;
	vp->pci.ops = &vpci_ops;
	pthread_mutex_init(&vp->irq_lock, NULL);
	pthread_mutex_init(&vp->bind_lock, NULL);
	regs->build(vp);
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
