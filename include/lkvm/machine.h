/* SPDX-License-Identifier: MIT */
/*
 * One machine composed out of a configuration. Its life is a story of five stages:
 *
 *   open     everything that has a name: KVM, images, disks, networks, the console (struct
 *            machine_open). Devices borrow it; a VM that is made anew for a reset keeps it.
 *   build    the VM, its memory, interrupt controllers, vcpus, devices, threads (parked).
 *   lock in  after this nothing is opened.
 *   load     what the guest starts from, as a list (plan.h), into the VM; vcpus to their first
 *            state.
 *   run      until the guest ends or somebody asks for it; a reset loads again.
 *
 * A machine that is only described (--dump-boot, --dump-dtb) goes the same way without KVM, over
 * back ends that do nothing, and ends where the list is made.
 */
#ifndef LKVM_MACHINE_H
#define LKVM_MACHINE_H

#include <signal.h>

#include "lkvm/arch.h"
#include "lkvm/boot.h"
#include "lkvm/child.h"
#include "lkvm/console.h"
#include "lkvm/control.h"
#include "lkvm/event.h"
#include "lkvm/hw.h"
#include "lkvm/types.h"
#include "lkvm/vm.h"

struct disk;
struct net_backend;
struct vsock_backend;
struct share;
struct pmem;
struct vhost;
struct disk_config;
struct gdb;
struct machine_dump;
struct measure;
struct marks;
struct guest_command;
struct net_config;
struct vm_config;

/* Who follows a machine. */
struct machine_watch {
	/*
	 * What a console of the guest says, as it says it: 0 is the serial port, 1 the virtio
	 * console's own, others are ports that are consoles. Any thread; several at a time, but one
	 * for each console. NULL: is not wanted.
	 */
	void (*output)(void *opaque, u32 console, const u8 *buf, size_t len);
	void *opaque;
	struct marks *marks; /* NULL: none */
	/* Of the terminal; see struct term_hooks. */
	enum term_output show;
	bool no_input;
	bool judges; /* it says itself how the machine ended, but for errors */
};
#define MACHINE_CONSOLES(cfg) (2 + (cfg)->nr_ports)

/* What `lkvm selftest` and others put into a machine from inside the process. */
struct machine_inject {
	/* Started instead of the configuration's kernel; NULL: that one. */
	u8 *image;
	u64 image_len;
	/* Stand behind the serial port and a virtio console instead of the terminal; owned by the
	 * caller. NULL: the terminal is there. */
	struct console *serial;
	struct console *hvc;		   /* NULL: no virtio console; needs @serial */
	const struct machine_watch *watch; /* NULL: nobody */
};

/* A network and its device's address. */
struct machine_net {
	struct net_backend *nb; /* NULL: mode=none, or mode=vhost-user */
	struct vhost *vhost;	/* of the latter */
	u8 mac[6];
};

/* A directory that is shared by virtio-fs. */
struct machine_virtiofs {
	struct vhost *vhost;
	struct child child; /* the virtiofsd that was started for it */
};

