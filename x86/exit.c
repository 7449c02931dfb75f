/* SPDX-License-Identifier: MIT */
/* KVM's exits that only x86 has (Linux Documentation/virt/kvm/api.rst, section 5). */
#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "platform.h"
#include "x86.h"

int arch_vcpu_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_SHUTDOWN:
		vm_request_stop(vcpu->vm, VM_STOP_TRIPLE_FAULT, 0, (s32)vcpu->id);
		return 0;
	case KVM_EXIT_IOAPIC_EOI:
		if (vcpu->vm->arch->ioapic)
			x86_ioapic_eoi(vcpu->vm->arch->ioapic, run->eoi.vector);
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
