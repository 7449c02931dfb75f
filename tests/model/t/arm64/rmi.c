/* SPDX-License-Identifier: MIT */
/* Realms of the implicit ABI: v11 to v15. */
#include <fcntl.h>
#include <linux/falloc.h>
#include <string.h>

#include "rows.h"

#define OLD_TYPE (1ULL << 8)
#define TYPE	 (1ULL << 30)

#define POPULATE_OLD 0x4020aed7UL
#define POPULATE     0xc020aed7UL
#define GMEM_ATTRS   0xc080aed2UL

struct populate {
	u64 base, size, source;
	u32 flags, reserved;
};

static long populate_raw(struct rig *rig, unsigned long request, struct populate *p)
{
	return call(rig->vm, request, p);
}

/* Of a version from v13 on. */
static long populate(struct rig *rig, u64 base, u64 size)
{
	struct populate p = { base, size, (u64)(uintptr_t)rig->image, 1, 0 };

	return populate_raw(rig, POPULATE, &p);
}

static long populate_old(struct rig *rig, u64 base, u64 size)
{
	struct populate p = { base, size, (u64)(uintptr_t)rig->image, 1, 0 };

	return populate_raw(rig, POPULATE_OLD, &p);
}

/* All but POPULATE and the first run. */
static void prepare(struct rig *rig, u64 type, u32 vcpus, bool attributes)
{
	rig_vm(rig, type | 33);
	rig_memory(rig, 0);
	if (attributes)
		rig_private(rig, RAM_BASE, RAM_SIZE, true);
	rig_gic(rig);
	for (u32 i = 0; i < vcpus; i++)
		rig_vcpu(rig, i, PSCI_0_2);
	rig_gic_ready(rig);
	SAME(rig_set(rig, 0, REG_PC, RAM_BASE), 0);
	SAME(rig_set(rig, 0, REG_X(0), 0x80200000), 0);
}

static void runs(struct rig *rig)
{
	SAME(rig_run(rig, 0), 0);
	SAME(rig->runs[0]->exit_reason, KVM_EXIT_SYSTEM_EVENT);
}

/* v11 and v12 return the bytes and leave the structure alone. */
static void launch_old(void)
{
	struct populate p = { RAM_BASE, 8192, 0, 1, 0 };
	struct rig rig;

	prepare(&rig, OLD_TYPE, 2, true);
	SAME(rig_cap(rig.vm, 247), 1);
	p.source = (u64)(uintptr_t)rig.image;
	SAME(populate_raw(&rig, POPULATE, &p), -ENOTTY);
	SAME(populate_raw(&rig, POPULATE_OLD, &p), 8192);
	SAME(p.base, RAM_BASE);
	SAME(p.size, 8192);
	runs(&rig);
}

/* The vector "two-vcpus-sha256-rmm2". */
static void launch_new(u64 type, u32 cap, bool attributes)
{
	struct populate p = { RAM_BASE, 8192, 0, 1, 0 };
	struct rig rig;

	prepare(&rig, type, 2, attributes);
	CHECK(rig_cap(rig.vm, cap) > 0);
	p.source = (u64)(uintptr_t)rig.image;
	SAME(populate_raw(&rig, POPULATE_OLD, &p), -ENOTTY);
	SAME(populate_raw(&rig, POPULATE, &p), 0);
	SAME(p.base, RAM_BASE + 8192);
	SAME(p.size, 0);
	SAME(p.source, (u64)(uintptr_t)rig.image + 8192);
	runs(&rig);
}

static void launch_v13(void)
{
	launch_new(OLD_TYPE, 248, true);
}

static void launch_v14(void)
{
	launch_new(TYPE, 249, true);
}

static void launch_v15(void)
{
	launch_new(TYPE, 251, false);
}

static void types(void)
{
	struct rig rig;

	rig_vm(&rig, TYPE | 40);
	SAME(call_value(rig.kvm, KVM_CREATE_VM, OLD_TYPE | 40), -EINVAL);
	SAME(call_value(rig.kvm, KVM_CREATE_VM, TYPE | 1ULL << 31 | 40), -EINVAL);
	SAME(call_value(rig.kvm, KVM_CREATE_VM, TYPE | 41), -EINVAL);
	CHECK(call_value(rig.kvm, KVM_CREATE_VM, 40) >= 0);
}

/* Creating a realm lowers what the host says. */
static void lowered(void)
{
	struct rig rig;

	rig_vm(&rig, 40);
	SAME(rig_cap(rig.kvm, KVM_CAP_ARM_VM_IPA_SIZE), 48);
	rig_vm(&rig, TYPE | 40);
	SAME(rig_cap(rig.kvm, KVM_CAP_ARM_VM_IPA_SIZE), 40);
}

