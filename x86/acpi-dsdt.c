/* SPDX-License-Identifier: MIT */
/*
 * The Differentiated System Description Table (ACPI 6.5, 5.2.11.1): processors, whatever the
 * devices say of themselves, and the off state.
 */
#include <stdio.h>

#include "lkvm/aml.h"
#include "lkvm/config.h"
#include "lkvm/device.h"
#include "lkvm/vm.h"
#include "platform.h"

/* 8.4 "Declaring Processors"; _UID is that of the MADT. */
static void describe_cpus(struct aml *aml, u32 nr_cpus)
{
	for (u32 id = 0; id < nr_cpus; id++) {
		char name[16];
		size_t device;

		snprintf(name, sizeof(name), "C%03X", id);
		device = aml_device(aml, name);
		aml_name_string(aml, "_HID", "ACPI0007");
		aml_name_int(aml, "_UID", id);
		aml_close(aml, device);
	}
}

/* 7.4.2.6: SLP_TYP for the sleep control register; three unused elements, as is the custom. */
static void describe_s5(struct aml *aml)
{
	size_t package;

	aml_name(aml, "\\_S5");
	package = aml_package(aml, 4);
	aml_int(aml, X86_PM_S5);
	for (int i = 0; i < 3; i++)
		aml_int(aml, 0);
	aml_close(aml, package);
}

size_t acpi_dsdt(struct aml *out, struct vm *vm)
{
	size_t start = acpi_begin(out, "DSDT", 2);
	size_t scope = aml_scope(out, "\\_SB");

	describe_cpus(out, vm->cfg->cpus);
	for (struct device *dev = vm->devices; dev; dev = dev->next)
		if (dev->ops->describe_acpi)
			dev->ops->describe_acpi(dev, out);
	aml_close(out, scope);
	describe_s5(out);
	acpi_end(out, start);
	return start;
}
