/* SPDX-License-Identifier: MIT */
/* guest/riscv/cpu.c: which extensions a tree names, in its list or its older string, and whose
 * interrupt controller is whose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <libfdt.h>

#include "../../../guest/lib/fdt.c"

#undef MAGIC
#include "../../../guest/riscv/cpu.c"

static u8 tree_buf[4096];
static const u64 ids[] = { 3, 0 }; /* the first is the one that reads */

u64 cpus_id(u32 index)
{
	return ids[index];
}

u32 arch_nr_cpus(void)
{
	return ARRAY_SIZE(ids);
}

static void add_cpu(u32 hart, const char *isa, const char *list, size_t list_len)
{
	fdt_begin_node(tree_buf, hart ? "cpu@3" : "cpu@0");
	fdt_property_string(tree_buf, "device_type", "cpu");
	fdt_property_u32(tree_buf, "reg", hart);
	if (isa)
		fdt_property_string(tree_buf, "riscv,isa", isa);
	if (list)
		fdt_property(tree_buf, "riscv,isa-extensions", list, (int)list_len);
	fdt_begin_node(tree_buf, "interrupt-controller");
	fdt_property_string(tree_buf, "compatible", "riscv,cpu-intc");
	fdt_property_u32(tree_buf, "phandle", 16 + hart);
	fdt_end_node(tree_buf);
	fdt_end_node(tree_buf);
}

static void make(const char *isa, const char *list, size_t list_len)
{
	assert_int_equal(fdt_create(tree_buf, sizeof(tree_buf)), 0);
	fdt_finish_reservemap(tree_buf);
	fdt_begin_node(tree_buf, "");
	fdt_begin_node(tree_buf, "cpus");
	fdt_property_u32(tree_buf, "timebase-frequency", 12345);
	add_cpu(0, "rv64ih", NULL, 0);
	add_cpu(3, isa, list, list_len);
	fdt_end_node(tree_buf);
	fdt_end_node(tree_buf);
	assert_int_equal(fdt_finish(tree_buf), 0);
	assert_true(fdt_open(tree_buf));
	harts_read();
}

static void test_string(void **state)
{
	make("rv64imac_zba_zbb_svinval", NULL, 0);
	assert_true(hart_has("i"));
	assert_true(hart_has("c"));
	assert_true(hart_has("zba"));
	assert_true(hart_has("svinval"));
	assert_false(hart_has("z"));
	assert_false(hart_has("v"));
	assert_false(hart_has("h")); /* the other hart's */
	assert_false(hart_has("zb"));
	assert_false(hart_has("zbab"));
	assert_false(hart_has("ba"));
	make("rv64", NULL, 0);
	assert_false(hart_has("i"));
	make("rv", NULL, 0);
	assert_false(hart_has("v"));
	make(NULL, NULL, 0);
	assert_false(hart_has("i"));
}

/* It counts alone, where there are both. */
static void test_list(void **state)
{
	static const char list[] = "i\0m\0zicsr";

	make("rv64imac_zba", list, sizeof(list));
	assert_true(hart_has("m"));
	assert_true(hart_has("zicsr"));
	assert_false(hart_has("a"));
	assert_false(hart_has("zba"));
	assert_false(hart_has("csr"));
}

static void test_controllers(void **state)
{
	make("rv64i", NULL, 0);
	assert_int_equal(riscv_timebase, 12345);
	assert_int_equal(hart_of_controller(19), 0);
	assert_int_equal(hart_of_controller(16), 1);
	assert_int_equal(hart_of_controller(17), MAX_CPUS);
	assert_int_equal(hart_of_controller(0), MAX_CPUS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_string),
		cmocka_unit_test(test_list),
		cmocka_unit_test(test_controllers),
	};

	return cmocka_run_group_tests_name("guest isa", tests, NULL, NULL);
}
