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

struct machine {
	struct vm vm;
	struct boot boot;
	struct console *console;
	struct event signals; /* a signalfd */
};

/*
 * Open what @cfg names, create the VM, its vcpus and devices, load the guest. @cfg must be complete
 * (config_complete) and outlive the machine. Prints; on failure nothing is left behind.
 */
int machine_create(struct machine *m, const struct vm_config *cfg) __must_check;
/* Run until the guest ends or a signal comes. Returns lkvm's exit status; *signal is the signal
 * that ended it, or 0. */
int machine_run(struct machine *m, int *signal);
void machine_destroy(struct machine *m);

#endif
