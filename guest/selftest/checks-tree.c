/* SPDX-License-Identifier: MIT */
/*
 * What machines with a device tree have in common (Devicetree Specification 0.4, and the bindings
 * of what is named): the description of memory, the serial port, virtio and PCI.
 */
#include "selftest.h"

/* Every interrupt-parent is there and is a controller. */
static void check_parents(void)
{
	u32 bad = 0;

	for (u32 node = 0; node != FDT_NONE; node = fdt_next(node)) {
		u32 phandle = fdt_u32(node, "interrupt-parent", 0);

		if (phandle && !fdt_prop(fdt_phandle(phandle), "interrupt-controller", NULL))
			bad++;
	}
	expect("interrupt parents that are none", bad, 0);
}

static void check_virtio_nodes(void)
{
	u32 described = 0, found = 0, irq;
	u64 base;

	for (; arch_virtio_mmio(described, &base, &irq); described++)
		found += read32(base) == 0x74726976;
	expect("virtio-mmio devices described", described > 0, true);
	expect("virtio-mmio devices found", found, described);
}

static void check_pci_node(bool messages)
{
	u32 host = fdt_compatible("pci-host-ecam-generic", 0), data;
	u64 addr;

	expect("PCI: where messages go",
	       fdt_prop(host, "msi-map", NULL) || fdt_prop(host, "msi-parent", NULL), messages);
	expect("PCI: messages go there", arch_msi_message(VQ_VECTOR, 0, &addr, &data), messages);
	expect("PCI: a bridge is device 0", read32(arch_ecam()) != ~0u, true);
	expect("PCI: a window for 32-bit memory", arch_pci_window() != 0, true);
	for (u32 pin = 1; pin <= 4; pin++)
		expect("PCI: where the lines of slot 1 lead", arch_pci_line(1, pin) != 0, true);
}

bool check_tree(u64 image_offset, bool messages)
{
	u32 node = fdt_compatible("ns16550a", 0), irq;
	bool edge;

	if (!expect("a device tree that is whole", boot.protocol[3], 0))
		return false;
	expect("cells of addresses", fdt_u32(0, "#address-cells", 0), 2);
	expect("cells of sizes", fdt_u32(0, "#size-cells", 0), 2);
	check_parents();
	expect("memory", boot.nr_ranges > 0, true);
	expect("memory is where we are", boot.ram_base + image_offset, boot.keep);
	expect("serial port", node != FDT_NONE, true);
	expect("serial port: its interrupt", arch_uart_irq(&irq, &edge), true);
	if (arch_ecam())
		check_pci_node(messages);
	else
		check_virtio_nodes();
	return true;
}
