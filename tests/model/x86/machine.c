/* SPDX-License-Identifier: MIT */
/* The rest of KVM on x86, without any KVM: as much as a launch needs (api.rst). */
#include <stdlib.h>
#include <unistd.h>

#include "state.h"

#define NAME(x)       \
	{             \
		x, #x \
	}
static const struct model_name names[] = {
	NAME(KVM_GET_SUPPORTED_CPUID),
	NAME(KVM_SET_CPUID2),
	NAME(KVM_GET_MSRS),
	NAME(KVM_SET_MSRS),
	NAME(KVM_GET_SREGS),
	NAME(KVM_SET_SREGS),
	NAME(KVM_GET_SREGS2),
	NAME(KVM_SET_SREGS2),
	NAME(KVM_GET_XSAVE),
	NAME(KVM_GET_XSAVE2),
	NAME(KVM_SET_XSAVE),
	NAME(KVM_GET_XCRS),
	NAME(KVM_SET_XCRS),
	NAME(KVM_GET_FPU),
	NAME(KVM_SET_FPU),
	NAME(KVM_GET_DEBUGREGS),
	NAME(KVM_SET_DEBUGREGS),
	NAME(KVM_GET_VCPU_EVENTS),
	NAME(KVM_SET_VCPU_EVENTS),
	NAME(KVM_GET_LAPIC),
	NAME(KVM_SET_LAPIC),
	NAME(KVM_GET_TSC_KHZ),
	NAME(KVM_SET_TSC_KHZ),
	NAME(KVM_CREATE_IRQCHIP),
	NAME(KVM_GET_IRQCHIP),
	NAME(KVM_SET_IRQCHIP),
	NAME(KVM_CREATE_PIT2),
	NAME(KVM_SET_TSS_ADDR),
	NAME(KVM_SET_IDENTITY_MAP_ADDR),
	{ 0, NULL },
};

struct cap {
	u32 number, value;
};

/* Of Linux 7.3; those of confidential guests are the kinds'. */
static const struct cap caps[] = {
	{ KVM_CAP_IRQCHIP, 1 },
	{ KVM_CAP_USER_MEMORY, 1 },
	{ KVM_CAP_SET_TSS_ADDR, 1 },
	{ KVM_CAP_EXT_CPUID, 1 },
	{ KVM_CAP_NR_VCPUS, 16 },
	{ KVM_CAP_NR_MEMSLOTS, 32764 },
	{ KVM_CAP_MP_STATE, 1 },
	{ KVM_CAP_COALESCED_MMIO, 1 },
	{ KVM_CAP_SYNC_MMU, 1 },
	{ KVM_CAP_DESTROY_MEMORY_REGION_WORKS, 1 },
	{ KVM_CAP_USER_NMI, 1 },
	{ KVM_CAP_SET_GUEST_DEBUG, 1 },
	{ KVM_CAP_IRQ_ROUTING, 4096 },
	{ KVM_CAP_MCE, 32 },
	{ KVM_CAP_IRQFD, 1 },
	{ KVM_CAP_PIT2, 1 },
	{ KVM_CAP_PIT_STATE2, 1 },
	{ KVM_CAP_IOEVENTFD, 1 },
	{ KVM_CAP_SET_IDENTITY_MAP_ADDR, 1 },
	{ KVM_CAP_VCPU_EVENTS, 1 },
	{ KVM_CAP_DEBUGREGS, 1 },
	{ KVM_CAP_XSAVE, 1 },
	{ KVM_CAP_XCRS, 1 },
	{ KVM_CAP_TSC_CONTROL, 1 },
	{ KVM_CAP_GET_TSC_KHZ, 1 },
	{ KVM_CAP_MAX_VCPUS, MODEL_MAX_VCPUS },
	{ KVM_CAP_TSC_DEADLINE_TIMER, 1 },
	{ KVM_CAP_SYNC_REGS, 7 },
	{ KVM_CAP_SIGNAL_MSI, 1 },
	{ KVM_CAP_READONLY_MEM, 1 },
	{ KVM_CAP_IRQFD_RESAMPLE, 1 },
	{ KVM_CAP_ENABLE_CAP_VM, 1 },
	{ KVM_CAP_IOEVENTFD_NO_LENGTH, 1 },
	{ KVM_CAP_VM_ATTRIBUTES, 1 },
	{ KVM_CAP_CHECK_EXTENSION_VM, 1 },
	{ KVM_CAP_DISABLE_QUIRKS, 1 },
	{ KVM_CAP_SPLIT_IRQCHIP, 1 },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, 1 },
	{ KVM_CAP_MAX_VCPU_ID, 4096 },
	{ KVM_CAP_X2APIC_API, 3 },
	{ KVM_CAP_IMMEDIATE_EXIT, 1 },
	{ KVM_CAP_X86_DISABLE_EXITS, 15 },
	{ KVM_CAP_HALT_POLL, 1 },
	{ KVM_CAP_SYS_ATTRIBUTES, 1 },
	{ KVM_CAP_DISABLE_QUIRKS2, 0xffU },
	{ KVM_CAP_VM_TSC_CONTROL, 1 },
	{ KVM_CAP_XSAVE2, 4096 },
	{ KVM_CAP_USER_MEMORY2, 1 },
	{ KVM_CAP_MEMORY_FAULT_INFO, 1 },
	{ KVM_CAP_GUEST_MEMFD, 1 },
	{ KVM_CAP_VM_TYPES, 1 },
	{ KVM_CAP_PRE_FAULT_MEMORY, 1 },
	{ KVM_CAP_X86_APIC_BUS_CYCLES_NS, 1 },
	{ KVM_CAP_GUEST_MEMFD_FLAGS, GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED },
};

