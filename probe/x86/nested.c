/* SPDX-License-Identifier: MIT */
/*
 * Nested virtualization in `lkvm host`: a row for each feature that --vmx and --svm name, of KVM's
 * feature MSRs (Linux Documentation/virt/kvm/api.rst, KVM_GET_MSRS) and of leaf 0x8000000a.
 */
#include <stdlib.h>

#include "../../x86/nested.h"
#include "../../x86/platform.h"
#include "arch.h"
#include "lkvm/kvm.h"
#include "lkvm/probe.h"
#include "lkvm/util.h"

#define SVM_LEAF 0x8000000aU

static bool feature_msr(const struct probe *h, u32 index, u64 *value)
{
	struct kvm_msrs *msrs = xcalloc(1, sizeof(*msrs) + sizeof(msrs->entries[0]));
	bool ok;

	msrs->nmsrs = 1;
	msrs->entries[0].index = index;
	ok = h->sys->ioctl(h->sys->opaque, h->kvm_fd, KVM_GET_MSRS, (unsigned long)msrs) == 1;
	if (ok)
		*value = msrs->entries[0].data;
	free(msrs);
	return ok;
}

static struct probe_row *feature_row(struct probe *h, const struct x86_nested_table *table,
				     const struct x86_nested_feature *f)
{
	char *name = xasprintf("%s%s", table->prefix, f->name);
	struct probe_row *row = probe_row(h, PROBE_SEC_NESTED, name, f->text);

	free(name);
	row->feature = true;
	return row;
}

static void answer(const struct probe *h, struct probe_row *row,
		   const struct x86_nested_table *table, const struct x86_nested_feature *f,
		   bool there)
{
	char why[192];

	if (there)
		probe_yes(row);
	else
		probe_no(row, "%s",
			 x86_nested_feature_why(h->sys->root, table, f, why, sizeof(why)));
}

static void vmx_rows(struct probe *h, bool vmx)
{
	bool told = h->kvm_fd >= 0 && probe_check_sys(h, KVM_CAP_GET_MSR_FEATURES);

	for (size_t i = 0; i < x86_vmx_table.count; i++) {
		const struct x86_nested_feature *f = &x86_vmx_table.features[i];
		struct probe_row *row = feature_row(h, &x86_vmx_table, f);
		u64 value = 0;

		if (h->kvm_fd < 0)
			probe_unasked(row);
		else if (!vmx)
			probe_no(row, "no nested VMX");
		else if (!told)
			probe_unknown(row, "KVM does not report the MSRs of nested VMX");
		else
			answer(h, row, &x86_vmx_table, f,
			       feature_msr(h, f->msr, &value) && x86_vmx_has(f, value));
	}
}

static void svm_rows(struct probe *h, struct kvm_cpuid2 *supported, bool svm)
{
	const struct kvm_cpuid_entry2 *leaf =
		supported ? x86_cpuid_find(supported, SVM_LEAF, 0) : NULL;
	struct probe_row *asids;

	for (size_t i = 0; i < x86_svm_table.count; i++) {
		const struct x86_nested_feature *f = &x86_svm_table.features[i];
		struct probe_row *row = feature_row(h, &x86_svm_table, f);

		if (!supported)
			probe_unasked(row);
		else if (!svm)
			probe_no(row, "no nested SVM");
		else
			answer(h, row, &x86_svm_table, f, leaf && leaf->edx & BIT(f->bit));
	}
	asids = probe_row(h, PROBE_SEC_NESTED, "svm-asids", "address space identifiers of SVM");
	if (!supported)
		probe_unasked(asids);
	else if (svm && leaf)
		probe_number(asids, leaf->ebx);
	else
		probe_no(asids, "no nested SVM");
}

void x86_probe_nested_rows(struct probe *h, struct kvm_cpuid2 *supported)
{
	struct probe_row *row =
		probe_row(h, PROBE_SEC_NESTED, "nested", "guests that run hypervisors themselves");
	bool vmx = supported && x86_nested_has_vmx(supported);
	bool svm = supported && x86_nested_has_svm(supported);
	char why[256];

	if (!supported)
		probe_unasked(row);
	else if (vmx || svm)
		probe_text(row, "%s", vmx ? "vmx" : "svm");
	else
		probe_no(row, "%s", x86_nested_why(h->sys->root, why, sizeof(why)));
	vmx_rows(h, vmx);
	svm_rows(h, supported, svm);
}
