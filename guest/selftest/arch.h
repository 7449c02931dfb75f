/* SPDX-License-Identifier: MIT */
/* What the built-in guest asks of an architecture: guest/ARCH/selftest.c implements it. */
#ifndef GUEST_SELFTEST_ARCH_H
#define GUEST_SELFTEST_ARCH_H

#include "../lib/types.h"

/* Interrupt vectors; the queues of virtio have VQ_VECTOR and up. */
#define TIMER_VECTOR  0x21
#define SERIAL_VECTOR 0x22
#define IPI_VECTOR    0x23

struct check {
	const char *name;
	/* Calls expect; the reason to skip it, or NULL. */
	const char *(*run)(void);
};

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
/* The frequency of arch_cycles (0: not known). */
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
