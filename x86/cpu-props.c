/* SPDX-License-Identifier: MIT */
/*
 * What CPUID says, by name (Intel SDM volume 2A, "CPUID", and the Architecture Instruction Set
 * Extensions reference; AMD APM volume 3, appendix E; Linux Documentation/virt/kvm/x86/cpuid.rst).
 * The order is that of `lkvm host`.
 */
#include "cpu.h"

#include "lkvm/util.h"

#define NUMBER(n, l, r, s, w, h)                                    \
	{                                                           \
		n, h, l, 0, X86_##r, s, w, X86_PROP_NUMBER, 0, 0, 0 \
	}
#define AT_MOST(n, l, r, s, w, h)                                                  \
	{                                                                          \
		n, h, l, 0, X86_##r, s, w, X86_PROP_NUMBER, X86_PROP_AT_MOST, 0, 0 \
	}
#define FIXED(n, l, r, s, w, h)                                                  \
	{                                                                        \
		n, h, l, 0, X86_##r, s, w, X86_PROP_NUMBER, X86_PROP_FIXED, 0, 0 \
	}
#define RANGE(n, l, r, s, w, f, a, b, h)                            \
	{                                                           \
		n, h, l, 0, X86_##r, s, w, X86_PROP_NUMBER, f, a, b \
	}
#define WIDE(n, l, i, r, h)                                                                      \
	{                                                                                        \
		n, h, l, i, X86_##r, 0, 64, X86_PROP_WIDE, X86_PROP_HEX | X86_PROP_AT_MOST, 0, 0 \
	}
#define TEXT(n, l, w, h)                                          \
	{                                                         \
		n, h, l, 0, X86_EAX, 0, w, X86_PROP_TEXT, 0, 0, 0 \
	}
#define DERIVED(n, s, w, m, h)                                       \
	{                                                            \
		n, h, 1, 0, X86_EAX, s, w, X86_PROP_DERIVED, 0, 0, m \
	}
#define TOPOLOGY(n, h)                                                        \
	{                                                                     \
		n, h, 0xb, 0, X86_EBX, 0, 16, X86_PROP_TOPOLOGY, 0, 1, 0xffff \
	}
#define FLAG(n, l, i, r, b, h)                                    \
	{                                                         \
		n, h, l, i, X86_##r, b, 1, X86_PROP_FLAG, 0, 0, 0 \
	}
#define LKVMS(n, l, r, b, h)                                                   \
	{                                                                      \
		n, h, l, 0, X86_##r, b, 1, X86_PROP_FLAG, X86_PROP_LKVMS, 0, 0 \
	}

#define HV	 0x40000000U /* KVM's own leaves begin here */
#define FEATURES 0x40000001U

