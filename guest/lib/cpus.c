/* SPDX-License-Identifier: MIT */
/*
 * The CPUs that a device tree has, the one that reads it first. Firmware starts the others by the
 * id in their node's "reg".
 */
#include "guest.h"

static u64 ids[GUEST_MAX_CPUS];
static u32 nr_cpus;
static void (*secondary_fn)(u32 index);
static u32 secondaries;

void cpus_read(void)
{
	u64 me = arch_cpu_id();

	ids[0] = me;
	nr_cpus = 1;
	for (u32 n = 0, node; (node = fdt_find("device_type", "cpu", n)) != FDT_NONE; n++) {
		u64 id;

		if (fdt_number(node, "reg", &id) && id != me && nr_cpus < GUEST_MAX_CPUS)
			ids[nr_cpus++] = id;
	}
}

u64 cpus_id(u32 index)
{
	return ids[index];
}

u32 arch_nr_cpus(void)
{
	return nr_cpus;
}

void cpus_secondary(u32 index)
{
	arch_cpu_init(index);
	atomic_add(&secondaries, 1);
	secondary_fn(index);
}

u32 arch_start_cpus(void (*fn)(u32 index))
{
	u32 before = atomic_read(&secondaries);

	secondary_fn = fn;
	for (u32 i = 1; i < nr_cpus; i++) {
		u32 wanted = atomic_read(&secondaries) + 1;
		u64 start;
		long ret = arch_cpu_start(ids[i], i);

		if (ret) {
			print("cpu %lx does not start: firmware says %d\n", ids[i], (int)ret);
			continue;
		}
		for (start = arch_cycles();
		     atomic_read(&secondaries) < wanted && !arch_hangs(start);)
			arch_pause();
		if (atomic_read(&secondaries) < wanted)
			print("cpu %lx does not start\n", ids[i]);
	}
	return atomic_read(&secondaries) - before;
}
