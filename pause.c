/* SPDX-License-Identifier: MIT */
/*
 * Running and pausing (see include/lkvm/vm.h).
 *
 * The gate: vcpu threads wait at it whenever the VM does not run. Closing it is: clear @running,
 * set each one's immediate_exit, send the kick signal. A vcpu in KVM_RUN leaves by the signal, one
 * about to enter leaves by immediate_exit; either way KVM completes the I/O that was under way
 * first, so registers may then be read and changed. Once is enough: immediate_exit stays set until
 * the gate has opened again. So whoever finds the gate closed kicks nobody.
 *
 * A paused VM: all vcpus are parked, then all devices were quiesced, backwards. From then on no
 * byte of guest memory changes, whatever the host, the network and the user do: it waits. Resuming
 * is the reverse: devices take up what waited, then the gate opens.
 *
 * Time does not stop: counters, timers in KVM and the clocks of devices go on as in a machine whose
 * CPUs stood still. What expired meanwhile comes after the pause, since no interrupt reaches memory
 * but through a vcpu. A device's own timer on the main loop is held, as it would raise interrupts.
 * A guest with a paravirtual clock is told of the pause, so that its watchdogs do not fire
 * (arch_vcpu_resumed); so is one whose process was stopped (vcpu.c).
 *
 * A guest that sleeps (suspend to RAM) keeps its last vcpu at the gate as well (vm_sleep): nothing
 * runs or burns time, and everything else about the VM is as ever.
 *
 * The main thread alone pauses and resumes, from its loop or around it. Whoever wants the VM to
 * leave the loop asks for it with vm_request_stop: from any thread, since a request only closes the
 * gate and stops the loop.
 */
#include "lkvm/arch.h"
#include "lkvm/thread.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

/*
 * The order of requests: one replaces a pending one of a lower rank. A reboot yields to every end,
 * which would be lost in it; of the ends the first stands: a signal hides no panic that the user
 * waits to hear of, and what follows an end is its consequence.
 */
static const u8 ranks[] = {
	[VM_STOP_NONE] = 0,	    [VM_STOP_RESET] = 1,	[VM_STOP_QUIT] = 2,
	[VM_STOP_SIGNAL] = 2,	    [VM_STOP_POWEROFF] = 2,	[VM_STOP_DEBUG_EXIT] = 2,
	[VM_STOP_PANIC] = 2,	    [VM_STOP_TRIPLE_FAULT] = 2, [VM_STOP_KVM_ERROR] = 2,
	[VM_STOP_ENTRY_FAILED] = 2, [VM_STOP_UNKNOWN_EXIT] = 2, [VM_STOP_HALTED] = 2,
	[VM_STOP_CONTROL] = 2,	    [VM_STOP_TERMINATED] = 2,
};

void vcpu_kick(struct vcpu *vcpu)
{
	/* Ordered after the caller's store to vm->running: see run_vcpu in vcpu.c. */
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	/* Who kicks itself is not in KVM_RUN. */
	if (vcpu->has_thread && !pthread_equal(vcpu->thread, pthread_self()))
		pthread_kill(vcpu->thread, THREAD_KICK_SIGNAL);
}

/* The signal hurries it; one that is about to enter KVM_RUN just then is told at its next exit. */
void vcpu_stood_still(struct vcpu *vcpu)
{
	atomic_store(&vcpu->stood_still, true);
	if (vcpu->has_thread)
		pthread_kill(vcpu->thread, THREAD_KICK_SIGNAL);
}

void vm_stood_still(struct vm *vm)
{
	for (u32 i = 0; i < vm->nr_vcpus; i++)
		vcpu_stood_still(vm->vcpus[i]);
}

/* Under the lock. */
static void close_gate(struct vm *vm)
{
	if (!atomic_exchange(&vm->running, false))
		return;
	for (u32 i = 0; i < vm->nr_vcpus; i++)
		vcpu_kick(vm->vcpus[i]);
}

void vm_resume(struct vm *vm)
{
	if (vm_stop_reason(vm, NULL, NULL) != VM_STOP_NONE || vm_holders(vm))
		return;
	if (vm->quiesced) {
		vm_resume_devices(vm);
		for (u32 i = 0; i < vm->nr_vcpus; i++)
			arch_vcpu_resumed(vm->vcpus[i]);
	}
	vm->quiesced = false;
	pthread_mutex_lock(&vm->lock);
	/* A request that came in meanwhile keeps the VM stopped. */
	if (vm->stop == VM_STOP_NONE && !vm->holders) {
		atomic_store(&vm->running, true);
		pthread_cond_broadcast(&vm->gate);
	}
	pthread_mutex_unlock(&vm->lock);
}

void vm_park(struct vm *vm)
{
	u32 started = 0;

	for (u32 i = 0; i < vm->nr_vcpus; i++)
		started += vm->vcpus[i]->has_thread;
	pthread_mutex_lock(&vm->lock);
	close_gate(vm);
	vm->awaited = started;
	while (vm->nr_parked < started)
		pthread_cond_wait(&vm->parked, &vm->lock);
	vm->awaited = 0;
	pthread_mutex_unlock(&vm->lock);
}

void vm_stop_vcpus(struct vm *vm)
{
	pthread_mutex_lock(&vm->lock);
	vm->ending = true;
	close_gate(vm);
	pthread_cond_broadcast(&vm->gate);
	pthread_mutex_unlock(&vm->lock);
	for (u32 i = 0; i < vm->nr_vcpus; i++) {
		if (!vm->vcpus[i]->has_thread)
			continue;
		pthread_join(vm->vcpus[i]->thread, NULL);
		vm->vcpus[i]->has_thread = false;
	}
}

