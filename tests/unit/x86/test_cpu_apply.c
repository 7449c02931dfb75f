/* SPDX-License-Identifier: MIT */
/* --cpu on hosts that were written down by hand. */
#include "capture.h"

#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>

#include "../../../x86/cpu.h"
#include "../../../x86/platform.h"
#include "lkvm/log.h"

static void add(struct kvm_cpuid2 *c, u32 function, u32 index, u32 eax, u32 ebx, u32 ecx, u32 edx)
{
	c->entries[c->nent++] = (struct kvm_cpuid_entry2){
		.function = function,
		.index = index,
		.flags = function == 4 || function == 7 || function == 0xd || function == 0x1d
				 ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX
				 : 0,
		.eax = eax,
		.ebx = ebx,
		.ecx = ecx,
		.edx = edx,
	};
}

/* A server with AVX-512 and AMX; what KVM does not report itself (x2APIC and so on) is not there.
 */
static struct kvm_cpuid2 *server(void)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 64 * sizeof(c->entries[0]));

	add(c, 0, 0, 0x20, 0x756e6547, 0x6c65746e, 0x49656e69);
	add(c, 1, 0, 0x000806f8, 0x00000800, 0x76fa3203 & ~(1U << 24), 0x0f8bfbff);
	add(c, 4, 0, 0x121, 0, 0, 0);
	add(c, 6, 0, 4, 0, 0, 0);
	add(c, 7, 0, 2, 0xf1bf07ab, 0x00415fde, 0xbdd14510 & ~(1U << 20));
	add(c, 7, 1, 0x00001c30, 0, 0, 0);
	add(c, 0xa, 0, 0x07300802, 0, 0, 0x603);
	/* x87, SSE, AVX (256 at 576), AVX-512 (64, 512, 1024 from 1088), PKRU, AMX (64, 8192). */
	add(c, 0xd, 0, 0x602e7, 0x2b00, 0x2b00, 0);
	add(c, 0xd, 1, 0x1f, 0, 0x1800, 0);
	add(c, 0xd, 2, 256, 576, 0, 0);
	add(c, 0xd, 5, 64, 1088, 0, 0);
	add(c, 0xd, 6, 512, 1152, 0, 0);
	add(c, 0xd, 7, 1024, 1664, 0, 0);
	add(c, 0xd, 9, 8, 2688, 0, 0);
	add(c, 0xd, 11, 16, 0, 1, 0);
	add(c, 0xd, 12, 24, 0, 1, 0);
	add(c, 0xd, 17, 64, 2752, 2, 0);
	add(c, 0xd, 18, 8192, 2816, 6, 0);
	add(c, 0x1d, 0, 1, 0, 0, 0);
	add(c, 0x40000000, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d);
	add(c, 0x40000001, 0, 0x0100fefb & ~(1U << 15), 0, 0, 0);
	add(c, 0x80000000, 0, 0x80000008, 0, 0, 0);
	add(c, 0x80000001, 0, 0, 0, 0x121, 0x2c100800);
	add(c, 0x80000002, 0, 0x65746e49, 0x6c, 0, 0);
	add(c, 0x80000007, 0, 0, 0, 0, 0x100);
	add(c, 0x80000008, 0, 0x3934, 0, 0, 0);
	return c;
}

/* Zen: no more than the second level. */
static struct kvm_cpuid2 *zen(void)
{
	struct kvm_cpuid2 *c = calloc(1, sizeof(*c) + 64 * sizeof(c->entries[0]));

