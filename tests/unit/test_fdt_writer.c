/* SPDX-License-Identifier: MIT */
/* util/fdt.c, and the nodes of the devices that every machine with a device tree has. */
#include "devvm.h"
#include "dtc.h"
#include "fdt_read.h"

#include <malloc.h>

#include "lkvm/arch.h"
#include "lkvm/fdt.h"
#include "lkvm/hw.h"
#include "lkvm/pci.h"
#include "lkvm/virtio.h"

#define ROOM 65536
#define CHIP 7 /* phandles */
#define MSI  8

static u32 test_irq_cells(u32 gsi, bool edge, u32 cells[FDTW_MAX_IRQ_CELLS])
{
	cells[0] = 0x10 + gsi;
	cells[1] = edge ? 1 : 4;
	return 2;
}

static void begin(struct fdtw *fdt)
{
	fdtw_begin(fdt, ROOM);
	fdt->irq_phandle = CHIP;
	fdt->irq_cells = test_irq_cells;
	fdtw_string(fdt, "compatible", "test,machine");
	fdtw_u32(fdt, "#address-cells", FDTW_ADDRESS_CELLS);
	fdtw_u32(fdt, "#size-cells", FDTW_SIZE_CELLS);
	fdtw_u32(fdt, "interrupt-parent", CHIP);
	fdtw_node(fdt, "chip@0");
	fdtw_u32(fdt, "phandle", CHIP);
	fdtw_empty(fdt, "interrupt-controller");
	fdtw_u32(fdt, "#interrupt-cells", 2);
	fdtw_u32(fdt, "#address-cells", 0);
	fdtw_reg(fdt, 0, 16);
	fdtw_close(fdt);
}

static const void *finish(struct fdtw *fdt)
{
	size_t len;

	assert_int_equal(fdtw_finish(fdt, &len), 0);
	assert_int_equal(fdt_check_full(fdt->buf, len), 0);
	if (!dtc_missing())
		dtc_check(fdt->buf, len);
	return fdt->buf;
}

static int sample(struct fdtw *fdt, size_t room, size_t *len)
{
	static const char *const words[] = { "one", "", "three", NULL };
	static const u32 cells[] = { 1, 0x89abcdef };

	fdtw_begin(fdt, room);
	fdtw_string(fdt, "model", "sample");
	fdtw_strings(fdt, "words", words);
	fdtw_node(fdt, "node-%x", 0xab);
	fdtw_empty(fdt, "flag");
	fdtw_u32(fdt, "n32", 0x01020304);
	fdtw_u64(fdt, "n64", 0x1122334455667788);
	fdtw_cells(fdt, "cells", cells, 2);
	fdtw_bytes(fdt, "bytes", "abcde", 5);
	fdtw_reg(fdt, 0x123456789a, 0x1fedcba98);
	fdtw_close(fdt);
	return fdtw_finish(fdt, len);
}

