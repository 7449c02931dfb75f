/* SPDX-License-Identifier: MIT */
/*
 * `lkvm selftest`: machines made in this process around the built-in guest (guest/selftest) or a
 * test image, and what they have to say as TAP, a table or JSON.
 */
#ifndef LKVM_SELFTEST_H
#define LKVM_SELFTEST_H

#include <pthread.h>

#include "lkvm/config.h"
#include "lkvm/console.h"
#include "lkvm/event.h"
#include "lkvm/machine.h"
#include "lkvm/types.h"

enum selftest_transports { SELFTEST_BOTH, SELFTEST_PCI, SELFTEST_MMIO };

struct selftest_options {
	/* What every machine is asked for: rows of `lkvm run`. memory 0: chosen; params: an
	 * image's. */
	struct vm_config cfg;
	int transports; /* enum selftest_transports */
	bool exits;
	bool json;
	u32 rounds;	   /* 0: chosen */
	u32 timeout;	   /* seconds that one machine may run */
	const char *image; /* NULL: the built-in guest */
};

/* selftest/report.c: TAP version 12 points, or the same as JSON, on standard output as they come.
 * One caller at a time. */
struct selftest_report {
	bool json;
	const char *run; /* goes in front of each name; NULL: nothing */
	u32 points, failed, skipped;
	bool in_notes; /* JSON: the last point's list of notes is open */
};

void report_begin(struct selftest_report *r, bool json);
/* @skipped: the reason, or NULL. Text may come from a guest. */
void report_point(struct selftest_report *r, bool ok, const char *name, const char *skipped);
/* A line about the last point. */
void report_note(struct selftest_report *r, const char *fmt, ...) __printf(2, 3);
void report_end(struct selftest_report *r);
/* @s as a JSON string, quotes included. */
void print_json_string(const char *s);

/*
 * selftest/vm.c: a machine whose serial port is read line by line, with a time limit; with a disk,
 * a network and a virtio console that give back what they get.
 */
#define SELFTEST_LINE 512

struct selftest_vm {
	const struct selftest_options *options;
	struct vm_config cfg;
	struct machine machine;
	struct machine_inject inject;
	bool made;
	int disk_fd;

	/* Each line of the serial port without its end, control characters made '?'; on a vcpu's
	 * thread, one at a time. */
	void (*line)(struct selftest_vm *vm, char *line);
	void *opaque;
	pthread_mutex_t lock; /* of what is below */
	struct console serial;
	char text[SELFTEST_LINE];
	size_t len;

	struct console echo;
	const struct console_client *client; /* main loop's thread */
	struct event_post post;
	u8 waiting[256];
	size_t nr_waiting;

	struct event_timer limit;
	bool timed_out;
};

/* Can a machine be as @o asks? 0, or a negative errno after printing; -EINVAL: wrong usage. */
int selftest_check(const struct selftest_options *o) __must_check;
/* @cmdline is copied. Prints; on failure selftest_vm_destroy is still called. */
int selftest_vm_create(struct selftest_vm *vm, const struct selftest_options *o,
		       enum virtio_transport_kind transport, const char *cmdline) __must_check;
/* Run until the guest ends, @ms pass (0: no limit) or a signal comes; see machine_run. */
int selftest_vm_run(struct selftest_vm *vm, u64 ms, int *sig);
/* From now on @ms are left. Any thread. */
void selftest_vm_set_limit(struct selftest_vm *vm, u64 ms);
/* Start anew, with another command line. */
int selftest_vm_restart(struct selftest_vm *vm, const char *cmdline) __must_check;
void selftest_vm_destroy(struct selftest_vm *vm);
/* Does the disk hold what the built-in guest wrote? */
bool selftest_disk_written(const struct selftest_vm *vm);

/*
 * selftest/run.c. Each runs one machine, or one for each transport, to its end; returns the signal
 * that ended it, or 0. What fails becomes a point that is not ok.
 */
int selftest_checks(const struct selftest_options *o, struct selftest_report *report);
int selftest_image_run(const struct selftest_options *o, struct selftest_report *report);
/* Prints its table or JSON itself; *status is the exit status. */
int selftest_exits(const struct selftest_options *o, int *status);

/* selftest/exits.c: the table of costs. */
struct exits_table {
	bool json;
	bool any;
	u32 khz; /* of the guest's clock; 0: not known */
};
void exits_begin(struct exits_table *t, const struct selftest_options *o);
void exits_row(struct exits_table *t, const char *name, u32 *samples, u32 n);
void exits_skipped(struct exits_table *t, const char *name, const char *why);
void exits_end(struct exits_table *t);

#endif
