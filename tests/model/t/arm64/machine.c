/* SPDX-License-Identifier: MIT */
/* The emulated arm64 machine. */
#include <string.h>
#include <sys/mman.h>

#include "rows.h"

/* Numbers that realms' series used, on a host that has none. */
static void other_meanings(void)
{
	struct rig rig;

	rig_vm(&rig, 40);
	for (int i = 0; i < 2; i++) {
		int fd = i ? rig.vm : rig.kvm;

		SAME(rig_cap(fd, 243), 1);
		SAME(rig_cap(fd, 244), 3);
		SAME(rig_cap(fd, 251), 1);
		SAME(rig_cap(fd, 300), 0);
		SAME(rig_cap(fd, 247), 0);
	}
	SAME(call_value(rig.kvm, KVM_CREATE_VM, 1ULL << 8 | 40), -EINVAL);
	SAME(call_value(rig.kvm, KVM_CREATE_VM, 1ULL << 30 | 40), -EINVAL);
	SAME(call_value(rig.kvm, KVM_CREATE_VM, 1ULL << 31 | 40), -EINVAL);
	SAME(call_value(rig.kvm, KVM_CREATE_VM, 49), -EINVAL);
	SAME(call_value(rig.kvm, KVM_CREATE_VM, 31), -EINVAL);
}

static void no_attributes(void)
{
	struct kvm_memory_attributes a = { .size = 4096 };
	u8 gmem_attributes[128] = { 0 };
	struct rig rig;

	rig_vm(&rig, 40);
	rig_memory(&rig, 3);
	SAME(rig_cap(rig.vm, KVM_CAP_MEMORY_ATTRIBUTES), 0);
	SAME(call(rig.vm, KVM_SET_MEMORY_ATTRIBUTES, &a), -ENOTTY);
	SAME(call(rig.gmem, 0xc080aed2UL, gmem_attributes), -ENOTTY);
}

static void a_machine(void)
{
	struct rig rig;

	rig_vm(&rig, 40);
	rig_plain_memory(&rig);
	rig_gic(&rig);
	rig_vcpu(&rig, 0, PSCI_0_2);
	rig_vcpu(&rig, 1, PSCI_0_2);
	rig_gic_ready(&rig);
	SAME(rig_get(&rig, 0, REG_MPIDR), 0x80000000);
	SAME(rig_get(&rig, 1, REG_MPIDR), 0x80000001);
	SAME(rig_set(&rig, 0, REG_PC, RAM_BASE), 0);
	SAME(rig_get(&rig, 0, REG_PC), RAM_BASE);
	SAME(rig_run(&rig, 0), 0);
	SAME(rig.runs[0]->exit_reason, KVM_EXIT_MMIO);
	SAME(rig.runs[0]->mmio.phys_addr, 0x1000000);
	SAME(rig.runs[0]->mmio.len, 2);
	SAME(rig.runs[0]->mmio.is_write, 1);
	SAME(rig.runs[0]->mmio.data[0], 0x34);
	SAME(rig_run(&rig, 0), 0);
	SAME(rig.runs[0]->exit_reason, KVM_EXIT_SYSTEM_EVENT);
	SAME(rig.runs[0]->system_event.type, KVM_SYSTEM_EVENT_SHUTDOWN);
}

static void vcpu_order(void)
{
	struct rig rig;
	u64 vls[8] = { 0 };
	struct kvm_one_reg reg = { KVM_REG_ARM64_SVE_VLS, (u64)(uintptr_t)vls };
	int sve = KVM_ARM_VCPU_SVE;
	u64 n = 0;

	rig_vm(&rig, 40);
	rig_vcpu(&rig, 0, 0);
	SAME(rig_run(&rig, 0), -ENOEXEC);
	SAME(rig_set(&rig, 0, REG_PC, 0), -ENOEXEC);
	SAME(rig_init(&rig, 0, PSCI_0_2 | FEATURE(9)), -EINVAL);
	SAME(rig_init(&rig, 0, PSCI_0_2 | FEATURE(KVM_ARM_VCPU_PTRAUTH_ADDRESS)), -EINVAL);
	SAME(rig_init(&rig, 0, PSCI_0_2 | FEATURE(KVM_ARM_VCPU_SVE)), 0);
	SAME(rig_init(&rig, 0, PSCI_0_2), -EINVAL);
	SAME(rig_run(&rig, 0), -EPERM);
	SAME(call(rig.vcpus[0], KVM_GET_REG_LIST, &n), -EPERM);
	SAME(call(rig.vcpus[0], KVM_GET_ONE_REG, &reg), 0);
	SAME(vls[0], 0xf);
	vls[0] = 0x1f;
	SAME(call(rig.vcpus[0], KVM_SET_ONE_REG, &reg), -EINVAL);
	vls[0] = 0x5;
	SAME(call(rig.vcpus[0], KVM_SET_ONE_REG, &reg), -EINVAL);
	vls[0] = 0x3;
	SAME(call(rig.vcpus[0], KVM_SET_ONE_REG, &reg), 0);
	SAME(call(rig.vcpus[0], KVM_ARM_VCPU_FINALIZE, &sve), 0);
	SAME(call(rig.vcpus[0], KVM_SET_ONE_REG, &reg), -EPERM);
	SAME(call(rig.vcpus[0], KVM_ARM_VCPU_FINALIZE, &sve), -EPERM);
	SAME(call(rig.vcpus[0], KVM_GET_REG_LIST, &n), -E2BIG);
	CHECK(n > 100);
	SAME(rig_init(&rig, 0, PSCI_0_2 | FEATURE(KVM_ARM_VCPU_SVE)), 0);
}

