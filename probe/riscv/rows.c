/* SPDX-License-Identifier: MIT */
/*
 * riscv64's part of `lkvm host`: the CPU's maker, addresses, the AIA, and the reasons that lie in
 * this architecture.
 */
#include "arch.h"

#include <stdio.h>

#include "lkvm/kvm.h"
#include "lkvm/probe.h"

/* Is "h" among the letters of "rv64imafdch_zicbom_..."? False, too, where there is no such line. */
static bool cpus_lack_h(const struct probe *h)
{
	char isa[256];
	size_t letters;

	if (!probe_cpuinfo(h, "isa", isa, sizeof(isa)))
		return false;
	letters = strcspn(isa, "_");
	return !memchr(isa, 'h', letters);
}

const char *probe_arch_why_no_kvm(const struct probe *h, char *buf, size_t len)
{
	if (cpus_lack_h(h))
		snprintf(buf, len,
			 "the CPUs have no H extension (/proc/cpuinfo); in a VM: the hypervisor "
			 "below must give it");
	else
		probe_module_why(h, "kvm", "CONFIG_KVM", buf, len);
	return buf;
}

const char *probe_arch_why_no_iommu(const struct probe *h, char *buf, size_t len)
{
	snprintf(buf, len,
		 "the firmware describes no IOMMU, or the kernel does not drive it "
		 "(CONFIG_RISCV_IOMMU)");
	return buf;
}

u64 probe_arch_vm_type(const struct probe *h)
{
	return 0;
}

static void cpu_model_row(struct probe *h)
{
	struct probe_row *row = probe_row(h, PROBE_SEC_HOST, "cpu", NULL);
	char maker[32], arch[32], uarch[64];

	if (probe_cpuinfo(h, "uarch", uarch, sizeof(uarch)))
		probe_text(row, "%s", uarch);
	else if (probe_cpuinfo(h, "mvendorid", maker, sizeof(maker)) &&
		 probe_cpuinfo(h, "marchid", arch, sizeof(arch)))
		probe_text(row, "mvendorid %s, marchid %s", maker, arch);
	else
		probe_unknown(row, "/proc/cpuinfo does not say");
}

/* A capability that is enabled to see whether it can be; no vcpu is there yet. */
static void enable_row(struct probe *h, enum probe_section section, const char *name,
		       const char *brings, const char *since, const struct kvm_enable_cap *cap)
{
	struct probe_row *row = probe_row(h, section, name, brings);
	char why[256];
	int ret;

	row->since = since;
	row->cap = (int)cap->cap;
	if (h->vm_fd < 0) {
		probe_unasked(row);
		return;
	}
	ret = riscv_probe_ioctl(h, h->vm_fd, KVM_ENABLE_CAP, cap);
	if (ret >= 0)
		probe_yes(row);
	else if (probe_too_old(h, since, why, sizeof(why)))
		probe_no(row, "%s", why);
	else
		probe_not_offered(h, row, since);
}

static void vm_rows(struct probe *h)
{
	/* clang-format off */
	static const struct probe_cap caps[] = {
		{ "address-bits", PROBE_SEC_LIMITS, KVM_CAP_VM_GPA_BITS, PROBE_CAP_COUNT, "5.17",
		  .brings = "bits of a guest's physical addresses: how much memory it can have",
		  .missing = "this KVM does not say: guests have 41 bits" },
	};
	/* clang-format on */
	int bits = probe_check_vm(h, KVM_CAP_VM_GPA_BITS);
	/* What it has: nothing changes. */
	const struct kvm_enable_cap fewer = {
		.cap = KVM_CAP_VM_GPA_BITS,
		.args[0] = (u64)bits,
	};
	const struct kvm_enable_cap reset = { .cap = KVM_CAP_RISCV_MP_STATE_RESET };

	probe_caps(h, caps, ARRAY_SIZE(caps));
	enable_row(h, PROBE_SEC_LIMITS, "fewer-address-bits",
		   "fewer page tables to walk for a small guest", "7.2", &fewer);
	enable_row(h, PROBE_SEC_EXECUTION, "mp-state-reset", "a reboot without new vcpus", "6.16",
		   &reset);
}

static int aia_config(const struct probe *h, int fd, u64 attr, u32 *value)
{
	const struct kvm_device_attr a = {
		.group = KVM_DEV_RISCV_AIA_GRP_CONFIG,
		.attr = attr,
		.addr = (u64)(uintptr_t)value,
	};

	return riscv_probe_ioctl(h, fd, KVM_GET_DEVICE_ATTR, &a);
}

/* @ret of KVM_CREATE_DEVICE. */
static void no_aia(const struct probe *h, struct probe_row *row, int ret)
{
	char why[256];

	row->since = "6.5";
	if (h->vm_fd < 0)
		probe_unasked(row);
	else if (probe_too_old(h, row->since, why, sizeof(why)))
		probe_no(row, "%s", why);
	else if (ret == -ENODEV)
		probe_no(row, "the host's CPUs have no Ssaia, or its firmware does not describe "
			      "it: guests have a PLIC, which lkvm emulates");
	else
		probe_unknown(row, "KVM_CREATE_DEVICE: %s", strerror(-ret));
}

/* Unless it is set, the mode is "auto" where the CPUs have guest interrupt files (Linux
 * arch/riscv/kvm/aia_device.c). */
static void aia_rows(struct probe *h)
{
	struct probe_row *aia =
		probe_row(h, PROBE_SEC_INTERRUPTS, "aia",
			  "interrupts and messages without exits to lkvm: --irqchip aia");
	struct probe_row *ids = probe_row(h, PROBE_SEC_INTERRUPTS, "aia-identities",
					  "interrupt identities that each vcpu can tell apart");
	struct probe_row *files =
		probe_row(h, PROBE_SEC_INTERRUPTS, "guest-interrupt-files",
			  "messages reach a running vcpu without an exit: --aia hwaccel");
	struct kvm_create_device dev = { .type = KVM_DEV_TYPE_RISCV_AIA };
	int ret = h->vm_fd < 0 ? -ENODEV : riscv_probe_ioctl(h, h->vm_fd, KVM_CREATE_DEVICE, &dev);
	u32 value = 0;

	if (ret < 0) {
		no_aia(h, aia, ret);
		no_aia(h, ids, ret);
		no_aia(h, files, ret);
		return;
	}
	probe_yes(aia);
	ret = aia_config(h, (int)dev.fd, KVM_DEV_RISCV_AIA_CONFIG_IDS, &value);
	if (ret < 0)
		probe_unknown(ids, "KVM_GET_DEVICE_ATTR: %s", strerror(-ret));
	else
		probe_number(ids, value);
	ret = aia_config(h, (int)dev.fd, KVM_DEV_RISCV_AIA_CONFIG_MODE, &value);
	if (ret < 0)
		probe_unknown(files, "KVM_GET_DEVICE_ATTR: %s", strerror(-ret));
	else if (value == KVM_DEV_RISCV_AIA_MODE_EMUL)
		probe_no(files, "the CPUs' IMSICs have none, or the firmware describes none: KVM "
				"emulates the AIA");
	else
		probe_yes(files);
	h->sys->close(h->sys->opaque, (int)dev.fd);
}

/* The size of the address space is settled by the first vcpu. */
void probe_arch_rows(struct probe *h)
{
	cpu_model_row(h);
	vm_rows(h);
	riscv_probe_cpu_rows(h);
	aia_rows(h);
}
