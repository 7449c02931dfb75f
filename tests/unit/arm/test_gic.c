/* SPDX-License-Identifier: MIT */
/* The interrupt controller without KVM: the frame of a GICv2m, and the node in the device tree. */
#include "unit.h"

#include <libfdt.h>
#include <stdlib.h>

#include "../../../arm/arm.h"
#include "lkvm/device.h"
#include "lkvm/fdt.h"
#include "lkvm/vm.h"

#define FRAME	    0x3ffc0000ULL
#define SETSPI	    (FRAME + 0x40)
#define FIRST_INTID (32 + ARM_GSI_V2M)

struct fixture {
	struct vm vm;
	struct vm_config cfg;
	struct arch_vm arch;
	bool level[ARM_NR_SPIS];
	u32 rises[ARM_NR_SPIS];
};

static void set_level(void *opaque, u32 gsi, bool level)
{
	struct fixture *f = opaque;

	assert_true(gsi < ARM_NR_SPIS);
	if (level && !f->level[gsi])
		f->rises[gsi]++;
	f->level[gsi] = level;
}

static const struct irq_chip_ops chip = { .set_level = set_level };

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(vm_init(&f->vm, &f->cfg), 0);
	assert_int_equal(irq_init(&f->vm.irqs, &chip, f), 0);
	f->vm.arch = &f->arch;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	vm_destroy(&f->vm);
	free(f);
	return 0;
}

static void test_messages_of_a_frame(void **state)
{
	assert_int_equal(arm_gicv2m_gsi(FRAME, SETSPI, FIRST_INTID), ARM_GSI_V2M);
	assert_int_equal(arm_gicv2m_gsi(FRAME, SETSPI, FIRST_INTID + ARM_NR_V2M - 1),
			 ARM_NR_SPIS - 1);
	/* Not a line of a device, nothing beyond, and at no other register. */
	assert_int_equal(arm_gicv2m_gsi(FRAME, SETSPI, FIRST_INTID - 1), -EINVAL);
	assert_int_equal(arm_gicv2m_gsi(FRAME, SETSPI, 32), -EINVAL);
	assert_int_equal(arm_gicv2m_gsi(FRAME, SETSPI, 0), -EINVAL);
	assert_int_equal(arm_gicv2m_gsi(FRAME, SETSPI, FIRST_INTID + ARM_NR_V2M), -EINVAL);
	assert_int_equal(arm_gicv2m_gsi(FRAME, SETSPI, ~0U), -EINVAL);
	assert_int_equal(arm_gicv2m_gsi(FRAME, SETSPI + 4, FIRST_INTID), -EINVAL);
	assert_int_equal(arm_gicv2m_gsi(FRAME, SETSPI | 1ULL << 32, FIRST_INTID), -EINVAL);
}

static u32 read32(struct fixture *f, u64 addr)
{
	u8 data[4] = { 0 };

	assert_true(bus_read(&f->vm.mmio, addr, data, sizeof(data)));
	return (u32)get_le(data, sizeof(data));
}

static void write32(struct fixture *f, u64 addr, u32 value)
{
	u8 data[4];

	put_le(data, sizeof(data), value);
	assert_true(bus_write(&f->vm.mmio, addr, data, sizeof(data)));
}

static void test_frame(void **state)
{
	struct fixture *f = *state;
	u32 typer;

	assert_int_equal(arm_gicv2m_create(&f->vm, FRAME), 0);
	typer = read32(f, FRAME + 8);
	assert_int_equal(typer >> 16 & 0x3ff, FIRST_INTID);
	assert_int_equal(typer & 0x3ff, ARM_NR_V2M);
	assert_int_equal(read32(f, SETSPI), 0);
	write32(f, SETSPI, FIRST_INTID + 3);
	assert_int_equal(f->rises[ARM_GSI_V2M + 3], 1);
	assert_false(f->level[ARM_GSI_V2M + 3]);
	write32(f, SETSPI, 32);
	write32(f, SETSPI, ~0U);
	write32(f, FRAME + 8, FIRST_INTID);
	for (u32 i = 0; i < ARM_NR_SPIS; i++)
		assert_int_equal(f->rises[i], i == ARM_GSI_V2M + 3);
}

/* The node as the tree has it, with a parent that says two cells for addresses and sizes. */
static void *describe(struct fixture *f, struct fdtw *fdt)
{
	size_t len;

	fdtw_begin(fdt, 64 * KiB);
	fdtw_u32(fdt, "#address-cells", 2);
	fdtw_u32(fdt, "#size-cells", 2);
	arm_gic_describe(&f->vm, fdt);
	assert_int_equal(fdtw_finish(fdt, &len), 0);
	assert_int_equal(fdt_check_header(fdt->buf), 0);
	return fdt->buf;
}

