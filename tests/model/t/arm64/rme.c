/* SPDX-License-Identifier: MIT */
/* Realms of the explicit ABI: v7, v8, v9, v10, and the planes' series. */
#include <string.h>

#include "rows.h"

#define REALM (1ULL << 8)
#define REC8  FEATURE(8)
#define REC9  FEATURE(9)
#define CAP   244 /* v10's */

enum { CONFIG, CREATE, INIT_RIPAS, POPULATE, ACTIVATE };
enum { RPV, HASH, PLANES, TREE_PP };

static u32 cap_number = CAP;
static int rec_bit = 9;

static long op(struct rig *rig, u64 what, const void *arg)
{
	struct kvm_enable_cap cap = { .cap = cap_number, .args = { what, (u64)(uintptr_t)arg } };

	return call(rig->vm, KVM_ENABLE_CAP, &cap);
}

static long config(struct rig *rig, u32 cfg, u32 value)
{
	struct {
		u32 cfg;
		u8 data[256];
	} c = { .cfg = cfg };

	memcpy(c.data, &value, sizeof(value));
	return op(rig, CONFIG, &c);
}

static long ripas(struct rig *rig, u64 base, u64 size)
{
	const u64 r[4] = { base, size };

	return op(rig, INIT_RIPAS, r);
}

static long populate(struct rig *rig, u64 base, u64 size, u32 flags)
{
	struct {
		u64 base, size;
		u32 flags, reserved[3];
	} p = { base, size, flags, { 1, 2, 3 } };

	return op(rig, POPULATE, &p);
}

static long rec(struct rig *rig, u32 index)
{
	return call(rig->vcpus[index], KVM_ARM_VCPU_FINALIZE, &rec_bit);
}

/* As a VMM does it, up to the step before ACTIVATE. */
static void build(struct rig *rig, u32 vcpus)
{
	rig_vm(rig, REALM | 33);
	rig_memory(rig, 0);
	rig_gic(rig);
	for (u32 i = 0; i < vcpus; i++)
		rig_vcpu(rig, i, PSCI_0_2 | FEATURE(rec_bit));
	rig_gic_ready(rig);
	SAME(rig_set(rig, 0, REG_PC, RAM_BASE), 0);
	SAME(rig_set(rig, 0, REG_X(0), 0x80200000), 0);
	SAME(op(rig, CREATE, NULL), 0);
	SAME(ripas(rig, RAM_BASE, 4 * MiB), 0);
	SAME(populate(rig, RAM_BASE, 8192, 1), 0);
	for (u32 i = 0; i < vcpus; i++)
		SAME(rec(rig, i), 0);
}

/* Of each version the number, the feature's bit, the vector "two-vcpus-sha256-rmm1". */
static void launch(void)
{
	struct rig rig;

	build(&rig, 2);
	SAME(rig_cap(rig.vm, cap_number), 1);
	SAME(op(&rig, ACTIVATE, NULL), 0);
	SAME(rig_run(&rig, 0), 0);
	SAME(rig.runs[0]->exit_reason, KVM_EXIT_SYSTEM_EVENT);
	/* It is off: who enters it comes back at once. */
	SAME(rig_run(&rig, 1), 0);
	SAME(rig.runs[1]->exit_reason, KVM_EXIT_UNKNOWN);
}

static void launch_v7(void)
{
	cap_number = 300;
	rec_bit = 8;
	launch();
}

static void launch_v8(void)
{
	cap_number = 240;
	rec_bit = 8;
	launch();
}

static void launch_v9(void)
{
	cap_number = 243;
	launch();
}

static void launch_512(void)
{
	struct rig rig;

	rig_vm(&rig, REALM | 33);
	SAME(config(&rig, HASH, 0), 0);
	SAME(config(&rig, HASH, 1), 0); /* the last one counts */
	rig_gic(&rig);
	rig_vcpu(&rig, 0, PSCI_0_2 | REC9);
	SAME(op(&rig, CREATE, NULL), 0);
	SAME(rec(&rig, 0), 0);
	SAME(op(&rig, ACTIVATE, NULL), 0);
}

