/* SPDX-License-Identifier: MIT */
/* Protected guests of pKVM. */
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rows.h"

#define PROTECTED (1ULL << 31)

static void types(void)
{
	struct rig rig;

	SAME(call_value(open("/dev/kvm", O_RDWR), KVM_CREATE_VM, PROTECTED | 1ULL << 30), -EINVAL);
	rig_vm(&rig, PROTECTED | 33);
	SAME(call_value(rig.kvm, KVM_CREATE_VM, PROTECTED | 1ULL << 8), -EINVAL);
	CHECK(call_value(rig.kvm, KVM_CREATE_VM, 33) >= 0);
	SAME(call_value(rig.kvm, KVM_CREATE_VM, PROTECTED), -ENOMEM); /* vms=1 */
	close(rig.vm);
	CHECK(call_value(rig.kvm, KVM_CREATE_VM, PROTECTED | 255) >= 0);
}

/* The address space is the host's, whatever was asked for. */
static void address_space(void)
{
	struct rig rig;

	rig_vm(&rig, PROTECTED | 33);
	SAME(rig_slot(&rig, 0, 1ULL << 40, RAM_SIZE, -1, 0), 0);
	SAME(rig_slot(&rig, 1, 1ULL << 48, RAM_SIZE, -1, 0), -EFAULT);
}

static void capabilities(void)
{
	static const u32 shown[] = { KVM_CAP_IRQCHIP,	  KVM_CAP_ARM_PSCI_0_2,
				     KVM_CAP_NR_VCPUS,	  KVM_CAP_ARM_VM_IPA_SIZE,
				     KVM_CAP_IRQFD,	  KVM_CAP_IOEVENTFD,
				     KVM_CAP_NR_MEMSLOTS, KVM_CAP_ARM_PTRAUTH_ADDRESS };
	static const u32 hidden[] = { KVM_CAP_READONLY_MEM,  KVM_CAP_SET_GUEST_DEBUG,
				      KVM_CAP_STEAL_TIME,    KVM_CAP_ARM_SVE,
				      KVM_CAP_ARM_PMU_V3,    KVM_CAP_ARM_NISV_TO_USER,
				      KVM_CAP_COUNTER_OFFSET };
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ARM_NISV_TO_USER };
	struct rig rig;

	rig_vm(&rig, PROTECTED);
	SAME(rig_cap(rig.kvm, KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES), 0);
	SAME(rig_cap(rig.kvm, KVM_CAP_ARM_MTE), 0);
	for (size_t i = 0; i < ARRAY_SIZE(shown); i++)
		CHECK(rig_cap(rig.vm, shown[i]) > 0);
	for (size_t i = 0; i < ARRAY_SIZE(hidden); i++) {
		CHECK(rig_cap(rig.kvm, hidden[i]) > 0);
		SAME(rig_cap(rig.vm, hidden[i]), 0);
	}
	SAME(call(rig.vm, KVM_ENABLE_CAP, &cap), -EINVAL);
}

static void vm_ioctls(void)
{
	u64 masks[256];
	const struct reg_mask_range range = { .addr = (u64)(uintptr_t)masks };
	const struct kvm_arm_counter_offset offset = { .counter_offset = 1 };
	const struct kvm_device_attr a = { 0, KVM_ARM_VM_SMCCC_CTRL, KVM_ARM_VM_SMCCC_FILTER, 0 };
	const struct kvm_arm_device_addr addr = { 0 };
	struct rig rig;

	rig_vm(&rig, PROTECTED);
	SAME(call(rig.vm, KVM_HAS_DEVICE_ATTR, &a), -EINVAL);
	SAME(call(rig.vm, KVM_SET_DEVICE_ATTR, &a), -EINVAL);
	SAME(call(rig.vm, KVM_ARM_SET_DEVICE_ADDR, &addr), -EINVAL);
	SAME(call(rig.vm, KVM_ARM_SET_COUNTER_OFFSET, &offset), -EINVAL);
	SAME(call(rig.vm, KVM_ARM_GET_REG_WRITABLE_MASKS, &range), -EINVAL);
	rig_gic(&rig); /* works, and so does the preferred target */
	rig_vcpu(&rig, 0, PSCI_0_2);
	rig_vm(&rig, 40);
	SAME(call(rig.vm, KVM_HAS_DEVICE_ATTR, &a), 0);
	SAME(call(rig.vm, KVM_ARM_GET_REG_WRITABLE_MASKS, &range), 0);
}