	add(c, 0, 0, 0x10, 0x68747541, 0x444d4163, 0x69746e65);
	add(c, 1, 0, 0x00a20f12, 0x00000800, 0x00982203, 0x178bfbff);
	add(c, 6, 0, 4, 0, 0, 0);
	add(c, 7, 0, 0, 0, 0, 0);
	add(c, 0x40000000, 0, 0x40000001, 0x4b4d564b, 0x564b4d56, 0x4d);
	add(c, 0x40000001, 0, 0x0100fefb, 0, 0, 0);
	add(c, 0x80000000, 0, 0x80000021, 0x68747541, 0x444d4163, 0x69746e65);
	add(c, 0x80000001, 0, 0x00a20f12, 0, 0x4003f3, 0x2fd3fbff);
	add(c, 0x80000008, 0, 0x3030, 0, 0, 0);
	return c;
}

static u64 get(const struct kvm_cpuid2 *c, const char *name)
{
	const struct x86_cpu_prop *p = x86_cpu_prop_find(name, strlen(name));

	if (!p)
		fail_msg("no property '%s'", name);
	return x86_cpu_prop_get(c, p);
}

/* The list for @words on @host, which is freed; what was said is in @captured. */
static struct kvm_cpuid2 *apply(struct kvm_cpuid2 *host, const char *words, bool deadline, int want)
{
	struct kvm_cpuid2 *out = NULL;
	struct x86_cpu_model m;
	int ret;

	assert_int_equal(x86_cpu_model_parse(words, &m), 0);
	capture_begin();
	ret = x86_cpu_apply(&m, host, deadline, &out);
	capture_end();
	if (ret != want)
		fail_msg("%s: %d: %s", words, ret, captured);
	assert_int_equal(!out, want != 0);
	x86_cpu_model_destroy(&m);
	free(host);
	return out;
}

static struct kvm_cpuid2 *silent(struct kvm_cpuid2 *host, const char *words)
{
	struct kvm_cpuid2 *c = apply(host, words, true, 0);

	assert_string_equal(captured, "");
	return c;
}

static void refused(struct kvm_cpuid2 *host, const char *words, const char *why)
{
	apply(host, words, true, -ENOTSUP);
	assert_one_line(captured);
	assert_contains(captured, why);
}

static void test_switches(void **state)
{
	struct kvm_cpuid2 *c = silent(server(), "host,-movbe,-invtsc,+avx2,+hypervisor,+x2apic,"
						"+kvm-hint-dedicated,+tsc-deadline,-kvm-pv-unhalt");

	assert_int_equal(get(c, "movbe"), 0);
	assert_int_equal(get(c, "invtsc"), 0);
	assert_int_equal(get(c, "avx2"), 1);
	assert_int_equal(get(c, "hypervisor"), 1);
	assert_int_equal(get(c, "x2apic"), 1);
	assert_int_equal(get(c, "tsc-deadline"), 1);
	assert_int_equal(get(c, "kvm-hint-dedicated"), 1);
	assert_int_equal(get(c, "kvm-pv-unhalt"), 0);
	assert_int_equal(get(c, "kvmclock"), 1);
	assert_int_equal(get(c, "popcnt"), 1);
	free(c);
	refused(server(), "host,+sgx", "--cpu host: this host has no sgx for guests: ");
	refused(server(), "host,+kvm-msi-ext-dest-id", "this KVM does not have it");
	refused(server(), "host,+sgx,+waitpkg", "none of these for guests: sgx, waitpkg; sgx: ");
	apply(server(), "host,+tsc-deadline", false, -ENOTSUP);
}

