/* SPDX-License-Identifier: MIT */
/* x86/tdx-hob.c: the list byte by byte (UEFI PI, volume 3, chapter 5). */
#include "unit.h"

#include <stdlib.h>

#include "../../../x86/tdx-hob.h"
#include "lkvm/util.h"

static u8 room[1024];
static struct x86_hobs h;

static void begin(u64 size)
{
	memset(room, 0, sizeof(room));
	h = (struct x86_hobs){ .bytes = room, .gpa = 0x9000, .size = size };
	x86_hobs_begin(&h);
}

static void assert_word(u32 at, u32 bytes, u64 want)
{
	u64 got = get_le(room + at, bytes);

	if (got != want)
		fail_msg("at %u: 0x%llx, expected 0x%llx", at, got, want);
}

static void assert_header(u32 at, u32 type, u32 len)
{
	assert_word(at, 2, type);
	assert_word(at + 2, 2, len);
	assert_word(at + 4, 4, 0);
}

static void assert_handoff(u64 used)
{
	assert_header(0, 1, 56);
	assert_word(8, 4, 9);
	assert_word(12, 4, 0);
	assert_word(16, 8, 0x9000 + h.size); /* memory */
	assert_word(24, 8, 0x9000);
	assert_word(32, 8, 0x9000 + h.size); /* what is free of it */
	assert_word(40, 8, 0x9000 + used + 8);
	assert_word(48, 8, 0x9000 + used);
	assert_header((u32)used, 0xffff, 8);
	assert_int_equal(h.used, used + 8);
}

static void test_empty(void **state)
{
	begin(sizeof(room));
	assert_int_equal(x86_hobs_end(&h), 0);
	assert_handoff(56);
}

static void test_memory(void **state)
{
	static const u8 nobody[16];

	begin(sizeof(room));
	x86_hobs_add_memory(&h, HOB_SYSTEM_MEMORY, 0x9000, 0x2000);
	x86_hobs_add_memory(&h, HOB_UNACCEPTED_MEMORY, 0x100000000, 0x40000000);
	assert_int_equal(x86_hobs_end(&h), 0);
	assert_handoff(56 + 2 * 48);
	assert_header(56, 3, 48);
	assert_memory_equal(room + 64, nobody, 16);
	assert_word(80, 4, 0);
	assert_word(84, 4, 7);
	assert_word(88, 8, 0x9000);
	assert_word(96, 8, 0x2000);
	assert_header(104, 3, 48);
	assert_word(128, 4, 7);
	assert_word(136, 8, 0x100000000);
	assert_word(144, 8, 0x40000000);
}

static void test_payload(void **state)
{
	static const u8 info[16] = { 0x12, 0xa4, 0x6f, 0xb9, 0x1f, 0x46, 0xe3, 0x4b,
				     0x8c, 0x0d, 0xad, 0x80, 0x5a, 0x49, 0x7a, 0xc0 };
	static const u8 acpi[16] = { 0x70, 0x58, 0x0c, 0x6a, 0xed, 0xd4, 0xf4, 0x44,
				     0xa1, 0x35, 0xdd, 0x23, 0x8b, 0x6f, 0x0c, 0x8d };

	begin(sizeof(room));
	x86_hobs_add_bzimage(&h, 0x1000000);
	x86_hobs_add_acpi(&h, "TABLE", 5);
	assert_int_equal(x86_hobs_end(&h), 0);
	assert_handoff(56 + 40 + 32);
	assert_header(56, 4, 40);
	assert_memory_equal(room + 64, info, 16);
	assert_word(80, 4, 1);
	assert_word(84, 4, 0);
	assert_word(88, 8, 0x1000000);
	assert_header(96, 4, 32); /* in whole 8 bytes */
	assert_memory_equal(room + 104, acpi, 16);
	assert_memory_equal(room + 120, "TABLE\0\0\0", 8);
}

static void test_full(void **state)
{
	static u8 table[0x10000];

	for (u64 size = 0; size < 56 + 8; size += 8) {
		begin(size);
		assert_int_equal(x86_hobs_end(&h), -ENOSPC);
	}
	/* Exactly as much as there is. */
	begin(56 + 48 + 8);
	x86_hobs_add_memory(&h, HOB_SYSTEM_MEMORY, 0, 0x1000);
	assert_int_equal(x86_hobs_end(&h), 0);
	begin(56 + 48 + 7);
	x86_hobs_add_memory(&h, HOB_SYSTEM_MEMORY, 0, 0x1000);
	assert_int_equal(x86_hobs_end(&h), -ENOSPC);
	/* Longer than a block's length can say, in room for it. */
	h = (struct x86_hobs){ .bytes = xcalloc(1, 0x20000), .gpa = 0x9000, .size = 0x20000 };
	x86_hobs_begin(&h);
	x86_hobs_add_acpi(&h, table, 0xfff8 - 24);
	assert_false(h.full);
	x86_hobs_add_acpi(&h, table, 0xfff8 - 23);
	assert_int_equal(x86_hobs_end(&h), -ENOSPC);
	free(h.bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_memory),
		cmocka_unit_test(test_payload),
		cmocka_unit_test(test_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
