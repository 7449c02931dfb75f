/* SPDX-License-Identifier: MIT */
/* One machine composed out of a configuration; machine.c is the only file that knows every part. */
#ifndef LKVM_MACHINE_H
#define LKVM_MACHINE_H

#include "lkvm/boot.h"
#include "lkvm/event.h"
#include "lkvm/types.h"
#include "lkvm/vm.h"

struct console;
struct vm_config;

/* What `lkvm selftest` puts into a machine from inside the process. */
struct machine_inject {
	/* Started instead of the configuration's kernel; NULL: that one. */
	u8 *image;
	u64 image_len;
	/* Stand behind the serial port and a virtio console instead of the terminal; owned by the
	 * caller. */
	struct console *serial;
	struct console *hvc; /* NULL: no virtio console */
};

struct machine {
	struct vm vm;
	struct boot boot;
	struct console *console; /* the terminal; NULL with @inject */
	const struct machine_inject *inject;
	struct event signals; /* a signalfd */
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
 * Write the device tree that the guest would get to @path, whole or not at all. Prints; 0 or
 * -errno.
 */
int machine_dump_dtb(struct machine *m, const char *path) __must_check;
/*
 * After machine_run ended by VM_STOP_RESET, which cfg->no_reboot makes it do: everything back to
 * where the guest starts; machine_run goes on. 0 or -errno (printed).
 */
int machine_restart(struct machine *m) __must_check;
/*
 * After machine_run: the guest reboots and is protected, so its memory cannot be written anew:
 * destroy the machine and make it again.
 */
bool machine_again(const struct machine *m);
/* Run until the guest ends or a signal comes. Returns lkvm's exit status; *signal is the signal
 * that ended it, or 0. */
int machine_run(struct machine *m, int *signal);
void machine_destroy(struct machine *m);

#endif
