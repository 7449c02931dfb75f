/* SPDX-License-Identifier: MIT */
/* arm/fdt.c: the whole tree of a machine that is made without KVM. */
#include "fdt_machine.h"

#include "../../../arm/boot.h"
#include "lkvm/vcpu.h"

#define MAX_CPUS 512

struct rig {
	struct fdt_machine m;
	struct arch_vcpu arch[MAX_CPUS];
	struct vcpu vcpus[MAX_CPUS];
	struct vcpu *list[MAX_CPUS];
};

static struct rig *rig;

static void add_gic(struct arch_vm *arch, enum arm_irqchip kind)
{
	arch->gic = (struct arm_gic){
		.kind = kind,
		.fd = -1,
		.its_fd = -1,
		.cpu_base = ARM_GIC_DIST - 0x40000,
		.cpu_size = 0x40000,
	};
	if (kind == ARM_IRQCHIP_GICV3_ITS || kind == ARM_IRQCHIP_GICV2M) {
		arch->gic.msi_base = ARM_GIC_DIST - 0x60000;
		arch->gic.msi_size = 0x20000;
	}
}

/* As KVM numbers them: 16 in a cluster. */
static u64 mpidr_of(u32 id)
{
	return BIT_ULL(31) | (id & 0xf) | (u64)(id >> 4 & 0xff) << 8;
}

static void begin(enum arm_irqchip kind, u32 cpus, enum virtio_transport_kind transport)
{
	rig = calloc(1, sizeof(*rig));
	assert_non_null(rig);
	fdt_machine_begin(&rig->m, &(struct vm_config){ .cpus = cpus, .transport = transport });
	assert_int_equal(memory_add(&rig->m.vm.mem, &(struct memory_desc){ .gpa = ARM_RAM,
									   .size = 64 * MiB,
									   .name = "ram" }),
			 0);
	assert_int_equal(memory_add(&rig->m.vm.mem, &(struct memory_desc){ .gpa = ARM_PVTIME,
									   .size = ARM_PVTIME_SIZE,
									   .name = "pvtime" }),
			 0);
	rig->m.vm.arch = calloc(1, sizeof(*rig->m.vm.arch));
	assert_non_null(rig->m.vm.arch);
	rig->m.vm.arch->pci_mem64_base = 16 * GiB;
	add_gic(rig->m.vm.arch, kind);
	for (u32 i = 0; i < cpus; i++) {
		rig->arch[i].mpidr = mpidr_of(i);
		rig->vcpus[i].arch = &rig->arch[i];
		rig->list[i] = &rig->vcpus[i];
	}
	rig->m.vm.vcpus = rig->list;
	rig->m.vm.nr_vcpus = cpus;
}

static void add_devices(void)
{
	assert_int_equal(arm_add_fixed_devices(&rig->m.vm), 0);
	fdt_machine_add_devices(&rig->m);
}

static const void *build(const struct boot_fdt_input *in)
{
	return fdt_machine_build(&rig->m, &arm_machine, in);
}

static void end(void)
{
	free(rig->m.blob);
	rig->m.vm.vcpus = NULL;
	rig->m.vm.nr_vcpus = 0;
	vm_destroy_devices(&rig->m.vm);
	free(rig->m.vm.arch);
	vm_destroy(&rig->m.vm);
	free(rig);
	rig = NULL;
}

static void test_machine(void **state)
{
	static const u32 timer[] = { 1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4 };
	const void *fdt;

	begin(ARM_IRQCHIP_GICV3_ITS, 2, TRANSPORT_PCI);
	add_devices();
	fdt = build(&linux_input);
	check_chosen(fdt, "/serial@1000000");
	assert_int_equal(fdtw_cell64(fdt, "/memory@80000000", "reg", 0), ARM_RAM);
	assert_int_equal(fdtw_cell64(fdt, "/memory@80000000", "reg", 2), 64 * MiB);
	assert_true(fdt_path_offset(fdt, "/memory@1020000") < 0);
	assert_dt_string(fdt, "/cpus/cpu@1", "enable-method", "psci");
	assert_int_equal(fdtw_cell(fdt, "/cpus/cpu@1", "reg", 0), 1);
	assert_dt_bytes(fdt, "/psci", "compatible", "arm,psci-1.0\0arm,psci-0.2", 26);
	assert_dt_string(fdt, "/psci", "method", "hvc");
	assert_dt_cells(fdt, "/timer", "interrupts", timer, ARRAY_SIZE(timer));
	assert_true(fdtw_has(fdt, "/timer", "always-on"));
	assert_false(fdtw_has(fdt, "/timer", "clock-frequency"));
	/* What is referred to exists. */
	assert_int_equal(fdtw_cell(fdt, "/interrupt-controller@3fff0000", "phandle", 0),
			 fdtw_cell(fdt, "/", "interrupt-parent", 0));
	assert_int_equal(fdtw_cell(fdt, "/apb-pclk", "phandle", 0),
			 fdtw_cell(fdt, "/rtc@1010000", "clocks", 0));
	assert_int_equal(
		fdt_node_offset_by_phandle(fdt, fdtw_cell(fdt, "/pcie@40000000", "msi-map", 1)),
		fdtw_path(fdt, "/interrupt-controller@3fff0000/msi-controller@3ff90000"));
	end();
}

