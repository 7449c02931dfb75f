/* SPDX-License-Identifier: MIT */
/* The PL061 as Linux's driver uses it, and the power key. */
#include "devvm.h"

#include <unistd.h>

#include "fdt_tree.h"
#include "lkvm/hw.h"

#define BASE 0x1040000ULL
#define GSI  6
#define KEY  BIT(3)

static struct devvm d;
static struct device *gpio;

static int setup(void **state)
{
	const struct arch_place place = { .base = BASE, .size = 0x1000, .gsi = GSI };

	devvm_init(&d);
	assert_int_equal(pl061_create(&d.vm, &place, &gpio), 0);
	assert_ptr_equal(gpio, d.vm.devices);
	return 0;
}

static int teardown(void **state)
{
	vm_destroy(&d.vm);
	return 0;
}

static u32 get(u32 reg)
{
	return devvm_get(&d, BASE + reg);
}

static void put(u32 reg, u8 value)
{
	devvm_put(&d, BASE + reg, value);
}

/* Something for the main loop to do, or nothing within @ms. */
static bool turn(int ms)
{
	for (; ms >= 0; ms--) {
		if (event_loop_drain(&d.vm.loop))
			return true;
		usleep(1000);
	}
	return false;
}

static void linux_finds_its_ids(void **state)
{
	static const u8 ids[] = { 0x61, 0x10, 0x04, 0x00, 0x0d, 0xf0, 0x05, 0xb1 };

	for (u32 i = 0; i < sizeof(ids); i++)
		assert_int_equal(get(0xfe0 + 4 * i), ids[i]);
}

static void the_address_selects_pins(void **state)
{
	put(0x400, 0xf0);
	assert_int_equal(get(0x400), 0xf0);
	put(0x3fc, 0xff);
	assert_int_equal(get(0x3fc), 0xf0);
	/* Pins 4 and 5 alone. */
	put(0x30 << 2, 0x1f);
	assert_int_equal(get(0x3fc), 0xd0);
	put(0xc0 << 2, 0x00);
	put(0x10 << 2, 0xff);
	assert_int_equal(get(0x3fc), 0x10);
	put(0xc0 << 2, 0xc0);
	assert_int_equal(get(0x30 << 2), 0x10);
	assert_int_equal(get(0x00), 0);
	/* What was written to an input shows when it becomes an output. */
	put(0x400, 0xff);
	assert_int_equal(get(0x3fc), 0xdf);
}

static void press_and_release_are_edges(void **state)
{
	put(0x408, KEY);
	put(0x410, KEY);
	pl061_press(gpio);
	assert_int_equal(get(0x3fc), KEY);
	assert_int_equal(get(KEY << 2), KEY);
	assert_int_equal(get(0x414), KEY);
	assert_int_equal(get(0x418), KEY);
	assert_true(d.level[GSI]);
	put(0x41c, (u8)~KEY);
	assert_true(d.level[GSI]);
	put(0x41c, KEY);
	assert_false(d.level[GSI]);
	assert_int_equal(get(0x414), 0);
	assert_true(turn(2000));
	assert_int_equal(get(0x3fc), 0);
	assert_int_equal(get(0x414), KEY);
	assert_true(d.level[GSI]);
	put(0x41c, 0xff);
	assert_false(d.level[GSI]);
	assert_int_equal(d.rises[GSI], 2);
	/* And once more. */
	pl061_press(gpio);
	assert_true(d.level[GSI]);
}

/* A guest that is busy: the interrupt is heard at once, and the pin is looked at whenever. */
static void the_key_waits_for_the_guest(void **state)
{
	put(0x408, KEY);
	put(0x410, KEY);
	for (u32 i = 0; i < 2; i++) {
		pl061_press(gpio);
		put(0x41c, KEY);
		/* Other pins are not it. */
		assert_int_equal(get((u8)~KEY << 2), 0);
		assert_true(turn(2000));
		assert_false(turn(250));
		assert_int_equal(get(0x414), 0);
		assert_int_equal(get(KEY << 2), KEY);
		/* Nor does it stay down for good where the guest looks again and again. */
		for (u32 looks = 0; !turn(10); looks++) {
			assert_true(looks < 1000);
			assert_int_equal(get(KEY << 2), KEY);
		}
		assert_int_equal(get(KEY << 2), 0);
		assert_int_equal(get(0x414), KEY);
		put(0x41c, KEY);
	}
}

