/* SPDX-License-Identifier: MIT */
/* The model's digests and sets of addresses, by published and by drawn values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "model.h"

#include <cmocka.h>

static void check(u32 bits, const char *text, const char *want)
{
	char hex[129] = "";
	u8 out[64];

	model_sha(bits, text, strlen(text), out);
	for (u32 i = 0; i < bits / 8; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", out[i]);
	assert_string_equal(hex, want);
}

/* NIST's examples for FIPS 180-4: one block and two. */
static void sha2(void **state)
{
	check(256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	check(256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	check(384, "abc",
	      "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
	      "8086072ba1e7cc2358baeca134c825a7");
	check(384,
	      "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmn"
	      "hijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
	      "09330c33f71147e83d192fc782cd1b4753111b173b3b05d22fa08086e3b0f712"
	      "fcc7c71a557e2db966c3e9fa91746039");
	check(512, "abc",
	      "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
	      "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f");
}

/* The lengths at which padding takes another block; in pieces it is the same as at once. */
static void sha2_in_pieces(void **state)
{
	u8 data[300], whole[64], pieces[64];

	for (u32 i = 0; i < sizeof(data); i++)
		data[i] = (u8)(i * 11);
	for (u32 bits = 256; bits <= 512; bits += 128) {
		for (size_t len = 0; len <= sizeof(data); len++) {
			struct model_sha sha;

			model_sha(bits, data, len, whole);
			model_sha_start(&sha, bits);
			model_sha_add(&sha, data, len / 3);
			model_sha_add(&sha, data + len / 3, len - len / 3);
			model_sha_end(&sha, pieces);
			assert_memory_equal(whole, pieces, bits / 8);
		}
	}
}

static void from_hex(u8 *little, const char *hex)
{
	memset(little, 0, 72);
	for (u32 i = 0; i < 48; i++) {
		char byte[3] = { hex[94 - 2 * i], hex[95 - 2 * i], 0 };

		little[i] = (u8)strtoul(byte, NULL, 16);
	}
}

/* RFC 6979, A.2.6, with SHA-384. */
static void signatures(void **state)
{
	u8 x[72], y[72], r[72], s[72];

	from_hex(x, "ec3a4e415b4e19a4568618029f427fa5da9a8bc4ae92e02e"
		    "06aae5286b300c64def8f0ea9055866064a254515480bc13");
	from_hex(y, "8015d9b72d7d57244ea8ef9ac0c621896708a59367f9dfb9"
		    "f54ca84b3f1c9db1288b231c3ae0d4fe7344fd2533264720");
	from_hex(r, "94edbb92a5ecb8aad4736e56c691916b3f88140666ce9fa7"
		    "3d64c4ea95ad133c81a648152e44acf96e36dd1e80fabe46");
	from_hex(s, "99ef4aeb15f178cea1fe40db2603138f130e740a19624526"
		    "203b6351d0a3a94fa329c145786e679e7b82c71a38628ac8");
	assert_true(model_p384_verify("sample", 6, x, y, r, s));
	assert_false(model_p384_verify("samplE", 6, x, y, r, s));
	s[0] ^= 1;
	assert_false(model_p384_verify("sample", 6, x, y, r, s));
	s[0] ^= 1;
	x[0] ^= 1;
	assert_false(model_p384_verify("sample", 6, x, y, r, s));
	x[0] ^= 1;
	s[60] = 1;
	assert_false(model_p384_verify("sample", 6, x, y, r, s));
}

#define PAGES 64

static void check_set(const struct model_set *set, const bool *want)
{
	for (u32 i = 0; i < PAGES; i++)
		assert_int_equal(model_set_has(set, i), want[i]);
	for (size_t i = 0; i < set->n; i++) {
		assert_true(set->ranges[i].start < set->ranges[i].end);
		assert_true(!i || set->ranges[i - 1].end < set->ranges[i].start);
	}
}

static void check_ranges(const struct model_set *set, const bool *want, u32 start, u32 end)
{
	bool all = true, any = false;

	for (u32 i = start; i < end; i++) {
		all &= want[i];
		any |= want[i];
	}
	assert_int_equal(model_set_has_all(set, start, end), all);
	assert_int_equal(model_set_has_any(set, start, end), any);
}

/* Against an array of booleans. */
static void sets(void **state)
{
	struct model_set set = { 0 };
	bool want[PAGES] = { false };
	unsigned int seed = 7;

	for (u32 round = 0; round < 3000; round++) {
		u32 start = (u32)rand_r(&seed) % PAGES, end = start + (u32)rand_r(&seed) % 9;
		bool add = rand_r(&seed) & 64;

		end = end < PAGES ? end : PAGES;
		if (add)
			model_set_add(&set, start, end);
		else
			model_set_remove(&set, start, end);
		for (u32 i = start; i < end; i++)
			want[i] = add;
		check_set(&set, want);
		start = (u32)rand_r(&seed) % PAGES;
		check_ranges(&set, want, start, start + (u32)rand_r(&seed) % (PAGES - start));
	}
	model_set_free(&set);
	assert_int_equal(set.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sha2),
		cmocka_unit_test(sha2_in_pieces),
		cmocka_unit_test(signatures),
		cmocka_unit_test(sets),
	};

	return cmocka_run_group_tests_name("model", tests, NULL, NULL);
}
