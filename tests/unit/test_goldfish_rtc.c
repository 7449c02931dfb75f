/* SPDX-License-Identifier: MIT */
/* The goldfish RTC with a clock and a timer of ours. */
#include "rtc_rig.h"

#include "../../hw/goldfish-rtc.c"

#include "lkvm/vcpu.h"

#define NOW (NOW_SEC * SEC + NOW_NSEC)

static struct device *dev;

static int setup(void **state)
{
	rtc_begin();
	assert_int_equal(goldfish_rtc_create(&d.vm, &rtc_place, &dev), 0);
	return 0;
}

static u64 read_time(void)
{
	u64 low = get(TIME_LOW);

	return (u64)get(TIME_HIGH) << 32 | low;
}

static void set_alarm(u64 at)
{
	put(ALARM_HIGH, (u32)(at >> 32));
	put(ALARM_LOW, (u32)at);
}

/* What the loop does when the timer has run out. */
static void fire(void)
{
	on_timer(container_of(dev, struct goldfish_rtc, dev));
}

static void tells_the_hosts_time(void **state)
{
	u64 low;

	assert_true(read_time() == NOW);
	/* The upper half is that of the last look at the lower. */
	low = get(TIME_LOW);
	host_clock.tv_sec += 1000;
	assert_true(((u64)get(TIME_HIGH) << 32 | low) == NOW);
	assert_true(read_time() == NOW + 1000 * SEC);
}

static void is_set_and_stays_set(void **state)
{
	const u64 wanted = 0x123456789abcdef0;

	put(TIME_HIGH, wanted >> 32);
	put(TIME_LOW, (u32)wanted);
	assert_true(read_time() == wanted);
	host_clock.tv_sec += 5;
	vm_reset_devices(&d.vm);
	assert_true(read_time() == wanted + 5 * SEC);
	/* In the other order, as long as the lower half does not overflow meanwhile. */
	put(TIME_LOW, (u32)NOW);
	put(TIME_HIGH, NOW >> 32);
	assert_true(read_time() == NOW);
	put(TIME_HIGH, 0xffffffff);
	put(TIME_LOW, 0xffffffff);
	host_clock.tv_nsec++;
	assert_true(read_time() == 0);
}

static void alarm_comes(void **state)
{
	set_alarm(NOW + 2 * SEC);
	assert_int_equal(get(ALARM_STATUS), 1);
	assert_int_equal(timer_ns, 2 * SEC);
	assert_int_equal(get(ALARM_LOW), (u32)(NOW + 2 * SEC));
	assert_int_equal(get(ALARM_HIGH), (NOW + 2 * SEC) >> 32);
	put(IRQ_ENABLED, 0xffffffff);
	assert_int_equal(get(IRQ_ENABLED), 1);
	/* Too early: it is set anew. */
	host_clock.tv_sec++;
	fire();
	assert_int_equal(timer_ns, SEC);
	assert_false(d.level[GSI]);
	host_clock.tv_sec++;
	fire();
	assert_int_equal(timer_ns, 0);
	assert_int_equal(get(ALARM_STATUS), 0);
	assert_true(d.level[GSI]);
	assert_true(goldfish_rtc_rings(dev));
	put(CLEAR_INTERRUPT, 0);
	assert_false(d.level[GSI]);
	assert_false(goldfish_rtc_rings(dev));
	/* Once. */
	host_clock.tv_sec++;
	fire();
	assert_false(d.level[GSI]);
}

static void the_mask_holds_it_back(void **state)
{
	set_alarm(NOW);
	assert_int_equal(get(ALARM_STATUS), 0);
	assert_false(d.level[GSI]);
	put(IRQ_ENABLED, 1);
	assert_true(d.level[GSI]);
	put(IRQ_ENABLED, 2);
	assert_int_equal(get(IRQ_ENABLED), 0);
	assert_false(d.level[GSI]);
}

static void is_cleared(void **state)
{
	put(IRQ_ENABLED, 1);
	set_alarm(NOW + SEC);
	put(CLEAR_ALARM, 1);
	assert_int_equal(timer_ns, 0);
	assert_int_equal(get(ALARM_STATUS), 0);
	host_clock.tv_sec += 2;
	fire();
	assert_false(d.level[GSI]);
	/* What is past comes at once. */
	set_alarm(1);
	assert_true(d.level[GSI]);
}

