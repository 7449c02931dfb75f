/* SPDX-License-Identifier: MIT */
/* What riscv64 writes into the device tree of its machine (boot/fdt.c; Linux
 * Documentation/devicetree/bindings for the nodes). */
#include "lkvm/fdt.h"

#include "lkvm/boot-fdt.h"
#include "lkvm/vm.h"
#include "riscv.h"

/* riscv/cpus.yaml, and interrupt-controller/riscv,cpu-intc.yaml in each. */
static void describe_cpu(const struct vm *vm, struct fdtw *fdt, u32 hart)
{
	fdtw_node(fdt, "cpu@%x", hart);
	fdtw_string(fdt, "device_type", "cpu");
	fdtw_string(fdt, "compatible", "riscv");
	fdtw_u32(fdt, "reg", hart);
	fdtw_string(fdt, "status", "okay");
	riscv_cpu_describe(vm, fdt);
	fdtw_node(fdt, "interrupt-controller");
	fdtw_string(fdt, "compatible", "riscv,cpu-intc");
	fdtw_u32(fdt, "#interrupt-cells", 1);
	fdtw_u32(fdt, "#address-cells", 0);
	fdtw_empty(fdt, "interrupt-controller");
	/* The first of all: Linux before 7 takes the root's, which is behind it, for its own. */
	fdtw_u32(fdt, "interrupt-parent", RISCV_PHANDLE_HART + hart);
	fdtw_u32(fdt, "phandle", RISCV_PHANDLE_HART + hart);
	fdtw_close(fdt);
	fdtw_close(fdt);
}

static void describe_cpus(const struct vm *vm, struct fdtw *fdt)
{
	fdtw_node(fdt, "cpus");
	fdtw_u32(fdt, "#address-cells", 1);
	fdtw_u32(fdt, "#size-cells", 0);
	fdtw_u32(fdt, "timebase-frequency", riscv_cpu_timebase(vm));
	for (u32 i = 0; i < vm->cfg->cpus; i++)
		describe_cpu(vm, fdt, i);
	fdtw_close(fdt);
}

void riscv_describe(struct vm *vm, const struct boot_fdt_input *in, struct fdtw *fdt)
{
	fdt->irq_phandle = RISCV_PHANDLE_IRQCHIP;
	boot_fdt_root(fdt, "lkvm riscv64 virtual machine", RISCV_PHANDLE_IRQCHIP);
	boot_fdt_console(fdt, vm->cfg, in, 0);
	boot_fdt_memory(fdt, &vm->mem, RISCV_RAM);
	describe_cpus(vm, fdt);
	riscv_irqchip_describe(vm, fdt);
}
