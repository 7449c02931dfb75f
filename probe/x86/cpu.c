/* SPDX-License-Identifier: MIT */
/*
 * The CPU that KVM gives to guests, as typed properties (Intel SDM volume 2A, "CPUID"; AMD APM
 * volume 3, appendix E; Linux Documentation/virt/kvm/x86/cpuid.rst). Names are QEMU's.
 */
#include <cpuid.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../x86/platform.h"
#include "arch.h"
#include "lkvm/kvm.h"
#include "lkvm/probe.h"
#include "lkvm/util.h"

enum { EAX, EBX, ECX, EDX };

/* clang-format off */
#define FLAG(n, l, i, r, b) { n, l, i, r, b, 1 }
static const struct x86_cpu_prop props[] = {
	{ "level", 0, 0, EAX, 0, 32 }, { "xlevel", 0x80000000, 0, EAX, 0, 32 },
	{ "phys-bits", 0x80000008, 0, EAX, 0, 8 }, { "guest-phys-bits", 0x80000008, 0, EAX, 16, 8 },
	{ "linear-bits", 0x80000008, 0, EAX, 8, 8 },
	{ "pmu-version", 0xa, 0, EAX, 0, 8 }, { "pmu-counters", 0xa, 0, EAX, 8, 8 },
	{ "cbitpos", 0x8000001f, 0, EBX, 0, 6 }, { "reduced-phys-bits", 0x8000001f, 0, EBX, 6, 6 },

	FLAG("fpu", 1, 0, EDX, 0), FLAG("vme", 1, 0, EDX, 1), FLAG("de", 1, 0, EDX, 2),
	FLAG("pse", 1, 0, EDX, 3), FLAG("tsc", 1, 0, EDX, 4), FLAG("msr", 1, 0, EDX, 5),
	FLAG("pae", 1, 0, EDX, 6), FLAG("mce", 1, 0, EDX, 7), FLAG("cx8", 1, 0, EDX, 8),
	FLAG("apic", 1, 0, EDX, 9), FLAG("sep", 1, 0, EDX, 11), FLAG("mtrr", 1, 0, EDX, 12),
	FLAG("pge", 1, 0, EDX, 13), FLAG("mca", 1, 0, EDX, 14), FLAG("cmov", 1, 0, EDX, 15),
	FLAG("pat", 1, 0, EDX, 16), FLAG("pse36", 1, 0, EDX, 17), FLAG("clflush", 1, 0, EDX, 19),
	FLAG("mmx", 1, 0, EDX, 23), FLAG("fxsr", 1, 0, EDX, 24), FLAG("sse", 1, 0, EDX, 25),
	FLAG("sse2", 1, 0, EDX, 26), FLAG("ss", 1, 0, EDX, 27),

	FLAG("sse3", 1, 0, ECX, 0), FLAG("pclmulqdq", 1, 0, ECX, 1), FLAG("monitor", 1, 0, ECX, 3),
	FLAG("vmx", 1, 0, ECX, 5), FLAG("ssse3", 1, 0, ECX, 9), FLAG("fma", 1, 0, ECX, 12),
	FLAG("cx16", 1, 0, ECX, 13), FLAG("pdcm", 1, 0, ECX, 15), FLAG("pcid", 1, 0, ECX, 17),
	FLAG("sse4.1", 1, 0, ECX, 19), FLAG("sse4.2", 1, 0, ECX, 20), FLAG("x2apic", 1, 0, ECX, 21),
	FLAG("movbe", 1, 0, ECX, 22), FLAG("popcnt", 1, 0, ECX, 23),
	FLAG("tsc-deadline", 1, 0, ECX, 24), FLAG("aes", 1, 0, ECX, 25),
	FLAG("xsave", 1, 0, ECX, 26), FLAG("avx", 1, 0, ECX, 28), FLAG("f16c", 1, 0, ECX, 29),
	FLAG("rdrand", 1, 0, ECX, 30),

	FLAG("arat", 6, 0, EAX, 2),

	FLAG("fsgsbase", 7, 0, EBX, 0), FLAG("tsc-adjust", 7, 0, EBX, 1), FLAG("sgx", 7, 0, EBX, 2),
	FLAG("bmi1", 7, 0, EBX, 3), FLAG("hle", 7, 0, EBX, 4), FLAG("avx2", 7, 0, EBX, 5),
	FLAG("smep", 7, 0, EBX, 7), FLAG("bmi2", 7, 0, EBX, 8), FLAG("erms", 7, 0, EBX, 9),
	FLAG("invpcid", 7, 0, EBX, 10), FLAG("rtm", 7, 0, EBX, 11), FLAG("mpx", 7, 0, EBX, 14),
	FLAG("avx512f", 7, 0, EBX, 16), FLAG("avx512dq", 7, 0, EBX, 17),
	FLAG("rdseed", 7, 0, EBX, 18), FLAG("adx", 7, 0, EBX, 19), FLAG("smap", 7, 0, EBX, 20),
	FLAG("avx512ifma", 7, 0, EBX, 21), FLAG("clflushopt", 7, 0, EBX, 23),
	FLAG("clwb", 7, 0, EBX, 24), FLAG("intel-pt", 7, 0, EBX, 25),
	FLAG("avx512cd", 7, 0, EBX, 28), FLAG("sha-ni", 7, 0, EBX, 29),
	FLAG("avx512bw", 7, 0, EBX, 30), FLAG("avx512vl", 7, 0, EBX, 31),
	FLAG("avx512vbmi", 7, 0, ECX, 1), FLAG("umip", 7, 0, ECX, 2), FLAG("pku", 7, 0, ECX, 3),
	FLAG("waitpkg", 7, 0, ECX, 5), FLAG("avx512vbmi2", 7, 0, ECX, 6),
	FLAG("cet-ss", 7, 0, ECX, 7), FLAG("gfni", 7, 0, ECX, 8), FLAG("vaes", 7, 0, ECX, 9),
	FLAG("vpclmulqdq", 7, 0, ECX, 10), FLAG("avx512vnni", 7, 0, ECX, 11),
	FLAG("avx512bitalg", 7, 0, ECX, 12), FLAG("avx512-vpopcntdq", 7, 0, ECX, 14),
	FLAG("la57", 7, 0, ECX, 16), FLAG("rdpid", 7, 0, ECX, 22),
	FLAG("bus-lock-detect", 7, 0, ECX, 24), FLAG("cldemote", 7, 0, ECX, 25),
	FLAG("movdiri", 7, 0, ECX, 27), FLAG("movdir64b", 7, 0, ECX, 28),
	FLAG("sgxlc", 7, 0, ECX, 30), FLAG("pks", 7, 0, ECX, 31),
	FLAG("fsrm", 7, 0, EDX, 4), FLAG("avx512-vp2intersect", 7, 0, EDX, 8),
	FLAG("md-clear", 7, 0, EDX, 10), FLAG("serialize", 7, 0, EDX, 14),
	FLAG("tsx-ldtrk", 7, 0, EDX, 16), FLAG("cet-ibt", 7, 0, EDX, 20),
	FLAG("amx-bf16", 7, 0, EDX, 22), FLAG("avx512-fp16", 7, 0, EDX, 23),
	FLAG("amx-tile", 7, 0, EDX, 24), FLAG("amx-int8", 7, 0, EDX, 25),
	FLAG("spec-ctrl", 7, 0, EDX, 26), FLAG("stibp", 7, 0, EDX, 27),
	FLAG("flush-l1d", 7, 0, EDX, 28), FLAG("arch-capabilities", 7, 0, EDX, 29),
	FLAG("core-capability", 7, 0, EDX, 30), FLAG("ssbd", 7, 0, EDX, 31),
	FLAG("sha512", 7, 1, EAX, 0), FLAG("sm3", 7, 1, EAX, 1), FLAG("sm4", 7, 1, EAX, 2),
	FLAG("avx-vnni", 7, 1, EAX, 4), FLAG("avx512-bf16", 7, 1, EAX, 5),
	FLAG("cmpccxadd", 7, 1, EAX, 7), FLAG("fzrm", 7, 1, EAX, 10), FLAG("fsrs", 7, 1, EAX, 11),
	FLAG("fsrc", 7, 1, EAX, 12), FLAG("fred", 7, 1, EAX, 17), FLAG("lkgs", 7, 1, EAX, 18),
	FLAG("wrmsrns", 7, 1, EAX, 19), FLAG("amx-fp16", 7, 1, EAX, 21),
	FLAG("avx-ifma", 7, 1, EAX, 23), FLAG("lam", 7, 1, EAX, 26),
	FLAG("avx-vnni-int8", 7, 1, EDX, 4), FLAG("avx-ne-convert", 7, 1, EDX, 5),
	FLAG("amx-complex", 7, 1, EDX, 8), FLAG("avx-vnni-int16", 7, 1, EDX, 10),
	FLAG("prefetchiti", 7, 1, EDX, 14), FLAG("avx10", 7, 1, EDX, 19),

	FLAG("xsaveopt", 0xd, 1, EAX, 0), FLAG("xsavec", 0xd, 1, EAX, 1),
	FLAG("xgetbv1", 0xd, 1, EAX, 2), FLAG("xsaves", 0xd, 1, EAX, 3),
	FLAG("xfd", 0xd, 1, EAX, 4),

	FLAG("lahf-lm", 0x80000001, 0, ECX, 0), FLAG("cmp-legacy", 0x80000001, 0, ECX, 1),
	FLAG("svm", 0x80000001, 0, ECX, 2), FLAG("cr8legacy", 0x80000001, 0, ECX, 4),
	FLAG("abm", 0x80000001, 0, ECX, 5), FLAG("sse4a", 0x80000001, 0, ECX, 6),
	FLAG("misalignsse", 0x80000001, 0, ECX, 7), FLAG("3dnowprefetch", 0x80000001, 0, ECX, 8),
	FLAG("osvw", 0x80000001, 0, ECX, 9), FLAG("xop", 0x80000001, 0, ECX, 11),
	FLAG("fma4", 0x80000001, 0, ECX, 16), FLAG("tbm", 0x80000001, 0, ECX, 21),
	FLAG("topoext", 0x80000001, 0, ECX, 22), FLAG("perfctr-core", 0x80000001, 0, ECX, 23),
	FLAG("syscall", 0x80000001, 0, EDX, 11), FLAG("nx", 0x80000001, 0, EDX, 20),
	FLAG("mmxext", 0x80000001, 0, EDX, 22), FLAG("fxsr-opt", 0x80000001, 0, EDX, 25),
	FLAG("pdpe1gb", 0x80000001, 0, EDX, 26), FLAG("rdtscp", 0x80000001, 0, EDX, 27),
	FLAG("lm", 0x80000001, 0, EDX, 29),

	FLAG("invtsc", 0x80000007, 0, EDX, 8),
	FLAG("clzero", 0x80000008, 0, EBX, 0), FLAG("xsaveerptr", 0x80000008, 0, EBX, 2),
	FLAG("wbnoinvd", 0x80000008, 0, EBX, 9), FLAG("ibpb", 0x80000008, 0, EBX, 12),
	FLAG("ibrs", 0x80000008, 0, EBX, 14), FLAG("amd-stibp", 0x80000008, 0, EBX, 15),
	FLAG("amd-ssbd", 0x80000008, 0, EBX, 24), FLAG("virt-ssbd", 0x80000008, 0, EBX, 25),
	FLAG("amd-psfd", 0x80000008, 0, EBX, 28),
	FLAG("sme", 0x8000001f, 0, EAX, 0), FLAG("sev", 0x8000001f, 0, EAX, 1),
	FLAG("sev-es", 0x8000001f, 0, EAX, 3), FLAG("sev-snp", 0x8000001f, 0, EAX, 4),
	FLAG("no-nested-data-bp", 0x80000021, 0, EAX, 0),
	FLAG("lfence-always-serializing", 0x80000021, 0, EAX, 2),
	FLAG("null-sel-clr-base", 0x80000021, 0, EAX, 6), FLAG("auto-ibrs", 0x80000021, 0, EAX, 8),
	FLAG("prefetchi", 0x80000021, 0, EAX, 20), FLAG("sbpb", 0x80000021, 0, EAX, 27),
	FLAG("ibpb-brtype", 0x80000021, 0, EAX, 28), FLAG("srso-no", 0x80000021, 0, EAX, 29),
	FLAG("perfmon-v2", 0x80000022, 0, EAX, 0),

	FLAG("kvmclock", 0x40000001, 0, EAX, 3), FLAG("kvm-nopiodelay", 0x40000001, 0, EAX, 1),
	FLAG("kvm-asyncpf", 0x40000001, 0, EAX, 4), FLAG("kvm-steal-time", 0x40000001, 0, EAX, 5),
	FLAG("kvm-pv-eoi", 0x40000001, 0, EAX, 6), FLAG("kvm-pv-unhalt", 0x40000001, 0, EAX, 7),
	FLAG("kvm-pv-tlb-flush", 0x40000001, 0, EAX, 9),
	FLAG("kvm-asyncpf-vmexit", 0x40000001, 0, EAX, 10),
	FLAG("kvm-pv-ipi", 0x40000001, 0, EAX, 11), FLAG("kvm-poll-control", 0x40000001, 0, EAX, 12),
	FLAG("kvm-pv-sched-yield", 0x40000001, 0, EAX, 13),
	FLAG("kvm-asyncpf-int", 0x40000001, 0, EAX, 14),
	FLAG("kvm-msi-ext-dest-id", 0x40000001, 0, EAX, 15),
	FLAG("kvmclock-stable-bit", 0x40000001, 0, EAX, 24),
};
/* clang-format on */
static const struct kvm_cpuid_entry2 *find(const struct kvm_cpuid2 *cpuid, u32 leaf, u32 index)
{
	for (u32 i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == leaf &&
		    (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) ? !index : e->index == index))
			return e;
	}
	return NULL;
}

