/* SPDX-License-Identifier: MIT */
/*
 * A debugger at the guest (--gdb): a server of GDB's remote protocol on the main loop, for one
 * client at a time. While a client is there the VM is held whenever the client thinks that it
 * stands still (VM_HOLD_GDB), paused as for anything else: memory does not change. A client that
 * goes, in whatever way, takes its breakpoints along, and the guest runs on.
 */
#ifndef LKVM_GDB_H
#define LKVM_GDB_H

#include "lkvm/types.h"

struct gdb;
struct vm;

/*
 * Listen where vm->cfg->gdb says, on the main loop of @vm, which does not run yet and need not be
 * complete; with --gdb-wait hold it. Prints; 0 or -errno. Main thread, as all that follows.
 */
int gdb_open(struct vm *vm, struct gdb **out) __must_check;
/* The guest was loaded again for a reboot: breakpoints in its memory are gone, and a client is told
 * and asked before the first instruction. NULL is fine here and below. */
void gdb_rebooted(struct gdb *g);
/* The guest ended, with lkvm's exit status or by a signal: tell the client. Never waits. */
void gdb_ended(struct gdb *g, int status, int signal);
/* Take away the names that were made: the process ends. */
void gdb_finish(struct gdb *g);
void gdb_close(struct gdb *g);

#endif
