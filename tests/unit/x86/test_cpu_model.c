/* SPDX-License-Identifier: MIT */
/* The words of --cpu, the psABI's levels, and what features need. */
#include "capture.h"

#include <linux/kvm.h>
#include <string.h>

#include "../../../x86/cpu.h"
#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/log.h"

static const struct x86_cpu_prop *prop(const char *name)
{
	const struct x86_cpu_prop *p = x86_cpu_prop_find(name, strlen(name));

	if (!p)
		fail_msg("no property '%s'", name);
	return p;
}

static struct x86_cpu_model parsed(const char *text)
{
	struct x86_cpu_model m;

	assert_int_equal(x86_cpu_model_parse(text, &m), 0);
	return m;
}

static void refused(const char *text, const char *why)
{
	struct x86_cpu_model m;
	int ret;

	capture_begin();
	ret = x86_cpu_model_parse(text, &m);
	capture_end();
	x86_cpu_model_destroy(&m);
	if (ret != -EINVAL)
		fail_msg("%s is not refused", text);
	assert_one_line(captured);
	assert_contains(captured, why);
}

static void test_words(void **state)
{
	struct x86_cpu_model m = parsed(NULL);

	assert_true(x86_cpu_model_is_plain(&m));
	x86_cpu_model_destroy(&m);
	m = parsed("host");
	assert_true(x86_cpu_model_is_plain(&m));
	x86_cpu_model_destroy(&m);
	m = parsed("v2");
	assert_int_equal(m.base, X86_CPU_V2);
	assert_false(x86_cpu_model_is_plain(&m));
	x86_cpu_model_destroy(&m);

	m = parsed("host,+avx2,-sse4_1,family=0x19,model-id=Some CPU (R) @ 2 GHz,xss=0,"
		   "vendor=GenuineIntel,sockets=2");
	assert_int_equal(m.base, X86_CPU_HOST);
	assert_int_equal(m.nr_words, 7);
	assert_int_equal(x86_cpu_model_named(&m, "avx2")->value, 1);
	assert_int_equal(x86_cpu_model_named(&m, "sse4.1")->value, 0);
	assert_int_equal(x86_cpu_model_named(&m, "family")->value, 25);
	assert_string_equal(x86_cpu_model_named(&m, "model-name")->text, "Some CPU (R) @ 2 GHz");
	assert_int_equal(x86_cpu_model_named(&m, "xss")->value, 0);
	assert_null(x86_cpu_model_named(&m, "hypervisor-id"));
	assert_string_equal(x86_cpu_model_named(&m, "vendor")->text, "GenuineIntel");
	assert_int_equal(x86_cpu_model_word(&m, prop("sockets"))->value, 2);
	assert_null(x86_cpu_model_named(&m, "avx"));
	x86_cpu_model_destroy(&m);
}

static void test_unknown(void **state)
{
	refused("", "must begin with host, min, v2, v3 or v4");
	refused("+avx2", "must begin with host, min, v2, v3 or v4, not '+avx2'");
	refused("hots", "did you mean 'host'?");
	refused("v5", "not 'v5'");
	refused("host,+movbee", "unknown feature 'movbee'; did you mean 'movbe'?");
	refused("host,-frobnicate", "unknown feature 'frobnicate'; `lkvm run --cpu help` lists");
	refused("host,fmaily=6", "unknown property 'fmaily'; did you mean 'family'?");
	refused("host,+family", "'+family' is not a feature but has a value: write family=VALUE");
	refused("host,avx2=off", "avx2 is a feature: write +avx2 or -avx2");
	refused("host,avx2", "avx2 is a feature: write +avx2 or -avx2");
	refused("host,bogus", "'bogus' is neither +FEATURE nor -FEATURE nor PROPERTY=VALUE");
	refused("host,", "'' is neither");
	refused("host,+", "unknown feature ''");
	refused("host,=1", "unknown property ''");
	refused("host,cbitpos=51", "cbitpos: is the host's");
	refused("host,family=", "family: has no value");
	refused("host,hypervisor-id=", "hypervisor-id: has no value");
	refused("host,family", "family: has no value");
}

