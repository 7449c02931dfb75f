/* SPDX-License-Identifier: MIT */
/* The PC's clock in MMIO, where EDK2's firmware for kvmtool looks for it. */
#include "devvm.h"

#include <time.h>

#include "fdt_tree.h"
#include "lkvm/hw.h"

#define BASE 0x1011000ULL

static struct devvm d;

static int setup(void **state)
{
	const struct arch_place place = { .base = BASE, .size = 2 };

	devvm_init(&d);
	assert_int_equal(mc146818_create(&d.vm, &place), 0);
	return 0;
}

static int teardown(void **state)
{
	vm_destroy(&d.vm);
	return 0;
}

static u8 get(u8 reg)
{
	u8 value;

	assert_true(bus_write(&d.vm.mmio, BASE, &reg, 1));
	assert_true(bus_read(&d.vm.mmio, BASE + 1, &value, 1));
	return value;
}

static void tells_the_time(void **state)
{
	time_t before = time(NULL), after;
	struct tm a, b;
	u8 hour;

	gmtime_r(&before, &a);
	hour = get(4);
	after = time(NULL);
	gmtime_r(&after, &b);
	hour = (u8)((hour >> 4) * 10 + (hour & 15));
	assert_true(hour == a.tm_hour || hour == b.tm_hour);
	/* PcatRealTimeClockRuntimeDxe wants to know that its time is valid. */
	assert_int_equal(get(13), 0x80);
}

static void is_no_port(void **state)
{
	assert_int_equal(devvm_in(&d, 0x71, 1), 0xff);
	assert_false(bus_read(&d.vm.mmio, BASE + 1, &(u16){ 0 }, 2));
	devvm_batter(&d, &d.vm.mmio, BASE - 4, BASE + 4, 20000);
}

static void its_node(void **state)
{
	tree_begin(&d.vm);
	assert_true(tree_says("/rtc@1011000", "compatible", "motorola,mc146818"));
	assert_int_equal(tree_cell("/rtc@1011000", "reg", 1), BASE);
	assert_int_equal(tree_cell("/rtc@1011000", "reg", 3), 2);
	tree_end();
	assert_false(devvm_aml_has(&d, "RTC", 3));
}

static void the_place_is_taken_once(void **state)
{
	const struct arch_place place = { .base = BASE + 1, .size = 2 };

	assert_int_equal(mc146818_create(&d.vm, &place), -EEXIST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tells_the_time, setup, teardown),
		cmocka_unit_test_setup_teardown(is_no_port, setup, teardown),
		cmocka_unit_test_setup_teardown(its_node, setup, teardown),
		cmocka_unit_test_setup_teardown(the_place_is_taken_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