/* Without a page or a REC the parameters are all that is measured. */
static void params_sve(void)
{
	u64 vls[8] = { 3 };
	struct kvm_one_reg reg = { KVM_REG_ARM64_SVE_VLS, (u64)(uintptr_t)vls };
	int feature = KVM_ARM_VCPU_SVE;
	struct rig rig;

	rig_vm(&rig, REALM | 33);
	rig_vcpu(&rig, 0, PSCI_0_2 | REC9 | FEATURE(KVM_ARM_VCPU_SVE));
	SAME(call(rig.vcpus[0], KVM_SET_ONE_REG, &reg), 0);
	SAME(call(rig.vcpus[0], KVM_ARM_VCPU_FINALIZE, &feature), 0);
	SAME(op(&rig, CREATE, NULL), 0);
	SAME(op(&rig, ACTIVATE, NULL), 0);
}

static void params_pmu(void)
{
	struct rig rig;

	rig_vm(&rig, REALM | 33);
	rig_vcpu(&rig, 0, PSCI_0_2 | REC9 | FEATURE(KVM_ARM_VCPU_PMU_V3));
	SAME(rig_set(&rig, 0, ARM64_SYS_REG(3, 3, 9, 12, 0), 6 << 11), 0);
	SAME(op(&rig, CREATE, NULL), 0);
	SAME(op(&rig, ACTIVATE, NULL), 0);
}

/* Neither planes nor the personalization value count, nor does a page that is not measured hash. */
static void params_other(void)
{
	struct rig rig;

	rig_vm(&rig, REALM | 33);
	SAME(config(&rig, PLANES, 3), 0);
	SAME(config(&rig, TREE_PP, 1), 0);
	SAME(config(&rig, RPV, 0xffffffff), 0);
	rig_memory(&rig, 0);
	rig_vcpu(&rig, 0, PSCI_0_2 | REC9);
	SAME(rig_set(&rig, 0, REG_PC, RAM_BASE), 0);
	SAME(op(&rig, CREATE, NULL), 0);
	SAME(ripas(&rig, RAM_BASE, 2 * MiB), 0);
	SAME(populate(&rig, RAM_BASE, 4096, 1), 0);
	SAME(rec(&rig, 0), 0);
	SAME(populate(&rig, RAM_BASE + 4096, 4096, 0), 0);
	SAME(op(&rig, ACTIVATE, NULL), 0);
}

static void types(void)
{
	struct rig rig;

	rig_vm(&rig, REALM | 40);
	SAME(call_value(rig.kvm, KVM_CREATE_VM, 1ULL << 12 | 40), -EINVAL);
	SAME(call_value(rig.kvm, KVM_CREATE_VM, 1ULL << 30 | 40), -EINVAL);
	SAME(call_value(rig.kvm, KVM_CREATE_VM, 2ULL << 8 | 40), -EINVAL);
	SAME(call_value(rig.kvm, KVM_CREATE_VM, REALM | 41), -EINVAL);
	CHECK(call_value(rig.kvm, KVM_CREATE_VM, 41) >= 0);
}

static void no_rmm(void)
{
	struct rig rig;

	rig_vm(&rig, 40);
	SAME(call_value(rig.kvm, KVM_CREATE_VM, REALM | 60), -EPERM);
	SAME(rig_cap(rig.kvm, CAP), 0);
}

static void ordinary_vm(void)
{
	struct rig rig;

	rig_vm(&rig, 40);
	SAME(rig_cap(rig.vm, CAP), 1);
	SAME(op(&rig, CREATE, NULL), -EINVAL);
	SAME(config(&rig, HASH, 0), -EINVAL);
	rig_vcpu(&rig, 0, 0);
	SAME(rig_init(&rig, 0, PSCI_0_2 | REC9), -EINVAL);
	SAME(rig_init(&rig, 0, PSCI_0_2), 0);
	SAME(rec(&rig, 0), -EINVAL);
}

static void capabilities(void)
{
	static const u32 none[] = { KVM_CAP_READONLY_MEM, KVM_CAP_SET_GUEST_DEBUG,
				    KVM_CAP_STEAL_TIME };
	struct rig rig;

	rig_vm(&rig, REALM | 40);
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		CHECK(rig_cap(rig.kvm, none[i]) > 0);
		SAME(rig_cap(rig.vm, none[i]), 0);
	}
	SAME(rig_cap(rig.vm, KVM_CAP_ARM_SVE), 0);
	SAME(rig_cap(rig.vm, KVM_CAP_MEMORY_ATTRIBUTES), 8);
	/* The old ABI hides nothing else. */
	SAME(rig_cap(rig.vm, KVM_CAP_HALT_POLL), 1);
	SAME(rig_cap(rig.vm, KVM_CAP_ARM_NISV_TO_USER), 1);
	SAME(rig_slot(&rig, 0, RAM_BASE, 4096, -1, KVM_MEM_READONLY), -EINVAL);
}

