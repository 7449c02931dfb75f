/* SPDX-License-Identifier: MIT */
/* riscv64 guests: what start.S calls, and the start of other CPUs. */
#include "riscv.h"

u64 arch_uart = RISCV_UART;
static u64 entry;

void riscv_start(u64 hartid, const void *tree, u64 secondary_entry);

/* Firmware in memory keeps others out of what is its own, at the beginning of memory. */
static void leave_firmware_alone(void)
{
	u32 node = fdt_next(fdt_child_of_root("reserved-memory"));
	struct guest_range *r = &boot.map[0];
	u64 base, size;

	if (!boot.nr_ranges || !fdt_reg(node, 0, &base, &size) || base != r->base ||
	    size >= r->size)
		return;
	r->base += size;
	r->size -= size;
}

/* With the address that other CPUs start at. */
void riscv_start(u64 hartid, const void *tree, u64 secondary_entry)
{
	riscv_hartid = hartid;
	entry = secondary_entry;
	tree_read(tree);
	leave_firmware_alone();
	cpus_read();
	harts_read();
	irq_init();
	arch_cpu_init(0);
	arch_exit(guest_main());
}

/* With its index, which start.S expects. */
long arch_cpu_start(u64 id, u32 index)
{
	fence();
	return sbi_call(SBI_HSM, HSM_START, id, entry, index).error;
}
