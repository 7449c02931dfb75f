/* SPDX-License-Identifier: MIT */
/* arm64 guests: the device tree, what it says of memory and devices, the serial port. */
#include "arm.h"

/* The tree is copied here when it fits: checks write to all memory that is not the image's. */
#define MAX_TREE (256 << 10)

struct guest_boot boot;

extern char image_begin[];
u64 arm_uart = ARM_UART;
static u32 pci_node = FDT_NONE;

void arm_start(const void *tree, u64 secondary_entry);

/* As a whole number of 64-bit words: bytes are slow where this is interpreted. */
static const void *keep_tree(const void *tree)
{
	u32 words = (fdt_size(tree) + 7) / 8;
	const u64 *from = tree;
	u64 *to;

	if (!words || words > MAX_TREE / 8)
		return tree;
	to = arm_alloc(words * 8, 8);
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

/* One or two cells. */
static u64 read_number(u32 node, const char *name)
{
	u32 len;
	const void *p = fdt_prop(node, name, &len);

	if (!p || len < 4)
		return 0;
	return len < 8 ? fdt_cell(p, 0) : fdt_cells(p, 0);
}

static void read_chosen(void)
{
	u32 chosen = fdt_child_of_root("chosen"), len;
	const char *words = fdt_prop(chosen, "bootargs", &len);
	u64 initrd = read_number(chosen, "linux,initrd-start");
	u64 end = read_number(chosen, "linux,initrd-end");

	if (words && len && !words[len - 1])
		boot.cmdline = words;
	if (end > initrd)
		boot.modules[boot.nr_modules++] = (struct guest_range){ initrd, end - initrd, 0 };
}

static void read_tree(const void *tree)
{
	u64 base, size;

	boot.protocol = "fdt";
	boot.keep = (u64)image_begin;
	boot.keep_end = boot.keep + IMAGE_SPACE;
	if (!fdt_size(tree) || !fdt_open(keep_tree(tree))) {
		boot.protocol = "fdt, damaged";
		return;
	}
	read_memory();
	read_chosen();
	if (fdt_reg(fdt_compatible("ns16550a", 0), 0, &base, &size))
		arm_uart = base;
	pci_node = fdt_compatible("pci-host-ecam-generic", 0);
}

/* start.S's, with the address that other CPUs start at. */
void arm_start(const void *tree, u64 secondary_entry)
{
	read_tree(tree);
	psci_init();
	gic_init();
	cpus_init(secondary_entry);
	gic_cpu_init(0);
	arch_exit(guest_main());
}

bool arm_irq(u32 node, u32 nth, u32 *intid, bool *edge)
{
	u32 len;
	const void *p = fdt_prop(node, "interrupts", &len);

	if (!p || len / 12 <= nth)
		return false;
	*intid = fdt_cell(p, nth * 3 + 1) + (fdt_cell(p, nth * 3) ? 16 : 32);
	*edge = fdt_cell(p, nth * 3 + 2) & 3; /* 1 and 2: edges, 4 and 8: levels */
	return true;
}

/* The serial port: a 16550 */

void arch_putc(char c)
{
	if (c == '\n')
		arch_putc('\r');
	while (!(read8(arm_uart + 5) & 0x20)) /* LSR.THRE */
		arch_pause();
	write8(arm_uart, (u8)c);
}

int arch_getc(void)
{
	return read8(arm_uart + 5) & 1 ? read8(arm_uart) : -1;
}

/* Devices */

bool arch_virtio_mmio(u32 nth, u64 *base, u32 *irq)
{
	u32 node = fdt_compatible("virtio,mmio", nth);
	u64 size;
	bool edge;

	return fdt_reg(node, 0, base, &size) && arm_irq(node, 0, irq, &edge);
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
	u32 len, mask_len, cells, parent_cells, stride;
	const void *p = fdt_prop(pci_node, "interrupt-map", &len);
	const void *mask = fdt_prop(pci_node, "interrupt-map-mask", &mask_len);
	u32 parent;

	if (!p || !mask || len < 20 || mask_len < 16)
		return 0;
	parent = fdt_phandle(fdt_cell(p, 4));
	parent_cells = fdt_u32(parent, "#address-cells", 0);
	cells = fdt_u32(parent, "#interrupt-cells", 3);
	if (parent_cells > 3 || cells < 3 || cells > 4)
		return 0;
	stride = 5 + parent_cells + cells;
	for (u32 i = 0; i < len / 4 / stride; i++) {
		const u8 *e = (const u8 *)p + (size_t)i * stride * 4;

		if (fdt_cell(e, 0) == (slot << 11 & fdt_cell(mask, 0)) &&
		    fdt_cell(e, 3) == (pin & fdt_cell(mask, 3)))
			return fdt_cell(e, 5 + parent_cells + 1) + 32;
	}
	return 0;
}
