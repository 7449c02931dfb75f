/* SPDX-License-Identifier: MIT */
/*
 * What psci.c needs of the vcpus, behind a table: its tests run without KVM. All return 0 or
 * -errno and print nothing.
 */
#ifndef LKVM_ARM_PSCI_H
#define LKVM_ARM_PSCI_H

#include <pthread.h>

#include "lkvm/types.h"

struct vcpu;
struct vm;

struct arm_psci_ops {
	/* x1 to x3 of the calling vcpu. */
	int (*get_args)(struct vcpu *vcpu, u64 args[3]);
	int (*set_result)(struct vcpu *vcpu, u64 x0);
	/* KVM_SET_MP_STATE of the calling vcpu. */
	int (*set_mp_state)(struct vcpu *vcpu, u32 state);
	/* Let a stopped vcpu run from @entry with @context in x0; @stale: it has run since its
	 * reset. Called by another one's thread. */
	int (*start)(struct vcpu *vcpu, u64 entry, u64 context, bool stale);
};

struct arm_psci_cpu {
	bool on;
	bool stale;
};

struct arm_psci {
	pthread_mutex_t lock; /* around each change of a vcpu's state, with the ioctls it takes */
	const struct arm_psci_ops *ops;
	u32 nr_cpus;
	struct arm_psci_cpu cpus[];
};

/* All off but vcpu 0; freed by arm_psci_destroy. */
struct arm_psci *arm_psci_new(u32 nr_cpus, const struct arm_psci_ops *ops);

#endif
