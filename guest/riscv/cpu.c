/* SPDX-License-Identifier: MIT */
/* riscv64 guests: this CPU and what the tree says of CPUs; waiting. */
#include "riscv.h"

#define PAUSE_NS 500

u64 riscv_hartid;
u64 riscv_timebase = 10000000;
static u32 first_node = FDT_NONE;
static u32 controllers[MAX_CPUS]; /* phandles of the CPUs' own interrupt controllers */

u32 arch_cpu_index(void)
{
	u64 index;

	__asm__ volatile("mv %0, tp" : "=r"(index));
	return (u32)index;
}

u64 arch_cpu_id(void)
{
	return riscv_hartid;
}

/* MAX_CPUS: the node is none, or of none that we know. */
static u32 index_of(u32 node)
{
	u64 id;
	u32 i = 0;

	if (!fdt_has_string(node, "device_type", "cpu") || !fdt_number(node, "reg", &id))
		return MAX_CPUS;
	while (i < arch_nr_cpus() && cpus_id(i) != id)
		i++;
	return i < arch_nr_cpus() ? i : MAX_CPUS;
}

/* Binding riscv,cpu-intc: it is a child of its CPU's node. */
void harts_read(void)
{
	u32 cpus = fdt_child_of_root("cpus"), index = MAX_CPUS;

	riscv_timebase = fdt_u32(cpus, "timebase-frequency", (u32)riscv_timebase);
	for (u32 node = fdt_next(cpus); node != FDT_NONE; node = fdt_next(node)) {
		u32 i = index_of(node);

		if (i < MAX_CPUS)
			index = i;
		if (i == 0)
			first_node = node;
		if (index < MAX_CPUS && fdt_has_string(node, "compatible", "riscv,cpu-intc"))
			controllers[index] = fdt_u32(node, "phandle", 0);
	}
}

u32 hart_of_controller(u32 phandle)
{
	for (u32 i = 0; phandle && i < arch_nr_cpus(); i++)
		if (controllers[i] == phandle)
			return i;
	return MAX_CPUS;
}

u32 hart_node(void)
{
	return first_node;
}

/* "rv64imac_zba_zbb": letters, then names, each after an underscore */
static bool isa_has(const char *isa, const char *name)
{
	size_t n = strlen(name);
	const char *p = isa + 4;

	for (; n == 1 && *p && *p != '_'; p++)
		if (*p == *name)
			return true;
	for (; n > 1 && *p; p++)
		if (*p == '_' && strlen(p + 1) >= n && !memcmp(p + 1, name, n) &&
		    (!p[n + 1] || p[n + 1] == '_'))
			return true;
	return false;
}

/* Binding riscv/extensions.yaml: the list, or the older string. */
bool hart_has(const char *extension)
{
	u32 len;
	const char *isa = fdt_prop(first_node, "riscv,isa", &len);

	if (fdt_prop(first_node, "riscv,isa-extensions", NULL))
		return fdt_has_string(first_node, "riscv,isa-extensions", extension);
	return isa && len > 4 && !isa[len - 1] && isa_has(isa, extension);
}

/* By the clock: a hint takes a nanosecond on one CPU and a trap on the other. */
void arch_pause(void)
{
	u64 ticks = riscv_timebase * PAUSE_NS / 1000000000 + 1, start = csr_read("time");

	do
		__asm__ volatile(".word 0x0100000f" : : : "memory"); /* PAUSE */
	while (csr_read("time") - start < ticks);
}

u64 arch_cycles(void)
{
	return csr_read("time");
}

bool arch_hangs(u64 since)
{
	return arch_cycles() - since > 30 * riscv_timebase;
}

/* WFI ends by what sstatus holds back too, so none is missed. */
void arch_wait(void)
{
	__asm__ volatile("wfi; csrsi sstatus, 2; csrci sstatus, 2" : : : "memory");
}

/* Without paging there is nothing to map. */
void arch_map_gib(u64 gpa)
{
	(void)gpa;
}
