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

void arch_vcpu_destroy(struct vcpu *vcpu)
{
	if (!vcpu->arch)
		return;
	x86_reset_release(vcpu);
	free(vcpu->arch);
	vcpu->arch = NULL;
}