static void capabilities(void)
{
	static const u32 hidden[] = { KVM_CAP_READONLY_MEM, KVM_CAP_SET_GUEST_DEBUG,
				      KVM_CAP_STEAL_TIME,   KVM_CAP_ARM_NISV_TO_USER,
				      KVM_CAP_VCPU_EVENTS,  KVM_CAP_COUNTER_OFFSET,
				      KVM_CAP_ARM_SVE,	    KVM_CAP_ARM_PMU_V3 };
	static const u32 shown[] = { KVM_CAP_IRQCHIP,  KVM_CAP_ARM_PSCI_0_2, KVM_CAP_MSI_DEVID,
				     KVM_CAP_IRQFD,    KVM_CAP_IOEVENTFD,    KVM_CAP_USER_MEMORY2,
				     KVM_CAP_HALT_POLL };
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ARM_NISV_TO_USER };
	struct rig rig;

	rig_vm(&rig, OLD_TYPE | 40);
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
		CHECK(rig_cap(rig.kvm, hidden[i]) > 0);
		SAME(rig_cap(rig.vm, hidden[i]), 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
		CHECK(rig_cap(rig.vm, shown[i]) > 0);
	SAME(rig_cap(rig.vm, KVM_CAP_MEMORY_ATTRIBUTES), 8);
	SAME(call(rig.vm, KVM_ENABLE_CAP, &cap), -EINVAL);
}

static void capabilities_v11(void)
{
	struct rig rig;

	rig_vm(&rig, OLD_TYPE | 40);
	SAME(rig_cap(rig.vm, KVM_CAP_STEAL_TIME), 0);
	SAME(rig_cap(rig.vm, KVM_CAP_ARM_NISV_TO_USER), 1);
	SAME(rig_cap(rig.vm, KVM_CAP_ARM_SVE), 1);
}

static void capabilities_v13(void)
{
	struct rig rig;

	rig_vm(&rig, OLD_TYPE | 40);
	SAME(rig_cap(rig.vm, KVM_CAP_ARM_PMU_V3), 1);
	SAME(rig_cap(rig.vm, KVM_CAP_ARM_SVE), 0);
}

/* A number alone says nothing: 244 is guest_memfd's, of the realm too. */
static void numbers(u64 type, u32 own)
{
	static const u32 all[] = { 240, 243, 247, 248, 249, 251, 300 };
	struct rig rig;

	rig_vm(&rig, type | 40);
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		SAME(rig_cap(rig.vm, all[i]) > 0, all[i] == own);
		SAME(rig_cap(rig.kvm, all[i]) > 0, all[i] == own || all[i] == 243);
	}
	CHECK(rig_cap(rig.vm, 244) > 0);
}

static void numbers_v12(void)
{
	numbers(OLD_TYPE, 247);
}

static void numbers_v13(void)
{
	numbers(OLD_TYPE, 248);
}

static void numbers_v14(void)
{
	numbers(TYPE, 249);
}

static void numbers_v15(void)
{
	numbers(TYPE, 251);
}

static void populate_row(void)
{
	struct rig rig;
	struct populate p;
	u64 image;

	prepare(&rig, OLD_TYPE, 1, true);
	image = (u64)(uintptr_t)rig.image;
#define TRY(...) (p = (struct populate){ __VA_ARGS__ }, populate_raw(&rig, POPULATE, &p))
	SAME(call(rig.vm, POPULATE, (void *)16), -EFAULT);
	SAME(TRY(RAM_BASE, 4096, image, 1, 1), -EINVAL);
	SAME(TRY(RAM_BASE, 4096, image, 3, 0), -EINVAL);
	SAME(TRY(RAM_BASE + 8, 4088, image, 1, 0), -EINVAL);
	SAME(TRY(RAM_BASE, 100, image, 1, 0), -EINVAL);
	SAME(TRY(RAM_BASE, 4096, image + 8, 1, 0), -EINVAL);
	SAME(TRY(0x1000, 4096, image, 1, 0), -EINVAL);
	SAME(TRY(RAM_BASE, 4096, 0, 1, 0), -EOPNOTSUPP);
	SAME(TRY(RAM_BASE, 4096, 0x10000, 1, 0), -EFAULT);
	rig_private(&rig, RAM_BASE + 4096, 4096, false);
	SAME(TRY(RAM_BASE + 4096, 4096, image, 1, 0), -EINVAL);
	/* The first page is done, the second stops it. */
	SAME(TRY(RAM_BASE, 8192, image, 1, 0), 0);
	SAME(p.size, 4096);
	SAME(p.base, RAM_BASE + 4096);
	/* A page that is there: the RMM's code. */
	CHECK(TRY(RAM_BASE, 4096, image, 1, 0) > 0);
	runs(&rig);
	SAME(TRY(RAM_BASE + 8192, 4096, image, 1, 0), -EBUSY);
}

