/* SPDX-License-Identifier: MIT */
/* The table of what CPUID says, against leaves that were computed by hand. */
#include "unit.h"

#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "../../../x86/cpu.h"

#define ROOM 64

static struct kvm_cpuid2 *empty(void)
{
	return calloc(1, sizeof(struct kvm_cpuid2) + ROOM * sizeof(struct kvm_cpuid_entry2));
}

static struct kvm_cpuid_entry2 *add(struct kvm_cpuid2 *c, u32 function, u32 index, u32 eax, u32 ebx,
				    u32 ecx, u32 edx)
{
	struct kvm_cpuid_entry2 *e = &c->entries[c->nent++];

	*e = (struct kvm_cpuid_entry2){
		.function = function,
		.index = index,
		.flags = function == 7 || function == 0xd ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
		.eax = eax,
		.ebx = ebx,
		.ecx = ecx,
		.edx = edx,
	};
	return e;
}

static const struct x86_cpu_prop *prop(const char *name)
{
	const struct x86_cpu_prop *p = x86_cpu_prop_find(name, strlen(name));

	if (!p)
		fail_msg("no property '%s'", name);
	return p;
}

static struct kvm_cpuid_entry2 *leaf(struct kvm_cpuid2 *c, u32 function, u32 index)
{
	for (u32 i = 0; i < c->nent; i++)
		if (c->entries[i].function == function && c->entries[i].index == index)
			return &c->entries[i];
	fail_msg("no leaf 0x%x.%u", function, index);
	return NULL;
}

static void test_table(void **state)
{
	for (size_t i = 0; i < x86_nr_cpu_props; i++) {
		const struct x86_cpu_prop *p = &x86_cpu_props[i];

		/* A name once, without what --cpu has for itself. */
		assert_ptr_equal(prop(p->name), p);
		assert_int_equal(x86_cpu_prop_number(p), i);
		assert_null(strpbrk(p->name, "_,=+ "));
		assert_true(strlen(p->help) > 1);
		if (p->type == X86_PROP_TEXT || p->type == X86_PROP_WIDE)
			continue;
		assert_true(p->width >= 1 && p->shift + p->width <= 32);
		assert_int_equal(p->type == X86_PROP_FLAG, p->width == 1);
		/* Nothing lies over a feature. */
		for (size_t k = 0; k < i && p->type == X86_PROP_FLAG; k++)
			if (x86_cpu_props[k].type == X86_PROP_FLAG &&
			    x86_cpu_props[k].leaf == p->leaf &&
			    x86_cpu_props[k].index == p->index && x86_cpu_props[k].reg == p->reg)
				assert_int_not_equal(x86_cpu_props[k].shift, p->shift);
	}
	for (size_t i = 0; i < x86_nr_cpu_aliases; i++)
		assert_ptr_equal(prop(x86_cpu_aliases[i].alias), prop(x86_cpu_aliases[i].name));
	assert_null(x86_cpu_prop_find("avx2x", 5));
	assert_null(x86_cpu_prop_find("av", 2));
	assert_null(x86_cpu_prop_find("", 0));
	assert_ptr_equal(x86_cpu_prop_find("avx2x", 4), prop("avx2"));
	assert_ptr_equal(prop("sse4_1"), prop("sse4.1"));
	assert_ptr_equal(prop("tsc_deadline_timer"), prop("tsc-deadline"));
}

