/* SPDX-License-Identifier: MIT */
/* CMOS: the clock in its formats, setting it, flags, memory sizes. */
#include "devvm.h"

#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lkvm/hw.h"
#include "lkvm/util.h"

enum { INDEX = 0x70, DATA = 0x71 };
enum { UIP = 0x80, SET = 0x80, BINARY = 4, H24 = 2 };

static struct devvm d;

/* Seconds by which the host's clock is set forward, or back. */
static time_t host_step;

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int ret = (int)syscall(SYS_clock_gettime, clock, now);

	if (!ret && clock == CLOCK_REALTIME)
		now->tv_sec += host_step;
	return ret;
}

static int setup(void **state)
{
	devvm_init(&d);
	assert_int_equal(cmos_rtc_create(&d.vm), 0);
	return 0;
}

static int teardown(void **state)
{
	host_step = 0;
	vm_destroy(&d.vm);
	return 0;
}

static u8 get(u8 reg)
{
	devvm_out(&d, INDEX, reg, 1);
	return (u8)devvm_in(&d, DATA, 1);
}

static void set(u8 reg, u8 value)
{
	devvm_out(&d, INDEX, reg, 1);
	devvm_out(&d, DATA, value, 1);
}

static int from_bcd(u8 v)
{
	assert_true((v & 15) < 10 && v >> 4 < 10);
	return (v >> 4) * 10 + (v & 15);
}

static u8 to_bcd(int v)
{
	return (u8)(v / 10 << 4 | v % 10);
}

/* Read until two readings agree, as Linux once did. */
static time_t read_clock(bool bcd)
{
	static const u8 regs[] = { 0, 2, 4, 7, 8, 9, 0x32 };
	u8 a[7] = { 0 }, b[7];
	int v[7];
	struct tm tm = { 0 };

	do {
		memcpy(b, a, sizeof(a));
		for (int i = 0; i < 7; i++)
			a[i] = get(regs[i]);
	} while (memcmp(a, b, sizeof(a)));
	for (int i = 0; i < 7; i++)
		v[i] = bcd ? from_bcd(a[i]) : a[i];
	tm.tm_sec = v[0];
	tm.tm_min = v[1];
	tm.tm_hour = v[2];
	tm.tm_mday = v[3];
	tm.tm_mon = v[4] - 1;
	tm.tm_year = v[6] * 100 + v[5] - 1900;
	return timegm(&tm);
}

static void assert_near(time_t a, time_t b)
{
	if (llabs((long long)a - b) > 2)
		fail_msg("%lld is not near %lld", (long long)a, (long long)b);
}

/* As Linux's mc146818_set_time does: stop, write, go. */
static void write_clock(time_t when, u8 mode)
{
	struct tm tm;
	bool bin = mode & BINARY;

	gmtime_r(&when, &tm);
	set(0x0b, SET | mode);
	set(0x0a, 0x76);
	set(0, bin ? (u8)tm.tm_sec : to_bcd(tm.tm_sec));
	set(2, bin ? (u8)tm.tm_min : to_bcd(tm.tm_min));
	set(4, bin ? (u8)tm.tm_hour : to_bcd(tm.tm_hour));
	set(7, bin ? (u8)tm.tm_mday : to_bcd(tm.tm_mday));
	set(8, bin ? (u8)(tm.tm_mon + 1) : to_bcd(tm.tm_mon + 1));
	set(9, bin ? (u8)(tm.tm_year % 100) : to_bcd(tm.tm_year % 100));
	set(0x32, bin ? (u8)(tm.tm_year / 100 + 19) : to_bcd(tm.tm_year / 100 + 19));
	set(0x0a, 0x26);
	set(0x0b, mode);
}

static void tells_utc_in_bcd(void **state)
{
	time_t now = time(NULL);
	struct tm tm;

	assert_int_equal(get(0x0b), H24);
	assert_near(read_clock(true), now);
	gmtime_r(&now, &tm);
	assert_in_range(get(6), 1, 7);
	/* Midnight may have passed. */
	if (tm.tm_hour != 23)
		assert_int_equal(get(6), tm.tm_wday + 1);
}

static void tells_utc_in_binary(void **state)
{
	set(0x0b, H24 | BINARY);
	assert_near(read_clock(false), time(NULL));
}