static void populate_old_row(void)
{
	struct rig rig;
	struct populate p = { RAM_BASE, 4096, 0, 1, 0 };

	prepare(&rig, OLD_TYPE, 1, true);
	p.source = (u64)(uintptr_t)rig.image + 8; /* need not be aligned */
	SAME(populate_raw(&rig, POPULATE_OLD, &p), 4096);
	SAME(populate_raw(&rig, POPULATE_OLD, &p), -ENXIO);
	/* To the end of the slot. */
	SAME(populate_old(&rig, RAM_BASE + RAM_SIZE - 4096, 8192), 4096);
}

static void chunks(void)
{
	struct rig rig;
	struct populate p = { RAM_BASE, 4 * 4096, 0, 1, 0 };
	u32 calls = 0;

	prepare(&rig, TYPE, 1, true);
	p.source = (u64)(uintptr_t)rig.image;
	for (; p.size; calls++)
		SAME(populate_raw(&rig, POPULATE, &p), 0);
	SAME(calls, 4);
	runs(&rig);
}

static void create_refused(void)
{
	struct rig rig;

	prepare(&rig, TYPE, 1, true);
	SAME(populate(&rig, RAM_BASE, 4096), -ENXIO); /* no sha256, and KVM asks for nothing else */
	SAME(populate(&rig, RAM_BASE, 4096), -ENXIO);
	SAME(rig_run(&rig, 0), -ENXIO);
	SAME(populate(&rig, RAM_BASE, 4096), -ENXIO);
}

static void first_run(void)
{
	struct rig rig;

	rig_vm(&rig, TYPE | 33);
	rig_vcpu(&rig, 0, 0);
	SAME(rig_run(&rig, 0), -ENOEXEC);
	SAME(rig_init(&rig, 0, PSCI_0_2), 0);
	SAME(rig_run(&rig, 0), -EOPNOTSUPP);
	rig_gic(&rig);
	rig_gic_ready(&rig);
	runs(&rig); /* nothing was populated: the realm is made now */
}

static void dead(void)
{
	struct rig rig;

	rig_vm(&rig, TYPE | 33);
	rig_memory(&rig, 0);
	rig_private(&rig, RAM_BASE, RAM_SIZE, true);
	rig_gic(&rig);
	rig_vcpu(&rig, 0,
		 FEATURE(KVM_ARM_VCPU_PTRAUTH_ADDRESS) | FEATURE(KVM_ARM_VCPU_PTRAUTH_GENERIC));
	rig_gic_ready(&rig);
	SAME(rig_run(&rig, 0), -EINVAL); /* no PSCI */
	SAME(rig_run(&rig, 0), -ENXIO);
	SAME(populate(&rig, RAM_BASE, 4096), -ENXIO);
}

static void dead_by_fault(void)
{
	struct rig rig;

	prepare(&rig, TYPE, 1, true);
	SAME(rig_run(&rig, 0), -ENXIO);
	SAME(rig_run(&rig, 0), -ENXIO);
	SAME(populate(&rig, RAM_BASE, 4096), -ENXIO);
}

/* A slot in the shared half cannot be a realm's. */
static void slot_outside(void)
{
	struct rig rig;

	rig_vm(&rig, TYPE | 32);
	rig_memory(&rig, 0);
	rig_gic(&rig);
	rig_vcpu(&rig, 0, PSCI_0_2);
	rig_gic_ready(&rig);
	SAME(rig_run(&rig, 0), -ENXIO);
}

static void vcpu_order(void)
{
	struct rig rig;

	rig_vm(&rig, TYPE | 33);
	rig_gic(&rig);
	rig_vcpu(&rig, 1, PSCI_0_2);
	rig_vcpu(&rig, 0, PSCI_0_2);
	rig_gic_ready(&rig);
	SAME(rig_run(&rig, 0), -ENXIO); /* RECs in the order of vcpus: the first is number 1 */
}

