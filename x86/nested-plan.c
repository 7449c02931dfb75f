/* SPDX-License-Identifier: MIT */
/*
 * --nested, --vmx and --svm of one host: what its KVM offers is looked up before there is a guest,
 * and becomes what each vcpu's CPUID and MSRs are changed by. KVM gives a vcpu all that it offers,
 * so "+" only asks that it is there. (Linux Documentation/virt/kvm/api.rst, KVM_GET_MSRS on the
 * system's descriptor.)
 */
#include <stdlib.h>
#include <string.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "nested.h"
#include "platform.h"

#define LEAF1_ECX_VMX	  BIT(5)
#define AMD_ECX_SVM	  BIT(2)
#define SVM_LEAF	  0x8000000aU
#define SVM_REVISION_MASK 0xffU /* of EAX (AMD APM volume 3, E.4.9) */

bool x86_nested_has_vmx(struct kvm_cpuid2 *cpuid)
{
	const struct kvm_cpuid_entry2 *e = x86_cpuid_find(cpuid, 1, 0);

	return e && e->ecx & LEAF1_ECX_VMX;
}

bool x86_nested_has_svm(struct kvm_cpuid2 *cpuid)
{
	const struct kvm_cpuid_entry2 *e = x86_cpuid_find(cpuid, 0x80000001, 0);

	return e && e->ecx & AMD_ECX_SVM;
}

static int refuse(const struct x86_nested_host *host, const struct x86_nested_table *table,
		  const struct x86_nested_feature *f)
{
	char why[192];

	err("%s +%s: %s; omit it", table == &x86_vmx_table ? "--vmx" : "--svm", f->name,
	    x86_nested_feature_why(host->root, table, f, why, sizeof(why)));
	return -EOPNOTSUPP;
}

static struct x86_vmx_change *change_of(struct x86_nested *out, u32 msr)
{
	for (u32 i = 0; i < out->nr_changes; i++)
		if (out->changes[i].msr == msr)
			return &out->changes[i];
	out->changes[out->nr_changes].msr = msr;
	return &out->changes[out->nr_changes++];
}

static int plan_vmx_feature(const struct x86_nested_host *host, const struct x86_nested_feature *f,
			    u8 want, struct x86_nested *out)
{
	struct x86_vmx_change *change;
	u64 value = 0, clear, set;
	/* An MSR that KVM does not know has nothing of it. */
	bool there = !host->read_msr(host->opaque, f->msr, &value) && x86_vmx_has(f, value);

	if (want == X86_NESTED_ON && !there)
		return refuse(host, &x86_vmx_table, f);
	if (!there)
		return 0;
	change = change_of(out, f->msr);
	if (want == X86_NESTED_ON)
		return 0;
	if (!x86_vmx_may_lack(f, value)) {
		err("--vmx -%s: KVM's %s (0x%x) demands that this control is 1; omit it", f->name,
		    x86_vmx_msr_name(f->msr), f->msr);
		return -EOPNOTSUPP;
	}
	x86_vmx_without(f, &clear, &set);
	change->clear |= clear;
	change->set |= set;
	return 0;
}

/* Those that fall are told, as far as the guest would have had them. */
static int plan_vmx(const struct x86_nested_host *host, struct x86_nested *out, char **falls)
{
	for (size_t i = 0; i < x86_vmx_table.count; i++) {
		const struct x86_nested_feature *f = &x86_vmx_table.features[i];
		u8 want = out->vmx.want[i];
		u64 value = 0;
		int ret;

		if (want == X86_NESTED_AS_HOST)
			continue;
		ret = plan_vmx_feature(host, f, want, out);
		if (ret)
			return ret;
		if (want == X86_NESTED_FALLS && !host->read_msr(host->opaque, f->msr, &value) &&
		    x86_vmx_has(f, value))
			xappendf(falls, "%s%s", **falls ? ", " : "", f->name);
	}
	return 0;
}

static int plan_svm(const struct x86_nested_host *host, const struct x86_nested_words *words,
		    struct x86_nested *out, char **falls)
{
	const struct kvm_cpuid_entry2 *e = x86_cpuid_find(host->cpuid, SVM_LEAF, 0);

	for (size_t i = 0; i < x86_svm_table.count; i++) {
		const struct x86_nested_feature *f = &x86_svm_table.features[i];
		bool there = e && e->edx & BIT(f->bit);

		if (words->want[i] == X86_NESTED_ON && !there)
			return refuse(host, &x86_svm_table, f);
		if (!there || words->want[i] < X86_NESTED_OFF)
			continue;
		out->svm_clear |= BIT(f->bit);
		if (words->want[i] == X86_NESTED_FALLS)
			xappendf(falls, "%s%s", **falls ? ", " : "", f->name);
	}
	out->has_revision = words->has_revision;
	out->revision = words->revision;
	out->has_asids = words->has_asids;
	out->asids = words->asids;
	return 0;
}