static void test_options(void **state)
{
	static const u32 timer[] = { 1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4, 1, 12, 4 };
	const void *fdt;

	begin(ARM_IRQCHIP_GICV3, 1, TRANSPORT_MMIO);
	add_devices();
	rig->m.cfg.arm.nested = true;
	rig->m.cfg.arm.cntfrq = 24000000;
	fdt = build(&nothing);
	assert_dt_string(fdt, "/psci", "method", "smc");
	assert_dt_cells(fdt, "/timer", "interrupts", timer, ARRAY_SIZE(timer));
	assert_int_equal(fdtw_cell(fdt, "/timer", "clock-frequency", 0), 24000000);
	assert_false(fdtw_has(fdt, "/chosen", "bootargs"));
	assert_false(fdtw_has(fdt, "/chosen", "linux,initrd-start"));
	assert_true(fdtw_has(fdt, "/virtio_mmio@3000000", "reg"));
	assert_true(fdt_path_offset(fdt, "/pcie@40000000") < 0);
	end();
}

/* What EDK2's firmware for kvmtool looks for; kernels that lkvm loads do not see it. */
static void test_firmware(void **state)
{
	static const u32 console[] = { 0, ARM_GSI_UART, 4 }, debug[] = { 0, ARM_GSI_DEBUG_UART, 4 };
	const void *fdt;

	for (int firmware = 0; firmware <= 1; firmware++) {
		begin(ARM_IRQCHIP_GICV3_ITS, 1, TRANSPORT_PCI);
		rig->m.cfg.firmware = firmware ? (char *)"KVMTOOL_EFI.fd" : NULL;
		add_devices();
		fdt = build(&nothing);
		/* Levels: ACPI tables that are made of this say so anyway. */
		assert_dt_cells(fdt, "/serial@1000000", "interrupts", console, 3);
		assert_dt_string(fdt, "/aliases", "serial0", "/serial@1000000");
		assert_int_equal(fdtw_has(fdt, "/aliases", "serial1"), firmware);
		if (firmware) {
			assert_dt_string(fdt, "/rtc@1011000", "compatible", "motorola,mc146818");
			assert_int_equal(fdtw_cell64(fdt, "/rtc@1011000", "reg", 2), 2);
			assert_dt_string(fdt, "/aliases", "serial1", "/serial@1001000");
			assert_dt_string(fdt, "/serial@1001000", "compatible", "ns16550a");
			assert_dt_cells(fdt, "/serial@1001000", "interrupts", debug, 3);
		} else {
			assert_true(fdt_path_offset(fdt, "/rtc@1011000") < 0);
			assert_true(fdt_path_offset(fdt, "/serial@1001000") < 0);
		}
		end();
	}
}

/* Devices of a protected guest name the memory that it shares with them. */
static void check_pool(enum virtio_transport_kind transport, const char *device)
{
	static const char pool[] = "/reserved-memory/restricted-dma-pool";
	/* Linux refuses a pool that has one of them. */
	static const char *const excluded[] = { "no-map", "reusable", "linux,cma-default",
						"linux,dma-default" };
	const void *fdt;

	begin(ARM_IRQCHIP_GICV3_ITS, 1, transport);
	add_devices();
	fdt = build(&nothing);
	assert_true(fdt_path_offset(fdt, "/reserved-memory") < 0);
	assert_false(fdtw_has(fdt, device, "memory-region"));
	rig->m.cfg.arm.protected = true;
	rig->m.vm.coco = arch_coco(&rig->m.cfg);
	fdt = build(&nothing);
	assert_dt_string(fdt, pool, "compatible", "restricted-dma-pool");
	assert_int_equal(fdtw_cell64(fdt, pool, "size", 0), 64 * MiB);
	assert_true(fdtw_has(fdt, "/reserved-memory", "ranges"));
	for (size_t i = 0; i < ARRAY_SIZE(excluded); i++)
		assert_false(fdtw_has(fdt, pool, excluded[i]));
	assert_int_equal(
		fdt_node_offset_by_phandle(fdt, fdtw_cell(fdt, device, "memory-region", 0)),
		fdtw_path(fdt, pool));
	end();
}

static void test_protected(void **state)
{
	check_pool(TRANSPORT_PCI, "/pcie@40000000");
	check_pool(TRANSPORT_MMIO, "/virtio_mmio@3000000");
}