/* Positions: Intel SDM volume 2A, tables 3-17 to 3-20; AMD APM volume 3, appendix E. */
static void test_flags(void **state)
{
	static const struct {
		const char *name;
		u32 leaf, index, reg, value;
	} cases[] = {
		{ "fpu", 1, 0, X86_EDX, 0x00000001 },
		{ "sse2", 1, 0, X86_EDX, 0x04000000 },
		{ "sse3", 1, 0, X86_ECX, 0x00000001 },
		{ "vmx", 1, 0, X86_ECX, 0x00000020 },
		{ "sse4.2", 1, 0, X86_ECX, 0x00100000 },
		{ "avx", 1, 0, X86_ECX, 0x10000000 },
		{ "hypervisor", 1, 0, X86_ECX, 0x80000000 },
		{ "arat", 6, 0, X86_EAX, 0x00000004 },
		{ "avx2", 7, 0, X86_EBX, 0x00000020 },
		{ "avx512vl", 7, 0, X86_EBX, 0x80000000 },
		{ "la57", 7, 0, X86_ECX, 0x00010000 },
		{ "amx-tile", 7, 0, X86_EDX, 0x01000000 },
		{ "avx512-bf16", 7, 1, X86_EAX, 0x00000020 },
		{ "avx-vnni-int8", 7, 1, X86_EDX, 0x00000010 },
		{ "bhi-ctrl", 7, 2, X86_EDX, 0x00000010 },
		{ "xsaves", 0xd, 1, X86_EAX, 0x00000008 },
		{ "svm", 0x80000001, 0, X86_ECX, 0x00000004 },
		{ "nx", 0x80000001, 0, X86_EDX, 0x00100000 },
		{ "invtsc", 0x80000007, 0, X86_EDX, 0x00000100 },
		{ "clzero", 0x80000008, 0, X86_EBX, 0x00000001 },
		{ "auto-ibrs", 0x80000021, 0, X86_EAX, 0x00000100 },
		{ "kvmclock", 0x40000001, 0, X86_EAX, 0x00000008 },
		{ "kvm-poll-control", 0x40000001, 0, X86_EAX, 0x00001000 },
		{ "kvm-hint-dedicated", 0x40000001, 0, X86_EDX, 0x00000001 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct x86_cpu_prop *p = prop(cases[i].name);
		struct kvm_cpuid2 *c = empty();
		const struct kvm_cpuid_entry2 *e;
		u32 regs[4];

		/* To switch off what is not there adds nothing. */
		x86_cpu_prop_set(c, p, 0);
		assert_int_equal(c->nent, 0);
		assert_int_equal(x86_cpu_prop_get(c, p), 0);
		x86_cpu_prop_set(c, p, 1);
		assert_int_equal(c->nent, 1);
		e = leaf(c, cases[i].leaf, cases[i].index);
		regs[X86_EAX] = e->eax;
		regs[X86_EBX] = e->ebx;
		regs[X86_ECX] = e->ecx;
		regs[X86_EDX] = e->edx;
		for (u32 r = 0; r < 4; r++)
			assert_int_equal(regs[r], r == cases[i].reg ? cases[i].value : 0);
		assert_int_equal(x86_cpu_prop_get(c, p), 1);
		x86_cpu_prop_set(c, p, 0);
		assert_int_equal(x86_cpu_prop_get(c, p), 0);
		free(c);
	}
}

/* Every number at both its ends, with all around it set: nothing else changes. */
static void test_limits(void **state)
{
	for (size_t i = 0; i < x86_nr_cpu_props; i++) {
		const struct x86_cpu_prop *p = &x86_cpu_props[i];
		u64 ends[] = { p->min, x86_cpu_prop_max(p) };

		if (p->type == X86_PROP_TEXT || p->type == X86_PROP_TOPOLOGY ||
		    p->type == X86_PROP_DERIVED)
			continue;
		for (u32 k = 0; k < 4; k++) {
			struct kvm_cpuid2 *c = empty();
			u32 fill = k < 2 ? 0 : 0xffffffff;
			struct kvm_cpuid_entry2 *e =
				add(c, p->leaf, p->index, fill, fill, fill, fill);

			x86_cpu_prop_set(c, p, ends[k & 1]);
			assert_int_equal(x86_cpu_prop_get(c, p), ends[k & 1]);
			/* Back to what was around it: all that another value can touch. */
			if (p->type != X86_PROP_WIDE) {
				x86_cpu_prop_set(c, p, fill >> (32 - p->width));
				assert_int_equal(e->eax & e->ebx & e->ecx & e->edx, fill);
				assert_int_equal(e->eax | e->ebx | e->ecx | e->edx, fill);
			}
			assert_int_equal(c->nent, 1);
			free(c);
		}
	}
}

static void test_numbers(void **state)
{
	struct kvm_cpuid2 *c = empty();

	add(c, 0, 0, 0x20, 0, 0, 0);
	add(c, 0xa, 0, 0x07300803, 0, 0, 0x00000604); /* 8 of 48 bits, 4 fixed of 48 */
	add(c, 0xd, 0, 0x2e7, 0, 0, 0x80000000);
	add(c, 0xd, 1, 0xf, 0, 0x1900, 0);
	add(c, 0x15, 0, 2, 166, 24000000, 0);
	add(c, 0x16, 0, 2000, 3800, 100, 0);
	add(c, 0x80000008, 0, 0x002e3934, 0, 0, 0);
	assert_int_equal(x86_cpu_prop_get(c, prop("level")), 0x20);
	assert_int_equal(x86_cpu_prop_get(c, prop("pmu-version")), 3);
	assert_int_equal(x86_cpu_prop_get(c, prop("pmu-counters")), 8);
	assert_int_equal(x86_cpu_prop_get(c, prop("pmu-width")), 48);
	assert_int_equal(x86_cpu_prop_get(c, prop("pmu-fixed-counters")), 4);
	assert_int_equal(x86_cpu_prop_get(c, prop("pmu-fixed-width")), 48);
	assert_int_equal(x86_cpu_prop_get(c, prop("xcr0")), 0x80000000000002e7ULL);
	assert_int_equal(x86_cpu_prop_get(c, prop("xss")), 0x1900);
	assert_int_equal(x86_cpu_prop_get(c, prop("tsc-denominator")), 2);
	assert_int_equal(x86_cpu_prop_get(c, prop("tsc-numerator")), 166);
	assert_int_equal(x86_cpu_prop_get(c, prop("crystal-hz")), 24000000);
	assert_int_equal(x86_cpu_prop_get(c, prop("base-mhz")), 2000);
	assert_int_equal(x86_cpu_prop_get(c, prop("max-mhz")), 3800);
	assert_int_equal(x86_cpu_prop_get(c, prop("bus-mhz")), 100);
	assert_int_equal(x86_cpu_prop_get(c, prop("phys-bits")), 52);
	assert_int_equal(x86_cpu_prop_get(c, prop("virt-bits")), 57);
	assert_int_equal(x86_cpu_prop_get(c, prop("guest-phys-bits")), 46);

	x86_cpu_prop_set(c, prop("phys-bits"), 40);
	x86_cpu_prop_set(c, prop("xcr0"), 7);
	x86_cpu_prop_set(c, prop("pmu-fixed-width"), 40);
	assert_int_equal(leaf(c, 0x80000008, 0)->eax, 0x002e3928);
	assert_int_equal(leaf(c, 0xd, 0)->eax, 7);
	assert_int_equal(leaf(c, 0xd, 0)->edx, 0);
	assert_int_equal(leaf(c, 0xa, 0)->edx, 0x504);
	free(c);
}

static void test_signature(void **state)
{
	static const struct {
		u32 eax, family, model;
	} cases[] = {
		{ 0x000806f8, 6, 0x8f },    /* Sapphire Rapids */
		{ 0x00a20f12, 0x19, 0x21 }, /* Zen 3 */
		{ 0x00b40f40, 0x1a, 0x44 }, /* Zen 5 */
		{ 0x00000f61, 0xf, 6 },	    /* Pentium D */
		{ 0x0ff00f00, 0x10e, 0x0 }, /* as large as it gets */
		{ 0x00000543, 5, 4 },	    /* Pentium MMX: no extensions */
	};
	struct kvm_cpuid2 *c = empty();
	struct kvm_cpuid_entry2 *e = add(c, 1, 0, 0, 0, 0, 0);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u32 rest = cases[i].eax & 0xf000f00f;

		e->eax = cases[i].eax;
		assert_int_equal(x86_cpu_prop_get(c, prop("family")), cases[i].family);
		assert_int_equal(x86_cpu_prop_get(c, prop("model")), cases[i].model);
		/* Whichever is written first. */
		e->eax = rest | 0x05550550;
		x86_cpu_prop_set(c, prop("family"), cases[i].family);
		x86_cpu_prop_set(c, prop("model"), cases[i].model);
		assert_int_equal(e->eax, cases[i].eax);
		e->eax = rest | 0x05550550;
		x86_cpu_prop_set(c, prop("model"), cases[i].model);
		x86_cpu_prop_set(c, prop("family"), cases[i].family);
		assert_int_equal(e->eax, cases[i].eax);
	}
	free(c);
}

