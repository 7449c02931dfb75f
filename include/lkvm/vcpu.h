/* SPDX-License-Identifier: MIT */
/*
 * A virtual CPU and the thread that runs it. The thread does nothing but KVM_RUN and dispatching
 * exits: port I/O and MMIO to the buses, a confidential guest's to its table (coco.h), the
 * architecture's own reasons to arch_vcpu_exit. Work that takes long belongs to a device's loop.
 *
 * A vcpu thread runs or is parked at the gate (vm_vcpu_gate). Only while it is parked, or on its
 * own thread, may anyone else use the vcpu's fd: KVM serializes its ioctls, so another thread's
 * would wait until the guest exits (arm/psci.c lives with that). It is parked when KVM has
 * completed the last access of the guest, so registers can be read, changed and saved as they are.
 *
 * Whoever stops it (pause.c) clears vm->running, then sets immediate_exit and sends the kick
 * signal; the vcpu clears immediate_exit and then looks at vm->running. One of the two sees the
 * other, so no kick is lost. The signal also interrupts a system call in which a handler waits.
 *
 * A guest whose processor stood still is told before it runs on (arch_vcpu_resumed): after a pause
 * of the VM, after whatever stopped the thread, after a handler that had to wait for long.
 *
 * While it handles an exit it may hold pointers into guest memory and is a memory_reader
 * (memory.h); in KVM_RUN and at the gate it holds none. A fault of the guest, or of KVM with it,
 * ends the VM by vm_request_stop and parks the thread: no vcpu ends lkvm by itself.
 */
#ifndef LKVM_VCPU_H
#define LKVM_VCPU_H

#include <kvm-compat.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "lkvm/exits.h"
#include "lkvm/log.h"
#include "lkvm/memory.h"
#include "lkvm/types.h"

struct vm;
struct arch_vcpu;
struct debug_setup;

struct vcpu {
	struct vm *vm;
	u32 id;
	int fd;
	struct kvm_run *run;
	u32 run_size;
	pthread_t thread;
	bool has_thread;
	bool kept_back;		      /* waits at the gate, under vm->lock (vm_keep_back) */
	bool asleep;		      /* the same (vm_sleep) until it leaves the gate, after: */
	bool woken;		      /* vm_wake; counts only for one that is asleep */
	bool to_gate;		      /* leaves for the gate; its own thread's */
	atomic_bool stood_still;      /* the guest is to hear of it before it runs again */
	struct memory_reader reader;  /* inside while an exit is handled, outside in KVM_RUN */
	int stats_fd;		      /* kvm-stats.h; -1: nobody asked for them yet */
	struct exit_counts exits;     /* since it was made; its thread counts, any thread reads */
	struct kvm_guest_debug debug; /* as it was set; the architecture's (debug.h) */
	struct arch_vcpu *arch;	      /* owned by the architecture's code */
	struct {
		u64 gpa, flags;
		u32 times; /* in a row */
	} fault;	   /* the last of coco_memory_fault */
};

/* KVM_CREATE_VCPU, map its run structure, arch_vcpu_init. Prints on failure; out is NULL then. */
int vcpu_create(struct vm *vm, u32 id, struct vcpu **out) __must_check;
/* Free it; its thread must have been stopped. NULL is fine. */
void vcpu_destroy(struct vcpu *vcpu);
/* It is asleep, and was not woken. */
static inline bool vcpu_sleeps(const struct vcpu *vcpu)
{
	return vcpu->asleep && !vcpu->woken;
}

/* Start the thread, on the CPUs that the configuration names; it waits in vm_vcpu_gate until the VM
 * runs. Prints. */
int vcpu_start(struct vcpu *vcpu) __must_check;
/* Make the vcpu leave KVM_RUN soon. Any thread. */
void vcpu_kick(struct vcpu *vcpu);
/* Have the guest told that its processor stood still (arch_vcpu_resumed), soon. Any thread. */
void vcpu_stood_still(struct vcpu *vcpu);
/*
 * For arch_debug_apply: KVM_SET_GUEST_DEBUG with @dbg, whose points and ways to step are the
 * architecture's; what all have alike is set here, after @setup. It is kept in vcpu->debug. The
 * vcpu is parked. 0 or -errno.
 */
int vcpu_set_debug(struct vcpu *vcpu, const struct debug_setup *setup,
		   struct kvm_guest_debug *dbg) __must_check;
/* Print its registers at @level, a line each. The vcpu is parked, or this is its own thread. */
void vcpu_dump(struct vcpu *vcpu, enum log_level level);
/* For arch_vcpu_dump: what is in memory around @pc, in pieces of @unit bytes (1, 2 or 4), and from
 * @sp on, in words of @width (up to 8). A line for each. */
void vcpu_dump_code(struct vcpu *vcpu, FILE *out, u32 unit, u64 pc);
void vcpu_dump_stack(struct vcpu *vcpu, FILE *out, u64 sp, u32 width);

#endif
