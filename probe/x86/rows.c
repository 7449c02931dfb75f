/* SPDX-License-Identifier: MIT */
/*
 * x86's part of `lkvm host`: which KVM module is in use, the TSC, nested virtualization, and the
 * reasons that lie in this architecture.
 */
#include "arch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/kvm.h"
#include "lkvm/probe.h"
#include "lkvm/util.h"

u64 probe_arch_vm_type(const struct probe *h)
{
	return 0;
}

const char *probe_arch_why_no_kvm(const struct probe *h, char *buf, size_t len)
{
	bool amd = x86_probe_cpu_flag(h, "svm");

	if (!amd && !x86_probe_cpu_flag(h, "vmx"))
		snprintf(buf, len,
			 "the CPU shows neither vmx nor svm: switch virtualization on in the "
			 "firmware; in a VM, nested virtualization in the hypervisor below");
	else if (amd)
		probe_module_why(h, "kvm_amd", "CONFIG_KVM_AMD", buf, len);
	else
		probe_module_why(h, "kvm_intel", "CONFIG_KVM_INTEL", buf, len);
	return buf;
}

const char *probe_arch_why_no_iommu(const struct probe *h, char *buf, size_t len)
{
	bool amd = x86_probe_is_amd(h);
	const char *off = amd ? "amd_iommu=off" : "intel_iommu=off";

	if (probe_file_has_word(h, "/proc/cmdline", NULL, off) ||
	    probe_file_has_word(h, "/proc/cmdline", NULL, "iommu=off"))
		snprintf(buf, len, "the kernel was booted with it off: remove %s", off);
	else if (amd)
		snprintf(buf, len, "switch AMD-Vi (IOMMU) on in the firmware (CONFIG_AMD_IOMMU)");
	else
		snprintf(buf, len,
			 "boot the kernel with intel_iommu=on, and switch VT-d on in the firmware "
			 "(CONFIG_INTEL_IOMMU)");
	return buf;
}

/* The alphabetically first name in @path that begins with @prefix (a directory has no order). */
static void least_name(const struct probe *h, const char *path, const char *prefix, char *name,
		       size_t len)
{
	char *full = xasprintf("%s%s", h->sys->root, path);
	DIR *dir = opendir(full);
	const struct dirent *e;

	free(full);
	if (!dir)
		return;
	while ((e = readdir(dir))) {
		if (e->d_name[0] != '.' && !strncmp(e->d_name, prefix, strlen(prefix)) &&
		    (!*name || strcmp(e->d_name, name) < 0))
			snprintf(name, len, "%s", e->d_name);
	}
	closedir(dir);
}

/* The module besides kvm itself: its holder; where that is built in, what has parameters. */
static void module_row(struct probe *h)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_KVM, "module", "which KVM is in use");
	char name[256] = "";

	least_name(h, "/sys/module/kvm/holders", "kvm", name, sizeof(name));
	if (!*name)
		least_name(h, "/sys/module", "kvm_", name, sizeof(name));
	if (*name)
		probe_text(row, "%s", name);
	else if (h->usable)
		probe_unknown(row, "KVM works, but /sys/module names no module of it");
	else
		probe_no(row, "neither kvm_intel nor kvm_amd is loaded");
}

static void cpu_model_row(struct probe *h)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_HOST, "cpu", NULL);
	char *path = xasprintf("%s/proc/cpuinfo", h->sys->root);
	FILE *f = fopen(path, "re");
	char line[256];

	free(path);
	probe_unknown(row, "/proc/cpuinfo does not say");
	while (f && fgets(line, sizeof(line), f)) {
		const char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) != 0 || !colon)
			continue;
		colon += 1 + strspn(colon + 1, " \t");
		probe_text(row, "%.*s", (int)strcspn(colon, "\n"), colon);
		break;
	}
	if (f)
		fclose(f);
}

/* The default frequency of a VM's TSC, which is the host's. The argument of the ioctl is unused. */
static void tsc_row(struct probe *h)
{
	struct probe_row *row =
		probe_row(h, PROBE_SEC_TIME, "tsc-khz", "frequency of a guest's TSC");
	int khz;

	if (h->vm_fd < 0) {
		probe_unasked(row);
		return;
	}
	khz = h->sys->ioctl(h->sys->opaque, h->vm_fd, KVM_GET_TSC_KHZ, 0);
	if (khz > 0)
		probe_number(row, (u64)khz);
	else if (!probe_check_vm(h, KVM_CAP_GET_TSC_KHZ))
		probe_unknown(row, "the host's TSC is not stable");
	else
		probe_unknown(row, "Linux before 5.19 reports it only for a vcpu");
}

static const char *const nested_modules[] = { "kvm_intel", "kvm_amd" };

static void nested_missing(const struct probe *h, struct probe_row *row)
{
	char path[128];

	for (size_t i = 0; i < ARRAY_SIZE(nested_modules); i++) {
		const char *name = nested_modules[i];
		int on = probe_module_param(h, name, "nested", path, sizeof(path));

		if (on == 0) {
			probe_no(row,
				 "module parameter %s.nested is off (%s): modprobe -r %s, then "
				 "modprobe %s nested=1",
				 name, path, name, name);
			return;
		}
		if (on == 1) {
			probe_no(row, "%s.nested is on, yet KVM does not offer it: an old CPU?",
				 name);
			return;
		}
	}
	probe_no(row, "the KVM in use is neither kvm_intel nor kvm_amd, and has none");
}