static void slots(void)
{
	struct rig rig;

	rig_vm(&rig, PROTECTED);
	rig_vcpu(&rig, 0, PSCI_0_2);
	SAME(rig_run(&rig, 0), -ENOMEM); /* no memory */
	SAME(rig_slot(&rig, 0, RAM_BASE, RAM_SIZE, -1, KVM_MEM_LOG_DIRTY_PAGES), -EPERM);
	SAME(rig_slot(&rig, 0, RAM_BASE, RAM_SIZE, -1, KVM_MEM_READONLY), -EPERM);
	SAME(rig_slot(&rig, 0, RAM_BASE, RAM_SIZE, -1, 0), 0);
	SAME(rig_slot(&rig, 0, RAM_BASE, 0, -1, 0), 0);
	SAME(rig_slot(&rig, 0, RAM_BASE, RAM_SIZE, -1, 0), 0);
	SAME(rig_run(&rig, 0), 0);
	SAME(rig_slot(&rig, 0, RAM_BASE, 0, -1, 0), -EPERM);
	SAME(rig_slot(&rig, 0, 2 * RAM_BASE, RAM_SIZE, -1, 0), -EPERM);
	SAME(rig_slot(&rig, 1, 2 * RAM_BASE, RAM_SIZE, -1, 0), 0);
}

static void dropped(void)
{
	struct rig rig;

	rig_vm(&rig, PROTECTED);
	rig_vcpu(&rig, 0, PSCI_0_2 | FEATURE(KVM_ARM_VCPU_PMU_V3));
}

/* A system call finds EFAULT where an access of the process's own is a signal. */
static bool is_ours(const void *at)
{
	static const char path[] = "/dev/null";
	int pipes[2];
	bool ours;

	CHECK(!pipe(pipes));
	ours = write(pipes[1], at, 1) == 1;
	close(pipes[0]);
	close(pipes[1]);
	return ours && path[0];
}

static void pages(void)
{
	struct rig rig;

	rig_vm(&rig, PROTECTED);
	rig_plain_memory(&rig);
	rig_vcpu(&rig, 0, PSCI_0_2);
	SAME(rig_run(&rig, 0), -EINTR);
	CHECK(is_ours(rig.ram));
	CHECK(!is_ours(rig.ram + 4096));
	CHECK(!is_ours(rig.ram + 8192));
	SAME(rig_run(&rig, 0), -EINTR);
	CHECK(is_ours(rig.ram + 4096));
	CHECK(!is_ours(rig.ram + 8192));
	SAME(rig_run(&rig, 0), -EINTR);
	CHECK(!is_ours(rig.ram + 4096));
}

/* What the guest has is charged, unless the process may lock any memory. */
static void charged(void)
{
	const struct rlimit limit = { 4 * 4096, 4 * 4096 };
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
	struct rig rig;

	CHECK(!setrlimit(RLIMIT_MEMLOCK, &limit));
	CHECK(!syscall(SYS_capset, &header, none));
	rig_vm(&rig, PROTECTED);
	rig_plain_memory(&rig);
	rig_vcpu(&rig, 0, PSCI_0_2);
	SAME(rig_run(&rig, 0), -EINTR); /* four pages */
	SAME(rig_run(&rig, 0), -ENOMEM);
}

static void map_ram(struct rig *rig, int prot, int flags, int fd)
{
	rig_vm(rig, PROTECTED);
	rig->ram = mmap(NULL, RAM_SIZE, prot, flags, fd, 0);
	CHECK(rig->ram != MAP_FAILED);
	rig_plain_memory(rig);
	rig_vcpu(rig, 0, PSCI_0_2);
}

static void read_only(void)
{
	struct rig rig;

	map_ram(&rig, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	SAME(rig_run(&rig, 0), -EFAULT);
}

static void of_a_file(void)
{
	char name[] = "/tmp/lkvm-model-XXXXXX";
	int fd = mkstemp(name);
	struct rig rig;

	CHECK(fd >= 0 && !unlink(name) && !ftruncate(fd, RAM_SIZE));
	map_ram(&rig, PROT_READ | PROT_WRITE, MAP_SHARED, fd);
	SAME(rig_run(&rig, 0), -EIO);
}

#define PAGES                                   \
	"run 1 touch gpa=0x80001000 size=8192;" \
	"run 2 share gpa=0x80001000;run 3 unshare gpa=0x80001000"

const struct row pkvm_rows[] = {
	{ "pkvm-types", "pkvm,vms=1", NULL, types },
	{ "pkvm-address-space", "pkvm,lenient", NULL, address_space },
	{ "pkvm-capabilities", "pkvm", NULL, capabilities },
	{ "pkvm-vm-ioctls", "pkvm", NULL, vm_ioctls },
	{ "pkvm-slots", "pkvm,lenient", NULL, slots },
	{ "broken-pkvm-dropped", "pkvm", NULL, dropped },
	{ "pkvm-pages", "pkvm", PAGES, pages },
	{ "pkvm-charged", "pkvm",
	  "run 1 touch gpa=0x80000000 size=0x4000;run 2 touch gpa=0x80010000", charged },
	{ "pkvm-read-only", "pkvm,lenient", "run 1 touch gpa=0x80000000", read_only },
	{ "pkvm-of-a-file", "pkvm,lenient", "run 1 touch gpa=0x80000000", of_a_file },
	{ NULL, NULL, NULL, NULL },
};
