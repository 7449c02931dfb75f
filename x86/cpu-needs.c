/* SPDX-License-Identifier: MIT */
/*
 * Which feature needs which, which components of XSAVE keep its registers (Intel SDM volume 1, 13.1
 * and the chapter of each extension; AMD APM volume 3, appendix D), and the psABI's levels (System
 * V ABI, AMD64 Architecture Processor Supplement 1.0, table 3.1).
 */
#include <string.h>

#include "cpu.h"
#include "lkvm/util.h"

const char *const x86_cpu_base_names[] = { "host", "min", "v2", "v3", "v4", NULL };

/* The first cannot do without any of the words in the second. */
/* clang-format off */
static const char *const needs[][2] = {
	{ "mca", "mce" }, { "x2apic", "apic" }, { "tsc-deadline", "apic tsc" }, { "arat", "apic" },
	{ "mtrr", "msr" }, { "pse36", "pse" }, { "tsc-adjust", "tsc" }, { "rdtscp", "tsc" }, { "invtsc", "tsc" },

	{ "nx", "pae" }, { "lm", "pae" }, { "lahf-lm", "lm" }, { "pdpe1gb", "lm" }, { "la57", "lm" },
	{ "pcid", "lm" }, { "invpcid", "pcid" }, { "fsgsbase", "lm" }, { "lam", "lm" }, { "lkgs", "lm" },
	{ "fred", "lkgs" }, { "cx16", "lm" },

	{ "mmxext", "mmx" }, { "fxsr-opt", "fxsr" }, { "sse", "fxsr" }, { "sse2", "sse" }, { "sse3", "sse2" },
	{ "ssse3", "sse3" }, { "sse4.1", "ssse3" }, { "sse4.2", "sse4.1" }, { "sse4a", "sse3" },
	{ "misalignsse", "sse" }, { "aes", "sse2" }, { "pclmulqdq", "sse2" }, { "sha-ni", "sse2" }, { "gfni", "sse2" },

	{ "xsaveopt", "xsave" }, { "xsavec", "xsave" }, { "xgetbv1", "xsave" }, { "xsaves", "xsavec" },
	{ "xfd", "xsaves" }, { "mpx", "xsave" }, { "pku", "xsave" }, { "cet-ss", "xsaves" }, { "cet-ibt", "xsaves" },

	{ "avx", "xsave" }, { "avx2", "avx" }, { "fma", "avx" }, { "f16c", "avx" }, { "xop", "avx" },
	{ "fma4", "avx" }, { "vaes", "avx aes" }, { "vpclmulqdq", "avx pclmulqdq" }, { "avx-vnni", "avx2" },
	{ "avx-ifma", "avx2" }, { "avx-vnni-int8", "avx2" }, { "avx-vnni-int16", "avx2" },
	{ "avx-ne-convert", "avx2" }, { "sha512", "avx2" }, { "sm3", "avx" }, { "sm4", "avx2" },

	{ "avx512f", "avx2 fma f16c" }, { "avx512dq", "avx512f" }, { "avx512ifma", "avx512f" },
	{ "avx512cd", "avx512f" }, { "avx512bw", "avx512f" }, { "avx512vl", "avx512f" },
	{ "avx512vbmi", "avx512bw" }, { "avx512vbmi2", "avx512bw" }, { "avx512vnni", "avx512f" },
	{ "avx512bitalg", "avx512bw" }, { "avx512-vpopcntdq", "avx512f" }, { "avx512-vp2intersect", "avx512f" },
	{ "avx512-bf16", "avx512bw" }, { "avx512-fp16", "avx512bw avx512dq avx512vl" },
	{ "avx10", "avx512bw avx512cd avx512dq avx512vl" },

	{ "amx-tile", "xsave" }, { "amx-int8", "amx-tile" }, { "amx-bf16", "amx-tile" }, { "amx-fp16", "amx-tile" },
	{ "amx-complex", "amx-tile" },

	{ "tsx-ldtrk", "rtm" }, { "sgxlc", "sgx" }, { "sev-es", "sev" }, { "sev-snp", "sev-es" },

	{ "kvmclock-old", "kvmclock" }, { "kvmclock-stable-bit", "kvmclock" },
	{ "kvm-asyncpf-int", "kvm-asyncpf" }, { "kvm-asyncpf-vmexit", "kvm-asyncpf" },
	/* Both look into its record whether a vcpu runs. */
	{ "kvm-pv-tlb-flush", "kvm-steal-time" }, { "kvm-pv-sched-yield", "kvm-steal-time" },
	{ "kvm-pv-eoi", "apic" }, { "kvm-pv-ipi", "apic" },
};