/* One that takes the interrupt alone for a press hears of the next one. */
static void a_guest_that_never_looks(void **state)
{
	put(0x40c, KEY);
	put(0x410, KEY);
	for (u32 i = 1; i < 4; i++) {
		pl061_press(gpio);
		assert_true(turn(2000));
		assert_true(d.level[GSI]);
		assert_int_equal(d.rises[GSI], i);
		put(0x41c, KEY);
		assert_false(d.level[GSI]);
	}
}

static void a_guest_that_leaves_off_listening(void **state)
{
	static const struct {
		u32 reg;
		u8 off, on;
	} ways[] = {
		{ 0x410, 0, KEY },
		{ 0x408, 0, KEY },
		{ 0x404, KEY, 0 },
		{ 0x400, KEY, 0 },
	};

	put(0x408, KEY);
	put(0x410, KEY);
	for (u32 i = 0; i < ARRAY_SIZE(ways); i++) {
		pl061_press(gpio);
		assert_true(turn(2000));
		put(ways[i].reg, ways[i].off);
		assert_true(turn(2000));
		put(ways[i].reg, ways[i].on);
		assert_int_equal(get(KEY << 2), 0);
		put(0x41c, KEY);
	}
}

static void one_edge(void **state)
{
	put(0x410, 0xff);
	/* Falling. */
	pl061_press(gpio);
	assert_int_equal(get(0x414), 0);
	assert_true(turn(2000));
	assert_int_equal(get(0x414), KEY);
	put(0x41c, KEY);
	/* Rising. */
	put(0x40c, KEY);
	pl061_press(gpio);
	assert_int_equal(get(0x414), KEY);
	put(0x41c, KEY);
	assert_true(turn(2000));
	assert_int_equal(get(0x414), 0);
}

static void levels(void **state)
{
	put(0x404, KEY);
	put(0x40c, 0xff);
	put(0x410, KEY);
	assert_false(d.level[GSI]);
	pl061_press(gpio);
	assert_true(d.level[GSI]);
	/* It cannot be cleared but by its cause. */
	put(0x41c, KEY);
	assert_true(d.level[GSI]);
	put(0x40c, 0);
	assert_false(d.level[GSI]);
	assert_true(turn(2000));
	assert_true(d.level[GSI]);
	put(0x410, 0);
	assert_false(d.level[GSI]);
	assert_int_equal(get(0x414), KEY);
	assert_int_equal(get(0x418), 0);
	/* No edges were kept meanwhile. */
	put(0x40c, 0xff);
	assert_int_equal(get(0x414), 0);
}

static void an_output_raises_nothing(void **state)
{
	put(0x400, KEY);
	put(0x408, KEY);
	put(0x410, KEY);
	put(0x3fc, KEY);
	pl061_press(gpio);
	assert_int_equal(get(0x414), 0);
	put(0x3fc, 0);
	assert_int_equal(get(0x3fc), 0);
	assert_false(d.level[GSI]);
	put(0x404, KEY);
	put(0x40c, KEY);
	put(0x3fc, KEY);
	assert_int_equal(get(0x414), 0);
	/* Nor does a change of direction. */
	put(0x404, 0);
	put(0x400, 0);
	put(0x400, KEY);
	assert_int_equal(get(0x414), 0);
}

static void masked_edges_wait(void **state)
{
	put(0x408, KEY);
	pl061_press(gpio);
	assert_false(d.level[GSI]);
	assert_int_equal(get(0x414), KEY);
	put(0x410, KEY);
	assert_true(d.level[GSI]);
}

static void reset_lets_the_key_go(void **state)
{
	put(0x408, KEY);
	put(0x410, KEY);
	put(0x420, 0x55);
	assert_int_equal(get(0x420), 0x55);
	pl061_press(gpio);
	vm_reset_devices(&d.vm);
	assert_false(d.level[GSI]);
	for (u32 reg = 0x3fc; reg <= 0x420; reg += 4)
		assert_int_equal(get(reg), 0);
	assert_false(turn(150));
}