u32 x86_cpu_prop_value(const struct kvm_cpuid2 *cpuid, const struct x86_cpu_prop *prop)
{
	const struct kvm_cpuid_entry2 *e = find(cpuid, prop->leaf, prop->index);
	u32 regs[4];

	if (!e)
		return 0;
	regs[EAX] = e->eax;
	regs[EBX] = e->ebx;
	regs[ECX] = e->ecx;
	regs[EDX] = e->edx;
	return (u32)(regs[prop->reg] >> prop->shift & (BIT_ULL(prop->width) - 1));
}

static struct kvm_cpuid2 *new_cpuid(u32 nent)
{
	struct kvm_cpuid2 *cpuid;

	cpuid = xcalloc(1, sizeof(*cpuid) + nent * sizeof(cpuid->entries[0]));
	cpuid->nent = nent;
	return cpuid;
}

static int get_supported(void *opaque, struct kvm_cpuid2 *cpuid)
{
	const struct probe *h = opaque;

	return h->sys->ioctl(h->sys->opaque, h->kvm_fd, KVM_GET_SUPPORTED_CPUID,
			     (unsigned long)cpuid);
}

struct kvm_cpuid2 *x86_probe_supported(const struct probe *h)
{
	struct kvm_cpuid2 *cpuid = NULL;

