/* SPDX-License-Identifier: MIT */
/* util/dt.c, and the nodes of the devices that every machine with a device tree has. */
#include "devvm.h"
#include "dt_read.h"
#include "dtc.h"

#include <malloc.h>

#include "lkvm/arch.h"
#include "lkvm/dt.h"
#include "lkvm/hw.h"
#include "lkvm/pci.h"
#include "lkvm/virtio.h"

#define ROOM 65536
#define CHIP 7 /* phandles */
#define MSI  8

static u32 test_irq_cells(u32 gsi, bool edge, u32 cells[DT_MAX_IRQ_CELLS])
{
	cells[0] = 0x10 + gsi;
	cells[1] = edge ? 1 : 4;
	return 2;
}

static void begin(struct dt *dt)
{
	dt_begin(dt, ROOM);
	dt->irq_phandle = CHIP;
	dt->irq_cells = test_irq_cells;
	dt_string(dt, "compatible", "test,machine");
	dt_u32(dt, "#address-cells", DT_ADDRESS_CELLS);
	dt_u32(dt, "#size-cells", DT_SIZE_CELLS);
	dt_u32(dt, "interrupt-parent", CHIP);
	dt_node(dt, "chip@0");
	dt_u32(dt, "phandle", CHIP);
	dt_empty(dt, "interrupt-controller");
	dt_u32(dt, "#interrupt-cells", 2);
	dt_u32(dt, "#address-cells", 0);
	dt_reg(dt, 0, 16);
	dt_close(dt);
}

static const void *finish(struct dt *dt)
{
	size_t len;

	assert_int_equal(dt_finish(dt, &len), 0);
	assert_int_equal(fdt_check_full(dt->buf, len), 0);
	if (!dtc_missing())
		dtc_check(dt->buf, len);
	return dt->buf;
}

static int sample(struct dt *dt, size_t room, size_t *len)
{
	static const char *const words[] = { "one", "", "three", NULL };
	static const u32 cells[] = { 1, 0x89abcdef };

	dt_begin(dt, room);
	dt_string(dt, "model", "sample");
	dt_strings(dt, "words", words);
	dt_node(dt, "node-%x", 0xab);
	dt_empty(dt, "flag");
	dt_u32(dt, "n32", 0x01020304);
	dt_u64(dt, "n64", 0x1122334455667788);
	dt_cells(dt, "cells", cells, 2);
	dt_bytes(dt, "bytes", "abcde", 5);
	dt_reg(dt, 0x123456789a, 0x1fedcba98);
	dt_close(dt);
	return dt_finish(dt, len);
}

static void test_properties(void **state)
{
	static const u32 reg[] = { 0x12, 0x3456789a, 1, 0xfedcba98 };
	struct dt dt;
	size_t len;

	assert_int_equal(sample(&dt, ROOM, &len), 0);
	assert_int_equal(fdt_check_full(dt.buf, len), 0);
	assert_int_equal(fdt_totalsize(dt.buf), len);
	assert_dt_string(dt.buf, "/", "model", "sample");
	assert_dt_bytes(dt.buf, "/", "words", "one\0\0three", 11);
	assert_dt_bytes(dt.buf, "/node-ab", "flag", "", 0);
	assert_dt_bytes(dt.buf, "/node-ab", "n32", "\1\2\3\4", 4);
	assert_dt_bytes(dt.buf, "/node-ab", "n64", "\x11\x22\x33\x44\x55\x66\x77\x88", 8);
	assert_dt_bytes(dt.buf, "/node-ab", "cells", "\0\0\0\1\x89\xab\xcd\xef", 8);
	assert_dt_bytes(dt.buf, "/node-ab", "bytes", "abcde", 5);
	assert_dt_cells(dt.buf, "/node-ab", "reg", reg, 4);
	dt_destroy(&dt);
	dt_destroy(&dt);
}

/* Whatever was in the memory that the allocator hands out. */
static void test_same_bytes(void **state)
{
	struct dt a, b;
	size_t alen, blen;

	mallopt(M_PERTURB, 0x5a);
	assert_int_equal(sample(&a, 1000, &alen), 0);
	mallopt(M_PERTURB, 0xc3);
	assert_int_equal(sample(&b, 1000, &blen), 0);
	mallopt(M_PERTURB, 0);
	assert_int_equal(alen, blen);
	assert_memory_equal(a.buf, b.buf, alen);
	dt_destroy(&a);
	dt_destroy(&b);
}

