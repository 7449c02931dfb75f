/* SPDX-License-Identifier: MIT */
/* CPUID of the vcpus out of what KVM supports. */
#include "unit.h"

#include <linux/kvm.h>
#include <stdlib.h>

#include "../../../x86/platform.h"

#define MAX_ENTRIES 32
#define CORES(n)           \
	{                  \
		1, 1, n, 1 \
	} /* one socket of single-threaded cores */

static struct kvm_cpuid_entry2 *add(struct kvm_cpuid2 *c, u32 function, u32 index, u32 eax, u32 ebx,
				    u32 ecx, u32 edx)
{
	struct kvm_cpuid_entry2 *e = &c->entries[c->nent++];

	assert_true(c->nent <= MAX_ENTRIES);
	*e = (struct kvm_cpuid_entry2){
		.function = function,
		.index = index,
		.eax = eax,
		.ebx = ebx,
		.ecx = ecx,
		.edx = edx,
	};
	if (function == 4 || function == 0xb || function == 0x1f || function == 0x8000001d)
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
	return e;
}

/* A host with two threads in each of its many cores, so that what is copied shows. */
static struct kvm_cpuid2 *host(bool amd, u32 max_leaf)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + MAX_ENTRIES * sizeof(c->entries[0]));

	if (amd)
		add(c, 0, 0, max_leaf, 0x68747541, 0x444d4163, 0x69746e65);
	else
		add(c, 0, 0, max_leaf, 0x756e6547, 0x6c65746e, 0x49656e69);
	add(c, 1, 0, 0x806f8, 0x55200800, 1U << 24 | 1, 1U << 28 | 1);
	add(c, 4, 0, 0x121 | 1U << 14 | 63U << 26, 0, 0, 0);   /* L1 */
	add(c, 4, 1, 0x163 | 127U << 14 | 63U << 26, 0, 0, 0); /* L3 */
	add(c, 4, 2, 0, 0, 0, 0);
	add(c, 0xb, 0, 0, 2, 0x100, 77);
	add(c, 0x15, 0, 2, 200, 24000000, 0);
	add(c, 0x1f, 0, 0, 2, 0x100, 77);
	add(c, 0x40000000, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d);
	add(c, 0x40000001, 0, 0x0100007b | 1U << 15, 0, 0, 0);
	add(c, 0x80000001, 0, 0, 0, 3, 0);
	add(c, 0x80000008, 0, 0x3034, 0, 0x70ff, 0);
	if (amd) {
		add(c, 0x8000001d, 3, 0x163 | 31U << 14, 0, 0, 0);
		add(c, 0x8000001e, 0, 77, 0x0101, 0x0301, 0);
		add(c, 0x80000026, 0, 1, 1, 0x100, 77);
	}
	return c;
}

static struct kvm_cpuid2 *build(bool amd, u32 max_leaf, struct x86_cpuid_params p)
{
	struct kvm_cpuid2 *supported = host(amd, max_leaf), *out = NULL;

	assert_int_equal(x86_cpuid_build(supported, &p, &out), 0);
	free(supported);
	return out;
}

static void test_leaf1(void **state)
{
	struct kvm_cpuid2 *c = build(false, 0x20,
				     (struct x86_cpuid_params){
					     .apic_id = 3,
					     .topology = CORES(5),
					     .tsc_deadline = true,
				     });
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(c, 1, 0);

	assert_int_equal(e->eax, 0x806f8);
	assert_int_equal(e->ebx, 0x03080800); /* id 3, 8 ids, CLFLUSH of the host */
	assert_int_equal(e->ecx, 1U << 31 | 1U << 24 | 1U << 21 | 1);
	assert_int_equal(e->edx, 1U << 28 | 1);
	free(c);

	/* One vcpu: no HTT; no deadline timer where KVM has none. */
	c = build(false, 0x20, (struct x86_cpuid_params){ .topology = CORES(1) });
	e = x86_cpuid_find(c, 1, 0);
	assert_int_equal(e->ebx, 0x00010800);
	assert_int_equal(e->ecx & 1U << 24, 0);
	assert_int_equal(e->edx, 1);
	free(c);

	/* Ids that do not fit eight bits. */
	c = build(false, 0x20,
		  (struct x86_cpuid_params){ .topology = CORES(1000), .apic_id = 0x123 });
	assert_int_equal(x86_cpuid_find(c, 1, 0)->ebx, 0x23ff0800);
	free(c);
}