/* A GICv2 is told which CPUs have a private interrupt. */
static void test_gicv2(void **state)
{
	const void *fdt;

	begin(ARM_IRQCHIP_GICV2M, 3, TRANSPORT_PCI);
	add_devices();
	fdt = build(&nothing);
	for (u32 i = 0; i < 4; i++)
		assert_int_equal(fdtw_cell(fdt, "/timer", "interrupts", 3 * i + 2), 0x704);
	assert_true(fdtw_has(fdt, "/pcie@40000000", "msi-parent"));
	end();
	begin(ARM_IRQCHIP_GICV2, 8, TRANSPORT_PCI);
	add_devices();
	fdt = build(&nothing);
	assert_int_equal(fdtw_cell(fdt, "/timer", "interrupts", 2), 0xff04);
	assert_false(fdtw_has(fdt, "/pcie@40000000", "msi-parent"));
	end();
}

static void test_many_cpus(void **state)
{
	const void *fdt;

	begin(ARM_IRQCHIP_GICV3, 512, TRANSPORT_PCI);
	add_devices();
	fdt = build(&nothing);
	assert_int_equal(fdtw_cell(fdt, "/cpus", "#address-cells", 0), 1);
	assert_int_equal(fdtw_cell(fdt, "/cpus/cpu@1f0f", "reg", 0), 0x1f0f);
	/* A third level of affinity takes a second cell, of all. */
	rig->arch[511].mpidr |= 5ULL << 32;
	fdt = build(&nothing);
	assert_int_equal(fdtw_cell(fdt, "/cpus", "#address-cells", 0), 2);
	assert_int_equal(fdtw_cell64(fdt, "/cpus/cpu@500001f0f", "reg", 0), 0x500001f0fULL);
	assert_int_equal(fdtw_cell64(fdt, "/cpus/cpu@0", "reg", 0), 0);
	end();
}

/* FNV-1a. */
static u32 checksum(const u8 *p, size_t len)
{
	u32 sum = 0x811c9dc5;

	while (len--)
		sum = (sum ^ *p++) * 0x01000193;
	return sum;
}

/*
 * Of the machine below. It may change only when the tree is meant to change: whoever measures a
 * guest's memory counts on these bytes, whatever the compiler and the host.
 */
#define TREE_CHECKSUM 0x77a0c69e

static struct fdt_machine *make_four(void)
{
	begin(ARM_IRQCHIP_GICV3_ITS, 4, TRANSPORT_PCI);
	add_devices();
	return &rig->m;
}

static void test_deterministic(void **state)
{
	size_t len;
	void *tree = check_deterministic(&arm_machine, make_four, end, &len);

	assert_int_equal(checksum(tree, len), TREE_CHECKSUM);
	free(tree);
}

static void test_seeds(void **state)
{
	static const u8 zeroes[64];
	u8 seed[64];
	u32 len;
	const void *fdt;

	begin(ARM_IRQCHIP_GICV3, 1, TRANSPORT_PCI);
	add_devices();
	rig->m.cfg.fdt.kaslr_seed = 0x123456789abcdefULL;
	fdt = build(&nothing);
	assert_int_equal(fdtw_cell64(fdt, "/chosen", "kaslr-seed", 0), 0x123456789abcdefULL);
	rig->m.cfg.fdt.kaslr_seed = 0;
	rig->m.cfg.fdt.kaslr_random = true;
	fdt = build(&nothing);
	assert_int_equal(fdtw_nr_cells(fdt, "/chosen", "kaslr-seed"), 2);
	assert_int_not_equal(fdtw_cell64(fdt, "/chosen", "kaslr-seed", 0), 0);
	assert_false(fdtw_has(fdt, "/chosen", "rng-seed"));
	rig->m.cfg.fdt.kaslr_random = false;
	rig->m.cfg.fdt.rng_seed = true;
	fdt = build(&nothing);
	assert_false(fdtw_has(fdt, "/chosen", "kaslr-seed"));
	memcpy(seed, fdtw_prop(fdt, "/chosen", "rng-seed", &len), sizeof(seed));
	assert_int_equal(len, sizeof(seed));
	assert_memory_not_equal(seed, zeroes, sizeof(seed));
	/* Another one each time. */
	fdt = build(&nothing);
	assert_memory_not_equal(seed, fdtw_prop(fdt, "/chosen", "rng-seed", &len), sizeof(seed));
	end();
}

static void test_too_large(void **state)
{
	begin(ARM_IRQCHIP_GICV3, 1, TRANSPORT_PCI);
	check_too_large(&rig->m, &arm_machine, "shorter command line");
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_machine),	      cmocka_unit_test(test_options),
		cmocka_unit_test(test_gicv2),	      cmocka_unit_test(test_many_cpus),
		cmocka_unit_test(test_deterministic), cmocka_unit_test(test_seeds),
		cmocka_unit_test(test_too_large),     cmocka_unit_test(test_protected),
		cmocka_unit_test(test_firmware),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