static long check_extension(const struct model_call *c)
{
	for (u32 i = 0; i < MODEL_ARRAY(caps); i++)
		if (caps[i].number == c->arg)
			return caps[i].value;
	return 0;
}

/* What the rules of a kind ask for later. */
static void note_cap(struct model_vm *vm, const struct kvm_enable_cap *e)
{
	if (e->cap == KVM_CAP_SPLIT_IRQCHIP)
		vm->split_irqchip = true;
	if (e->cap == KVM_CAP_DISABLE_QUIRKS || e->cap == KVM_CAP_DISABLE_QUIRKS2)
		x86_vm(vm)->quirks_disabled |= e->args[0];
}

/* Over the host's KVM, which does the rest. */
static long state_ioctl(struct model_call *c)
{
	struct kvm_enable_cap e;

	if (c->file->type != MODEL_VM)
		return x86_state_ioctl(c);
	if (c->request == KVM_ENABLE_CAP && !model_read(&e, c->arg, sizeof(e)))
		note_cap(c->vm, &e);
	if (c->request == KVM_SET_TSC_KHZ)
		x86_vm(c->vm)->tsc_khz = c->arg;
	return MODEL_PASS;
}

static long enable_cap(struct model_call *c)
{
	struct kvm_enable_cap e;

	if (model_read(&e, c->arg, sizeof(e)))
		return -EFAULT;
	model_note(c, "cap", "%u", e.cap);
	if (e.flags)
		return -EINVAL;
	if (e.cap == KVM_CAP_SPLIT_IRQCHIP && (c->vm->nr_vcpus || x86_vm(c->vm)->irqchip))
		return -EINVAL;
	if (e.cap == KVM_CAP_X86_APIC_BUS_CYCLES_NS && c->vm->nr_vcpus)
		return model_broken(-EINVAL, "KVM_CAP_X86_APIC_BUS_CYCLES_NS after a vcpu");
	if (e.cap == KVM_CAP_X86_APIC_BUS_CYCLES_NS && !c->vm->split_irqchip &&
	    !x86_vm(c->vm)->irqchip)
		return model_broken(-ENXIO, "KVM_CAP_X86_APIC_BUS_CYCLES_NS before an irqchip");
	if (e.cap == KVM_CAP_X86_APIC_BUS_CYCLES_NS && !e.args[0])
		return -EINVAL;
	if (!check_extension(&(struct model_call){ .arg = e.cap }))
		return -EINVAL;
	note_cap(c->vm, &e);
	return 0;
}

