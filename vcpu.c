/* SPDX-License-Identifier: MIT */
/*
 * A vcpu and its thread (Linux Documentation/virt/kvm/api.rst, sections 4.10 KVM_RUN and 5 "The
 * kvm_run structure"): KVM_RUN, then the exit to a bus or to the architecture.
 */
#include "lkvm/vcpu.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "lkvm/arch.h"
#include "lkvm/coco.h"
#include "lkvm/config.h"
#include "lkvm/debug.h"
#include "lkvm/exits.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/trace.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

int vcpu_create(struct vm *vm, u32 id, struct vcpu **out)
{
	struct vcpu *vcpu = xcalloc(1, sizeof(*vcpu));
	int ret;

	*out = NULL;
	vcpu->vm = vm;
	vcpu->id = id;
	vcpu->stats_fd = -1;
	vcpu->run_size = vm->kvm.run_size;
	memory_add_reader(&vm->mem, &vcpu->reader);
	vcpu->fd = xioctl_val(vm->kvm.vm_fd, KVM_CREATE_VCPU, arch_vcpu_kvm_id(vm, id));
	if (vcpu->fd < 0) {
		ret = vcpu->fd;
		err("vcpu %u: KVM_CREATE_VCPU: %s%s", id, strerror(-ret), limit_hint(ret));
		goto fail;
	}
	vcpu->run = mmap(NULL, vcpu->run_size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		ret = -errno;
		vcpu->run = NULL;
		err("vcpu %u: cannot map its run structure: %s%s", id, strerror(-ret),
		    limit_hint(ret));
		goto fail;
	}
	ret = arch_vcpu_init(vcpu);
	if (ret)
		goto fail;
	*out = vcpu;
	return 0;
fail:
	vcpu_destroy(vcpu);
	return ret;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	if (!vcpu)
		return;
	memory_remove_reader(&vcpu->reader);
	arch_vcpu_destroy(vcpu);
	if (vcpu->run)
		munmap(vcpu->run, vcpu->run_size);
	if (vcpu->stats_fd >= 0)
		close(vcpu->stats_fd);
	if (vcpu->fd >= 0)
		close(vcpu->fd);
	free(vcpu);
}

static void handle_pio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	u8 *data = (u8 *)run + run->io.data_offset;

	/* A string instruction comes as many accesses to one port. */
	for (u32 i = 0; i < run->io.count; i++, data += run->io.size) {
		bool known = run->io.direction == KVM_EXIT_IO_OUT
				     ? bus_write(&vcpu->vm->pio, run->io.port, data, run->io.size)
				     : bus_read(&vcpu->vm->pio, run->io.port, data, run->io.size);

		if (!known)
			guest_debug("vcpu %u: port 0x%x: no device", vcpu->id, run->io.port);
	}
}

/* A write to ROM; or KVM emulated an instruction whose operand in memory the host has lost. */
static void handle_no_device(struct vcpu *vcpu, u64 addr, bool is_write)
{
	const struct memory_region *r = memory_find(&vcpu->vm->mem, addr);

	if (r && is_write && (r->kind == MEM_ROM || r->kind == MEM_PMEM_RO))
		guest_warn("vcpu %u: address 0x%llx: cannot be written (%s)", vcpu->id, addr,
			   r->name);
	else if (r && memory_say_lost(&vcpu->vm->mem))
		vm_request_stop(vcpu->vm, VM_STOP_KVM_ERROR, 0, (s32)vcpu->id);
	else
		guest_debug("vcpu %u: address 0x%llx: no device", vcpu->id, addr);
}

static void handle_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	bool known = run->mmio.is_write ? bus_write(&vcpu->vm->mmio, run->mmio.phys_addr,
						    run->mmio.data, run->mmio.len)
					: bus_read(&vcpu->vm->mmio, run->mmio.phys_addr,
						   run->mmio.data, run->mmio.len);

	if (!known)
		handle_no_device(vcpu, run->mmio.phys_addr, run->mmio.is_write);
}

/* Line by line through the log: other threads may be printing too, and the terminal may be raw. */
void vcpu_dump(struct vcpu *vcpu, enum log_level level)
{
	char *text = NULL, *line, *rest;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		return;
	arch_vcpu_dump(vcpu, out);
	fclose(out);
	for (rest = text; (line = strsep(&rest, "\n"));)
		if (*line)
			log_print(level, "%s", line);
	free(text);
}

int vcpu_set_debug(struct vcpu *vcpu, const struct debug_setup *setup, struct kvm_guest_debug *dbg)
{
	int ret;

	if (setup->breakpoints)
		dbg->control |= KVM_GUESTDBG_ENABLE | arch_debug.breakpoint_control;
	if (dbg->control)
		dbg->control |= KVM_GUESTDBG_ENABLE;
	ret = xioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, dbg);
	if (ret < 0)
		return ret;
	vcpu->debug = *dbg;
	return 0;
}