/* One of the options, on a host that may have the other's kind, or none. */
static int need_kind(const struct x86_nested_host *host, const char *option, bool has,
		     bool has_other, const char *kind, const char *other)
{
	char why[256];

	if (has)
		return 0;
	if (has_other)
		err("%s: this host's KVM gives guests %s, not %s; use --%s", option, other, kind,
		    other);
	else
		err("%s: this host's KVM gives guests no %s: %s", option, kind,
		    x86_nested_why(host->root, why, sizeof(why)));
	return -EOPNOTSUPP;
}

static int plan_words(const struct vm_config *cfg, const struct x86_nested_host *host,
		      struct x86_nested *out)
{
	bool vmx = x86_nested_has_vmx(host->cpuid), svm = x86_nested_has_svm(host->cpuid);
	struct x86_nested_words words;
	char *falls;
	int ret = 0;

	if (cfg->x86.vmx)
		ret = need_kind(host, "--vmx", vmx, svm, "vmx", "svm");
	if (!ret && cfg->x86.svm)
		ret = need_kind(host, "--svm", svm, vmx, "svm", "vmx");
	if (!ret)
		ret = x86_nested_parse(&x86_vmx_table, "--vmx", cfg->x86.vmx, &out->vmx);
	if (!ret)
		ret = x86_nested_parse(&x86_svm_table, "--svm", cfg->x86.svm, &words);
	if (ret)
		return ret;
	falls = xstrdup("");
	ret = cfg->x86.vmx ? plan_vmx(host, out, &falls) : 0;
	if (!ret && cfg->x86.svm)
		ret = plan_svm(host, &words, out, &falls);
	if (!ret && *falls)
		info("%s: the guest is without %s too, which need what is switched off",
		     cfg->x86.vmx ? "--vmx" : "--svm", falls);
	free(falls);
	return ret;
}

int x86_nested_plan(const struct vm_config *cfg, const struct x86_nested_host *host,
		    struct x86_nested *out)
{
	bool any = x86_nested_has_vmx(host->cpuid) || x86_nested_has_svm(host->cpuid);
	char why[256];

	memset(out, 0, sizeof(*out));
	out->off = cfg->x86.nested == X86_NESTED_SWITCH_OFF;
	if (cfg->x86.nested == X86_NESTED_SWITCH_ON && !any) {
		err("--nested on: this host's KVM gives guests neither vmx nor svm: %s",
		    x86_nested_why(host->root, why, sizeof(why)));
		return -EOPNOTSUPP;
	}
	return plan_words(cfg, host, out);
}

static void edit_svm(struct kvm_cpuid_entry2 *leaf, const struct x86_nested *nested)
{
	leaf->edx &= ~nested->svm_clear;
	if (nested->has_revision)
		leaf->eax = (leaf->eax & ~SVM_REVISION_MASK) | nested->revision;
	if (nested->has_asids)
		leaf->ebx = nested->asids;
}

/* What KVM has may have been taken away on the way here. */
static int check_kind(const struct vm_config *cfg, struct kvm_cpuid2 *cpuid)
{
	bool vmx = x86_nested_has_vmx(cpuid), svm = x86_nested_has_svm(cpuid);
	const char *option = cfg->x86.nested == X86_NESTED_SWITCH_ON && !vmx && !svm ? "--nested on"
			     : cfg->x86.vmx && !vmx				     ? "--vmx"
			     : cfg->x86.svm && !svm				     ? "--svm"
										     : NULL;

	if (!option)
		return 0;
	err("%s: the guest's CPU is to have neither vmx nor svm by another option; omit one of "
	    "them",
	    option);
	return -EINVAL;
}

int x86_nested_cpuid(const struct vm_config *cfg, struct kvm_cpuid2 *cpuid,
		     const struct x86_nested *nested)
{
	struct kvm_cpuid_entry2 *leaf1 = x86_cpuid_find(cpuid, 1, 0);
	struct kvm_cpuid_entry2 *amd = x86_cpuid_find(cpuid, 0x80000001, 0);
	struct kvm_cpuid_entry2 *svm = x86_cpuid_find(cpuid, SVM_LEAF, 0);

	if (!nested)
		return 0;
	if (!nested->off) {
		if (svm)
			edit_svm(svm, nested);
		return check_kind(cfg, cpuid);
	}
	if (leaf1)
		leaf1->ecx &= ~LEAF1_ECX_VMX;
	if (amd)
		amd->ecx &= ~AMD_ECX_SVM;
	if (svm)
		svm->eax = svm->ebx = svm->ecx = svm->edx = 0;
	return 0;
}