static void twelve_hours(void **state)
{
	static const struct {
		u8 h24, h12;
	} hours[] = { { 0, 0x12 },  { 1, 0x01 },  { 11, 0x11 },
		      { 12, 0x92 }, { 13, 0x81 }, { 23, 0x91 } };

	for (size_t i = 0; i < ARRAY_SIZE(hours); i++) {
		write_clock(1700000000 / 86400 * 86400 + hours[i].h24 * 3600 + 60, H24);
		set(0x0b, 0);
		assert_int_equal(get(4), hours[i].h12);
		/* And back: set by 12 hours, read by 24. */
		write_clock(1700000000, H24);
		set(0x0b, 0);
		set(4, hours[i].h12);
		set(0x0b, H24);
		assert_int_equal(from_bcd(get(4)), hours[i].h24);
	}
}

static void can_be_set(void **state)
{
	write_clock(951782399, H24); /* 28 February 2000, 23:59:59 */
	assert_near(read_clock(true), 951782399);
	write_clock(4102444800, H24 | BINARY); /* 2100 */
	assert_near(read_clock(false), 4102444800);
	/* A reset keeps it. */
	vm_reset_devices(&d.vm);
	assert_int_equal(get(0x0b), H24);
	assert_near(read_clock(true), 4102444800);
}

/* The guest's clock can show 1900 and later; the host's own being set back takes it further. */
static void before_1900(void **state)
{
	write_clock(-2208988700, H24); /* 1 January 1900, 00:01:40 */
	host_step = -400 * 86400;
	assert_near(read_clock(true), -2208988700 - 400 * 86400);
	assert_int_equal(get(0x32), 0x18);
	assert_int_equal(get(9), 0x98);
}

static void stands_while_set(void **state)
{
	set(0x0b, SET | H24);
	set(0, 0x42);
	assert_int_equal(get(0), 0x42);
	set(2, 0xff);
	assert_int_equal(get(2), 0xff);
	assert_int_equal(get(0x0a) & UIP, 0);
}

static void a_time_that_is_none_changes_nothing(void **state)
{
	static const struct {
		u8 reg, value;
	} bad[] = { { 0, 0x60 }, { 0, 0x5a }, { 2, 0x99 }, { 4, 0x24 }, { 7, 0x32 },
		    { 7, 0 },	 { 8, 0x13 }, { 8, 0 },	   { 9, 0xff }, { 0x32, 0 } };

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		set(bad[i].reg, bad[i].value);
		assert_near(read_clock(true), time(NULL));
		set(0x0b, SET | H24);
		set(bad[i].reg, bad[i].value);
		set(0x0b, H24);
		assert_near(read_clock(true), time(NULL));
	}
}

static void update_in_progress_comes_and_goes(void **state)
{
	/* The bit is there for 244 us of each second: on a busy machine some are missed. */
	const u64 limit = hang_seconds() * 1000000000ULL;
	u64 start = now_ns();
	bool was_set = false, was_clear = false;

	get(0x0c);
	while (now_ns() - start < limit && !(was_set && was_clear)) {
		bool uip = get(0x0a) & UIP;

		was_set |= uip;
		was_clear |= !uip;
	}
	assert_true(was_set && was_clear);
	/* The second has passed or is about to. */
	while (now_ns() - start < limit && !(get(0x0c) & 0x10))
		;
	assert_true(now_ns() - start < limit);
	/* Never while the guest sets the clock. */
	set(0x0b, SET | H24);
	for (start = now_ns(); now_ns() - start < 1010000000ULL;)
		assert_int_equal(get(0x0a) & UIP, 0);
}

static void flags_of_c(void **state)
{
	struct timespec pause = { .tv_nsec = 5000000 };
	u8 flags;

	get(0x0c);
	nanosleep(&pause, NULL);
	flags = get(0x0c);
	assert_int_equal(flags & 0x40, 0x40); /* 1024 Hz */
	assert_int_equal(flags & 0x80, 0);
	set(0x0b, 0x40 | H24);
	nanosleep(&pause, NULL);
	assert_int_equal(get(0x0c) & 0xc0, 0xc0);
	set(0x0a, 0x20); /* rate 0: none */
	get(0x0c);
	nanosleep(&pause, NULL);
	assert_int_equal(get(0x0c) & 0x40, 0);
	for (u8 rate = 1; rate < 16; rate++) {
		set(0x0a, rate);
		get(0x0c);
	}
	/* Read-only. */
	set(0x0d, 0);
	assert_int_equal(get(0x0d), 0x80);
	set(0x0a, 0xff);
	set(0x0b, SET);
	assert_int_equal(get(0x0a), 0x7f);
}

