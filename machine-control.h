/* SPDX-License-Identifier: MIT */
/* Between the files with what a machine can be asked: machine-control.c has the rows, and
 * machine-wait.c what calls that are put off need. */
#ifndef LKVM_MACHINE_CONTROL_H
#define LKVM_MACHINE_CONTROL_H

#include "lkvm/control.h"
#include "lkvm/machine.h"

/* machine-wait.c: "running", or what keeps it from that, in words. */
const char *machine_state(struct machine *m);

/*
 * Put @call off: @again is called every some milliseconds until it returns something else than
 * -EAGAIN (0, or what control_fail returned), at the latest after @patience_ms, when @last is true
 * and -EAGAIN is no more an answer. @data is the caller's. Returns CONTROL_LATER, or what
 * control_fail returned.
 */
struct machine_wait {
	struct machine *m;
	struct control_call *call;
	int (*again)(struct machine_wait *w, bool last);
	u64 data;
	u64 deadline_ns;
	struct event_timer timer;
};
int machine_wait(struct machine *m, struct control_call *call,
		 int (*again)(struct machine_wait *w, bool last), u64 data, u64 patience_ms);

/* machine-balloon.c */
extern const struct control_arg machine_balloon_args[];
int machine_run_balloon(struct control_call *call, void *opaque);
int machine_run_stat(struct control_call *call, void *opaque);
/* machine-exits.c */
extern const struct control_arg machine_kvm_stats_args[];
int machine_run_exits(struct control_call *call, void *opaque);
int machine_run_kvm_stats(struct control_call *call, void *opaque);
/* machine-debug.c */
extern const struct control_arg machine_registers_args[], machine_nmi_args[], machine_sysrq_args[];
int machine_run_registers(struct control_call *call, void *opaque);
int machine_run_nmi(struct control_call *call, void *opaque);
int machine_run_sysrq(struct control_call *call, void *opaque);
/* machine-dump.c */
int machine_run_dump(struct control_call *call, void *opaque);

#endif
