/* SPDX-License-Identifier: MIT */
/* KVM and its VMs: capabilities and the calls of a VM (Linux api.rst; arch/arm64/kvm/arm.c). */
#include <stdlib.h>

#include "arm.h"

#define CAP_CACHEABLE_PFNMAP 243 /* Linux 6.17 */
#define CAP_PMU_V3_STRICT    251 /* Linux 7.3 */
#define IPA_DEFAULT	     40U
#define IPA_MIN		     32U

struct arm_host arm_host = {
	.ipa_bits = 48,
	.sve_vq = 4,
	.pmu_counters = 6,
	.bps = 5,
	.wps = 5,
};

bool arm_option(const char *name, const char *value)
{
	if (!strcmp(name, "host-ipa"))
		arm_host.ipa_bits = (u32)model_number(name, value);
	else if (!strcmp(name, "sve")) /* bits; 0: none */
		arm_host.sve_vq = (u32)model_number(name, value) / 128;
	else if (!strcmp(name, "pmu-counters"))
		arm_host.pmu_counters = (u32)model_number(name, value);
	else if (!strcmp(name, "bps"))
		arm_host.bps = (u32)model_number(name, value);
	else if (!strcmp(name, "wps"))
		arm_host.wps = (u32)model_number(name, value);
	else if (!strcmp(name, "nested") && !value)
		arm_host.nested = true;
	else if (!strcmp(name, "mte") && !value)
		arm_host.mte = true;
	else
		return false;
	return true;
}

/* Of Linux 7.3, of what a VMM may look for; what is not here is 0. */
static const struct {
	u32 cap;
	int value;
} caps[] = {
	{ KVM_CAP_IRQCHIP, 1 },
	{ KVM_CAP_USER_MEMORY, 1 },
	{ KVM_CAP_USER_MEMORY2, 1 },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1 },
	{ KVM_CAP_JOIN_MEMORY_REGIONS_WORKS, 1 },
	{ KVM_CAP_NR_VCPUS, 8 },
	{ KVM_CAP_MAX_VCPUS, MODEL_MAX_VCPUS },
	{ KVM_CAP_MAX_VCPU_ID, 512 },
	{ KVM_CAP_NR_MEMSLOTS, 32764 },
	{ KVM_CAP_SYNC_MMU, 1 },
	{ KVM_CAP_MP_STATE, 1 },
	{ KVM_CAP_IRQ_ROUTING, 4096 },
	{ KVM_CAP_IRQFD, 1 },
	{ KVM_CAP_IRQFD_RESAMPLE, 1 },
	{ KVM_CAP_IOEVENTFD, 1 },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1 },
	{ KVM_CAP_INTERNAL_ERROR_DATA, 1 },
	{ KVM_CAP_ENABLE_CAP_VM, 1 },
	{ KVM_CAP_CHECK_EXTENSION_VM, 1 },
	{ KVM_CAP_ONE_REG, 1 },
	{ KVM_CAP_ARM_PSCI, 1 },
	{ KVM_CAP_ARM_PSCI_0_2, 1 },
	{ KVM_CAP_ARM_SET_DEVICE_ADDR, 1 },
	{ KVM_CAP_READONLY_MEM, 1 },
	{ KVM_CAP_DEVICE_CTRL, 1 },
	{ KVM_CAP_SIGNAL_MSI, 1 },
	{ KVM_CAP_MSI_DEVID, 1 },
	{ KVM_CAP_VM_ATTRIBUTES, 1 },
	{ KVM_CAP_VCPU_ATTRIBUTES, 1 },
	{ KVM_CAP_VCPU_EVENTS, 1 },
	{ KVM_CAP_IMMEDIATE_EXIT, 1 },
	{ KVM_CAP_SET_GUEST_DEBUG, 1 },
	{ KVM_CAP_STEAL_TIME, 1 },
	{ KVM_CAP_ARM_PMU_V3, 1 },
	{ KVM_CAP_ARM_PTRAUTH_ADDRESS, 1 },
	{ KVM_CAP_ARM_PTRAUTH_GENERIC, 1 },
	{ KVM_CAP_ARM_INJECT_SERROR_ESR, 1 },
	{ KVM_CAP_ARM_INJECT_EXT_DABT, 1 },
	{ KVM_CAP_ARM_NISV_TO_USER, 1 },
	{ KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, 3 },
	{ KVM_CAP_HALT_POLL, 1 },
	{ KVM_CAP_SYSTEM_EVENT_DATA, 1 },
	{ KVM_CAP_ARM_SYSTEM_SUSPEND, 1 },
	{ KVM_CAP_COUNTER_OFFSET, 1 },
	{ KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES, 0x40201000 },
	{ KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES, 1 },
	{ KVM_CAP_MEMORY_FAULT_INFO, 1 },
	{ KVM_CAP_GUEST_MEMFD, 1 },
	{ KVM_CAP_ARM_WRITABLE_IMP_ID_REGS, 1 },
	{ CAP_CACHEABLE_PFNMAP, 1 },
	{ KVM_CAP_GUEST_MEMFD_FLAGS, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED },
	{ CAP_PMU_V3_STRICT, 1 },
};