/* A number alone says nothing: which ones a realm of this version answers. */
static void numbers(u32 own, const u32 *others, size_t n)
{
	static const u32 all[] = { 240, 243, 244, 247, 248, 249, 251, 300 };
	struct rig rig;

	rig_vm(&rig, REALM | 40);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		bool known = all[i] == own;

		for (size_t j = 0; j < n; j++)
			known |= all[i] == others[j];
		SAME(rig_cap(rig.vm, all[i]) > 0, known);
		SAME(rig_cap(rig.kvm, all[i]) > 0, known);
	}
}

static void numbers_v7(void)
{
	numbers(300, NULL, 0);
}

static void numbers_v9(void)
{
	numbers(243, NULL, 0);
}

/* Linux 6.17 has 243. */
static void numbers_v10(void)
{
	static const u32 others[] = { 243 };

	numbers(244, others, ARRAY_SIZE(others));
}

static void config_row(void)
{
	struct rig rig;

	rig_vm(&rig, REALM | 40);
	SAME(op(&rig, CONFIG, (void *)16), -EFAULT);
	SAME(config(&rig, RPV, 0x12345678), 0);
	SAME(config(&rig, HASH, 1), -EINVAL); /* this RMM has sha256 alone */
	SAME(config(&rig, HASH, 2), -EINVAL);
	SAME(config(&rig, HASH, 0), 0);
	SAME(config(&rig, PLANES, 1), -EINVAL);
	SAME(config(&rig, TREE_PP, 1), -EINVAL);
	SAME(config(&rig, 4, 0), -EINVAL);
	SAME(op(&rig, 5, NULL), -EINVAL);
	rig_vcpu(&rig, 0, PSCI_0_2 | REC9);
	SAME(op(&rig, CREATE, NULL), 0);
	SAME(config(&rig, HASH, 0), -EBUSY);
	SAME(op(&rig, CONFIG, (void *)16), -EBUSY);
}

static void create_row(void)
{
	struct rig rig, other;

	rig_vm(&rig, REALM | 40);
	SAME(op(&rig, CREATE, NULL), 0);
	SAME(op(&rig, CREATE, NULL), -EEXIST);
	rig_vm(&other, REALM | 40);
	SAME(op(&other, CREATE, NULL), -EBUSY); /* vmids=1 */
}

static void create_refused(void)
{
	struct rig rig;

	rig_vm(&rig, REALM | 40);
	SAME(op(&rig, CREATE, NULL), -ENXIO); /* no watchpoints */
	SAME(ripas(&rig, RAM_BASE, 2 * MiB), -EPERM);
}

/* The registers of vcpus decide. */
static void breakpoints(void)
{
	struct rig rig;
	u64 dfr0;

	rig_vm(&rig, REALM | 40);
	rig_vcpu(&rig, 0, PSCI_0_2 | REC9);
	dfr0 = rig_get(&rig, 0, REG_DFR0) & ~0xf000ULL;
	SAME(rig_set(&rig, 0, REG_DFR0, dfr0), 0);
	SAME(op(&rig, CREATE, NULL), -ENXIO);
	SAME(rig_set(&rig, 0, REG_DFR0, dfr0 | 0x6000), 0);
	SAME(op(&rig, CREATE, NULL), -ENXIO); /* the RMM has six: 5 */
	SAME(rig_set(&rig, 0, REG_DFR0, dfr0 | 0x1000), 0);
	SAME(op(&rig, CREATE, NULL), 0);
}

