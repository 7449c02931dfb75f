/* SPDX-License-Identifier: MIT */
/*
 * Machines that a device tree describes (Devicetree Specification 0.4): where memory is, the
 * command line, the initrd, the devices of arch.h.
 */
#include "guest.h"

/* The tree is copied here when it fits: checks write to all memory that is not the image's. */
#define MAX_TREE (256 << 10)

extern char image_begin[], heap_end[];
static u32 pci_node = FDT_NONE;

/* As a whole number of 64-bit words: bytes are slow where this is interpreted. */
static const void *keep_tree(const void *tree)
{
	u32 words = (fdt_size(tree) + 7) / 8;
	const u64 *from = tree;
	u64 *to;

	if (!words || words > MAX_TREE / 8)
		return tree;
	to = heap_alloc(words * 8, 8);
	for (u32 i = 0; to && i < words; i++)
		to[i] = from[i];
	return to ? to : tree;
}

static void read_memory(void)
{
	for (u32 n = 0, node; (node = fdt_find("device_type", "memory", n)) != FDT_NONE; n++)
		for (u32 i = 0; boot.nr_ranges < GUEST_MAX_RANGES; i++) {
			struct guest_range *r = &boot.map[boot.nr_ranges];

			if (!fdt_reg(node, i, &r->base, &r->size))
				break;
			r->type = GUEST_RAM;
			boot.nr_ranges++;
		}
	boot.ram_base = boot.nr_ranges ? boot.map[0].base : (u64)image_begin;
}

static void read_chosen(void)
{
	u32 chosen = fdt_child_of_root("chosen"), len;
	const char *words = fdt_prop(chosen, "bootargs", &len);
	u64 initrd, end;

	if (words && len && !words[len - 1])
		boot.cmdline = words;
	if (fdt_number(chosen, "linux,initrd-start", &initrd) &&
	    fdt_number(chosen, "linux,initrd-end", &end) && end > initrd)
		boot.modules[boot.nr_modules++] = (struct guest_range){ initrd, end - initrd, 0 };
}

void tree_read(const void *tree)
{
	u64 base, size;

	boot.protocol = "fdt";
	boot.keep = (u64)image_begin;
	boot.keep_end = (u64)heap_end;
	if (!fdt_size(tree) || !fdt_open(keep_tree(tree))) {
		boot.protocol = "fdt, damaged";
		return;
	}
	read_memory();
	read_chosen();
	if (fdt_reg(fdt_compatible("ns16550a", 0), 0, &base, &size))
		arch_uart = base;
	pci_node = fdt_compatible("pci-host-ecam-generic", 0);
}

bool tree_irq(u32 node, u32 nth, u32 *irq, bool *edge)
{
	u32 len, size = arch_irq_cells() * 4;
	const u8 *p = fdt_prop(node, "interrupts", &len);

	if (!p || !size || len / size <= nth)
		return false;
	*irq = arch_irq_number(p + nth * size, edge);
	return true;
}

bool arch_virtio_mmio(u32 nth, u64 *base, u32 *irq)
{
	u32 node = fdt_compatible("virtio,mmio", nth);
	u64 size;
	bool edge;

	return fdt_reg(node, 0, base, &size) && tree_irq(node, 0, irq, &edge);
}

u64 arch_ecam(void)
{
	u64 base, size;

	return fdt_reg(pci_node, 0, &base, &size) ? base : 0;
}

/* I/O space is MMIO from address 0 on. */
u32 arch_port_read(u32 port, u32 len)
{
	return len == 1 ? read8(port) : len == 2 ? read16(port) : read32(port);
}

void arch_port_write(u32 port, u32 len, u32 value)
{
	if (len == 1)
		write8(port, (u8)value);
	else if (len == 2)
		write16(port, (u16)value);
	else
		write32(port, value);
}

/* Binding pci-host-ecam-generic: "ranges" of 7 cells; the space is in bits 25:24 of the first. */
u64 arch_pci_window(void)
{
	u32 len;
	const void *p = fdt_prop(pci_node, "ranges", &len);

	for (u32 i = 0; p && i < len / 28; i++)
		if ((fdt_cell(p, i * 7) >> 24 & 3) == 2)
			return fdt_cells(p, i * 7 + 3);
	return 0;
}

/* "interrupt-map": unit address (3 cells) and pin under their mask, parent, the parent's cells. */
u32 arch_pci_line(u32 slot, u32 pin)
{
	u32 len, mask_len, parent_cells, stride;
	const void *p = fdt_prop(pci_node, "interrupt-map", &len);
	const void *mask = fdt_prop(pci_node, "interrupt-map-mask", &mask_len);
	bool edge;

	if (!p || !mask || len < 20 || mask_len < 16)
		return 0;
	parent_cells = fdt_u32(fdt_phandle(fdt_cell(p, 4)), "#address-cells", 0);
	if (parent_cells > 3)
		return 0;
	stride = 5 + parent_cells + arch_irq_cells();
	for (u32 i = 0; i < len / 4 / stride; i++) {
		const u8 *e = (const u8 *)p + (size_t)i * stride * 4;

		if (fdt_cell(e, 0) == (slot << 11 & fdt_cell(mask, 0)) &&
		    fdt_cell(e, 3) == (pin & fdt_cell(mask, 3)))
			return arch_irq_number(e + (5 + parent_cells) * 4, &edge);
	}
	return 0;
}
