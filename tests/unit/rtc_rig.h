/* SPDX-License-Identifier: MIT */
/*
 * For unit tests of real-time clocks: a host whose clock and timer are the test's. The device's
 * source is included after this.
 */
#ifndef TEST_RTC_RIG_H
#define TEST_RTC_RIG_H

#include "devvm.h"

#include <time.h>

#include "fdt_tree.h"
#include "lkvm/arch.h"

#define BASE 0x1010000ULL
#define GSI  5
#define SEC  1000000000ULL
/* When the test begins, and by how much the second has gone on. */
#define NOW_SEC	 1700000123U
#define NOW_NSEC 250000000U

static struct devvm d;
static struct timespec host_clock;
static u64 timer_ns; /* the timer runs out after so long; 0: it does not run */

static const struct arch_place rtc_place = { .base = BASE, .size = 0x1000, .gsi = GSI };
static const struct arch_place taken_place = { .base = BASE + 0x800, .size = 0x1000, .gsi = GSI };

static int fake_clock(clockid_t clock, struct timespec *now)
{
	assert_int_equal(clock, CLOCK_REALTIME);
	*now = host_clock;
	return 0;
}

static void fake_timer_set(struct event_timer *t, u64 ns)
{
	timer_ns = ns;
}

#define clock_gettime	fake_clock
#define event_timer_set fake_timer_set

static inline void rtc_begin(void)
{
	devvm_init(&d);
	host_clock = (struct timespec){ .tv_sec = NOW_SEC, .tv_nsec = NOW_NSEC };
	timer_ns = 99;
}

static int teardown(void **state)
{
	vm_destroy(&d.vm);
	return 0;
}

static inline u32 get(u32 reg)
{
	return devvm_get(&d, BASE + reg);
}

static inline void put(u32 reg, u32 value)
{
	devvm_put(&d, BASE + reg, value);
}

/* Between tree_begin and tree_end: what the node of every such clock says. */
static inline void check_rtc_node(void)
{
	assert_int_equal(tree_cell("/rtc@1010000", "reg", 1), BASE);
	assert_int_equal(tree_cell("/rtc@1010000", "reg", 3), 0x1000);
	assert_int_equal(tree_cell("/rtc@1010000", "interrupts", 1), GSI);
	assert_int_equal(tree_cell("/rtc@1010000", "interrupts", 2), 4);
}

/* Bytes, words and what lies at odd addresses, in and around the registers. */
static inline void batter_rtc(void)
{
	devvm_batter(&d, &d.vm.mmio, BASE - 8, BASE + 0x1008, 20000);
	devvm_batter(&d, &d.vm.mmio, BASE, BASE + 0x20, 20000);
}

#endif
