/* SPDX-License-Identifier: MIT */
/*
 * A virtual CPU and the thread that runs it. The thread does nothing but KVM_RUN and dispatching
 * exits: port I/O and MMIO to the buses, the architecture's own reasons to arch_vcpu_exit.
 */
#ifndef LKVM_VCPU_H
#define LKVM_VCPU_H

#include <kvm-compat.h>
#include <pthread.h>
#include <signal.h>

#include "lkvm/log.h"
#include "lkvm/memory.h"
#include "lkvm/types.h"

struct vm;
struct arch_vcpu;

/* Interrupts KVM_RUN and blocking system calls of a vcpu thread; does nothing else. */
#define VCPU_KICK_SIGNAL SIGRTMIN

struct vcpu {
	struct vm *vm;
	u32 id;
	int fd;
	struct kvm_run *run;
	u32 run_size;
	pthread_t thread;
	bool has_thread;
	struct memory_reader reader; /* inside while an exit is handled, outside in KVM_RUN */
	struct arch_vcpu *arch;	     /* owned by the architecture's code */
};

/* KVM_CREATE_VCPU, map its run structure, arch_vcpu_init. Prints on failure; out is NULL then. */
int vcpu_create(struct vm *vm, u32 id, struct vcpu **out) __must_check;
/* Free it; its thread must have been stopped. NULL is fine. */
void vcpu_destroy(struct vcpu *vcpu);
/* Start the thread, on the CPUs that the configuration names; it waits in vm_vcpu_gate until the VM
 * runs. Prints. */
int vcpu_start(struct vcpu *vcpu) __must_check;
/* Make the vcpu leave KVM_RUN soon. Any thread. */
void vcpu_kick(struct vcpu *vcpu);
/* Print its registers at @level, a line each. The vcpu is parked, or this is its own thread. */
void vcpu_dump(struct vcpu *vcpu, enum log_level level);
/* The name of a KVM_EXIT_* reason, "unknown" for a new one. */
const char *vcpu_exit_name(u32 reason);

#endif
