/* SPDX-License-Identifier: MIT */
/* The harts that an interrupt controller of any kind leads to, in the device tree. */
#include <stdlib.h>

#include "lkvm/fdt.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "riscv.h"

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
