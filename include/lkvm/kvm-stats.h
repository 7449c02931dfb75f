/* SPDX-License-Identifier: MIT */
/* kvm-stats.c: KVM's own statistics of a VM or a vcpu (Linux Documentation/virt/kvm/api.rst, 4.133
 * KVM_GET_STATS_FD). */
#ifndef LKVM_KVM_STATS_H
#define LKVM_KVM_STATS_H

#include "lkvm/types.h"

/*
 * A new descriptor of the statistics of what @fd is, a VM or a vcpu, or -errno; -ENOTSUP: this KVM
 * has none. Prints nothing. KVM makes a vcpu's only while the vcpu is parked.
 */
int kvm_stats_open(int fd) __must_check;
/*
 * Read all of them: @fn gets each name with its @nr values (several: a histogram's). 0 or -errno
 * (-EPROTO: nothing that this code can read). Prints nothing; any thread.
 */
int kvm_stats_read(int fd, void (*fn)(void *opaque, const char *name, const u64 *values, u32 nr),
		   void *opaque) __must_check;

#endif
