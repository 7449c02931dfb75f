/* SPDX-License-Identifier: MIT */
/*
 * The life of a machine, as machine.h tells it: open, build, lock in, load, run. With its
 * neighbours machine-*.c the only code that knows every part.
 */
#include "lkvm/machine.h"

#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/coco.h"
#include "lkvm/config.h"
#include "lkvm/console.h"
#include "lkvm/device.h"
#include "lkvm/gdb.h"
#include "lkvm/guest-command.h"
#include "lkvm/log.h"
#include "lkvm/marks.h"
#include "lkvm/memslot.h"
#include "lkvm/plan.h"
#include "lkvm/trace.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vfio.h"

/* Build */

static int create_vcpus(struct vm *vm)
{
	int ret = kvm_check_vcpus(&vm->kvm, vm->cfg->cpus);

	if (ret)
		return ret;
	vm->vcpus = xcalloc(vm->cfg->cpus, sizeof(vm->vcpus[0]));
	for (u32 i = 0; i < vm->cfg->cpus; i++) {
		ret = vcpu_create(vm, i, &vm->vcpus[i]);
		if (ret)
			return ret;
		vm->nr_vcpus++;
	}
	return 0;
}

static void on_broken(struct kvm *kvm)
{
	vm_request_stop(container_of(kvm, struct vm, kvm), VM_STOP_KVM_ERROR, 0, -1);
}

static int create_kvm_vm(struct vm *vm)
{
	u64 type = 0;
	int ret = arch_check_host(&vm->kvm);

	if (!ret)
		ret = arch_vm_type(&vm->kvm, vm->cfg, vm->pmem_size, &type);
	if (!ret && vm->coco && vm->coco->vm_type)
		ret = vm->coco->vm_type(&vm->kvm, vm->cfg, &type);
	vm->kvm.broken = on_broken;
	if (!ret)
		ret = kvm_create_vm(&vm->kvm, type);
	if (!ret && vm->cfg->has_halt_poll)
		ret = kvm_set_halt_poll(&vm->kvm, vm->cfg->halt_poll_ns);
	return ret;
}

/* virt/kvm/kvm_main.c, KVM_MEM_MAX_NR_PAGES: a slot has fewer than 2^31 pages. */
#define KVM_SLOT_END (8 * 1024ULL * GiB)

static int create_memory(struct machine *m)
{
	struct vm *vm = &m->vm;
	int ret;

	memory_begin_load(&vm->mem);
	ret = arch_add_memory(vm);
	if (!ret)
		ret = machine_map_pmems(m, false);
	if (!ret && vm->coco && vm->coco->memory)
		ret = vm->coco->memory(vm);
	if (ret)
		return ret;
	ret = kvm_attach_memory(&vm->kvm, &vm->mem);
	if (ret && vm->cfg->memory >= KVM_SLOT_END)
		err("--mem: KVM takes less than 8T in one piece; decrease it");
	else if (ret)
		err("cannot give guest memory to KVM: %s", strerror(-ret));
	return ret;
}

/* Everything that the guest will need of the host is there at the end: what is missing is said
 * before its first instruction. */
static int build(struct machine *m)
{
	struct vm *vm = &m->vm;
	int ret;

	vm->coco = arch_coco(vm->cfg);
	vm->access_platform = vm->coco;
	ret = create_kvm_vm(vm);
	if (!ret)
		ret = irq_init(&vm->irqs, &kvm_irq_chip_ops, &vm->kvm);
	if (ret)
		return ret;
	irq_set_loop(&vm->irqs, &vm->loop);
	vm->irqs.trace = vm->trace;
	ret = create_memory(m);
	if (!ret)
		ret = arch_vm_init(vm, &m->open.boot);
	if (!ret)
		ret = create_vcpus(vm);
	if (!ret)
		ret = arch_vm_late_init(vm);
	if (!ret)
		ret = machine_add_parts(m);
	return ret ? ret : vm_start_vcpus(vm);
}

/* Back to what was opened: the VM and its devices go, in the order in which they need each other.
 */
