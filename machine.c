/* SPDX-License-Identifier: MIT */
/*
 * Composes one machine out of a configuration and runs it: the only file that knows every part. The
 * table of parts below is the order in which devices come into being, are reset and describe
 * themselves.
 */
#include "lkvm/machine.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "lkvm/arch.h"
#include "lkvm/coco.h"
#include "lkvm/config.h"
#include "lkvm/console.h"
#include "lkvm/device.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/plan.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/virtio.h"

/* The parts of a machine, in order */

static int add_platform(struct machine *m)
{
	return arch_add_devices(&m->vm);
}

static int add_serial(struct machine *m)
{
	struct console *con = m->vm.cfg->console == CONSOLE_SERIAL ? m->console : NULL;

	if (m->inject)
		con = m->inject->serial;
	return serial_create(&m->vm, &arch_platform.serial, arch_platform.serial_reg_shift, con);
}

static int add_pvpanic(struct machine *m)
{
	return arch_platform.pvpanic.size ? pvpanic_create(&m->vm, &arch_platform.pvpanic) : 0;
}

static int add_debug_exit(struct machine *m)
{
	return arch_platform.debug_exit.size ? debug_exit_create(&m->vm, &arch_platform.debug_exit)
					     : 0;
}

static int add_boot_mark(struct machine *m)
{
	return arch_platform.boot_mark.size ? boot_mark_create(&m->vm, &arch_platform.boot_mark)
					    : 0;
}

static int add_pci_host(struct machine *m)
{
	if (m->vm.cfg->transport != TRANSPORT_PCI)
		return 0;
	return pci_host_create(&m->vm, &arch_platform.pci);
}

static int add_disks(struct machine *m)
{
	const struct vm_config *cfg = m->vm.cfg;
	int ret = 0;

	for (u32 i = 0; i < cfg->nr_disks && !ret; i++)
		ret = virtio_blk_create(&m->vm, &cfg->disks[i], i);
	return ret;
}

static int add_nets(struct machine *m)
{
	const struct vm_config *cfg = m->vm.cfg;
	int ret = 0;

	for (u32 i = 0; i < cfg->nr_nets && !ret; i++)
		if (cfg->nets[i].mode != NET_NONE)
			ret = virtio_net_create(&m->vm, &cfg->nets[i], i);
	return ret;
}

static int add_rng(struct machine *m)
{
	return m->vm.cfg->rng ? virtio_rng_create(&m->vm) : 0;
}

static int add_virtio_console(struct machine *m)
{
	if (m->inject)
		return m->inject->hvc ? virtio_console_create(&m->vm, m->inject->hvc) : 0;
	if (m->vm.cfg->console != CONSOLE_VIRTIO)
		return 0;
	return virtio_console_create(&m->vm, m->console);
}

/* Behind the virtio devices, which then have the same slots whether it is there or not. */
static int add_pvpanic_pci(struct machine *m)
{
	return arch_platform.pvpanic_pci && m->vm.pci ? pvpanic_pci_create(&m->vm) : 0;
}

static int (*const parts[])(struct machine *m) = {
	add_platform, add_serial, add_pvpanic, add_debug_exit,	   add_boot_mark,   add_pci_host,
	add_disks,    add_nets,	  add_rng,     add_virtio_console, add_pvpanic_pci,
};

/* Host signals and the terminal's menu */

static void on_signal(void *opaque, u32 events)
{
	struct machine *m = opaque;
	struct signalfd_siginfo info;

	if (read(m->signals.fd, &info, sizeof(info)) == sizeof(info))
		vm_request_stop(&m->vm, VM_STOP_SIGNAL, (int)info.ssi_signo, -1);
}

static int catch_signals(struct machine *m)
{
	sigset_t set;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	m->signals.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (m->signals.fd < 0) {
		err("cannot watch for signals: %s", strerror(errno));
		return -errno;
	}
	m->signals.events = EPOLLIN;
	m->signals.fn = on_signal;
	m->signals.opaque = m;
	ret = event_add(&m->vm.loop, &m->signals);
	if (ret)
		err("cannot watch for signals: %s", strerror(-ret));
	return ret;
}

static void on_quit(void *opaque)
{
	struct machine *m = opaque;

	vm_request_stop(&m->vm, VM_STOP_QUIT, 0, -1);
}

static void on_power_button(void *opaque)
{
	struct machine *m = opaque;

	if (arch_power_button(&m->vm) < 0)
		warn("this machine has no power button");
}

/* Making and destroying */