static void registers(void)
{
	struct rig rig;
	u64 dfr0;

	prepare(&rig, TYPE, 1, true);
	dfr0 = rig_get(&rig, 0, REG_DFR0);
	SAME(rig_set(&rig, 0, REG_DFR0, dfr0), 0);
	SAME(rig_set(&rig, 0, REG_PSTATE, 0x3c5), -EINVAL);
	SAME(rig_set(&rig, 0, ARM64_SYS_REG(3, 3, 9, 12, 0), 0), -EINVAL);
	runs(&rig);
	SAME(rig_set(&rig, 0, REG_X(30), 1), 0);
	SAME(rig_set(&rig, 0, REG_PC, RAM_BASE), -EINVAL);
	SAME(rig_set(&rig, 0, REG_DFR0, dfr0), -EINVAL);
}

static void populate_faults(void)
{
	struct rig rig;
	struct populate p = { RAM_BASE, 3 * 4096, 0, 1, 0 };

	prepare(&rig, TYPE, 1, true);
	p.source = (u64)(uintptr_t)rig.image;
	SAME(populate_raw(&rig, POPULATE, &p), -EINTR);
	SAME(populate_raw(&rig, POPULATE, &p), 0); /* a signal at its second page */
	SAME(p.size, 2 * 4096);
	SAME(populate_raw(&rig, POPULATE, &p), 4); /* the RMM's code */
	SAME(populate_raw(&rig, POPULATE, &p), 0);
	SAME(p.size, 0);
	runs(&rig);
}

static long punch(struct rig *rig, u64 offset, u64 size)
{
	return fallocate(rig->gmem, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			 (off_t)size);
}

static void exits(void)
{
	struct rig rig;

	prepare(&rig, TYPE, 1, true);
	SAME(rig_run(&rig, 0), -EFAULT);
	SAME(rig.runs[0]->exit_reason, KVM_EXIT_MEMORY_FAULT);
	rig_private(&rig, RAM_BASE + 0x200000, 0x200000, false);
	SAME(punch(&rig, 0x200000, 0x200000), 0);
	SAME(rig_run(&rig, 0), -EFAULT);
	rig_private(&rig, RAM_BASE + 0x200000, 0x1000, true);
	SAME(rig_run(&rig, 0), 0);
	SAME(rig.runs[0]->exit_reason, KVM_EXIT_MMIO);
	SAME(rig_run(&rig, 0), -ENXIO);
	runs(&rig);
}

static void not_given_back(void)
{
	struct rig rig;

	prepare(&rig, TYPE, 1, true);
	SAME(rig_run(&rig, 0), -EFAULT);
	rig_private(&rig, RAM_BASE, 0x1000, false);
	runs(&rig);
}

struct gmem_attributes {
	u64 offset, size, attributes, flags, error_offset, reserved[11];
};

static long gmem_private(struct rig *rig, u64 offset, u64 size, bool private)
{
	struct gmem_attributes a = { offset, size, private ? 8 : 0, 0, 0, { 0 } };

	return call(rig->gmem, GMEM_ATTRS, &a);
}

static void in_place(void)
{
	struct rig rig;
	struct gmem_attributes a = { 0, 4096, 1, 0, 0, { 0 } };

	rig_vm(&rig, TYPE | 33);
	SAME(rig_cap(rig.kvm, 250), 8);
	SAME(rig_cap(rig.vm, 250), 8);
	SAME(rig_cap(rig.vm, KVM_CAP_MEMORY_ATTRIBUTES), 0);
	SAME(rig_cap(rig.vm, KVM_CAP_GUEST_MEMFD_FLAGS), 3);
	rig_memory(&rig, 3); /* shared at first */
	SAME(populate(&rig, RAM_BASE, 4096), -EINVAL);
	SAME(call(rig.gmem, GMEM_ATTRS, &a), -EINVAL);
	SAME(gmem_private(&rig, 0, 0, true), -EINVAL);
	SAME(gmem_private(&rig, 1, 4096, true), -EINVAL);
	SAME(gmem_private(&rig, 0, 2 * RAM_SIZE, true), -EINVAL);
	SAME(gmem_private(&rig, 0, RAM_SIZE, true), 0);
	SAME(populate(&rig, RAM_BASE, 4096), 0);
}

/* A hole is punched first, while it is private; then it becomes shared. */
static void in_place_exits(void)
{
	struct rig rig;

	prepare(&rig, TYPE, 1, false);
	SAME(rig_run(&rig, 0), -EFAULT);
	SAME(punch(&rig, 0x200000, 0x200000), 0);
	SAME(gmem_private(&rig, 0x200000, 0x200000, false), 0);
	runs(&rig);
}

static void leaked(void)
{
	struct rig rig;

	prepare(&rig, TYPE, 1, false);
	SAME(rig_run(&rig, 0), -EFAULT);
	SAME(gmem_private(&rig, 0x200000, 0x200000, false), 0);
	SAME(punch(&rig, 0x200000, 0x200000), 0);
	runs(&rig);
}

