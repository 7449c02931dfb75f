/* SPDX-License-Identifier: MIT */
/* KVM's exits that only riscv64 has (Linux Documentation/virt/kvm/api.rst, section 5). */
#include "lkvm/arch.h"
#include "lkvm/vcpu.h"
#include "riscv.h"

int arch_vcpu_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_RISCV_SBI:
		riscv_sbi_call(vcpu);
		return 0;
	case KVM_EXIT_RISCV_CSR:
		return riscv_csr_access(vcpu);
	case KVM_EXIT_SYSTEM_EVENT:
		return riscv_sbi_event(vcpu);
	}
	return -ENOTSUP;
}
