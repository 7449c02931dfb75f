/* SPDX-License-Identifier: MIT */
/* For fake_host.h: what x86's KVM would say. */
struct fake_arch {
	unsigned long vm_type; /* of the last KVM_CREATE_VM */
	int tsc_khz;
	s64 sev_attr[3]; /* -1: not there */
	struct kvm_cpuid_entry2 cpuid[8];
	u32 nr_cpuid;
	u64 vmx_msr;
};
