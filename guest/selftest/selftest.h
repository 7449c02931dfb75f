/* SPDX-License-Identifier: MIT */
/*
 * The built-in guest of `lkvm selftest`: its checks and its measurements of exits. Common code is
 * here; guest/ARCH/selftest.c implements what stands in arch.h.
 *
 * It talks to lkvm by lines on the serial port: TAP points without numbers, comments, and lines
 * that begin with '@' (see selftest/run.c).
 */
#ifndef GUEST_SELFTEST_H
#define GUEST_SELFTEST_H

#include "arch.h"
#include "virtio.h"

/* checks.c: note that @what is wrong unless the two are equal; true when they are. */
bool expect(const char *what, u64 seen, u64 wanted);

/* Run them one by one and say what came of each; the number of points. */
u32 run_checks(const struct check *checks, u32 n);
/*
 * Let interrupts in until *p is at least @wanted; false: it did not happen (arch_hangs). Unless
 * @quiet this CPU leaves the guest now and then: there are KVMs that deliver interrupts to a CPU
 * only when it does.
 */
bool wait_until(const volatile u32 *p, u32 wanted, bool quiet);
static inline bool wait_for(const volatile u32 *p, u32 wanted)
{
	return wait_until(p, wanted, false);
}
/* Let interrupts in for a while. */
void let_interrupts_in(void);

/* checks-machine.c, checks-virtio.c */
extern const struct check machine_checks[], cpu_checks[], virtio_checks[];
extern const u32 nr_machine_checks, nr_cpu_checks, nr_virtio_checks;
/* Each of arch_timers; the number of points. */
u32 check_timers(void);
const char *check_disk_survives(void);

/*
 * checks-tree.c: the device tree, for architectures that have one; the image is @image_offset into
 * memory, and PCI's messages are delivered or not. False: the tree is damaged.
 */
bool check_tree(u64 image_offset, bool messages);

/* exits.c */
void measure_exits(void);
/* Does a hypercall return? In a machine of its own, since it may not. */
void probe_hypercall(void);

#endif