static void test_texts(void **state)
{
	char text[X86_CPU_TEXT_MAX + 1];
	struct kvm_cpuid2 *c = empty();

	add(c, 0, 0, 0x20, 0x756e6547, 0x6c65746e, 0x49656e69);
	add(c, 0x80000000, 0, 0x80000008, 0, 0, 0);
	add(c, 0x40000000, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d);
	assert_string_equal(x86_cpu_prop_text(c, prop("vendor"), text), "GenuineIntel");
	assert_string_equal(x86_cpu_prop_text(c, prop("hypervisor-id"), text), "KVMKVMKVM");
	assert_string_equal(x86_cpu_prop_text(c, prop("model-name"), text), "");

	x86_cpu_prop_set_text(c, prop("vendor"), "AuthenticAMD");
	assert_int_equal(leaf(c, 0, 0)->ebx, 0x68747541);
	assert_int_equal(leaf(c, 0, 0)->edx, 0x69746e65);
	assert_int_equal(leaf(c, 0, 0)->ecx, 0x444d4163);
	assert_int_equal(leaf(c, 0, 0)->eax, 0x20);
	assert_int_equal(leaf(c, 0x80000000, 0)->ebx, 0x68747541);
	assert_int_equal(leaf(c, 0x80000000, 0)->edx, 0x69746e65);
	assert_int_equal(leaf(c, 0x80000000, 0)->ecx, 0x444d4163);
	x86_cpu_prop_set_text(c, prop("vendor"), "GenuineIntel");
	assert_int_equal(leaf(c, 0x80000000, 0)->ebx, 0);

	x86_cpu_prop_set_text(c, prop("hypervisor-id"), "AB");
	assert_int_equal(leaf(c, 0x40000000, 0)->ebx, 0x4241);
	assert_int_equal(leaf(c, 0x40000000, 0)->ecx, 0);

	/* 47 characters fill all twelve registers. */
	x86_cpu_prop_set_text(c, prop("model-name"),
			      "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJK");
	assert_int_equal(leaf(c, 0x80000002, 0)->eax, 0x64636261);
	assert_int_equal(leaf(c, 0x80000003, 0)->eax, 0x74737271);
	assert_int_equal(leaf(c, 0x80000004, 0)->edx, 0x004b4a49);
	assert_string_equal(x86_cpu_prop_text(c, prop("model-id"), text),
			    "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJK");
	free(c);
}

static void test_missing(void **state)
{
	struct kvm_cpuid2 *hardware = x86_cpu_hardware(), *c = empty();

	/* The CPU that runs this has SSE2, and its leaves are there once. */
	assert_int_equal(x86_cpu_prop_get(hardware, prop("sse2")), 1);
	for (u32 i = 0; i < hardware->nent; i++)
		for (u32 k = 0; k < i; k++)
			assert_false(hardware->entries[i].function ==
					     hardware->entries[k].function &&
				     hardware->entries[i].index == hardware->entries[k].index);
	add(c, 1, 0, 0, 0, 1 << 22, 0);
	assert_string_equal(x86_cpu_missing(prop("movbe"), c),
			    "the CPU has it, KVM does not pass it on");
	assert_string_equal(x86_cpu_missing(prop("popcnt"), c), "not in this CPU");
	assert_string_equal(x86_cpu_missing(prop("kvmclock"), c), "this KVM does not have it");
	free(hardware);
	free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),	  cmocka_unit_test(test_flags),
		cmocka_unit_test(test_limits),	  cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_signature), cmocka_unit_test(test_texts),
		cmocka_unit_test(test_missing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
