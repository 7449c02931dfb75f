/* SPDX-License-Identifier: MIT */
/*
 * arm64's part of `lkvm host`: the CPU's maker, interrupt controllers, nested virtualization,
 * confidential guests, and the reasons that lie in this architecture.
 */
#include "arch.h"

#include <stdio.h>

#include "../../arm/arm.h"
#include "../../arm/realm.h"
#include "lkvm/arch.h"
#include "lkvm/kvm.h"
#include "lkvm/probe.h"

#define CMDLINE "/proc/cmdline"

/* Linux 7.3, include/uapi/linux/kvm.h. */
#define DEV_TYPE_VGIC_V5 16U
/* A patch of 2025 for GICv4 per VM; no release has it, see probe_gicv4. */
#define VGIC_CONFIG_GICV4      5U
#define VGIC_GICV4_UNAVAILABLE 0U

static bool booted_with(const struct probe *h, const char *word)
{
	return probe_file_has_word(h, CMDLINE, NULL, word);
}

const char *probe_arch_why_no_kvm(const struct probe *h, char *buf, size_t len)
{
	if (booted_with(h, "kvm-arm.mode=none"))
		snprintf(buf, len,
			 "the kernel was booted with kvm-arm.mode=none: remove that parameter");
	else
		snprintf(buf, len,
			 "the kernel was not started at EL2, or has no CONFIG_KVM; in a VM: "
			 "nested virtualization must be on in the hypervisor below");
	return buf;
}

const char *probe_arch_why_no_iommu(const struct probe *h, char *buf, size_t len)
{
	snprintf(buf, len,
		 "the firmware describes no SMMU, or the kernel does not drive it "
		 "(CONFIG_ARM_SMMU, CONFIG_ARM_SMMU_V3)");
	return buf;
}

u64 probe_arch_vm_type(const struct probe *h)
{
	/* 0 stands for 40 bits, which not all CPUs have. */
	int bits = probe_check_sys(h, KVM_CAP_ARM_VM_IPA_SIZE);

	return bits > 0 && bits < 40 ? (u64)bits : 0;
}

static void cpu_model_row(struct probe *h)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_HOST, "cpu", NULL);
	char maker[32], part[32];

	if (probe_cpuinfo(h, "CPU implementer", maker, sizeof(maker)) &&
	    probe_cpuinfo(h, "CPU part", part, sizeof(part)))
		probe_text(row, "implementer %s, part %s", maker, part);
	else
		probe_unknown(row, "/proc/cpuinfo does not say");
}

/* Can KVM make a device of @type? Nothing is made. */
static int try_device(const struct probe *h, u32 type)
{
	struct kvm_create_device dev = { .type = type, .flags = KVM_CREATE_DEVICE_TEST };

	return h->sys->ioctl(h->sys->opaque, h->vm_fd, KVM_CREATE_DEVICE, (unsigned long)&dev);
}

static void gic_rows(struct probe *h)
{
	static const struct {
		const char *name;
		u32 type;
		const char *brings, *missing;
	} chips[] = {
		{ "gicv2", KVM_DEV_TYPE_ARM_VGIC_V2, "--irqchip gicv2 and gicv2m",
		  "the host's interrupt controller is not a GICv2 and cannot act as one" },
		{ "gicv3", KVM_DEV_TYPE_ARM_VGIC_V3, "--irqchip gicv3; more than 8 vcpus",
		  "the host's interrupt controller is not a GICv3" },
		{ "gicv3-its", KVM_DEV_TYPE_ARM_VGIC_ITS,
		  "--irqchip gicv3-its: messages as interrupts",
		  "needs a GICv3; KVM makes the ITS itself" },
		{ "gicv5", DEV_TYPE_VGIC_V5, "the interrupt controller after GICv3",
		  "the host's interrupt controller is not a GICv5, or its kernel is older than "
		  "7.1" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(chips); i++) {
		struct probe_row *row =
			probe_row(h, PROBE_SEC_INTERRUPTS, chips[i].name, chips[i].brings);

		if (h->vm_fd < 0)
			probe_unasked(row);
		else if (try_device(h, chips[i].type) < 0)
			probe_no(row, "%s", chips[i].missing);
		else
			probe_yes(row);
	}
}

/* Only a GICv3 may be asked: with GICv5 the number of the attribute is another one's. */
static int gicv4_attribute(const struct probe *h, u8 *value)
{
	struct kvm_create_device dev = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	const struct kvm_device_attr attr = {
		.group = KVM_DEV_ARM_VGIC_GRP_CTRL,
		.attr = VGIC_CONFIG_GICV4,
		.addr = (u64)(uintptr_t)value,
	};
	int ret = h->sys->ioctl(h->sys->opaque, h->vm_fd, KVM_CREATE_DEVICE, (unsigned long)&dev);

	if (ret < 0)
		return ret;
	ret = h->sys->ioctl(h->sys->opaque, (int)dev.fd, KVM_GET_DEVICE_ATTR, (unsigned long)&attr);
	h->sys->close(h->sys->opaque, (int)dev.fd);
	return ret;
}

static void gicv4_row(struct probe *h)
{
	struct probe_row *row =
		probe_row(h, PROBE_SEC_INTERRUPTS, "gicv4",
			  "interrupts of passed-through devices reach the guest without an exit");
	bool asked = booted_with(h, "kvm-arm.vgic_v4_enable=1") ||
		     booted_with(h, "kvm-arm.vgic_v4_enable=Y");
	u8 value = VGIC_GICV4_UNAVAILABLE;

	if (h->vm_fd < 0)
		probe_unasked(row);
	else if (try_device(h, KVM_DEV_TYPE_ARM_VGIC_V3) < 0)
		probe_no(row, "needs a GICv3 with GICv4's extensions");
	else if (!asked)
		probe_no(row, "boot the kernel with kvm-arm.vgic_v4_enable=1, on a GICv4");
	else if (gicv4_attribute(h, &value) < 0)
		probe_unknown(row, "the kernel was booted with kvm-arm.vgic_v4_enable=1; whether "
				   "the controller is a GICv4, its log says");
	else if (value == VGIC_GICV4_UNAVAILABLE)
		probe_no(row, "the host's interrupt controller is not a GICv4");
	else
		probe_yes(row);
}

/* Linux Documentation/admin-guide/kernel-parameters.txt, kvm-arm.mode. */
static void why_no_nested(const struct probe *h, struct probe_row *row)
{
	char why[256];

	if (probe_too_old(h, "6.16", why, sizeof(why)))
		probe_no(row, "%s", why);
	else if (!booted_with(h, "kvm-arm.mode=nested"))
		probe_no(row, "boot the kernel with kvm-arm.mode=nested; the CPUs need FEAT_NV2");
	else if (try_device(h, KVM_DEV_TYPE_ARM_VGIC_V3) < 0)
		probe_no(row, "the kernel was booted for it; it needs a GICv3, too");
	else
		probe_no(row,
			 "the kernel was booted for it, but the CPUs have no FEAT_NV2 (Armv8.4; "
			 "the kernel's log says)");
}

static void nested_rows(struct probe *h)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_NESTED, "nested",
					  "guests that run hypervisors themselves: --nested");
	bool nested = probe_check_vm(h, KVM_CAP_ARM_EL2);

	row->cap = KVM_CAP_ARM_EL2;
	row->since = "6.16";
	if (h->vm_fd < 0)
		probe_unasked(row);
	else if (nested)
		probe_yes(row);
	else
		why_no_nested(h, row);
	row = probe_row(h, PROBE_SEC_NESTED, "e2h0",
			"the same for hypervisors without VHE: --nested --e2h0");
	row->cap = KVM_CAP_ARM_EL2_E2H0;
	row->since = "6.16";
	if (h->vm_fd < 0)
		probe_unasked(row);
	else if (nested && probe_check_vm(h, KVM_CAP_ARM_EL2_E2H0))
		probe_yes(row);
	else
		probe_no(row, nested ? "these CPUs cannot virtualize EL2 without VHE"
				     : "needs nested virtualization");
}