static u64 cells64(const void *blob, int node, const char *name, int index)
{
	int len;
	const fdt32_t *p = fdt_getprop(blob, node, name, &len);

	assert_non_null(p);
	assert_true(len >= (index + 2) * 4);
	return (u64)fdt32_to_cpu(p[index]) << 32 | fdt32_to_cpu(p[index + 1]);
}

static void test_gicv3_node(void **state)
{
	struct fixture *f = *state;
	u32 cells[FDTW_MAX_IRQ_CELLS];
	const fdt32_t *irq;
	struct fdtw fdt;
	void *blob;
	int gic, its, len;

	f->arch.gic = (struct arm_gic){
		.kind = ARM_IRQCHIP_GICV3_ITS,
		.cpu_base = 0x3ffb0000,
		.cpu_size = 0x40000,
		.msi_base = 0x3ff90000,
		.msi_size = 0x20000,
	};
	f->cfg.arm.nested = true;
	blob = describe(f, &fdt);
	gic = fdt_node_offset_by_compatible(blob, -1, "arm,gic-v3");
	assert_true(gic >= 0);
	assert_int_equal(cells64(blob, gic, "reg", 0), ARM_GIC_DIST);
	assert_int_equal(cells64(blob, gic, "reg", 2), ARM_GIC_DIST_SIZE);
	assert_int_equal(cells64(blob, gic, "reg", 4), 0x3ffb0000);
	assert_int_equal(cells64(blob, gic, "reg", 6), 0x40000);
	assert_int_equal(fdt_get_phandle(blob, gic), fdt.irq_phandle);
	irq = fdt_getprop(blob, gic, "interrupts", &len);
	assert_int_equal(len, 12);
	assert_int_equal(fdt32_to_cpu(irq[0]), 1);
	assert_int_equal(fdt32_to_cpu(irq[1]), 9);
	assert_int_equal(fdt32_to_cpu(irq[2]), 4);
	its = fdt_node_offset_by_compatible(blob, gic, "arm,gic-v3-its");
	assert_int_equal(fdt_parent_offset(blob, its), gic);
	assert_int_equal(cells64(blob, its, "reg", 0), 0x3ff90000);
	assert_int_equal(fdt_get_phandle(blob, its), fdt.msi_phandle);
	assert_true(fdt.msi_devid);
	assert_int_equal(fdt.irq_cells(ARM_GSI_UART, true, cells), 3);
	assert_int_equal(cells[0], 0);
	assert_int_equal(cells[1], ARM_GSI_UART);
	assert_int_equal(cells[2], 1);
	fdt.irq_cells(ARM_GSI_INTX, false, cells);
	assert_int_equal(cells[1], ARM_GSI_INTX);
	assert_int_equal(cells[2], 4);
	fdtw_destroy(&fdt);
}

static void test_gicv2_nodes(void **state)
{
	struct fixture *f = *state;
	struct fdtw fdt;
	void *blob;
	int gic, frame;

	f->arch.gic = (struct arm_gic){
		.kind = ARM_IRQCHIP_GICV2M,
		.cpu_base = 0x3ffd0000,
		.cpu_size = 0x2000,
		.msi_base = FRAME,
		.msi_size = 0x1000,
	};
	blob = describe(f, &fdt);
	gic = fdt_node_offset_by_compatible(blob, -1, "arm,cortex-a15-gic");
	assert_true(gic >= 0);
	assert_int_equal(cells64(blob, gic, "reg", 4), 0x3ffd0000);
	assert_null(fdt_getprop(blob, gic, "interrupts", NULL));
	frame = fdt_node_offset_by_compatible(blob, gic, "arm,gic-v2m-frame");
	assert_int_equal(fdt_parent_offset(blob, frame), gic);
	assert_int_equal(fdt_get_phandle(blob, frame), fdt.msi_phandle);
	assert_false(fdt.msi_devid);
	fdtw_destroy(&fdt);
	/* Without messages there is nothing that PCI could name. */
	f->arch.gic.kind = ARM_IRQCHIP_GICV2;
	f->arch.gic.msi_size = 0;
	blob = describe(f, &fdt);
	assert_true(fdt_node_offset_by_compatible(blob, -1, "arm,gic-v2m-frame") < 0);
	assert_int_equal(fdt.msi_phandle, 0);
	fdtw_destroy(&fdt);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_messages_of_a_frame),
		cmocka_unit_test_setup_teardown(test_frame, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gicv3_node, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_gicv2_nodes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
