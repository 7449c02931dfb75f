/* SPDX-License-Identifier: MIT */
/*
 * The built-in guest of `lkvm selftest`: its checks and its measurements of exits. Common code is
 * here; guest/ARCH/selftest.c implements what stands under "architecture".
 *
 * It talks to lkvm by lines on the serial port: TAP points without numbers, comments, and lines
 * that begin with '@' (see selftest.c of lkvm).
 */
#ifndef GUEST_SELFTEST_H
#define GUEST_SELFTEST_H

#include "virtio.h"

/* Interrupt vectors; the queues of virtio have VQ_VECTOR and up. */
#define TIMER_VECTOR  0x21
#define SERIAL_VECTOR 0x22
#define IPI_VECTOR    0x23

/* checks.c: note that @what is wrong unless the two are equal; true when they are. */
bool expect(const char *what, u64 seen, u64 wanted);

struct check {
	const char *name;
	/* Calls expect; the reason to skip it, or NULL. */
	const char *(*run)(void);
};

/* Run them one by one and say what came of each; the number of points. */
u32 run_checks(const struct check *checks, u32 n);
/*
 * Let interrupts in until *p is at least @wanted; false: it did not happen within a second. Unless
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

/* exits.c */
void measure_exits(void);
/* Does a hypercall return? In a machine of its own, since it may not. */
void probe_hypercall(void);

/* disk.c */
void measure_disk(void);

/* Architecture */

/* The machine's description, as far as the checks can: tables, checksums. */
const char *arch_check_description(void);
/* What only this architecture has. */
extern const struct check arch_checks[];
extern const u32 arch_nr_checks;
/* A register of the first serial port, a 16550, and its interrupt; false: it is not described. */
u8 arch_uart_read(u32 reg);
void arch_uart_write(u32 reg, u8 value);
bool arch_uart_irq(u32 *irq, bool *edge);
/* They are off but in arch_wait and between these two. */
void arch_interrupts(bool on);
/* A counter that never stands still, the same on every CPU, and its frequency (0: not known). */
u64 arch_cycles(void);
u32 arch_cycles_khz(void);
/* An address where nothing is: reads as all ones. */
extern const u64 arch_nowhere;

struct arch_timer {
	const char *name;
	/* The reason why it is not there, or NULL. */
	const char *(*missing)(void);
	/* Raise TIMER_VECTOR once on this CPU, @ns from now (0: as soon as it can). */
	void (*arm)(u64 ns);
	void (*disarm)(void);
};
extern const struct arch_timer arch_timers[];
extern const u32 arch_nr_timers;

/* Instructions whose cost is measured, each once; run NULL: not on this architecture. */
struct arch_exit {
	const char *name;
	const char *(*missing)(void); /* may be NULL */
	void (*run)(void);
};
extern const struct arch_exit arch_exits[];
extern const u32 arch_nr_exits;

/* The reason why no hypercall may be tried, or NULL. */
const char *arch_hypercall_missing(void);
void arch_hypercall(void);

/* Both return when it does not happen. */
void arch_reset(void);
void arch_power_off(void);

#endif
