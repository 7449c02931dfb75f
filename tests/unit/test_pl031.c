/* SPDX-License-Identifier: MIT */
/* The PL031 with a clock and a timer of ours. */
#include "rtc_rig.h"

#include "../../hw/pl031.c"

#define NOW NOW_SEC

static int setup(void **state)
{
	struct arch_place place = rtc_place;

	/* Its interrupt is a level all the same. */
	place.edge = true;
	rtc_begin();
	assert_int_equal(pl031_create(&d.vm, &place), 0);
	return 0;
}

/* What the loop does when the timer has run out. */
static void fire(void)
{
	on_alarm(container_of(d.vm.devices, struct pl031, dev));
}

static void tells_the_hosts_time(void **state)
{
	assert_int_equal(get(0x00), NOW);
	host_clock.tv_sec += 3;
	assert_int_equal(get(0x00), NOW + 3);
	put(0x00, 1);
	assert_int_equal(get(0x00), NOW + 3);
	/* It runs, and cannot be stopped. */
	put(0x0c, 0);
	assert_int_equal(get(0x0c), 1);
}

static void is_set_and_stays_set(void **state)
{
	put(0x08, 1000);
	assert_int_equal(get(0x08), 1000);
	assert_int_equal(get(0x00), 1000);
	host_clock.tv_sec += 5;
	assert_int_equal(get(0x00), 1005);
	vm_reset_devices(&d.vm);
	assert_int_equal(get(0x00), 1005);
	assert_int_equal(get(0x08), 0);
	put(0x08, 0xffffffff);
	host_clock.tv_sec++;
	assert_int_equal(get(0x00), 0);
}

static void linux_finds_its_ids(void **state)
{
	static const u8 ids[] = { 0x31, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };

	for (u32 i = 0; i < sizeof(ids); i++)
		assert_int_equal(get(0xfe0 + 4 * i), ids[i]);
	put(0xfe0, 0);
	assert_int_equal(get(0xfe0), 0x31);
}

static void alarm_comes(void **state)
{
	put(0x04, NOW + 2);
	assert_int_equal(get(0x04), NOW + 2);
	assert_int_equal(timer_ns, 1750000000);
	put(0x10, 1);
	/* Too early: it is set anew. */
	host_clock.tv_sec++;
	fire();
	assert_int_equal(timer_ns, 750000000);
	assert_int_equal(get(0x14), 0);
	assert_false(d.level[GSI]);
	host_clock.tv_sec++;
	host_clock.tv_nsec = 0;
	fire();
	assert_int_equal(timer_ns, 0);
	assert_int_equal(get(0x14), 1);
	assert_int_equal(get(0x18), 1);
	assert_true(d.level[GSI]);
	put(0x1c, 0);
	assert_true(d.level[GSI]);
	put(0x1c, 1);
	assert_int_equal(get(0x14), 0);
	assert_false(d.level[GSI]);
	/* Once. */
	host_clock.tv_sec++;
	fire();
	assert_int_equal(get(0x14), 0);
}

static void the_mask_holds_it_back(void **state)
{
	put(0x04, NOW + 1);
	host_clock.tv_sec++;
	fire();
	assert_int_equal(get(0x14), 1);
	assert_int_equal(get(0x18), 0);
	assert_false(d.level[GSI]);
	put(0x10, 0xffffffff);
	assert_int_equal(get(0x10), 1);
	assert_int_equal(get(0x18), 1);
	assert_true(d.level[GSI]);
	put(0x10, 0xfffffffe);
	assert_int_equal(get(0x10), 0);
	assert_false(d.level[GSI]);
	assert_int_equal(get(0x14), 1);
}

static void what_is_past_does_not_come(void **state)
{
	put(0x04, NOW - 1);
	assert_int_equal(timer_ns, 0);
	fire();
	assert_int_equal(get(0x14), 0);
	/* Now does; and setting the time back makes the match lie ahead. */
	put(0x04, NOW);
	assert_int_equal(get(0x14), 1);
	put(0x1c, 1);
	put(0x08, NOW - 10);
	assert_int_equal(timer_ns, 9750000000ULL);
	assert_int_equal(get(0x14), 0);
	host_clock.tv_sec += 10;
	fire();
	assert_int_equal(get(0x14), 1);
}

