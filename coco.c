/* SPDX-License-Identifier: MIT */
/* What the kinds of confidential guests have alike; see include/lkvm/coco.h. */
#include "lkvm/coco.h"

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

/* Linux include/uapi/linux/kvm_para.h, whose other half not every architecture exports. */
#define HC_MAP_GPA_RANGE 12
/* The third argument of that call (Linux arch/x86/include/uapi/asm/kvm_para.h). */
#define MAP_GPA_PRIVATE BIT_ULL(4)

/* A fault that comes back so often after it was answered comes for ever. */
#define MAX_EQUAL_FAULTS 3

int coco_refuse(const char *option, const char *what, const char *why)
{
	err("%s and %s: cannot be combined: %s", option, what, why);
	return -EINVAL;
}

int coco_check(const struct vm_config *cfg, const char *option)
{
	if (cfg->gdb.on)
		return coco_refuse(option, "--gdb",
				   "the host cannot read the guest's memory and registers");
	if (cfg->hugetlbfs)
		return coco_refuse(option, "--hugetlbfs", "its memory must be anonymous");
	if (cfg->transport == TRANSPORT_PCI_LEGACY || cfg->transport == TRANSPORT_MMIO_LEGACY)
		return coco_refuse(option, "a legacy virtio transport",
				   "its drivers know nothing of memory that is shared");
	if (cfg->balloon)
		return coco_refuse(option, "--balloon", "the guest's pages cannot be given back");
	if (cfg->nr_vfios)
		return coco_refuse(
			option, "--vfio",
			"a device of the host's cannot reach the guest's private memory");
	if (cfg->nr_pmems)
		return coco_refuse(option, "--pmem", "its memory must be anonymous");
	if (config_uses_vhost(cfg))
		return coco_refuse(option, config_uses_vhost(cfg),
				   "nobody but lkvm can serve the devices of a confidential guest");
	return 0;
}

int coco_map_gpa(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u64 gpa = run->hypercall.args[0], pages = run->hypercall.args[1];
	bool shared = !(run->hypercall.args[2] & MAP_GPA_PRIVATE);
	int ret;

	if (run->hypercall.nr != HC_MAP_GPA_RANGE)
		return -ENOTSUP;
	/* What is not 0, EINVAL or EAGAIN ends the VM. */
	run->hypercall.ret = EINVAL;
	if (pages > UINT64_MAX / (4 * KiB)) {
		guest_warn("vcpu %u: the guest changes the state of %llu pages at 0x%llx: refused",
			   vcpu->id, pages, gpa);
		return 0;
	}
	ret = memory_set_shared(&vcpu->vm->mem, gpa, pages * 4 * KiB, shared);
	if (!ret)
		run->hypercall.ret = 0;
	else
		guest_warn("vcpu %u: the guest cannot have %llu pages at 0x%llx %s: %s", vcpu->id,
			   pages, gpa, shared ? "shared" : "private", strerror(-ret));
	return 0;
}

static bool comes_back(struct vcpu *vcpu, u64 gpa, u64 flags)
{
	if (vcpu->fault.times && vcpu->fault.gpa == gpa && vcpu->fault.flags == flags)
		return ++vcpu->fault.times > MAX_EQUAL_FAULTS;
	vcpu->fault.gpa = gpa;
	vcpu->fault.flags = flags;
	vcpu->fault.times = 1;
	return false;
}

int coco_memory_fault(struct vcpu *vcpu)
{
	const struct lkvm_exit_memory_fault *fault = (const void *)&vcpu->run->hw;
	u64 page = 4 * KiB, end, gpa = ALIGN_DOWN(fault->gpa, page);
	bool private = fault->flags & KVM_MEMORY_EXIT_FLAG_PRIVATE;

	if (__builtin_add_overflow(fault->gpa, fault->size, &end) || end > UINT64_MAX - page)
		return -ENOTSUP;
	if (comes_back(vcpu, gpa, fault->flags))
		return -ENOTSUP;
	if (memory_set_shared(&vcpu->vm->mem, gpa, ALIGN_UP(end, page) - gpa, !private))
		return -ENOTSUP;
	return 0;
}

int coco_fault_failed(struct vcpu *vcpu, int error)
{
	const struct lkvm_exit_memory_fault *fault = (const void *)&vcpu->run->hw;
	bool private = fault->flags & KVM_MEMORY_EXIT_FLAG_PRIVATE;

	if (error != EFAULT || vcpu->run->exit_reason != KVM_EXIT_MEMORY_FAULT)
		return -ENOTSUP;
	if (vcpu->fault.times > MAX_EQUAL_FAULTS)
		err("vcpu %u: the guest's memory at 0x%llx was made %s, and KVM still finds it "
		    "otherwise: see the host's kernel log",
		    vcpu->id, fault->gpa, private ? "private" : "shared");
	else
		err("vcpu %u: the guest used 0x%llx as %s memory, and has none there", vcpu->id,
		    fault->gpa, private ? "private" : "shared");
	return 0;
}
