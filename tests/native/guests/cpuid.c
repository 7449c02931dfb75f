/* SPDX-License-Identifier: MIT */
/*
 * What CPUID says: leaves on the first CPU, "leaf 80000008.0 EAX EBX ECX EDX"; ids on each, by leaf
 * 1, by leaf 0xb, and that of the local APIC itself.
 */
#include "x86.h"

static void show(u32 leaf, u32 index)
{
	u32 r[4];

	cpuid_index(leaf, index, r);
	print("leaf %x.%x %x %x %x %x\n", leaf, index, r[0], r[1], r[2], r[3]);
}

static u32 done;

static void ids(u32 index)
{
	u32 r[4], first;

	cpuid(1, r);
	first = r[1] >> 24;
	cpuid(0xb, r);
	print("cpu ids %u %u %u\n", first, r[3], lapic_id());
	atomic_add(&done, 1);
}

int guest_main(void)
{
	static const u32 leaves[] = { 0,	  1,	      0xa,	  0x15,
				      0x16,	  0x40000000, 0x40000001, 0x40000010,
				      0x80000000, 0x80000001, 0x80000002, 0x80000003,
				      0x80000004, 0x80000007, 0x80000008, 0x8000001e };
	u32 others;

	for (u32 i = 0; i < ARRAY_SIZE(leaves); i++)
		show(leaves[i], 0);
	for (u32 i = 0; i < 4; i++) {
		show(0xb, i);
		show(0x1f, i);
	}
	others = arch_start_cpus(ids);
	ids(0);
	while (atomic_read(&done) < others + 1)
		arch_pause();
	print("%u of %u cpus\n", others + 1, arch_nr_cpus());
	return others + 1 == arch_nr_cpus() ? 0 : 1;
}