/* Feature MSRs of nested VMX: bit 32 + n of the control says that n may be 1 (Intel SDM, A.3.3). */
#define MSR_IA32_VMX_PROCBASED_CTLS2 0x48bU
static const struct {
	const char *name;
	u32 bit;
} vmx_secondary[] = {
	{ "vmx-ept", 1 },
	{ "vmx-vpid", 5 },
	{ "vmx-apicv-register", 8 },
	{ "vmx-unrestricted-guest", 7 },
	{ "vmx-apicv-vid", 9 },
	{ "vmx-shadow-vmcs", 14 },
	{ "vmx-pml", 17 },
	{ "vmx-xsaves", 20 },
	{ "vmx-mbec", 22 },
	{ "vmx-tsc-scaling", 25 },
};

static bool feature_msr(const struct probe *h, u32 index, u64 *value)
{
	struct kvm_msrs *msrs = xcalloc(1, sizeof(*msrs) + sizeof(msrs->entries[0]));
	bool ok;

	msrs->nmsrs = 1;
	msrs->entries[0].index = index;
	ok = probe_check_sys(h, KVM_CAP_GET_MSR_FEATURES) &&
	     h->sys->ioctl(h->sys->opaque, h->kvm_fd, KVM_GET_MSRS, (unsigned long)msrs) == 1;
	if (ok)
		*value = msrs->entries[0].data;
	free(msrs);
	return ok;
}

static void vmx_feature_rows(struct probe *h, bool vmx)
{
	u64 controls = 0;
	bool known = vmx && feature_msr(h, MSR_IA32_VMX_PROCBASED_CTLS2, &controls);

	for (size_t i = 0; i < ARRAY_SIZE(vmx_secondary); i++) {
		struct probe_row *row = probe_row(h, PROBE_SEC_NESTED, vmx_secondary[i].name, NULL);

		row->feature = true;
		if (h->kvm_fd < 0)
			probe_unasked(row);
		else if (!vmx)
			probe_no(row, "no nested VMX");
		else if (!known)
			probe_unknown(row, "KVM does not report the MSRs of nested VMX");
		else if (controls & BIT_ULL(32 + vmx_secondary[i].bit))
			probe_yes(row);
		else
			probe_no(row, "KVM does not offer it to nested hypervisors");
	}
}

/* Leaf 0x8000000a, EDX: what nested SVM has (AMD APM volume 3, E.4.9). */
static const struct x86_cpu_prop svm_props[] = {
	{ "npt", 0x8000000a, 0, 3, 0, 1 },
	{ "lbrv", 0x8000000a, 0, 3, 1, 1 },
	{ "nrip-save", 0x8000000a, 0, 3, 3, 1 },
	{ "tsc-scale", 0x8000000a, 0, 3, 4, 1 },
	{ "vmcb-clean", 0x8000000a, 0, 3, 5, 1 },
	{ "flushbyasid", 0x8000000a, 0, 3, 6, 1 },
	{ "decodeassists", 0x8000000a, 0, 3, 7, 1 },
	{ "pause-filter", 0x8000000a, 0, 3, 10, 1 },
	{ "pfthreshold", 0x8000000a, 0, 3, 12, 1 },
	{ "avic", 0x8000000a, 0, 3, 13, 1 },
	{ "v-vmsave-vmload", 0x8000000a, 0, 3, 15, 1 },
	{ "vgif", 0x8000000a, 0, 3, 16, 1 },
	{ "gmet", 0x8000000a, 0, 3, 17, 1 },
	{ "vnmi", 0x8000000a, 0, 3, 25, 1 },
};

static void svm_feature_rows(struct probe *h, const struct kvm_cpuid2 *supported, bool svm)
{
	for (size_t i = 0; i < ARRAY_SIZE(svm_props); i++) {
		struct probe_row *row = probe_row(h, PROBE_SEC_NESTED, svm_props[i].name, NULL);

		row->feature = true;
		if (!supported)
			probe_unasked(row);
		else if (!svm)
			probe_no(row, "no nested SVM");
		else if (x86_cpu_prop_value(supported, &svm_props[i]))
			probe_yes(row);
		else
			probe_no(row, "KVM does not offer it to nested hypervisors");
	}
}

static void nested_rows(struct probe *h, const struct kvm_cpuid2 *supported)
{
	static const struct x86_cpu_prop vmx = { "vmx", 1, 0, 2, 5, 1 };
	static const struct x86_cpu_prop svm = { "svm", 0x80000001, 0, 2, 2, 1 };
	struct probe_row *row =
		probe_row(h, PROBE_SEC_NESTED, "nested", "guests that run hypervisors themselves");
	bool has_vmx = supported && x86_cpu_prop_value(supported, &vmx);
	bool has_svm = supported && x86_cpu_prop_value(supported, &svm);

	if (!supported)
		probe_unasked(row);
	else if (has_vmx || has_svm)
		probe_text(row, "%s", has_vmx ? "vmx" : "svm");
	else
		nested_missing(h, row);
	vmx_feature_rows(h, has_vmx);
	svm_feature_rows(h, supported, has_svm);
}

void probe_arch_rows(struct probe *h)
{
	struct kvm_cpuid2 *supported = x86_probe_supported(h), *hardware = x86_probe_hardware();

	cpu_model_row(h);
	module_row(h);
	tsc_row(h);
	x86_probe_cpu_rows(h, supported, hardware);
	nested_rows(h, supported);
	x86_probe_caps(h);
	x86_probe_coco_rows(h);
	free(supported);
	free(hardware);
}