	if (h->kvm_fd < 0 || x86_cpuid_supported(get_supported, (void *)h, &cpuid))
		return NULL;
	return cpuid;
}

/* KVM's own leaves come from no CPU. */
static bool is_hardware(const struct x86_cpu_prop *prop)
{
	return prop->leaf >> 28 != 4;
}

struct kvm_cpuid2 *x86_probe_hardware(void)
{
	struct kvm_cpuid2 *cpuid = new_cpuid((u32)ARRAY_SIZE(props));

	cpuid->nent = 0;
	for (size_t i = 0; i < ARRAY_SIZE(props); i++) {
		const struct x86_cpu_prop *p = &props[i];
		struct kvm_cpuid_entry2 *e = &cpuid->entries[cpuid->nent];

		if (!is_hardware(p) || find(cpuid, p->leaf, p->index) ||
		    !__get_cpuid_count(p->leaf, p->index, &e->eax, &e->ebx, &e->ecx, &e->edx))
			continue;
		e->function = p->leaf;
		e->index = p->index;
		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		cpuid->nent++;
	}
	return cpuid;
}

static void vendor_row(struct probe *h, const struct kvm_cpuid2 *supported)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_CPU, "vendor", NULL);
	const struct kvm_cpuid_entry2 *e = supported ? find(supported, 0, 0) : NULL;
	char name[13] = "";

	if (!e) {
		probe_unasked(row);
		return;
	}
	put_le(name, 4, e->ebx);
	put_le(name + 4, 4, e->edx);
	put_le(name + 8, 4, e->ecx);
	probe_text(row, "%s", name);
}

