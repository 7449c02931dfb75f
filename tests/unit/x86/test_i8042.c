/* SPDX-License-Identifier: MIT */
/* i8042: resets, and probes that end without a timeout. */
#include "devvm.h"

#include "lkvm/hw.h"

enum { DATA = 0x60, COMMAND = 0x64, PORT_A = 0x92 };
enum { OUTPUT_FULL = 1, INPUT_FULL = 2, AUX = 0x20, TIMEOUT = 0x40 };

static struct devvm d;

static int setup(void **state)
{
	devvm_init(&d);
	assert_int_equal(i8042_create(&d.vm), 0);
	return 0;
}

static int teardown(void **state)
{
	vm_destroy(&d.vm);
	return 0;
}

static u8 status(void)
{
	return (u8)devvm_in(&d, COMMAND, 1);
}

static void command(u8 value)
{
	assert_false(status() & INPUT_FULL);
	devvm_out(&d, COMMAND, value, 1);
}

static void write_data(u8 value)
{
	assert_false(status() & INPUT_FULL);
	devvm_out(&d, DATA, value, 1);
}

/* A reply must be there at once. */
static u8 reply(void)
{
	assert_true(status() & OUTPUT_FULL);
	return (u8)devvm_in(&d, DATA, 1);
}

static bool took_reset(void)
{
	bool reset = d.vm.stop == VM_STOP_RESET;

	vm_clear_stop(&d.vm, d.vm.stop);
	return reset;
}

static void nothing_waits_at_first(void **state)
{
	assert_int_equal(status() & (OUTPUT_FULL | INPUT_FULL), 0);
}

static void resets(void **state)
{
	command(0xfe);
	assert_true(took_reset());
	command(0xd1);
	write_data(0x02);
	assert_true(took_reset());
	devvm_out(&d, PORT_A, 1, 1);
	assert_true(took_reset());
}

static void reset_command_after_half_a_command(void **state)
{
	command(0xd1);
	command(0xfe);
	assert_true(took_reset());
}

static void another_command_ends_a_half_one(void **state)
{
	command(0xd1);
	command(0x20);
	reply();
	write_data(0x02); /* for the keyboard */
	assert_false(took_reset());
}

static void a20_is_harmless(void **state)
{
	command(0xd1);
	write_data(0xdf);
	command(0xd1);
	write_data(0xdd);
	command(0xdd);
	command(0xdf);
	command(0xff);
	devvm_out(&d, PORT_A, 2, 1);
	devvm_out(&d, PORT_A, 0, 1);
	assert_false(took_reset());
	assert_int_equal(devvm_in(&d, PORT_A, 1) & 2, 2);
	command(0xd0);
	assert_int_equal(reply() & 3, 3);
}

static void port_a_resets_as_bit_0_rises(void **state)
{
	devvm_out(&d, PORT_A, 3, 1);
	assert_true(took_reset());
	devvm_out(&d, PORT_A, 3, 1);
	assert_false(took_reset());
}

/* What Linux does where ACPI does not tell it that there is no such controller. */
static void linux_probe_ends_at_once(void **state)
{
	u8 mode;

	command(0xaa);
	assert_int_equal(reply(), 0x55);
	command(0x20);
	mode = reply();
	command(0x60);
	write_data(mode & 0xfe);
	command(0x20);
	assert_int_equal(reply(), mode & 0xfe);
	/* The auxiliary port: loop without the AUX mark, then a test that fails. */
	command(0xd3);
	write_data(0x5a);
	assert_false(status() & AUX);
	assert_int_equal(reply(), 0x5a);
	command(0xa9);
	mode = reply();
	assert_true(mode && mode != 0xfa && mode != 0xff);
	command(0xab);
	assert_int_not_equal(reply(), 0);
	assert_false(status() & OUTPUT_FULL);
}

static void ports_can_be_disabled(void **state)
{
	command(0xae);
	command(0xa8);
	command(0x20);
	assert_int_equal(reply() & 0x30, 0);
	command(0xad);
	command(0xa7);
	command(0x20);
	assert_int_equal(reply() & 0x30, 0x30);
}

static void no_device_answers(void **state)
{
	write_data(0xff);
	assert_true(status() & TIMEOUT);
	assert_int_equal(reply(), 0xfe);
	assert_false(status() & (TIMEOUT | OUTPUT_FULL));
	command(0xd4);
	write_data(0xf2);
	assert_int_equal(reply(), 0xfe);
}

static void every_command_leaves_it_usable(void **state)
{
	for (int c = 0; c < 256; c++) {
		command((u8)c);
		assert_int_equal(took_reset(), c >= 0xf0 && !(c & 1));
		write_data(0xff);
		assert_false(took_reset());
		if (status() & OUTPUT_FULL)
			devvm_in(&d, DATA, 1);
		assert_false(status() & (OUTPUT_FULL | INPUT_FULL));
	}
}

static void reset_forgets(void **state)
{
	command(0xd1);
	write_data(0xff);
	command(0xaa);
	command(0xd1);
	vm_reset_devices(&d.vm);
	assert_int_equal(status() & OUTPUT_FULL, 0);
	write_data(0); /* not the output port's */
	assert_false(took_reset());
}

static void hostile(void **state)
{
	devvm_batter(&d, &d.vm.pio, 0x5e, 0x67, 100000);
	devvm_batter(&d, &d.vm.pio, 0x90, 0x95, 10000);
	assert_false(status() & INPUT_FULL);
}

static void taken_ports_are_given_back(void **state)
{
	struct devvm other;
	u8 byte;

	devvm_init(&other);
	assert_int_equal(bus_add(&other.vm.pio, PORT_A, 1, &(struct bus_ops){ 0 }, NULL, "other"),
			 0);
	assert_int_equal(i8042_create(&other.vm), -EEXIST);
	assert_false(bus_read(&other.vm.pio, DATA, &byte, 1));
	assert_false(bus_read(&other.vm.pio, COMMAND, &byte, 1));
	vm_destroy(&other.vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(nothing_waits_at_first, setup, teardown),
		cmocka_unit_test_setup_teardown(resets, setup, teardown),
		cmocka_unit_test_setup_teardown(reset_command_after_half_a_command, setup,
						teardown),
		cmocka_unit_test_setup_teardown(another_command_ends_a_half_one, setup, teardown),
		cmocka_unit_test_setup_teardown(a20_is_harmless, setup, teardown),
		cmocka_unit_test_setup_teardown(port_a_resets_as_bit_0_rises, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_probe_ends_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(ports_can_be_disabled, setup, teardown),
		cmocka_unit_test_setup_teardown(no_device_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(every_command_leaves_it_usable, setup, teardown),
		cmocka_unit_test_setup_teardown(reset_forgets, setup, teardown),
		cmocka_unit_test_setup_teardown(hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(taken_ports_are_given_back, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
