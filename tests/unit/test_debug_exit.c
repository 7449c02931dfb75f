/* SPDX-License-Identifier: MIT */
/* The debug-exit port. */
#include "devvm.h"

#include "lkvm/hw.h"

#define PORT 0xf4

static struct devvm d;

static int setup(void **state)
{
	const struct arch_place place = { .pio = true, .base = PORT, .size = 4 };

	devvm_init(&d);
	assert_int_equal(debug_exit_create(&d.vm, &place), 0);
	return 0;
}

static int teardown(void **state)
{
	vm_destroy(&d.vm);
	return 0;
}

static void every_width_gives_the_low_byte(void **state)
{
	for (u32 len = 1; len <= 4; len *= 2) {
		devvm_out(&d, PORT, 0x12345642 & (u32)((1ULL << 8 * len) - 1), len);
		assert_int_equal(d.vm.stop, VM_STOP_DEBUG_EXIT);
		assert_int_equal(d.vm.stop_status, 0x42);
		assert_true(atomic_load(&d.vm.loop.stop));
		vm_clear_stop(&d.vm, d.vm.stop);
	}
}

static void the_middle_is_no_status(void **state)
{
	devvm_out(&d, PORT + 1, 5, 1);
	devvm_out(&d, PORT + 2, 5, 2);
	devvm_out(&d, PORT - 1, 5, 2);
	devvm_out(&d, PORT + 3, 5, 4);
	assert_int_equal(d.vm.stop, VM_STOP_NONE);
	assert_int_equal(devvm_in(&d, PORT, 4), 0xffffffff);
}

static void the_port_is_taken_once(void **state)
{
	const struct arch_place place = { .pio = true, .base = PORT + 3, .size = 1 };

	assert_int_equal(debug_exit_create(&d.vm, &place), -EEXIST);
}

static void works_in_mmio(void **state)
{
	const struct arch_place place = { .base = 0x1000, .size = 8 };
	u64 value = 7;

	assert_int_equal(debug_exit_create(&d.vm, &place), 0);
	assert_true(bus_write(&d.vm.mmio, 0x1000, &value, 8));
	assert_int_equal(d.vm.stop_status, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_width_gives_the_low_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(the_middle_is_no_status, setup, teardown),
		cmocka_unit_test_setup_teardown(the_port_is_taken_once, setup, teardown),
		cmocka_unit_test_setup_teardown(works_in_mmio, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