static void every_width(void **state)
{
	u8 data[8];

	/* Firmware uses bytes. */
	assert_true(bus_write(&d.vm.mmio, BASE + 0x400, "\xa5", 1));
	assert_true(bus_read(&d.vm.mmio, BASE + 0x400, data, 1));
	assert_int_equal(data[0], 0xa5);
	assert_true(bus_write(&d.vm.mmio, BASE + 0x401, "\xff", 1));
	assert_true(bus_write(&d.vm.mmio, BASE + 0x403, "\xff\xff", 2));
	assert_int_equal(get(0x400), 0xa5);
	put(0x3fc, 0);
	assert_true(bus_write(&d.vm.mmio, BASE + 0x3fd, "\xff", 1));
	assert_int_equal(get(0x3fc), 0);
	put(0xfe0, 0);
	assert_int_equal(get(0xfe0), 0x61);
	assert_true(bus_read(&d.vm.mmio, BASE + 0xffc, data, 4));
	devvm_batter(&d, &d.vm.mmio, BASE - 8, BASE + 0x1008, 20000);
	devvm_batter(&d, &d.vm.mmio, BASE + 0x3f8, BASE + 0x428, 20000);
}

static void its_nodes(void **state)
{
	u32 phandle;

	tree_begin(&d.vm);
	assert_true(tree_says("/gpio@1040000", "compatible", "arm,pl061"));
	assert_true(tree_says("/gpio@1040000", "compatible", "arm,primecell"));
	assert_int_equal(tree_cell("/gpio@1040000", "reg", 1), BASE);
	assert_int_equal(tree_cell("/gpio@1040000", "interrupts", 1), GSI);
	assert_int_equal(tree_cell("/gpio@1040000", "#gpio-cells", 0), 2);
	assert_int_equal(tree_cell("/gpio@1040000", "#interrupt-cells", 0), 2);
	assert_true(tree_has("/gpio@1040000", "gpio-controller"));
	assert_true(tree_has("/gpio@1040000", "interrupt-controller"));
	phandle = tree_cell("/gpio@1040000", "phandle", 0);
	assert_true(tree_says("/gpio-keys", "compatible", "gpio-keys"));
	assert_int_equal(tree_cell("/gpio-keys/power", "linux,code", 0), 116);
	assert_int_equal(tree_cell("/gpio-keys/power", "gpios", 0), phandle);
	assert_int_equal(tree_cell("/gpio-keys/power", "gpios", 1), 3);
	assert_int_equal(tree_cell("/gpio-keys/power", "gpios", 2), 0);
	tree_end();
}

static void the_place_is_taken_once(void **state)
{
	const struct arch_place place = { .base = BASE, .size = 0x1000, .gsi = GSI };
	struct device *second = gpio;

	assert_int_equal(pl061_create(&d.vm, &place, &second), -EEXIST);
	assert_null(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(linux_finds_its_ids, setup, teardown),
		cmocka_unit_test_setup_teardown(the_address_selects_pins, setup, teardown),
		cmocka_unit_test_setup_teardown(press_and_release_are_edges, setup, teardown),
		cmocka_unit_test_setup_teardown(the_key_waits_for_the_guest, setup, teardown),
		cmocka_unit_test_setup_teardown(a_guest_that_never_looks, setup, teardown),
		cmocka_unit_test_setup_teardown(a_guest_that_leaves_off_listening, setup, teardown),
		cmocka_unit_test_setup_teardown(one_edge, setup, teardown),
		cmocka_unit_test_setup_teardown(levels, setup, teardown),
		cmocka_unit_test_setup_teardown(an_output_raises_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(masked_edges_wait, setup, teardown),
		cmocka_unit_test_setup_teardown(reset_lets_the_key_go, setup, teardown),
		cmocka_unit_test_setup_teardown(every_width, setup, teardown),
		cmocka_unit_test_setup_teardown(its_nodes, setup, teardown),
		cmocka_unit_test_setup_teardown(the_place_is_taken_once, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
