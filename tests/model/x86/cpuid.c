/* SPDX-License-Identifier: MIT */
/*
 * CPUID of the emulated host as KVM_GET_SUPPORTED_CPUID tells it: a server of AMD for SNP, of Intel
 * for TDX (AMD APM volume 3, appendix E; Intel SDM volume 2, CPUID). The same on every machine.
 */
#include "state.h"

#define INDEXED KVM_CPUID_FLAG_SIGNIFCANT_INDEX

static const struct kvm_cpuid_entry2 amd[] = {
	{ 0x0, 0, 0, 0x10, 0x68747541, 0x444d4163, 0x69746e65, { 0 } },
	{ 0x1, 0, 0, 0x00a10f11, 0x00000800, 0xfffa3203, 0x178bfbff, { 0 } },
	{ 0x6, 0, 0, 0x4, 0, 0, 0, { 0 } },
	{ 0x7, 0, INDEXED, 0x1, 0xf1bf97a9, 0x00415fce, 0x90000010, { 0 } },
	{ 0x7, 1, INDEXED, 0x20, 0, 0, 0, { 0 } },
	{ 0xb, 0, INDEXED, 0, 1, 0x100, 0, { 0 } },
	{ 0xb, 1, INDEXED, 7, 1, 0x201, 0, { 0 } },
	{ 0xd, 0, INDEXED, 0x7, 0x340, 0x340, 0, { 0 } },
	{ 0xd, 1, INDEXED, 0xf, 0x340, 0, 0, { 0 } },
	{ 0xd, 2, INDEXED, 0x100, 0x240, 0, 0, { 0 } },
	{ 0x40000000, 0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d, { 0 } },
	{ 0x40000001, 0, 0, 0x01007efb, 0, 0, 0, { 0 } },
	{ 0x80000000, 0, 0, 0x80000021, 0x68747541, 0x444d4163, 0x69746e65, { 0 } },
	{ 0x80000001, 0, 0, 0x00a10f11, 0x40000000, 0x004003f3, 0x2fd3fbff, { 0 } },
	{ 0x80000002, 0, 0, 0x65646f4d, 0x666f206c, 0x4d564b20, 0x6e61202c, { 0 } },
	{ 0x80000003, 0, 0, 0x444d4120, 0x72657320, 0x00726576, 0x00000000, { 0 } },
	{ 0x80000004, 0, 0, 0x00000000, 0x00000000, 0x00000000, 0x00000000, { 0 } },
	{ 0x80000005, 0, 0, 0xff40ff40, 0xff40ff40, 0x20080140, 0x20080140, { 0 } },
	{ 0x80000006, 0, 0, 0x5c002200, 0x6c004200, 0x04006140, 0x00009140, { 0 } },
	{ 0x80000007, 0, 0, 0, 0, 0, 0x100, { 0 } },
	{ 0x80000008, 0, 0, 0x00003034, 0x0110f20d, 0, 0, { 0 } },
	{ 0x8000001f, 0, 0, 0x0000001a, 0x00000173, 0, 0, { 0 } },
	{ 0x80000021, 0, 0, 0x00000a45, 0, 0, 0, { 0 } },
};

static const struct kvm_cpuid_entry2 intel[] = {
	{ 0x0, 0, 0, 0x20, 0x756e6547, 0x6c65746e, 0x49656e69, { 0 } },
	{ 0x1, 0, 0, 0x000806f8, 0x00000800, 0xfffa3203, 0x1f8bfbff, { 0 } },
	{ 0x4, 0, INDEXED, 0x1c004121, 0x02c0003f, 0x0000003f, 0x0, { 0 } },
	{ 0x4, 1, INDEXED, 0x1c004122, 0x01c0003f, 0x0000003f, 0x0, { 0 } },
	{ 0x4, 2, INDEXED, 0x1c004143, 0x03c0003f, 0x000007ff, 0x0, { 0 } },
	{ 0x4, 3, INDEXED, 0x1c03c163, 0x0380003f, 0x0000ffff, 0x4, { 0 } },
	{ 0x7, 0, INDEXED, 0x2, 0xf1bf2ffb, 0x1b415f6e, 0xbc814410, { 0 } },
	{ 0xb, 0, INDEXED, 0, 1, 0x100, 0, { 0 } },
	{ 0xb, 1, INDEXED, 7, 1, 0x201, 0, { 0 } },
	{ 0xd, 0, INDEXED, 0x7, 0x340, 0x340, 0, { 0 } },
	{ 0xd, 1, INDEXED, 0xf, 0x340, 0, 0, { 0 } },
	{ 0xd, 2, INDEXED, 0x100, 0x240, 0, 0, { 0 } },
	{ 0x1f, 0, INDEXED, 0, 1, 0x100, 0, { 0 } },
	{ 0x1f, 1, INDEXED, 7, 1, 0x201, 0, { 0 } },
	{ 0x40000000, 0, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d, { 0 } },
	{ 0x40000001, 0, 0, 0x01007efb, 0, 0, 0, { 0 } },
	{ 0x80000000, 0, 0, 0x80000008, 0, 0, 0, { 0 } },
	{ 0x80000001, 0, 0, 0, 0, 0x121, 0x2c100800, { 0 } },
	{ 0x80000007, 0, 0, 0, 0, 0, 0x100, { 0 } },
	{ 0x80000008, 0, 0, 0x00003934, 0x0100d200, 0, 0, { 0 } },
};

const struct kvm_cpuid_entry2 *x86_intel_cpuid(u32 *n)
{
	*n = MODEL_ARRAY(intel);
	return intel;
}

long x86_supported_cpuid(struct model_call *c)
{
	bool is_intel = !strcmp(model.kind->name, "tdx");
	const struct kvm_cpuid_entry2 *all = is_intel ? intel : amd;
	struct kvm_cpuid2 head;
	u32 n = is_intel ? MODEL_ARRAY(intel) : MODEL_ARRAY(amd);

	if (model_read(&head, c->arg, sizeof(head)))
		return -EFAULT;
	if (head.nent < n)
		return -E2BIG;
	head.nent = n;
	if (model_write(c->arg, &head, sizeof(head)) ||
	    model_write(c->arg + sizeof(head), all, n * sizeof(*all)))
		return -EFAULT;
	return 0;
}
