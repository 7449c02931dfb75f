/* SPDX-License-Identifier: MIT */
/* riscv/fdt.c and boot.c: the whole tree of a machine that is made without KVM, and how its first
 * vcpu starts. */
#include "fdt_machine.h"

#include "../../../riscv/boot.h"
#include "fdt_loader.h"

static struct fdt_machine *rig;

/* As `lkvm run --dump-dtb` makes it. */
static void begin_as(const struct vm_config *cfg)
{
	rig = calloc(1, sizeof(*rig));
	assert_non_null(rig);
	fdt_machine_begin(rig, cfg);
	assert_int_equal(arch_sketch(&rig->vm, NULL), 0);
}

static void begin(u32 cpus, u64 memory, enum virtio_transport_kind transport)
{
	const struct vm_config cfg = { .cpus = cpus, .memory = memory, .transport = transport };

	begin_as(&cfg);
}

static void add_devices(void)
{
	assert_int_equal(arch_add_devices(&rig->vm), 0);
	fdt_machine_add_devices(rig);
}

static const void *build(const struct boot_fdt_input *in)
{
	return fdt_machine_build(rig, &riscv_machine, in);
}

static void end(void)
{
	free(rig->blob);
	vm_destroy_devices(&rig->vm);
	arch_vm_destroy(&rig->vm);
	vm_destroy(&rig->vm);
	free(rig);
	rig = NULL;
}

static void test_machine(void **state)
{
	static const char intc[] = "/cpus/cpu@1/interrupt-controller";
	const void *fdt;

	begin(2, 6 * GiB, TRANSPORT_PCI);
	add_devices();
	fdt = build(&linux_input);
	check_chosen(fdt, "/serial@10000000");
	/* Test images find it without the tree: registers that are bytes apart. */
	assert_int_equal(fdtw_cell64(fdt, "/serial@10000000", "reg", 0), 0x10000000);
	assert_false(fdtw_has(fdt, "/serial@10000000", "reg-shift"));
	/* RAM is one, up to beyond 4 GiB. */
	assert_int_equal(fdtw_cell64(fdt, "/memory@80000000", "reg", 0), RISCV_RAM);
	assert_int_equal(fdtw_cell64(fdt, "/memory@80000000", "reg", 2), 6 * GiB);
	assert_dt_string(fdt, "/cpus/cpu@1", "device_type", "cpu");
	assert_dt_string(fdt, "/cpus/cpu@1", "compatible", "riscv");
	assert_int_equal(fdtw_cell(fdt, "/cpus/cpu@1", "reg", 0), 1);
	assert_true(fdtw_has(fdt, "/cpus/cpu@1", "riscv,isa"));
	assert_true(fdtw_cell(fdt, "/cpus", "timebase-frequency", 0) > 0);
	assert_dt_string(fdt, intc, "compatible", "riscv,cpu-intc");
	assert_int_equal(fdtw_cell(fdt, intc, "#interrupt-cells", 0), 1);
	/* Its own, not the root's: Linux 6.12 begins with a controller that has no other above. */
	assert_int_equal(fdtw_cell(fdt, intc, "interrupt-parent", 0),
			 fdtw_cell(fdt, intc, "phandle", 0));
	assert_int_equal(fdt_node_offset_by_phandle(fdt, fdtw_cell(fdt, intc, "phandle", 0)),
			 fdtw_path(fdt, intc));
	assert_int_not_equal(fdtw_cell(fdt, intc, "phandle", 0),
			     fdtw_cell(fdt, "/cpus/cpu@0/interrupt-controller", "phandle", 0));
	end();
}

