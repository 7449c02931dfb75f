/* SPDX-License-Identifier: MIT */
/*
 * x86's part of `lkvm host`: which KVM module is in use, the TSC, and the reasons that lie in this
 * architecture.
 */
#include "arch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../x86/cpu.h"
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
	char model[256];

	if (probe_cpuinfo(h, "model name", model, sizeof(model)))
		probe_text(row, "%s", model);
	else
		probe_unknown(row, "/proc/cpuinfo does not say");
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

void probe_arch_rows(struct probe *h)
{
	struct kvm_cpuid2 *supported = x86_probe_supported(h), *hardware = x86_cpu_hardware();

	cpu_model_row(h);
	module_row(h);
	tsc_row(h);
	x86_probe_cpu_rows(h, supported, hardware);
	x86_probe_keep_default(h, supported);
	x86_probe_nested_rows(h, supported);
	x86_probe_caps(h);
	x86_probe_coco_rows(h, hardware);
	free(supported);
	free(hardware);
}
