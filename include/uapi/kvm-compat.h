/* SPDX-License-Identifier: MIT */
/*
 * What <linux/kvm.h> of older distributions lacks (Debian 12 has Linux 6.1's). Each item stands
 * behind #ifndef and names the release that brought it; numbers and layouts are those of
 * Linux 7.3's include/uapi/linux/kvm.h.
 */
#ifndef LKVM_UAPI_KVM_COMPAT_H
#define LKVM_UAPI_KVM_COMPAT_H

#include <linux/kvm.h>

/* Linux 6.8: guest memory faults are reported to the VMM. */
#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT 39
#endif

/* The union of struct kvm_run as KVM_EXIT_MEMORY_FAULT fills it; older headers lack the member. */
struct lkvm_exit_memory_fault {
	__u64 flags;
	__u64 gpa;
	__u64 size;
};

/* Linux 6.2 to 6.18: capabilities, in the order of their numbers. */
#ifndef KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP /* 6.2 */
#define KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP 225
#endif
#ifndef KVM_CAP_PMU_EVENT_MASKED_EVENTS /* 6.3 */
#define KVM_CAP_PMU_EVENT_MASKED_EVENTS 226
#endif
#ifndef KVM_CAP_USER_MEMORY2 /* 6.8, this and the next four */
#define KVM_CAP_USER_MEMORY2 231
#endif
#ifndef KVM_CAP_MEMORY_FAULT_INFO
#define KVM_CAP_MEMORY_FAULT_INFO 232
#endif
#ifndef KVM_CAP_MEMORY_ATTRIBUTES
#define KVM_CAP_MEMORY_ATTRIBUTES 233
#endif
#ifndef KVM_CAP_GUEST_MEMFD
#define KVM_CAP_GUEST_MEMFD 234
#endif
#ifndef KVM_CAP_VM_TYPES
#define KVM_CAP_VM_TYPES 235
#endif
#ifndef KVM_CAP_PRE_FAULT_MEMORY /* 6.11, this and the next two */
#define KVM_CAP_PRE_FAULT_MEMORY 236
#endif
#ifndef KVM_CAP_X86_APIC_BUS_CYCLES_NS
#define KVM_CAP_X86_APIC_BUS_CYCLES_NS 237
#endif
#ifndef KVM_CAP_X86_GUEST_MODE
#define KVM_CAP_X86_GUEST_MODE 238
#endif
#ifndef KVM_CAP_GUEST_MEMFD_FLAGS /* 6.18 */
#define KVM_CAP_GUEST_MEMFD_FLAGS 244
#endif

/* Linux 6.8: guest memory that the VMM need not map. */
#ifndef KVM_CREATE_GUEST_MEMFD
#define KVM_CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)
struct kvm_create_guest_memfd {
	__u64 size;
	__u64 flags;
	__u64 reserved[6];
};
#endif

/* Linux 6.10, attributes of the KVM device: what SEV launches may ask for. */
#ifndef KVM_X86_GRP_SEV
#define KVM_X86_GRP_SEV		  1
#define KVM_X86_SEV_VMSA_FEATURES 0
#endif
#ifndef KVM_X86_SNP_POLICY_BITS /* Linux 7.3's asm/kvm.h has these two */
#define KVM_X86_SNP_POLICY_BITS 1
#endif
#ifndef KVM_X86_SEV_SNP_REQ_CERTS
#define KVM_X86_SEV_SNP_REQ_CERTS 2
#endif

#endif
