/* SPDX-License-Identifier: MIT */
/*
 * pvpanic: one byte through which a guest says that its kernel panicked (QEMU,
 * docs/specs/pvpanic.rst; events: Linux include/uapi/misc/pvpanic.h). Linux finds it by the ACPI
 * name QEMU0001, or as a PCI function.
 */
#include <stdlib.h>

#include "lkvm/aml.h"
#include "lkvm/bus.h"
#include "lkvm/device.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/pci.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

enum {
	PVPANIC_PANICKED = BIT(0),     /* the guest is lost */
	PVPANIC_CRASH_LOADED = BIT(1), /* it panicked, but its own crash kernel takes over */
	PVPANIC_SHUTDOWN = BIT(2),     /* an orderly power-off */
};

#define PVPANIC_EVENTS (PVPANIC_PANICKED | PVPANIC_CRASH_LOADED | PVPANIC_SHUTDOWN)

struct pvpanic {
	struct device dev;
	struct arch_place place;
};

/* The register says which events this machine understands. */
static void pvpanic_read(void *opaque, u64 offset, void *data, u32 len)
{
	put_le(data, len, offset ? 0 : PVPANIC_EVENTS);
}

static void pvpanic_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct vm *vm = opaque;
	u8 events = *(const u8 *)data;

	if (offset)
		return;
	if (events & PVPANIC_PANICKED)
		vm_request_stop(vm, VM_STOP_PANIC, 0, -1);
	else if (events & PVPANIC_CRASH_LOADED)
		guest_warn("pvpanic: the guest's kernel panicked; its crash kernel takes over");
	else if (events & PVPANIC_SHUTDOWN)
		vm_request_stop(vm, VM_STOP_POWEROFF, 0, -1);
}

static const struct bus_ops pvpanic_bus_ops = {
	.read = pvpanic_read,
	.write = pvpanic_write,
};

static int pvpanic_realize(struct device *dev, struct vm *vm)
{
	struct pvpanic *p = container_of(dev, struct pvpanic, dev);

	return device_claim(dev, &p->place, &pvpanic_bus_ops, vm);
}

static void pvpanic_describe_acpi(struct device *dev, struct aml *aml)
{
	struct pvpanic *p = container_of(dev, struct pvpanic, dev);
	size_t device = aml_device(aml, "PEVT");
	size_t resources;

	aml_name_string(aml, "_HID", "QEMU0001");
	resources = aml_name_resources(aml, "_CRS");
	device_describe_place(aml, &p->place);
	aml_close_resources(aml, resources);
	aml_close(aml, device);
}

static void pvpanic_destroy(struct device *dev)
{
	struct pvpanic *p = container_of(dev, struct pvpanic, dev);

	device_release(dev, &p->place);
	free(p);
}

static const struct device_ops pvpanic_ops = {
	.realize = pvpanic_realize,
	.state = &no_state,
	.describe_acpi = pvpanic_describe_acpi,
	.destroy = pvpanic_destroy,
};

int pvpanic_create(struct vm *vm, const struct arch_place *place)
{
	struct pvpanic *p = xcalloc(1, sizeof(*p));
	int ret;

	p->dev.name = "pvpanic";
	p->dev.ops = &pvpanic_ops;
	p->place = *place;
	ret = device_add(vm, &p->dev);
	if (ret)
		free(p);
	return ret;
}

/* As a PCI function */

#define PVPANIC_PCI_VENDOR 0x1b36 /* Red Hat */
#define PVPANIC_PCI_DEVICE 0x0011
#define PVPANIC_BAR_SIZE   16 /* the register is its first byte; no memory BAR is smaller */

static int pvpanic_pci_realize(struct device *dev, struct vm *vm)
{
	return pci_device_add(vm->pci, container_of(dev, struct pci_device, dev));
}

static void pvpanic_pci_reset(struct device *dev)
{
	pci_device_reset(container_of(dev, struct pci_device, dev));
}

static void pvpanic_pci_destroy(struct device *dev)
{
	struct pci_device *pci = container_of(dev, struct pci_device, dev);

	pci_device_fini(pci);
	free(pci);
}

static const struct device_ops pvpanic_pci_ops = {
	.realize = pvpanic_pci_realize,
	.reset = pvpanic_pci_reset,
	.state = &pci_device_state,
	.destroy = pvpanic_pci_destroy,
};

int pvpanic_pci_create(struct vm *vm)
{
	static const struct pci_ident ident = {
		.vendor = PVPANIC_PCI_VENDOR,
		.device = PVPANIC_PCI_DEVICE,
		.class = 0x0880, /* system peripheral, other */
		.revision = 1,
	};
	struct pci_device *pci = xcalloc(1, sizeof(*pci));
	int ret;

	pci->dev.name = "pvpanic-pci";
	pci->dev.ops = &pvpanic_pci_ops;
	pci_device_init(pci, &ident, PCI_CFG_SPACE_SIZE);
	pci_set_bar(pci, 0, PVPANIC_BAR_SIZE, PCI_BASE_ADDRESS_SPACE_MEMORY, &pvpanic_bus_ops, vm);
	ret = device_add(vm, &pci->dev);
	if (ret)
		pvpanic_pci_destroy(&pci->dev);
	return ret;
}
