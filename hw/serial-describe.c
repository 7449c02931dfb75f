/* SPDX-License-Identifier: MIT */
/* A serial port in ACPI's namespace (PNP0501) and in device trees (serial/8250.yaml). */
#include "serial-describe.h"

#include "lkvm/aml.h"
#include "lkvm/arch.h"
#include "lkvm/device.h"
#include "lkvm/fdt.h"

void serial_describe_acpi(struct aml *aml, const struct arch_place *place, unsigned int number)
{
	static const char *const names[SERIAL_MAX_PORTS] = { "COM1", "COM2", "COM3", "COM4" };
	size_t device = aml_device(aml, names[number]);
	size_t resources;

	aml_name_eisaid(aml, "_HID", "PNP0501");
	aml_name_int(aml, "_UID", number);
	resources = aml_name_resources(aml, "_CRS");
	device_describe_place(aml, place);
	aml_res_irq(aml, place->gsi, place->edge, false, false);
	aml_close_resources(aml, resources);
	aml_close(aml, device);
}

/* The clock is the one of the divisor, which nothing depends on. */
void serial_describe_fdt(struct fdtw *fdt, const struct arch_place *place, u32 reg_shift, u32 hz)
{
	if (place->pio)
		return;
	fdtw_node(fdt, "serial@%llx", place->base);
	fdtw_string(fdt, "compatible", "ns16550a");
	fdtw_reg(fdt, place->base, place->size);
	fdtw_irq(fdt, place->gsi, place->edge);
	fdtw_u32(fdt, "clock-frequency", hz);
	if (reg_shift)
		fdtw_u32(fdt, "reg-shift", reg_shift);
	fdtw_close(fdt);
}
