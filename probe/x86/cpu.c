/* SPDX-License-Identifier: MIT */
/* The CPU that KVM gives to guests, by the properties of x86/cpu-props.c. */
#include <string.h>

#include "../../x86/cpu.h"
#include "../../x86/platform.h"
#include "arch.h"
#include "lkvm/kvm.h"
#include "lkvm/probe.h"
#include "lkvm/util.h"

static int get_supported(void *opaque, struct kvm_cpuid2 *cpuid)
{
	const struct probe *h = opaque;

	return h->sys->ioctl(h->sys->opaque, h->kvm_fd, KVM_GET_SUPPORTED_CPUID,
			     (unsigned long)cpuid);
}

struct kvm_cpuid2 *x86_probe_supported(const struct probe *h)
{
	struct kvm_cpuid2 *cpuid = NULL;

	if (h->kvm_fd < 0 || x86_cpuid_supported(get_supported, (void *)h, &cpuid))
		return NULL;
	return cpuid;
}

static void flag_row(const struct probe *h, struct probe_row *row, const struct x86_cpu_prop *p,
		     const struct kvm_cpuid2 *supported, const struct kvm_cpuid2 *hardware)
{
	/* KVM leaves this bit to who makes the local APIC, and tells it by a capability. */
	bool there = !strcmp(p->name, "tsc-deadline")
			     ? probe_check_vm(h, KVM_CAP_TSC_DEADLINE_TIMER) ||
				       probe_check_sys(h, KVM_CAP_TSC_DEADLINE_TIMER)
			     : (p->flags & X86_PROP_LKVMS) || x86_cpu_prop_get(supported, p);

	row->feature = true;
	if (there) {
		probe_yes(row);
		return;
	}
	probe_no(row, "%s", x86_cpu_missing(p, hardware));
	row->withheld = !x86_cpu_prop_is_kvms(p) && x86_cpu_prop_get(hardware, p);
}

static void text_row(struct probe_row *row, const struct x86_cpu_prop *p,
		     const struct kvm_cpuid2 *supported)
{
	char text[X86_CPU_TEXT_MAX + 1];

	x86_cpu_prop_text(supported, p, text);
	if (*text)
		probe_text(row, "%s", text);
	else
		probe_no(row, "KVM reports none");
}

static void value_row(struct probe_row *row, const struct x86_cpu_prop *p,
		      const struct kvm_cpuid2 *supported)
{
	u64 value = x86_cpu_prop_get(supported, p);

	row->hex = p->flags & X86_PROP_HEX;
	/* Family, model and stepping may well be 0. */
	if (value || p->leaf == 1)
		probe_number(row, value);
	else
		probe_no(row, "KVM reports none");
}

void x86_probe_cpu_rows(struct probe *h, const struct kvm_cpuid2 *supported,
			const struct kvm_cpuid2 *hardware)
{
	for (size_t i = 0; i < x86_nr_cpu_props; i++) {
		const struct x86_cpu_prop *p = &x86_cpu_props[i];
		struct probe_row *row;

		if (p->type == X86_PROP_TOPOLOGY)
			continue; /* as it is asked for, on any host */
		row = probe_row(h, PROBE_SEC_CPU, p->name, NULL);
		if (!supported) {
			probe_unasked(row);
			row->feature = p->type == X86_PROP_FLAG;
		} else if (p->type == X86_PROP_FLAG) {
			flag_row(h, row, p, supported, hardware);
		} else if (p->type == X86_PROP_TEXT) {
			text_row(row, p, supported);
		} else {
			value_row(row, p, supported);
		}
	}
}

void x86_probe_keep_default(struct probe *h, const struct kvm_cpuid2 *supported)
{
	const struct x86_cpuid_params p = {
		.topology = { 1, 1, 1, 1 },
		.tsc_khz = 1, /* known, whatever it is */
		.tsc_deadline = probe_check_sys(h, KVM_CAP_TSC_DEADLINE_TIMER),
		.msi_ext_dest = probe_check_sys(h, KVM_CAP_X2APIC_API),
	};
	struct kvm_cpuid2 *guest;

	if (supported && !x86_cpuid_build(supported, &p, &guest))
		h->cpu = guest;
}

bool x86_probe_cpu_flag(const struct probe *h, const char *flag)
{
	return probe_file_has_word(h, "/proc/cpuinfo", "flags", flag);
}

bool x86_probe_is_amd(const struct probe *h)
{
	return probe_file_has_word(h, "/proc/cpuinfo", "vendor_id", "AuthenticAMD") ||
	       probe_file_has_word(h, "/proc/cpuinfo", "vendor_id", "HygonGenuine");
}
