/* SPDX-License-Identifier: MIT */
/* The split irqchip's interval timer and 8259s. Time passes by itself: only its minimum is known.
 */
#include "capture.h"
#include "devvm.h"

#include "../../../x86/platform.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

static struct devvm d;

static int setup(void **state)
{
	devvm_init(&d);
	assert_int_equal(x86_pit_create(&d.vm), 0);
	assert_int_equal(x86_pic_create(&d.vm), 0);
	return 0;
}

static int teardown(void **state)
{
	vm_destroy(&d.vm);
	return 0;
}

static u8 in(u16 port)
{
	return (u8)devvm_in(&d, port, 1);
}

static void out(u16 port, u8 value)
{
	devvm_out(&d, port, value, 1);
}

static void start(u32 counter, u32 mode, u16 count)
{
	out(0x43, (u8)(counter << 6 | 0x30 | mode << 1));
	out((u16)(0x40 + counter), (u8)count);
	out((u16)(0x40 + counter), (u8)(count >> 8));
}

static u16 latched(u32 counter)
{
	u8 low;

	out(0x43, (u8)(counter << 6));
	low = in((u16)(0x40 + counter));
	return (u16)(low | in((u16)(0x40 + counter)) << 8);
}

static void spin(u64 ns)
{
	for (u64 begin = now_ns(); now_ns() - begin < ns;)
		;
}

/* As systems measure the speed of others: gate 2 open, mode 0, until its output rises. */
static void test_calibration(void **state)
{
	u64 begin;

	out(0x61, 1);
	begin = now_ns();
	start(2, 0, 4773); /* 4 ms */
	/* It was low, unless this thread stood still that long. */
	assert_true(!(in(0x61) & 0x20) || now_ns() - begin >= 4000000);
	while (!(in(0x61) & 0x20))
		;
	assert_true(now_ns() - begin >= 4000000);
	/* The same by the count, in mode 2. */
	begin = now_ns();
	start(2, 2, 0xffff);
	while (latched(2) > 0xffff - 4773)
		;
	assert_true(now_ns() - begin >= 4000000);
	assert_int_equal(d.rises[0], 0);
}

static void test_gate(void **state)
{
	u16 count;

	out(0x61, 0);
	start(2, 0, 0xffff);
	assert_int_equal(latched(2), 0xffff);
	spin(1000000);
	assert_int_equal(latched(2), 0xffff);
	out(0x61, 1);
	while (latched(2) > 0xfff0)
		;
	out(0x61, 0);
	count = latched(2);
	spin(1000000);
	assert_int_equal(latched(2), count); /* it goes on there */
	/* A rate generator begins anew, and its output is high while it does not run. */
	start(2, 2, 0xffff);
	out(0x61, 1);
	spin(1000000);
	vm_quiesce_devices(&d.vm); /* the time stands still */
	out(0x61, 0);
	out(0x61, 1);
	assert_int_equal(latched(2), 0xffff);
	out(0x61, 0);
	assert_true(in(0x61) & 0x20);
	vm_resume_devices(&d.vm);
}

/* Modes 1 and 5: a rising gate begins the count, and a falling one does not hold it. */
static void test_trigger(void **state)
{
	out(0x61, 0);
	start(2, 1, 1193);
	out(0x43, 0xe8); /* read back the status of counter 2: high, not counting */
	assert_int_equal(in(0x42) & 0xc0, 0xc0);
	spin(2000000);
	vm_quiesce_devices(&d.vm);
	out(0x61, 1);
	out(0x61, 0);
	out(0x43, 0xe8);
	assert_int_equal(in(0x42) & 0xc0, 0);
	vm_resume_devices(&d.vm);
	spin(2000000);
	assert_true(in(0x61) & 0x20);
}

static void test_reading(void **state)
{
	u16 count;

	start(0, 2, 0x8000);
	count = latched(0);
	assert_true(count && count <= 0x8000);
	/* A latch holds, and a second one waits for it. */
	out(0x43, 0x00);
	spin(1000000);
	out(0x43, 0x00);
	count = in(0x40);
	spin(1000000);
	count |= (u16)(in(0x40) << 8);
	assert_true(count <= 0x8000);
	/* Status, then count, of counters 0 and 1: access, mode, output. */
	out(0x43, 0xc6);
	assert_int_equal(in(0x40) & 0x7f, 0x34);
	assert_int_equal(in(0x41) & 0x40, 0x40); /* no count yet */
	in(0x40);
	in(0x40);
	/* Bytes alone, and decimals. */
	out(0x43, 0x11);
	out(0x40, 0x99);
	assert_true(in(0x40) <= 0x99);
	out(0x43, 0x24);
	out(0x40, 0x80);
	assert_true(in(0x40) <= 0x80);
	/* The control port itself is not read. */
	assert_int_equal(in(0x43), 0xff);
	/* Memory is refreshed. */
	for (u8 first = in(0x61) & 0x10; (in(0x61) & 0x10) == first;)
		;
}

