/* SPDX-License-Identifier: MIT */
/*
 * What an SNP guest believes of CPUID: a page that the firmware compares with the CPU before the
 * guest is launched (SNP firmware ABI 56860, 8.17.2.6 CPUID page; PPR of the CPU, "CPUID policy
 * enforcement"). It is given what the vcpus are given, without what the firmware is known to
 * refuse.
 */
#include <cpuid.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "platform.h"
#include "snp.h"

#define LEAF_ENCRYPTION 0x8000001fU /* APM volume 3, E.4.17 */
#define ENCRYPTION_SEV	BIT(1)
#define ENCRYPTION_ES	BIT(3)
#define ENCRYPTION_SNP	BIT(4)
#define C_BIT_MASK	0x3fU
#define LEAF_XSAVE	0xdU
#define XSAVE_LEGACY	0x240U /* bytes for XCR0 = 1: the legacy region and the header */

_Static_assert(sizeof(struct snp_cpuid_page) == 4096, "a page");

/* Bits that KVM offers on top of what the CPU has, or that the firmware wants to be 0. */
struct filter {
	u32 leaf, index;
	u32 eax, ebx, ecx, edx; /* cleared */
};

static const struct filter filters[] = {
	{ 0x1, 0, .ecx = BIT(24) },			     /* TSC deadline timer */
	{ 0x7, 0, .ebx = BIT(1), .edx = UINT32_MAX },	     /* TSC_ADJUST; speculation controls */
	{ 0x80000008, 0, .ebx = BIT(25) },		     /* VIRT_SSBD */
	{ 0x80000021, 0, .eax = BIT(9), .ecx = UINT32_MAX }, /* NO_SMM_CTL_MSR */
};

int x86_snp_check_c_bit(struct kvm_cpuid2 *supported)
{
	const struct kvm_cpuid_entry2 *e = x86_cpuid_find(supported, LEAF_ENCRYPTION, 0);
	u32 eax, ebx = e ? e->ebx : 0, ecx, edx;

	if (!(ebx & C_BIT_MASK) && !__get_cpuid_count(LEAF_ENCRYPTION, 0, &eax, &ebx, &ecx, &edx))
		ebx = 0;
	/* Where nobody says it, it is where it always is. */
	if (!(ebx & C_BIT_MASK) || (ebx & C_BIT_MASK) == SNP_C_BIT)
		return 0;
	err("--snp: on this CPU bit %u of an address makes a page private, and a guest without "
	    "firmware needs bit %u; use firmware (-f FILE)",
	    ebx & C_BIT_MASK, SNP_C_BIT);
	return -EOPNOTSUPP;
}

int x86_snp_add_leaf(struct kvm_cpuid2 **cpuid)
{
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(*cpuid, LEAF_ENCRYPTION, 0), *range;
	u32 c_bit = e && e->ebx & C_BIT_MASK ? e->ebx & C_BIT_MASK : SNP_C_BIT;

	if (!e) {
		u32 nent = (*cpuid)->nent + 1;
		void *more = realloc(*cpuid, sizeof(**cpuid) + nent * sizeof(*e));

		if (!more)
			return -ENOMEM;
		*cpuid = more;
		(*cpuid)->nent = nent;
		e = &(*cpuid)->entries[nent - 1];
	}
	/* Bits of an address that encryption takes: KVM's leaf 0x80000008 is without them. */
	*e = (struct kvm_cpuid_entry2){
		.function = LEAF_ENCRYPTION,
		.eax = ENCRYPTION_SEV | ENCRYPTION_ES | ENCRYPTION_SNP,
		.ebx = c_bit,
	};
	range = x86_cpuid_find(*cpuid, 0x80000000, 0);
	if (range && range->eax < LEAF_ENCRYPTION)
		range->eax = LEAF_ENCRYPTION;
	return 0;
}

static struct kvm_cpuid_entry2 filtered(const struct kvm_cpuid_entry2 *from)
{
	struct kvm_cpuid_entry2 e = *from;

	if (!(e.flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX))
		e.index = 0;
	for (size_t i = 0; i < ARRAY_SIZE(filters); i++) {
		const struct filter *f = &filters[i];

		if (f->leaf != e.function || f->index != e.index)
			continue;
		e.eax &= ~f->eax;
		e.ebx &= ~f->ebx;
		e.ecx &= ~f->ecx;
		e.edx &= ~f->edx;
	}
	return e;
}

static struct snp_cpuid_fn page_entry(const struct kvm_cpuid_entry2 *e)
{
	struct snp_cpuid_fn fn = {
		.eax_in = cpu_to_le32(e->function),
		.ecx_in = cpu_to_le32(e->index),
		.eax = cpu_to_le32(e->eax),
		.ebx = cpu_to_le32(e->ebx),
		.ecx = cpu_to_le32(e->ecx),
		.edx = cpu_to_le32(e->edx),
	};

	/* Sizes depend on XCR0 and XSS; the guest adds up what it enables itself. */
	if (e->function == LEAF_XSAVE && e->index <= 1) {
		fn.xcr0_in = cpu_to_le64(1);
		fn.ebx = cpu_to_le32(XSAVE_LEGACY);
	}
	return fn;
}

int x86_snp_cpuid_page(struct kvm_cpuid2 *cpuid, struct snp_cpuid_page *page)
{
	u32 count = 0, more = 0;

	memset(page, 0, sizeof(*page));
	for (u32 i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 e = filtered(&cpuid->entries[i]);

		/* The guest takes what is missing for zeroes. */
		if (!e.eax && !e.ebx && !e.ecx && !e.edx)
			continue;
		if (count == SNP_CPUID_MAX)
			more++;
		else
			page->fn[count++] = page_entry(&e);
	}
	page->count = cpu_to_le32(count);
	if (!more)
		return 0;
	err("--snp: the guest's CPUID has %u leaves, and an SNP guest's page has room for %u; have "
	    "fewer by --cpu",
	    count + more, SNP_CPUID_MAX);
	return -E2BIG;
}

static void show_field(const struct snp_cpuid_fn *fn, const char *name, __le32 asked, __le32 got)
{
	if (asked != got)
		warn("--snp: CPUID 0x%x.%u %s: the firmware wants 0x%x instead of 0x%x",
		     le32_to_cpu(fn->eax_in), le32_to_cpu(fn->ecx_in), name, le32_to_cpu(got),
		     le32_to_cpu(asked));
}

void x86_snp_cpuid_differs(const struct snp_cpuid_page *asked, const struct snp_cpuid_page *page)
{
	u32 count = MIN(le32_to_cpu(asked->count), (u32)SNP_CPUID_MAX);

	if (asked->count != page->count)
		warn("--snp: CPUID: the firmware wants %u leaves instead of %u",
		     le32_to_cpu(page->count), count);
	for (u32 i = 0; i < count; i++) {
		const struct snp_cpuid_fn *a = &asked->fn[i], *b = &page->fn[i];

		show_field(a, "EAX", a->eax, b->eax);
		show_field(a, "EBX", a->ebx, b->ebx);
		show_field(a, "ECX", a->ecx, b->ecx);
		show_field(a, "EDX", a->edx, b->edx);
	}
}