/* All that was opened by name, but for /dev/kvm, which is in the VM's struct kvm. */
struct machine_open {
	struct boot boot;
	struct flash_file flash;    /* path NULL: none */
	struct arch_pci_layout pci; /* of the PCI host, if there is one */
	struct disk **disks;	    /* as in the configuration */
	/* Of disks that somebody else serves; NULL for the others, and the disk is NULL then. */
	struct vhost **disk_vhosts;
	u32 nr_disks;
	struct machine_net *nets; /* as in the configuration */
	u32 nr_nets;
	struct vsock_backend *vsock; /* NULL: none */
	struct vhost *vsock_vhost;   /* instead; NULL: none */
	struct share **shares;	     /* as in the configuration */
	u32 nr_shares;
	struct pmem *pmems; /* as in the configuration */
	u32 nr_pmems;
	struct event pmem_lost;		   /* an eventfd on the main loop; fd 0: none */
	struct machine_virtiofs *virtiofs; /* as in the configuration */
	u32 nr_virtiofs;
	struct vfio_set *vfio;	 /* NULL: none */
	struct console *console; /* the terminal; NULL where machine_inject has its own */
	/* With a command or a shell that lkvm's own init runs; else NULL: who carries its streams,
	 * its port, and what stands behind the guest's console instead of the terminal. */
	struct guest_command *command;
	struct console *link, *kept;
	struct console **ports; /* as in the configuration */
	u32 nr_ports;
	struct gdb *gdb; /* NULL: none */
	/* Of a serial port that is not the guest's console: earlycon and firmware speak there. */
	struct console_output serial;
	struct console_firmware firmware; /* where arch_platform.firmware_console is */
	struct console_watch *watches; /* as struct machine_watch counts them; NULL: nobody does */
	struct event signals;	       /* a signalfd on the main loop; -1: none */
};

/* What is asked of it through its control socket. */
struct machine_control {
	struct control server;
	const char *state;	   /* of which clients were told last */
	bool stopping;		   /* the guest was asked to power off */
	struct event_timer insist; /* it did not */
	struct event_post slept;   /* tells of a guest that fell asleep or was woken */
	struct machine_dump *dump; /* under way; NULL: none */
};

struct machine {
	struct vm vm;
	struct machine_open open;
	struct machine_control control;
	const struct machine_inject *inject;
	sigset_t ending;      /* the signals that end it */
	sigset_t mask_before; /* of the main thread, while it serves signals */
};

/*
 * Open what @cfg names, create the VM, its vcpus and devices, load the guest. @cfg must be complete
 * (config_complete) and outlive the machine. Prints; on failure nothing is left behind.
 */
int machine_create(struct machine *m, const struct vm_config *cfg) __must_check;
/* The same with @inject (NULL: nothing), which must outlive the machine too. */
int machine_create_with(struct machine *m, const struct vm_config *cfg,
			const struct machine_inject *inject) __must_check;
/*
 * After machine_run ended by VM_STOP_RESET, which cfg->no_reboot makes it do: everything back to
 * where the guest starts; machine_run goes on. 0 or -errno (printed).
 */
int machine_restart(struct machine *m) __must_check;
/*
 * Run until the guest ends or a signal comes; a guest that resets starts again. Returns lkvm's exit
 * status; *signal is the signal that ended it, or 0. SIGTERM, SIGINT and SIGHUP end the process in
 * their default way whenever the main loop does not serve them.
 */
int machine_run(struct machine *m, int *signal);
/*
 * Two ways to end. machine_end is for a process that ends, at once: what the guest wrote is with
 * the host and the terminal as it was found, and nothing is released, since the kernel does that
 * faster. Threads of the machine run on, and use it and its configuration until the process is
 * gone: the caller exits, and returns from no function whose variables they are. machine_destroy
 * ends them and releases everything, also of a machine that was made in part.
 *
 * machine_end returns 0, or -EIO: something that was to be kept at the end (--vfio state-out=) is
 * lost, which was said.
 */
int machine_end(struct machine *m);
void machine_destroy(struct machine *m);

/*
 * machine-open.c: images, disks, networks and the console of @cfg; signals, as far as they are not
 * ignored. Prints; on failure the caller closes. machine_open_stubs puts back ends that do nothing
 * where machine_open_all opens disks and networks: for a machine that is only described.
 */
int machine_open_all(struct machine *m, const struct vm_config *cfg) __must_check;
int machine_open_stubs(struct machine *m, const struct vm_config *cfg) __must_check;
/* boot_begin; then the kernel's contents can be looked at, and at the first time it is decided, and
 * told, what lkvm's own words for Linux become. Prints. */