static long vm_ioctl(struct model_call *c)
{
	switch (c->request) {
	case KVM_ENABLE_CAP:
		return enable_cap(c);
	case KVM_CREATE_IRQCHIP:
		if (c->vm->split_irqchip)
			return -EEXIST;
		x86_vm(c->vm)->irqchip = true;
		return 0;
	case KVM_GET_TSC_KHZ:
		return x86_vm(c->vm)->tsc_khz ? (long)x86_vm(c->vm)->tsc_khz : X86_TSC_KHZ;
	case KVM_SET_TSC_KHZ:
		x86_vm(c->vm)->tsc_khz = c->arg;
		return 0;
	case KVM_SET_TSS_ADDR:
	case KVM_SET_IDENTITY_MAP_ADDR:
	case KVM_CREATE_PIT2:
	case KVM_GET_PIT2:
	case KVM_SET_PIT2:
	case KVM_GET_IRQCHIP:
	case KVM_SET_IRQCHIP:
	case KVM_IRQ_LINE:
	case KVM_IRQFD:
	case KVM_IOEVENTFD:
	case KVM_SET_GSI_ROUTING:
	case KVM_SIGNAL_MSI:
	case KVM_GET_CLOCK:
	case KVM_SET_CLOCK:
	case KVM_REINJECT_CONTROL:
	case KVM_REGISTER_COALESCED_MMIO:
	case KVM_UNREGISTER_COALESCED_MMIO:
		return 0;
	}
	return -ENOTTY;
}

static long vcpu_ioctl(struct model_call *c)
{
	struct x86_state *s = x86_state(c->vcpu);
	long ret = x86_state_ioctl(c);

	if (ret != MODEL_PASS)
		return ret;
	switch (c->request) {
	case KVM_GET_TSC_KHZ:
		return (long)s->tsc_khz;
	case KVM_SET_TSC_KHZ:
		s->tsc_khz = c->arg;
		return 0;
	case KVM_NMI:
	case KVM_KVMCLOCK_CTRL:
	case KVM_X86_SETUP_MCE:
	case KVM_SET_SIGNAL_MASK:
		return 0;
	}
	return -ENOTTY;
}

static long system_ioctl(struct model_call *c)
{
	switch (c->request) {
	case KVM_GET_API_VERSION:
		return KVM_API_VERSION;
	case KVM_GET_VCPU_MMAP_SIZE:
		return MODEL_RUN_SIZE;
	case KVM_GET_SUPPORTED_CPUID:
		return x86_supported_cpuid(c);
	case KVM_GET_DEVICE_ATTR:
	case KVM_HAS_DEVICE_ATTR:
		return -ENXIO;
	}
	return -ENOTTY;
}

static long machine_ioctl(struct model_call *c)
{
	if (c->request == KVM_CHECK_EXTENSION)
		return check_extension(c);
	if (c->file->type == MODEL_KVM)
		return system_ioctl(c);
	if (c->file->type == MODEL_VM)
		return vm_ioctl(c);
	return c->file->type == MODEL_VCPU ? vcpu_ioctl(c) : -ENOTTY;
}

static int new_vm(struct model_vm *vm)
{
	vm->machine_state = calloc(1, sizeof(struct x86_vm));
	return vm->machine_state ? 0 : -ENOMEM;
}

static int new_vcpu(struct model_vcpu *vcpu)
{
	vcpu->machine_state = calloc(1, sizeof(struct x86_state));
	if (!vcpu->machine_state)
		return -ENOMEM;
	x86_state_reset(x86_state(vcpu), !vcpu->id);
	return 0;
}

const struct model_machine model_machine = {
	.ioctl = machine_ioctl,
	.state = state_ioctl,
	.forward = x86_real_forward,
	.vm = new_vm,
	.vcpu = new_vcpu,
	.names = names,
};