static void test_ranges(void **state)
{
	struct x86_cpu_model m;

	refused("host,family=271", "family=271: is not a number from 0 to 270");
	refused("host,model=256", "from 0 to 255");
	refused("host,stepping=16", "from 0 to 15");
	refused("host,stepping=-1", "from 0 to 15");
	refused("host,stepping=x", "from 0 to 15");
	refused("host,phys-bits=35", "from 36 to 52");
	refused("host,phys-bits=53", "from 36 to 52");
	refused("host,linear-bits=58", "from 32 to 57");
	refused("host,pmu-counters=256", "from 0 to 255");
	refused("host,pmu-fixed-counters=32", "from 0 to 31");
	refused("host,base-mhz=65536", "from 0 to 65535");
	refused("host,crystal-hz=0x100000000", "from 0 to 4294967295");
	refused("host,level=0", "level=0: is not a number from 0x1 to 0xffff");
	refused("host,xlevel=0x7fffffff", "from 0x80000001 to 0x8000ffff");
	refused("host,hypervisor-level=0x40000100", "from 0x40000000 to 0x400000ff");
	refused("host,xcr0=0x10000000000000000", "is not a number of 64 bits");
	refused("host,cores=0", "from 1 to 65535");
	refused("host,vendor=Intel", "vendor=Intel: must be 12 printable characters");
	refused("host,vendor=GenuineIntel2", "must be 12");
	refused("host,vendor=Genuine\nntel", "must be 12");
	refused("host,hypervisor-id=KVMKVMKVMKVMK", "at most 12 printable");
	refused("host,model-name=123456789012345678901234567890123456789012345678", "at most 47");
	/* Each end fits. */
	m = parsed("host,family=270,model=255,stepping=15,phys-bits=52,level=1,xlevel=0x80000001,"
		   "crystal-hz=0xffffffff,xcr0=0x80000000000002e7,base-mhz=0,cores=65535,"
		   "model-name=12345678901234567890123456789012345678901234567");
	assert_int_equal(m.nr_words, 11);
	x86_cpu_model_destroy(&m);
}

static void test_contradictions(void **state)
{
	struct x86_cpu_model m;

	refused("host,+avx,-avx", "+avx and -avx contradict each other");
	refused("host,-nx,+xd", "+nx and -nx contradict each other");
	refused("host,+avx,+avx", "avx is given twice");
	refused("host,family=6,family=6", "family is given twice");
	refused("host,virt-bits=48,linear-bits=48", "linear-bits is given twice");
	refused("host,+avx,-xsave", "+avx needs xsave; omit -xsave");
	refused("host,-xsave,+avx512-vp2intersect",
		"+avx512-vp2intersect needs xsave; omit -xsave");
	/* What is asked for breaks the chain: it has needs of its own, which are looked at alone.
	 */
	refused("host,-xsave,+avx,+avx2", "needs xsave");
	refused("min,+avx2",
		"--cpu min: +avx2 needs what that CPU does not have: add +xsave,+avx\n");
	refused("v2,+avx512f", "add +xsave,+avx,+avx2,+fma,+f16c\n");
	refused("min,+avx512-fp16", "add +xsave,+avx,+avx2,+fma,+f16c,+avx512f,+avx512bw,+avx512dq,"
				    "+avx512vl\n");
	refused("host,+avx,xcr0=3", "+avx needs components 0x4, which xcr0=0x3 does not have");
	refused("host,+avx2,xcr0=3", "+avx2 needs components 0x4, which xcr0=0x3");
	refused("host,+kvmclock,hypervisor-level=0x40000000", "needs leaf 0x40000001");
	refused("host,+cet-ss,xss=0", "+cet-ss needs components 0x1800, which xss=0x0");
	refused("host,+avx2,level=6", "+avx2 needs leaf 0x7, and level=0x6 ends before it");
	refused("host,+invtsc,xlevel=0x80000001", "+invtsc needs leaf 0x80000007, and xlevel=");
	refused("host,xcr0=2", "component 0 (x87) cannot be omitted");
	refused("host,xcr0=5", "component 2 (AVX) needs component 1 (SSE)");
	refused("host,xcr0=0x67", "components 5 to 7 (AVX-512) go together");
	refused("host,xcr0=0xe3", "with component 2 (AVX)");
	refused("host,xcr0=0xf", "components 3 and 4 (MPX) go together");
	refused("host,xcr0=0x20003", "components 17 and 18 (AMX) go together");
	refused("host,family=5,model=16", "model=16: is not a number from 0 to 15, which family 5");
	/* The hypervisor's leaves have a last one of their own. */
	m = parsed("host,+kvmclock,level=1,family=5,model=15,+avx,xcr0=7");
	x86_cpu_model_destroy(&m);
	m = parsed("min,+xsave,+avx,+avx2");
	x86_cpu_model_destroy(&m);
	m = parsed("v3,-xsave");
	x86_cpu_model_destroy(&m);
}