/* An ID register is the VM's, and settled by the first run. */
static void id_registers(void)
{
	struct rig rig;
	u64 dfr0;

	rig_vm(&rig, 40);
	rig_vcpu(&rig, 0, PSCI_0_2);
	rig_vcpu(&rig, 1, PSCI_0_2);
	dfr0 = rig_get(&rig, 0, REG_DFR0);
	SAME(dfr0 >> 12 & 0xf, 3);
	SAME(dfr0 >> 20 & 0xf, 2);
	SAME(rig_set(&rig, 0, REG_DFR0, dfr0 & ~0xf000ULL), 0);
	SAME(rig_get(&rig, 1, REG_DFR0), dfr0 & ~0xf000ULL);
	SAME(rig_set(&rig, 0, REG_MPIDR, 0), -EINVAL);
	SAME(rig_run(&rig, 0), 0);
	SAME(rig_set(&rig, 0, REG_DFR0, dfr0), -EBUSY);
	SAME(rig_set(&rig, 0, REG_DFR0, dfr0 & ~0xf000ULL), 0);
}

static long attr(int fd, u32 group, u64 attr, const void *value)
{
	struct kvm_device_attr a = { 0, group, attr, (u64)(uintptr_t)value };

	return call(fd, KVM_SET_DEVICE_ATTR, &a);
}

static void gic_order(void)
{
	struct kvm_create_device v2 = { .type = KVM_DEV_TYPE_ARM_VGIC_V2,
					.flags = KVM_CREATE_DEVICE_TEST };
	struct kvm_create_device again = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	struct kvm_create_device its = { .type = KVM_DEV_TYPE_ARM_VGIC_ITS };
	const u64 odd = 0x3fff1000, far = 1ULL << 40, here = 0x3fff0000;
	const u32 irqs = 96, few = 33;
	struct rig rig;

	rig_vm(&rig, 40);
	SAME(call(rig.vm, KVM_CREATE_DEVICE, &v2), -ENODEV);
	rig_gic(&rig);
	SAME(call(rig.vm, KVM_CREATE_DEVICE, &again), -EEXIST);
	SAME(attr(rig.gic, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL), -ENODEV);
	rig_vcpu(&rig, 0, PSCI_0_2);
	SAME(attr(rig.gic, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL), -ENXIO);
	SAME(rig_run(&rig, 0), -ENODEV);
	SAME(attr(rig.gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &odd), -EINVAL);
	SAME(attr(rig.gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &far), -E2BIG);
	SAME(attr(rig.gic, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &few), -EINVAL);
	SAME(attr(rig.gic, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs), 0);
	SAME(attr(rig.gic, KVM_DEV_ARM_VGIC_GRP_NR_IRQS, 0, &irqs), -EBUSY);
	rig_gic_ready(&rig);
	SAME(attr(rig.gic, KVM_DEV_ARM_VGIC_GRP_ADDR, KVM_VGIC_V3_ADDR_TYPE_DIST, &here), -EEXIST);
	SAME(call(rig.vm, KVM_CREATE_DEVICE, &its), 0);
	SAME(attr((int)its.fd, KVM_DEV_ARM_VGIC_GRP_CTRL, KVM_DEV_ARM_VGIC_CTRL_INIT, NULL),
	     -ENXIO);
}

/* A guest_memfd of a host without private memory is mapped. */
static void gmem_is_mapped(void)
{
	struct kvm_create_guest_memfd create = { .size = 1 << 20, .flags = 4 };
	struct rig rig;
	int fd;

	rig_vm(&rig, 40);
	SAME(call(rig.vm, KVM_CREATE_GUEST_MEMFD, &create), -EINVAL);
	create.flags = 0;
	fd = (int)call(rig.vm, KVM_CREATE_GUEST_MEMFD, &create);
	CHECK(fd >= 0);
	SAME(rig_slot(&rig, 0, RAM_BASE, 1 << 20, fd, 0), -EINVAL);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED);
	rig_memory(&rig, 3);
	CHECK(mmap(NULL, 4096, PROT_READ, MAP_SHARED, rig.gmem, 0) != MAP_FAILED);
	SAME(rig_slot(&rig, 1, 1ULL << 40, 4096, -1, 0), -EFAULT);
}

const struct row machine_rows[] = {
	{ "other-meanings", "arm64", NULL, other_meanings },
	{ "no-attributes", "arm64", NULL, no_attributes },
	{ "a-machine", "arm64", "run 1 mmio gpa=0x1000000 len=2 write data=0x1234", a_machine },
	{ "vcpu-order", "arm64,lenient", NULL, vcpu_order },
	{ "id-registers", "arm64,bps=3,wps=2", NULL, id_registers },
	{ "gic-order", "arm64,lenient", NULL, gic_order },
	{ "gmem-is-mapped", "arm64,lenient", NULL, gmem_is_mapped },
	{ NULL, NULL, NULL, NULL },
};