/* Every room that is too small is told, whichever call meets the end. */
static void test_small_rooms(void **state)
{
	size_t full, len;
	struct dt dt;

	assert_int_equal(sample(&dt, ROOM, &full), 0);
	dt_destroy(&dt);
	for (size_t room = 0; room < full; room++) {
		assert_int_equal(sample(&dt, room, &len), -ENOSPC);
		assert_int_equal(len, 0);
		dt_destroy(&dt);
	}
	assert_int_equal(sample(&dt, full + 64, &len), 0);
	assert_int_equal(len, full);
	dt_destroy(&dt);
	dt_begin(&dt, ROOM);
	dt_bytes(&dt, "much", "", SIZE_MAX);
	assert_int_equal(dt_finish(&dt, &len), -ENOSPC);
	dt_destroy(&dt);
	dt_begin(&dt, ROOM);
	dt_cells(&dt, "much", NULL, SIZE_MAX / 4);
	assert_int_equal(dt_finish(&dt, &len), -ENOSPC);
	dt_destroy(&dt);
	dt_begin(&dt, SIZE_MAX);
	assert_int_equal(dt_finish(&dt, &len), -EINVAL);
	dt_destroy(&dt);
}

static void test_wrong_use(void **state)
{
	struct dt dt;
	size_t len;

	dt_begin(&dt, ROOM);
	dt_node(&dt, "%0100d", 1);
	assert_int_equal(dt_finish(&dt, &len), -EINVAL);
	dt_destroy(&dt);
	dt_begin(&dt, ROOM);
	dt_close(&dt);
	dt_close(&dt);
	assert_int_equal(dt_finish(&dt, &len), -EINVAL);
	dt_destroy(&dt);
	dt_begin(&dt, ROOM);
	dt_node(&dt, "open");
	assert_int_equal(dt_finish(&dt, &len), -EINVAL);
	dt_destroy(&dt);
	dt_begin(&dt, ROOM);
	dt_node(&dt, "%s", "");
	assert_int_equal(dt_finish(&dt, &len), -EINVAL);
	dt_destroy(&dt);
	/* A property behind a node: libfdt would not find it. */
	dt_begin(&dt, ROOM);
	dt_node(&dt, "node");
	dt_close(&dt);
	dt_u32(&dt, "late", 1);
	assert_int_equal(dt_finish(&dt, &len), -EINVAL);
	dt_destroy(&dt);
	/* A line, and no controller. */
	dt_begin(&dt, ROOM);
	dt_irq(&dt, 1, false);
	assert_int_equal(dt_finish(&dt, &len), -EINVAL);
	dt_destroy(&dt);
}

static void test_phandles(void **state)
{
	struct dt dt;
	u32 first;

	dt_begin(&dt, ROOM);
	first = dt_phandle(&dt);
	assert_true(first >= DT_FIRST_PHANDLE);
	assert_int_equal(dt_phandle(&dt), first + 1);
	assert_int_equal(dt_phandle(&dt), first + 2);
	dt_destroy(&dt);
}

static void describe(struct devvm *d, struct dt *dt)
{
	for (struct device *dev = d->vm.devices; dev; dev = dev->next)
		if (dev->ops->describe_fdt)
			dev->ops->describe_fdt(dev, dt);
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
	struct dt dt;
	const void *fdt;

	devvm_init(&d);
	assert_int_equal(serial_create(&d.vm, &mmio, 2, NULL), 0);
	assert_int_equal(serial_create(&d.vm, &edge, 0, NULL), 0);
	if (arch_platform.pio_limit)
		assert_int_equal(serial_create(&d.vm, &port, 0, NULL), 0);
	begin(&dt);
	describe(&d, &dt);
	fdt = finish(&dt);
	assert_dt_string(fdt, "/serial@9000000", "compatible", "ns16550a");
	assert_dt_cells(fdt, "/serial@9000000", "reg", reg, 4);
	assert_int_equal(dt_cell(fdt, "/serial@9000000", "interrupts", 0), 0x15);
	assert_int_equal(dt_cell(fdt, "/serial@9000000", "interrupts", 1), 4);
	assert_int_equal(dt_cell(fdt, "/serial@9000000", "clock-frequency", 0), 1843200);
	assert_int_equal(dt_cell(fdt, "/serial@9000000", "reg-shift", 0), 2);
	assert_int_equal(dt_cell(fdt, "/serial@9001000", "interrupts", 1), 1);
	assert_false(dt_has(fdt, "/serial@9001000", "reg-shift"));
	/* Ports are no addresses. */
	assert_true(fdt_path_offset(fdt, "/serial@3f8") < 0);
	dt_destroy(&dt);
	vm_destroy(&d.vm);
}