/*
 * In a handler of its loop the main thread steps aside: a vcpu may be in the middle of a register
 * access that needs the loop. What is under way with the host may take long; whoever composed the
 * VM lets signals act meanwhile.
 */
void vm_pause(struct vm *vm)
{
	bool aside = event_loop_step_aside(&vm->loop);

	if (aside && vm->waits)
		vm->waits(vm, true);
	vm_park(vm);
	if (!vm->quiesced)
		vm_quiesce_devices(vm);
	vm->quiesced = true;
	if (aside && vm->waits)
		vm->waits(vm, false);
	event_loop_step_back(&vm->loop, aside);
	if (vm->held)
		vm->held(vm);
}

u32 vm_holders(struct vm *vm)
{
	u32 holders;

	pthread_mutex_lock(&vm->lock);
	holders = vm->holders;
	pthread_mutex_unlock(&vm->lock);
	return holders;
}

void vm_request_hold(struct vm *vm, enum vm_holder holder)
{
	pthread_mutex_lock(&vm->lock);
	vm->holders |= holder;
	close_gate(vm);
	pthread_mutex_unlock(&vm->lock);
}

void vm_hold(struct vm *vm, enum vm_holder holder)
{
	vm_request_hold(vm, holder);
	vm_pause(vm);
}

void vm_release(struct vm *vm, enum vm_holder holder)
{
	pthread_mutex_lock(&vm->lock);
	vm->holders &= ~(u32)holder;
	pthread_mutex_unlock(&vm->lock);
	vm_resume(vm);
	if (vm->held)
		vm->held(vm);
}

void vm_keep_back(struct vcpu *vcpu, bool back)
{
	pthread_mutex_lock(&vcpu->vm->lock);
	vcpu->kept_back = back;
	pthread_mutex_unlock(&vcpu->vm->lock);
}

void vm_set_asleep(struct vcpu *vcpu, bool asleep)
{
	pthread_mutex_lock(&vcpu->vm->lock);
	vcpu->asleep = asleep;
	vcpu->woken = false;
	pthread_mutex_unlock(&vcpu->vm->lock);
	if (vcpu->vm->slept)
		vcpu->vm->slept(vcpu->vm);
}

void vm_sleep(struct vcpu *vcpu)
{
	vm_set_asleep(vcpu, true);
	/* KVM_RUN completes the exit and comes back at once. */
	vcpu->to_gate = true;
	vcpu_kick(vcpu);
}

bool vm_wake(struct vm *vm)
{
	bool slept = false;

	pthread_mutex_lock(&vm->lock);
	for (u32 i = 0; i < vm->nr_vcpus; i++) {
		slept |= vcpu_sleeps(vm->vcpus[i]);
		vm->vcpus[i]->woken = true;
	}
	if (slept)
		pthread_cond_broadcast(&vm->gate);
	pthread_mutex_unlock(&vm->lock);
	if (slept && vm->slept)
		vm->slept(vm);
	return slept;
}

bool vm_is_asleep(struct vm *vm)
{
	bool asleep = false;

	pthread_mutex_lock(&vm->lock);
	for (u32 i = 0; i < vm->nr_vcpus; i++)
		asleep |= vcpu_sleeps(vm->vcpus[i]);
	pthread_mutex_unlock(&vm->lock);
	return asleep;
}

bool vm_wants_vcpus(struct vm *vm)
{
	return atomic_load(&vm->loop.stop) || (vm->nr_vcpus && !atomic_load(&vm->running));
}

bool vm_vcpu_gate(struct vm *vm, struct vcpu *vcpu)
{
	bool go_on;

	pthread_mutex_lock(&vm->lock);
	/* The last of them tells, not each. */
	if (++vm->nr_parked == vm->awaited)
		pthread_cond_signal(&vm->parked);
	while ((!atomic_load(&vm->running) || (vcpu && (vcpu->kept_back || vcpu_sleeps(vcpu)))) &&
	       !vm->ending)
		pthread_cond_wait(&vm->gate, &vm->lock);
	vm->nr_parked--;
	go_on = !vm->ending;
	/* From here on KVM does what it is to do with one that slept. */
	if (go_on && vcpu)
		vcpu->asleep = false;
	pthread_mutex_unlock(&vm->lock);
	return go_on;
}

void vm_request_stop(struct vm *vm, enum vm_stop stop, int status, s32 vcpu)
{
	pthread_mutex_lock(&vm->lock);
	if (ranks[stop] > ranks[vm->stop]) {
		vm->stop = stop;
		vm->stop_status = status;
		vm->stop_vcpu = vcpu;
	}
	close_gate(vm);
	event_loop_stop(&vm->loop);
	pthread_mutex_unlock(&vm->lock);
}

enum vm_stop vm_stop_reason(struct vm *vm, int *status, s32 *vcpu)
{
	enum vm_stop stop;

	pthread_mutex_lock(&vm->lock);
	stop = vm->stop;
	if (status)
		*status = vm->stop_status;
	if (vcpu)
		*vcpu = vm->stop_vcpu;
	pthread_mutex_unlock(&vm->lock);
	return stop;
}

void vm_clear_stop(struct vm *vm, enum vm_stop stop)
{
	pthread_mutex_lock(&vm->lock);
	if (vm->stop == stop) {
		vm->stop = VM_STOP_NONE;
		vm->stop_status = 0;
		vm->stop_vcpu = -1;
		event_loop_rearm(&vm->loop);
	}
	pthread_mutex_unlock(&vm->lock);
}
