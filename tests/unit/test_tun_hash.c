/* SPDX-License-Identifier: MIT */
/* net/tun-hash.c over a kernel that is played: of either numbering, or of none. */
#include "fake_ioctl.h"

#include "../../net/tun.h"
#include "lkvm/util.h"

static enum tun_hashing kernel;
static u32 types;
static u16 flags;

/* The last that was set. */
static u32 asked;
static u8 bytes[12 + 2 * NET_RSS_TABLE + NET_RSS_KEY];

/* The numbers are those that the series' headers come to. */
static int kernel_ioctl(int fd, unsigned long request, void *p)
{
	errno = EINVAL;
	asked = (u32)request;
	switch (request) {
	case 0x800454e4: /* TUNGETVNETHASHTYPES */
		if (kernel == TUN_HASHES_V12)
			memcpy(p, &types, 4);
		return kernel == TUN_HASHES_V12 ? 0 : -1;
	case 0x800854e4: /* TUNGETVNETHASHCAP */
		if (kernel != TUN_HASHES_V3)
			return -1;
		memcpy(p, &flags, 2);
		memcpy((u8 *)p + 4, &types, 4);
		return 0;
	case 0x400854e5: /* TUNSETVNETHASH */
		memcpy(bytes, p, sizeof(bytes));
		return kernel == TUN_HASHES_V3 ? 0 : -1;
	case 0x800454e5: /* TUNSETVNETREPORTINGAUTOMQ */
		memcpy(bytes, p, 4);
		return kernel == TUN_HASHES_V12 ? 0 : -1;
	case 0x800854e6: /* TUNSETVNETREPORTINGRSS */
	case 0x800854e7: /* TUNSETVNETRSS */
		memcpy(bytes, p, sizeof(bytes) - 4);
		return kernel == TUN_HASHES_V12 ? 0 : -1;
	}
	return -1;
}

static void expect(enum tun_hashing kind, u32 want)
{
	u32 found = 0;

	assert_int_equal(tun_hash_probe(3, &found), kind);
	if (kind)
		assert_int_equal(found, want);
}

static void test_probe(void **state)
{
	types = 0xffffffff;
	flags = 3;
	kernel = TUN_HASHES_NOT;
	expect(TUN_HASHES_NOT, 0);
	kernel = TUN_HASHES_V12;
	expect(TUN_HASHES_V12, 0x1ff);
	kernel = TUN_HASHES_V3;
	expect(TUN_HASHES_V3, 0x1ff);
	flags = 1; /* it reports, and does not steer */
	expect(TUN_HASHES_NOT, 0);
	flags = 3;
	types = 0;
	expect(TUN_HASHES_NOT, 0);
	kernel = TUN_HASHES_V12;
	expect(TUN_HASHES_NOT, 0);
}

static const struct net_rss rss = {
	.types = 0x3f, .mask = 1, .unclassified = 2, .table = { 3, 4, 5 }, .key = { 6, 7 }
};

/* From the mask on. */
static void check_rss(const u8 *p)
{
	static const u8 want[] = { 1, 0, 2, 0, 3, 0, 4, 0, 6, 7, 0, 0 };

	assert_memory_equal(p, want, sizeof(want));
}

static void test_v12(void **state)
{
	kernel = TUN_HASHES_V12;
	assert_int_equal(tun_hash_set(3, kernel, &rss, true), 0);
	assert_int_equal(asked, 0x800854e6);
	assert_int_equal(get_le(bytes, 4), 0x3f);
	check_rss(bytes + 4);
	assert_int_equal(tun_hash_set(3, kernel, &rss, false), 0);
	assert_int_equal(asked, 0x800854e7);
	check_rss(bytes + 4);
	assert_int_equal(tun_hash_set(3, kernel, NULL, true), 0);
	assert_int_equal(asked, 0x800454e5);
	assert_int_equal(get_le(bytes, 4), 0);
	kernel = TUN_HASHES_NOT;
	assert_int_equal(tun_hash_set(3, TUN_HASHES_V12, &rss, true), -EINVAL);
}

static void test_v3(void **state)
{
	kernel = TUN_HASHES_V3;
	for (int report = 0; report < 2; report++) {
		assert_int_equal(tun_hash_set(3, kernel, &rss, report), 0);
		assert_int_equal(asked, 0x400854e5);
		assert_int_equal(get_le(bytes, 2), 2 + report);
		assert_int_equal(get_le(bytes + 4, 4), 0x3f);
		check_rss(bytes + 8);
	}
	assert_int_equal(tun_hash_set(3, kernel, NULL, true), 0);
	assert_int_equal(get_le(bytes, 8), 0);
	kernel = TUN_HASHES_NOT;
	assert_int_equal(tun_hash_set(3, TUN_HASHES_V3, NULL, false), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_probe),
		cmocka_unit_test(test_v12),
		cmocka_unit_test(test_v3),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
