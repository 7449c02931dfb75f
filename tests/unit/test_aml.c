/* SPDX-License-Identifier: MIT */
/* ACPI Machine Language: the bytes of ACPI 6.5, 20.2 and 6.4, and iasl's opinion of all of them. */
#include "unit.h"

#include "iasl.h"
#include "lkvm/aml.h"

#define assert_aml(aml, ...)                                            \
	do {                                                            \
		const u8 want_[] = { __VA_ARGS__ };                     \
		assert_int_equal((aml)->len, sizeof(want_));            \
		assert_memory_equal((aml)->data, want_, sizeof(want_)); \
		aml_free(aml);                                          \
	} while (0)

static void test_names(void **state)
{
	struct aml a;

	aml_init(&a);
	aml_name_ref(&a, "\\_SB");
	assert_aml(&a, '\\', '_', 'S', 'B', '_');
	aml_name_ref(&a, "_SB.PCI0");
	assert_aml(&a, 0x2e, '_', 'S', 'B', '_', 'P', 'C', 'I', '0');
	aml_name_ref(&a, "^A.B.C");
	assert_aml(&a, '^', 0x2f, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '_', '_', '_');
	aml_name_ref(&a, "\\");
	assert_aml(&a, '\\', 0);
}

static void test_integers(void **state)
{
	struct aml a;

	aml_init(&a);
	aml_int(&a, 0);
	aml_int(&a, 1);
	aml_int(&a, 0xff);
	aml_int(&a, 0x100);
	aml_int(&a, 0x12345678);
	aml_int(&a, 0x100000000);
	assert_aml(&a, 0x00, 0x01, 0x0a, 0xff, 0x0b, 0x00, 0x01, 0x0c, 0x78, 0x56, 0x34, 0x12, 0x0e,
		   0, 0, 0, 0, 1, 0, 0, 0);
}

static void test_strings(void **state)
{
	struct aml a;

	aml_init(&a);
	aml_string(&a, "hi");
	assert_aml(&a, 0x0d, 'h', 'i', 0);
	/* "PNP0A03" is 0x030ad041 in every DSDT. */
	aml_eisaid(&a, "PNP0A03");
	assert_aml(&a, 0x0c, 0x41, 0xd0, 0x0a, 0x03);
}

