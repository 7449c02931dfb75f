/* SPDX-License-Identifier: MIT */
/* riscv64's part of `lkvm host`. */
#include <stdio.h>

#include "lkvm/json.h"
#include "lkvm/probe.h"

const char *probe_arch_why_no_kvm(const struct probe *h, char *buf, size_t len)
{
	snprintf(buf, len, "the CPUs have no H extension, or the kernel has no CONFIG_KVM");
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

void probe_arch_rows(struct probe *h) {}

void probe_arch_put_cpu(const struct probe *h, u32 i, struct json_out *out) {}

u32 probe_arch_nr_cpu(void)
{
	return 0;
}
