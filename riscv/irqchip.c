/* SPDX-License-Identifier: MIT */
/* Which interrupt controller the machine has: KVM's AIA where the host has one, else a PLIC. */
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/fdt.h"
#include "lkvm/irq.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "riscv.h"

static int choose(const struct vm *vm, enum riscv_irqchip_kind *kind)
{
	bool aia = kvm_check_cap(&vm->kvm, KVM_CAP_IRQCHIP) > 0;

	*kind = vm->cfg->riscv.irqchip;
	if (*kind == RISCV_IRQCHIP_DEFAULT)
		*kind = aia ? RISCV_IRQCHIP_AIA : RISCV_IRQCHIP_PLIC;
	if (*kind != RISCV_IRQCHIP_AIA || aia)
		return 0;
	err("--irqchip aia: this host's CPUs have no AIA (Ssaia) for KVM; use --irqchip plic, or "
	    "omit the option");
	return -ENODEV;
}

int riscv_irqchip_init(struct vm *vm)
{
	struct riscv_irqchip *chip = &vm->arch->irqchip;
	int ret = choose(vm, &chip->kind);

	if (ret)
		return ret;
	debug("interrupt controller: %s", riscv_irqchip_names[chip->kind]);
	if (chip->kind == RISCV_IRQCHIP_AIA)
		return riscv_aia_init(vm);
	return 0;
}

int riscv_irqchip_finish(struct vm *vm)
{
	if (vm->arch->irqchip.kind == RISCV_IRQCHIP_AIA)
		return riscv_aia_finish(vm);
	return 0;
}

void riscv_irqchip_sketch(struct vm *vm)
{
	struct riscv_irqchip *chip = &vm->arch->irqchip;

	chip->kind = vm->cfg->riscv.irqchip;
	if (chip->kind == RISCV_IRQCHIP_DEFAULT)
		chip->kind = RISCV_IRQCHIP_AIA;
	if (chip->kind == RISCV_IRQCHIP_AIA)
		riscv_aia_sketch(vm);
}

void riscv_irqchip_parents(const struct vm *vm, struct fdtw *fdt)
{
	u32 *cells = xcalloc(vm->cfg->cpus, 2 * sizeof(*cells));

	for (u32 i = 0; i < vm->cfg->cpus; i++) {
		cells[2 * i] = RISCV_PHANDLE_HART + i;
		cells[2 * i + 1] = RISCV_IRQ_S_EXT;
	}
	fdtw_cells(fdt, "interrupts-extended", cells, 2 * (size_t)vm->cfg->cpus);
	free(cells);
}

void riscv_irqchip_describe(struct vm *vm, struct fdtw *fdt)
{
	if (vm->arch->irqchip.kind == RISCV_IRQCHIP_AIA)
		riscv_aia_describe(vm, fdt);
}

int riscv_irqchip_add_devices(struct vm *vm)
{
	return 0;
}

void riscv_irqchip_destroy(struct vm *vm)
{
	struct riscv_irqchip *chip = &vm->arch->irqchip;

	if (chip->fd >= 0)
		close(chip->fd);
	chip->fd = -1;
}
