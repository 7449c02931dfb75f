/* SPDX-License-Identifier: MIT */
/* guest/lib/fdt.c, compiled for this machine: whole trees are read, damaged ones are refused or
 * read within their bounds (the copy ends where its memory ends). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <libfdt.h>

#include "../../guest/lib/fdt.c"

static u8 tree_buf[2048];

static void make(void)
{
	static const char compatible[] = "first,one\0second,one";
	fdt64_t reg[4] = { cpu_to_fdt64(0x80000000), cpu_to_fdt64(1 << 20),
			   cpu_to_fdt64(0x100000000), cpu_to_fdt64(2 << 20) };

	assert_int_equal(fdt_create(tree_buf, sizeof(tree_buf)), 0);
	fdt_finish_reservemap(tree_buf);
	fdt_begin_node(tree_buf, "");
	fdt_property_u32(tree_buf, "#address-cells", 2);
	fdt_begin_node(tree_buf, "device@1");
	fdt_property(tree_buf, "compatible", compatible, sizeof(compatible));
	fdt_property(tree_buf, "reg", reg, sizeof(reg));
	fdt_property_u32(tree_buf, "phandle", 7);
	fdt_begin_node(tree_buf, "chosen");
	fdt_end_node(tree_buf);
	fdt_end_node(tree_buf);
	fdt_begin_node(tree_buf, "chosen");
	fdt_property_string(tree_buf, "bootargs", "a b");
	fdt_end_node(tree_buf);
	fdt_end_node(tree_buf);
	assert_int_equal(fdt_finish(tree_buf), 0);
}

static void test_whole(void **state)
{
	u64 base, size;
	u32 node, len;

	make();
	assert_int_equal(fdt_size(tree_buf), fdt_totalsize(tree_buf));
	assert_true(fdt_open(tree_buf));
	assert_int_equal(fdt_u32(0, "#address-cells", 0), 2);
	assert_int_equal(fdt_u32(0, "#address-cell", 5), 5);
	assert_true(fdt_number(0, "#address-cells", &base));
	assert_int_equal(base, 2);
	assert_false(fdt_number(0, "#size-cells", &base));
	node = fdt_compatible("second,one", 0);
	assert_int_not_equal(node, FDT_NONE);
	assert_int_equal(fdt_compatible("first,one", 0), node);
	assert_int_equal(fdt_compatible("first,one", 1), FDT_NONE);
	assert_int_equal(fdt_compatible("one", 0), FDT_NONE);
	assert_int_equal(fdt_phandle(7), node);
	assert_int_equal(fdt_phandle(8), FDT_NONE);
	assert_true(fdt_number(node, "reg", &base)); /* as many cells as there are, up to two */
	assert_true(base == 0x80000000);
	assert_true(fdt_reg(node, 1, &base, &size));
	assert_true(base == 0x100000000 && size == 2 << 20);
	assert_false(fdt_reg(node, 2, &base, &size));
	assert_false(fdt_reg(FDT_NONE, 0, &base, &size));
	node = fdt_child_of_root("chosen");
	assert_string_equal(fdt_prop(node, "bootargs", &len), "a b");
	assert_int_equal(len, 4);
	assert_null(fdt_prop(node, "reg", NULL));
	assert_int_equal(fdt_next(node), FDT_NONE);
}

static void use_all(void)
{
	u64 base, size;

	for (u32 node = 0, n = 0; node != FDT_NONE && n < 1000; node = fdt_next(node), n++) {
		fdt_reg(node, 0, &base, &size);
		fdt_has_string(node, "compatible", "second,one");
		fdt_u32(node, "phandle", 0);
	}
	fdt_child_of_root("chosen");
	fdt_phandle(7);
}

/* Every byte changed in several ways: no access outside, which a sanitizer or the heap notices. */
static void test_damaged(void **state)
{
	static const u8 values[] = { 0x00, 0x01, 0x02, 0x7f, 0xff };
	u32 refused = 0, len, first;

	make();
	len = fdt_totalsize(tree_buf);
	first = 8; /* its size is what the guest has to believe */
	for (u32 at = first; at < len; at++)
		for (u32 i = 0; i < ARRAY_SIZE(values); i++) {
			u8 *copy = malloc(len);

			memcpy(copy, tree_buf, len);
			copy[at] = values[i];
			if (fdt_open(copy))
				use_all();
			else
				refused++;
			free(copy);
		}
	assert_true(refused > 50);
}

static void test_refused(void **state)
{
	make();
	tree_buf[0] = 0;
	assert_int_equal(fdt_size(tree_buf), 0);
	assert_false(fdt_open(tree_buf));
	make();
	/* The structure's end is cut off. */
	fdt_set_size_dt_struct(tree_buf, fdt_size_dt_struct(tree_buf) - 4);
	assert_false(fdt_open(tree_buf));
	assert_int_equal(fdt_compatible("first,one", 0), FDT_NONE);
	make();
	fdt_set_off_dt_strings(tree_buf, 0xfffffff0);
	assert_false(fdt_open(tree_buf));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests_name("guest fdt", tests, NULL, NULL);
}