static void test_virtio_mmio(void **state)
{
	u64 base = arch_platform.virtio_mmio_base;
	char path[64];
	struct devvm d;
	struct dt dt;
	const void *fdt;

	devvm_init(&d);
	d.cfg.transport = TRANSPORT_MMIO;
	assert_int_equal(virtio_rng_create(&d.vm), 0);
	begin(&dt);
	describe(&d, &dt);
	fdt = finish(&dt);
	snprintf(path, sizeof(path), "/virtio_mmio@%llx", base);
	assert_dt_string(fdt, path, "compatible", "virtio,mmio");
	assert_int_equal(dt_cell64(fdt, path, "reg", 0), base);
	assert_int_equal(dt_cell64(fdt, path, "reg", 2), 0x200);
	assert_int_equal(dt_cell(fdt, path, "interrupts", 0), 0x10 + arch_platform.virtio_mmio_gsi);
	assert_true(dt_has(fdt, path, "dma-coherent"));
	dt_destroy(&dt);
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

static const void *describe_pci(struct devvm *d, struct dt *dt, u32 msi, bool devid)
{
	devvm_init(d);
	assert_int_equal(pci_host_add(&d->vm, &layout, 64 * GiB), 0);
	begin(dt);
	dt_node(dt, "msi@100");
	dt_empty(dt, "msi-controller");
	dt_u32(dt, "#msi-cells", devid);
	dt_u32(dt, "phandle", MSI);
	dt_reg(dt, 0x100, 16);
	dt_close(dt);
	dt->msi_phandle = msi;
	dt->msi_devid = devid;
	describe(d, dt);
	return finish(dt);
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
	struct dt dt;
	const void *fdt = describe_pci(&d, &dt, MSI, true);

	assert_dt_string(fdt, node, "compatible", "pci-host-ecam-generic");
	assert_int_equal(dt_cell64(fdt, node, "reg", 0), layout.ecam_base);
	assert_int_equal(dt_cell64(fdt, node, "reg", 2), layout.ecam_size);
	assert_int_equal(dt_cell(fdt, node, "bus-range", 1), 15);
	assert_dt_cells(fdt, node, "ranges", ranges, ARRAY_SIZE(ranges));
	assert_dt_cells(fdt, node, "interrupt-map-mask", mask, 4);
	assert_dt_cells(fdt, node, "msi-map", msi_map, 4);
	assert_false(dt_has(fdt, node, "msi-parent"));
	/* Each slot and pin finds the line that the bridge drives. */
	assert_int_equal(dt_nr_cells(fdt, node, "interrupt-map"), 16 * 7);
	for (u32 slot = 0; slot < 32; slot++) {
		for (u32 pin = 1; pin <= 4; pin++) {
			u32 i = 0;

			while (dt_cell(fdt, node, "interrupt-map", 7 * i) !=
				       (slot << 11 & mask[0]) ||
			       dt_cell(fdt, node, "interrupt-map", 7 * i + 3) != pin)
				i++;
			assert_int_equal(dt_cell(fdt, node, "interrupt-map", 7 * i + 4), CHIP);
			assert_int_equal(dt_cell(fdt, node, "interrupt-map", 7 * i + 5),
					 0x10 + layout.intx_gsi[(slot + pin - 1) % 4]);
			assert_int_equal(dt_cell(fdt, node, "interrupt-map", 7 * i + 6), 4);
		}
	}
	dt_destroy(&dt);
	vm_destroy(&d.vm);
}

static void test_pci_messages(void **state)
{
	struct devvm d;
	struct dt dt;
	const void *fdt = describe_pci(&d, &dt, MSI, false);

	assert_int_equal(dt_cell(fdt, "/pcie@40000000", "msi-parent", 0), MSI);
	assert_false(dt_has(fdt, "/pcie@40000000", "msi-map"));
	dt_destroy(&dt);
	vm_destroy(&d.vm);
	fdt = describe_pci(&d, &dt, 0, false);
	assert_false(dt_has(fdt, "/pcie@40000000", "msi-parent"));
	assert_false(dt_has(fdt, "/pcie@40000000", "msi-map"));
	dt_destroy(&dt);
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
