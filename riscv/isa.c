/* SPDX-License-Identifier: MIT */
/*
 * The extensions of the ISA that KVM knows by an id (Linux 7.3, arch/riscv/include/uapi/asm/kvm.h
 * and arch/riscv/kvm/isa.c), and their names in a device tree (Linux
 * Documentation/devicetree/bindings/riscv/extensions.yaml, cpus.yaml).
 */
#include <stdlib.h>

#include "cpu.h"
#include "lkvm/util.h"

#define EXT(text, number, what, words)                                                  \
	{                                                                               \
		.name = (text), .id = (number), .flags = (what), .needs = RISCV_NO_EXT, \
		.help = (words)                                                         \
	}
#define EXT_OF(need, text, number, what, words)                                                   \
	{                                                                                         \
		.name = (text), .id = (number), .flags = (what), .needs = (need), .help = (words) \
	}
#define FIXED  RISCV_EXT_FIXED
#define IN_MIN RISCV_EXT_MIN
#define BASE   (FIXED | IN_MIN)

/* clang-format off */
const struct riscv_ext riscv_exts[] = {
	EXT("i", RISCV_EXT_I, BASE, "the integer base"),
	EXT("m", RISCV_EXT_M, BASE, "multiplication and division"),
	EXT("a", RISCV_EXT_A, BASE, "atomic instructions"),
	EXT("f", RISCV_EXT_F, IN_MIN, "single-precision floating point"),
	EXT_OF(RISCV_EXT_F, "d", RISCV_EXT_D, IN_MIN, "double-precision floating point"),
	EXT("c", RISCV_EXT_C, BASE, "compressed instructions"),
	EXT_OF(RISCV_EXT_D, "v", RISCV_EXT_V, 0, "vectors"),
	EXT("h", RISCV_EXT_H, 0, "hypervisors in the guest"),

	EXT("zicbom", RISCV_EXT_ZICBOM, 0, "cache block management"),
	EXT("zicbop", RISCV_EXT_ZICBOP, FIXED, "cache block prefetch"),
	EXT("zicboz", RISCV_EXT_ZICBOZ, 0, "cache block zeroing"),
	EXT("ziccrse", 68, FIXED, "progress of LR/SC in main memory"),
	EXT("zicfilp", 78, 0, "landing pads"),
	EXT("zicfiss", 79, 0, "shadow stacks"),
	EXT("zicntr", 19, BASE, "base counters and timers"),
	EXT("zicond", 24, FIXED, "conditional integer operations"),
	EXT("zicsr", 20, BASE, "control and status registers"),
	EXT("zifencei", 21, BASE, "instruction-fetch fence"),
	EXT("zihintntl", 48, FIXED, "hints of locality"),
	EXT("zihintpause", 10, FIXED, "pause hint"),
	EXT("zihpm", 22, FIXED, "performance counters"),
	EXT("zilsd", 76, 0, "pairs of loads and stores (RV32)"),
	EXT("zimop", 55, FIXED, "may-be-operations"),
	EXT("zaamo", 69, FIXED, "atomic memory operations"),
	EXT("zabha", 67, FIXED, "atomic bytes and halfwords"),
	EXT("zacas", 53, FIXED, "atomic compare-and-swap"),
	EXT("zalasr", 77, FIXED, "load-acquire and store-release"),
	EXT("zalrsc", 70, FIXED, "load-reserved and store-conditional"),
	EXT("zawrs", 61, FIXED, "waiting on a reservation set"),
	EXT_OF(RISCV_EXT_F, "zfa", 51, FIXED, "additional floating point"),
	EXT_OF(RISCV_EXT_F, "zfbfmin", 72, FIXED, "conversion of BF16"),
	EXT_OF(RISCV_EXT_F, "zfh", 46, FIXED, "half-precision floating point"),
	EXT_OF(RISCV_EXT_F, "zfhmin", 47, FIXED, "minimal half-precision floating point"),
	EXT("zca", RISCV_EXT_ZCA, FIXED, "compressed instructions without floating point"),
	EXT_OF(RISCV_EXT_ZCA, "zcb", 57, FIXED, "more compressed instructions"),
	EXT_OF(RISCV_EXT_D, "zcd", 58, FIXED, "compressed double-precision loads and stores"),
	EXT_OF(RISCV_EXT_F, "zcf", 59, FIXED, "compressed single-precision loads and stores (RV32)"),
	EXT_OF(RISCV_EXT_ZCA, "zclsd", 75, 0, "compressed pairs of loads and stores (RV32)"),
	EXT_OF(RISCV_EXT_ZCA, "zcmop", 60, FIXED, "compressed may-be-operations"),
	EXT("zba", 17, FIXED, "address generation"),
	EXT("zbb", 13, FIXED, "basic bit manipulation"),
	EXT("zbc", 25, FIXED, "carry-less multiplication"),
	EXT("zbkb", 26, FIXED, "bit manipulation for cryptography"),
	EXT("zbkc", 27, FIXED, "carry-less multiplication for cryptography"),
	EXT("zbkx", 28, FIXED, "crossbar permutations"),
	EXT("zbs", 18, FIXED, "single-bit instructions"),
	EXT("zknd", 29, FIXED, "AES decryption"),
	EXT("zkne", 30, FIXED, "AES encryption"),
	EXT("zknh", 31, FIXED, "SHA-2 hashes"),
	EXT("zkr", 32, FIXED, "entropy source"),
	EXT("zksed", 33, FIXED, "SM4 cipher"),
	EXT("zksh", 34, FIXED, "SM3 hash"),
	EXT("zkt", 35, FIXED, "timing that does not depend on data"),
	EXT("ztso", 52, FIXED, "total store order"),
	EXT_OF(RISCV_EXT_V, "zvbb", 36, FIXED, "vector bit manipulation"),
	EXT_OF(RISCV_EXT_V, "zvbc", 37, FIXED, "vector carry-less multiplication"),
	EXT_OF(RISCV_EXT_V, "zvfbfmin", 73, FIXED, "vector conversion of BF16"),
	EXT_OF(RISCV_EXT_V, "zvfbfwma", 74, FIXED, "vector multiplication of BF16"),
	EXT_OF(RISCV_EXT_V, "zvfh", 49, FIXED, "vector half-precision floating point"),
	EXT_OF(RISCV_EXT_V, "zvfhmin", 50, FIXED, "minimal vector half-precision floating point"),
	EXT_OF(RISCV_EXT_V, "zvkb", 38, FIXED, "vector bit manipulation for cryptography"),
	EXT_OF(RISCV_EXT_V, "zvkg", 39, FIXED, "vector GCM and GMAC"),
	EXT_OF(RISCV_EXT_V, "zvkned", 40, FIXED, "vector AES"),
	EXT_OF(RISCV_EXT_V, "zvknha", 41, FIXED, "vector SHA-256"),
	EXT_OF(RISCV_EXT_V, "zvknhb", 42, FIXED, "vector SHA-512"),
	EXT_OF(RISCV_EXT_V, "zvksed", 43, FIXED, "vector SM4"),
	EXT_OF(RISCV_EXT_V, "zvksh", 44, FIXED, "vector SM3"),
	EXT_OF(RISCV_EXT_V, "zvkt", 45, FIXED, "vector timing that does not depend on data"),

	EXT("ssaia", RISCV_EXT_SSAIA, IN_MIN, "advanced interrupt architecture: --irqchip aia"),
	EXT("sscofpmf", RISCV_EXT_SSCOFPMF, FIXED, "overflow interrupts of counters"),
	EXT("ssnpm", 63, FIXED, "pointer masking for user mode"),
	EXT("sstc", RISCV_EXT_SSTC, FIXED, "timer in the guest's hands"),
	EXT("svade", RISCV_EXT_SVADE, 0, "faults where accessed and dirty bits must be set"),
	EXT("svadu", RISCV_EXT_SVADU, 0, "accessed and dirty bits set by the CPU"),
	EXT("svinval", 9, FIXED, "fine-grained TLB invalidation"),
	EXT("svnapot", 16, FIXED, "contiguous pages of 64 KiB"),
	EXT("svpbmt", 7, 0, "memory types in page tables"),
	EXT("svvptc", 66, FIXED, "new page table entries without a fence"),
	EXT("smnpm", 62, 0, "pointer masking for the kernel"),
	EXT("smstateen", 23, 0, "who may use the state of extensions"),
};
/* clang-format on */
const u32 riscv_nr_exts = ARRAY_SIZE(riscv_exts);
_Static_assert(ARRAY_SIZE(riscv_exts) <= RISCV_MAX_EXTS, "struct riscv_ext_set is too small");

