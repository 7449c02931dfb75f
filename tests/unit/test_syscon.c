/* SPDX-License-Identifier: MIT */
/* The register that switches off and resets. */
#include "devvm.h"

#include "fdt_tree.h"
#include "lkvm/hw.h"

#define BASE 0x1060000ULL

static struct devvm d;

static int setup(void **state)
{
	const struct arch_place place = { .base = BASE, .size = 0x1000 };

	devvm_init(&d);
	return syscon_create(&d.vm, &place);
}

static int teardown(void **state)
{
	vm_destroy(&d.vm);
	return 0;
}

static enum vm_stop put(u64 offset, u64 value, u32 len)
{
	enum vm_stop stop;
	u8 data[8];

	put_le(data, len, value);
	assert_true(bus_write(&d.vm.mmio, BASE + offset, data, len));
	stop = vm_stop_reason(&d.vm, NULL, NULL);
	vm_clear_stop(&d.vm, stop);
	return stop;
}

static void test_values(void **state)
{
	assert_int_equal(put(0, 0x5555, 4), VM_STOP_POWEROFF);
	assert_int_equal(put(0, 0x7777, 4), VM_STOP_RESET);
	assert_int_equal(put(0, 0, 4), VM_STOP_NONE);
	assert_int_equal(put(0, 0x15555, 4), VM_STOP_NONE);
	assert_int_equal(put(0, 0x3333, 4), VM_STOP_NONE);
}

static void test_other_accesses(void **state)
{
	u8 data[4] = { 1, 2, 3, 4 };

	assert_int_equal(put(0, 0x5555, 2), VM_STOP_NONE);
	assert_int_equal(put(0, 0x5555, 8), VM_STOP_NONE);
	assert_int_equal(put(4, 0x5555, 4), VM_STOP_NONE);
	assert_int_equal(put(0xffc, 0x5555, 4), VM_STOP_NONE);
	assert_true(bus_read(&d.vm.mmio, BASE, data, 4));
	assert_int_equal(get_le(data, 4), 0);
}

static void test_nodes(void **state)
{
	u32 phandle;

	tree_begin(&d.vm);
	assert_true(tree_says("/syscon@1060000", "compatible", "syscon"));
	assert_int_equal(tree_cell("/syscon@1060000", "reg", 1), BASE);
	phandle = tree_cell("/syscon@1060000", "phandle", 0);
	assert_true(tree_says("/poweroff", "compatible", "syscon-poweroff"));
	assert_int_equal(tree_cell("/poweroff", "regmap", 0), phandle);
	assert_int_equal(tree_cell("/poweroff", "offset", 0), 0);
	assert_int_equal(tree_cell("/poweroff", "value", 0), 0x5555);
	assert_true(tree_says("/reboot", "compatible", "syscon-reboot"));
	assert_int_equal(tree_cell("/reboot", "regmap", 0), phandle);
	assert_int_equal(tree_cell("/reboot", "offset", 0), 0);
	assert_int_equal(tree_cell("/reboot", "value", 0), 0x7777);
	tree_end();
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_values),
		T(test_other_accesses),
		T(test_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
