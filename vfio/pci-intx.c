/* SPDX-License-Identifier: MIT */
/*
 * INTx of a function that is passed through (PCI Local Bus 3.0, 2.2.6; see pci-irqs.h). VFIO writes
 * an eventfd when the device asserts its pin, and masks the interrupt at the host until it is told
 * that the guest has ended it: by resample_fd, which the interrupt controller writes. The guest's
 * own mask, Interrupt Disable, is the device's command register.
 *
 * Where nobody sees the end of an interrupt the function's pin is emulated: it is held for a
 * moment, then the host looks again, and what is still asserted raises it anew. That is so often a
 * second at most, but loses nothing.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "pci-irqs.h"

#define INDEX	VFIO_PCI_INTX_IRQ_INDEX
#define HELD_NS 1000000ULL

static struct vfio_pci_irqs *to_irqs(struct vfio_pci_intx *intx)
{
	return container_of(intx, struct vfio_pci_irqs, intx);
}

static struct vm *vm_of(const struct vfio_pci_irqs *irqs)
{
	return irqs->vp->pci.host->dev.vm;
}

/* Under lock. */
static void unmask(struct vfio_pci_irqs *irqs)
{
	int ret = 0;

	if (irqs->on == INDEX)
		ret = vfio_device_irq_action(irqs->vp->dev, INDEX, 0, VFIO_IRQ_SET_ACTION_UNMASK,
					     -1);
	/* What has no masks tells of each interrupt. */
	if (ret && ret != -ENOTTY && ret != -EINVAL)
		guest_warn("%s: INTx cannot be unmasked: %s", irqs->vp->pci.dev.name,
			   strerror(-ret));
}

/* The main loop: the interrupt ended, and the device's driver does not watch for it. */
static void on_ended(void *opaque, u32 events)
{
	struct vfio_pci_intx *intx = opaque;
	struct vfio_pci_irqs *irqs = to_irqs(intx);

	pthread_mutex_lock(&irqs->lock);
	eventfd_drain(intx->resample_fd);
	unmask(irqs);
	pthread_mutex_unlock(&irqs->lock);
}

/* The main loop: polled, the device asserts its pin. */
static void on_came(void *opaque, u32 events)
{
	struct vfio_pci_intx *intx = opaque;
	struct vfio_pci_irqs *irqs = to_irqs(intx);

	pthread_mutex_lock(&irqs->lock);
	eventfd_drain(intx->fd);
	if (irqs->on == INDEX) {
		pci_set_intx(&irqs->vp->pci, true);
		event_timer_set(&intx->again, HELD_NS);
	}
	pthread_mutex_unlock(&irqs->lock);
}

static void look_again(void *opaque)
{
	struct vfio_pci_intx *intx = opaque;
	struct vfio_pci_irqs *irqs = to_irqs(intx);

	pthread_mutex_lock(&irqs->lock);
	pci_set_intx(&irqs->vp->pci, false);
	unmask(irqs);
	pthread_mutex_unlock(&irqs->lock);
}

/* Does a device here drive the line that the function's pin leads to? */
static bool shares_line(const struct vfio_pci *vp)
{
	unsigned int line = pci_intx_line(&vp->pci);

	for (const struct pci_bus *bus = &vp->pci.host->root; bus; bus = bus->next)
		for (u32 i = 0; i < PCI_NR_DEVFNS; i++) {
			const struct pci_device *other = bus->functions[i];

			if (other && other->ops != vp->pci.ops && other->intx_pin &&
			    pci_intx_line(other) == line)
				return true;
		}
	return false;
}

static int take_line(struct vfio_pci_irqs *irqs)
{
	struct vfio_pci_intx *intx = &irqs->intx;
	struct vfio_pci *vp = irqs->vp;
	u32 gsi = vp->pci.host->layout->intx_gsi[pci_intx_line(&vp->pci)];
	int ret;

	if (vm_of(irqs)->irqs.ops->resample_alone && shares_line(vp))
		return -ENOTSUP;
	ret = irq_line_init(&intx->line, &vm_of(irqs)->irqs, gsi, false);
	if (ret)
		return ret;
	intx->resample_fd = irq_new_fd(&vm_of(irqs)->irqs);
	ret = MIN(intx->resample_fd, 0);
	/* Once: the main loop may still look at it when it is added anew. */
	intx->ended = (struct event){
		.fd = intx->resample_fd,
		.events = EPOLLIN,
		.fn = on_ended,
		.opaque = intx,
	};
	if (!ret)
		ret = irq_line_set_resample(&intx->line, intx->resample_fd);
	if (ret)
		vfio_pci_intx_fini(irqs);
	return ret;
}

static int poll_pin(struct vfio_pci_irqs *irqs)
{
	struct vfio_pci_intx *intx = &irqs->intx;
	struct event_loop *loop = &vm_of(irqs)->loop;

	intx->fd = irq_new_fd(&vm_of(irqs)->irqs);
	if (intx->fd < 0)
		return intx->fd;
	intx->came = (struct event){
		.fd = intx->fd,
		.events = EPOLLIN,
		.fn = on_came,
		.opaque = intx,
	};
	event_timer_init(&intx->again, loop, look_again, intx);
	return event_add(loop, &intx->came);
}

int vfio_pci_intx_plugged(struct vfio_pci_irqs *irqs)
{
	int ret = take_line(irqs);

	if (ret == -ENOTSUP) {
		debug("%s: INTx is polled: nobody tells when an interrupt on its line has ended",
		      irqs->vp->pci.dev.name);
		ret = poll_pin(irqs);
	}
	if (ret)
		vfio_pci_intx_fini(irqs);
	return ret;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

void vfio_pci_intx_fini(struct vfio_pci_irqs *irqs)
{
	struct vfio_pci_intx *intx = &irqs->intx;

	event_del(&intx->came);
	event_del(&intx->ended);
	event_timer_destroy(&intx->again);
	irq_line_destroy(&intx->line);
	close_fd(&intx->fd);
	close_fd(&intx->resample_fd);
}

/* The driver of the host's watches resample_fd, or we do. */
static int watch_ends(struct vfio_pci_irqs *irqs)
{
	struct vfio_pci_intx *intx = &irqs->intx;
	int ret = vfio_device_irq_action(irqs->vp->dev, INDEX, 0, VFIO_IRQ_SET_ACTION_UNMASK,
					 intx->resample_fd);

	if (!ret)
		return 0;
	return event_add(&vm_of(irqs)->loop, &intx->ended);
}

int vfio_pci_intx_on(struct vfio_pci_irqs *irqs)
{
	struct vfio_pci_intx *intx = &irqs->intx;
	bool polled = intx->fd >= 0;
	s32 fd = polled ? intx->fd : irq_line_fd(&intx->line);
	int ret;

	/* What ended before was of a time when it was off. */
	if (!polled)
		eventfd_drain(intx->resample_fd);
	ret = MIN(vfio_device_set_irqs(irqs->vp->dev, INDEX, 0, &fd, 1), 0);
	if (ret || polled)
		return ret;
	ret = watch_ends(irqs);
	if (ret && vfio_device_set_irqs(irqs->vp->dev, INDEX, 0, NULL, 0))
		debug("%s: INTx cannot be switched off", irqs->vp->pci.dev.name);
	return ret;
}

void vfio_pci_intx_off(struct vfio_pci_irqs *irqs)
{
	struct vfio_pci_intx *intx = &irqs->intx;

	event_del(&intx->ended);
	if (intx->fd < 0)
		return;
	event_timer_set(&intx->again, 0);
	pci_set_intx(&irqs->vp->pci, false);
}