static void not_in_place(void)
{
	struct rig rig;

	rig_vm(&rig, TYPE | 33);
	SAME(rig_cap(rig.kvm, 250), 8); /* not what the realm says */
	SAME(rig_cap(rig.vm, 250), 0);
	rig_memory(&rig, 0);
	SAME(gmem_private(&rig, 0, 4096, true), -ENOTTY);
	SAME(populate(&rig, RAM_BASE, 4096), -EINVAL);
}

static void psci(void)
{
	const u64 p[3] = { 1 };
	struct rig rig;

	prepare(&rig, OLD_TYPE, 2, true);
	SAME(call(rig.vcpus[0], 0x4018aed6UL, p), -EINVAL);
}

static void psci_gone(void)
{
	const u64 p[3] = { 1 };
	struct rig rig;

	prepare(&rig, TYPE, 2, true);
	SAME(call(rig.vcpus[0], 0x4018aed6UL, p), -ENOTTY);
}

#define EXITS                                                          \
	"run 1 ripas empty gpa=0x80200000 size=0x200000;"              \
	"run 2 fault private gpa=0x80200000;run 3 mmio gpa=0x1000000;" \
	"run 4 error err=6"
#define FAULTS                                                    \
	"signal RMI_POPULATE 1;fail RMI_POPULATE 2 EINTR page=1;" \
	"fail RMI_POPULATE 3 ENXIO fw=4"

const struct row rmi_rows[] = {
	{ "rmi-launch-v11", "cca-v11", NULL, launch_old },
	{ "rmi-launch-v12", "cca-v12", NULL, launch_old },
	{ "rmi-launch-v13", "cca-v13", NULL, launch_v13 },
	{ "rmi-launch-v14", "cca-v14", NULL, launch_v14 },
	{ "rmi-launch-v15", "cca-v15", NULL, launch_v15 },
	{ "rmi-types", "cca-v14,ipa=40", NULL, types },
	{ "rmi-lowered", "cca-v15,ipa=40", NULL, lowered },
	{ "rmi-capabilities", "cca-v12", NULL, capabilities },
	{ "rmi-capabilities-v11", "cca-v11", NULL, capabilities_v11 },
	{ "rmi-capabilities-v13", "cca-v13", NULL, capabilities_v13 },
	{ "rmi-numbers-v12", "cca-v12", NULL, numbers_v12 },
	{ "rmi-numbers-v13", "cca-v13", NULL, numbers_v13 },
	{ "rmi-numbers-v14", "cca-v14", NULL, numbers_v14 },
	{ "rmi-numbers-v15", "cca-v15", NULL, numbers_v15 },
	{ "rmi-populate", "cca-v13,lenient", NULL, populate_row },
	{ "rmi-populate-v12", "cca-v12,lenient", NULL, populate_old_row },
	{ "rmi-chunks", "cca-v14,chunk=1", NULL, chunks },
	{ "rmi-create-refused", "cca-v14,hash=sha512,lenient", NULL, create_refused },
	{ "rmi-first-run", "cca-v14,lenient", NULL, first_run },
	{ "rmi-dead", "cca-v14,lenient", NULL, dead },
	{ "rmi-dead-by-fault", "cca-v14,lenient", "fail KVM_RUN 1 ENXIO", dead_by_fault },
	{ "rmi-slot-outside", "cca-v14,lenient", NULL, slot_outside },
	{ "rmi-vcpu-order", "cca-v14,lenient", NULL, vcpu_order },
	{ "rmi-registers", "cca-v14,lenient", NULL, registers },
	{ "rmi-faults", "cca-v14", FAULTS, populate_faults },
	{ "rmi-exits", "cca-v14", EXITS, exits },
	{ "broken-rmi-not-given-back", "cca-v14", "run 1 ripas empty gpa=0x80000000",
	  not_given_back },
	{ "rmi-in-place", "cca-v15,lenient", NULL, in_place },
	{ "rmi-in-place-exits", "cca-v15", "run 1 ripas empty gpa=0x80200000 size=0x200000",
	  in_place_exits },
	{ "broken-rmi-leaked", "cca-v15", "run 1 ripas empty gpa=0x80200000 size=0x200000",
	  leaked },
	{ "rmi-not-in-place", "cca-v15,inplace=0,lenient", NULL, not_in_place },
	{ "rmi-psci-v13", "cca-v13,lenient", NULL, psci },
	{ "rmi-psci-gone", "cca-v14,lenient", NULL, psci_gone },
	{ NULL, NULL, NULL, NULL },
};