/* The psABI's table 3.1, by the names of CPUID's bits (OSFXSR and OSXSAVE are the kernel's). */
static void test_levels(void **state)
{
	static const char *const abi[][20] = {
		[X86_CPU_MIN] = { "cmov", "cx8", "fpu", "fxsr", "mmx", "syscall", "sse", "sse2" },
		[X86_CPU_V2] = { "cx16", "lahf-lm", "popcnt", "sse3", "sse4.1", "sse4.2", "ssse3" },
		[X86_CPU_V3] = { "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe",
				 "xsave" },
		[X86_CPU_V4] = { "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl" },
	};

	for (u32 level = X86_CPU_MIN; level <= X86_CPU_V4; level++) {
		for (u32 of = X86_CPU_MIN; of <= X86_CPU_V4; of++)
			for (u32 i = 0; abi[of][i]; i++)
				assert_int_equal(x86_cpu_level_has(level, prop(abi[of][i])),
						 of <= level);
		/* Beside them, in all alike, what kernels and KVM want. */
		for (size_t i = 0; i < x86_nr_cpu_props; i++) {
			const struct x86_cpu_prop *p = &x86_cpu_props[i];
			bool listed = false;

			for (u32 of = X86_CPU_MIN; of <= level; of++)
				for (u32 k = 0; abi[of][k]; k++)
					listed = listed || p == prop(abi[of][k]);
			if (!listed)
				assert_int_equal(x86_cpu_level_has(level, p),
						 x86_cpu_level_has(X86_CPU_MIN, p));
		}
	}
	assert_true(x86_cpu_level_has(X86_CPU_MIN, prop("lm")));
	assert_true(x86_cpu_level_has(X86_CPU_MIN, prop("kvmclock")));
	assert_false(x86_cpu_level_has(X86_CPU_V4, prop("aes")));
	assert_false(x86_cpu_level_has(X86_CPU_V4, prop("invtsc")));
	assert_false(x86_cpu_level_has(X86_CPU_HOST, prop("lm")));
}

static u32 depth(const struct x86_cpu_prop *p)
{
	const struct x86_cpu_prop *need;
	u32 most = 0;

	for (u32 i = 0; (need = x86_cpu_need(p, i)); i++) {
		u32 d = depth(need) + 1;

		most = MAX(most, d);
	}
	return most;
}

static void test_needs(void **state)
{
	bool xss;

	/* No circles, and every level has what its features need. */
	for (size_t i = 0; i < x86_nr_cpu_props; i++) {
		const struct x86_cpu_prop *p = &x86_cpu_props[i], *need;

		assert_true(depth(p) < 8);
		for (u32 k = 0; (need = x86_cpu_need(p, k)); k++) {
			assert_int_equal(need->type, X86_PROP_FLAG);
			for (u32 level = X86_CPU_MIN; level <= X86_CPU_V4; level++)
				assert_true(!x86_cpu_level_has(level, p) ||
					    x86_cpu_level_has(level, need));
		}
	}
	assert_ptr_equal(x86_cpu_need(prop("avx"), 0), prop("xsave"));
	assert_null(x86_cpu_need(prop("avx"), 1));
	assert_ptr_equal(x86_cpu_need(prop("avx512f"), 2), prop("f16c"));
	assert_null(x86_cpu_need(prop("fpu"), 0));

	assert_int_equal(x86_cpu_components(prop("avx"), &xss), 4);
	assert_false(xss);
	assert_int_equal(x86_cpu_components(prop("avx512f"), &xss), 0xe0);
	assert_int_equal(x86_cpu_components(prop("amx-tile"), &xss), 0x60000);
	assert_int_equal(x86_cpu_components(prop("cet-ss"), &xss), 0x1800);
	assert_true(xss);
	assert_int_equal(x86_cpu_components(prop("avx2"), &xss), 0);
}

/* What the built-in guest is to find: register by register, mask and value. */
static void test_selftest_words(void **state)
{
	struct vm_config cfg;
	char *words;

	config_init(&cfg);
	assert_null(arch_selftest_words(&cfg));
	cfg.x86.cpu = strdup("host,sockets=1");
	assert_null(arch_selftest_words(&cfg));
	free(cfg.x86.cpu);
	cfg.x86.cpu =
		strdup("host,family=0x19,hypervisor-id=AB,-avx2,+bmi1,xcr0=0x8000000000000003");
	words = arch_selftest_words(&cfg);
	assert_string_equal(words, "cpuid=1.0.0.ff00f00.a00f00,40000000.0.1.ffffffff.4241,"
				   "40000000.0.2.ffffffff.0,40000000.0.3.ffffffff.0,"
				   "d.0.0.ffffffff.3,d.0.3.ffffffff.80000000,7.0.1.28.8");
	free(words);
	free(cfg.x86.cpu);
	/* All features of a level; what falls is expected to be away. */
	cfg.x86.cpu = strdup("v3,-xsave");
	words = arch_selftest_words(&cfg);
	assert_contains(words, "7.0.1.f3b");
	assert_contains(words, ".108,"); /* BMI1 and BMI2, no AVX2 */
	free(words);
	config_destroy(&cfg);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),	       cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_ranges),	       cmocka_unit_test(test_contradictions),
		cmocka_unit_test(test_levels),	       cmocka_unit_test(test_needs),
		cmocka_unit_test(test_selftest_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