static void memory_keeps_what_is_written(void **state)
{
	set(0x0f, 0x0a); /* shutdown status */
	set(0x7f, 0x5a);
	set(0x01, 0x99); /* alarm: any byte */
	vm_reset_devices(&d.vm);
	assert_int_equal(get(0x0f), 0x0a);
	assert_int_equal(get(0x7f), 0x5a);
	assert_int_equal(get(0xff), 0x5a); /* the NMI's bit is not an address */
	assert_int_equal(get(0x01), 0x99);
}

static void port_widths(void **state)
{
	devvm_out(&d, INDEX, 0x5a40, 2);
	assert_int_equal(get(0x40), 0x5a);
	assert_int_equal(devvm_in(&d, INDEX, 1), 0xff);
	assert_int_equal(devvm_in(&d, INDEX, 2), 0x5aff);
}

static u64 size_at(u8 reg, int bytes)
{
	u64 v = 0;

	for (int i = 0; i < bytes; i++)
		v |= (u64)get((u8)(reg + i)) << 8 * i;
	return v;
}

static void tells_memory_sizes(void **state)
{
	assert_int_equal(size_at(0x15, 2), 640);
	assert_int_equal(size_at(0x17, 2), 0);
	assert_int_equal(
		memory_add(&d.vm.mem,
			   &(struct memory_desc){ .gpa = 0, .size = 32 * MiB, .name = "low" }),
		0);
	d.cfg.cpus = 4;
	vm_reset_devices(&d.vm);
	assert_int_equal(size_at(0x17, 2), 31 * 1024);
	assert_int_equal(size_at(0x30, 2), 31 * 1024);
	assert_int_equal(size_at(0x34, 2), 16 * 16);
	assert_int_equal(size_at(0x5b, 3), 0);
	assert_int_equal(get(0x5f), 3);
	assert_int_equal(
		memory_add(&d.vm.mem,
			   &(struct memory_desc){ .gpa = 1 * GiB, .size = 1 * MiB, .name = "mid" }),
		0);
	assert_int_equal(memory_add(&d.vm.mem, &(struct memory_desc){ .gpa = 4 * GiB,
								      .size = 2 * MiB,
								      .name = "high" }),
			 0);
	assert_int_equal(memory_add(&d.vm.mem, &(struct memory_desc){ .gpa = 4 * GiB - 64 * KiB,
								      .size = 64 * KiB,
								      .kind = MEM_ROM,
								      .name = "rom" }),
			 0);
	vm_reset_devices(&d.vm);
	assert_int_equal(size_at(0x17, 2), 0xffff);
	assert_int_equal(size_at(0x34, 2), (1024 + 1 - 16) * 16);
	assert_int_equal(size_at(0x5b, 3), 32);
}

static void described(void **state)
{
	static const u8 io[] = { 0x47, 1, 0x70, 0, 0x70, 0 };
	static const u8 pnp0b00[] = { 0x0c, 0x41, 0xd0, 0x0b, 0x00 };

	assert_true(devvm_aml_has(&d, io, sizeof(io)));
	assert_true(devvm_aml_has(&d, pnp0b00, sizeof(pnp0b00)));
}

static void hostile(void **state)
{
	devvm_batter(&d, &d.vm.pio, 0x6f, 0x73, 200000);
	for (int reg = 0; reg < 128; reg++)
		for (int v = 0; v < 256; v++) {
			set((u8)reg, (u8)v);
			get((u8)reg);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tells_utc_in_bcd, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_utc_in_binary, setup, teardown),
		cmocka_unit_test_setup_teardown(twelve_hours, setup, teardown),
		cmocka_unit_test_setup_teardown(can_be_set, setup, teardown),
		cmocka_unit_test_setup_teardown(before_1900, setup, teardown),
		cmocka_unit_test_setup_teardown(stands_while_set, setup, teardown),
		cmocka_unit_test_setup_teardown(a_time_that_is_none_changes_nothing, setup,
						teardown),
		cmocka_unit_test_setup_teardown(update_in_progress_comes_and_goes, setup, teardown),
		cmocka_unit_test_setup_teardown(flags_of_c, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_keeps_what_is_written, setup, teardown),
		cmocka_unit_test_setup_teardown(port_widths, setup, teardown),
		cmocka_unit_test_setup_teardown(tells_memory_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(described, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