/* clang-format off */
const struct x86_cpu_prop x86_cpu_props[] = {
	TEXT("vendor", 0, 12, "who made the CPU"),
	DERIVED("family", 8, 4, 0xf + 0xff, "family, its extension included"),
	DERIVED("model", 4, 4, 0xff, "model, its extension included"),
	NUMBER("stepping", 1, EAX, 0, 4, "stepping"),
	TEXT("model-name", 0x80000002, 48, "name of the CPU as /proc/cpuinfo shows it"),
	RANGE("level", 0, EAX, 0, 32, X86_PROP_HEX, 1, 0xffff, "the last basic leaf"),
	RANGE("xlevel", 0x80000000, EAX, 0, 32, X86_PROP_HEX, 0x80000001, 0x8000ffff, "the last extended leaf"),
	RANGE("hypervisor-level", HV, EAX, 0, 32, X86_PROP_HEX, HV, HV + 0xff, "the last leaf of the hypervisor"),
	TEXT("hypervisor-id", HV, 12, "signature of the hypervisor"),
	RANGE("phys-bits", 0x80000008, EAX, 0, 8, X86_PROP_AT_MOST, 36, 52, "bits of a physical address"),
	RANGE("guest-phys-bits", 0x80000008, EAX, 16, 8, X86_PROP_AT_MOST, 0, 52,
	      "those of them that nested paging reaches; 0: all"),
	RANGE("linear-bits", 0x80000008, EAX, 8, 8, X86_PROP_AT_MOST, 32, 57, "bits of a virtual address"),
	AT_MOST("pmu-version", 0xa, EAX, 0, 8, "version of the performance counters; 0: there are none"),
	AT_MOST("pmu-counters", 0xa, EAX, 8, 8, "performance counters for any event"),
	AT_MOST("pmu-width", 0xa, EAX, 16, 8, "bits of such a counter"),
	AT_MOST("pmu-fixed-counters", 0xa, EDX, 0, 5, "performance counters for one event each"),
	AT_MOST("pmu-fixed-width", 0xa, EDX, 5, 8, "bits of such a counter"),
	WIDE("xcr0", 0xd, 0, EAX, "components of XSAVE that XCR0 may have"),
	WIDE("xss", 0xd, 1, ECX, "components of XSAVES that IA32_XSS may have"),
	NUMBER("tsc-denominator", 0x15, EAX, 0, 32, "crystal ticks for each tsc-numerator of the TSC's"),
	NUMBER("tsc-numerator", 0x15, EBX, 0, 32, "TSC ticks for each tsc-denominator of the crystal's"),
	NUMBER("crystal-hz", 0x15, ECX, 0, 32, "frequency of the crystal"),
	NUMBER("base-mhz", 0x16, EAX, 0, 16, "frequency of the CPU"),
	NUMBER("max-mhz", 0x16, EBX, 0, 16, "its highest frequency"),
	NUMBER("bus-mhz", 0x16, ECX, 0, 16, "frequency of its bus"),
	AT_MOST("avx10-version", 0x24, EBX, 0, 8, "version of AVX10"),
	FIXED("cbitpos", 0x8000001f, EBX, 0, 6, "the address bit that encrypts memory"),
	FIXED("reduced-phys-bits", 0x8000001f, EBX, 6, 6, "address bits that encryption takes"),
	TOPOLOGY("sockets", "packages; product of these four: --cpus"),
	TOPOLOGY("dies", "dies of a package"),
	TOPOLOGY("cores", "cores of a die"),
	TOPOLOGY("threads", "threads of a core"),

	FLAG("fpu", 1, 0, EDX, 0, "x87"),
	FLAG("vme", 1, 0, EDX, 1, "virtual-8086 mode extensions"),
	FLAG("de", 1, 0, EDX, 2, "breakpoints for I/O"),
	FLAG("pse", 1, 0, EDX, 3, "4 MiB pages"),
	FLAG("tsc", 1, 0, EDX, 4, "time stamp counter"),
	FLAG("msr", 1, 0, EDX, 5, "RDMSR and WRMSR"),
	FLAG("pae", 1, 0, EDX, 6, "physical addresses beyond 32 bits"),
	FLAG("mce", 1, 0, EDX, 7, "machine check exception"),
	FLAG("cx8", 1, 0, EDX, 8, "CMPXCHG8B"),
	FLAG("apic", 1, 0, EDX, 9, "local APIC"),
	FLAG("sep", 1, 0, EDX, 11, "SYSENTER and SYSEXIT"),
	FLAG("mtrr", 1, 0, EDX, 12, "memory type range registers"),
	FLAG("pge", 1, 0, EDX, 13, "global pages"),
	FLAG("mca", 1, 0, EDX, 14, "machine check architecture"),
	FLAG("cmov", 1, 0, EDX, 15, "conditional moves"),
	FLAG("pat", 1, 0, EDX, 16, "page attribute table"),
	FLAG("pse36", 1, 0, EDX, 17, "4 MiB pages beyond 32 bits"),
	FLAG("clflush", 1, 0, EDX, 19, "CLFLUSH"),
	FLAG("mmx", 1, 0, EDX, 23, "64-bit integer vectors"),
	FLAG("fxsr", 1, 0, EDX, 24, "FXSAVE and FXRSTOR"),
	FLAG("sse", 1, 0, EDX, 25, "128-bit single-precision vectors"),
	FLAG("sse2", 1, 0, EDX, 26, "128-bit double-precision and integer vectors"),
	FLAG("ss", 1, 0, EDX, 27, "self-snoop"),

	FLAG("sse3", 1, 0, ECX, 0, "SSE3"),
	FLAG("pclmulqdq", 1, 0, ECX, 1, "carry-less multiplication"),
	FLAG("monitor", 1, 0, ECX, 3, "MONITOR and MWAIT"),
	FLAG("vmx", 1, 0, ECX, 5, "Intel's virtualization"),
	FLAG("ssse3", 1, 0, ECX, 9, "supplemental SSE3"),
	FLAG("fma", 1, 0, ECX, 12, "fused multiply-add"),
	FLAG("cx16", 1, 0, ECX, 13, "CMPXCHG16B"),
	FLAG("pdcm", 1, 0, ECX, 15, "IA32_PERF_CAPABILITIES"),
	FLAG("pcid", 1, 0, ECX, 17, "process-context identifiers"),
	FLAG("sse4.1", 1, 0, ECX, 19, "SSE4.1"),
	FLAG("sse4.2", 1, 0, ECX, 20, "SSE4.2: strings, CRC32"),
	LKVMS("x2apic", 1, ECX, 21, "local APIC by MSRs, 32-bit ids; KVM has it on any CPU"),
	FLAG("movbe", 1, 0, ECX, 22, "moves that swap bytes"),
	FLAG("popcnt", 1, 0, ECX, 23, "counting bits"),
	FLAG("tsc-deadline", 1, 0, ECX, 24, "the local APIC's timer by TSC"),
	FLAG("aes", 1, 0, ECX, 25, "AES rounds"),
	FLAG("xsave", 1, 0, ECX, 26, "XSAVE and its relatives, XCR0"),
	FLAG("avx", 1, 0, ECX, 28, "256-bit floating-point vectors"),
	FLAG("f16c", 1, 0, ECX, 29, "conversion of half precision"),
	FLAG("rdrand", 1, 0, ECX, 30, "random numbers"),
	LKVMS("hypervisor", 1, ECX, 31, "there is a hypervisor"),

	FLAG("arat", 6, 0, EAX, 2, "the local APIC's timer never stops"),

	FLAG("fsgsbase", 7, 0, EBX, 0, "FS and GS bases without MSRs"),
	FLAG("tsc-adjust", 7, 0, EBX, 1, "IA32_TSC_ADJUST"),
	FLAG("sgx", 7, 0, EBX, 2, "enclaves"),
	FLAG("bmi1", 7, 0, EBX, 3, "bit manipulation: ANDN, TZCNT and others"),
	FLAG("hle", 7, 0, EBX, 4, "TSX: lock elision"),
	FLAG("avx2", 7, 0, EBX, 5, "256-bit integer vectors"),
	FLAG("smep", 7, 0, EBX, 7, "the kernel does not run users' pages"),
	FLAG("bmi2", 7, 0, EBX, 8, "bit manipulation: PDEP, PEXT and others"),
	FLAG("erms", 7, 0, EBX, 9, "fast REP MOVSB and STOSB"),
	FLAG("invpcid", 7, 0, EBX, 10, "INVPCID"),
	FLAG("rtm", 7, 0, EBX, 11, "TSX: transactions"),
	FLAG("mpx", 7, 0, EBX, 14, "bounds of memory accesses"),
	FLAG("avx512f", 7, 0, EBX, 16, "512-bit vectors"),
	FLAG("avx512dq", 7, 0, EBX, 17, "AVX-512: quadwords"),
	FLAG("rdseed", 7, 0, EBX, 18, "random seeds"),
	FLAG("adx", 7, 0, EBX, 19, "addition with two carries"),
	FLAG("smap", 7, 0, EBX, 20, "the kernel does not touch users' pages"),
	FLAG("avx512ifma", 7, 0, EBX, 21, "AVX-512: 52-bit multiply-add"),
	FLAG("clflushopt", 7, 0, EBX, 23, "CLFLUSHOPT"),
	FLAG("clwb", 7, 0, EBX, 24, "CLWB"),
	FLAG("intel-pt", 7, 0, EBX, 25, "Intel Processor Trace"),
	FLAG("avx512cd", 7, 0, EBX, 28, "AVX-512: conflict detection"),
	FLAG("sha-ni", 7, 0, EBX, 29, "SHA-1 and SHA-256 rounds"),
	FLAG("avx512bw", 7, 0, EBX, 30, "AVX-512: bytes and words"),
	FLAG("avx512vl", 7, 0, EBX, 31, "AVX-512 on shorter vectors"),
	FLAG("avx512vbmi", 7, 0, ECX, 1, "AVX-512: permutation of bytes"),
	FLAG("umip", 7, 0, ECX, 2, "users cannot read descriptor tables' places"),
	FLAG("pku", 7, 0, ECX, 3, "protection keys of users' pages"),
	FLAG("waitpkg", 7, 0, ECX, 5, "UMONITOR, UMWAIT, TPAUSE"),
	FLAG("avx512vbmi2", 7, 0, ECX, 6, "AVX-512: compression of bytes and words"),
	FLAG("cet-ss", 7, 0, ECX, 7, "shadow stacks"),
	FLAG("gfni", 7, 0, ECX, 8, "arithmetic in Galois fields"),
	FLAG("vaes", 7, 0, ECX, 9, "AES rounds on vectors"),
	FLAG("vpclmulqdq", 7, 0, ECX, 10, "carry-less multiplication of vectors"),
	FLAG("avx512vnni", 7, 0, ECX, 11, "AVX-512: neural networks"),
	FLAG("avx512bitalg", 7, 0, ECX, 12, "AVX-512: counting bits of bytes and words"),
	FLAG("avx512-vpopcntdq", 7, 0, ECX, 14, "AVX-512: counting bits of quadwords"),
	FLAG("la57", 7, 0, ECX, 16, "page tables of five levels"),
	FLAG("rdpid", 7, 0, ECX, 22, "RDPID"),
	FLAG("bus-lock-detect", 7, 0, ECX, 24, "a trap for bus locks"),
	FLAG("cldemote", 7, 0, ECX, 25, "CLDEMOTE"),
	FLAG("movdiri", 7, 0, ECX, 27, "direct stores"),
	FLAG("movdir64b", 7, 0, ECX, 28, "direct stores of 64 bytes"),
	FLAG("sgxlc", 7, 0, ECX, 30, "enclaves: launch control"),
	FLAG("pks", 7, 0, ECX, 31, "protection keys of the kernel's pages"),
	FLAG("fsrm", 7, 0, EDX, 4, "fast short REP MOVSB"),
	FLAG("avx512-vp2intersect", 7, 0, EDX, 8, "AVX-512: intersection"),
	FLAG("md-clear", 7, 0, EDX, 10, "VERW clears buffers"),
	FLAG("serialize", 7, 0, EDX, 14, "SERIALIZE"),
	FLAG("tsx-ldtrk", 7, 0, EDX, 16, "TSX: loads that are not tracked"),
	FLAG("arch-lbr", 7, 0, EDX, 19, "last branch records"),
	FLAG("cet-ibt", 7, 0, EDX, 20, "indirect branch tracking"),
	FLAG("amx-bf16", 7, 0, EDX, 22, "AMX: BF16"),
	FLAG("avx512-fp16", 7, 0, EDX, 23, "AVX-512: half precision"),
	FLAG("amx-tile", 7, 0, EDX, 24, "AMX: tiles"),
	FLAG("amx-int8", 7, 0, EDX, 25, "AMX: bytes"),
	FLAG("spec-ctrl", 7, 0, EDX, 26, "IBRS and IBPB"),
	FLAG("stibp", 7, 0, EDX, 27, "branch prediction apart from the sibling thread's"),
	FLAG("flush-l1d", 7, 0, EDX, 28, "IA32_FLUSH_CMD"),
	FLAG("arch-capabilities", 7, 0, EDX, 29, "IA32_ARCH_CAPABILITIES"),
	FLAG("core-capability", 7, 0, EDX, 30, "IA32_CORE_CAPABILITIES"),
	FLAG("ssbd", 7, 0, EDX, 31, "no speculative store bypass"),
	FLAG("sha512", 7, 1, EAX, 0, "SHA-512 rounds"),
	FLAG("sm3", 7, 1, EAX, 1, "SM3 rounds"),
	FLAG("sm4", 7, 1, EAX, 2, "SM4 rounds"),
	FLAG("avx-vnni", 7, 1, EAX, 4, "AVX: neural networks"),
	FLAG("avx512-bf16", 7, 1, EAX, 5, "AVX-512: BF16"),
	FLAG("cmpccxadd", 7, 1, EAX, 7, "compare and add"),
	FLAG("fzrm", 7, 1, EAX, 10, "fast REP MOVSB of nothing"),
	FLAG("fsrs", 7, 1, EAX, 11, "fast short REP STOSB"),
	FLAG("fsrc", 7, 1, EAX, 12, "fast short REP CMPSB and SCASB"),
	FLAG("fred", 7, 1, EAX, 17, "flexible return and event delivery"),
	FLAG("lkgs", 7, 1, EAX, 18, "LKGS"),
	FLAG("wrmsrns", 7, 1, EAX, 19, "WRMSRNS"),
	FLAG("amx-fp16", 7, 1, EAX, 21, "AMX: half precision"),
	FLAG("avx-ifma", 7, 1, EAX, 23, "AVX: 52-bit multiply-add"),
	FLAG("lam", 7, 1, EAX, 26, "pointers with tags"),
	FLAG("movrs", 7, 1, EAX, 31, "loads of shared data"),
	FLAG("avx-vnni-int8", 7, 1, EDX, 4, "AVX: neural networks of bytes"),
	FLAG("avx-ne-convert", 7, 1, EDX, 5, "AVX: conversion without exceptions"),
	FLAG("amx-complex", 7, 1, EDX, 8, "AMX: complex numbers"),
	FLAG("avx-vnni-int16", 7, 1, EDX, 10, "AVX: neural networks of words"),
	FLAG("prefetchiti", 7, 1, EDX, 14, "prefetching code"),
	FLAG("avx10", 7, 1, EDX, 19, "AVX10"),
	FLAG("intel-psfd", 7, 2, EDX, 0, "no predictive store forwarding"),
	FLAG("ipred-ctrl", 7, 2, EDX, 1, "control of indirect predictors"),
	FLAG("rrsba-ctrl", 7, 2, EDX, 2, "control of return predictors"),
	FLAG("ddpd-u", 7, 2, EDX, 3, "control of the data-dependent prefetcher"),
	FLAG("bhi-ctrl", 7, 2, EDX, 4, "control of branch history"),
	FLAG("mcdt-no", 7, 2, EDX, 5, "timing does not depend on MXCSR"),

	FLAG("xsaveopt", 0xd, 1, EAX, 0, "XSAVEOPT"),
	FLAG("xsavec", 0xd, 1, EAX, 1, "XSAVEC"),
	FLAG("xgetbv1", 0xd, 1, EAX, 2, "XGETBV of what is in use"),
	FLAG("xsaves", 0xd, 1, EAX, 3, "XSAVES and XRSTORS, IA32_XSS"),
	FLAG("xfd", 0xd, 1, EAX, 4, "a fault at the first use of a component"),

	FLAG("lahf-lm", 0x80000001, 0, ECX, 0, "LAHF and SAHF in 64-bit mode"),
	FLAG("cmp-legacy", 0x80000001, 0, ECX, 1, "AMD: several cores"),
	FLAG("svm", 0x80000001, 0, ECX, 2, "AMD's virtualization"),
	FLAG("cr8legacy", 0x80000001, 0, ECX, 4, "CR8 in 32-bit mode"),
	FLAG("abm", 0x80000001, 0, ECX, 5, "LZCNT"),
	FLAG("sse4a", 0x80000001, 0, ECX, 6, "SSE4A"),
	FLAG("misalignsse", 0x80000001, 0, ECX, 7, "SSE of unaligned memory"),
	FLAG("3dnowprefetch", 0x80000001, 0, ECX, 8, "PREFETCHW"),
	FLAG("osvw", 0x80000001, 0, ECX, 9, "MSRs that tell of workarounds"),
	FLAG("xop", 0x80000001, 0, ECX, 11, "XOP"),
	FLAG("fma4", 0x80000001, 0, ECX, 16, "fused multiply-add of four operands"),
	FLAG("tbm", 0x80000001, 0, ECX, 21, "bit manipulation of trailing bits"),
	FLAG("topoext", 0x80000001, 0, ECX, 22, "AMD: topology in leaves 0x8000001d and e"),
	FLAG("perfctr-core", 0x80000001, 0, ECX, 23, "AMD: six performance counters"),
	FLAG("syscall", 0x80000001, 0, EDX, 11, "SYSCALL and SYSRET"),
	FLAG("nx", 0x80000001, 0, EDX, 20, "pages that are not run"),
	FLAG("mmxext", 0x80000001, 0, EDX, 22, "AMD's extensions of MMX"),
	FLAG("fxsr-opt", 0x80000001, 0, EDX, 25, "faster FXSAVE"),
	FLAG("pdpe1gb", 0x80000001, 0, EDX, 26, "1 GiB pages"),
	FLAG("rdtscp", 0x80000001, 0, EDX, 27, "RDTSCP"),
	FLAG("lm", 0x80000001, 0, EDX, 29, "64-bit mode"),

	FLAG("invtsc", 0x80000007, 0, EDX, 8, "the TSC's frequency never changes"),
	FLAG("clzero", 0x80000008, 0, EBX, 0, "CLZERO"),
	FLAG("xsaveerptr", 0x80000008, 0, EBX, 2, "FXSAVE keeps error pointers"),
	FLAG("wbnoinvd", 0x80000008, 0, EBX, 9, "WBNOINVD"),
	FLAG("ibpb", 0x80000008, 0, EBX, 12, "AMD: IBPB"),
	FLAG("ibrs", 0x80000008, 0, EBX, 14, "AMD: IBRS"),
	FLAG("amd-stibp", 0x80000008, 0, EBX, 15, "AMD: STIBP"),
	FLAG("stibp-always-on", 0x80000008, 0, EBX, 17, "AMD: STIBP is to stay on"),
	FLAG("amd-ssbd", 0x80000008, 0, EBX, 24, "AMD: no speculative store bypass"),
	FLAG("virt-ssbd", 0x80000008, 0, EBX, 25, "the same, by a hypervisor's MSR"),
	FLAG("amd-no-ssb", 0x80000008, 0, EBX, 26, "AMD: not vulnerable to store bypass"),
	FLAG("amd-psfd", 0x80000008, 0, EBX, 28, "AMD: no predictive store forwarding"),
	FLAG("sme", 0x8000001f, 0, EAX, 0, "encryption of memory"),
	FLAG("sev", 0x8000001f, 0, EAX, 1, "encrypted guests"),
	FLAG("sev-es", 0x8000001f, 0, EAX, 3, "encrypted registers of guests"),
	FLAG("sev-snp", 0x8000001f, 0, EAX, 4, "integrity of guests' memory"),
	FLAG("no-nested-data-bp", 0x80000021, 0, EAX, 0, "AMD: no nested data breakpoints"),
	FLAG("fs-gs-base-ns", 0x80000021, 0, EAX, 1, "AMD: writes of FS and GS bases do not serialize"),
	FLAG("lfence-always-serializing", 0x80000021, 0, EAX, 2, "AMD: LFENCE serializes"),
	FLAG("null-sel-clr-base", 0x80000021, 0, EAX, 6, "AMD: a null selector clears the base"),
	FLAG("auto-ibrs", 0x80000021, 0, EAX, 8, "AMD: automatic IBRS"),
	FLAG("prefetchi", 0x80000021, 0, EAX, 20, "AMD: prefetching code"),
	FLAG("sbpb", 0x80000021, 0, EAX, 27, "AMD: selective IBPB"),
	FLAG("ibpb-brtype", 0x80000021, 0, EAX, 28, "AMD: IBPB clears branch types"),
	FLAG("srso-no", 0x80000021, 0, EAX, 29, "AMD: not vulnerable to SRSO"),
	FLAG("perfmon-v2", 0x80000022, 0, EAX, 0, "AMD: performance counters, version 2"),

	FLAG("kvmclock-old", FEATURES, 0, EAX, 0, "KVM's clock at its first MSRs"),
	FLAG("kvmclock", FEATURES, 0, EAX, 3, "KVM's clock"),
	FLAG("kvm-nopiodelay", FEATURES, 0, EAX, 1, "no delay after port I/O is needed"),
	FLAG("kvm-asyncpf", FEATURES, 0, EAX, 4, "page faults of the host told to the guest"),
	FLAG("kvm-steal-time", FEATURES, 0, EAX, 5, "time that the host took"),
	FLAG("kvm-pv-eoi", FEATURES, 0, EAX, 6, "ends of interrupts without an exit"),
	FLAG("kvm-pv-unhalt", FEATURES, 0, EAX, 7, "spinlocks that halt, and kicks"),
	FLAG("kvm-pv-tlb-flush", FEATURES, 0, EAX, 9, "no TLB flush of vcpus that do not run"),
	FLAG("kvm-asyncpf-vmexit", FEATURES, 0, EAX, 10, "the same faults as nested exits"),
	FLAG("kvm-pv-ipi", FEATURES, 0, EAX, 11, "interrupts to many vcpus by one hypercall"),
	FLAG("kvm-poll-control", FEATURES, 0, EAX, 12, "the guest may end the host's halt polling"),
	FLAG("kvm-pv-sched-yield", FEATURES, 0, EAX, 13, "yielding to a vcpu that does not run"),
	FLAG("kvm-asyncpf-int", FEATURES, 0, EAX, 14, "page faults of the host told by interrupts"),
	FLAG("kvm-msi-ext-dest-id", FEATURES, 0, EAX, 15, "15-bit destinations in messages"),
	FLAG("kvmclock-stable-bit", FEATURES, 0, EAX, 24, "KVM's clock agrees on all vcpus"),
	LKVMS("kvm-hint-dedicated", FEATURES, EDX, 0, "vcpus have CPUs of their own: no spinning in vain"),
};
const size_t x86_nr_cpu_props = ARRAY_SIZE(x86_cpu_props);

const struct x86_cpu_alias x86_cpu_aliases[] = {
	{ "pni", "sse3" }, { "sse4-1", "sse4.1" }, { "sse4-2", "sse4.2" }, { "pclmuldq", "pclmulqdq" },
	{ "tsc-deadline-timer", "tsc-deadline" }, { "xd", "nx" }, { "i64", "lm" }, { "ffxsr", "fxsr-opt" },
	{ "lzcnt", "abm" }, { "cmpxchg8b", "cx8" }, { "cmpxchg16b", "cx16" }, { "clfsh", "clflush" },
	{ "shstk", "cet-ss" }, { "user-shstk", "cet-ss" }, { "ibt", "cet-ibt" }, { "nonstop-tsc", "invtsc" },
	{ "constant-tsc", "invtsc" }, { "virt-bits", "linear-bits" }, { "model-id", "model-name" },
	{ "avx512-vbmi2", "avx512vbmi2" }, { "avx512-vnni", "avx512vnni" },
	{ "avx512-bitalg", "avx512bitalg" }, { "avx512vpopcntdq", "avx512-vpopcntdq" },
};
const size_t x86_nr_cpu_aliases = ARRAY_SIZE(x86_cpu_aliases);
/* clang-format on */