static void unbuild(struct machine *m)
{
	struct vm *vm = &m->vm;

	machine_stop_dump(m);
	vm_stop_vcpus(vm);
	if (m->open.console)
		m->open.console->ops->set_client(m->open.console, NULL);
	vm_destroy_devices(vm);
	vm_destroy_vcpus(vm);
	/* What it remembers hangs on the architecture's part. */
	if (vm->coco && vm->coco->destroy)
		vm->coco->destroy(vm);
	arch_vm_destroy(vm);
	vm_clear(vm);
}

/*
 * Lock in: after this nothing is opened by name, by the main thread or any other. The place for
 * giving up what lkvm no longer needs (no new privileges, Landlock, a filter of system calls for
 * each thread); so far nothing is given up.
 */
static void lock_in(struct machine *m) {}

/* Load */

/* Everything in the state in which the guest starts: at first and after each reset. */
static int load(struct machine *m)
{
	struct boot_plan plan;
	struct vm *vm = &m->vm;
	int ret;

	boot_plan_init(&plan);
	/* A packed kernel is on its way to its place, unless the host cannot write there. */
	ret = machine_begin_boot(m, vm->coco && vm->coco->place ? NULL : &vm->mem);
	if (!ret)
		ret = arch_boot_plan(vm, &m->open.boot, &plan);
	if (!ret)
		ret = boot_check_read(&m->open.boot);
	if (!ret)
		ret = boot_plan_check(&plan, &vm->mem);
	if (!ret)
		boot_settle(&m->open.boot, &plan, &vm->mem);
	for (u32 i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = arch_vcpu_reset(vm->vcpus[i]);
	if (!ret)
		ret = boot_launch(vm, &plan);
	ret = boot_end(&m->open.boot, ret);
	memory_end_load(&vm->mem);
	boot_plan_free(&plan);
	return ret;
}

/* The story */

int machine_create(struct machine *m, const struct vm_config *cfg)
{
	return machine_create_with(m, cfg, NULL);
}

int machine_create_with(struct machine *m, const struct vm_config *cfg,
			const struct machine_inject *inject)
{
	u64 start_ns = now_ns();
	int ret;

	memset(m, 0, sizeof(*m));
	m->open.signals.fd = -1;
	m->inject = inject;
	ret = vm_init(&m->vm, cfg);
	if (ret)
		return ret;
	/* Opening what it boots takes its time too. */
	m->vm.start_ns = start_ns;
	m->vm.marks = inject && inject->watch ? inject->watch->marks : NULL;
	ret = machine_open_all(m, cfg);
	if (!ret)
		ret = build(m);
	/* Once, and not for each VM that a reset makes anew. */
	if (!ret)
		kvm_advise_vcpus(&m->vm.kvm, cfg->cpus);
	if (!ret)
		lock_in(m);
	if (!ret)
		ret = load(m);
	if (ret)
		machine_destroy(m);
	return ret;
}

void machine_destroy(struct machine *m)
{
	unbuild(m);
	/* Devices may say a last word: the terminal goes after them, but before the loop that it
	 * watches. */
	machine_close(m);
	vm_destroy(&m->vm);
}

int machine_end(struct machine *m)
{
	int ret;

	vm_finish_devices(&m->vm);
	ret = m->vm.lost ? -EIO : 0;
	/* What is on the host's books goes when all that uses it is closed. */
	if (vfio_must_close(m->open.vfio)) {
		machine_destroy(m);
		return ret;
	}
	gdb_finish(m->open.gdb);
	/* As long as a disk is slow Ctrl-A x may be typed again, and devices may say a last word.
	 */
	if (m->open.command)
		guest_command_finish(m->open.command);
	if (m->open.console)
		m->open.console->ops->finish(m->open.console);
	for (u32 i = 0; i < m->open.nr_ports; i++)
		m->open.ports[i]->ops->finish(m->open.ports[i]);
	trace_flush(m->vm.trace);
	/* Last: who waits for the end of its connection waits for the end. */
	control_end(&m->control.server);
	return ret;
}

int machine_restart(struct machine *m)
{
	int ret;

	vm_pause(&m->vm);
	machine_stop_dump(m);
	vm_reset_devices(&m->vm);
	memory_discard_all(&m->vm.mem);
	memory_begin_load(&m->vm.mem);
	ret = load(m);
	if (ret)
		return ret;
	machine_tell_reset(m);
	gdb_rebooted(m->open.gdb);
	vm_clear_stop(&m->vm, VM_STOP_RESET);
	return 0;
}

/* Memory that was given to the guest cannot be written again: a new VM, over the same descriptors.
 */
static int rebuild(struct machine *m)
{
	int ret;

	unbuild(m);
	m->vm.start_ns = now_ns();
	ret = build(m);
	if (!ret)
		ret = load(m);
	if (ret)
		return ret;
	machine_tell_reset(m);
	vm_clear_stop(&m->vm, VM_STOP_RESET);
	return 0;
}

/* A pause in the loop: while it waits, a signal acts as it does outside. */
static void on_wait(struct vm *vm, bool begin)
{
	struct machine *m = container_of(vm, struct machine, vm);

	if (begin && m->open.console)
		term_stop(m->open.console, 0);
	machine_block_signals(m, !begin);
	if (!begin && m->open.console)
		term_start(m->open.console);
}

/* What a command has read of its input cannot be read again. */
static bool reboots(struct vm *vm)
{
	return vm_stop_reason(vm, NULL, NULL) == VM_STOP_RESET && !vm->cfg->no_reboot &&
	       !vm->cfg->root.linked;
}

/*
 * Only here the main loop serves signals and the terminal. Outside, a signal acts in its default
 * way and does not wait: for a slow disk while the machine ends, for an image that is read again.
 */
static void serve(struct machine *m)
{
	struct vm *vm = &m->vm;

	vm->waits = on_wait;
	machine_block_signals(m, true);
	if (m->open.console)
		term_start(m->open.console);
	if (!machine_is_paused(m)) {
		marks_add(vm->marks, MARK_GUEST, 0);
		vm_resume(vm);
	}
	event_loop_run(&vm->loop);
	/* A guest that resets at once stops the loop before it has looked at anything else. */
	if (reboots(vm))
		event_loop_drain(&vm->loop);
	/* Who typed Ctrl-A x and types it again does not want to wait. */
	if (m->open.console)
		term_stop(m->open.console,
			  vm_stop_reason(vm, NULL, NULL) == VM_STOP_QUIT ? 'x' : 0);
	machine_block_signals(m, false);
	if (reboots(vm))
		vm_pause(vm);
	else
		vm_park(vm);
}

/* The end */

struct outcome {
	enum log_level level;
	const char *message;
	int status;
};

/* What `lkvm run` says and returns for each way to end. KVM's and the CPU's own errors were
 * explained where they came up. */
static const struct outcome outcomes[] = {
	[VM_STOP_NONE] = { LOG_ERROR, "the main loop ended by itself", 1 },
	[VM_STOP_POWEROFF] = { LOG_DEBUG, "the guest powered off", 0 },
	[VM_STOP_RESET] = { LOG_INFO, "the guest asked for a reset; --no-reboot ends it here", 0 },
	[VM_STOP_DEBUG_EXIT] = { LOG_DEBUG, "the guest chose its exit status", 0 },
	[VM_STOP_PANIC] = { LOG_ERROR, "the guest's kernel panicked", EXIT_GUEST_PANIC },
	[VM_STOP_TERMINATED] = { LOG_DEBUG, "the guest ended itself", EXIT_GUEST_PANIC },
	[VM_STOP_TRIPLE_FAULT] = { LOG_ERROR,
				   "triple fault: the guest cannot handle an exception; --loglevel "
				   "debug shows the registers, on hosts whose KVM keeps them",
				   EXIT_TRIPLE_FAULT },
	[VM_STOP_KVM_ERROR] = { LOG_DEBUG, "KVM cannot continue running this guest",
				EXIT_KVM_ERROR },
	[VM_STOP_ENTRY_FAILED] = { LOG_DEBUG, "the processor refused to enter the guest",
				   EXIT_ENTRY_FAILED },
	[VM_STOP_UNKNOWN_EXIT] = { LOG_DEBUG, "unknown exit", EXIT_UNKNOWN_EXIT },
	[VM_STOP_HALTED] = { LOG_ERROR,
			     "the guest has halted for good: every vcpu waits with its interrupts "
			     "off",
			     EXIT_GUEST_HALTED },
	[VM_STOP_QUIT] = { LOG_INFO, "ended from the terminal", 0 },
	[VM_STOP_CONTROL] = { LOG_INFO, "ended through the control socket", 0 },
	[VM_STOP_SIGNAL] = { LOG_DEBUG, "ended by a signal", 0 },
};

/*
 * With --loglevel debug: the registers of the vcpu that ended the VM, or of all when someone
 * outside ended it, which is how to see where a guest hangs. (KVM's errors were dumped as they
 * came.)
 */
static void show_vcpus(struct vm *vm, enum vm_stop stop, s32 vcpu)
{
	bool outside = stop == VM_STOP_SIGNAL || stop == VM_STOP_QUIT || stop == VM_STOP_CONTROL ||
		       stop == VM_STOP_HALTED;
	bool inside = stop == VM_STOP_TRIPLE_FAULT || stop == VM_STOP_PANIC;

	if (log_get_level() < LOG_DEBUG)
		return;
	for (u32 i = 0; i < vm->nr_vcpus; i++)
		if (outside || (inside && (s32)i == vcpu))
			vcpu_dump(vm->vcpus[i], LOG_DEBUG);
}

/*
 * The guest ended before its command did, or could not begin: what its kernel said is shown. A
 * shell may turn the machine off. True: it was so, and said.
 */
static bool ended_early(struct machine *m, enum vm_stop stop)
{
	bool off = stop == VM_STOP_POWEROFF || stop == VM_STOP_RESET;

	if (!m->open.command || guest_command_status(m->open.command) >= 0 ||
	    (!off && stop != VM_STOP_PANIC && stop != VM_STOP_TRIPLE_FAULT &&
	     stop != VM_STOP_HALTED))
		return false;
	if (stop == VM_STOP_POWEROFF && !m->vm.cfg->root.command &&
	    guest_command_is_running(m->open.command))
		return false;
	kept_console_show(m->open.kept);
	if (off)
		err("the guest %s before its %s had %s; its kernel's last words are above",
		    stop == VM_STOP_RESET ? "was reset" : "was turned off",
		    m->vm.cfg->root.command ? "command" : "shell",
		    guest_command_is_running(m->open.command) ? "ended" : "begun");
	return off;
}

static void say_end(struct machine *m, enum vm_stop stop, s32 vcpu)
{
	const struct outcome *o = &outcomes[stop];

	if (vcpu >= 0)
		log_print(o->level, "vcpu %d: %s", vcpu, o->message);
	else if (stop == VM_STOP_QUIT && machine_has_own_consoles(m))
		log_print(o->level, "ended by its time limit");
	else if (o->level == LOG_INFO && m->inject && m->inject->watch && m->inject->watch->judges)
		debug("%s", o->message);
	else
		log_print(o->level, "%s", o->message);
	show_vcpus(&m->vm, stop, vcpu);
}

static int conclude(struct machine *m, int *signal)
{
	int status;
	s32 vcpu;
	enum vm_stop stop = vm_stop_reason(&m->vm, &status, &vcpu);
	const struct outcome *o = &outcomes[stop];

	*signal = stop == VM_STOP_SIGNAL ? status : 0;
	if (ended_early(m, stop)) {
		status = kept_console_panicked(m->open.kept) ? EXIT_GUEST_PANIC : EXIT_FAILURE;
	} else {
		say_end(m, stop, vcpu);
		if (stop != VM_STOP_DEBUG_EXIT)
			status = o->status;
	}
	gdb_ended(m->open.gdb, status, *signal);
	machine_tell_end(m, o->message, status);
	return status;
}

int machine_run(struct machine *m, int *signal)
{
	struct vm *vm = &m->vm;

	*signal = 0;
	for (;;) {
		serve(m);
		if (!reboots(vm))
			return conclude(m, signal);
		guest_info("the guest reboots");
		if (vm->coco && !vm->coco->may_reset ? rebuild(m) : machine_restart(m))
			return 1;
	}
}
