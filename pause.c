/* SPDX-License-Identifier: MIT */
/*
 * The gate at which vcpu threads wait whenever the VM does not run, and the requests that close it
 * (see include/lkvm/vm.h).
 *
 * Stopping them is: clear @running, set each one's immediate_exit, send the kick signal. A vcpu in
 * KVM_RUN leaves by the signal, one about to enter leaves by immediate_exit; either way KVM
 * completes the I/O that was under way first, so registers may then be changed.
 */
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

void vcpu_kick(struct vcpu *vcpu)
{
	/* Ordered behind the caller's store to vm->running: see run_vcpu in vcpu.c. */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	if (vcpu->has_thread)
		pthread_kill(vcpu->thread, VCPU_KICK_SIGNAL);
}

static void kick_all(struct vm *vm)
{
	for (u32 i = 0; i < vm->nr_vcpus; i++)
		vcpu_kick(vm->vcpus[i]);
}

void vm_resume(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	/* A request that came in meanwhile keeps the VM stopped. */
	if (vm->stop == VM_STOP_NONE) {
		atomic_store(&vm->running, true);
		pthread_cond_broadcast(&vm->gate);
	}
	pthread_mutex_unlock(&vm->lock);
}

void vm_pause(struct vm *vm)
{
	u32 started = 0;

	for (u32 i = 0; i < vm->nr_vcpus; i++)
		started += vm->vcpus[i]->has_thread;
	pthread_mutex_lock(&vm->lock);
	atomic_store(&vm->running, false);
	kick_all(vm);
	while (vm->nr_parked < started)
		pthread_cond_wait(&vm->parked, &vm->lock);
	pthread_mutex_unlock(&vm->lock);
}

bool vm_vcpu_gate(struct vm *vm)
{
	bool go_on;

	pthread_mutex_lock(&vm->lock);
	vm->nr_parked++;
	pthread_cond_signal(&vm->parked);
	while (!atomic_load(&vm->running) && !vm->ending)
		pthread_cond_wait(&vm->gate, &vm->lock);
	vm->nr_parked--;
	go_on = !vm->ending;
	pthread_mutex_unlock(&vm->lock);
	return go_on;
}

void vm_request_stop(struct vm *vm, enum vm_stop stop, int status, s32 vcpu)
{
	pthread_mutex_lock(&vm->lock);
	if (vm->stop == VM_STOP_NONE) {
		vm->stop = stop;
		vm->stop_status = status;
		vm->stop_vcpu = vcpu;
	}
	atomic_store(&vm->running, false);
	kick_all(vm);
	event_loop_stop(&vm->loop);
	pthread_mutex_unlock(&vm->lock);
}

void vm_clear_stop(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->stop = VM_STOP_NONE;
	vm->stop_status = 0;
	vm->stop_vcpu = -1;
	event_loop_rearm(&vm->loop);
	pthread_mutex_unlock(&vm->lock);
}
