/* SPDX-License-Identifier: MIT */
/* smoke/boot-time.c: `lkvm run --boot-time`. */
#ifndef LKVM_BOOT_TIME_H
#define LKVM_BOOT_TIME_H

#include "lkvm/machine.h"
#include "lkvm/marks.h"
#include "lkvm/smoke.h"

struct boot_time {
	struct smoke smoke; /* only looks for init */
	struct marks marks;
	struct machine_watch watch;
	struct machine_inject inject; /* for machine_create_with */
};

/* For a machine of @cfg, in a process that began at @start_ns. Never NULL; it outlives the machine.
 */
struct boot_time *boot_time_begin(const struct vm_config *cfg, u64 start_ns);
void boot_time_free(struct boot_time *t);
/* The machine has ended: says them, whatever the log level. */
void boot_time_end(const struct boot_time *t);
/* One line at level info. */
void boot_time_say(const struct marks *marks);

#endif
