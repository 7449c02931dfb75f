/* SPDX-License-Identifier: MIT */
/*
 * What the host has to say of a device that is passed through (Linux drivers/vfio/pci/
 * vfio_pci_core.c): it wants the device back (VFIO_PCI_REQ_IRQ_INDEX), and waits for that in an
 * unbind or a removal, asking every ten seconds; or PCI Express told of an uncorrected error
 * (VFIO_PCI_ERR_IRQ_INDEX).
 *
 * Either is said, and the machine goes on. A guest may have no use of the device at the moment, or
 * know how to help itself, and stopping it is the user's to decide.
 */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "pci.h"
#include "vfio-abi.h"

static void say_wanted(const struct vfio_pci *vp)
{
	const struct vm *vm = vp->pci.host->dev.vm;
	const char *name = vm->cfg->name;

	warn("--vfio %s: the host wants the device back, and waits for it: stop the machine "
	     "('%slkvm stop %s')",
	     vp->dev->name.id, name ? "" : "lkvm list', '", name ? name : "NAME");
}

/* The main loop. */
static void on_notice(void *opaque, u32 events)
{
	struct vfio_pci_notice *n = opaque;

	eventfd_drain(n->event.fd);
	if (n->index == VFIO_PCI_ERR_IRQ_INDEX)
		guest_log(LOG_ERROR,
			  "--vfio %s: the device had an uncorrected error (the host's kernel log "
			  "has it); it may be dead until the guest resets it or reboots",
			  n->vp->dev->name.id);
	else if (!n->said)
		say_wanted(n->vp);
	n->said = true;
}

static int listen(struct vfio_pci *vp, struct vfio_pci_notice *n, u32 index)
{
	s32 fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	int ret;

	if (fd < 0)
		return -errno;
	n->vp = vp;
	n->index = index;
	n->event = (struct event){ .fd = fd, .events = EPOLLIN, .fn = on_notice, .opaque = n };
	ret = event_add(&vp->pci.host->dev.vm->loop, &n->event);
	if (!ret)
		ret = MIN(vfio_device_set_irqs(vp->dev, index, 0, &fd, 1), 0);
	n->bound = !ret;
	return ret;
}

/* Nothing depends on it. */
void vfio_pci_notices_init(struct vfio_pci *vp)
{
	static const u32 indexes[VFIO_PCI_NOTICES] = { VFIO_PCI_ERR_IRQ_INDEX,
						       VFIO_PCI_REQ_IRQ_INDEX };

	for (u32 i = 0; i < VFIO_PCI_NOTICES; i++) {
		int ret = vp->dev->irqs[indexes[i]].count ? listen(vp, &vp->notices[i], indexes[i])
							  : 0;

		if (ret)
			debug("--vfio %s: interrupt %u of the device tells nothing: %s",
			      vp->dev->name.id, indexes[i], strerror(-ret));
	}
}

void vfio_pci_notices_fini(struct vfio_pci *vp)
{
	for (u32 i = 0; i < VFIO_PCI_NOTICES; i++) {
		struct vfio_pci_notice *n = &vp->notices[i];

		if (n->bound && vfio_device_set_irqs(vp->dev, n->index, 0, NULL, 0) < 0)
			debug("--vfio %s: interrupt %u of the device stays on", vp->dev->name.id,
			      n->index);
		/* Zeroed: it never began. */
		if (!n->vp)
			continue;
		event_del(&n->event);
		close(n->event.fd);
		*n = (struct vfio_pci_notice){ 0 };
	}
}
