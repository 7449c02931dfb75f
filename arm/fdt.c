/* SPDX-License-Identifier: MIT */
/*
 * The device tree of the machine (Devicetree Specification 0.4; Linux
 * Documentation/devicetree/bindings for the nodes). Devices follow in the order of their creation,
 * and nothing depends on the time or the host: the same configuration gives the same bytes, but for
 * the seeds, which are written only when they are asked for.
 */
#include <stdlib.h>
#include <sys/random.h>

#include "arm.h"
#include "lkvm/arch.h"
#include "lkvm/device.h"
#include "lkvm/dt.h"
#include "lkvm/log.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "pkvm.h"

/* interrupt-controller/arm,gic.yaml, arm,gic-v3.yaml: the first and the third cell. */
#define GIC_PPI		   1
#define GIC_LEVEL_HIGH	   4
#define GIC_PPI_CPU_SHIFT  8 /* GICv2: a mask of the CPUs that have it */
#define GIC_PPI_CPUS	   8
#define GIC_FIRST_PPI	   16
#define MAX_PPIS	   8
#define MPIDR_AFFINITY	   0xff00ffffffULL
#define MPIDR_AFF3	   0xff00000000ULL
#define PRIMECELL_CLOCK_HZ 24000000
#define RNG_SEED_BYTES	   64
/* Nodes of CPUs take most of it: 512 of them about 60 KiB. */
#define FDT_ROOM ((size_t)ARM_FDT_MAX)

void arm_fdt_ppis(const struct vm *vm, struct dt *dt, const u32 *intids, size_t n)
{
	enum irqchip_kind kind = vm->arch->gic.kind;
	u32 cells[MAX_PPIS * 3], flags = GIC_LEVEL_HIGH;

	if (kind == IRQCHIP_GICV2 || kind == IRQCHIP_GICV2M)
		flags |= (BIT(MIN(vm->cfg->cpus, (u32)GIC_PPI_CPUS)) - 1) << GIC_PPI_CPU_SHIFT;
	n = MIN(n, (size_t)MAX_PPIS);
	for (size_t i = 0; i < n; i++) {
		cells[3 * i] = GIC_PPI;
		cells[3 * i + 1] = intids[i] - GIC_FIRST_PPI;
		cells[3 * i + 2] = flags;
	}
	dt_cells(dt, "interrupts", cells, 3 * n);
}

static void describe_root(struct dt *dt)
{
	dt_string(dt, "compatible", "linux,dummy-virt");
	dt_string(dt, "model", "lkvm arm64 virtual machine");
	dt_u32(dt, "#address-cells", DT_ADDRESS_CELLS);
	dt_u32(dt, "#size-cells", DT_SIZE_CELLS);
	dt_u32(dt, "interrupt-parent", ARM_PHANDLE_GIC);
}

/* Seeds of @len bytes; the kernel erases them from the tree once it has read them. */
static void describe_seed(struct dt *dt, const char *name, size_t len)
{
	u8 seed[RNG_SEED_BYTES];

	/* So few bytes come whole (getrandom(2)); without them the guest collects its own. */
	if (getrandom(seed, len, 0) == (ssize_t)len)
		dt_bytes(dt, name, seed, len);
	else
		warn("no random bytes for %s: %s", name, strerror(errno));
	explicit_bzero(seed, sizeof(seed));
}

static void describe_chosen(const struct vm *vm, const struct arm_fdt_input *in, struct dt *dt)
{
	u64 serial = arch_platform.serial.base;
	char path[32], debug_path[32];

	snprintf(path, sizeof(path), "/serial@%llx", serial);
	dt_node(dt, "aliases");
	dt_string(dt, "serial0", path);
	if (vm->cfg->firmware) {
		snprintf(debug_path, sizeof(debug_path), "/serial@%llx", ARM_DEBUG_UART);
		dt_string(dt, "serial1", debug_path);
	}
	dt_close(dt);

	dt_node(dt, "chosen");
	if (in->cmdline)
		dt_string(dt, "bootargs", in->cmdline);
	dt_string(dt, "stdout-path", path);
	if (in->initrd_size) {
		dt_u64(dt, "linux,initrd-start", in->initrd);
		dt_u64(dt, "linux,initrd-end", in->initrd + in->initrd_size);
	}
	if (vm->cfg->kaslr_random)
		describe_seed(dt, "kaslr-seed", sizeof(u64));
	else if (vm->cfg->kaslr_seed)
		dt_u64(dt, "kaslr-seed", vm->cfg->kaslr_seed);
	if (vm->cfg->rng_seed)
		describe_seed(dt, "rng-seed", RNG_SEED_BYTES);
	dt_close(dt);
}

static void describe_memory(const struct vm *vm, struct dt *dt)
{
	for (unsigned int i = 0; i < vm->mem.count; i++) {
		const struct mem_region *r = &vm->mem.regions[i];

		/* Below ARM_RAM lie pages that belong to devices. */
		if (r->gpa < ARM_RAM || r->flags & MEM_ROM)
			continue;
		dt_node(dt, "memory@%llx", r->gpa);
		dt_string(dt, "device_type", "memory");
		dt_reg(dt, r->gpa, r->size);
		dt_close(dt);
	}
}