/*
 * x86-64 itself, what kernels expect of any such CPU beside it, and what KVM makes whatever the CPU
 * (local APIC and clock); then what each level adds.
 */
static const char *const levels[] = {
	[X86_CPU_MIN] = ("fpu de pse tsc msr pae mce cx8 apic sep mtrr pge mca cmov pat pse36 clflush mmx fxsr "
			 "sse sse2 syscall nx lm x2apic tsc-deadline hypervisor arat "
			 "kvmclock-old kvmclock kvm-nopiodelay kvmclock-stable-bit"),
	[X86_CPU_V2] = "cx16 lahf-lm popcnt sse3 ssse3 sse4.1 sse4.2",
	[X86_CPU_V3] = "avx avx2 bmi1 bmi2 f16c fma abm movbe xsave",
	[X86_CPU_V4] = "avx512f avx512bw avx512cd avx512dq avx512vl",
};
/* clang-format on */

/* SDM volume 1, 13.1: bits of XCR0, and of IA32_XSS. x87 and SSE are always there. */
static const struct {
	const char *feature;
	u64 xcr0;
	u64 xss;
} components[] = {
	{ "avx", BIT(2), 0 },
	{ "mpx", BIT(3) | BIT(4), 0 },
	{ "avx512f", 7U << 5, 0 },
	{ "pku", BIT(9), 0 },
	{ "amx-tile", BIT(17) | BIT(18), 0 },
	{ "intel-pt", 0, BIT(8) },
	{ "cet-ss", 0, BIT(11) | BIT(12) },
	{ "arch-lbr", 0, BIT(15) },
};

/* The @i-th word of @words, and its length; or NULL. */
static const char *word_at(const char *words, u32 i, size_t *len)
{
	for (;; words += *len + 1) {
		*len = strcspn(words, " ");
		if (!i--)
			return words;
		if (!words[*len])
			return NULL;
	}
}

bool x86_cpu_level_has(enum x86_cpu_base base, const struct x86_cpu_prop *prop)
{
	for (u32 level = X86_CPU_MIN; level <= base; level++) {
		const char *word;
		size_t len;

		for (u32 i = 0; (word = word_at(levels[level], i, &len)); i++)
			if (!strncmp(prop->name, word, len) && !prop->name[len])
				return true;
	}
	return false;
}

const struct x86_cpu_prop *x86_cpu_need(const struct x86_cpu_prop *prop, u32 i)
{
	for (size_t k = 0; k < ARRAY_SIZE(needs); k++) {
		const char *word;
		size_t len;

		if (strcmp(needs[k][0], prop->name) != 0)
			continue;
		word = word_at(needs[k][1], i, &len);
		return word ? x86_cpu_prop_find(word, len) : NULL;
	}
	return NULL;
}

u64 x86_cpu_components(const struct x86_cpu_prop *prop, bool *xss)
{
	for (size_t i = 0; i < ARRAY_SIZE(components); i++) {
		if (strcmp(components[i].feature, prop->name) != 0)
			continue;
		*xss = components[i].xss;
		return components[i].xcr0 | components[i].xss;
	}
	*xss = false;
	return 0;
}

const char *x86_cpu_level_name(const struct x86_cpu_prop *prop)
{
	if (x86_cpu_prop_is_kvms(prop))
		return "hypervisor-level";
	return prop->leaf >> 31 ? "xlevel" : "level";
}