static void sve(void)
{
	const u32 features = PSCI_0_2 | REC9 | FEATURE(KVM_ARM_VCPU_SVE);
	u64 vls[8] = { 1 };
	struct kvm_one_reg reg = { KVM_REG_ARM64_SVE_VLS, (u64)(uintptr_t)vls };
	int feature = KVM_ARM_VCPU_SVE;
	struct rig rig;

	rig_vm(&rig, REALM | 40);
	SAME(rig_cap(rig.vm, KVM_CAP_ARM_SVE), 1);
	rig_vcpu(&rig, 0, features);
	rig_vcpu(&rig, 1, features);
	SAME(call(rig.vcpus[0], KVM_SET_ONE_REG, &reg), 0);
	SAME(call(rig.vcpus[0], KVM_ARM_VCPU_FINALIZE, &feature), 0);
	SAME(op(&rig, CREATE, NULL), -EINVAL); /* the second is not finalized */
	vls[0] = 3;
	SAME(call(rig.vcpus[0], KVM_SET_ONE_REG, &reg), -EPERM);
	SAME(call(rig.vcpus[1], KVM_SET_ONE_REG, &reg), 0);
	SAME(call(rig.vcpus[1], KVM_ARM_VCPU_FINALIZE, &feature), 0);
	SAME(op(&rig, CREATE, NULL), -EINVAL); /* other lengths */
}

static void sve_late(void)
{
	u64 vls[8] = { 1 };
	struct kvm_one_reg reg = { KVM_REG_ARM64_SVE_VLS, (u64)(uintptr_t)vls };
	struct rig rig;

	rig_vm(&rig, REALM | 40);
	SAME(op(&rig, CREATE, NULL), 0);
	rig_vcpu(&rig, 0, PSCI_0_2 | REC9 | FEATURE(KVM_ARM_VCPU_SVE));
	SAME(call(rig.vcpus[0], KVM_SET_ONE_REG, &reg), -EPERM);
}

static void ripas_row(void)
{
	struct rig rig;

	rig_vm(&rig, REALM | 40);
	rig_memory(&rig, 0);
	SAME(op(&rig, INIT_RIPAS, (void *)16), -EFAULT);
	SAME(ripas(&rig, 0x1000, ~0ULL), -EINVAL); /* it wraps: before the state */
	SAME(ripas(&rig, RAM_BASE, 2 * MiB), -EPERM);
	SAME(op(&rig, CREATE, NULL), 0);
	SAME(ripas(&rig, RAM_BASE + 1, 2 * MiB), -ENXIO);
	SAME(ripas(&rig, 1ULL << 39, 2 * MiB), -ENXIO);
	SAME(ripas(&rig, RAM_BASE, 2 * MiB), 0);
	SAME(ripas(&rig, RAM_BASE, 2 * MiB), 0);
	SAME(populate(&rig, RAM_BASE, 4096, 1), 0);
	SAME(ripas(&rig, RAM_BASE, 2 * MiB), -EINVAL);
}

static void populate_row(void)
{
	struct rig rig;

	rig_vm(&rig, REALM | 40);
	rig_memory(&rig, 0);
	SAME(op(&rig, POPULATE, (void *)16), -EFAULT);
	SAME(populate(&rig, RAM_BASE + 1, 4096, 8), -EPERM); /* the state comes first */
	SAME(op(&rig, CREATE, NULL), 0);
	SAME(populate(&rig, RAM_BASE + 1, 4096, 1), -EINVAL);
	SAME(populate(&rig, RAM_BASE, 100, 1), -EINVAL);
	SAME(populate(&rig, RAM_BASE, 4096, 2), -EINVAL);
	SAME(populate(&rig, RAM_BASE, ~0xfffULL, 1), -EINVAL);
	SAME(populate(&rig, 0x1000, 4096, 1), -EFAULT);
	SAME(populate(&rig, RAM_BASE, 0, 1), 0);
	SAME(populate(&rig, RAM_BASE, 4096, 1), 0);
	SAME(populate(&rig, RAM_BASE, 4096, 1), -ENXIO);
	SAME(populate(&rig, RAM_BASE + 4096, 4096, 0), 0);
	/* 1 MiB of a slot at the end of a block of 2 MiB. */
	SAME(rig_slot(&rig, 1, 0x40000000, MiB, -1, 0), 0);
	SAME(populate(&rig, 0x40000000, 2 * MiB, 1), -EINVAL);
	SAME(populate(&rig, 0x40000000, MiB, 1), -EPERM); /* without a guest_memfd */
}

static void populate_no_source(void)
{
	struct rig rig;

	rig_vm(&rig, REALM | 40);
	rig.ram = (u8 *)0x10000;
	rig_memory(&rig, 0);
	SAME(op(&rig, CREATE, NULL), 0);
	SAME(populate(&rig, RAM_BASE, 4096, 1), -EFAULT);
}

