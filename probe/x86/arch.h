/* SPDX-License-Identifier: MIT */
/* What the files of this folder share: rows.c, caps.c, cpu.c, nested.c, coco.c. */
#ifndef LKVM_X86_PROBE_H
#define LKVM_X86_PROBE_H

#include "lkvm/types.h"

struct probe;
struct kvm_cpuid2;

/*
 * A field of CPUID under the name that QEMU gives it, which is what users write after --cpu. One
 * bit is a flag, more are a number.
 */
struct x86_cpu_prop {
	const char *name;
	u32 leaf;
	u32 index;
	u8 reg; /* 0 EAX, 1 EBX, 2 ECX, 3 EDX */
	u8 shift;
	u8 width;
};

/* What @prop is in @cpuid; 0 when its leaf is not there. */
u32 x86_cpu_prop_value(const struct kvm_cpuid2 *cpuid, const struct x86_cpu_prop *prop);

/* KVM_GET_SUPPORTED_CPUID, to be freed; NULL on failure. */
struct kvm_cpuid2 *x86_probe_supported(const struct probe *h);
/* The leaves of these features as this CPU has them, to be freed. */
struct kvm_cpuid2 *x86_probe_hardware(void);
/*
 * The rows of the CPU: what KVM supports (@supported; NULL: not known), and which of the CPU's own
 * (@hardware) it withholds.
 */
void x86_probe_cpu_rows(struct probe *h, const struct kvm_cpuid2 *supported,
			const struct kvm_cpuid2 *hardware);
/* nested.c: what guests have that are hypervisors, by the names of --vmx and --svm. */
void x86_probe_nested_rows(struct probe *h, struct kvm_cpuid2 *supported);
void x86_probe_coco_rows(struct probe *h);
/* caps.c: the capabilities of KVM that only x86 has. */
void x86_probe_caps(struct probe *h);

/* Does /proc/cpuinfo show @flag? For reasons only: what can be used, KVM says. */
bool x86_probe_cpu_flag(const struct probe *h, const char *flag);
bool x86_probe_is_amd(const struct probe *h);

#endif
