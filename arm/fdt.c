/* SPDX-License-Identifier: MIT */
/* What arm64 writes into the device tree of its machine (boot/fdt.c; Linux
 * Documentation/devicetree/bindings for the nodes). */
#include "lkvm/fdt.h"
#include "arm.h"
#include "lkvm/boot-fdt.h"
#include "lkvm/coco.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

/* interrupt-controller/arm,gic.yaml, arm,gic-v3.yaml: the first and the third cell. */
#define GIC_PPI		  1
#define GIC_LEVEL_HIGH	  4
#define GIC_PPI_CPU_SHIFT 8 /* GICv2: a mask of the CPUs that have it */
#define GIC_PPI_CPUS	  8
#define GIC_FIRST_PPI	  16
#define MAX_PPIS	  8
#define MPIDR_AFFINITY	  0xff00ffffffULL
#define MPIDR_AFF3	  0xff00000000ULL

/* "interrupts" of private peripheral interrupts, by their interrupt ids: level, active high. */
static void fdt_ppis(const struct vm *vm, struct fdtw *fdt, const u32 *intids, size_t n)
{
	enum arm_irqchip kind = vm->arch->gic.kind;
	u32 cells[MAX_PPIS * 3], flags = GIC_LEVEL_HIGH;

	if (kind == ARM_IRQCHIP_GICV2 || kind == ARM_IRQCHIP_GICV2M)
		flags |= (BIT(MIN(vm->cfg->cpus, (u32)GIC_PPI_CPUS)) - 1) << GIC_PPI_CPU_SHIFT;
	n = MIN(n, (size_t)MAX_PPIS);
	for (size_t i = 0; i < n; i++) {
		cells[3 * i] = GIC_PPI;
		cells[3 * i + 1] = intids[i] - GIC_FIRST_PPI;
		cells[3 * i + 2] = flags;
	}
	fdtw_cells(fdt, "interrupts", cells, 3 * n);
}

/* Where no vcpu was made: as KVM numbers them. */
static u64 affinity_of(const struct vm *vm, u32 i)
{
	if (i < vm->nr_vcpus)
		return vm->vcpus[i]->arch->mpidr & MPIDR_AFFINITY;
	return arm_affinity(i);
}

/* arm/cpus.yaml: "reg" is the affinity, in two cells only where it has a third level. */
static void describe_cpus(const struct vm *vm, struct fdtw *fdt)
{
	bool wide = false;

	for (u32 i = 0; i < vm->cfg->cpus; i++)
		wide |= affinity_of(vm, i) & MPIDR_AFF3;
	fdtw_node(fdt, "cpus");
	fdtw_u32(fdt, "#address-cells", wide ? 2 : 1);
	fdtw_u32(fdt, "#size-cells", 0);
	for (u32 i = 0; i < vm->cfg->cpus; i++) {
		u64 affinity = affinity_of(vm, i);

		fdtw_node(fdt, "cpu@%llx", affinity);
		fdtw_string(fdt, "device_type", "cpu");
		fdtw_string(fdt, "compatible", "arm,armv8");
		if (wide)
			fdtw_u64(fdt, "reg", affinity);
		else
			fdtw_u32(fdt, "reg", (u32)affinity);
		fdtw_string(fdt, "enable-method", "psci");
		fdtw_close(fdt);
	}
	fdtw_close(fdt);
}

/* arm/psci.yaml. A guest that has EL2 would take an HVC itself. */
static void describe_psci(const struct vm *vm, struct fdtw *fdt)
{
	static const char *const compatible[] = { "arm,psci-1.0", "arm,psci-0.2", NULL };

	fdtw_node(fdt, "psci");
	fdtw_strings(fdt, "compatible", compatible);
	fdtw_string(fdt, "method", vm->cfg->arm.nested ? "smc" : "hvc");
	fdtw_close(fdt);
}

/* timer/arm,arch_timer.yaml: secure, physical, virtual, hypervisor physical and virtual. */
static void describe_timer(const struct vm *vm, struct fdtw *fdt)
{
	static const u32 ppis[] = { ARM_PPI_SEC_TIMER, ARM_PPI_PHYS_TIMER, ARM_PPI_VIRT_TIMER,
				    ARM_PPI_HYP_TIMER, ARM_PPI_HVIRT_TIMER };
	/* The last is there only for a guest with EL2 and VHE. */
	size_t n = ARRAY_SIZE(ppis) - (vm->cfg->arm.nested ? 0 : 1);

	fdtw_node(fdt, "timer");
	fdtw_string(fdt, "compatible",
		    vm->cfg->arm.aarch32 ? "arm,armv7-timer" : "arm,armv8-timer");
	fdt_ppis(vm, fdt, ppis, n);
	fdtw_empty(fdt, "always-on");
	if (vm->cfg->arm.cntfrq)
		fdtw_u32(fdt, "clock-frequency", vm->cfg->arm.cntfrq);
	fdtw_close(fdt);
}

void arm_describe(struct vm *vm, const struct boot_fdt_input *in, struct fdtw *fdt)
{
	fdt->irq_phandle = ARM_PHANDLE_GIC;
	fdt->irq_address_cells = FDTW_ADDRESS_CELLS;
	boot_fdt_root(fdt, "lkvm arm64 virtual machine", ARM_PHANDLE_GIC);
	/* Firmware finds its debug port by the second alias. */
	boot_fdt_console(fdt, vm->cfg, in, vm->cfg->firmware ? ARM_DEBUG_UART : 0);
	boot_fdt_memory(fdt, &vm->mem, ARM_RAM);
	if (vm->coco && vm->coco->shared_pool)
		boot_fdt_pool(fdt, vm->coco->shared_pool, ARM_PHANDLE_POOL);
	describe_cpus(vm, fdt);
	describe_psci(vm, fdt);
	describe_timer(vm, fdt);
	arm_gic_describe(vm, fdt);
	arm_cpu_describe(vm, fdt);
	boot_fdt_clock(fdt, ARM_PHANDLE_CLOCK);
}
