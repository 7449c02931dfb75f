/* SPDX-License-Identifier: MIT */
/* pvpanic: events, what Linux's driver finds. */
#include "devvm.h"

#include "capture.h"
#include "lkvm/hw.h"

#define PORT 0x505

static struct devvm d;

static int setup(void **state)
{
	const struct arch_place place = { .pio = true, .base = PORT, .size = 1 };

	devvm_init(&d);
	assert_int_equal(pvpanic_create(&d.vm, &place), 0);
	return 0;
}

static int teardown(void **state)
{
	vm_destroy(&d.vm);
	return 0;
}

static enum vm_stop event_of(u8 value)
{
	enum vm_stop stop;

	devvm_out(&d, PORT, value, 1);
	stop = d.vm.stop;
	vm_clear_stop(&d.vm, d.vm.stop);
	return stop;
}

static void reads_the_supported_events(void **state)
{
	assert_int_equal(devvm_in(&d, PORT, 1), 7);
	assert_int_equal(devvm_in(&d, PORT, 2), 0xffff);
}

static void each_event(void **state)
{
	assert_int_equal(event_of(1), VM_STOP_PANIC);
	assert_int_equal(event_of(4), VM_STOP_POWEROFF);
	assert_int_equal(event_of(0), VM_STOP_NONE);
	assert_int_equal(event_of(0xf8), VM_STOP_NONE);
	assert_int_equal(event_of(7), VM_STOP_PANIC);
}

static void a_crash_kernel_goes_on(void **state)
{
	capture_begin();
	assert_int_equal(event_of(2), VM_STOP_NONE);
	assert_one_line(capture_end());
	assert_contains(captured, "crash kernel");
}

static void linux_finds_it(void **state)
{
	static const u8 io[] = { 0x47, 1, 0x05, 0x05, 0x05, 0x05 };

	assert_true(devvm_aml_has(&d, "QEMU0001", 9));
	assert_true(devvm_aml_has(&d, io, sizeof(io)));
}

static void in_mmio(void **state)
{
	const struct arch_place place = { .base = 0x9060000, .size = 2 };
	u8 data[2];

	assert_int_equal(pvpanic_create(&d.vm, &place), 0);
	assert_true(bus_read(&d.vm.mmio, 0x9060000, data, 2));
	assert_int_equal(data[0], 7);
	assert_int_equal(data[1], 0);
	assert_true(bus_write(&d.vm.mmio, 0x9060001, "\1", 1));
	assert_int_equal(d.vm.stop, VM_STOP_NONE);
	assert_true(bus_write(&d.vm.mmio, 0x9060000, "\1", 1));
	assert_int_equal(d.vm.stop, VM_STOP_PANIC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(reads_the_supported_events, setup, teardown),
		cmocka_unit_test_setup_teardown(each_event, setup, teardown),
		cmocka_unit_test_setup_teardown(a_crash_kernel_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_finds_it, setup, teardown),
		cmocka_unit_test_setup_teardown(in_mmio, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
