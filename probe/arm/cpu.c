/* SPDX-License-Identifier: MIT */
/*
 * The CPU that KVM gives to guests: its ID registers, read from a vcpu of the scratch VM, as the
 * features that --cpu can name (Linux Documentation/virt/kvm/api.rst, 4.68, 4.82).
 */
#include <stdio.h>

#include "../../arm/arm.h"
#include "../../arm/cpu.h"
#include "arch.h"
#include "lkvm/kvm.h"
#include "lkvm/probe.h"

/* Arm ARM, D24.5.9: PMCR_EL0.N, the number of event counters. */
#define PMCR_EL0     ARM64_SYS_REG(3, 3, 9, 12, 0)
#define PMCR_N_SHIFT 11
#define PMCR_N_MASK  0x1fU

struct scratch {
	struct arm_id_regs regs;
	u64 vls[KVM_ARM64_SVE_VLS_WORDS];
	u32 counters;
	bool sve, pmu;
	bool masks; /* it is known which bits are writable */
};

static int kvm(const struct probe *h, int fd, unsigned long request, const void *arg)
{
	return h->sys->ioctl(h->sys->opaque, fd, request, (unsigned long)arg);
}

static bool get_reg(const struct probe *h, int fd, u64 id, void *value)
{
	const struct kvm_one_reg reg = { .id = id, .addr = (u64)(uintptr_t)value };

	return kvm(h, fd, KVM_GET_ONE_REG, &reg) >= 0;
}

static int init_vcpu(const struct probe *h, int fd, struct scratch *s)
{
	struct kvm_vcpu_init init = { 0 };
	int ret = kvm(h, h->vm_fd, KVM_ARM_PREFERRED_TARGET, &init);

	if (ret < 0)
		return ret;
	memset(init.features, 0, sizeof(init.features));
	init.features[0] = BIT(KVM_ARM_VCPU_PSCI_0_2);
	s->sve = probe_check_vm(h, KVM_CAP_ARM_SVE);
	s->pmu = probe_check_vm(h, KVM_CAP_ARM_PMU_V3);
	if (s->sve)
		init.features[0] |= BIT(KVM_ARM_VCPU_SVE);
	if (s->pmu)
		init.features[0] |= BIT(KVM_ARM_VCPU_PMU_V3);
	if (probe_check_vm(h, KVM_CAP_ARM_PTRAUTH_ADDRESS) &&
	    probe_check_vm(h, KVM_CAP_ARM_PTRAUTH_GENERIC))
		init.features[0] |=
			BIT(KVM_ARM_VCPU_PTRAUTH_ADDRESS) | BIT(KVM_ARM_VCPU_PTRAUTH_GENERIC);
	return kvm(h, fd, KVM_ARM_VCPU_INIT, &init);
}

static void read_masks(const struct probe *h, struct scratch *s)
{
	u64 masks[KVM_ARM_FEATURE_ID_RANGE_SIZE] = { 0 };
	const struct reg_mask_range range = {
		.addr = (u64)(uintptr_t)masks,
		.range = KVM_ARM_FEATURE_ID_RANGE,
	};

	if (!probe_check_vm(h, KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES) ||
	    kvm(h, h->vm_fd, KVM_ARM_GET_REG_WRITABLE_MASKS, &range) < 0)
		return;
	s->masks = true;
	memcpy(s->regs.writable, masks, sizeof(s->regs.writable));
}

/* 0, or why nothing is known. */
static int read_vcpu(const struct probe *h, struct scratch *s)
{
	const struct kvm_enable_cap mte = { .cap = KVM_CAP_ARM_MTE };
	int fd, ret, feature = KVM_ARM_VCPU_SVE;
	u64 pmcr = 0;

	/* The VM must have it before its first vcpu, whose registers then show it. */
	if (probe_check_vm(h, KVM_CAP_ARM_MTE))
		kvm(h, h->vm_fd, KVM_ENABLE_CAP, &mte);
	fd = h->sys->ioctl(h->sys->opaque, h->vm_fd, KVM_CREATE_VCPU, 0);
	if (fd < 0)
		return fd;
	ret = init_vcpu(h, fd, s);
	if (ret < 0)
		goto out;
	/* Other registers cannot be read before the lengths are final. */
	if (s->sve && (!get_reg(h, fd, KVM_REG_ARM64_SVE_VLS, s->vls) ||
		       kvm(h, fd, KVM_ARM_VCPU_FINALIZE, &feature) < 0))
		s->sve = false;
	if (s->pmu && get_reg(h, fd, PMCR_EL0, &pmcr))
		s->counters = pmcr >> PMCR_N_SHIFT & PMCR_N_MASK;
	for (size_t i = 0; i < arm_nr_cpu_props; i++) {
		const struct arm_cpu_prop *prop = &arm_cpu_props[i];

		if (prop->kind == ARM_PROP_FIELD &&
		    !get_reg(h, fd, arm_id_reg(prop->reg), &s->regs.value[prop->reg]))
			s->regs.value[prop->reg] = 0;
	}
	read_masks(h, s);
	ret = 0;
out:
	h->sys->close(h->sys->opaque, fd);
	return ret;
}

static void feature_row(struct probe *h, const struct arm_cpu_prop *prop, const struct scratch *s,
			int error)
{
	struct probe_row *row;

	/* Two fields of one name: the first tells. */
	if (prop->kind != ARM_PROP_FIELD || probe_find(h, PROBE_SEC_CPU, prop->name))
		return;
	row = probe_row(h, PROBE_SEC_CPU, prop->name, NULL);
	row->feature = true;
	if (!probe_vcpu_answers(h, row, error))
		return;
	if (!arm_prop_present(prop, s->regs.value[prop->reg])) {
		probe_no(row, "not in these CPUs, or KVM does not pass it on");
	} else {
		probe_yes(row);
		if (s->masks && !(s->regs.writable[prop->reg] >> prop->shift & 0xf))
			probe_note(row, "fixed: --cpu cannot remove it");
	}
}

void arm_probe_cpu_rows(struct probe *h)
{
	struct scratch s = { 0 };
	int error = h->vm_fd < 0 ? 0 : read_vcpu(h, &s);
	struct probe_row *row;
	char list[512];

	row = probe_vcpu_row(h, PROBE_SEC_CPU, "sve-lengths", "bits of SVE vectors: --sve-max-vl",
			     s.sve, error, "no SVE");
	if (row)
		probe_text(row, "%s", arm_sve_list(s.vls, list, sizeof(list)));
	row = probe_vcpu_row(h, PROBE_SEC_CPU, "pmu-counters",
			     "event counters, besides the cycle counter", s.pmu, error, "no PMU");
	if (row)
		probe_number(row, s.counters);
	row = probe_row(h, PROBE_SEC_CPU, "sme", "matrices");
	probe_no(row, "no KVM up to Linux 7.3 supports it for guests");
	for (size_t i = 0; i < arm_nr_cpu_props; i++)
		feature_row(h, &arm_cpu_props[i], &s, error);
}
