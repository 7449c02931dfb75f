/* SPDX-License-Identifier: MIT */
/* KVM's exits that only riscv64 has (Linux Documentation/virt/kvm/api.rst, section 5). */
#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "riscv.h"

/* A CPU has few guest interrupt files, for all VMs: KVM takes one when a vcpu comes to run there.
 * Of those that find none the first says so. */
static int failed_entry(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;
	s32 first;

	if (!(run->fail_entry.hardware_entry_failure_reason & KVM_EXIT_FAIL_ENTRY_NO_VSFILE))
		return -ENOTSUP;
	vm_request_stop(vcpu->vm, VM_STOP_ENTRY_FAILED, 0, (s32)vcpu->id);
	if (vm_stop_reason(vcpu->vm, NULL, &first) == VM_STOP_ENTRY_FAILED &&
	    first == (s32)vcpu->id)
		err("--aia hwaccel: vcpu %u finds no free guest interrupt file on the host's CPU "
		    "%u; use --aia auto, or omit the option",
		    vcpu->id, run->fail_entry.cpu);
	return 0;
}

int arch_vcpu_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_RISCV_SBI:
		riscv_sbi_call(vcpu);
		return 0;
	case KVM_EXIT_RISCV_CSR:
		return riscv_csr_access(vcpu);
	case KVM_EXIT_FAIL_ENTRY:
		return failed_entry(vcpu);
	case KVM_EXIT_SYSTEM_EVENT:
		return riscv_sbi_event(vcpu);
	}
	return -ENOTSUP;
}