static void check_topology(struct kvm_cpuid2 *c, u32 function, u32 id, u32 bits, u32 cpus)
{
	static const u32 type[3] = { 0x100, 0x201, 0x002 };
	u32 count = 0;

	for (u32 i = 0; i < c->nent; i++)
		count += c->entries[i].function == function;
	assert_int_equal(count, 3);
	for (u32 i = 0; i < 3; i++) {
		struct kvm_cpuid_entry2 *e = x86_cpuid_find(c, function, i);

		assert_non_null(e);
		assert_int_equal(e->eax, i == 1 ? bits : 0);
		assert_int_equal(e->ebx, i == 0 ? 1 : i == 1 ? cpus : 0);
		assert_int_equal(e->ecx, type[i]);
		assert_int_equal(e->edx, id);
	}
}

static void test_topology(void **state)
{
	static const struct {
		u32 cpus, bits;
	} cases[] = {
		{ 1, 0 }, { 2, 1 }, { 3, 2 }, { 4, 2 }, { 255, 8 }, { 257, 9 }, { 2048, 11 }
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u32 id = cases[i].cpus - 1;
		struct kvm_cpuid2 *c =
			build(false, 0x20,
			      (struct x86_cpuid_params){ .topology = CORES(cases[i].cpus),
							 .apic_id = id });

		check_topology(c, 0xb, id, cases[i].bits, cases[i].cpus);
		check_topology(c, 0x1f, id, cases[i].bits, cases[i].cpus);
		free(c);
	}
}

/* A host that ends before leaf 0xb: the x2APIC's leaf is there all the same, and no more. */
static void test_short_host(void **state)
{
	struct kvm_cpuid2 *c =
		build(true, 0xa, (struct x86_cpuid_params){ .topology = CORES(2), .apic_id = 1 });

	assert_int_equal(x86_cpuid_find(c, 0, 0)->eax, 0xb);
	check_topology(c, 0xb, 1, 1, 2);
	free(c);
	c = build(true, 0x10, (struct x86_cpuid_params){ .topology = CORES(2), .apic_id = 1 });
	assert_int_equal(x86_cpuid_find(c, 0, 0)->eax, 0x10);
	free(c);
}

static void test_caches(void **state)
{
	struct kvm_cpuid2 *c =
		build(false, 0x20, (struct x86_cpuid_params){ .topology = CORES(6) });

	assert_int_equal(x86_cpuid_find(c, 4, 0)->eax, 0x121 | 7U << 26);
	assert_int_equal(x86_cpuid_find(c, 4, 1)->eax, 0x163 | 7U << 14 | 7U << 26);
	assert_int_equal(x86_cpuid_find(c, 4, 2)->eax, 0);
	free(c);
	/* The fields have their limits: 6 bits of cores, 12 of sharers. */
	c = build(false, 0x20, (struct x86_cpuid_params){ .topology = CORES(2000) });
	assert_int_equal(x86_cpuid_find(c, 4, 1)->eax, 0x163 | 2047U << 14 | 63U << 26);
	free(c);
}

