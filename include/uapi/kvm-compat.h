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

#endif