/* arm/cpus.yaml: "reg" is the affinity, in two cells only where it has a third level. */
static void describe_cpus(const struct vm *vm, struct dt *dt)
{
	bool wide = false;

	for (u32 i = 0; i < vm->nr_vcpus; i++)
		wide |= vm->vcpus[i]->arch->mpidr & MPIDR_AFF3;
	dt_node(dt, "cpus");
	dt_u32(dt, "#address-cells", wide ? 2 : 1);
	dt_u32(dt, "#size-cells", 0);
	for (u32 i = 0; i < vm->nr_vcpus; i++) {
		u64 affinity = vm->vcpus[i]->arch->mpidr & MPIDR_AFFINITY;

		dt_node(dt, "cpu@%llx", affinity);
		dt_string(dt, "device_type", "cpu");
		dt_string(dt, "compatible", "arm,armv8");
		if (wide)
			dt_u64(dt, "reg", affinity);
		else
			dt_u32(dt, "reg", (u32)affinity);
		dt_string(dt, "enable-method", "psci");
		dt_close(dt);
	}
	dt_close(dt);
}

/* arm/psci.yaml. A guest that has EL2 would take an HVC itself. */
static void describe_psci(const struct vm *vm, struct dt *dt)
{
	static const char *const compatible[] = { "arm,psci-1.0", "arm,psci-0.2", NULL };

	dt_node(dt, "psci");
	dt_strings(dt, "compatible", compatible);
	dt_string(dt, "method", vm->cfg->nested ? "smc" : "hvc");
	dt_close(dt);
}

/* timer/arm,arch_timer.yaml: secure, physical, virtual, hypervisor physical and virtual. */
static void describe_timer(const struct vm *vm, struct dt *dt)
{
	static const u32 ppis[] = { ARM_PPI_SEC_TIMER, ARM_PPI_PHYS_TIMER, ARM_PPI_VIRT_TIMER,
				    ARM_PPI_HYP_TIMER, ARM_PPI_HVIRT_TIMER };
	/* The last is there only for a guest with EL2 and VHE. */
	size_t n = ARRAY_SIZE(ppis) - (vm->cfg->nested ? 0 : 1);

	dt_node(dt, "timer");
	dt_string(dt, "compatible", vm->cfg->aarch32 ? "arm,armv7-timer" : "arm,armv8-timer");
	arm_fdt_ppis(vm, dt, ppis, n);
	dt_empty(dt, "always-on");
	if (vm->cfg->cntfrq)
		dt_u32(dt, "clock-frequency", vm->cfg->cntfrq);
	dt_close(dt);
}

/* clock/fixed-clock.yaml: PrimeCells must name the clock of their bus. */
static void describe_clock(struct dt *dt)
{
	dt_node(dt, "apb-pclk");
	dt_string(dt, "compatible", "fixed-clock");
	dt_u32(dt, "#clock-cells", 0);
	dt_u32(dt, "clock-frequency", PRIMECELL_CLOCK_HZ);
	dt_string(dt, "clock-output-names", "apb-pclk");
	dt_u32(dt, "phandle", ARM_PHANDLE_CLOCK);
	dt_close(dt);
}

static void describe_machine(struct vm *vm, const struct arm_fdt_input *in, struct dt *dt)
{
	dt->irq_phandle = ARM_PHANDLE_GIC;
	dt->irq_address_cells = DT_ADDRESS_CELLS;
	dt->clock_phandle = ARM_PHANDLE_CLOCK;
	describe_root(dt);
	describe_chosen(vm, in, dt);
	describe_memory(vm, dt);
	if (vm->cfg->protected)
		arm_pkvm_describe(dt);
	describe_cpus(vm, dt);
	describe_psci(vm, dt);
	describe_timer(vm, dt);
	arm_gic_describe(vm, dt);
	arm_cpu_describe(vm, dt);
	describe_clock(dt);
	for (struct device *dev = vm->devices; dev; dev = dev->next)
		if (dev->ops->describe_fdt)
			dev->ops->describe_fdt(dev, dt);
}

int arm_fdt_build(struct vm *vm, const struct arm_fdt_input *in, void **blob, size_t *len)
{
	struct dt dt;
	int ret;

	*blob = NULL;
	dt_begin(&dt, FDT_ROOM);
	describe_machine(vm, in, &dt);
	ret = dt_finish(&dt, len);
	if (ret) {
		if (ret == -ENOSPC)
			err("the device tree takes more than %llu bytes; give fewer vcpus or "
			    "devices, or a shorter command line",
			    (u64)ARM_FDT_MAX);
		else
			err("cannot make the device tree: %s", strerror(-ret));
		dt_destroy(&dt);
		return ret;
	}
	*blob = dt.buf;
	return 0;
}
