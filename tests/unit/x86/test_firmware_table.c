/* SPDX-License-Identifier: MIT */
/* x86/firmware-table.c: the table at the end of a firmware image, whole, damaged, and absent. */
#include "unit.h"

#include "../../../x86/firmware-table.h"
#include "lkvm/boot.h"

static const u8 footer[16] =
	FIRMWARE_GUID(0x96b582de, 0x1fb2, 0x45f7, 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d);
static const u8 one[16] = { 1 }, two[16] = { 2 }, absent[16] = { 3 };
static u8 file[256];
static struct boot_image img;
static u8 buf[8];

static u64 put(u64 end, const u8 guid[16], u16 len, const char *data, u64 data_len)
{
	memcpy(file + end - 16, guid, 16);
	file[end - 18] = (u8)len;
	file[end - 17] = (u8)(len >> 8);
	memcpy(file + end - 18 - data_len, data, data_len);
	return end - 18 - data_len;
}

/* "two" before "one" before the footer. */
static void make(u16 total)
{
	u64 at;

	memset(file, 0, sizeof(file));
	at = put(sizeof(file) - 32, footer, total, "", 0);
	at = put(at, one, 18 + 4, "abcd", 4);
	put(at, two, 18 + 6, "123456", 6);
	boot_image_from_buffer(&img, "rom", file, sizeof(file));
}
#define TOTAL (18 + 22 + 24)

static int entry(const u8 guid[16], u32 room, u32 *len)
{
	*len = room;
	return x86_firmware_entry(&img, guid, buf, len);
}

static void test_entries(void **state)
{
	u32 len;

	make(TOTAL);
	assert_int_equal(entry(one, 4, &len), 0);
	assert_int_equal(len, 4);
	assert_memory_equal(buf, "abcd", 4);
	assert_int_equal(entry(two, 8, &len), 0);
	assert_int_equal(len, 6);
	assert_memory_equal(buf, "123456", 6);
	assert_int_equal(entry(two, 5, &len), -ENOSPC);
	assert_int_equal(entry(absent, 8, &len), -ENOENT);
}

static void test_no_table(void **state)
{
	u32 len;

	make(TOTAL);
	file[sizeof(file) - 33] ^= 1;
	assert_int_equal(entry(one, 8, &len), -ENOENT);
	boot_image_from_buffer(&img, "rom", file, 49);
	assert_int_equal(entry(one, 8, &len), -ENOENT);
}

static void test_damage(void **state)
{
	static const u16 totals[] = { 0, 17, sizeof(file) - 32 + 1, 0xffff };
	u32 len;

	for (size_t i = 0; i < ARRAY_SIZE(totals); i++) {
		make(totals[i]);
		assert_int_equal(entry(one, 8, &len), -EBADMSG);
	}
	/* A table that ends in the middle of "two". */
	make(TOTAL - 2);
	assert_int_equal(entry(one, 8, &len), 0);
	assert_int_equal(entry(two, 8, &len), -EBADMSG);
	/* An entry that is shorter than its head would be read for ever. */
	make(TOTAL);
	file[sizeof(file) - 32 - 18 - 18] = 17;
	assert_int_equal(entry(two, 8, &len), -EBADMSG);
	make(TOTAL);
	file[sizeof(file) - 32 - 18 - 18] = 0;
	assert_int_equal(entry(two, 8, &len), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_entries),
		cmocka_unit_test(test_no_table),
		cmocka_unit_test(test_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