int machine_begin_boot(struct machine *m, struct guest_memory *mem) __must_check;
void machine_close(struct machine *m);
/* machine-command.c: the streams of the command that the guest runs, where it does. */
int machine_open_command(struct machine *m, const struct vm_config *cfg) __must_check;
void machine_close_command(struct machine_open *open);
/* The guest is asked to end: by its power button, or by SIGTERM to the command that it runs. 0, or
 * -errno where neither is there. Main loop's thread. */
int machine_power_button(struct machine *m);
/* The same as somebody presses the button: a guest that sleeps is woken by it, and not more. */
int machine_press_button(struct machine *m);
/*
 * machine-pmem.c: the same for persistent memory, which also gets its place there; then it is
 * mapped, or (@sketch) not.
 */
int machine_open_pmems(struct machine *m, const struct vm_config *cfg) __must_check;
int machine_stub_pmems(struct machine *m, const struct vm_config *cfg) __must_check;
int machine_map_pmems(struct machine *m, bool sketch) __must_check;
void machine_close_pmems(struct machine *m);
/* machine-vhost.c: the same for what somebody else serves, and the programs that were started for
 * that. */
int machine_open_disk_vhost(const struct disk_config *dc, struct vhost **out) __must_check;
int machine_open_net_vhost(const struct net_config *nc, struct vhost **out) __must_check;
int machine_open_vsock(struct machine_open *open, const struct vm_config *cfg) __must_check;
int machine_open_virtiofs(struct machine *m, const struct vm_config *cfg) __must_check;
int machine_stub_vhosts(struct machine_open *open, const struct vm_config *cfg) __must_check;
void machine_close_vhosts(struct machine_open *open);
/* machine-control.c: the control socket and what it can be asked. */
int machine_open_control(struct machine *m, const struct vm_config *cfg) __must_check;
void machine_close_control(struct machine *m);
/* Clients that want to know are told: of a reset, and of the end, as @how and lkvm's exit status.
 */
void machine_tell_reset(struct machine *m);
void machine_tell_end(struct machine *m, const char *how, int status);
/* machine-dump.c: the guest's memory goes: who writes it down is told that it will not end. */
void machine_stop_dump(struct machine *m);
/* Block the signals that end a machine, or put back what was blocked before that. */
void machine_block_signals(struct machine *m, bool block);

/* Was it paused by a command, and not resumed by another? A reboot changes nothing of it. */
static inline bool machine_is_paused(struct machine *m)
{
	return vm_holders(&m->vm) & VM_HOLD_USER;
}

/* Does somebody in this process stand behind the consoles, instead of the terminal? */
static inline bool machine_has_own_consoles(const struct machine *m)
{
	return m->inject && m->inject->serial;
}

/* machine-parts.c: add all devices, in the order that the guest sees. Prints. */
int machine_add_parts(struct machine *m) __must_check;

/*
 * machine-describe.c: make the machine of @cfg without KVM and without its disks, networks and
 * console, and write what --dump-boot and --dump-dtb ask for; see docs. The same bytes on every
 * host. Prints; 0 or -errno.
 */
int machine_describe(const struct vm_config *cfg) __must_check;
/*
 * What it does first: machine_create's story, as far as that needs no KVM, up to the checked list
 * of what the guest starts from. Neither @m nor @plan need be prepared; after a success
 * machine_sketch_end releases both, and returns @ret, or, of 0, what was wrong with images that are
 * read to their end only now. Both print; 0 or -errno.
 */
int machine_sketch(struct machine *m, const struct vm_config *cfg,
		   struct boot_plan *plan) __must_check;
int machine_sketch_end(struct machine *m, struct boot_plan *plan, int ret) __must_check;

/*
 * machine-measure.c: follow the launch of @cfg, which is complete and asks for a guest that is
 * measured, without KVM; @measure has its log, and gets the results, which the caller frees
 * (measure_free) in any case. Prints; 0 or -errno.
 */
int machine_measure(const struct vm_config *cfg, struct measure *measure) __must_check;

#endif
