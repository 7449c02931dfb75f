/* SPDX-License-Identifier: MIT */
/*
 * Limits against a guest that disturbs others: how often it locks the bus, and for how long it lets
 * no interrupt through (Linux Documentation/virt/kvm/api.rst, KVM_CAP_X86_BUS_LOCK_EXIT and
 * KVM_CAP_X86_NOTIFY_VMEXIT).
 */
#include <time.h>

#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/rate.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "tuning.h"
#include "x86.h"

/* A pause does not have to wait for longer; mostly its signal ends the sleep at once. */
#define STEP_NS 10000000ULL

/*
 * A lock that was taken has to be paid for: by waiting here until there is a token, or, where the
 * VM is to pause meanwhile, by whoever takes one next. No handler is under way and nothing is held.
 */
static void pay_for_lock(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	struct rate_limit *limit = &vm->arch->bus_locks;
	u64 wait;

	while ((wait = rate_take(limit, 0, 1, now_ns()))) {
		struct timespec step = { .tv_nsec = (long)MIN(wait, STEP_NS) };

		guest_warn("vcpu %u: the guest locks the bus more than %u times a second "
			   "(--bus-lock-limit): it waits",
			   vcpu->id, vm->cfg->x86.tuning.bus_lock_limit);
		if (vm_wants_vcpus(vm)) {
			rate_charge(limit, 0, 1, now_ns());
			return;
		}
		nanosleep(&step, NULL);
	}
}

/* The lock may come with an exit for something else; then too KVM says so. */
static void on_run_flags(struct vcpu *vcpu)
{
	if (vcpu->run->flags & KVM_RUN_X86_BUS_LOCK)
		pay_for_lock(vcpu);
}

void x86_limits_init(struct vm *vm)
{
	const struct rate_config rate = { .ops = vm->cfg->x86.tuning.bus_lock_limit };

	if (!rate.ops)
		return;
	rate_init(&vm->arch->bus_locks, &rate);
	vm->on_run_flags = on_run_flags;
}

void x86_notify_exit(struct vcpu *vcpu)
{
	if (vcpu->run->notify.flags & KVM_NOTIFY_CONTEXT_INVALID) {
		err("vcpu %u: the guest let no interrupt through for longer than --notify-window, "
		    "and its processor's state was lost when it was stopped",
		    vcpu->id);
		vm_request_stop(vcpu->vm, VM_STOP_KVM_ERROR, 0, (s32)vcpu->id);
		return;
	}
	guest_warn("vcpu %u: the guest let no interrupt through for longer than --notify-window",
		   vcpu->id);
}