/* Leaf 1, EAX: families from 0xf up and models of families 6 and 0xf up have an extension. */
static void model_rows(struct probe *h, const struct kvm_cpuid2 *supported)
{
	static const struct x86_cpu_prop signature = { "", 1, 0, EAX, 0, 32 };
	struct probe_row *rows[3] = {
		probe_row(h, PROBE_SEC_CPU, "family", NULL),
		probe_row(h, PROBE_SEC_CPU, "model", NULL),
		probe_row(h, PROBE_SEC_CPU, "stepping", NULL),
	};
	u32 eax, family, model;

	if (!supported) {
		for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
			probe_unasked(rows[i]);
		return;
	}
	eax = x86_cpu_prop_value(supported, &signature);
	family = eax >> 8 & 0xf;
	model = eax >> 4 & 0xf;
	if (family == 6 || family == 0xf)
		model |= (eax >> 16 & 0xf) << 4;
	if (family == 0xf)
		family += eax >> 20 & 0xff;
	probe_number(rows[0], family);
	probe_number(rows[1], model);
	probe_number(rows[2], eax & 0xf);
}

static void flag_row(const struct probe *h, struct probe_row *row, const struct x86_cpu_prop *p,
		     const struct kvm_cpuid2 *supported, const struct kvm_cpuid2 *hardware)
{
	/* KVM leaves this bit to who makes the local APIC, and tells it by a capability. */
	bool there = !strcmp(p->name, "tsc-deadline")
			     ? probe_check_vm(h, KVM_CAP_TSC_DEADLINE_TIMER) ||
				       probe_check_sys(h, KVM_CAP_TSC_DEADLINE_TIMER)
			     : x86_cpu_prop_value(supported, p) != 0;

	row->feature = true;
	if (there) {
		probe_yes(row);
	} else if (!is_hardware(p)) {
		probe_no(row, "this KVM does not have it");
		row->withheld = false;
	} else if (x86_cpu_prop_value(hardware, p)) {
		probe_no(row, "the CPU has it, KVM does not pass it on");
		row->withheld = true;
	} else {
		probe_no(row, "not in this CPU");
	}
}

