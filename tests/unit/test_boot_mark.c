/* SPDX-License-Identifier: MIT */
/* The boot mark: what it says, and how often. */
#include "devvm.h"

#include "capture.h"
#include "fdt_tree.h"
#include "lkvm/hw.h"
#include "lkvm/log.h"
#include "lkvm/marks.h"
#include "lkvm/util.h"

#define BASE 0x1050000ULL

static struct devvm d;

static int setup(void **state)
{
	const struct arch_place place = { .base = BASE, .size = 4 };

	devvm_init(&d);
	assert_int_equal(boot_mark_create(&d.vm, &place), 0);
	return 0;
}

static int teardown(void **state)
{
	vm_destroy(&d.vm);
	return 0;
}

static const char *mark(u8 value, u64 offset, u32 len)
{
	u8 data[8] = { value, 1 };

	capture_begin();
	assert_true(bus_write(&d.vm.mmio, BASE + offset, data, len));
	return capture_end();
}

static void says_the_time(void **state)
{
	unsigned int number, ms, tenths;

	/* As if it had begun 1234.5 ms ago. */
	d.vm.start_ns = now_ns() - 1234500000;
	assert_one_line(mark(123, 0, 1));
	assert_int_equal(sscanf(captured, "lkvm: info: boot mark %u: %u.%u ms after start", &number,
				&ms, &tenths),
			 3);
	assert_int_equal(number, 123);
	assert_in_range(ms * 10 + tenths, 12345, (now_ns() - d.vm.start_ns) / 100000);
	/* The low byte, whatever the width. */
	assert_contains(mark(7, 0, 4), "boot mark 7:");
	assert_string_equal(mark(7, 1, 1), "");
	assert_string_equal(mark(7, 2, 2), "");
}

/* Others' registers only leave marks. */
static void others_leave_marks(void **state)
{
	const struct arch_place timer = { .base = BASE + 0x1000, .size = 4 };
	const struct arch_place post = { .pio = true, .base = 0x80, .size = 1 };
	static const u8 codes[] = { 1, 1, 2, 0, 0, 2 };
	static struct marks marks;
	u8 data[4] = { 122, 123 };
	char name[16];

	assert_int_equal(boot_timer_create(&d.vm, &timer), 0);
	assert_int_equal(post_code_create(&d.vm, &post), 0);
	marks_init(&marks, now_ns());
	/* Without somebody who wants them, too. */
	for (u32 i = 0; i < 2; i++) {
		d.vm.marks = i ? &marks : NULL;
		bus_write(&d.vm.mmio, timer.base, data, 1);
		bus_write(&d.vm.mmio, timer.base + 1, data + 1, 1);
		bus_write(&d.vm.pio, post.base, codes, 1);
		vm_reset_devices(&d.vm);
	}
	assert_int_equal(marks.nr, 2);
	data[0] = 123;
	bus_write(&d.vm.mmio, timer.base, data, 4);
	for (u32 i = 0; i < sizeof(codes); i++)
		bus_write(&d.vm.pio, post.base, &codes[i], 1);
	mark(7, 0, 1);
	assert_int_equal(marks.nr, 8);
	assert_string_equal(mark_name(&marks.list[2], name, sizeof(name)), "boot-timer");
	assert_string_equal(mark_name(&marks.list[3], name, sizeof(name)), "post.0x01");
	assert_string_equal(mark_name(&marks.list[5], name, sizeof(name)), "post.0x00");
	assert_string_equal(mark_name(&marks.list[6], name, sizeof(name)), "post.0x02");
	assert_string_equal(mark_name(&marks.list[7], name, sizeof(name)), "mark.7");
}

static void counts_from_the_reset(void **state)
{
	d.vm.start_ns = now_ns() - 50000000000ULL;
	vm_reset_devices(&d.vm);
	assert_contains(mark(1, 0, 1), "ms after the reset");
	assert_lacks(captured, "1: 500");
}

static void is_not_read(void **state)
{
	u8 data[4];

	assert_true(bus_read(&d.vm.mmio, BASE, data, 4));
	assert_int_equal(get_le(data, 4), 0xffffffff);
}

static void linux_finds_it_in_the_tree(void **state)
{
	const struct arch_place timer = { .base = BASE + 0x1000, .size = 4 };

	/* It alone, though it is one device with those that only leave marks. */
	assert_int_equal(boot_timer_create(&d.vm, &timer), 0);
	tree_begin(&d.vm);
	assert_true(tree_says("/boot-mark@1050000", "compatible", "lkvm,boot-mark"));
	assert_int_equal(tree_cell("/boot-mark@1050000", "reg", 0), 0);
	assert_int_equal(tree_cell("/boot-mark@1050000", "reg", 1), BASE);
	assert_int_equal(tree_cell("/boot-mark@1050000", "reg", 3), 4);
	assert_int_equal(fdt_path_offset(tree.buf, "/boot-mark@1051000"), -FDT_ERR_NOTFOUND);
	tree_end();
}

static void linux_finds_it_in_acpi(void **state)
{
	const struct arch_place place = { .pio = true, .base = 0x504, .size = 1 };
	const struct arch_place code = { .pio = true, .base = 0x80, .size = 1 };
	static const u8 mark[] = { 0x47, 1, 0x04, 0x05, 0x04, 0x05, 1, 1 };
	static const u8 post[] = { 0x47, 1, 0x80, 0x00 };

	vm_destroy(&d.vm);
	devvm_init(&d);
	assert_int_equal(post_code_create(&d.vm, &code), 0);
	assert_false(devvm_aml_has(&d, "LKVM", 4));
	assert_int_equal(boot_mark_create(&d.vm, &place), 0);
	assert_true(devvm_aml_has(&d, "LKVM0001", 9));
	assert_true(devvm_aml_has(&d, mark, sizeof(mark)));
	assert_false(devvm_aml_has(&d, post, sizeof(post)));
	tree_begin(&d.vm);
	assert_true(fdt_first_subnode(tree.buf, 0) < 0);
	tree_end();
}

static void does_not_flood(void **state)
{
	u32 lines = 0;

	capture_begin();
	for (int i = 0; i < 1000; i++)
		assert_true(bus_write(&d.vm.mmio, BASE, "\1", 1));
	for (const char *p = capture_end(); (p = strchr(p, '\n')); p++)
		lines++;
	assert_in_range(lines, 1, 10);
}

static void as_a_port(void **state)
{
	const struct arch_place place = { .pio = true, .base = 0x510, .size = 1 };

	assert_int_equal(boot_mark_create(&d.vm, &place), 0);
	capture_begin();
	devvm_out(&d, 0x510, 123, 1);
	/* This site's lines may be used up by now. */
	capture_end();
	assert_int_equal(boot_mark_create(&d.vm, &place), -EEXIST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(says_the_time, setup, teardown),
		cmocka_unit_test_setup_teardown(others_leave_marks, setup, teardown),
		cmocka_unit_test_setup_teardown(counts_from_the_reset, setup, teardown),
		cmocka_unit_test_setup_teardown(is_not_read, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_finds_it_in_the_tree, setup, teardown),
		cmocka_unit_test_setup_teardown(linux_finds_it_in_acpi, setup, teardown),
		cmocka_unit_test_setup_teardown(as_a_port, setup, teardown),
		cmocka_unit_test_setup_teardown(does_not_flood, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