static void handle_internal_error(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	const char *what = "unknown kind";
	char data[16 * 20] = "";
	size_t at = 0;

	switch (run->internal.suberror) {
	case KVM_INTERNAL_ERROR_EMULATION:
		what = "an instruction that KVM cannot emulate";
		break;
	case KVM_INTERNAL_ERROR_SIMUL_EX:
		what = "simultaneous exceptions";
		break;
	case KVM_INTERNAL_ERROR_DELIVERY_EV:
		what = "failure while delivering an event";
		break;
	case KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON:
		what = "an exit reason that KVM does not expect";
		break;
	}
	for (u32 i = 0; i < run->internal.ndata && i < ARRAY_SIZE(run->internal.data); i++)
		at += (size_t)snprintf(data + at, sizeof(data) - at, " 0x%llx",
				       run->internal.data[i]);
	err("vcpu %u: KVM internal error %u: %s%s%s", vcpu->id, run->internal.suberror, what,
	    at ? "; data" : "", data);
	vcpu_dump(vcpu, LOG_ERROR);
	vm_request_stop(vcpu->vm, VM_STOP_KVM_ERROR, 0, (s32)vcpu->id);
}

static bool is_coco_exit(struct vcpu *vcpu)
{
	const struct coco_ops *coco = vcpu->vm->coco;

	return coco && coco->exit && coco->exit(vcpu) != -ENOTSUP;
}

/* The power-off, reset and crash of architectures whose firmware calls end in KVM (PSCI, SBI). */
static void handle_system_event(struct vcpu *vcpu)
{
	u32 type = vcpu->run->system_event.type;

	if (arch_vcpu_exit(vcpu) != -ENOTSUP)
		return;
	switch (type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		vm_request_stop(vcpu->vm, VM_STOP_POWEROFF, 0, (s32)vcpu->id);
		break;
	case KVM_SYSTEM_EVENT_RESET:
		vm_request_stop(vcpu->vm, VM_STOP_RESET, 0, (s32)vcpu->id);
		break;
	case KVM_SYSTEM_EVENT_CRASH:
		vm_request_stop(vcpu->vm, VM_STOP_PANIC, 0, (s32)vcpu->id);
		break;
	default:
		if (is_coco_exit(vcpu))
			break;
		err("vcpu %u: unknown system event %u", vcpu->id, type);
		vm_request_stop(vcpu->vm, VM_STOP_UNKNOWN_EXIT, 0, (s32)vcpu->id);
	}
}

static void handle_unknown(struct vcpu *vcpu)
{
	u32 reason = vcpu->run->exit_reason;

	err("vcpu %u: unsupported exit reason %u (%s)", vcpu->id, reason, exit_name(reason));
	vcpu_dump(vcpu, LOG_ERROR);
	vm_request_stop(vcpu->vm, VM_STOP_UNKNOWN_EXIT, 0, (s32)vcpu->id);
}

static bool is_coco_failure(struct vcpu *vcpu, int error)
{
	const struct coco_ops *coco = vcpu->vm->coco;

	return coco && coco->run_failed && coco->run_failed(vcpu, error) != -ENOTSUP;
}

static void handle_exit(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		handle_pio(vcpu);
		break;
	case KVM_EXIT_MMIO:
		handle_mmio(vcpu);
		break;
	case KVM_EXIT_INTR:
		break;
	case KVM_EXIT_DEBUG:
		if (!vcpu->vm->debug_exit || vcpu->vm->debug_exit(vcpu) == -ENOTSUP)
			handle_unknown(vcpu);
		break;
	case KVM_EXIT_INTERNAL_ERROR:
		if (arch_vcpu_exit(vcpu) == -ENOTSUP)
			handle_internal_error(vcpu);
		break;
	case KVM_EXIT_FAIL_ENTRY:
		if (arch_vcpu_exit(vcpu) != -ENOTSUP)
			break;
		err("vcpu %u: the CPU refused to enter the guest: hardware reason 0x%llx", vcpu->id,
		    run->fail_entry.hardware_entry_failure_reason);
		vcpu_dump(vcpu, LOG_ERROR);
		vm_request_stop(vcpu->vm, VM_STOP_ENTRY_FAILED, 0, (s32)vcpu->id);
		break;
	case KVM_EXIT_SYSTEM_EVENT:
		handle_system_event(vcpu);
		break;
	default:
		if (is_coco_exit(vcpu))
			break;
		if (arch_vcpu_exit(vcpu) == -ENOTSUP)
			handle_unknown(vcpu);
	}
}

