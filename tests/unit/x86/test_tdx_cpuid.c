/* SPDX-License-Identifier: MIT */
/* x86/tdx-cpuid.c: what INIT_VM and KVM_SET_CPUID2 are given. */
#include "unit.h"

#include <stdlib.h>

#include "../../../x86/tdx.h"

#define INDEX KVM_CPUID_FLAG_SIGNIFCANT_INDEX

static struct kvm_cpuid2 *list(const struct kvm_cpuid_entry2 *e, u32 n)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + n * sizeof(*e));

	assert_non_null(cpuid);
	cpuid->nent = n;
	memcpy(cpuid->entries, e, n * sizeof(*e));
	return cpuid;
}
#define LIST(...)                                                       \
	list((const struct kvm_cpuid_entry2[]){ __VA_ARGS__ },          \
	     sizeof((const struct kvm_cpuid_entry2[]){ __VA_ARGS__ }) / \
		     sizeof(struct kvm_cpuid_entry2))

static void assert_entry(const struct kvm_cpuid2 *cpuid, u32 i, u32 function, u32 index, u32 eax,
			 u32 ebx, u32 ecx, u32 edx)
{
	const struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

	assert_true(i < cpuid->nent);
	assert_int_equal(e->function, function);
	assert_int_equal(e->index, index);
	assert_int_equal(e->eax, eax);
	assert_int_equal(e->ebx, ebx);
	assert_int_equal(e->ecx, ecx);
	assert_int_equal(e->edx, edx);
}

static void test_config(void **state)
{
	struct kvm_cpuid2 *wanted = LIST(
		{ .function = 1, .eax = 0x806f8, .ebx = 0x800, .ecx = 0xffffffff, .edx = 0xff },
		{ .function = 4, .index = 1, .flags = INDEX, .eax = 0x1122 },
		{ .function = 7, .flags = INDEX, .ebx = ~0U, .ecx = ~0U, .edx = ~0U },
		{ .function = 0x80000008, .eax = 0x302e, .ebx = ~0U });
	struct kvm_cpuid2 *may = LIST({ .function = 1, .eax = 0x0fff3fff, .ecx = 0x00000f00 },
				      { .function = 4, .index = 0, .flags = INDEX, .eax = ~0U },
				      { .function = 4, .index = 1, .flags = INDEX, .eax = 0xff },
				      { .function = 7, .flags = INDEX, .ebx = ~0U, .ecx = ~0U },
				      /* KVM takes none twice. */
				      { .function = 1, .eax = 0x0fff3fff },
				      { .function = 0x80000008, .eax = 0x00ff0000, .ebx = BIT(9) },
				      { .function = 0x12345, .eax = ~0U });
	struct kvm_cpuid2 *out;

	assert_int_equal(x86_tdx_cpuid_config(wanted, may, &out), 0);
	assert_int_equal(out->nent, 6);
	assert_entry(out, 0, 1, 0, 0x806f8 & 0x0fff3fff, 0, 0xf00, 0);
	assert_entry(out, 1, 4, 0, 0, 0, 0, 0);
	assert_entry(out, 2, 4, 1, 0x22, 0, 0, 0);
	assert_int_equal(out->entries[2].flags, INDEX);
	/* No HLE, RTM, WAITPKG. */
	assert_entry(out, 3, 7, 0, 0, ~(BIT(4) | BIT(11)), ~BIT(5), 0);
	assert_entry(out, 4, 0x80000008, 0, 48 << 16, BIT(9), 0, 0);
	assert_entry(out, 5, 0x12345, 0, 0, 0, 0, 0);
	free(out);
	free(may);
	may = LIST({ .function = 1, .eax = 1 });
	assert_int_equal(x86_tdx_cpuid_config(wanted, may, &out), -EINVAL);
	free(may);
	free(wanted);
}

static void test_vcpu(void **state)
{
	struct kvm_cpuid2 *wanted = LIST({ .function = 1, .eax = 1 },
					 { .function = 4, .index = 0, .flags = INDEX, .eax = 4 },
					 { .function = 4, .index = 2, .flags = INDEX, .eax = 42 },
					 { .function = 0x40000000, .eax = 0x40000001 },
					 { .function = 0x40000001, .eax = ~0U });
	struct kvm_cpuid2 *module = LIST({ .function = 1, .eax = 0x11, .ecx = BIT(21) },
					 { .function = 4, .index = 0, .flags = INDEX, .eax = 0x44 },
					 { .function = 0x21, .ebx = 0x21 },
					 /* Not the module's to say. */
					 { .function = 0x40000001, .eax = 7 });
	struct kvm_cpuid2 *out;

	assert_int_equal(x86_tdx_cpuid_vcpu(wanted, module, &out), 0);
	assert_int_equal(out->nent, 6);
	assert_entry(out, 0, 1, 0, 0x11, 0, BIT(21), 0);
	assert_entry(out, 1, 4, 0, 0x44, 0, 0, 0);
	assert_entry(out, 2, 0x21, 0, 0, 0x21, 0, 0);
	assert_entry(out, 3, 4, 2, 42, 0, 0, 0);
	assert_entry(out, 4, 0x40000000, 0, 0x40000001, 0, 0, 0);
	/* No clock (0, 3), no stolen time (5), no EOI in memory (6), no async page faults (4). */
	assert_entry(out, 5, 0x40000001, 0, 0xa882, 0, 0, 0);
	free(out);
	free(module);
	free(wanted);
}

static void test_xfam(void **state)
{
	struct kvm_cpuid2 *cpuid =
		LIST({ .function = 0xd, .index = 0, .flags = INDEX, .eax = 0x602e7, .edx = 1 },
		     { .function = 0xd, .index = 1, .flags = INDEX, .eax = 15, .ecx = 0x1900 },
		     { .function = 0xd, .index = 2, .flags = INDEX, .eax = 256, .ecx = 4 });

	assert_int_equal(x86_tdx_cpuid_xfam(cpuid), 0x1000602e7 | 0x1900);
	free(cpuid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_vcpu),
		cmocka_unit_test(test_xfam),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
