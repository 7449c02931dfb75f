/* SPDX-License-Identifier: MIT */
/*
 * The host bridge in ACPI (ACPI 6.5, 6.1 to 6.5; PCI Firmware 3.3, 4.1.2): windows, interrupt
 * routing without link devices, and the reservation of the ECAM area that makes a guest trust MCFG.
 */
#include "lkvm/aml.h"
#include "lkvm/pci.h"

static u8 last_bus(const struct arch_pci_layout *l)
{
	u64 buses = l->ecam_size / MiB;

	return buses ? (u8)(MIN(buses, 256ULL) - 1) : 0;
}

static void describe_windows(const struct pci_host *host, struct aml *aml)
{
	const struct arch_pci_layout *l = host->layout;
	size_t mark = aml_name_resources(aml, "_CRS");

	aml_res_bus(aml, 0, last_bus(l));
	if (l->config_ports)
		aml_res_io(aml, 0xcf8, 8);
	if (l->io_size && !l->io_in_mmio)
		aml_res_io_window(aml, (u16)l->io_base, (u32)l->io_size);
	if (l->mem32_size)
		aml_res_memory_window32(aml, (u32)l->mem32_base, (u32)l->mem32_size);
	if (l->mem64_size)
		aml_res_memory_window64(aml, host->mem64_base, l->mem64_size, true);
	aml_close_resources(aml, mark);
}

/* _PRT (6.2.13): device << 16 | any function, pin, no link device, GSI. */
static void describe_routing(const struct arch_pci_layout *l, struct aml *aml)
{
	size_t table, entry;

	aml_name(aml, "_PRT");
	table = aml_package(aml, 4 * PCI_NR_SLOTS);
	for (u32 slot = 0; slot < PCI_NR_SLOTS; slot++) {
		for (u32 pin = 0; pin < 4; pin++) {
			entry = aml_package(aml, 4);
			aml_int(aml, slot << 16 | 0xffff);
			aml_int(aml, pin);
			aml_int(aml, 0);
			aml_int(aml, l->intx_gsi[(slot + pin) % 4]);
			aml_close(aml, entry);
		}
	}
	aml_close(aml, table);
}

/* Linux uses the area that MCFG names only if a motherboard resource reserves it. */
static void describe_ecam(const struct arch_pci_layout *l, struct aml *aml)
{
	size_t dev = aml_device(aml, "ECAM"), mark;

	aml_name_eisaid(aml, "_HID", "PNP0C02");
	aml_name_string(aml, "_UID", "ECAM");
	mark = aml_name_resources(aml, "_CRS");
	if (l->ecam_base + l->ecam_size <= 4 * GiB)
		aml_res_memory32(aml, (u32)l->ecam_base, (u32)l->ecam_size, true);
	else
		aml_res_memory64(aml, l->ecam_base, l->ecam_size, false, true);
	aml_close_resources(aml, mark);
	aml_close(aml, dev);
}

void pci_host_describe_acpi(struct device *dev, struct aml *aml)
{
	const struct pci_host *host = container_of(dev, struct pci_host, dev);
	size_t mark = aml_device(aml, "PCI0");

	aml_name_eisaid(aml, "_HID", "PNP0A08");
	aml_name_eisaid(aml, "_CID", "PNP0A03");
	aml_name_int(aml, "_SEG", 0);
	aml_name_int(aml, "_BBN", 0);
	aml_name_int(aml, "_UID", 0);
	aml_name_int(aml, "_CCA", 1);
	describe_windows(host, aml);
	describe_routing(host->layout, aml);
	aml_close(aml, mark);
	describe_ecam(host->layout, aml);
}