/* PkgLength at each of its widths' ends (20.2.4). */
static void test_package_length(void **state)
{
	static const struct {
		size_t body; /* after the length */
		u8 lead;
		unsigned int extra;
	} cases[] = {
		{ 62, 0x3f, 0 },   { 63, 0x41, 1 },	 { 4093, 0x4f, 1 },
		{ 4094, 0x81, 2 }, { 1048572, 0x8f, 2 }, { 1048573, 0xc1, 3 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		u8 *body = calloc(1, cases[i].body);
		struct aml a;
		size_t mark, total = cases[i].body + 1 + cases[i].extra;

		aml_init(&a);
		aml_int(&a, 0xff); /* something before it */
		mark = aml_scope(&a, "\\");
		aml_raw(&a, body, cases[i].body - 2);
		aml_close(&a, mark);
		assert_int_equal(a.len, 3 + total);
		assert_int_equal(a.data[2], 0x10);
		assert_int_equal(a.data[3], cases[i].lead);
		if (cases[i].extra)
			assert_int_equal(
				(a.data[3] & 0xf) | get_le(a.data + 4, cases[i].extra) << 4, total);
		assert_int_equal(a.data[4 + cases[i].extra], '\\');
		aml_free(&a);
		free(body);
	}
}

static void test_resources(void **state)
{
	struct aml a;
	size_t mark;

	aml_init(&a);
	mark = aml_name_resources(&a, "_CRS");
	aml_res_io(&a, 0x3f8, 8);
	aml_res_irq(&a, 4, true, false, false);
	aml_res_irq(&a, 0x10, false, true, true);
	aml_close_resources(&a, mark);
	assert_aml(&a, 0x08, '_', 'C', 'R', 'S', 0x11, 0x1f, 0x0a, 0x1c, /* buffer */
		   0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08,	 /* I/O */
		   0x89, 0x06, 0x00, 0x03, 0x01, 0x04, 0x00, 0x00, 0x00, /* edge, high */
		   0x89, 0x06, 0x00, 0x0d, 0x01, 0x10, 0x00, 0x00, 0x00, /* level, low, shared */
		   0x79, 0x00);
}

static size_t begin_dsdt(struct aml *a)
{
	static const u8 header[36] = "DSDT\0\0\0\0\2\0LKVM  LKVM    \1\0\0\0LKVM\1\0\0";

	aml_init(a);
	aml_raw(a, header, sizeof(header));
	return aml_scope(a, "\\_SB");
}

static void end_dsdt(struct aml *a, size_t scope)
{
	u8 sum = 0;

	aml_close(a, scope);
	put_le(a->data + 4, 4, a->len);
	for (size_t i = 0; i < a->len; i++)
		sum = (u8)(sum + a->data[i]);
	a->data[9] = (u8)-sum;
}

static void add_windows(struct aml *a)
{
	size_t device = aml_device(a, "PCI0"), mark;

	aml_name_eisaid(a, "_HID", "PNP0A08");
	aml_name_eisaid(a, "_CID", "PNP0A03");
	mark = aml_name_resources(a, "_CRS");
	aml_res_bus(a, 0, 255);
	aml_res_io_window(a, 0, 0x10000);
	aml_res_io_window(a, 0x1000, 0xf000);
	aml_res_memory_window32(a, 0xc0000000, 0x20000000);
	aml_res_memory_window64(a, 0x4000000000, 0x400000000, true);
	aml_close_resources(a, mark);
	aml_close(a, device);
}

static void add_plain(struct aml *a)
{
	size_t device = aml_device(a, "DEV0"), mark;

	aml_name_string(a, "_HID", "LNRO0005");
	aml_name_int(a, "_UID", 3);
	mark = aml_name_resources(a, "_CRS");
	aml_res_memory32(a, 0xfeb00000, 0x200, true);
	aml_res_memory64(a, 0x4000000000, 0x1000, true, false);
	aml_res_io(a, 0x600, 0x100);
	aml_close_resources(a, mark);
	mark = aml_name_resources(a, "BUF0"); /* nothing but the end tag */
	aml_close_resources(a, mark);
	aml_close(a, device);
}

static void add_method(struct aml *a)
{
	size_t device = aml_device(a, "GED0"), method, branch, package;

	aml_name_string(a, "_HID", "ACPI0013");
	aml_op_region(a, "REG0", true, 0x600, 4);
	aml_field(a, "REG0", "FLD0", 8);
	aml_name(a, "PKG0");
	package = aml_package(a, 2);
	aml_int(a, 1);
	aml_name_ref(a, "\\_SB.PCI0");
	aml_close(a, package);
	method = aml_method(a, "MTH0", 1, true);
	aml_op(a, AML_STORE);
	aml_name_ref(a, "FLD0");
	aml_op(a, AML_LOCAL0);
	branch = aml_if(a);
	aml_op(a, AML_EQUAL);
	aml_op(a, AML_ARG0);
	aml_int(a, 9);
	aml_op(a, AML_NOTIFY);
	aml_name_ref(a, "PCI0");
	aml_int(a, 0x80);
	aml_close(a, branch);
	aml_return(a);
	aml_op(a, AML_AND);
	aml_op(a, AML_LOCAL0);
	aml_int(a, 3);
	aml_null_name(a);
	aml_close(a, method);
	aml_close(a, device);
}

static void test_iasl(void **state)
{
	static const char *const parts[] = {
		"WordBusNumber (ResourceProducer, MinFixed, MaxFixed, PosDecode",
		"DWordIO (ResourceProducer, MinFixed, MaxFixed, PosDecode, EntireRange",
		"WordIO (ResourceConsumer, MinFixed, MaxFixed, PosDecode, EntireRange",
		"DWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, NonCacheable, "
		"ReadWrite",
		"QWordMemory (ResourceProducer, PosDecode, MinFixed, MaxFixed, Prefetchable, "
		"ReadWrite",
		"QWordMemory (ResourceConsumer, PosDecode, MinFixed, MaxFixed, Cacheable, ReadOnly",
		"Memory32Fixed (ReadWrite",
		"EisaId (\"PNP0A08\")",
		"Field (REG0, ByteAcc, NoLock, Preserve)",
		"Method (MTH0, 1, Serialized)",
		"Notify (PCI0, 0x80)",
		"If ((Arg0 == 0x09))",
	};
	const char *source;
	struct aml a;
	size_t scope;

	if (iasl_missing()) {
		print_message("iasl is not installed (acpica-tools)\n");
		skip();
	}
	scope = begin_dsdt(&a);
	add_windows(&a);
	add_plain(&a);
	add_method(&a);
	end_dsdt(&a, scope);
	iasl_check(a.data, a.len, &source);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (!strstr(source, parts[i]))
			fail_msg("no '%s' in: %s", parts[i], source);
	aml_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),	  cmocka_unit_test(test_integers),
		cmocka_unit_test(test_strings),	  cmocka_unit_test(test_package_length),
		cmocka_unit_test(test_resources), cmocka_unit_test(test_iasl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