static void test_falls(void **state)
{
	struct kvm_cpuid2 *c = apply(server(), "host,-avx512f,-kvmclock", true, 0);

	assert_one_line(captured);
	assert_contains(captured, "warning: --cpu: the guest does without avx512dq, avx512ifma, ");
	assert_contains(captured, "avx512-bf16");
	assert_contains(captured, "kvmclock-old, kvmclock-stable-bit, too: they need what is");
	assert_lacks(captured, "avx2");
	assert_int_equal(get(c, "avx512vl"), 0);
	assert_int_equal(get(c, "avx512-bf16"), 0);
	assert_int_equal(get(c, "avx512-fp16"), 0);
	assert_int_equal(get(c, "avx2"), 1);
	assert_int_equal(get(c, "amx-tile"), 1);
	/* Its registers are not saved, either. */
	assert_int_equal(get(c, "xcr0"), 0x60207);
	assert_null(x86_cpuid_find(c, 0xd, 5));
	assert_non_null(x86_cpuid_find(c, 0xd, 9));
	assert_int_equal(x86_cpuid_find(c, 0xd, 0)->ecx, 2816 + 8192);
	free(c);

	/* Without XSAVE none of what needs it, and no leaf. */
	c = apply(server(), "host,-xsave", true, 0);
	assert_contains(captured, "avx, ");
	assert_contains(captured, "amx-tile");
	assert_contains(captured, "pku");
	assert_int_equal(get(c, "avx") | get(c, "avx2") | get(c, "f16c") | get(c, "pku"), 0);
	assert_int_equal(get(c, "amx-tile") | get(c, "avx512f") | get(c, "cet-ss"), 0);
	assert_int_equal(get(c, "xsaveopt") | get(c, "xsaves"), 0);
	assert_int_equal(get(c, "sse4.2"), 1);
	assert_null(x86_cpuid_find(c, 0xd, 0));
	assert_null(x86_cpuid_find(c, 0xd, 2));
	assert_null(x86_cpuid_find(c, 0x1d, 0));
	free(c);
}

static void test_xstate(void **state)
{
	struct kvm_cpuid2 *c = apply(server(), "host,-amx-tile", true, 0);

	assert_int_equal(get(c, "xcr0"), 0x2e7);
	assert_int_equal(x86_cpuid_find(c, 0xd, 0)->ebx, 576);
	assert_int_equal(x86_cpuid_find(c, 0xd, 0)->ecx, 2688 + 8);
	free(c);
	c = apply(server(), "host,-pku,-amx-tile", true, 0);
	assert_int_equal(get(c, "xcr0"), 0xe7);
	assert_int_equal(x86_cpuid_find(c, 0xd, 0)->ecx, 1664 + 1024);
	free(c);
	/* By the mask itself: the features go. */
	c = apply(server(), "host,xcr0=7", true, 0);
	assert_contains(captured, "avx512f");
	assert_int_equal(get(c, "avx2"), 1);
	assert_int_equal(get(c, "avx512f") | get(c, "pku") | get(c, "amx-int8"), 0);
	assert_int_equal(get(c, "xcr0"), 7);
	assert_int_equal(x86_cpuid_find(c, 0xd, 0)->ecx, 576 + 256);
	assert_non_null(x86_cpuid_find(c, 0xd, 11));
	free(c);
	c = apply(server(), "host,xcr0=1", true, 0);
	assert_int_equal(x86_cpuid_find(c, 0xd, 0)->ecx, 576);
	free(c);
	c = apply(server(), "host,-cet-ss", true, 0);
	assert_int_equal(get(c, "xss"), 0);
	assert_null(x86_cpuid_find(c, 0xd, 11));
	free(c);
	c = apply(server(), "host,-xsaves", true, 0);
	assert_contains(captured, "cet-ss");
	assert_int_equal(get(c, "xss"), 0);
	assert_int_equal(get(c, "xsavec"), 1);
	free(c);
	refused(server(), "host,xcr0=0x21f",
		"xcr0=0x21f: this host's KVM offers a guest only 0x602e7");
	refused(server(), "host,xss=0x100",
		"xss=0x100: this host's KVM offers a guest only 0x1800");
}