long arm_cap(u32 cap)
{
	switch (cap) {
	case KVM_CAP_ARM_VM_IPA_SIZE:
		return arm_host.ipa_bits;
	case KVM_CAP_ARM_SVE:
		return arm_host.sve_vq > 0;
	case KVM_CAP_ARM_MTE:
		return arm_host.mte;
	case KVM_CAP_ARM_EL2:
		return arm_host.nested;
	case KVM_CAP_GUEST_DEBUG_HW_BPS:
		return arm_host.bps + 1;
	case KVM_CAP_GUEST_DEBUG_HW_WPS:
		return arm_host.wps + 1;
	}
	for (size_t i = 0; i < MODEL_ARRAY(caps); i++)
		if (caps[i].cap == cap)
			return caps[i].value;
	return 0;
}

static long check_extension(struct model_call *c)
{
	u32 cap = (u32)c->arg;
	long ret = arm_host.cap ? arm_host.cap(cap) : MODEL_PASS;

	model_note(c, "cap", "%u", cap);
	return ret == MODEL_PASS ? arm_cap(cap) : ret;
}

/* kvm_vm_ioctl_enable_cap */
static long enable_cap(struct model_call *c)
{
	struct kvm_enable_cap cap;

	if (model_read(&cap, c->arg, sizeof(cap)))
		return -EFAULT;
	model_note(c, "cap", "%u", cap.cap);
	if (cap.flags)
		return model_broken(-EINVAL, "KVM_ENABLE_CAP: flags 0x%x", cap.flags);
	switch (cap.cap) {
	case KVM_CAP_ARM_NISV_TO_USER:
	case KVM_CAP_ARM_SYSTEM_SUSPEND:
	case KVM_CAP_HALT_POLL:
	case KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2:
	case KVM_CAP_ARM_WRITABLE_IMP_ID_REGS:
		return 0;
	case KVM_CAP_ARM_MTE:
		if (!arm_host.mte || c->vm->nr_vcpus)
			return -EINVAL;
		arm_vm(c->vm)->mte = true;
		return 0;
	}
	return -EINVAL;
}

