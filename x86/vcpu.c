/* SPDX-License-Identifier: MIT */
/*
 * A vcpu as x86 wants it: CPUID and the MSRs that firmware would have set. Its state is then what
 * reset.c returns to.
 */
#include "lkvm/vcpu.h"

#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "platform.h"
#include "x86.h"

/* Intel SDM volume 4, table 2-2; volume 3, 12.11.2.1 */
#define RFLAGS_IF		BIT(9)
#define MSR_MISC_ENABLE		0x1a0U
#define MISC_ENABLE_FAST_STRING 1ULL
#define MSR_MTRR_DEF_TYPE	0x2ffU
#define MTRR_ENABLE_WRITEBACK	(BIT_ULL(11) | 6)

static int set_cpuid(struct vcpu *vcpu)
{
	struct arch_vm *arch = vcpu->vm->arch;
	int tsc_khz = xioctl_val(vcpu->fd, KVM_GET_TSC_KHZ, 0);
	const struct x86_cpuid_params params = {
		.apic_id = vcpu->id,
		.nr_cpus = vcpu->vm->cfg->cpus,
		.tsc_khz = tsc_khz > 0 ? (u32)tsc_khz : 0,
		.tsc_deadline = kvm_check_cap(&vcpu->vm->kvm, KVM_CAP_TSC_DEADLINE_TIMER) > 0,
		.msi_ext_dest = arch->msi_ext_dest,
	};
	struct kvm_cpuid2 *cpuid;
	int ret;

	ret = x86_cpuid_build(arch->cpuid, &params, &cpuid);
	if (ret) {
		err("vcpu %u: CPUID: %s", vcpu->id, strerror(-ret));
		return ret;
	}
	ret = xioctl(vcpu->fd, KVM_SET_CPUID2, cpuid);
	free(cpuid);
	if (ret < 0) {
		err("vcpu %u: KVM_SET_CPUID2: %s", vcpu->id, strerror(-ret));
		return ret;
	}
	return 0;
}

/* A KVM without the MSR is not fatal: the guest only runs slower. */
static void set_msr(struct vcpu *vcpu, u32 index, u64 keep, u64 value)
{
	struct kvm_msrs *msrs = xcalloc(1, sizeof(*msrs) + sizeof(msrs->entries[0]));
	int ret;

	msrs->nmsrs = 1;
	msrs->entries[0].index = index;
	ret = xioctl(vcpu->fd, KVM_GET_MSRS, msrs);
	if (ret == 1) {
		msrs->entries[0].data = (msrs->entries[0].data & keep) | value;
		ret = xioctl(vcpu->fd, KVM_SET_MSRS, msrs);
	}
	free(msrs);
	if (ret != 1)
		debug("vcpu %u: cannot set MSR 0x%x", vcpu->id, index);
}

int arch_vcpu_init(struct vcpu *vcpu)
{
	int ret;

	vcpu->arch = xcalloc(1, sizeof(*vcpu->arch));
	ret = set_cpuid(vcpu);
	if (ret)
		return ret;
	/* Without it Linux gives up the string instructions for memcpy. */
	set_msr(vcpu, MSR_MISC_ENABLE, ~0ULL, MISC_ENABLE_FAST_STRING);
	/* With MTRRs off all memory counts as uncached, and Linux does without its PAT. */
	set_msr(vcpu, MSR_MTRR_DEF_TYPE, 0, MTRR_ENABLE_WRITEBACK);
	return x86_reset_capture(vcpu);
}

/* In a nested guest RFLAGS is not what decides: its hypervisor takes interrupts for it. */
static bool in_nested_guest(struct vcpu *vcpu)
{
	int size = kvm_check_cap(&vcpu->vm->kvm, KVM_CAP_NESTED_STATE);
	struct kvm_nested_state *state;
	bool nested = false;

	if (size < (int)sizeof(*state))
		return false;
	state = xcalloc(1, (size_t)size);
	state->size = (u32)size;
	if (xioctl(vcpu->fd, KVM_GET_NESTED_STATE, state) < 0 ||
	    state->flags & KVM_STATE_NESTED_GUEST_MODE)
		nested = true;
	free(state);
	return nested;
}

/* Halted with interrupts off and no NMI or SMI on its way; or never started, or stopped by INIT. */
bool arch_vcpu_halted(struct vcpu *vcpu)
{
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_regs regs;

	if (xioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) < 0)
		return false;
	if (mp.mp_state == KVM_MP_STATE_UNINITIALIZED || mp.mp_state == KVM_MP_STATE_INIT_RECEIVED)
		return true;
	if (mp.mp_state != KVM_MP_STATE_HALTED || xioctl(vcpu->fd, KVM_GET_REGS, &regs) < 0 ||
	    xioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &events) < 0)
		return false;
	return !(regs.rflags & RFLAGS_IF) && !events.nmi.pending && !events.nmi.injected &&
	       !events.smi.pending && !in_nested_guest(vcpu);
}

void arch_vcpu_destroy(struct vcpu *vcpu)
{
	if (!vcpu->arch)
		return;
	x86_reset_release(vcpu);
	free(vcpu->arch);
	vcpu->arch = NULL;
}
