/* SPDX-License-Identifier: MIT */
/* arm64 guests: the CPUs that the tree has, this one first; the others are started by PSCI. */
#include "arm.h"

/* DEN0022F, 5.2.2 */
#define PSCI_SUCCESS 0

static u64 affinities[MAX_CPUS];
static u32 nr_cpus;
static u64 entry;
static void (*secondary_fn)(u32 index);
static u32 secondaries;

void arm_secondary(u32 index);

void cpus_init(u64 secondary_entry)
{
	u64 me = arm_affinity();

	entry = secondary_entry;
	affinities[0] = me;
	nr_cpus = 1;
	for (u32 n = 0, node; (node = fdt_find("device_type", "cpu", n)) != FDT_NONE; n++) {
		u32 len;
		const void *p = fdt_prop(node, "reg", &len);
		u64 affinity;

		if (!p || len < 4)
			continue;
		affinity = len < 8 ? fdt_cell(p, 0) : fdt_cells(p, 0);
		if (affinity != me && nr_cpus < MAX_CPUS)
			affinities[nr_cpus++] = affinity;
	}
}

u32 arch_nr_cpus(void)
{
	return nr_cpus;
}

void arm_secondary(u32 index)
{
	gic_cpu_init(index);
	atomic_add(&secondaries, 1);
	secondary_fn(index);
}

u32 arch_start_cpus(void (*fn)(u32 index))
{
	secondary_fn = fn;
	dsb();
	for (u32 i = 1; i < nr_cpus; i++) {
		u32 wanted = atomic_read(&secondaries) + 1;
		u64 start;
		long ret = arm_psci(PSCI_CPU_ON, affinities[i], entry, i);

		if (ret != PSCI_SUCCESS) {
			print("cpu %lx does not start: PSCI says %d\n", affinities[i], (int)ret);
			continue;
		}
		for (start = arch_cycles(); atomic_read(&secondaries) < wanted && !arch_hangs(start);)
			arch_pause();
		if (atomic_read(&secondaries) < wanted)
			print("cpu %lx does not start\n", affinities[i]);
	}
	return atomic_read(&secondaries);
}
