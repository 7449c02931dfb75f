/* SPDX-License-Identifier: MIT */
/* What clocks, idling and the PMU say in CPUID. */
#include "unit.h"

#include <kvm-compat.h>
#include <stdlib.h>

#include "../../../x86/platform.h"
#include "../../../x86/tuning.h"
#include "lkvm/util.h"

#define MAX_ENTRIES 16

static struct kvm_cpuid2 *new_cpuid(void)
{
	return xcalloc(1,
		       sizeof(struct kvm_cpuid2) + MAX_ENTRIES * sizeof(struct kvm_cpuid_entry2));
}

static void add(struct kvm_cpuid2 *c, u32 function, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	assert_true(c->nent < MAX_ENTRIES);
	c->entries[c->nent++] = (struct kvm_cpuid_entry2){
		.function = function,
		.eax = eax,
		.ebx = ebx,
		.ecx = ecx,
		.edx = edx,
	};
}

static struct kvm_cpuid2 *host(void)
{
	struct kvm_cpuid2 *c = new_cpuid();

	add(c, 0, 0x10, 0x756e6547, 0x6c65746e, 0x49656e69);
	add(c, 1, 0, 0, BIT(31) | BIT(15) | 1, 1);
	add(c, 0xa, 0x07300802, 1, 2, 0x603);
	add(c, 0x40000000, 0x40000010, 0x4b4d564b, 0x564b4d56, 0x4d);
	add(c, 0x40000001, 0x010000ff, 0, 0, 0);
	add(c, 0x40000010, 2600000, 1000000, 0, 0);
	add(c, 0x80000001, 0, 0, BIT(28) | BIT(24) | BIT(23) | 3, 5);
	add(c, 0x80000022, 1, 6, 0, 0);
	return c;
}

/* host() after @asked; *overruled is what that returns. */
static struct kvm_cpuid2 *tuned(const struct x86_tuning *asked, u32 tsc_khz, int *overruled)
{
	struct kvm_cpuid2 *c = host(), *supported = host();
	const struct x86_cpuid_tuning t = { .asked = asked,
					    .tsc_khz = tsc_khz,
					    .monitor = { 0x40, 0x41, 3, 0x11 } };
	int ret = x86_cpuid_tune(&c, supported, &t);

	assert_true(ret >= 0);
	if (overruled)
		*overruled = ret;
	else
		assert_int_equal(ret, 0);
	free(supported);
	return c;
}

static void assert_leaf(struct kvm_cpuid2 *c, u32 function, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(c, function, 0);

	assert_non_null(e);
	assert_int_equal(e->eax, eax);
	assert_int_equal(e->ebx, ebx);
	assert_int_equal(e->ecx, ecx);
	assert_int_equal(e->edx, edx);
}

/* The default: not a byte differs. */
static void test_nothing(void **state)
{
	struct kvm_cpuid2 *c = tuned(&(struct x86_tuning){ 0 }, 2600000, NULL), *h = host();

	assert_int_equal(c->nent, h->nent);
	assert_memory_equal(c->entries, h->entries, h->nent * sizeof(h->entries[0]));
	free(c);
	free(h);
}

static void test_clocks(void **state)
{
	struct kvm_cpuid2 *c = tuned(&(struct x86_tuning){ .tsc_khz = 2500000 }, 2500000, NULL);

	/* 2.5 GHz is 5 halves of the 1 GHz that KVM's APIC timer counts. */
	assert_leaf(c, 0x15, 2, 5, 1000000000, 0);
	assert_leaf(c, 0x16, 2500, 2500, 1000, 0);
	assert_leaf(c, 0x40000010, 2500000, 1000000, 0, 0);
	assert_int_equal(x86_cpuid_find(c, 0, 0)->eax, 0x16);
	free(c);

	c = tuned(&(struct x86_tuning){ .apic_bus_hz = 25000000 }, 2600000, NULL);
	assert_leaf(c, 0x15, 1, 104, 25000000, 0);
	assert_leaf(c, 0x16, 2600, 2600, 25, 0);
	assert_leaf(c, 0x40000010, 2600000, 25000, 0, 0);
	free(c);

	/* No kHz, no word of them. */
	c = tuned(&(struct x86_tuning){ .apic_bus_hz = 25000000 }, 0, NULL);
	assert_null(x86_cpuid_find(c, 0x15, 0));
	free(c);
}