static void run_until(u32 rises)
{
	while (d.rises[0] < rises)
		event_loop_drain(&d.vm.loop);
}

static void run_for(u64 ns)
{
	for (u64 begin = now_ns(); now_ns() - begin < ns;)
		event_loop_drain(&d.vm.loop);
}

static void test_interrupts(void **state)
{
	u64 begin;
	u32 before;

	/* One, and no more. */
	begin = now_ns();
	start(0, 0, 2387);
	run_until(1);
	assert_true(now_ns() - begin >= 2000000);
	run_for(5000000);
	assert_int_equal(d.rises[0], 1);
	/* One that is set anew does not come when it would have. */
	start(0, 0, 20);
	out(0x43, 0x30);
	before = d.rises[0];
	run_for(1000000);
	assert_int_equal(d.rises[0], before);
	/* Periodic, and not faster than this program likes. */
	start(0, 2, 1193);
	run_until(5);
	before = d.rises[0];
	begin = now_ns();
	start(0, 3, 2);
	run_until(before + 10);
	assert_true(now_ns() - begin >= 10 * 200000);
	/* A new mode stops it. */
	out(0x43, 0x30);
	before = d.rises[0];
	run_for(2000000);
	assert_int_equal(d.rises[0], before);
	start(0, 2, 1193);
	vm_reset_devices(&d.vm);
	before = d.rises[0];
	run_for(3000000);
	assert_int_equal(d.rises[0], before);
	assert_false(d.level[0]);
}

/* What is due while the VM is paused comes after it, once; the clock stands still. */
static void test_pause(void **state)
{
	u16 count;

	start(0, 0, 2387);
	out(0x61, 1);
	start(2, 0, 0xffff);
	vm_quiesce_devices(&d.vm);
	count = latched(2);
	run_for(5000000);
	assert_int_equal(d.rises[0], 0);
	assert_int_equal(latched(2), count);
	vm_resume_devices(&d.vm);
	run_until(1);
	run_for(5000000);
	assert_int_equal(d.rises[0], 1);
}

/* No timer is set before a guest wants interrupts of it. */
static void test_nothing_runs(void **state)
{
	out(0x61, 1);
	start(2, 2, 100);
	start(1, 2, 18);
	out(0x43, 0x30);
	assert_null(d.vm.loop.timers);
	start(0, 2, 0);
	assert_non_null(d.vm.loop.timers);
	out(0x43, 0x30);
	assert_null(d.vm.loop.timers);
}

static void test_batter(void **state)
{
	log_set_level(LOG_ERROR);
	devvm_batter(&d, &d.vm.pio, 0x1e, 0x63, 20000);
	devvm_batter(&d, &d.vm.pio, 0xa0, 0xa1, 5000);
	devvm_batter(&d, &d.vm.pio, 0x4ce, 0x4d3, 5000);
	event_loop_drain(&d.vm.loop);
}

/* What a system does that looks for 8259s, moves their vectors and masks them. */
static void test_pic(void **state)
{
	capture_begin();
	out(0x21, 0xfb);
	assert_int_equal(in(0x21), 0xfb);
	for (u16 port = 0x20; port <= 0xa0; port += 0x80) {
		out(port, 0x11);
		out(port + 1, 0x30);
		out(port + 1, 0x04);
		out(port + 1, 0x01);
		assert_int_equal(in(port + 1), 0xff);
		out(port + 1, 0xff);
		out(port, 0x0a);
		assert_int_equal(in(port), 0);
		out(port, 0x20);
	}
	out(0x4d0, 0x20);
	out(0x4d1, 0x0c);
	assert_int_equal(devvm_in(&d, 0x4d0, 2), 0x0c20);
	assert_string_equal(capture_end(), "");
	capture_begin();
	out(0xa1, 0xef);
	assert_one_line(capture_end());
	assert_contains(captured, "interrupt 12");
	assert_contains(captured, "--irqchip full");
	vm_reset_devices(&d.vm);
	assert_int_equal(in(0xa1), 0xff);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_calibration, setup, teardown),
		cmocka_unit_test_setup_teardown(test_gate, setup, teardown),
		cmocka_unit_test_setup_teardown(test_trigger, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reading, setup, teardown),
		cmocka_unit_test_setup_teardown(test_interrupts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pause, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_runs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pic, setup, teardown),
		cmocka_unit_test_setup_teardown(test_batter, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