void x86_probe_cpu_rows(struct probe *h, const struct kvm_cpuid2 *supported,
			const struct kvm_cpuid2 *hardware)
{
	vendor_row(h, supported);
	model_rows(h, supported);
	for (size_t i = 0; i < ARRAY_SIZE(props); i++) {
		const struct x86_cpu_prop *p = &props[i];
		struct probe_row *row = probe_row(h, PROBE_SEC_CPU, p->name, NULL);
		u32 value;

		if (!supported) {
			probe_unasked(row);
			row->feature = p->width == 1;
			continue;
		}
		if (p->width == 1) {
			flag_row(h, row, p, supported, hardware);
			continue;
		}
		value = x86_cpu_prop_value(supported, p);
		row->hex = p->width == 32;
		if (value)
			probe_number(row, value);
		else
			probe_no(row, "KVM reports none");
	}
}

bool x86_probe_cpu_flag(const struct probe *h, const char *flag)
{
	return probe_file_has_word(h, "/proc/cpuinfo", "flags", flag);
}

bool x86_probe_is_amd(const struct probe *h)
{
	return probe_file_has_word(h, "/proc/cpuinfo", "vendor_id", "AuthenticAMD") ||
	       probe_file_has_word(h, "/proc/cpuinfo", "vendor_id", "HygonGenuine");
}