/* v7 says EINVAL where v10 says EPERM, and ENXIO for EINVAL. */
static void old_errors(void)
{
	struct rig rig;

	cap_number = 300;
	rig_vm(&rig, REALM | 40);
	rig_memory(&rig, 0);
	SAME(ripas(&rig, RAM_BASE, 2 * MiB), -EINVAL);
	SAME(populate(&rig, RAM_BASE, 4096, 1), -EINVAL);
	SAME(op(&rig, CREATE, NULL), 0);
	SAME(populate(&rig, RAM_BASE, 4096, 1), 0);
	SAME(ripas(&rig, RAM_BASE, 2 * MiB), -ENXIO);
	SAME(rig_slot(&rig, 1, 0x40000000, 2 * MiB, -1, 0), 0);
	SAME(populate(&rig, 0x40000000, 4096, 1), -EINVAL);
}

static void activate_row(void)
{
	struct rig rig;

	rig_vm(&rig, REALM | 33);
	SAME(op(&rig, ACTIVATE, NULL), -EINVAL);
	build(&rig, 1);
	SAME(rig_run(&rig, 0), -EPERM);
	SAME(op(&rig, ACTIVATE, NULL), 0);
	SAME(op(&rig, ACTIVATE, NULL), -EINVAL);
	SAME(populate(&rig, RAM_BASE + 0x4000, 4096, 1), -EPERM);
}

static void rec_row(void)
{
	struct rig rig;

	rig_vm(&rig, REALM | 33);
	rig_vcpu(&rig, 0, PSCI_0_2 | REC9);
	rig_vcpu(&rig, 1, PSCI_0_2 | REC9);
	SAME(rec(&rig, 0), -ENOENT);
	SAME(op(&rig, CREATE, NULL), 0);
	SAME(rec(&rig, 1), -ENXIO);
	SAME(rec(&rig, 0), 0);
	SAME(rec(&rig, 0), -EBUSY);
	SAME(rec(&rig, 1), 0);
	SAME(op(&rig, ACTIVATE, NULL), 0);
	SAME(rec(&rig, 0), -ENOENT);
	SAME(rig_run(&rig, 0), -EOPNOTSUPP); /* no interrupt controller of KVM's */
}

static void rec_not_asked(void)
{
	struct rig rig;

	rig_vm(&rig, REALM | 33);
	rig_vcpu(&rig, 0, PSCI_0_2);
	SAME(rec(&rig, 0), -EINVAL);
	SAME(op(&rig, CREATE, NULL), 0);
	SAME(rec(&rig, 0), -EINVAL);
	SAME(rig_run(&rig, 0), -EPERM);
	rig_vm(&rig, REALM | 33);
	rig_vcpu(&rig, 0, REC9);
	SAME(op(&rig, CREATE, NULL), 0);
	SAME(rec(&rig, 0), -EINVAL); /* no PSCI */
	rig_vcpu(&rig, 1, 0);
	SAME(rig_init(&rig, 1, REC9 | FEATURE(KVM_ARM_VCPU_EL1_32BIT)), -EINVAL);
	SAME(rig_run(&rig, 1), -ENOEXEC);
}

static void registers(void)
{
	struct rig rig;

	rig_vm(&rig, REALM | 33);
	rig_vcpu(&rig, 0, PSCI_0_2 | REC9 | FEATURE(KVM_ARM_VCPU_PMU_V3));
	SAME(rig_set(&rig, 0, REG_X(30), 1), 0);
	SAME(rig_set(&rig, 0, REG_PC, 1), 0);
	SAME(rig_set(&rig, 0, ARM64_SYS_REG(3, 3, 9, 12, 0), 4 << 11), 0);
	SAME(rig_set(&rig, 0, REG_PSTATE, 0x3c5), -EINVAL);
	SAME(rig_set(&rig, 0, REG_X(31), 1), -EINVAL); /* sp */
	SAME(rig_set(&rig, 0, REG_MMFR0, 0), -EINVAL);
	CHECK(rig_get(&rig, 0, REG_PSTATE));
}

/* A REC is made of what the registers are then. */
static void too_late(void)
{
	struct rig rig;

	build(&rig, 1);
	SAME(rig_set(&rig, 0, REG_PC, RAM_BASE), 0);
	SAME(op(&rig, ACTIVATE, NULL), 0);
}