/* Lines lead to the controller, and messages where there are some. */
static void test_interrupts(void **state)
{
	static const char pci[] = "/pcie@30000000";
	static const struct {
		enum riscv_irqchip_kind kind;
		const char *node;
		u32 cells;
	} cases[] = {
		{ RISCV_IRQCHIP_DEFAULT, "/aplic@9000000", 2 },
		{ RISCV_IRQCHIP_PLIC, "/interrupt-controller@8000000", 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct vm_config cfg = { .cpus = 3, .memory = 64 * MiB };
		const void *fdt;
		u32 chip;

		cfg.transport = TRANSPORT_PCI;
		cfg.riscv.irqchip = cases[i].kind;
		begin_as(&cfg);
		add_devices();
		fdt = build(&nothing);
		chip = fdtw_cell(fdt, cases[i].node, "phandle", 0);
		assert_int_equal(fdtw_cell(fdt, "/", "interrupt-parent", 0), chip);
		assert_int_equal(fdtw_cell(fdt, cases[i].node, "#interrupt-cells", 0),
				 cases[i].cells);
		assert_int_equal(fdtw_cell(fdt, "/serial@10000000", "interrupts", 0), 1);
		/* Pin A of slot 0, then the controller and its own cells; the next is pin B. */
		assert_int_equal(fdtw_cell(fdt, pci, "interrupt-map", 4), chip);
		assert_int_equal(fdtw_cell(fdt, pci, "interrupt-map", 5), RISCV_GSI_INTX);
		assert_int_equal(fdtw_cell(fdt, pci, "interrupt-map", 5 + cases[i].cells + 3), 2);
		assert_int_equal(fdtw_has(fdt, pci, "msi-parent"),
				 cases[i].kind != RISCV_IRQCHIP_PLIC);
		end();
	}
}

/* Each hart with a controller of its own, and none shares its phandle. */
static void test_many_cpus(void **state)
{
	const void *fdt;

	begin(512, 64 * MiB, TRANSPORT_PCI);
	add_devices();
	fdt = build(&nothing);
	assert_true(rig->len > 64 * KiB);
	assert_int_equal(fdtw_cell(fdt, "/cpus/cpu@1ff", "reg", 0), 511);
	assert_int_equal(
		fdt_node_offset_by_phandle(
			fdt, fdtw_cell(fdt, "/cpus/cpu@1ff/interrupt-controller", "phandle", 0)),
		fdtw_path(fdt, "/cpus/cpu@1ff/interrupt-controller"));
	end();
}

/* All that there can be, with an AIA, which names each hart once more. */
static void test_most_cpus(void **state)
{
	begin(RISCV_MAX_VCPUS, 64 * MiB, TRANSPORT_PCI);
	add_devices();
	assert_int_equal(fdtw_cell(build(&nothing), "/cpus/cpu@fff", "reg", 0), 4095);
	end();
}

static void test_too_large(void **state)
{
	begin(1, 64 * MiB, TRANSPORT_PCI);
	check_too_large(rig, &riscv_machine, "larger than 2097152 bytes");
	end();
}

static struct fdt_machine *make_four(void)
{
	begin(4, 64 * MiB, TRANSPORT_PCI);
	add_devices();
	return rig;
}

static void test_deterministic(void **state)
{
	size_t len;

	free(check_deterministic(&riscv_machine, make_four, end, &len));
}

/* Linux Documentation/arch/riscv/boot.rst: a0 and a1. */
static void test_registers(void **state)
{
	static u8 file[4096] = { 0x6f };
	struct boot boot = { .firmware.fd = -1 };
	struct boot_plan plan;

	begin(2, 64 * MiB, TRANSPORT_PCI);
	add_devices();
	boot_image_from_buffer(&boot.kernel, "flat", file, sizeof(file));
	boot_plan_init(&plan);
	assert_int_equal(arch_boot_plan(&rig->vm, &boot, &plan), 0);
	assert_int_equal(boot_plan_check(&plan, &rig->vm.mem), 0);
	assert_int_equal(plan.nr_regs, 3);
	assert_string_equal(plan.regs[0].name, "pc");
	assert_int_equal(plan.regs[0].value, 0x80200000);
	assert_string_equal(plan.regs[1].name, "a0");
	assert_int_equal(plan.regs[1].value, 0);
	assert_string_equal(plan.regs[2].name, "a1");
	assert_int_equal(plan.regs[2].value, boot_plan_find(&plan, BOOT_FDT)->gpa);
	assert_int_equal(rig->vm.arch->entry.nr_regs, 3);
	assert_int_equal(rig->vm.arch->entry.regs[2].value, plan.regs[2].value);
	boot_plan_free(&plan);
	end();
}

static const char *plan_firmware(const struct boot *boot)
{
	struct boot_plan plan;

	boot_plan_init(&plan);
	capture_begin();
	assert_int_equal(arch_boot_plan(&rig->vm, boot, &plan), 0);
	boot_plan_free(&plan);
	return capture_end();
}

/* Whoever forgets --flash is told: edk2 alone would not say why it stops. */
static void test_variables(void **state)
{
	static u8 file[4096] = { 0x6f };
	struct boot boot = { .kernel.fd = -1 };
	const char *text;

	begin(1, 64 * MiB, TRANSPORT_PCI);
	add_devices();
	boot_image_from_buffer(&boot.firmware, "dir/CODE.fd", file, sizeof(file));
	assert_string_equal(plan_firmware(&boot), "");
	memcpy(file + 40, "_FVH", 4);
	text = plan_firmware(&boot);
	assert_one_line(text);
	assert_contains(text, "--firmware dir/CODE.fd: UEFI keeps its variables in flash memory");
	assert_contains(text, "--flash");
	rig->cfg.fdt.flash = (char *)"vars";
	assert_string_equal(plan_firmware(&boot), "");
	rig->cfg.fdt.flash = NULL;
	/* Where it does not run in place. */
	rig->cfg.fdt.firmware_address = RISCV_RAM;
	assert_string_equal(plan_firmware(&boot), "");
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_machine),	  cmocka_unit_test(test_interrupts),
		cmocka_unit_test(test_many_cpus), cmocka_unit_test(test_most_cpus),
		cmocka_unit_test(test_too_large), cmocka_unit_test(test_deterministic),
		cmocka_unit_test(test_registers), cmocka_unit_test(test_variables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
