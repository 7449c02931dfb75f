/* SPDX-License-Identifier: MIT */
/*
 * CPUID's leaf 0xd: the components of XSAVE that a guest has, and the room that they take (Intel
 * SDM volume 1, 13.2).
 */
#include "cpu.h"
#include "lkvm/util.h"
#include "platform.h"

#define LEAF	      0xdU
#define LEGACY_SIZE   576U /* x87, SSE and the header (13.4.1 and 13.4.2) */
#define X87_AND_SSE   3ULL
#define MAX_COMPONENT 63U

static const struct x86_cpu_prop *mask_prop(bool xss)
{
	return xss ? x86_cpu_prop_find("xss", 3) : x86_cpu_prop_find("xcr0", 4);
}

/* What keeps no feature of @cpuid; of those that are not in the table, nothing is known. */
static u64 unused(const struct kvm_cpuid2 *cpuid, const struct x86_cpu_model *model,
		  const bool *removed, bool xss)
{
	u64 used = 0, owned = 0;

	for (size_t i = 0; i < x86_nr_cpu_props; i++) {
		const struct x86_cpu_prop *prop = &x86_cpu_props[i];
		bool is_xss;
		u64 parts = x86_cpu_components(prop, &is_xss);

		if (is_xss != xss)
			continue;
		if (x86_cpu_prop_get(cpuid, prop))
			used |= parts;
		else if (removed[i] || model->base != X86_CPU_HOST)
			owned |= parts;
	}
	if (model->base != X86_CPU_HOST)
		return ~used & ~(xss ? 0 : X87_AND_SSE);
	return owned & ~used;
}

static void fit_mask(struct kvm_cpuid2 *cpuid, const struct x86_cpu_model *model,
		     const bool *removed, bool xss)
{
	const struct x86_cpu_prop *prop = mask_prop(xss), *xsaves = x86_cpu_prop_find("xsaves", 6);
	const struct x86_cpu_word *word = x86_cpu_model_word(model, prop);
	u64 mask = x86_cpu_prop_get(cpuid, prop) & ~unused(cpuid, model, removed, xss);

	if (word)
		mask = word->value;
	else if (xss && !x86_cpu_prop_get(cpuid, xsaves))
		mask = 0;
	x86_cpu_prop_set(cpuid, prop, mask);
}

static u32 component_end(struct kvm_cpuid2 *cpuid, u32 i)
{
	const struct kvm_cpuid_entry2 *e = x86_cpuid_find(cpuid, LEAF, i);

	return e ? e->eax + e->ebx : 0;
}

void x86_cpu_fit_xstate(struct kvm_cpuid2 *cpuid, const struct x86_cpu_model *model,
			const bool *removed)
{
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(cpuid, LEAF, 0);
	u32 size = LEGACY_SIZE, n = 0;
	u64 xcr0, all;

	if (!e)
		return;
	fit_mask(cpuid, model, removed, false);
	fit_mask(cpuid, model, removed, true);
	xcr0 = x86_cpu_prop_get(cpuid, mask_prop(false));
	all = xcr0 | x86_cpu_prop_get(cpuid, mask_prop(true));
	for (u32 i = 2; i <= MAX_COMPONENT; i++)
		if (xcr0 & BIT_ULL(i))
			size = MAX(size, component_end(cpuid, i));
	/* Room for what XCR0 has, which is x87 at reset, and for what it may have. KVM keeps the
	 * first, and that of XSAVES, up to date. */
	e->ebx = LEGACY_SIZE;
	e->ecx = size;
	for (u32 i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *from = &cpuid->entries[i];

		if (from->function == LEAF && from->index >= 2 &&
		    (from->index > MAX_COMPONENT || !(all & BIT_ULL(from->index))))
			continue;
		cpuid->entries[n++] = *from;
	}
	cpuid->nent = n;
}