static void test_amd(void **state)
{
	struct kvm_cpuid2 *c =
		build(true, 0x10, (struct x86_cpuid_params){ .topology = CORES(6), .apic_id = 5 });
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(c, 0x8000001e, 0);

	assert_int_equal(x86_cpuid_find(c, 0x80000001, 0)->ecx, 3);
	assert_int_equal(x86_cpuid_find(c, 0x80000008, 0)->ecx, 0x3005);
	assert_int_equal(x86_cpuid_find(c, 0x80000008, 0)->eax, 0x3034);
	assert_int_equal(x86_cpuid_find(c, 0x8000001d, 3)->eax, 0x163 | 7U << 14);
	assert_int_equal(e->eax, 5);
	assert_int_equal(e->ebx, 5);
	assert_int_equal(e->ecx, 0);
	assert_null(x86_cpuid_find(c, 0x80000026, 0));
	free(c);
	/* One core is no CmpLegacy; 300 do not fit the count. */
	c = build(true, 0x10, (struct x86_cpuid_params){ .topology = CORES(1) });
	assert_int_equal(x86_cpuid_find(c, 0x80000001, 0)->ecx, 1);
	assert_int_equal(x86_cpuid_find(c, 0x80000008, 0)->ecx, 0);
	free(c);
	c = build(true, 0x10, (struct x86_cpuid_params){ .topology = CORES(300) });
	assert_int_equal(x86_cpuid_find(c, 0x80000008, 0)->ecx, 0x90ff);
	free(c);
	/* Intel keeps its own. */
	c = build(false, 0x20, (struct x86_cpuid_params){ .topology = CORES(6) });
	assert_int_equal(x86_cpuid_find(c, 0x80000008, 0)->ecx, 0x70ff);
	free(c);
}

static void test_hypervisor(void **state)
{
	struct kvm_cpuid2 *c = build(false, 0x20,
				     (struct x86_cpuid_params){
					     .topology = CORES(1),
					     .tsc_khz = 2793437,
					     .msi_ext_dest = true,
				     });

	assert_int_equal(x86_cpuid_find(c, 0x40000000, 0)->eax, 0x40000010);
	assert_int_equal(x86_cpuid_find(c, 0x40000000, 0)->ebx, 0x4b4d564b);
	assert_int_equal(x86_cpuid_find(c, 0x40000010, 0)->eax, 2793437);
	assert_int_equal(x86_cpuid_find(c, 0x40000010, 0)->ebx, 1000000);
	assert_int_equal(x86_cpuid_find(c, 0x40000001, 0)->eax, 0x0100807b);
	assert_int_equal(x86_cpuid_find(c, 0x15, 0)->ecx, 0);
	free(c);

	c = build(false, 0x20, (struct x86_cpuid_params){ .topology = CORES(1) });
	assert_int_equal(x86_cpuid_find(c, 0x40000000, 0)->eax, 0x40000001);
	assert_null(x86_cpuid_find(c, 0x40000010, 0));
	assert_int_equal(x86_cpuid_find(c, 0x40000001, 0)->eax, 0x0100007b);
	free(c);
}

static void test_phys_bits(void **state)
{
	struct kvm_cpuid2 *c = host(false, 0x20);
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(c, 0x80000008, 0);

	assert_int_equal(x86_cpuid_phys_bits(c), 52);
	e->eax = 48U << 16 | 0x3034; /* nested paging of four levels */
	assert_int_equal(x86_cpuid_phys_bits(c), 48);
	e->function = 0x80000007;
	assert_int_equal(x86_cpuid_phys_bits(c), 36);
	free(c);
}

/* A KVM that reports nothing must not crash us. */
static void test_empty(void **state)
{
	struct kvm_cpuid2 none = { .nent = 0 }, *out;

	assert_int_equal(
		x86_cpuid_build(&none,
				&(struct x86_cpuid_params){ .topology = CORES(2), .tsc_khz = 1 },
				&out),
		0);
	assert_int_equal(out->nent, 0);
	free(out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leaf1),	   cmocka_unit_test(test_topology),
		cmocka_unit_test(test_short_host), cmocka_unit_test(test_caches),
		cmocka_unit_test(test_amd),	   cmocka_unit_test(test_hypervisor),
		cmocka_unit_test(test_phys_bits),  cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