/* The end of a message. */
static const char *run_hint(int error)
{
	switch (error) {
	case EAGAIN:
		return "; KVM cannot start a kernel thread of its own: raise the cgroup's pids.max "
		       "or 'ulimit -u'";
	case EFAULT:
		return "; the host cannot back guest memory: is it out of memory or huge pages?";
	case EHWPOISON:
		return "; the host's memory is defective where guest memory lies";
	case EIO:
		return "; KVM met an error of its own: see the host's kernel log";
	default:
		return limit_hint(error);
	}
}

/*
 * True: it was an exit after all, run on. KVM says a memory fault with an error (api.rst,
 * KVM_EXIT_MEMORY_FAULT). @keeps: it was tried again as often as makes sense.
 */
static bool handle_run_error(struct vcpu *vcpu, int error, bool keeps)
{
	struct kvm_run *run = vcpu->run;
	const struct lkvm_exit_memory_fault *fault = (const void *)&run->hw;
	bool is_fault = error == EFAULT && run->exit_reason == KVM_EXIT_MEMORY_FAULT;

	if (is_fault && is_coco_exit(vcpu))
		return true;
	if ((error == EFAULT && memory_say_lost(&vcpu->vm->mem)) || is_coco_failure(vcpu, error))
		debug("vcpu %u: KVM_RUN: %s", vcpu->id, strerror(error));
	else if (is_fault)
		err("vcpu %u: the host cannot back guest memory at 0x%llx; is it out of memory or "
		    "huge pages?",
		    vcpu->id, fault->gpa);
	else
		err("vcpu %u: KVM_RUN %s: %s%s", vcpu->id, keeps ? "keeps failing" : "failed",
		    strerror(error), run_hint(error));
	/* It is about the host, not about what the guest did. */
	vcpu_dump(vcpu, LOG_DEBUG);
	vm_request_stop(vcpu->vm, VM_STOP_KVM_ERROR, 0, (s32)vcpu->id);
	return false;
}

/* What KVM_RUN refused, and how often on end. */
struct retry {
	int error;
	u32 count;
	u64 last_ns;
};

#define RETRIES		100
#define RETRY_PAUSE_NS	10000000L /* all together: a second */
#define INTERRUPTIONS	1000000	  /* on end, each soon after the last: nothing but KVM does that */
#define ANOTHER_TIME_NS 100000000LL /* whoever is inside so long does not spin */

/* An x86 processor that waits for the one that boots. KVM_RUN says EAGAIN whenever it is woken for
 * something else (api.rst 4.38 KVM_GET_MP_STATE). */
static bool waits_for_startup(struct vcpu *vcpu)
{
	struct kvm_mp_state mp = { 0 };

	return xioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) >= 0 &&
	       (mp.mp_state == KVM_MP_STATE_UNINITIALIZED ||
		mp.mp_state == KVM_MP_STATE_INIT_RECEIVED);
}

/* There are guests that a failure ends for good. */
static bool may_retry(struct vcpu *vcpu)
{
	const struct coco_ops *coco = vcpu->vm->coco;

	return !coco || !coco->may_retry || coco->may_retry(vcpu);
}

/*
 * Shall KVM_RUN be tried again? What the host lacks may come back soon, a signal has passed; but
 * neither is waited for for ever. Counted in tries, not in time, of which a busy host takes much.
 */
static bool try_again(struct vcpu *vcpu, struct retry *retry, int error)
{
	const struct timespec pause = { .tv_nsec = RETRY_PAUSE_NS };
	u64 now = now_ns();

	if ((error != EINTR && error != EAGAIN && error != ENOMEM) ||
	    (error != EINTR && !may_retry(vcpu))) {
		retry->count = 0;
		return false;
	}
	if (error != retry->error || (error != ENOMEM && now - retry->last_ns > ANOTHER_TIME_NS))
		retry->count = 0;
	retry->error = error;
	if (++retry->count > (error == EINTR ? INTERRUPTIONS : RETRIES)) {
		if (error != EAGAIN || !waits_for_startup(vcpu))
			return false;
		retry->count = 0;
	}
	/* At once at first: a processor that was started is not to be late. */
	if (error != EINTR && retry->count > 1)
		nanosleep(&pause, NULL);
	retry->last_ns = now_ns();
	return true;
}

/* Outside KVM_RUN for so long: a debugger, a frozen cgroup, or a handler that had to wait. */
#define STOOD_STILL_NS 1000000000LL

/* In steps of some milliseconds, for next to nothing. */
static u64 rough_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (u64)ts.tv_sec * 1000000000ULL + (u64)ts.tv_nsec;
}

