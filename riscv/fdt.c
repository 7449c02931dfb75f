/* SPDX-License-Identifier: MIT */
/*
 * The device tree of the machine (Devicetree Specification 0.4; Linux
 * Documentation/devicetree/bindings for the nodes). Devices follow in the order of their creation,
 * and nothing depends on the time or the host: the same configuration gives the same bytes, but for
 * the seeds, which are written only when they are asked for, and for what the host's CPUs have.
 */
#include "lkvm/fdt.h"

#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/boot-fdt.h"
#include "lkvm/device.h"
#include "lkvm/log.h"
#include "lkvm/vm.h"
#include "riscv.h"

/* Nodes of CPUs take most of it. */
#define FDT_ROOM ((size_t)RISCV_FDT_MAX)

static void describe_chosen(const struct vm *vm, const struct boot_fdt_input *in, struct fdtw *fdt)
{
	char path[32];

	snprintf(path, sizeof(path), "/serial@%llx", arch_platform.serial.base);
	fdtw_node(fdt, "aliases");
	fdtw_string(fdt, "serial0", path);
	fdtw_close(fdt);
	boot_fdt_chosen(fdt, vm->cfg, in, path);
}

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
	fdtw_empty(fdt, "interrupt-controller");
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

static void describe_machine(struct vm *vm, const struct boot_fdt_input *in, struct fdtw *fdt)
{
	fdt->irq_phandle = RISCV_PHANDLE_IRQCHIP;
	boot_fdt_root(fdt, "lkvm riscv64 virtual machine", RISCV_PHANDLE_IRQCHIP);
	describe_chosen(vm, in, fdt);
	boot_fdt_memory(fdt, &vm->mem, RISCV_RAM);
	describe_cpus(vm, fdt);
	riscv_irqchip_describe(vm, fdt);
	for (struct device *dev = vm->devices; dev; dev = dev->next)
		if (dev->ops->describe_fdt)
			dev->ops->describe_fdt(dev, fdt);
}

int riscv_fdt_build(struct vm *vm, const struct boot_fdt_input *in, void **blob, size_t *len)
{
	struct fdtw fdt;
	int ret;

	*blob = NULL;
	fdtw_begin(&fdt, FDT_ROOM);
	describe_machine(vm, in, &fdt);
	ret = fdtw_finish(&fdt, len);
	if (ret) {
		if (ret == -ENOSPC)
			err("the device tree is larger than %llu bytes; use fewer vcpus or "
			    "devices, or a shorter command line",
			    (u64)RISCV_FDT_MAX);
		else
			err("cannot build the device tree: %s", strerror(-ret));
		fdtw_destroy(&fdt);
		return ret;
	}
	*blob = fdt.buf;
	return 0;
}