/* Another option's leaf 0x15 is overruled, and that is said, where it differs. */
static void test_overruled(void **state)
{
	static const struct x86_tuning asked = { .tsc_khz = 2500000 };
	static const struct {
		u32 eax, ebx, ecx;
		int overruled;
	} cases[] = {
		{ 0, 0, 0, 0 },		 { 2, 5, 1000000000, 0 }, { 2, 0, 0, 0 },
		{ 1, 5, 1000000000, 1 }, { 2, 6, 1000000000, 1 }, { 2, 5, 38400000, 1 },
		{ 0, 0, 38400000, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct x86_cpuid_tuning t = { .asked = &asked, .tsc_khz = 2500000 };
		struct kvm_cpuid2 *c = host(), *supported = host();

		add(c, 0x15, cases[i].eax, cases[i].ebx, cases[i].ecx, 0);
		add(c, 0x16, 2400, 4000, 100, 0);
		assert_int_equal(x86_cpuid_tune(&c, supported, &t), cases[i].overruled);
		assert_leaf(c, 0x15, 2, 5, 1000000000, 0);
		assert_leaf(c, 0x16, 2500, 2500, 1000, 0);
		free(supported);
		free(c);
	}
}

/* As Linux computes it, with 32 bits; exactly where the numbers allow. */
static void test_ratio(void **state)
{
	static const struct {
		u32 khz, hz, den, num;
	} exact[] = {
		{ 2000000, 1000000000, 1, 2 },	 { 100000, 1000000000, 10, 1 },
		{ 10000000, 1000000000, 1, 10 }, { 2995200, 25000000, 125, 14976 },
		{ 2496000, 1000000, 1, 2496 },	 { 1000001, 1000000, 1000, 1000001 },
	};
	static const u32 buses[] = { 1000000, 1953125, 25000000, 100000000, 200000000, 1000000000 };
	u32 num, den;

	for (size_t i = 0; i < ARRAY_SIZE(exact); i++) {
		x86_tsc_ratio(exact[i].khz, exact[i].hz, &den, &num);
		assert_int_equal(den, exact[i].den);
		assert_int_equal(num, exact[i].num);
	}
	for (size_t i = 0; i < ARRAY_SIZE(buses); i++) {
		/* Half a step of a numerator that may be 2^32 / kHz. */
		double limit = (double)buses[i] / 1000 / (1ULL << 33);

		for (u32 khz = X86_TSC_KHZ_MIN; khz <= X86_TSC_KHZ_MAX; khz += 1237) {
			u32 bus_khz = buses[i] / 1000;
			double is;

			x86_tsc_ratio(khz, buses[i], &den, &num);
			assert_true(den && num);
			assert_int_equal((u64)bus_khz * num >> 32, 0);
			is = (double)buses[i] / 1000 * num / den / khz;
			if (is < 1 - limit || is > 1 + limit)
				fail_msg("%u kHz at %u Hz: %u / %u", khz, buses[i], num, den);
		}
	}
}

static void test_idling(void **state)
{
	struct kvm_cpuid2 *c =
		tuned(&(struct x86_tuning){ .disable_exits = X86_EXIT_HLT }, 1, NULL);

	assert_leaf(c, 0x40000001, 0x0100007f, 0, 0, 1);
	assert_null(x86_cpuid_find(c, 5, 0));
	free(c);

	c = tuned(&(struct x86_tuning){ .disable_exits = X86_EXIT_MWAIT }, 1, NULL);
	assert_leaf(c, 0x40000001, 0x010000ff, 0, 0, 0);
	assert_leaf(c, 1, 0, 0, BIT(31) | BIT(15) | BIT(3) | 1, 1);
	assert_leaf(c, 5, 0x40, 0x41, 3, 0x11);
	free(c);

	c = tuned(&(struct x86_tuning){ .disable_exits = X86_EXIT_PAUSE | X86_EXIT_CSTATE |
							 X86_EXIT_APERFMPERF },
		  1, NULL);
	assert_leaf(c, 0x40000001, 0x010000ff, 0, 0, 0);
	assert_leaf(c, 1, 0, 0, BIT(31) | BIT(15) | 1, 1);
	free(c);
}

static void test_pmu(void **state)
{
	static const struct x86_tuning on = { .pmu = X86_PMU_ON };
	const struct x86_cpuid_tuning t = { .asked = &on };
	struct kvm_cpuid2 *supported = host(), *c;

	c = tuned(&(struct x86_tuning){ .pmu = X86_PMU_OFF }, 1, NULL);
	assert_leaf(c, 0xa, 0, 0, 0, 0);
	assert_leaf(c, 1, 0, 0, BIT(31) | 1, 1);
	assert_leaf(c, 0x80000001, 0, 0, 3, 5);
	assert_leaf(c, 0x80000022, 0, 0, 0, 0);
	/* What another option took away comes back: that one asked for a model, this for counters.
	 */
	assert_int_equal(x86_cpuid_tune(&c, supported, &t), 0);
	assert_leaf(c, 0xa, 0x07300802, 1, 2, 0x603);
	assert_leaf(c, 1, 0, 0, BIT(31) | BIT(15) | 1, 1);
	assert_leaf(c, 0x80000001, 0, 0, BIT(28) | BIT(24) | BIT(23) | 3, 5);
	assert_leaf(c, 0x80000022, 1, 6, 0, 0);
	/* But not where it left some. */
	x86_cpuid_find(c, 0xa, 0)->eax = 0x07300401;
	assert_int_equal(x86_cpuid_tune(&c, supported, &t), 0);
	assert_leaf(c, 0xa, 0x07300401, 1, 2, 0x603);
	free(c);
	free(supported);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),	  cmocka_unit_test(test_clocks),
		cmocka_unit_test(test_overruled), cmocka_unit_test(test_ratio),
		cmocka_unit_test(test_idling),	  cmocka_unit_test(test_pmu),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
