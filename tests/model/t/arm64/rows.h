/* SPDX-License-Identifier: MIT */
/*
 * Rules of the model one by one, by plain calls without lkvm: a case is run in a process of its
 * own, with the model's words in its environment. A case that breaks rules on purpose says so with
 * the word `lenient`.
 */
#ifndef MODEL_ROWS_H
#define MODEL_ROWS_H

#include <errno.h>
#include <kvm-compat.h>
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/types.h"

struct row {
	const char *name;   /* without blanks */
	const char *model;  /* LKVM_MODEL */
	const char *script; /* LKVM_MODEL_SCRIPT; NULL: none */
	void (*run)(void);
};
extern const struct row machine_rows[], rme_rows[], rmi_rows[], pkvm_rows[];

/* Anything else than expected ends the process with a line and status 1. */
#define CHECK(expression)                                                         \
	do {                                                                      \
		if (!(expression)) {                                              \
			printf("# %s:%d: %s\n", __FILE__, __LINE__, #expression); \
			exit(1);                                                  \
		}                                                                 \
	} while (0)
#define SAME(a, b)                                                                                 \
	do {                                                                                       \
		long long _a = (long long)(a), _b = (long long)(b);                                \
		if (_a != _b) {                                                                    \
			printf("# %s:%d: %s is %lld, not %lld\n", __FILE__, __LINE__, #a, _a, _b); \
			exit(1);                                                                   \
		}                                                                                  \
	} while (0)

/* ioctl: 0 or more, or -errno. */
long call(int fd, unsigned long request, const void *arg);
long call_value(int fd, unsigned long request, unsigned long arg);

/* A VM with memory, a GICv3 and vcpus, as a row needs them. */
struct rig {
	int kvm, vm, gic;
	int vcpus[4];
	struct kvm_run *runs[4];
	u8 *ram;   /* RAM_SIZE bytes at RAM_BASE, the shared half of a slot with a guest_memfd */
	u8 *image; /* four pages of patterns, at no slot's address */
	int gmem;
};
#define RAM_BASE 0x80000000ULL
#define RAM_SIZE (8 * MiB)

/* KVM_CREATE_VM of @type, which must work. */
void rig_vm(struct rig *rig, u64 type);
/* Slot 0, with a guest_memfd of @flags. */
void rig_memory(struct rig *rig, u64 gmem_flags);
void rig_plain_memory(struct rig *rig);
void rig_private(struct rig *rig, u64 gpa, u64 size, bool private);
void rig_gic(struct rig *rig);
void rig_gic_ready(struct rig *rig);
/* A vcpu, initialized with these features. */
void rig_vcpu(struct rig *rig, u32 index, u32 features);
long rig_init(struct rig *rig, u32 index, u32 features);
long rig_set(struct rig *rig, u32 index, u64 id, u64 value);
u64 rig_get(struct rig *rig, u32 index, u64 id);
long rig_run(struct rig *rig, u32 index);
long rig_cap(int fd, u32 cap);
long rig_slot(struct rig *rig, u32 slot, u64 gpa, u64 size, int gmem, u32 flags);

#define FEATURE(bit) (1U << (bit))
#define PSCI_0_2     FEATURE(KVM_ARM_VCPU_PSCI_0_2)
#define REG_X(n)                                                \
	((KVM_REG_ARM64 | KVM_REG_ARM_CORE | KVM_REG_SIZE_U64 | \
	  KVM_REG_ARM_CORE_REG(regs.regs[0])) +                 \
	 2ULL * (n))
#define REG_PC (KVM_REG_ARM64 | KVM_REG_ARM_CORE | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE_REG(regs.pc))
#define REG_PSTATE \
	(KVM_REG_ARM64 | KVM_REG_ARM_CORE | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE_REG(regs.pstate))
#define REG_DFR0  ARM64_SYS_REG(3, 0, 0, 5, 0)
#define REG_MMFR0 ARM64_SYS_REG(3, 0, 0, 7, 0)
#define REG_MPIDR ARM64_SYS_REG(3, 0, 0, 0, 5)

#endif