static void the_hosts_clock_may_jump(void **state)
{
	put(0x04, NOW + 1000000);
	assert_int_equal(timer_ns, 60000000000ULL);
	/* Over the match. */
	host_clock.tv_sec += 2000000;
	fire();
	assert_int_equal(get(0x14), 1);
	put(0x1c, 1);
	put(0x04, NOW + 2000001);
	/* Back: it lies further ahead. */
	host_clock.tv_sec -= 5;
	fire();
	assert_int_equal(timer_ns, 5750000000ULL);
	assert_int_equal(get(0x14), 0);
}

static void reset_forgets_the_alarm(void **state)
{
	put(0x10, 1);
	put(0x04, NOW);
	assert_true(d.level[GSI]);
	put(0x04, NOW + 5);
	vm_reset_devices(&d.vm);
	assert_false(d.level[GSI]);
	assert_int_equal(timer_ns, 0);
	assert_int_equal(get(0x04) | get(0x10) | get(0x14), 0);
	host_clock.tv_sec += 10;
	fire();
	assert_int_equal(get(0x14), 0);
}

static void every_width(void **state)
{
	u8 data[8];

	assert_true(bus_read(&d.vm.mmio, BASE + 1, data, 1));
	assert_int_equal(data[0], NOW >> 8 & 0xff);
	assert_true(bus_read(&d.vm.mmio, BASE + 2, data, 2));
	assert_int_equal(get_le(data, 2), NOW >> 16);
	/* Two registers, then parts of three. */
	put(0x04, 0x11223344);
	put(0x08, NOW);
	assert_true(bus_read(&d.vm.mmio, BASE, data, 8));
	assert_true(get_le(data, 8) == (0x11223344ULL << 32 | NOW));
	assert_true(bus_read(&d.vm.mmio, BASE + 1, data, 8));
	assert_true(get_le(data, 8) == ((u64)(NOW & 0xff) << 56 | 0x11223344ULL << 24 | NOW >> 8));
	assert_true(bus_read(&d.vm.mmio, BASE + 0xffc, data, 4));
	assert_true(bus_read(&d.vm.mmio, BASE + 0xff8, data, 8));
	assert_true(get_le(data, 8) == 0xb100000005ULL);
	/* A write counts from the first byte of a register. */
	assert_true(bus_write(&d.vm.mmio, BASE + 5, "\xff\xff\xff\xff", 2));
	assert_int_equal(get(0x04), 0x11223344);
	assert_true(bus_write(&d.vm.mmio, BASE + 4, "\xff\xff\xff\xff", 2));
	assert_int_equal(get(0x04), 0xffff);
	assert_true(bus_write(&d.vm.mmio, BASE, "\1\2\3\4\5\6\7\x8", 8));
	assert_int_equal(get(0x04), 0x08070605);
	batter_rtc();
}

static void its_node(void **state)
{
	tree_begin(&d.vm);
	assert_true(tree_says("/rtc@1010000", "compatible", "arm,pl031"));
	assert_true(tree_says("/rtc@1010000", "compatible", "arm,primecell"));
	check_rtc_node();
	assert_int_equal(tree_cell("/rtc@1010000", "clocks", 0), TREE_CLOCK);
	assert_true(tree_says("/rtc@1010000", "clock-names", "apb_pclk"));
	tree_end();
}

static void the_place_is_taken_once(void **state)
{
	assert_int_equal(pl031_create(&d.vm, &taken_place), -EEXIST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(tells_the_hosts_time, setup, teardown),
		cmocka_unit_test_setup_teardown(is_set_and_stays_set, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_finds_its_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(alarm_comes, setup, teardown),
		cmocka_unit_test_setup_teardown(the_mask_holds_it_back, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_past_does_not_come, setup, teardown),
		cmocka_unit_test_setup_teardown(the_hosts_clock_may_jump, setup, teardown),
		cmocka_unit_test_setup_teardown(reset_forgets_the_alarm, setup, teardown),
		cmocka_unit_test_setup_teardown(every_width, setup, teardown),
		cmocka_unit_test_setup_teardown(its_node, setup, teardown),
		cmocka_unit_test_setup_teardown(the_place_is_taken_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
