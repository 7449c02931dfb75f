/* SPDX-License-Identifier: MIT */
/*
 * Guests that are hypervisors: --nested, --vmx and --svm, where they meet KVM. What is asked is
 * looked up before the first vcpu (nested-plan.c); then each vcpu gets its CPUID, and the VMX
 * capability MSRs that differ from KVM's own. KVM fits some of those to the CPUID, so they are read
 * of the vcpu and changed, rather than written anew. Which bits of CR0 and CR4 are allowed in VMX
 * operation, and whether IA32_FEATURE_CONTROL has a bit for it, KVM makes of the CPUID.
 */
#include "nested.h"

#include <stdlib.h>

#include "lkvm/config.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "platform.h"
#include "vcpu-state.h"
#include "x86.h"

int x86_nested_check(const struct vm_config *cfg)
{
	const char *words = cfg->x86.vmx ? "--vmx" : "--svm";

	if (cfg->x86.vmx && cfg->x86.svm) {
		err("--vmx and --svm: a CPU has one or the other; omit one of them");
		return -EINVAL;
	}
	if (cfg->x86.nested == X86_NESTED_SWITCH_OFF && (cfg->x86.vmx || cfg->x86.svm)) {
		err("--nested off and %s: contradict each other; omit one of them", words);
		return -EINVAL;
	}
	return 0;
}

/* KVM's features: what a vcpu's MSR may be at most. */
static int read_feature_msr(void *opaque, u32 msr, u64 *value)
{
	const struct kvm *kvm = opaque;
	union {
		struct kvm_msrs msrs;
		u8 room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} m = { .room = { 0 } };

	m.msrs.nmsrs = 1;
	m.msrs.entries[0].index = msr;
	if (kvm_check_cap(kvm, KVM_CAP_GET_MSR_FEATURES) <= 0 ||
	    xioctl(kvm->sys_fd, KVM_GET_MSRS, &m) != 1)
		return -ENOENT;
	*value = m.msrs.entries[0].data;
	return 0;
}

int x86_nested_init(struct vm *vm)
{
	const struct x86_nested_host host = {
		.root = "",
		.cpuid = vm->arch->cpuid,
		.read_msr = read_feature_msr,
		.opaque = &vm->kvm,
	};

	vm->arch->nested = xcalloc(1, sizeof(*vm->arch->nested));
	return x86_nested_plan(vm->cfg, &host, vm->arch->nested);
}

/* The features of that MSR that the guest is to have or to be without, by name; to be freed. */
static char *names_of(const struct x86_nested *n, u32 msr)
{
	char *text = xstrdup("");

	for (size_t i = 0; i < x86_vmx_table.count; i++)
		if (x86_vmx_table.features[i].msr == msr && n->vmx.want[i] >= X86_NESTED_OFF)
			xappendf(&text, "%s-%s", *text ? "," : "", x86_vmx_table.features[i].name);
	return text;
}

static int refused(const struct vcpu *vcpu, u32 msr, u64 value)
{
	char *names = names_of(vcpu->vm->arch->nested, msr);

	err("vcpu %u: --vmx %s: KVM refuses 0x%llx in its MSR %s (0x%x); omit some of them",
	    vcpu->id, names, value, x86_vmx_msr_name(msr), msr);
	free(names);
	return -EOPNOTSUPP;
}

/* What a guest's CPUID lacks KVM takes out of its MSRs. */
static int check_asked(const struct vcpu *vcpu, u32 msr, u64 value)
{
	const struct x86_nested *n = vcpu->vm->arch->nested;

	for (size_t i = 0; i < x86_vmx_table.count; i++) {
		const struct x86_nested_feature *f = &x86_vmx_table.features[i];

		if (f->msr != msr || n->vmx.want[i] != X86_NESTED_ON || x86_vmx_has(f, value))
			continue;
		err("vcpu %u: --vmx +%s: KVM gives it only to guests whose CPU has what it "
		    "controls; "
		    "omit it",
		    vcpu->id, f->name);
		return -EOPNOTSUPP;
	}
	return 0;
}

static int change_msr(const struct vcpu *vcpu, const struct x86_vmx_change *c)
{
	u64 now = 0, value;

	if (!x86_transfer_msr(vcpu, KVM_GET_MSRS, c->msr, &now)) {
		err("vcpu %u: --vmx: KVM does not give its MSR %s (0x%x)", vcpu->id,
		    x86_vmx_msr_name(c->msr), c->msr);
		return -EOPNOTSUPP;
	}
	value = (now & ~c->clear) | c->set;
	if (value != now && !x86_transfer_msr(vcpu, KVM_SET_MSRS, c->msr, &value))
		return refused(vcpu, c->msr, (now & ~c->clear) | c->set);
	return check_asked(vcpu, c->msr, value);
}

int x86_nested_vcpu(const struct vcpu *vcpu)
{
	const struct x86_nested *n = vcpu->vm->arch->nested;
	int ret = 0;

	for (u32 i = 0; n && i < n->nr_changes && !ret; i++)
		ret = change_msr(vcpu, &n->changes[i]);
	return ret;
}
