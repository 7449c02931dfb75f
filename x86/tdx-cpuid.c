/* SPDX-License-Identifier: MIT */
/*
 * CPUID of trust domains. The TDX module makes it: some bits are the CPU's, some are fixed, and KVM
 * says which are the VMM's to choose (TDX module ABI, CPUID virtualization). Leaves that the module
 * does not know are KVM's, which the guest asks by TDG.VP.VMCALL.
 */
#include <stdlib.h>

#include "platform.h"
#include "tdx.h"

#define LEAF_FEATURES	0x7U
#define LEAF_XSAVE	0xdU
#define LEAF_ADDRESSES	0x80000008U
#define LEAF_KVM	0x40000000U
#define LEAF_KVM_LAST	0x400000ffU
#define LEAF_PV_FEATURE 0x40000001U

/* Leaf 7: what KVM refuses in INIT_VM (tdx_clear_unsupported_cpuid of Linux'
 * arch/x86/kvm/vmx/tdx.c). */
#define LEAF7_EBX_TSX	  (BIT(4) | BIT(11))
#define LEAF7_ECX_WAITPKG BIT(5)

/* Leaf 0x80000008, EAX 23:16: GuestPhysAddrSize, which stands for GPAW here. */
#define GUEST_BITS_SHIFT 16
#define GUEST_BITS_MASK	 (0xffU << GUEST_BITS_SHIFT)

/*
 * Of KVM's paravirtual features those that need no memory that KVM writes to: the guest's is its
 * own. NOP_IO_DELAY, PV_UNHALT, PV_SEND_IPI, PV_SCHED_YIELD, MSI_EXT_DEST_ID (Linux
 * Documentation/virt/kvm/x86/cpuid.rst).
 */
#define PV_FEATURES (BIT(1) | BIT(7) | BIT(11) | BIT(13) | BIT(15))

static bool has_index(const struct kvm_cpuid_entry2 *e)
{
	return e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
}

static bool is_same(const struct kvm_cpuid_entry2 *a, const struct kvm_cpuid_entry2 *b)
{
	u32 x = has_index(a) ? a->index : 0, y = has_index(b) ? b->index : 0;

	return a->function == b->function && x == y;
}

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid2 *cpuid,
					   const struct kvm_cpuid_entry2 *like)
{
	for (u32 i = 0; i < cpuid->nent; i++)
		if (is_same(&cpuid->entries[i], like))
			return &cpuid->entries[i];
	return NULL;
}

static struct kvm_cpuid2 *new_list(u32 nent)
{
	return calloc(1, sizeof(struct kvm_cpuid2) + nent * sizeof(struct kvm_cpuid_entry2));
}

/* @e is what may be chosen of the leaf, and becomes what is. */
static void choose(struct kvm_cpuid_entry2 *e, const struct kvm_cpuid_entry2 *wanted)
{
	static const struct kvm_cpuid_entry2 nothing;
	const struct kvm_cpuid_entry2 *w = wanted ? wanted : &nothing;

	e->eax &= w->eax;
	e->ebx &= w->ebx;
	e->ecx &= w->ecx;
	e->edx &= w->edx;
	if (e->function == LEAF_FEATURES && !e->index) {
		e->ebx &= ~LEAF7_EBX_TSX;
		e->ecx &= ~LEAF7_ECX_WAITPKG;
	}
	if (e->function == LEAF_ADDRESSES)
		e->eax = (e->eax & ~GUEST_BITS_MASK) | X86_TDX_GPA_BITS << GUEST_BITS_SHIFT;
}

int x86_tdx_cpuid_config(const struct kvm_cpuid2 *wanted, const struct kvm_cpuid2 *configurable,
			 struct kvm_cpuid2 **out)
{
	struct kvm_cpuid2 *cpuid = new_list(configurable->nent);
	bool has_addresses = false;

	if (!cpuid)
		return -ENOMEM;
	for (u32 i = 0; i < configurable->nent; i++) {
		const struct kvm_cpuid_entry2 *may = &configurable->entries[i];

		/* KVM counts, and takes none twice. */
		if (find(cpuid, may))
			continue;
		has_addresses |= may->function == LEAF_ADDRESSES;
		cpuid->entries[cpuid->nent] = *may;
		choose(&cpuid->entries[cpuid->nent++], find(wanted, may));
	}
	if (!has_addresses) {
		free(cpuid);
		return -EINVAL;
	}
	*out = cpuid;
	return 0;
}

static bool is_kvms(const struct kvm_cpuid_entry2 *e)
{
	return e->function >= LEAF_KVM && e->function <= LEAF_KVM_LAST;
}

int x86_tdx_cpuid_vcpu(const struct kvm_cpuid2 *wanted, const struct kvm_cpuid2 *module,
		       struct kvm_cpuid2 **out)
{
	struct kvm_cpuid2 *cpuid = new_list(wanted->nent + module->nent);

	if (!cpuid)
		return -ENOMEM;
	for (u32 i = 0; i < module->nent; i++)
		if (!is_kvms(&module->entries[i]))
			cpuid->entries[cpuid->nent++] = module->entries[i];
	for (u32 i = 0; i < wanted->nent; i++) {
		struct kvm_cpuid_entry2 e = wanted->entries[i];

		if (find(cpuid, &e))
			continue;
		if (e.function == LEAF_PV_FEATURE)
			e.eax &= PV_FEATURES;
		cpuid->entries[cpuid->nent++] = e;
	}
	*out = cpuid;
	return 0;
}

u64 x86_tdx_cpuid_xfam(const struct kvm_cpuid2 *cpuid)
{
	u64 xfam = 0;

	for (u32 i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == LEAF_XSAVE && e->index == 0)
			xfam |= e->eax | (u64)e->edx << 32;
		else if (e->function == LEAF_XSAVE && e->index == 1)
			xfam |= e->ecx | (u64)e->edx << 32;
	}
	return xfam;
}
