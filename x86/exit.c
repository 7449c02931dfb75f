/* SPDX-License-Identifier: MIT */
/* KVM's exits that only x86 has (Linux Documentation/virt/kvm/api.rst, section 5). */
#include "lkvm/arch.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "platform.h"
#include "tuning.h"
#include "x86.h"

#define VECTOR_UD 6 /* Intel SDM volume 3, 6.3.1 */

/*
 * An instruction that KVM cannot emulate. One of the guest's user space (CPL 3: the stack segment's
 * DPL) is to hurt that program alone: it gets #UD, as KVM does it by itself where it knows. In the
 * kernel it is the end, with a report.
 */
static int emulation_failure(struct vcpu *vcpu)
{
	struct kvm_vcpu_events events;
	struct kvm_sregs sregs;
	struct kvm_regs regs;

	if (vcpu->run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION ||
	    xioctl(vcpu->fd, KVM_GET_SREGS, &sregs) < 0 || sregs.ss.dpl != 3 ||
	    xioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ||
	    xioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events) < 0)
		return -ENOTSUP;
	if (!events.exception.injected && !events.exception.pending) {
		events.exception.injected = 1;
		events.exception.nr = VECTOR_UD;
		events.exception.has_error_code = 0;
		if (xioctl(vcpu->fd, KVM_SET_VCPU_EVENTS, &events) < 0)
			return -ENOTSUP;
	}
	guest_warn(
		"vcpu %u: KVM cannot emulate an instruction of the guest's user space at 0x%llx; "
		"the program gets #UD",
		vcpu->id, regs.rip);
	return 0;
}

int arch_vcpu_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_INTERNAL_ERROR:
		return emulation_failure(vcpu);
	case KVM_EXIT_SHUTDOWN:
		vm_request_stop(vcpu->vm, VM_STOP_TRIPLE_FAULT, 0, (s32)vcpu->id);
		return 0;
	case KVM_EXIT_IOAPIC_EOI:
		if (vcpu->vm->arch->ioapic)
			x86_ioapic_eoi(vcpu->vm->arch->ioapic, run->eoi.vector);
		return 0;
	case KVM_EXIT_X86_BUS_LOCK:
		/* on_run_flags counts it. */
		return 0;
	case KVM_EXIT_NOTIFY:
		x86_notify_exit(vcpu);
		return 0;
	case KVM_EXIT_X86_RDMSR:
	case KVM_EXIT_X86_WRMSR:
		/* No MSR is handled here: the guest gets #GP. */
		guest_debug("vcpu %u: unknown MSR 0x%x", vcpu->id, run->msr.index);
		run->msr.error = 1;
		return 0;
	}
	return -ENOTSUP;
}
