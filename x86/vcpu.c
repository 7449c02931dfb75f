/* SPDX-License-Identifier: MIT */
/*
 * A vcpu as x86 wants it: CPUID and the MSRs that firmware would have set. Its state is then what
 * a reset returns to (pristine.c).
 */
#include "lkvm/vcpu.h"

#include <cpuid.h>
#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/coco.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"
#include "nested.h"
#include "platform.h"
#include "snp.h"
#include "tdx.h"
#include "tuning.h"
#include "vcpu-state.h"
#include "x86.h"

/* Intel SDM volume 4, table 2-2; volume 3, 12.11.2.1 */
#define RFLAGS_IF		BIT(9)
#define MSR_MISC_ENABLE		0x1a0U
#define MISC_ENABLE_FAST_STRING 1ULL
#define MISC_ENABLE_MONITOR	BIT_ULL(18)
#define MSR_MTRR_DEF_TYPE	0x2ffU
#define MTRR_ENABLE_WRITEBACK	(BIT_ULL(11) | 6)

/* The last word: clocks, idling and the PMU as their own options say. Prints. */
static int tune_cpuid(const struct vcpu *vcpu, struct kvm_cpuid2 **cpuid)
{
	const struct x86_tuning *asked = &vcpu->vm->cfg->x86.tuning;
	struct arch_vm *arch = vcpu->vm->arch;
	struct x86_cpuid_tuning tuning = { .asked = asked, .tsc_khz = arch->shared.tsc_khz };
	int ret;

	if (asked->disable_exits & X86_EXIT_MWAIT)
		__cpuid(5, tuning.monitor[0], tuning.monitor[1], tuning.monitor[2],
			tuning.monitor[3]);
	ret = x86_cpuid_tune(cpuid, arch->cpuid, &tuning);
	/* Once, for all vcpus. */
	if (ret > 0 && !arch->shared.known)
		warn("%s: the guest's CPUID leaf 0x15 has the frequencies of that, not those of "
		     "--cpu; omit one of them",
		     asked->tsc_khz ? "--tsc-khz" : "--apic-bus-hz");
	if (ret < 0)
		err("vcpu %u: cannot make its CPUID: %s", vcpu->id, strerror(-ret));
	return MIN(ret, 0);
}

int x86_vcpu_cpuid(const struct vcpu *vcpu, struct kvm_cpuid2 **out)
{
	struct arch_vm *arch = vcpu->vm->arch;
	const struct x86_cpuid_params params = {
		.apic_id = arch_vcpu_kvm_id(vcpu->vm, vcpu->id),
		.topology = arch->topology,
		.tsc_khz = arch->shared.tsc_khz,
		.tsc_deadline = kvm_check_cap(&vcpu->vm->kvm, KVM_CAP_TSC_DEADLINE_TIMER) > 0,
		.msi_ext_dest = arch->msi_ext_dest,
	};
	struct kvm_cpuid2 *cpuid;
	int ret;

	ret = x86_cpuid_build(arch->cpuid, &params, &cpuid);
	if (ret) {
		err("vcpu %u: cannot make its CPUID: %s", vcpu->id, strerror(-ret));
		return ret;
	}
	x86_cpu_pin(&arch->cpu_model, cpuid);
	/* After all others: what they wrote of the same leaves gives way. */
	ret = tune_cpuid(vcpu, &cpuid);
	if (!ret)
		ret = x86_nested_cpuid(vcpu->vm->cfg, cpuid, arch->nested);
	if (!ret && vcpu->vm->cfg->x86.snp.on)
		ret = x86_snp_add_leaf(&cpuid);
	if (ret)
		free(cpuid);
	else
		*out = cpuid;
	return ret;
}

static int set_cpuid(const struct vcpu *vcpu)
{
	struct kvm_cpuid2 *cpuid;
	int ret = x86_vcpu_cpuid(vcpu, &cpuid);

	if (ret)
		return ret;
	ret = xioctl(vcpu->fd, KVM_SET_CPUID2, cpuid);
	free(cpuid);
	if (ret < 0) {
		err("vcpu %u: cannot set its CPUID: KVM_SET_CPUID2: %s", vcpu->id, strerror(-ret));
		return ret;
	}
	return 0;
}

static void add_msr(struct x86_shared *shared, u32 index, u64 value)
{
	shared->msrs[shared->nr_msrs++] = (struct kvm_msr_entry){ .index = index, .data = value };
}

static void find_msrs(const struct vcpu *vcpu, struct x86_shared *shared)
{
	bool mwait = vcpu->vm->cfg->x86.tuning.disable_exits & X86_EXIT_MWAIT;
	u64 misc = mwait ? MISC_ENABLE_MONITOR : 0, host = 0;

	/* Without it Linux gives up the string instructions for memcpy. The rest follows from
	 * CPUID. */
	if (x86_transfer_msr(vcpu, KVM_GET_MSRS, MSR_MISC_ENABLE, &host))
		add_msr(shared, MSR_MISC_ENABLE, host | misc | MISC_ENABLE_FAST_STRING);
	/* With MTRRs off all memory counts as uncached, and Linux does without its PAT. */
	add_msr(shared, MSR_MTRR_DEF_TYPE, MTRR_ENABLE_WRITEBACK);
}

/* A KVM without one of them is not fatal: the guest only runs slower. */
static void set_msrs(struct vcpu *vcpu)
{
	const struct x86_shared *shared = &vcpu->vm->arch->shared;
	union {
		struct kvm_msrs msrs;
		u8 room[sizeof(struct kvm_msrs) + sizeof(shared->msrs)];
	} m = { .room = { 0 } };

	for (u32 at = 0; at < shared->nr_msrs; at++) {
		int done;

		m.msrs.nmsrs = shared->nr_msrs - at;
		memcpy(m.msrs.entries, &shared->msrs[at], m.msrs.nmsrs * sizeof(shared->msrs[0]));
		done = xioctl(vcpu->fd, KVM_SET_MSRS, &m);
		at += (u32)MAX(done, 0);
		if (at < shared->nr_msrs)
			debug("vcpu %u: cannot set MSR 0x%x", vcpu->id, shared->msrs[at].index);
	}
}

int x86_vcpu_setup(struct vcpu *vcpu)
{
	struct x86_shared *shared = &vcpu->vm->arch->shared;
	int ret = x86_tsc_vcpu(vcpu);

	if (ret)
		return ret;
	if (!shared->known)
		shared->tsc_khz = x86_tsc_khz(vcpu);
	ret = set_cpuid(vcpu);
	if (!ret)
		ret = x86_nested_vcpu(vcpu);
	if (ret)
		return ret;
	if (!shared->known)
		find_msrs(vcpu, shared);
	shared->known = true;
	set_msrs(vcpu);
	return 0;
}

int arch_vcpu_init(struct vcpu *vcpu)
{
	vcpu->arch = xcalloc(1, sizeof(*vcpu->arch));
	return vcpu->vm->arch->tdx ? x86_tdx_vcpu_setup(vcpu) : x86_vcpu_setup(vcpu);
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
int arch_vcpu_nmi(struct vcpu *vcpu)
{
	return xioctl(vcpu->fd, KVM_NMI, NULL);
}

bool arch_vcpu_halted(struct vcpu *vcpu)
{
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp;
	struct kvm_regs regs;
	const struct coco_ops *coco = vcpu->vm->coco;

	/* Whether it takes interrupts nobody can see. */
	if ((coco && coco->private_memory) || xioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) < 0)
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
	free(vcpu->arch);
	vcpu->arch = NULL;
}
