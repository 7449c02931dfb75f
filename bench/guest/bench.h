/* SPDX-License-Identifier: MIT */
/* The guest of the data paths' bench. It talks to disk.py and net.py by lines that begin with '@'.
 */
#ifndef BENCH_GUEST_H
#define BENCH_GUEST_H

#include "../../guest/selftest/arch.h"
#include "virtio.h"

/* disk.c, net.c: by the words of the command line; they do not return. */
void measure_disk(void) __attribute__((noreturn));
void measure_net(void) __attribute__((noreturn));

/* A queue's interrupts, counted; main.c. */
extern volatile u32 interrupts;
void count_interrupts(struct virtio *device);
/* Since @start, a value of arch_cycles(). */
u64 microseconds_since(u64 start);
/* Around what is measured: with the word "stay", the bench reads what its threads took so far when
 * "@go" is said, and at the end, before it ends the guest. */
void begin_measure(void);
void end_measure(void) __attribute__((noreturn));
/* "@failed" and the end. */
void give_up(const char *why) __attribute__((noreturn));

#endif
