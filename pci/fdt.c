/* SPDX-License-Identifier: MIT */
/*
 * The host bridge in a device tree (IEEE 1275 PCI Bus Binding 2.1; Linux
 * Documentation/devicetree/bindings/pci/host-generic-pci.yaml and pci-msi.txt): ECAM, windows,
 * interrupt lines and where messages go.
 */
#include "lkvm/fdt.h"
#include "lkvm/pci.h"

/* IEEE 1275 PCI, 2.2.1.1: the space of a range, in the first cell. */
#define RANGE_IO    0x01000000
#define RANGE_MEM32 0x02000000
#define RANGE_MEM64 0x43000000 /* prefetchable: others go to the window below 4 GiB */

#define RANGE_CELLS 7 /* PCI address 3, address 2, size 2 */

static size_t add_range(u32 *cells, u32 space, u64 pci, u64 cpu, u64 size)
{
	const u32 range[RANGE_CELLS] = { space,	   (u32)(pci >> 32),  (u32)pci, (u32)(cpu >> 32),
					 (u32)cpu, (u32)(size >> 32), (u32)size };

	if (!size)
		return 0;
	memcpy(cells, range, sizeof(range));
	return RANGE_CELLS;
}

static void describe_ranges(const struct pci_host *host, struct fdtw *fdt)
{
	const struct arch_pci_layout *l = host->layout;
	u32 cells[3 * RANGE_CELLS];
	size_t n = 0;

	n += add_range(cells + n, RANGE_IO, l->io_base, l->io_mmio_base, l->io_size);
	n += add_range(cells + n, RANGE_MEM32, l->mem32_base, l->mem32_base, l->mem32_size);
	n += add_range(cells + n, RANGE_MEM64, host->mem64_base, host->mem64_base, l->mem64_size);
	fdtw_cells(fdt, "ranges", cells, n);
}

/*
 * Lines rotate with the slot and repeat every four, so four slots describe all: bits 11 and 12 of
 * the first cell are the slot's low bits, and the fourth is the pin, from 1.
 */
static void describe_lines(const struct arch_pci_layout *l, struct fdtw *fdt)
{
	static const u32 mask[] = { 3 << 11, 0, 0, 7 };
	u32 map[16 * (5 + FDTW_ADDRESS_CELLS + FDTW_MAX_IRQ_CELLS)];
	size_t n = 0;

	if (!fdt->irq_cells || fdt->irq_address_cells > FDTW_ADDRESS_CELLS)
		return;
	for (u32 slot = 0; slot < 4; slot++) {
		for (u32 pin = 0; pin < 4; pin++) {
			map[n++] = slot << 11;
			map[n++] = 0;
			map[n++] = 0;
			map[n++] = pin + 1;
			map[n++] = fdt->irq_phandle;
			for (u32 i = 0; i < fdt->irq_address_cells; i++)
				map[n++] = 0;
			n += fdt->irq_cells(l->intx_gsi[(slot + pin) % 4], false, map + n);
		}
	}
	fdtw_u32(fdt, "#interrupt-cells", 1);
	fdtw_cells(fdt, "interrupt-map-mask", mask, ARRAY_SIZE(mask));
	fdtw_cells(fdt, "interrupt-map", map, n);
}

static void describe_messages(struct fdtw *fdt)
{
	/* Every requester id, as it is. */
	const u32 map[] = { 0, fdt->msi_phandle, 0, 0x10000 };

	if (!fdt->msi_phandle)
		return;
	if (fdt->msi_devid)
		fdtw_cells(fdt, "msi-map", map, ARRAY_SIZE(map));
	else
		fdtw_u32(fdt, "msi-parent", fdt->msi_phandle);
}

void pci_host_describe_fdt(struct device *dev, struct fdtw *fdt)
{
	const struct pci_host *host = container_of(dev, struct pci_host, dev);
	const struct arch_pci_layout *l = host->layout;
	const u32 buses[] = { 0, (u32)MIN(l->ecam_size / MiB, 256ULL) - 1 };

	fdtw_node(fdt, "pcie@%llx", l->ecam_base);
	fdtw_string(fdt, "compatible", "pci-host-ecam-generic");
	fdtw_string(fdt, "device_type", "pci");
	fdtw_u32(fdt, "#address-cells", 3);
	fdtw_u32(fdt, "#size-cells", 2);
	fdtw_reg(fdt, l->ecam_base, l->ecam_size);
	fdtw_cells(fdt, "bus-range", buses, ARRAY_SIZE(buses));
	describe_ranges(host, fdt);
	describe_lines(l, fdt);
	describe_messages(fdt);
	fdtw_empty(fdt, "dma-coherent");
	fdtw_dma_pool(fdt);
	fdtw_close(fdt);
}