static int create_vcpus(struct vm *vm)
{
	u32 max = vm->kvm.max_vcpus;

	if (vm->cfg->cpus > max) {
		err("-c %u: this host's KVM takes at most %u vcpus in one VM", vm->cfg->cpus, max);
		return -EINVAL;
	}
	vm->vcpus = xcalloc(vm->cfg->cpus, sizeof(vm->vcpus[0]));
	for (u32 i = 0; i < vm->cfg->cpus; i++) {
		int ret = vcpu_create(vm, i, &vm->vcpus[i]);

		if (ret)
			return ret;
		vm->nr_vcpus++;
	}
	return 0;
}

static int create_vm(struct vm *vm)
{
	u64 type;
	int ret;

	vm->coco = arch_coco(vm->cfg);
	vm->access_platform = vm->coco;
	ret = kvm_open(&vm->kvm, vm->cfg->kvm_path);
	if (ret)
		return ret;
	ret = arch_check_host(&vm->kvm);
	if (ret)
		return ret;
	ret = arch_vm_type(&vm->kvm, vm->cfg, &type);
	if (ret)
		return ret;
	if (vm->coco && vm->coco->vm_type)
		ret = vm->coco->vm_type(&vm->kvm, vm->cfg, &type);
	if (ret)
		return ret;
	ret = kvm_create_vm(&vm->kvm, type);
	if (ret)
		return ret;
	ret = irq_init(&vm->irqs, &kvm_irq_chip_ops, &vm->kvm);
	if (ret)
		return ret;
	ret = arch_add_memory(vm);
	if (ret)
		return ret;
	if (vm->coco && vm->coco->memory)
		ret = vm->coco->memory(vm);
	if (ret)
		return ret;
	ret = kvm_attach_memory(&vm->kvm, &vm->mem);
	if (ret) {
		err("cannot give the guest its memory: %s", strerror(-ret));
		return ret;
	}
	ret = arch_vm_init(vm);
	if (ret)
		return ret;
	ret = create_vcpus(vm);
	if (ret)
		return ret;
	return arch_vm_late_init(vm);
}

/* Everything in the state in which the guest starts: at first and after each reset. */
static int load(struct machine *m)
{
	struct boot_plan plan;
	struct vm *vm = &m->vm;
	int ret;

	boot_plan_init(&plan);
	ret = arch_boot_plan(vm, &m->boot, &plan);
	if (!ret)
		ret = boot_plan_check(&plan, &vm->mem);
	for (u32 i = 0; i < vm->nr_vcpus && !ret; i++)
		ret = arch_vcpu_reset(vm->vcpus[i]);
	if (!ret)
		ret = boot_launch(vm, &plan);
	boot_plan_free(&plan);
	return ret;
}

static int open_console(struct machine *m)
{
	const struct term_hooks hooks = {
		.quit = on_quit,
		.power_button = on_power_button,
		.opaque = m,
	};
	int ret;

	if (m->inject)
		return 0;
	ret = term_create(&m->vm.loop, &hooks, &m->console);
	if (ret)
		err("cannot set up the console: %s", strerror(-ret));
	return ret;
}

static int build(struct machine *m)
{
	int ret;

	ret = catch_signals(m);
	if (ret)
		return ret;
	ret = create_vm(&m->vm);
	if (ret)
		return ret;
	ret = open_console(m);
	if (ret)
		return ret;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		ret = parts[i](m);
		if (ret)
			return ret;
	}
	ret = load(m);
	if (ret)
		return ret;
	return vm_start_vcpus(&m->vm);
}

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
	m->signals.fd = -1;
	m->inject = inject;
	ret = boot_open(&m->boot, cfg);
	if (ret)
		return ret;
	if (inject && inject->image)
		boot_image_from_buffer(&m->boot.kernel, "the built-in guest", inject->image,
				       inject->image_len);
	ret = vm_init(&m->vm, cfg);
	if (ret) {
		boot_close(&m->boot);
		return ret;
	}
	/* Opening what it boots took its time too. */
	m->vm.start_ns = start_ns;
	ret = build(m);
	if (ret)
		machine_destroy(m);
	return ret;
}

void machine_destroy(struct machine *m)
{
	vm_stop_vcpus(&m->vm);
	if (m->console)
		m->console->ops->set_client(m->console, NULL);
	if (m->signals.fd >= 0) {
		event_del(&m->signals);
		close(m->signals.fd);
	}
	/* Devices may say a last word: the terminal goes behind them, but before the loop that it
	 * watches. */
	vm_destroy_devices(&m->vm);
	if (m->console)
		m->console->ops->destroy(m->console);
	vm_destroy_vcpus(&m->vm);
	arch_vm_destroy(&m->vm);
	if (m->vm.coco && m->vm.coco->destroy)
		m->vm.coco->destroy(&m->vm);
	vm_destroy(&m->vm);
	boot_close(&m->boot);
}