/* The one attribute of a VM: which hypercalls user space takes (devices/vm.rst, 6). */
static long vm_attribute(struct model_call *c)
{
	struct kvm_smccc_filter filter;
	struct kvm_device_attr a;

	if (model_read(&a, c->arg, sizeof(a)))
		return -EFAULT;
	if (a.group != KVM_ARM_VM_SMCCC_CTRL || a.attr != KVM_ARM_VM_SMCCC_FILTER)
		return -ENXIO;
	if (c->request != KVM_SET_DEVICE_ATTR)
		return c->request == KVM_HAS_DEVICE_ATTR ? 0 : -ENXIO;
	if (c->vm->has_run)
		return model_broken(-EBUSY, "the SMCCC filter is set after a vcpu has run");
	if (model_read(&filter, a.addr, sizeof(filter)))
		return -EFAULT;
	if (filter.action > KVM_SMCCC_FILTER_FWD_TO_USER || !filter.nr_functions)
		return model_broken(-EINVAL, "the SMCCC filter: action %u, %u functions",
				    filter.action, filter.nr_functions);
	if (filter.action == KVM_SMCCC_FILTER_FWD_TO_USER)
		arm_vm(c->vm)->smccc_to_user = true;
	return 0;
}

static long preferred_target(const struct model_call *c)
{
	const struct kvm_vcpu_init init = { .target = KVM_ARM_TARGET_GENERIC_V8 };

	return model_write(c->arg, &init, sizeof(init)) ? -EFAULT : 0;
}

static long vm_ioctl(struct model_call *c)
{
	switch (c->request) {
	case KVM_CHECK_EXTENSION:
		return check_extension(c);
	case KVM_ENABLE_CAP:
		return enable_cap(c);
	case KVM_ARM_PREFERRED_TARGET:
		return preferred_target(c);
	case KVM_CREATE_DEVICE:
		return arm_create_device(c);
	case KVM_SET_DEVICE_ATTR:
	case KVM_GET_DEVICE_ATTR:
	case KVM_HAS_DEVICE_ATTR:
		return vm_attribute(c);
	case KVM_ARM_GET_REG_WRITABLE_MASKS:
		return arm_reg_masks(c);
	case KVM_ARM_SET_COUNTER_OFFSET:
		return c->vm->has_run ? -EBUSY : 0;
	case KVM_CREATE_IRQCHIP:      /* a GICv2 */
	case KVM_ARM_SET_DEVICE_ADDR: /* of one */
		return -ENODEV;
	case KVM_IRQFD:
	case KVM_IOEVENTFD:
	case KVM_SET_GSI_ROUTING:
	case KVM_SIGNAL_MSI:
	case KVM_IRQ_LINE:
		return 0;
	}
	return -ENOTTY;
}

static long kvm_ioctl(struct model_call *c)
{
	switch (c->request) {
	case KVM_GET_API_VERSION:
		return KVM_API_VERSION;
	case KVM_GET_VCPU_MMAP_SIZE:
		return MODEL_RUN_SIZE;
	case KVM_CHECK_EXTENSION:
		return check_extension(c);
	}
	return -ENOTTY;
}

static long machine_ioctl(struct model_call *c)
{
	switch (c->file->type) {
	case MODEL_KVM:
		return kvm_ioctl(c);
	case MODEL_VM:
		return vm_ioctl(c);
	case MODEL_VCPU:
		return arm_vcpu_ioctl(c);
	case MODEL_DEVICE:
		return arm_device_ioctl(c);
	default:
		return -ENOTTY;
	}
}

/* kvm_arch_init_vm and kvm_init_ipa_range; the type's other bits were the kind's. */
static int new_vm(struct model_vm *vm)
{
	u32 bits = (u32)(vm->type & 0xff);
	struct arm_vm *v;

	if (!vm->kind && vm->type & ~0xffULL)
		return -EINVAL;
	if (bits > arm_host.ipa_bits || (bits && bits < IPA_MIN))
		return -EINVAL;
	v = calloc(1, sizeof(*v));
	if (!v)
		abort();
	v->ipa_bits = bits ? bits : IPA_DEFAULT;
	v->gic_dist = v->gic_redist = ~0ULL;
	arm_regs_vm(v);
	vm->machine_state = v;
	if (!vm->kind)
		vm->no_attributes = true;
	return 0;
}