const struct riscv_ext *riscv_ext_named(const char *name)
{
	for (u32 i = 0; i < riscv_nr_exts; i++)
		if (!strcmp(riscv_exts[i].name, name))
			return &riscv_exts[i];
	return NULL;
}

const struct riscv_ext *riscv_ext_of(u32 id)
{
	for (u32 i = 0; i < riscv_nr_exts; i++)
		if (riscv_exts[i].id == id)
			return &riscv_exts[i];
	return NULL;
}

/* kvm_riscv_isa_enable_allowed of Linux 7.3. */
const char *riscv_ext_why_not(u32 id)
{
	switch (id) {
	case RISCV_EXT_H:
		return "no KVM up to Linux 7.3 gives guests the H extension";
	case RISCV_EXT_V:
		return "the host withholds vectors; on the host, set sysctl "
		       "abi.riscv_v_default_allow=1";
	case RISCV_EXT_SSCOFPMF:
		return "the host's CPUs need Ssaia for it, too";
	case RISCV_EXT_SVADU:
		return "the host's firmware leaves these bits to software";
	default:
		return "this host's KVM does not give it to guests";
	}
}

/* kvm_riscv_isa_disable_allowed of Linux 7.3. */
const char *riscv_ext_why_fixed(u32 id)
{
	switch (id) {
	case RISCV_EXT_SSAIA:
		return "the host's CPUs need Smstateen to hide it";
	case RISCV_EXT_SVADE:
		return "the host's CPUs need Svadu to be without it";
	default:
		return "KVM has no way to hide it from a guest";
	}
}