/* Running */

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
	[VM_STOP_TRIPLE_FAULT] = { LOG_ERROR,
				   "triple fault: the guest met an exception that it has no way "
				   "to handle; "
				   "--loglevel debug shows the registers",
				   EXIT_TRIPLE_FAULT },
	[VM_STOP_KVM_ERROR] = { LOG_DEBUG, "KVM cannot go on with this guest", EXIT_KVM_ERROR },
	[VM_STOP_ENTRY_FAILED] = { LOG_DEBUG, "the guest cannot be entered", EXIT_ENTRY_FAILED },
	[VM_STOP_UNKNOWN_EXIT] = { LOG_DEBUG, "unknown exit", EXIT_UNKNOWN_EXIT },
	[VM_STOP_HOST_ERROR] = { LOG_DEBUG, "the host failed", 1 },
	[VM_STOP_QUIT] = { LOG_INFO, "ended from the terminal", 0 },
	[VM_STOP_SIGNAL] = { LOG_DEBUG, "ended by a signal", 0 },
};

/*
 * With --loglevel debug: the registers of the vcpu that ended the VM, or of all when someone
 * outside ended it, which is how to see where a guest hangs. (KVM's errors were dumped as they
 * came.)
 */
static void show_vcpus(struct vm *vm)
{
	bool outside = vm->stop == VM_STOP_SIGNAL || vm->stop == VM_STOP_QUIT;
	bool inside = vm->stop == VM_STOP_TRIPLE_FAULT || vm->stop == VM_STOP_PANIC;

	if (log_get_level() < LOG_DEBUG)
		return;
	for (u32 i = 0; i < vm->nr_vcpus; i++)
		if (outside || (inside && (s32)i == vm->stop_vcpu))
			vcpu_dump(vm->vcpus[i], LOG_DEBUG);
}

static int conclude(struct machine *m)
{
	const struct outcome *o = &outcomes[m->vm.stop];
	struct vm *vm = &m->vm;

	if (vm->stop_vcpu >= 0)
		log_print(o->level, "vcpu %d: %s", vm->stop_vcpu, o->message);
	else if (vm->stop == VM_STOP_QUIT && m->inject)
		log_print(o->level, "ended by its time limit");
	else
		log_print(o->level, "%s", o->message);
	show_vcpus(vm);
	return vm->stop == VM_STOP_DEBUG_EXIT ? vm->stop_status : o->status;
}

int machine_dump_dtb(struct machine *m, const char *path)
{
	const struct boot_entry *fdt;
	struct boot_plan plan;
	int ret;

	boot_plan_init(&plan);
	ret = arch_boot_plan(&m->vm, &m->boot, &plan);
	if (ret)
		goto out;
	fdt = boot_plan_find(&plan, BOOT_FDT);
	if (!fdt) {
		err("--dump-dtb '%s': this machine has no device tree", path);
		ret = -ENOTSUP;
		goto out;
	}
	ret = write_file(path, fdt->bytes, fdt->len);
	if (ret)
		err("--dump-dtb '%s': cannot write the device tree: %s", path, strerror(-ret));
out:
	boot_plan_free(&plan);
	return ret;
}

bool machine_again(const struct machine *m)
{
	const struct vm *vm = &m->vm;

	return vm->stop == VM_STOP_RESET && vm->coco && !vm->coco->may_reset && !vm->cfg->no_reboot;
}

int machine_restart(struct machine *m)
{
	int ret;

	vm_reset_devices(&m->vm);
	memory_discard_all(&m->vm.mem);
	ret = load(m);
	if (ret)
		return ret;
	vm_clear_stop(&m->vm);
	return 0;
}

int machine_run(struct machine *m, int *signal)
{
	struct vm *vm = &m->vm;

	*signal = 0;
	for (;;) {
		vm_resume(vm);
		event_loop_run(&vm->loop);
		vm_pause(vm);
		if (vm->stop != VM_STOP_RESET || vm->cfg->no_reboot)
			break;
		info("the guest reboots");
		if (machine_again(m))
			return 0;
		if (machine_restart(m))
			return 1;
	}
	if (vm->stop == VM_STOP_SIGNAL)
		*signal = vm->stop_status;
	return conclude(m);
}
