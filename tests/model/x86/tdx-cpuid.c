/* SPDX-License-Identifier: MIT */
/* The part of a TD's CPUID that INIT_VM chooses (Linux 7.3, tdx.c: setup_tdparams_cpuids). */
#include <stdlib.h>

#include "tdx.h"

#define SIZE_LEAF   0x80000008U
#define HLE_RTM	    (1U << 4 | 1U << 11)
#define WAITPKG	    (1U << 5)
#define BAD_OPERAND 0xc000010000000000ULL /* TDX_OPERAND_INVALID; the operand's number below */
#define OPERAND_CPU 0x44
#define INDEXED	    KVM_CPUID_FLAG_SIGNIFCANT_INDEX
#define NO_INDEX    0U

/* A set bit may be chosen; what KVM_TDX_CAPABILITIES tells. */
static const struct choice {
	u32 leaf, index, flags, regs[4];
} choices[] = {
	{ 0x1, 0, NO_INDEX, { 0x0fff3fff, 0x00ff0000, 0x31044988, 0x00400000 } },
	{ 0x4, 0, INDEXED, { 0xffffc3ff, 0xffffffff, 0xffffffff, 0x00000007 } },
	{ 0x4, 1, INDEXED, { 0xffffc3ff, 0xffffffff, 0xffffffff, 0x00000007 } },
	{ 0x4, 2, INDEXED, { 0xffffc3ff, 0xffffffff, 0xffffffff, 0x00000007 } },
	{ 0x4, 3, INDEXED, { 0xffffc3ff, 0xffffffff, 0xffffffff, 0x00000007 } },
	{ 0x7, 0, INDEXED, { 0x00000000, 0xd02b9b18, 0x02417d64, 0xbc004410 } },
	{ 0x7, 1, INDEXED, { 0x00001c30, 0x00000000, 0x00000000, 0x00000000 } },
	{ 0x1f, 0, INDEXED, { 0x0000001f, 0x0000ffff, 0x0000ff00, 0x00000000 } },
	{ 0x1f, 1, INDEXED, { 0x0000001f, 0x0000ffff, 0x0000ff00, 0x00000000 } },
	{ SIZE_LEAF, 0, NO_INDEX, { 0x00ff0000, 0x00000200, 0x00000000, 0x00000000 } },
};

static struct kvm_cpuid_entry2 entry_of(const struct choice *c)
{
	return (struct kvm_cpuid_entry2){
		.function = c->leaf,
		.index = c->index,
		.flags = c->flags,
		.eax = c->regs[0],
		.ebx = c->regs[1],
		.ecx = c->regs[2],
		.edx = c->regs[3],
	};
}

/* The size is not told: nent is not written back then. */
long tdx_write_caps(u64 at, u64 head_len)
{
	struct kvm_cpuid2 head;

	if (model_read(&head, at + head_len, sizeof(head)))
		return -EFAULT;
	if (head.nent < MODEL_ARRAY(choices))
		return -E2BIG;
	head = (struct kvm_cpuid2){ .nent = MODEL_ARRAY(choices) };
	if (model_write(at + head_len, &head, sizeof(head)))
		return -EFAULT;
	for (u32 i = 0; i < MODEL_ARRAY(choices); i++) {
		struct kvm_cpuid_entry2 e = entry_of(&choices[i]);

		if (model_write(at + head_len + sizeof(head) + i * sizeof(e), &e, sizeof(e)))
			return -EFAULT;
	}
	return 0;
}

static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid_entry2 *all, u32 n, u32 leaf,
					   u32 index)
{
	for (u32 i = 0; i < n; i++)
		if (all[i].function == leaf && all[i].index == index)
			return &all[i];
	return NULL;
}

static long check_size(const struct kvm_cpuid_entry2 *size, u32 *gpaw)
{
	if (!size)
		return model_broken(-EINVAL, "INIT_VM: CPUID lacks leaf 0x%x", SIZE_LEAF);
	*gpaw = size->eax >> 16 & 0xff;
	if (*gpaw != 48 && *gpaw != 52)
		return model_broken(-EINVAL, "INIT_VM: CPUID: %u bits of guest address", *gpaw);
	if (*gpaw == 52 && !tdx.five_levels)
		return model_refused(-EINVAL, "INIT_VM: 52 bits of address need 5 levels of EPT");
	return 0;
}