static void the_clocks_may_jump(void **state)
{
	put(IRQ_ENABLED, 1);
	set_alarm(NOW + 1000000 * SEC);
	assert_int_equal(timer_ns, 60 * SEC);
	/* The guest sets its own over the alarm. */
	put(TIME_HIGH, (NOW + 2000000 * SEC) >> 32);
	assert_true(d.level[GSI]);
	put(CLEAR_INTERRUPT, 1);
	set_alarm(~0ULL);
	assert_int_equal(timer_ns, 60 * SEC);
	host_clock.tv_sec -= 100;
	fire();
	assert_int_equal(timer_ns, 60 * SEC);
	assert_false(d.level[GSI]);
}

static void waits_in_a_pause(void **state)
{
	put(IRQ_ENABLED, 1);
	set_alarm(NOW + SEC);
	vm_pause(&d.vm);
	assert_int_equal(timer_ns, 0);
	host_clock.tv_sec += 2;
	fire();
	assert_false(d.level[GSI]);
	vm_resume(&d.vm);
	assert_true(d.level[GSI]);
}

static void reset_forgets_the_alarm(void **state)
{
	put(IRQ_ENABLED, 1);
	set_alarm(NOW);
	assert_true(d.level[GSI]);
	set_alarm(NOW + 5 * SEC);
	vm_reset_devices(&d.vm);
	assert_false(d.level[GSI]);
	assert_int_equal(timer_ns, 0);
	assert_int_equal(get(ALARM_LOW) | get(ALARM_HIGH) | get(IRQ_ENABLED) | get(ALARM_STATUS),
			 0);
}

/* Its interrupt wakes the guest, and only that: masked, it does not. */
static void wakes_who_sleeps(void **state)
{
	static struct kvm_run run;
	struct vcpu vcpu = { .vm = &d.vm, .run = &run }, *list = &vcpu;

	d.vm.vcpus = &list;
	d.vm.nr_vcpus = 1;
	vm_sleep(&vcpu);
	set_alarm(NOW);
	assert_true(vm_is_asleep(&d.vm));
	put(CLEAR_INTERRUPT, 1);
	put(IRQ_ENABLED, 1);
	set_alarm(NOW + SEC);
	assert_true(vm_is_asleep(&d.vm));
	host_clock.tv_sec++;
	fire();
	assert_false(vm_is_asleep(&d.vm));
	d.vm.nr_vcpus = 0;
	d.vm.vcpus = NULL;
}

static void other_widths(void **state)
{
	u8 data[8];

	memset(data, 0xff, sizeof(data));
	assert_true(bus_read(&d.vm.mmio, BASE, data, 8));
	assert_true(get_le(data, 8) == 0);
	assert_true(bus_read(&d.vm.mmio, BASE + 2, data, 2));
	assert_int_equal(get_le(data, 2), 0);
	assert_true(bus_write(&d.vm.mmio, BASE + ALARM_LOW, "\1\2\3\4\5\6\7\x8", 8));
	assert_true(bus_write(&d.vm.mmio, BASE + ALARM_LOW, "\1\2", 2));
	assert_true(bus_write(&d.vm.mmio, BASE + ALARM_LOW + 1, "\1\2\3\4", 4));
	assert_int_equal(get(ALARM_LOW) | get(ALARM_STATUS), 0);
	batter_rtc();
}

static void its_node(void **state)
{
	tree_begin(&d.vm);
	assert_true(tree_says("/rtc@1010000", "compatible", "google,goldfish-rtc"));
	check_rtc_node();
	tree_end();
}

static void the_place_is_taken_once(void **state)
{
	struct device *second;

	assert_int_equal(goldfish_rtc_create(&d.vm, &taken_place, &second), -EEXIST);
	assert_null(second);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(tells_the_hosts_time),
		T(is_set_and_stays_set),
		T(alarm_comes),
		T(the_mask_holds_it_back),
		T(is_cleared),
		T(the_clocks_may_jump),
		T(waits_in_a_pause),
		T(reset_forgets_the_alarm),
		T(wakes_who_sleeps),
		T(other_widths),
		T(its_node),
		T(the_place_is_taken_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