static bool described(const struct riscv_ext_set *on, const struct riscv_ext *ext)
{
	const u32 depth = 3; /* zvfh, v, d, f */

	for (u32 i = 0; i <= depth && ext; i++) {
		if (!riscv_ext_in(on, ext->id))
			return false;
		if (ext->needs == RISCV_NO_EXT)
			return true;
		ext = riscv_ext_of(ext->needs);
	}
	return false;
}

u32 riscv_isa_names(const struct riscv_ext_set *on, const char **names)
{
	u32 n = 0;

	for (u32 i = 0; i < riscv_nr_exts; i++)
		if (described(on, &riscv_exts[i]))
			names[n++] = riscv_exts[i].name;
	names[n] = NULL;
	return n;
}

char *riscv_isa_string(const struct riscv_ext_set *on)
{
	const char *names[RISCV_MAX_EXTS + 1];
	u32 n = riscv_isa_names(on, names);
	size_t size = sizeof("rv64"), at;
	char *text;

	for (u32 i = 0; i < n; i++)
		size += strlen(names[i]) + 1;
	text = xcalloc(1, size);
	at = (size_t)snprintf(text, size, "rv64");
	for (u32 i = 0; i < n; i++)
		at += (size_t)snprintf(text + at, size - at, "%s%s", names[i][1] ? "_" : "",
				       names[i]);
	return text;
}

const char *riscv_mmu_type(u64 satp_mode)
{
	switch (satp_mode) {
	case 8:
		return "riscv,sv39";
	case 9:
		return "riscv,sv48";
	case 10:
		return "riscv,sv57";
	default:
		return "riscv,none";
	}
}