static void test_properties(void **state)
{
	static const u32 reg[] = { 0x12, 0x3456789a, 1, 0xfedcba98 };
	struct fdtw fdt;
	size_t len;

	assert_int_equal(sample(&fdt, ROOM, &len), 0);
	assert_int_equal(fdt_check_full(fdt.buf, len), 0);
	assert_int_equal(fdt_totalsize(fdt.buf), len);
	assert_dt_string(fdt.buf, "/", "model", "sample");
	assert_dt_bytes(fdt.buf, "/", "words", "one\0\0three", 11);
	assert_dt_bytes(fdt.buf, "/node-ab", "flag", "", 0);
	assert_dt_bytes(fdt.buf, "/node-ab", "n32", "\1\2\3\4", 4);
	assert_dt_bytes(fdt.buf, "/node-ab", "n64", "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
	assert_dt_bytes(fdt.buf, "/node-ab", "cells", "\0\0\0\1\x89\xab\xcd\xef", 8);
	assert_dt_bytes(fdt.buf, "/node-ab", "bytes", "abcde", 5);
	assert_dt_cells(fdt.buf, "/node-ab", "reg", reg, 4);
	fdtw_destroy(&fdt);
	fdtw_destroy(&fdt);
}

/* Whatever was in the memory that the allocator hands out. */
static void test_same_bytes(void **state)
{
	struct fdtw a, b;
	size_t alen, blen;

	mallopt(M_PERTURB, 0x5a);
	assert_int_equal(sample(&a, 1000, &alen), 0);
	mallopt(M_PERTURB, 0xc3);
	assert_int_equal(sample(&b, 1000, &blen), 0);
	mallopt(M_PERTURB, 0);
	assert_int_equal(alen, blen);
	assert_memory_equal(a.buf, b.buf, alen);
	fdtw_destroy(&a);
	fdtw_destroy(&b);
}

/* Every room that is too small is told, whichever call meets the end. */
static void test_small_rooms(void **state)
{
	size_t full, len;
	struct fdtw fdt;

	assert_int_equal(sample(&fdt, ROOM, &full), 0);
	fdtw_destroy(&fdt);
	for (size_t room = 0; room < full; room++) {
		assert_int_equal(sample(&fdt, room, &len), -ENOSPC);
		assert_int_equal(len, 0);
		fdtw_destroy(&fdt);
	}
	assert_int_equal(sample(&fdt, full + 64, &len), 0);
	assert_int_equal(len, full);
	fdtw_destroy(&fdt);
	fdtw_begin(&fdt, ROOM);
	fdtw_bytes(&fdt, "much", "", SIZE_MAX);
	assert_int_equal(fdtw_finish(&fdt, &len), -ENOSPC);
	fdtw_destroy(&fdt);
	fdtw_begin(&fdt, ROOM);
	fdtw_cells(&fdt, "much", NULL, SIZE_MAX / 4);
	assert_int_equal(fdtw_finish(&fdt, &len), -ENOSPC);
	fdtw_destroy(&fdt);
	fdtw_begin(&fdt, SIZE_MAX);
	assert_int_equal(fdtw_finish(&fdt, &len), -EINVAL);
	fdtw_destroy(&fdt);
}

static void test_wrong_use(void **state)
{
	struct fdtw fdt;
	size_t len;

	fdtw_begin(&fdt, ROOM);
	fdtw_node(&fdt, "%0100d", 1);
	assert_int_equal(fdtw_finish(&fdt, &len), -EINVAL);
	fdtw_destroy(&fdt);
	fdtw_begin(&fdt, ROOM);
	fdtw_close(&fdt);
	fdtw_close(&fdt);
	assert_int_equal(fdtw_finish(&fdt, &len), -EINVAL);
	fdtw_destroy(&fdt);
	fdtw_begin(&fdt, ROOM);
	fdtw_node(&fdt, "open");
	assert_int_equal(fdtw_finish(&fdt, &len), -EINVAL);
	fdtw_destroy(&fdt);
	fdtw_begin(&fdt, ROOM);
	fdtw_node(&fdt, "%s", "");
	assert_int_equal(fdtw_finish(&fdt, &len), -EINVAL);
	fdtw_destroy(&fdt);
	/* A property after a node: libfdt would not find it. */
	fdtw_begin(&fdt, ROOM);
	fdtw_node(&fdt, "node");
	fdtw_close(&fdt);
	fdtw_u32(&fdt, "late", 1);
	assert_int_equal(fdtw_finish(&fdt, &len), -EINVAL);
	fdtw_destroy(&fdt);
	/* A line, and no controller. */
	fdtw_begin(&fdt, ROOM);
	fdtw_irq(&fdt, 1, false);
	assert_int_equal(fdtw_finish(&fdt, &len), -EINVAL);
	fdtw_destroy(&fdt);
}

static void test_phandles(void **state)
{
	struct fdtw fdt;
	u32 first;

	fdtw_begin(&fdt, ROOM);
	first = fdtw_phandle(&fdt);
	assert_true(first >= FDTW_FIRST_PHANDLE);
	assert_int_equal(fdtw_phandle(&fdt), first + 1);
	assert_int_equal(fdtw_phandle(&fdt), first + 2);
	fdtw_destroy(&fdt);
}

static void describe(struct devvm *d, struct fdtw *fdt)
{
	for (struct device *dev = d->vm.devices; dev; dev = dev->next)
		if (dev->ops->describe_fdt)
			dev->ops->describe_fdt(dev, fdt);
}

static void test_serial(void **state)
{
	static const struct arch_place mmio = { .base = 0x9000000, .size = 0x20, .gsi = 5 };
	static const struct arch_place edge = {
		.base = 0x9001000, .size = 8, .gsi = 6, .edge = true
	};
	static const struct arch_place port = { .pio = true, .base = 0x3f8, .size = 8, .gsi = 4 };
	static const u32 reg[] = { 0, 0x9000000, 0, 0x20 };
	struct devvm d;
	struct fdtw fdt;
	const void *blob;

	devvm_init(&d);
	assert_int_equal(serial_create(&d.vm, &mmio, 2, NULL), 0);
	assert_int_equal(serial_create(&d.vm, &edge, 0, NULL), 0);
	assert_int_equal(serial_create(&d.vm, &port, 0, NULL), 0);
	begin(&fdt);
	describe(&d, &fdt);
	blob = finish(&fdt);
	assert_dt_string(blob, "/serial@9000000", "compatible", "ns16550a");
	assert_dt_cells(blob, "/serial@9000000", "reg", reg, 4);
	assert_int_equal(fdtw_cell(blob, "/serial@9000000", "interrupts", 0), 0x15);
	assert_int_equal(fdtw_cell(blob, "/serial@9000000", "interrupts", 1), 4);
	assert_int_equal(fdtw_cell(blob, "/serial@9000000", "clock-frequency", 0), 1843200);
	assert_int_equal(fdtw_cell(blob, "/serial@9000000", "reg-shift", 0), 2);
	assert_int_equal(fdtw_cell(blob, "/serial@9001000", "interrupts", 1), 1);
	assert_false(fdtw_has(blob, "/serial@9001000", "reg-shift"));
	/* Ports are not addresses. */
	assert_true(fdt_path_offset(blob, "/serial@3f8") < 0);
	fdtw_destroy(&fdt);
	vm_destroy(&d.vm);
}

static void test_virtio_mmio(void **state)
{
	u64 base = arch_platform.virtio_mmio_base;
	char path[64];
	struct devvm d;
	struct fdtw fdt;
	const void *blob;

	devvm_init(&d);
	d.cfg.transport = TRANSPORT_MMIO;
	assert_int_equal(virtio_rng_create(&d.vm), 0);
	begin(&fdt);
	describe(&d, &fdt);
	blob = finish(&fdt);
	snprintf(path, sizeof(path), "/virtio_mmio@%llx", base);
	assert_dt_string(blob, path, "compatible", "virtio,mmio");
	assert_int_equal(fdtw_cell64(blob, path, "reg", 0), base);
	assert_int_equal(fdtw_cell64(blob, path, "reg", 2), 0x200);
	assert_int_equal(fdtw_cell(blob, path, "interrupts", 0),
			 0x10 + arch_platform.virtio_mmio_gsi);
	assert_true(fdtw_has(blob, path, "dma-coherent"));
	fdtw_destroy(&fdt);
	vm_destroy(&d.vm);
}

static const struct arch_pci_layout layout = {
	.ecam_base = 0x40000000,
	.ecam_size = 16 * MiB,
	.mem32_base = 0x50000000,
	.mem32_size = 0x30000000,
	.mem64_size = 16 * GiB,
	.io_base = 0x1000,
	.io_size = 0xf000,
	.io_mmio_base = 0x3eff0000,
	.intx_gsi = { 3, 9, 4, 12 },
};

static const void *describe_pci(struct devvm *d, struct fdtw *fdt, u32 msi, bool devid)
{
	devvm_init(d);
	assert_int_equal(pci_host_add(&d->vm, &layout, 64 * GiB), 0);
	begin(fdt);
	fdtw_node(fdt, "msi@100");
	fdtw_empty(fdt, "msi-controller");
	fdtw_u32(fdt, "#msi-cells", devid);
	fdtw_u32(fdt, "phandle", MSI);
	fdtw_reg(fdt, 0x100, 16);
	fdtw_close(fdt);
	fdt->msi_phandle = msi;
	fdt->msi_devid = devid;
	describe(d, fdt);
	return finish(fdt);
}

static void test_pci(void **state)
{
	static const u32 ranges[] = {
		0x01000000, 0,	  0x1000,     0,    0x3eff0000, 0, 0xf000,
		0x02000000, 0,	  0x50000000, 0,    0x50000000, 0, 0x30000000,
		0x43000000, 0x10, 0,	      0x10, 0,		4, 0,
	};
	static const u32 mask[] = { 0x1800, 0, 0, 7 };
	static const u32 msi_map[] = { 0, MSI, 0, 0x10000 };
	static const char node[] = "/pcie@40000000";
	struct devvm d;
	struct fdtw fdt;
	const void *blob = describe_pci(&d, &fdt, MSI, true);

	assert_dt_string(blob, node, "compatible", "pci-host-ecam-generic");
	assert_int_equal(fdtw_cell64(blob, node, "reg", 0), layout.ecam_base);
	assert_int_equal(fdtw_cell64(blob, node, "reg", 2), layout.ecam_size);
	assert_int_equal(fdtw_cell(blob, node, "bus-range", 1), 15);
	assert_dt_cells(blob, node, "ranges", ranges, ARRAY_SIZE(ranges));
	assert_dt_cells(blob, node, "interrupt-map-mask", mask, 4);
	assert_dt_cells(blob, node, "msi-map", msi_map, 4);
	assert_false(fdtw_has(blob, node, "msi-parent"));
	/* Each slot and pin finds the line that the bridge drives. */
	assert_int_equal(fdtw_nr_cells(blob, node, "interrupt-map"), 16 * 7);
	for (u32 slot = 0; slot < 32; slot++) {
		for (u32 pin = 1; pin <= 4; pin++) {
			u32 i = 0;

			while (fdtw_cell(blob, node, "interrupt-map", 7 * i) !=
				       (slot << 11 & mask[0]) ||
			       fdtw_cell(blob, node, "interrupt-map", 7 * i + 3) != pin)
				i++;
			assert_int_equal(fdtw_cell(blob, node, "interrupt-map", 7 * i + 4), CHIP);
			assert_int_equal(fdtw_cell(blob, node, "interrupt-map", 7 * i + 5),
					 0x10 + layout.intx_gsi[(slot + pin - 1) % 4]);
			assert_int_equal(fdtw_cell(blob, node, "interrupt-map", 7 * i + 6), 4);
		}
	}
	fdtw_destroy(&fdt);
	vm_destroy(&d.vm);
}

static void test_pci_messages(void **state)
{
	struct devvm d;
	struct fdtw fdt;
	const void *blob = describe_pci(&d, &fdt, MSI, false);

	assert_int_equal(fdtw_cell(blob, "/pcie@40000000", "msi-parent", 0), MSI);
	assert_false(fdtw_has(blob, "/pcie@40000000", "msi-map"));
	fdtw_destroy(&fdt);
	vm_destroy(&d.vm);
	blob = describe_pci(&d, &fdt, 0, false);
	assert_false(fdtw_has(blob, "/pcie@40000000", "msi-parent"));
	assert_false(fdtw_has(blob, "/pcie@40000000", "msi-map"));
	fdtw_destroy(&fdt);
	vm_destroy(&d.vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_properties),   cmocka_unit_test(test_same_bytes),
		cmocka_unit_test(test_small_rooms),  cmocka_unit_test(test_wrong_use),
		cmocka_unit_test(test_phandles),     cmocka_unit_test(test_serial),
		cmocka_unit_test(test_virtio_mmio),  cmocka_unit_test(test_pci),
		cmocka_unit_test(test_pci_messages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