/* A realm needs one bit more than 4 GiB of addresses have. */
#define REALM_IPA_BITS 33U

static void realm_row(struct probe *h)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_CONFIDENTIAL, "cca",
					  "realms: the same, by the firmware (RME): --realm");
	const struct arm_realm_host host = {
		.opaque = h->sys->opaque,
		.root = h->sys->root,
		.ioctl = h->sys->ioctl,
		.close = h->sys->close,
	};
	const struct realm_config any = { 0 };
	struct arm_realm_found found;
	int ret;

	if (h->vm_fd < 0) {
		probe_unasked(row);
		return;
	}
	ret = arm_realm_detect(&host, h->kvm_fd, &any, REALM_IPA_BITS, &found);
	if (ret == -ENOSYS && booted_with(h, "kvm-arm.mode=nvhe"))
		probe_no(row, "boot the kernel without kvm-arm.mode=nvhe: realms need VHE, and "
			      "patches that no Linux up to 7.3 has");
	else if (ret == -ENOSYS || ret == -EPERM || ret == -EPROTO || ret == -ENODATA)
		probe_no(row, "%s", arm_realm_why_not(ret));
	else if (ret)
		probe_unknown(row, "KVM_CREATE_VM: %s", strerror(-ret));
	else
		probe_text(row, "%s, capability %u", arm_realm_abi_name(found.abi), found.cap);
	if (!ret)
		probe_note(row, "hashes, planes and vectors are the RMM's, which tells nobody");
}

static void confidential_rows(struct probe *h)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_CONFIDENTIAL, "pkvm",
					  "guests whose memory the host cannot read: --protected");
	char why[256];

	row->since = "7.1";
	if (probe_too_old(h, row->since, why, sizeof(why)))
		probe_no(row, "%s", why);
	else if (!booted_with(h, "kvm-arm.mode=protected"))
		probe_no(row, "boot the kernel with kvm-arm.mode=protected");
	else if (h->vm_fd < 0)
		probe_unasked(row);
	else
		probe_yes(row);
	realm_row(h);
}

/* Hypercalls that lkvm answers: an attribute of the VM. */
static void smccc_row(struct probe *h)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_EXECUTION, "smccc-filter",
					  "lkvm answers the guest's power calls: --psci user");
	const struct kvm_device_attr attr = {
		.group = KVM_ARM_VM_SMCCC_CTRL,
		.attr = KVM_ARM_VM_SMCCC_FILTER,
	};
	char why[256];

	row->since = "6.4";
	if (h->vm_fd < 0)
		probe_unasked(row);
	else if (h->sys->ioctl(h->sys->opaque, h->vm_fd, KVM_HAS_DEVICE_ATTR,
			       (unsigned long)&attr) >= 0)
		probe_yes(row);
	else if (probe_too_old(h, row->since, why, sizeof(why)))
		probe_no(row, "%s", why);
	else
		probe_no(row, "this KVM does not offer it");
}

void probe_arch_rows(struct probe *h)
{
	cpu_model_row(h);
	gic_rows(h);
	gicv4_row(h);
	arm_probe_cpu_rows(h);
	nested_rows(h);
	arm_probe_caps(h);
	smccc_row(h);
	confidential_rows(h);
}
