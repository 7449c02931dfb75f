/* SPDX-License-Identifier: MIT */
/* Exits that only SNP guests have: pages that change their state, certificates, a guest that ends
 * itself (GHCB specification 56421; Linux Documentation/virt/kvm/api.rst, section 5). */
#include <kvm-snp.h>

#include "lkvm/coco.h"
#include "lkvm/log.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "snp.h"

/* The GHCB's MSR protocol, termination request: reason set in 15:12, reason in 23:16. */
#define TERM_MASK    0xfffULL
#define TERM_REQUEST 0x100ULL

static void say_term(const struct vcpu *vcpu, u64 data)
{
	u32 set = (u32)(data >> 12 & 0xf), code = (u32)(data >> 16 & 0xff);
	const char *text = x86_snp_term_text(set, code);

	/* By the GHCB's own page it has its address here, and no reason. */
	if ((data & TERM_MASK) != TERM_REQUEST)
		err("vcpu %u: the guest ended itself, without a reason", vcpu->id);
	else if (text)
		err("vcpu %u: the guest ended itself: %s (reason %u of set %u)", vcpu->id, text,
		    code, set);
	else
		err("vcpu %u: the guest ended itself: reason %u of set %u", vcpu->id, code, set);
}

static int system_event(struct vcpu *vcpu)
{
	const struct kvm_run *run = vcpu->run;

	if (run->system_event.type != KVM_SYSTEM_EVENT_SEV_TERM)
		return -ENOTSUP;
	say_term(vcpu, run->system_event.ndata ? run->system_event.data[0] : 0);
	vm_request_stop(vcpu->vm, VM_STOP_TERMINATED, 0, (s32)vcpu->id);
	return 0;
}

int x86_snp_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_HYPERCALL:
		return coco_map_gpa(vcpu);
	case KVM_EXIT_MEMORY_FAULT:
		return coco_memory_fault(vcpu);
	case KVM_EXIT_SNP_REQ_CERTS:
		x86_snp_request_certs(vcpu);
		return 0;
	case KVM_EXIT_SYSTEM_EVENT:
		return system_event(vcpu);
	}
	return -ENOTSUP;
}
