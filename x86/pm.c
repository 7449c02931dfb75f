/* SPDX-License-Identifier: MIT */
/*
 * Power management of hardware-reduced ACPI (ACPI 6.5): sleep control and status registers
 * (4.8.3.7), reset register (4.8.3.6), and a Generic Event Device (5.6.9) with one register that
 * says which event it was: the power button.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "layout.h"
#include "lkvm/aml.h"
#include "lkvm/arch.h"
#include "lkvm/device.h"
#include "lkvm/irq.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "platform.h"
#include "x86.h"

#define PM_PORTS       4U
#define SLEEP_TYPE(v)  ((v) >> 2 & 7)
#define SLEEP_ENABLE   BIT(5)
#define EVENT_POWER    BIT(0)
#define NOTIFY_PRESSED 0x80 /* 5.6.6, control method power button */
#define EVENT_METHOD   "_EVT"
#define POWER_BUTTON   "PWRB"
#define EVENT_REGION   "EREG"
#define EVENT_FIELD    "EVNT"

struct x86_pm {
	struct device dev;
	struct irq_line irq;
	atomic_uint events; /* pending; reading the register clears them */
	atomic_bool quiesced;
};

static void pm_read(void *opaque, u64 offset, void *data, u32 len)
{
	struct x86_pm *pm = opaque;
	u8 value = 0;

	/* Sleep status never has WAK_STS: no state below S5 is left again. */
	if (offset == X86_PM_EVENT - X86_PORT_PM)
		value = (u8)atomic_exchange(&pm->events, 0);
	put_le(data, len, value);
}

static void pm_write(void *opaque, u64 offset, const void *data, u32 len)
{
	struct x86_pm *pm = opaque;
	u8 value = (u8)get_le(data, 1);

	switch (offset + X86_PORT_PM) {
	case X86_PM_SLEEP_CONTROL:
		if (!(value & SLEEP_ENABLE))
			break;
		if (SLEEP_TYPE(value) == X86_PM_S5)
			vm_request_stop(pm->dev.vm, VM_STOP_POWEROFF, 0, -1);
		else
			guest_warn("acpi-pm: sleep type %u is not supported", SLEEP_TYPE(value));
		break;
	case X86_PM_RESET:
		if (value == X86_PM_RESET_VALUE)
			vm_request_stop(pm->dev.vm, VM_STOP_RESET, 0, -1);
		break;
	}
}

static const struct bus_ops pm_bus_ops = {
	.read = pm_read,
	.write = pm_write,
};

static int pm_realize(struct device *dev, struct vm *vm)
{
	struct x86_pm *pm = container_of(dev, struct x86_pm, dev);
	int ret;

	ret = device_claim_irq(dev, &pm->irq, X86_GSI_GED, true);
	if (ret)
		return ret;
	ret = device_claim_pio(dev, X86_PORT_PM, PM_PORTS, &pm_bus_ops, pm);
	if (ret)
		irq_line_destroy(&pm->irq);
	return ret;
}

static void pm_reset(struct device *dev)
{
	struct x86_pm *pm = container_of(dev, struct x86_pm, dev);

	atomic_store(&pm->events, 0);
}

/* _EVT(interrupt): And (EVNT, bit) != 0 is the power button. */
static void describe_event_method(struct aml *aml)
{
	size_t method = aml_method(aml, EVENT_METHOD, 1, true);
	size_t branch;

	aml_op(aml, AML_STORE);
	aml_name_ref(aml, EVENT_FIELD);
	aml_op(aml, AML_LOCAL0);
	branch = aml_if(aml);
	aml_op(aml, AML_AND);
	aml_op(aml, AML_LOCAL0);
	aml_int(aml, EVENT_POWER);
	aml_null_name(aml);
	aml_op(aml, AML_NOTIFY);
	aml_name_ref(aml, POWER_BUTTON);
	aml_int(aml, NOTIFY_PRESSED);
	aml_close(aml, branch);
	aml_close(aml, method);
}

void x86_describe_ports(struct aml *aml, const char *name, const char *uid, u16 port, u16 count)
{
	size_t device = aml_device(aml, name), resources;

	aml_name_eisaid(aml, "_HID", "PNP0C02");
	aml_name_string(aml, "_UID", uid);
	resources = aml_name_resources(aml, "_CRS");
	aml_res_io(aml, port, count);
	aml_close_resources(aml, resources);
	aml_close(aml, device);
}

static void pm_describe_acpi(struct device *dev, struct aml *aml)
{
	size_t device, resources;

	device = aml_device(aml, POWER_BUTTON);
	aml_name_eisaid(aml, "_HID", "PNP0C0C");
	aml_close(aml, device);

	device = aml_device(aml, "GED");
	aml_name_string(aml, "_HID", "ACPI0013");
	aml_name_int(aml, "_UID", 0);
	resources = aml_name_resources(aml, "_CRS");
	aml_res_irq(aml, X86_GSI_GED, true, false, false);
	aml_close_resources(aml, resources);
	aml_op_region(aml, EVENT_REGION, true, X86_PM_EVENT, 1);
	aml_field(aml, EVENT_REGION, EVENT_FIELD, 8);
	describe_event_method(aml);
	aml_close(aml, device);

	/* The registers of the FADT belong to no driver. */
	x86_describe_ports(aml, "PMIO", "acpi-pm", X86_PORT_PM, PM_PORTS);
}

static void pm_destroy(struct device *dev)
{
	struct x86_pm *pm = container_of(dev, struct x86_pm, dev);

	bus_remove(&dev->vm->pio, X86_PORT_PM);
	irq_line_destroy(&pm->irq);
	dev->vm->arch->pm = NULL;
	free(pm);
}

static void pm_quiesce(struct device *dev)
{
	atomic_store(&container_of(dev, struct x86_pm, dev)->quiesced, true);
}

/* A button that was pressed meanwhile. */
static void pm_resume(struct device *dev)
{
	struct x86_pm *pm = container_of(dev, struct x86_pm, dev);

	atomic_store(&pm->quiesced, false);
	if (atomic_load(&pm->events))
		irq_line_pulse(&pm->irq);
}

static const struct state_field pm_fields[] = {
	STATE_UP_TO(struct x86_pm, events, EVENT_POWER),
};

static const struct device_state pm_state = {
	.version = 1,
	STATE_TABLE(pm_fields),
	.device_at = offsetof(struct x86_pm, dev),
};

static const struct device_ops pm_device_ops = {
	.realize = pm_realize,
	.reset = pm_reset,
	.quiesce = pm_quiesce,
	.resume = pm_resume,
	.state = &pm_state,
	.describe_acpi = pm_describe_acpi,
	.destroy = pm_destroy,
};

int x86_pm_create(struct vm *vm, struct x86_pm **out)
{
	struct x86_pm *pm = xcalloc(1, sizeof(*pm));
	int ret;

	pm->dev.name = "acpi-pm";
	pm->dev.ops = &pm_device_ops;
	ret = device_add(vm, &pm->dev);
	if (ret) {
		free(pm);
		return ret;
	}
	*out = pm;
	return 0;
}

int arch_power_button(struct vm *vm)
{
	struct x86_pm *pm = vm->arch ? vm->arch->pm : NULL;

	if (!pm)
		return -ENOTSUP;
	atomic_fetch_or(&pm->events, EVENT_POWER);
	if (!atomic_load(&pm->quiesced))
		irq_line_pulse(&pm->irq);
	return 0;
}