static void test_properties(void **state)
{
	char text[X86_CPU_TEXT_MAX + 1];
	struct kvm_cpuid2 *c =
		silent(server(), "host,family=0x19,model=0x21,stepping=2,model-name=A CPU,"
				 "vendor=AuthenticAMD,phys-bits=46,pmu-version=1,pmu-counters=4,"
				 "crystal-hz=25000000,tsc-numerator=80,tsc-denominator=1,"
				 "base-mhz=2000,hypervisor-id=Other,guest-phys-bits=46");

	assert_int_equal(x86_cpuid_find(c, 1, 0)->eax, 0x00a20f12);
	assert_string_equal(x86_cpu_prop_text(c, x86_cpu_prop_find("model-name", 10), text),
			    "A CPU");
	assert_string_equal(x86_cpu_prop_text(c, x86_cpu_prop_find("hypervisor-id", 13), text),
			    "Other");
	assert_true(x86_cpuid_is_amd(c));
	assert_int_equal(x86_cpuid_phys_bits(c), 46);
	assert_int_equal(x86_cpuid_find(c, 0xa, 0)->eax, 0x07300401);
	assert_int_equal(x86_cpuid_find(c, 0x15, 0)->ecx, 25000000);
	assert_int_equal(x86_cpuid_find(c, 0x16, 0)->eax, 2000);
	/* As AMD's CPUs do. */
	assert_int_equal(x86_cpuid_find(c, 0x80000001, 0)->edx & 0x0183f3ff, 0x0183f3ff);
	free(c);

	c = silent(server(), "host,pmu-version=0");
	assert_null(x86_cpuid_find(c, 0xa, 0));
	free(c);
	c = silent(server(), "host,-la57");
	assert_int_equal(get(c, "linear-bits"), 48);
	free(c);
	refused(server(), "host,pmu-counters=9",
		"pmu-counters=9: this host's KVM offers a guest at most 8");
	refused(zen(), "host,phys-bits=52",
		"phys-bits=52: this host's KVM offers a guest at most 48");
	refused(zen(), "host,linear-bits=57", "at most 48");
	refused(zen(), "host,pmu-version=1", "at most 0");
	c = silent(zen(), "host,family=5,model=15");
	assert_int_equal(get(c, "family"), 5);
	free(c);
	/* The model alone, where the host's family... has such. */
	c = silent(zen(), "host,model=255");
	assert_int_equal(x86_cpuid_find(c, 1, 0)->eax, 0x00af0ff2);
	free(c);
}

static void test_levels_of_leaves(void **state)
{
	struct kvm_cpuid2 *c = apply(server(), "host,level=6,xlevel=0x80000004", true, 0);

	assert_contains(captured, "avx2");
	assert_contains(captured, "invtsc");
	assert_int_equal(get(c, "level"), 6);
	assert_null(x86_cpuid_find(c, 7, 0));
	assert_null(x86_cpuid_find(c, 0xd, 0));
	assert_non_null(x86_cpuid_find(c, 6, 0));
	assert_null(x86_cpuid_find(c, 0x80000008, 0));
	assert_non_null(x86_cpuid_find(c, 0x80000002, 0));
	assert_non_null(x86_cpuid_find(c, 0x40000001, 0));
	free(c);
}

static void test_build(void **state)
{
	struct kvm_cpuid2 *supported = server(), *c, *out;
	struct x86_cpuid_params p = {
		.topology = { 1, 1, 2, 1 }, .apic_id = 1, .tsc_deadline = true, .tsc_khz = 1
	};
	struct x86_cpu_model m;

	/* What lkvm itself puts into every list goes by the words, too. */
	assert_int_equal(x86_cpu_model_parse("host,-hypervisor,-x2apic,-tsc-deadline,level=5,"
					     "hypervisor-level=0x40000001,crystal-hz=1000",
					     &m),
			 0);
	m.words[3].value = 0x16; /* beyond what it lists */
	assert_int_equal(x86_cpu_apply(&m, supported, true, &c), 0);
	assert_int_equal(x86_cpuid_build(c, &p, &out), 0);
	x86_cpu_pin(&m, out);
	assert_int_equal(get(out, "hypervisor") | get(out, "x2apic") | get(out, "tsc-deadline"), 0);
	assert_int_equal(get(out, "level"), 0x16);
	assert_int_equal(get(out, "crystal-hz"), 1000);
	assert_null(x86_cpuid_find(out, 0x1f, 0));
	assert_null(x86_cpuid_find(out, 0x40000010, 0));
	assert_int_equal(x86_cpuid_find(out, 0xb, 0)->edx, 1);
	assert_int_equal(x86_cpuid_find(out, 1, 0)->ebx >> 24, 1);
	x86_cpu_model_destroy(&m);
	free(supported);
	free(c);
	free(out);
}