static int new_vcpu(struct model_vcpu *vcpu)
{
	vcpu->machine_state = calloc(1, sizeof(struct arm_vcpu));
	return vcpu->machine_state ? 0 : -ENOMEM;
}

/* kvm_arch_prepare_memory_region. All of an ordinary VM's guest_memfd is shared, hence mapped. */
static int set_slot(struct model_vm *vm, const struct model_slot *slot)
{
	u64 end = 1ULL << arm_vm(vm)->ipa_bits;

	if (slot->gpa >= end || slot->size > end - slot->gpa)
		return (int)model_broken(-EFAULT, "slot %u: 0x%llx is beyond the address space",
					 slot->id, slot->gpa + slot->size);
	if (!slot->gmem || (vm->kind && vm->kind->gmem))
		return 0;
	if (!(slot->gmem->flags & GUEST_MEMFD_FLAG_MMAP))
		return (int)model_broken(-EINVAL, "slot %u: its guest_memfd is not of MMAP",
					 slot->id);
	return arm_vm(vm)->mte
		       ? (int)model_broken(-EINVAL, "slot %u: guest_memfd with MTE", slot->id)
		       : 0;
}

static const struct model_name names[] = {
#define NAME(x)       \
	{             \
		x, #x \
	}
	NAME(KVM_ARM_PREFERRED_TARGET),
	NAME(KVM_ARM_VCPU_INIT),
	NAME(KVM_ARM_VCPU_FINALIZE),
	NAME(KVM_GET_REG_LIST),
	NAME(KVM_ARM_GET_REG_WRITABLE_MASKS),
	NAME(KVM_ARM_SET_COUNTER_OFFSET),
	NAME(KVM_GET_VCPU_EVENTS),
	NAME(KVM_SET_VCPU_EVENTS),
	NAME(KVM_CREATE_IRQCHIP),
	NAME(KVM_ARM_SET_DEVICE_ADDR),
	{ 0, NULL },
};

const struct model_machine model_machine = {
	.ioctl = machine_ioctl,
	.vm = new_vm,
	.vcpu = new_vcpu,
	.slot = set_slot,
	.enter = arm_enter,
	.names = names,
};

bool arm_is_common_cap(u32 cap)
{
	static const u32 common[] = {
		KVM_CAP_IRQCHIP,
		KVM_CAP_ARM_PSCI,
		KVM_CAP_ARM_PSCI_0_2,
		KVM_CAP_NR_VCPUS,
		KVM_CAP_MAX_VCPUS,
		KVM_CAP_MAX_VCPU_ID,
		KVM_CAP_MSI_DEVID,
		KVM_CAP_ARM_VM_IPA_SIZE,
		KVM_CAP_ARM_PTRAUTH_ADDRESS,
		KVM_CAP_ARM_PTRAUTH_GENERIC,
		/* virt/kvm/kvm_main.c */
		KVM_CAP_USER_MEMORY,
		KVM_CAP_USER_MEMORY2,
		KVM_CAP_NR_MEMSLOTS,
		KVM_CAP_DESTROY_MEMORY_REGION_WORKS,
		KVM_CAP_JOIN_MEMORY_REGIONS_WORKS,
		KVM_CAP_SIGNAL_MSI,
		KVM_CAP_IRQFD,
		KVM_CAP_IRQFD_RESAMPLE,
		KVM_CAP_IOEVENTFD,
		KVM_CAP_IOEVENTFD_ANY_LENGTH,
		KVM_CAP_IRQ_ROUTING,
		KVM_CAP_INTERNAL_ERROR_DATA,
		KVM_CAP_ENABLE_CAP_VM,
		KVM_CAP_CHECK_EXTENSION_VM,
		KVM_CAP_DEVICE_CTRL,
		KVM_CAP_HALT_POLL,
		KVM_CAP_GUEST_MEMFD,
		KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2,
	};

	for (size_t i = 0; i < MODEL_ARRAY(common); i++)
		if (common[i] == cap)
			return true;
	return false;
}
