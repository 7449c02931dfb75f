/* SPDX-License-Identifier: MIT */
/* What the files of this folder share: rows.c, caps.c, cpu.c, nested.c, coco.c. */
#ifndef LKVM_X86_PROBE_H
#define LKVM_X86_PROBE_H

#include "lkvm/types.h"

struct probe;
struct kvm_cpuid2;

/* KVM_GET_SUPPORTED_CPUID, to be freed; NULL on failure. */
struct kvm_cpuid2 *x86_probe_supported(const struct probe *h);
/*
 * The rows of the CPU: what KVM supports (@supported; NULL: not known), and which of the CPU's own
 * (@hardware, of x86_cpu_hardware) it withholds.
 */
void x86_probe_cpu_rows(struct probe *h, const struct kvm_cpuid2 *supported,
			const struct kvm_cpuid2 *hardware);
/* nested.c: what guests have that are hypervisors, by the names of --vmx and --svm. */
void x86_probe_nested_rows(struct probe *h, struct kvm_cpuid2 *supported);
/* Keep what a guest with one vcpu has that is asked nothing of, for `lkvm host --cpu`. */
void x86_probe_keep_default(struct probe *h, const struct kvm_cpuid2 *supported);
/* @hardware: as above. */
void x86_probe_coco_rows(struct probe *h, struct kvm_cpuid2 *hardware);
/*
 * Which guests get which ASIDs, in words: CPUID 0x8000001f says in ECX how many there are and in
 * EDX the first that is for SEV without encrypted registers; @hiding is kvm_amd's parameter
 * ciphertext_hiding_asids.
 */
void x86_probe_asids(u32 ecx, u32 edx, u64 hiding, char *buf, size_t len);
/* caps.c: the capabilities of KVM that only x86 has. */
void x86_probe_caps(struct probe *h);

/* Does /proc/cpuinfo show @flag? For reasons only: what can be used, KVM says. */
bool x86_probe_cpu_flag(const struct probe *h, const char *flag);
bool x86_probe_is_amd(const struct probe *h);

#endif
