/* SPDX-License-Identifier: MIT */
/* A device of the host's as a function on the guest's PCI (see include/lkvm/vfio.h and pci.h). */
#include "pci.h"

#include <errno.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "vfio-abi.h"

static struct vfio_pci *to_vp(struct device *dev)
{
	return container_of(dev, struct vfio_pci, pci.dev);
}

/* The device decodes what the core does at power-on, before any of it is touched. */
static void follow_core(struct vfio_pci *vp)
{
	vfio_pci_config_set(vp, PCI_COMMAND, (u32)get_le(vp->pci.config + PCI_COMMAND, 2), 2);
}

/* The bus is as it is at power-on: the guest may number it otherwise, the kernel asks once. */
static u16 guest_bdf(const struct vfio_pci *vp)
{
	const struct pci_device *bridge = vp->pci.bus->bridge;

	return (u16)((bridge ? bridge->config[PCI_SECONDARY_BUS] << 8 : 0) | vp->pci.devfn);
}

/* Devices of one machine stop and go on together. */
static struct vfio_migration *find_peer(struct vm *vm);

static int begin_migration(struct vfio_pci *vp, struct vm *vm)
{
	int ret = vfio_migration_init(&vp->migration, vp->dev, find_peer(vm));

	return ret ? ret : vfio_migration_begin(&vp->migration);
}

static int build(struct vfio_pci *vp)
{
	int ret = vfio_pci_config_init(vp);

	if (!ret)
		ret = vfio_pci_pasid_init(vp);
	if (!ret)
		ret = vfio_pci_bars_init(vp);
	if (!ret)
		ret = vfio_pci_rom_init(vp);
	if (!ret)
		ret = vfio_pci_irqs_init(vp);
	if (!ret)
		ret = vfio_pci_bars_map(vp);
	return ret;
}

static int vp_realize(struct device *dev, struct vm *vm)
{
	struct vfio_pci *vp = to_vp(dev);
	int ret;

	vfio_pci_device_reset(vp);
	ret = build(vp);
	if (ret)
		return ret;
	follow_core(vp);
	ret = pci_device_add(vm->pci, &vp->pci);
	if (!ret)
		ret = vfio_pci_irqs_plugged(vp);
	if (!ret)
		ret = vfio_tsm_open(&vp->tsm, vp->dev, guest_bdf(vp));
	if (!ret)
		ret = begin_migration(vp, vm);
	if (!ret)
		vfio_pci_notices_init(vp);
	/* What it is locked with, it has now. */
	return ret ? ret : vfio_tsm_bind(&vp->tsm);
}

/* The order matters: no interrupt is sent and nothing is mapped while the device is reset. */
static void vp_reset(struct device *dev)
{
	struct vfio_pci *vp = to_vp(dev);

	vfio_pci_irqs_reset(vp);
	vfio_tsm_unbind(&vp->tsm);
	vfio_pci_device_reset(vp);
	pthread_mutex_lock(&vp->pci.host->update);
	vfio_pci_sleep(vp, false);
	pthread_mutex_unlock(&vp->pci.host->update);
	vfio_pci_config_set(vp, PCI_COMMAND, (u32)get_le(vp->pci.initial + PCI_COMMAND, 2), 2);
	pci_device_reset(&vp->pci);
	pthread_mutex_lock(&vp->pci.host->update);
	vfio_pci_irqs_config_written(vp, PCI_COMMAND, 2);
	pthread_mutex_unlock(&vp->pci.host->update);
	/* Without, the guest finds that its device cannot be trusted. */
	(void)vfio_tsm_bind(&vp->tsm);
}

/* When guest memory changes its shape while vcpus run, they reach the registers, which a device
 * that is stopped does not serve. */
static void vp_quiesce(struct device *dev)
{
	if (!atomic_load(&dev->vm->running))
		vfio_migration_quiesce(&to_vp(dev)->migration);
}

static void vp_resume(struct device *dev)
{
	vfio_migration_resume(&to_vp(dev)->migration);
}

static void vp_finish(struct device *dev)
{
	if (vfio_migration_finish(&to_vp(dev)->migration))
		dev->vm->lost = true;
}

static void vp_free(struct vfio_pci *vp)
{
	struct vm *vm = vp->pci.host ? vp->pci.host->dev.vm : NULL;

	vfio_migration_destroy(&vp->migration);
	vfio_pci_notices_fini(vp);
	vfio_pci_irqs_fini(vp);
	pci_device_fini(&vp->pci);
	vfio_tsm_close(&vp->tsm);
	if (vm)
		event_loop_unpost(&vm->loop, &vp->reclaim);
	vfio_pci_rom_fini(vp);
	vfio_pci_bars_fini(vp);
	vfio_pci_config_fini(vp);
	free(vp->name);
	free(vp);
}

static void vp_destroy(struct device *dev)
{
	struct vfio_pci *vp = to_vp(dev);

	vfio_pci_irqs_fini(vp);
	vfio_tsm_close(&vp->tsm);
	vfio_pci_device_reset(vp);
	vp_free(vp);
}

/* What the device remembers is in its hardware: only its own driver's protocol moves that (see
 * vfio/migration.c). */
static const struct device_ops vp_ops = {
	.realize = vp_realize,
	.reset = vp_reset,
	.quiesce = vp_quiesce,
	.resume = vp_resume,
	.state = &no_state,
	.finish = vp_finish,
	.destroy = vp_destroy,
};

static struct vfio_migration *find_peer(struct vm *vm)
{
	for (struct device *dev = vm->devices; dev; dev = dev->next)
		if (dev->ops == &vp_ops)
			return &to_vp(dev)->migration;
	return NULL;
}

int vfio_pci_add(struct vm *vm, struct vfio_device *dev, u32 index)
{
	struct vfio_pci *vp;
	int ret;

	if (!vm->pci) {
		err("--vfio %s: this machine has no PCI", dev->name.id);
		return -ENODEV;
	}
	if (!(dev->flags & VFIO_DEVICE_FLAGS_PCI)) {
		err("--vfio %s: is not a PCI device", dev->name.id);
		return -EINVAL;
	}
	vp = xcalloc(1, sizeof(*vp));
	vp->dev = dev;
	vp->name = xasprintf("vfio%u", index);
	vp->pci.dev.name = vp->name;
	vp->pci.dev.ops = &vp_ops;
	vp->pci.ops = &vfio_pci_ops;
	ret = device_add(vm, &vp->pci.dev);
	if (ret)
		vp_free(vp);
	return ret;
}
