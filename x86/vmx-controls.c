/* SPDX-License-Identifier: MIT */
/*
 * The VMX capability MSRs (Intel SDM volume 3, appendix A). An MSR of controls has two halves: bit
 * N of the low one says that control N must be 1 (its allowed 0-setting is 1), bit 32 + N that it
 * may be 1. A control is switched off by taking back that it may be 1. Controls of the default1
 * class are 1 on a CPU that does not know them; there the feature is that they may be 0, and it is
 * switched off by demanding 1. That is told in the TRUE_ MSRs alone: the others always demand 1
 * (A.2), and KVM makes them of the TRUE_ ones.
 */
#include "nested.h"

/* What an MSR's bits mean. */
enum msr_kind {
	KIND_BITS,   /* a bit is a capability; of newer controls: that it may be 1 (A.3.4, A.4.2) */
	KIND_HALVES, /* A.3.1 to A.3.3, A.4.1, A.5 */
	KIND_FIXED0, /* a bit that is 1 must be 1 (A.7, A.8) */
};

static const struct {
	u32 msr;
	const char *name;
	enum msr_kind kind;
	u32 default1; /* A.3.1, A.3.2, A.4.1, A.5 */
} msrs[] = {
	{ MSR_VMX_BASIC, "IA32_VMX_BASIC", KIND_BITS, 0 },
	{ MSR_VMX_MISC, "IA32_VMX_MISC", KIND_BITS, 0 },
	{ MSR_VMX_CR0_FIXED0, "IA32_VMX_CR0_FIXED0", KIND_FIXED0, 0 },
	{ MSR_VMX_CR4_FIXED0, "IA32_VMX_CR4_FIXED0", KIND_FIXED0, 0 },
	{ MSR_VMX_PROCBASED_CTLS2, "IA32_VMX_PROCBASED_CTLS2", KIND_HALVES, 0 },
	{ MSR_VMX_EPT_VPID_CAP, "IA32_VMX_EPT_VPID_CAP", KIND_BITS, 0 },
	{ MSR_VMX_TRUE_PINBASED, "IA32_VMX_TRUE_PINBASED_CTLS", KIND_HALVES, 0x00000016 },
	{ MSR_VMX_TRUE_PROCBASED, "IA32_VMX_TRUE_PROCBASED_CTLS", KIND_HALVES, 0x0401e172 },
	{ MSR_VMX_TRUE_EXIT, "IA32_VMX_TRUE_EXIT_CTLS", KIND_HALVES, 0x00036dff },
	{ MSR_VMX_TRUE_ENTRY, "IA32_VMX_TRUE_ENTRY_CTLS", KIND_HALVES, 0x000011ff },
	{ MSR_VMX_VMFUNC, "IA32_VMX_VMFUNC", KIND_BITS, 0 },
	{ MSR_VMX_PROCBASED_CTLS3, "IA32_VMX_PROCBASED_CTLS3", KIND_BITS, 0 },
	{ MSR_VMX_EXIT_CTLS2, "IA32_VMX_EXIT_CTLS2", KIND_BITS, 0 },
};

static size_t find_msr(u32 msr)
{
	size_t i = 0;

	while (i < ARRAY_SIZE(msrs) && msrs[i].msr != msr)
		i++;
	return i;
}

const char *x86_vmx_msr_name(u32 msr)
{
	size_t i = find_msr(msr);

	return i < ARRAY_SIZE(msrs) ? msrs[i].name : NULL;
}

/* Rows name MSRs of the table. */
static enum msr_kind kind_of(const struct x86_nested_feature *f)
{
	size_t i = find_msr(f->msr);

	return i < ARRAY_SIZE(msrs) ? msrs[i].kind : KIND_BITS;
}

static bool is_default1(const struct x86_nested_feature *f)
{
	size_t i = find_msr(f->msr);

	return i < ARRAY_SIZE(msrs) && f->bit < 32 && msrs[i].default1 & BIT(f->bit);
}

bool x86_vmx_has(const struct x86_nested_feature *f, u64 value)
{
	u64 bit = BIT_ULL(f->bit);

	if (kind_of(f) == KIND_FIXED0)
		return !(value & bit);
	if (kind_of(f) == KIND_BITS)
		return value & bit;
	return is_default1(f) ? !(value & bit) : value & bit << 32;
}

void x86_vmx_without(const struct x86_nested_feature *f, u64 *clear, u64 *set)
{
	u64 bit = BIT_ULL(f->bit);

	*clear = 0;
	*set = 0;
	if (kind_of(f) == KIND_FIXED0 || is_default1(f))
		*set = bit;
	else
		*clear = kind_of(f) == KIND_HALVES ? bit << 32 : bit;
}

bool x86_vmx_may_lack(const struct x86_nested_feature *f, u64 value)
{
	return kind_of(f) != KIND_HALVES || is_default1(f) || !(value & BIT_ULL(f->bit));
}