static long check_forbidden(const struct kvm_cpuid_entry2 *all, u32 n)
{
	const struct kvm_cpuid_entry2 *features = find(all, n, 7, 0);

	if (features && (features->ebx & HLE_RTM || features->ecx & WAITPKG))
		return model_broken(-EINVAL, "INIT_VM: CPUID has TSX or WAITPKG");
	return 0;
}

long tdx_take_cpuid(struct tdx_vm *td, const struct kvm_cpuid_entry2 *all, u32 n, u64 *hw_error)
{
	long ret = check_size(find(all, n, SIZE_LEAF, 0), &td->gpaw);
	u32 matched = 0;
	bool beyond = false;

	if (!ret)
		ret = check_forbidden(all, n);
	if (ret)
		return ret;
	for (u32 i = 0; i < MODEL_ARRAY(choices); i++) {
		const struct choice *c = &choices[i];
		const struct kvm_cpuid_entry2 *e = find(all, n, c->leaf, c->index);

		if (!e)
			continue;
		beyond |= (e->eax & ~c->regs[0]) || (e->ebx & ~c->regs[1]) ||
			  (e->ecx & ~c->regs[2]) || (e->edx & ~c->regs[3]);
		td->leaves[matched++] =
			(struct tdx_leaf){ c->leaf, c->index, { e->eax, e->ebx, e->ecx, e->edx } };
	}
	if (matched != n)
		return model_broken(-EINVAL, "INIT_VM: CPUID: %u of %u leaves may be chosen",
				    matched, n);
	td->nr_leaves = matched;
	if (beyond && !tdx.lax) {
		*hw_error = BAD_OPERAND | OPERAND_CPU;
		return model_broken(-EINVAL, "INIT_VM: CPUID has bits that may not be chosen");
	}
	return 0;
}

static const struct choice *find_choice(const struct kvm_cpuid_entry2 *e)
{
	for (u32 i = 0; i < MODEL_ARRAY(choices); i++)
		if (choices[i].leaf == e->function && choices[i].index == e->index)
			return &choices[i];
	return NULL;
}

/* What the TD sees: the CPU's own bits, but for those that INIT_VM chose. */
static struct kvm_cpuid_entry2 view(const struct tdx_vm *td, struct kvm_cpuid_entry2 e)
{
	static const u32 zeros[4];
	const struct choice *c = find_choice(&e);
	const u32 *chosen = zeros;

	if (!c)
		return e;
	for (u32 i = 0; i < td->nr_leaves; i++)
		if (td->leaves[i].leaf == e.function && td->leaves[i].index == e.index)
			chosen = td->leaves[i].regs;
	e.eax = (e.eax & ~c->regs[0]) | chosen[0];
	e.ebx = (e.ebx & ~c->regs[1]) | chosen[1];
	e.ecx = (e.ecx & ~c->regs[2]) | chosen[2];
	e.edx = (e.edx & ~c->regs[3]) | chosen[3];
	return e;
}

/* The hypervisor's leaves are KVM's, not the module's. */
static bool is_module(const struct kvm_cpuid_entry2 *e)
{
	return e->function >> 28 != 4;
}

long tdx_get_cpuid(const struct tdx_vm *td, u64 at)
{
	u32 n, room, wanted = 0;
	const struct kvm_cpuid_entry2 *all = x86_intel_cpuid(&n);
	struct kvm_cpuid2 head;

	if (model_read(&head, at, sizeof(head)))
		return -EFAULT;
	room = head.nent;
	for (u32 i = 0; i < n; i++)
		wanted += is_module(&all[i]);
	head.nent = wanted;
	if (model_write(at, &head, sizeof(head)))
		return -EFAULT;
	if (room < wanted)
		return -E2BIG;
	at += sizeof(head);
	for (u32 i = 0; i < n; i++) {
		struct kvm_cpuid_entry2 e = view(td, all[i]);

		if (!is_module(&e))
			continue;
		if (model_write(at, &e, sizeof(e)))
			return -EFAULT;
		at += sizeof(e);
	}
	return 0;
}