static u32 features(const struct kvm_cpuid2 *c)
{
	u32 n = 0;

	for (size_t i = 0; i < x86_nr_cpu_props; i++)
		n += x86_cpu_props[i].type == X86_PROP_FLAG &&
		     x86_cpu_prop_get(c, &x86_cpu_props[i]);
	return n;
}

static void test_x86_64_levels(void **state)
{
	static const char *const names[] = { "min", "v2", "v3", "v4" };
	static const u64 xcr0[] = { 0, 0, 7, 0xe7 };
	static const u32 size[] = { 0, 0, 576 + 256, 1664 + 1024 };
	char text[X86_CPU_TEXT_MAX + 1];

	for (u32 i = 0; i < 4; i++) {
		struct kvm_cpuid2 *c = silent(server(), names[i]);
		u32 wanted = 0;

		for (size_t k = 0; k < x86_nr_cpu_props; k++) {
			bool has = x86_cpu_level_has(X86_CPU_MIN + i, &x86_cpu_props[k]);

			wanted += has;
			if (x86_cpu_props[k].type == X86_PROP_FLAG)
				assert_int_equal(x86_cpu_prop_get(c, &x86_cpu_props[k]), has);
		}
		assert_int_equal(features(c), wanted);
		/* No bit beside those that have names. */
		assert_int_equal(x86_cpuid_find(c, 1, 0)->eax, 0x00000f61);
		assert_int_equal(x86_cpuid_find(c, 1, 0)->ebx, 0x00000800);
		assert_int_equal(x86_cpuid_find(c, 1, 0)->edx, 0x078bfbfd);
		assert_int_equal(get(c, "xcr0"), xcr0[i]);
		if (size[i])
			assert_int_equal(x86_cpuid_find(c, 0xd, 0)->ecx, size[i]);
		assert_int_equal(get(c, "phys-bits"), 39);
		assert_int_equal(get(c, "linear-bits"), 48);
		assert_int_equal(get(c, "level"), 0xd);
		assert_null(x86_cpuid_find(c, 4, 0));
		assert_string_equal(x86_cpu_prop_text(c, x86_cpu_prop_find("vendor", 6), text),
				    "GenuineIntel");
		free(c);
	}
	/* The same elsewhere, but for the vendor. */
	struct kvm_cpuid2 *here = silent(server(), "v2"), *there = silent(zen(), "v2");

	for (size_t k = 0; k < x86_nr_cpu_props; k++)
		assert_int_equal(x86_cpu_prop_get(here, &x86_cpu_props[k]),
				 x86_cpu_prop_get(there, &x86_cpu_props[k]));
	free(here);
	free(there);
	refused(zen(), "v3",
		"--cpu v3: this host has none of these for guests: fma, movbe, xsave,");
	/* Without what a word takes from the level, it can be had. */
	free(apply(zen(), "v3,-xsave,-movbe,-bmi1,-bmi2,-abm,-avx,-avx2,-fma,-f16c", true, 0));
	here = silent(server(), "v2,+aes,+xsave,+avx");
	assert_int_equal(get(here, "aes") & get(here, "avx"), 1);
	assert_int_equal(get(here, "avx2"), 0);
	free(here);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_switches),	 cmocka_unit_test(test_falls),
		cmocka_unit_test(test_xstate),		 cmocka_unit_test(test_properties),
		cmocka_unit_test(test_levels_of_leaves), cmocka_unit_test(test_build),
		cmocka_unit_test(test_x86_64_levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