/* One exit, from the end of KVM_RUN until it may be called again. False: the vcpu has to park. */
static bool serve_exit(struct vcpu *vcpu, int error, bool keeps)
{
	bool traced = trace_wants(vcpu->vm->trace, TRACE_EXITS);
	u64 since = rough_ns(), begin = traced ? now_ns() : 0;
	bool go_on = true;

	/* Handlers may look guest memory up; nothing of that outlives them. */
	memory_read_begin(&vcpu->reader);
	if (error)
		go_on = handle_run_error(vcpu, error, keeps);
	else
		handle_exit(vcpu);
	memory_read_end(&vcpu->reader);
	if (!error && vcpu->vm->on_run_flags && vcpu->run->flags)
		vcpu->vm->on_run_flags(vcpu);
	if (traced)
		exit_trace(vcpu, now_ns() - begin);
	if (rough_ns() - since > STOOD_STILL_NS)
		atomic_store(&vcpu->stood_still, true);
	return go_on;
}

/*
 * Whatever stops this thread from outside (SIGSTOP, a debugger, a frozen cgroup) makes it leave
 * KVM_RUN as a signal would; nothing else does but those who kick it, with immediate_exit set.
 */
static void interrupted(struct vcpu *vcpu)
{
	if (!__atomic_load_n(&vcpu->run->immediate_exit, __ATOMIC_RELAXED))
		atomic_store(&vcpu->stood_still, true);
}

/* KVM says a signal, and some exits, with an error; others are failures. */
static void count_exit(struct vcpu *vcpu, int error)
{
	if (error == EINTR)
		exit_count(&vcpu->exits, KVM_EXIT_INTR);
	else if (!error || (error == EFAULT && vcpu->run->exit_reason == KVM_EXIT_MEMORY_FAULT))
		exit_count(&vcpu->exits, vcpu->run->exit_reason);
}

/*
 * Run until the VM stops. Whoever stops it clears vm->running and then sets immediate_exit; we
 * clear immediate_exit and then look at running: one of the two sees the other. KVM_RUN with
 * immediate_exit set completes a pending port or MMIO access and comes back at once: a parked vcpu
 * has none left.
 */
static void run_vcpu(struct vcpu *vcpu)
{
	struct vm *vm = vcpu->vm;
	struct retry retry = { 0 };

	vcpu->to_gate = false;
	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	if (!atomic_load(&vm->running))
		__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		bool again = false;
		int error;

		if (atomic_load_explicit(&vcpu->stood_still, memory_order_relaxed) &&
		    atomic_exchange(&vcpu->stood_still, false))
			arch_vcpu_resumed(vcpu);
		error = ioctl(vcpu->fd, KVM_RUN, 0) < 0 ? errno : 0;
		count_exit(vcpu, error);
		if (error) {
			if ((error == EINTR || error == EAGAIN || error == ENOMEM) &&
			    (!atomic_load(&vm->running) || vcpu->to_gate))
				return;
			if (error == EINTR)
				interrupted(vcpu);
			again = try_again(vcpu, &retry, error);
		}
		if (again)
			continue;
		if (!serve_exit(vcpu, error, retry.count > 1))
			return;
		retry.count = 0;
	}
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	char name[16];

	snprintf(name, sizeof(name), "vcpu%u", vcpu->id);
	thread_name(name);
	while (vm_vcpu_gate(vcpu->vm, vcpu)) {
		/* Changed at the gate alone. */
		bool debugged = vcpu->debug.control;

		if (debugged)
			arch_debug_enter(vcpu);
		run_vcpu(vcpu);
		if (debugged)
			arch_debug_leave(vcpu);
	}
	return NULL;
}

/* The list was checked with the configuration; which of its CPUs there are, the host knows. */
static int set_affinity(struct vcpu *vcpu)
{
	const char *list = vcpu->vm->cfg->vcpu_affinity;
	cpu_set_t set;
	int ret;

	if (!list)
		return 0;
	ret = parse_cpu_list(list, &set);
	if (!ret)
		ret = -pthread_setaffinity_np(vcpu->thread, sizeof(set), &set);
	if (ret)
		err("--vcpu-affinity %s: cannot bind vcpu %u to these CPUs: %s", list, vcpu->id,
		    ret == -EINVAL ? "lkvm may run on none of them" : strerror(-ret));
	return ret;
}

int vcpu_start(struct vcpu *vcpu)
{
	int ret = thread_start(&vcpu->thread, THREAD_VCPU, vcpu_thread, vcpu);

	vcpu->has_thread = !ret;
	if (ret) {
		err("vcpu %u: cannot start its thread: %s%s", vcpu->id, strerror(-ret),
		    limit_hint(ret));
		return ret;
	}
	/* It still waits at the gate. */
	return set_affinity(vcpu);
}