static void planes_direct(void)
{
	struct rig rig;

	rig_vm(&rig, REALM | 40);
	SAME(config(&rig, PLANES, 4), -EINVAL);
	SAME(config(&rig, PLANES, 3), 0);
	SAME(config(&rig, TREE_PP, 0), 0);
	SAME(op(&rig, CREATE, NULL), -ENXIO); /* the kernel asks for direct permissions */
	SAME(config(&rig, TREE_PP, 1), 0);
	SAME(op(&rig, CREATE, NULL), 0);
}

static void planes_indirect(void)
{
	struct rig rig;

	rig_vm(&rig, REALM | 40);
	SAME(config(&rig, PLANES, 1), 0);
	SAME(config(&rig, TREE_PP, 1), 0);
	SAME(op(&rig, CREATE, NULL), -ENXIO);
	SAME(config(&rig, TREE_PP, 0), 0);
	SAME(op(&rig, CREATE, NULL), 0);
}

static void planes_per_plane(void)
{
	struct rig rig;

	rig_vm(&rig, REALM | 40);
	SAME(config(&rig, PLANES, 2), 0);
	SAME(config(&rig, TREE_PP, 0), -EINVAL);
	SAME(config(&rig, TREE_PP, 1), 0);
	SAME(op(&rig, CREATE, NULL), 0);
}

static void ripas_exits(void)
{
	struct rig rig;

	build(&rig, 1);
	SAME(op(&rig, ACTIVATE, NULL), 0);
	SAME(rig_run(&rig, 0), -EFAULT);
	SAME(rig.runs[0]->exit_reason, KVM_EXIT_MEMORY_FAULT);
	rig_private(&rig, RAM_BASE, 2 * MiB, true);
	SAME(rig_run(&rig, 0), -EINVAL); /* from one half into the other */
	SAME(rig_run(&rig, 0), 0);
	SAME(rig.runs[0]->exit_reason, KVM_EXIT_SYSTEM_EVENT);
}

/* The same without an answer is a broken rule: the harness wants the status. */
static void ripas_ignored(void)
{
	struct rig rig;

	build(&rig, 1);
	SAME(op(&rig, ACTIVATE, NULL), 0);
	SAME(rig_run(&rig, 0), -EFAULT);
	SAME(rig_run(&rig, 0), 0);
}

static long complete(struct rig *rig, u32 index, u64 mpidr)
{
	const u64 p[3] = { mpidr };

	return call(rig->vcpus[index], 0x4018aed6UL, p);
}

static void psci(void)
{
	struct kvm_smccc_filter filter = { 0xc4000003, 1, KVM_SMCCC_FILTER_FWD_TO_USER, { 0 } };
	struct kvm_device_attr a = { 0, KVM_ARM_VM_SMCCC_CTRL, KVM_ARM_VM_SMCCC_FILTER,
				     (u64)(uintptr_t)&filter };
	struct rig rig;

	build(&rig, 2);
	SAME(call(rig.vm, KVM_SET_DEVICE_ATTR, &a), 0);
	SAME(op(&rig, ACTIVATE, NULL), 0);
	SAME(complete(&rig, 0, 1), -EINVAL); /* nobody waits */
	SAME(rig_run(&rig, 0), 0);
	SAME(rig.runs[0]->exit_reason, KVM_EXIT_HYPERCALL);
	SAME(rig_get(&rig, 0, REG_X(1)), 1);
	SAME(complete(&rig, 0, 7), -EINVAL); /* no such vcpu */
	SAME(complete(&rig, 0, 1), 0);
	SAME(rig_run(&rig, 0), 0);
	SAME(rig.runs[0]->exit_reason, KVM_EXIT_SYSTEM_EVENT);
}

static void faults(void)
{
	struct rig rig;

	rig_vm(&rig, REALM | 33);
	rig_memory(&rig, 0);
	rig_gic(&rig);
	rig_vcpu(&rig, 0, PSCI_0_2 | REC9);
	rig_gic_ready(&rig);
	SAME(op(&rig, CREATE, NULL), -EBUSY);
	SAME(op(&rig, CREATE, NULL), 0);
	SAME(ripas(&rig, RAM_BASE, 4 * MiB), -ENXIO);
	SAME(ripas(&rig, RAM_BASE, 4 * MiB), 0);
	SAME(populate(&rig, RAM_BASE, 8192, 1), -EFAULT); /* at its second page */
	SAME(populate(&rig, RAM_BASE, 8192, 1), -ENXIO);  /* the first was done */
	SAME(rec(&rig, 0), -ENXIO);
	SAME(rec(&rig, 0), 0);
	SAME(op(&rig, ACTIVATE, NULL), -ENXIO);
	SAME(op(&rig, ACTIVATE, NULL), 0);
	SAME(rig_run(&rig, 0), -ENXIO);
}

