/* SPDX-License-Identifier: MIT */
/*
 * The CPUs of --cpu min, v2, v3 and v4: the same list of leaves on any host, but for the vendor,
 * which decides what a guest's kernel does with MSRs, so it stays the host's.
 */
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "lkvm/util.h"
#include "platform.h"

#define LEAF_XSAVE 0xdU

/* Family 0xf, model 6: of both vendors no CPU whose kernel support expects more than it has. */
#define SIGNATURE     0x00000f61U
#define CLFLUSH_SIZE  (8U << 8) /* leaf 1, EBX: in eight bytes */
#define LAST_LEAF     LEAF_XSAVE
#define LAST_EXTENDED 0x80000008U
#define LINEAR_BITS   48U
#define PHYS_BITS     39U /* what the smallest CPUs with KVM have */

static const char *const model_names[] = {
	[X86_CPU_MIN] = "x86-64",
	[X86_CPU_V2] = "x86-64-v2",
	[X86_CPU_V3] = "x86-64-v3",
	[X86_CPU_V4] = "x86-64-v4",
};

static void set(struct kvm_cpuid2 *cpuid, const char *name, u64 value)
{
	x86_cpu_prop_set(cpuid, x86_cpu_prop_find(name, strlen(name)), value);
}

static void copy_text(struct kvm_cpuid2 *cpuid, const char *name, const struct kvm_cpuid2 *from)
{
	const struct x86_cpu_prop *prop = x86_cpu_prop_find(name, strlen(name));
	char text[X86_CPU_TEXT_MAX + 1];

	x86_cpu_prop_set_text(cpuid, prop, x86_cpu_prop_text(from, prop, text));
}

/* Sizes and offsets of components are the host's; which of them there are, cpu-xstate.c sees to. */
static void copy_xstate(struct kvm_cpuid2 *cpuid, const struct kvm_cpuid2 *from)
{
	for (u32 i = 0; i < from->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &from->entries[i];

		if (e->function != LEAF_XSAVE)
			continue;
		cpuid->entries[cpuid->nent] = *e;
		if (e->index == 1)
			cpuid->entries[cpuid->nent].eax = 0; /* XSAVEC and others: none */
		cpuid->nent++;
	}
}

struct kvm_cpuid2 *x86_cpu_level(enum x86_cpu_base base, const struct kvm_cpuid2 *supported)
{
	size_t room = supported->nent + X86_CPU_SPARE + x86_nr_cpu_props;
	struct kvm_cpuid2 *cpuid = xcalloc(1, sizeof(*cpuid) + room * sizeof(cpuid->entries[0]));
	u32 phys = x86_cpuid_phys_bits((struct kvm_cpuid2 *)supported);

	set(cpuid, "level", LAST_LEAF);
	set(cpuid, "xlevel", LAST_EXTENDED);
	copy_text(cpuid, "vendor", supported);
	set(cpuid, "fpu", 1);
	x86_cpuid_find(cpuid, 1, 0)->eax = SIGNATURE;
	x86_cpuid_find(cpuid, 1, 0)->ebx = CLFLUSH_SIZE;
	x86_cpu_prop_set_text(cpuid, x86_cpu_prop_find("model-name", 10), model_names[base]);
	set(cpuid, "phys-bits", MIN(phys, PHYS_BITS));
	set(cpuid, "linear-bits", LINEAR_BITS);
	set(cpuid, "hypervisor-level", 0x40000001);
	copy_text(cpuid, "hypervisor-id", supported);
	if (x86_cpu_level_has(base, x86_cpu_prop_find("xsave", 5)))
		copy_xstate(cpuid, supported);
	for (size_t i = 0; i < x86_nr_cpu_props; i++)
		if (x86_cpu_props[i].type == X86_PROP_FLAG &&
		    x86_cpu_level_has(base, &x86_cpu_props[i]))
			x86_cpu_prop_set(cpuid, &x86_cpu_props[i], 1);
	return cpuid;
}
