/* SPDX-License-Identifier: MIT */
/* This host's own CPUID, for telling what KVM withholds from what the CPU does not have. */
#include "cpu.h"

#include <cpuid.h>

#include "lkvm/util.h"

struct kvm_cpuid2 *x86_cpu_hardware(void)
{
	struct kvm_cpuid2 *cpuid =
		xcalloc(1, sizeof(*cpuid) + x86_nr_cpu_props * sizeof(cpuid->entries[0]));

	for (size_t i = 0; i < x86_nr_cpu_props; i++) {
		const struct x86_cpu_prop *p = &x86_cpu_props[i];
		struct kvm_cpuid_entry2 *e = &cpuid->entries[cpuid->nent];
		bool known = x86_cpu_prop_is_kvms(p);

		for (u32 k = 0; k < cpuid->nent && !known; k++)
			known = cpuid->entries[k].function == p->leaf &&
				cpuid->entries[k].index == p->index;
		if (known ||
		    !__get_cpuid_count(p->leaf, p->index, &e->eax, &e->ebx, &e->ecx, &e->edx))
			continue;
		e->function = p->leaf;
		e->index = p->index;
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		cpuid->nent++;
	}
	return cpuid;
}

const char *x86_cpu_missing(const struct x86_cpu_prop *prop, const struct kvm_cpuid2 *hardware)
{
	if (x86_cpu_prop_is_kvms(prop))
		return "this KVM does not have it";
	if (x86_cpu_prop_get(hardware, prop))
		return "the CPU has it, KVM does not pass it on";
	return "not in this CPU";
}