#define FAULTS                                                                            \
	"fail RME_CREATE 1 EBUSY;fail RME_INIT_RIPAS 1 ENXIO;fail RME_POPULATE 1 EFAULT " \
	"page=1;fail FINALIZE_REC 1 ENXIO;fail RME_ACTIVATE 1 ENXIO;fail KVM_RUN 1 ENXIO"

const struct row rme_rows[] = {
	{ "rme-launch-v7", "cca-v7", NULL, launch_v7 },
	{ "rme-launch-v8", "cca-v8", NULL, launch_v8 },
	{ "rme-launch-v9", "cca-v9", NULL, launch_v9 },
	{ "rme-launch-v10", "cca-v10", NULL, launch },
	{ "rme-launch-sha512", "cca-v10", NULL, launch_512 },
	{ "rme-params-sve", "cca-v10", NULL, params_sve },
	{ "rme-params-pmu", "cca-v10,pmu-counters=8", NULL, params_pmu },
	{ "rme-params-other", "cca-v10,planes=3", NULL, params_other },
	{ "rme-types", "cca-v10,ipa=40", NULL, types },
	{ "rme-no-rmm", "cca-v10,rmm=none", NULL, no_rmm },
	{ "rme-ordinary-vm", "cca-v10,lenient", NULL, ordinary_vm },
	{ "rme-capabilities", "cca-v10,sve=0,lenient", NULL, capabilities },
	{ "rme-numbers-v7", "cca-v7", NULL, numbers_v7 },
	{ "rme-numbers-v9", "cca-v9", NULL, numbers_v9 },
	{ "rme-numbers-v10", "cca-v10", NULL, numbers_v10 },
	{ "rme-config", "cca-v10,hash=sha256,lenient", NULL, config_row },
	{ "rme-create", "cca-v10,vmids=1,lenient", NULL, create_row },
	{ "rme-create-refused", "cca-v10,wps=0,lenient", NULL, create_refused },
	{ "rme-breakpoints", "cca-v10", NULL, breakpoints },
	{ "rme-sve", "cca-v10,lenient", NULL, sve },
	{ "rme-sve-late", "cca-v10,lenient", NULL, sve_late },
	{ "rme-ripas", "cca-v10,lenient", NULL, ripas_row },
	{ "rme-populate", "cca-v10,lenient", NULL, populate_row },
	{ "rme-populate-no-source", "cca-v10,lenient", NULL, populate_no_source },
	{ "rme-old-errors", "cca-v7,lenient", NULL, old_errors },
	{ "rme-activate", "cca-v10,lenient", NULL, activate_row },
	{ "rme-rec", "cca-v10,lenient", NULL, rec_row },
	{ "rme-rec-not-asked", "cca-v10,lenient", NULL, rec_not_asked },
	{ "rme-registers", "cca-v10,lenient", NULL, registers },
	{ "broken-rme-too-late", "cca-v10", NULL, too_late },
	{ "rme-planes-direct", "cca-v10,planes=3", NULL, planes_direct },
	{ "rme-planes-indirect", "cca-v10,planes=3,rmm=indirect", NULL, planes_indirect },
	{ "rme-planes-per-plane", "cca-v10,planes=3,rmm=per-plane", NULL, planes_per_plane },
	{ "rme-ripas-exits", "cca-v10",
	  "run 1 ripas ram gpa=0x80000000 size=0x200000;"
	  "run 2 ripas ram gpa=0xffe00000 size=0x400000",
	  ripas_exits },
	{ "broken-rme-ripas-ignored", "cca-v10", "run 1 ripas ram gpa=0x80000000", ripas_ignored },
	{ "rme-psci", "cca-v10,lenient", "run 1 psci fn=0xc4000003 x1=1", psci },
	{ "broken-rme-faults", "cca-v10", FAULTS, faults },
	{ NULL, NULL, NULL, NULL },
};
