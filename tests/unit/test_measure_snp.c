/* SPDX-License-Identifier: MIT */
/* measure/snp.c: chains of pages, the page of kernel hashes, ID blocks, by tests/vectors. */
#include "vectors.h"

static void check_chain(const struct json *vector)
{
	const struct json *page, *pages = json_member(vector, "pages");
	struct snp_digest d = { .log = NULL };
	u8 bytes[4096];

	for_each_vector(page, pages)
	{
		const struct json *content = json_member(page, "content");
		u32 seed = (u32)json_number(json_member(content, "pattern"), 0);
		u32 type = (u32)vector_u64(page, "type");

		memset(bytes, 0, sizeof(bytes));
		if (seed)
			pattern_page(seed, bytes);
		snp_digest_page(&d, type, vector_u64(page, "gpa"), content ? bytes : NULL);
		assert_hex(d.ld, sizeof(d.ld), json_text(json_member(page, "ld_after"), ""));
	}
	assert_hex(d.ld, sizeof(d.ld), json_text(json_member(vector, "ld"), ""));
}

static void test_pages(void **state)
{
	const struct json *vector, *all;
	struct vectors v;
	u32 nr = 0;

	NEEDS_HASH();
	vectors_open(&v, "snp-pages.json");
	all = json_member(v.nodes, "vectors");
	for_each_vector(vector, all)
	{
		check_chain(vector);
		nr++;
	}
	assert_true(nr >= 7);
	vectors_close(&v);
}

/* What does not enter: a page of the types without content. */
static void test_content_that_does_not_enter(void **state)
{
	static const enum snp_page_type types[] = { SNP_PAGE_ZERO, SNP_PAGE_UNMEASURED,
						    SNP_PAGE_SECRETS, SNP_PAGE_CPUID };
	u8 page[4096];

	NEEDS_HASH();
	pattern_page(1, page);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct snp_digest with = { .log = NULL }, without = { .log = NULL };

		snp_digest_page(&with, types[i], 0x1000, page);
		snp_digest_page(&without, types[i], 0x1000, NULL);
		assert_memory_equal(with.ld, without.ld, sizeof(with.ld));
	}
}

static void test_log(void **state)
{
	struct measure_log log = { .json = true };
	struct snp_digest d = { .log = &log };
	char *text = NULL, *line;
	size_t len;
	u8 page[4096];

	NEEDS_HASH();
	pattern_page(1, page);
	log.out = open_memstream(&text, &len);
	snp_digest_page(&d, SNP_PAGE_NORMAL, 0x100000, page);
	snp_digest_page(&d, SNP_PAGE_SECRETS, 0x101000, NULL);
	fclose(log.out);
	line = strchr(text, '\n');
	assert_non_null(line);
	*line++ = '\0';
	assert_non_null(strstr(text, "\"step\":\"normal\",\"gpa\":1048576,\"size\":4096,"
				     "\"content\":\""));
	assert_non_null(strstr(text, "\"after\":\"26542f217b7d561a83c49ec4c30ef366"));
	assert_non_null(strstr(line, "\"step\":\"secrets\",\"gpa\":1052672,\"size\":4096,"
				     "\"after\":\""));
	free(text);
}

static void test_names(void **state)
{
	assert_string_equal(snp_page_name(SNP_PAGE_NORMAL), "normal");
	assert_string_equal(snp_page_name(SNP_PAGE_CPUID), "cpuid");
	assert_null(snp_page_name(0));
	assert_null(snp_page_name(7));
}

static void test_hashes_page(void **state)
{
	struct snp_kernel_hashes hashes;
	const char *cmdline = "console=ttyS0", *kernel, *initrd;
	u8 page[4096], digest[HASH_MAX_LEN], zeroes[4096] = { 0 };
	struct vectors v;
	u32 offset;

	NEEDS_HASH();
	vectors_open(&v, "snp-hashes-page.json");
	kernel = json_text(json_member(v.nodes, "kernel"), "");
	initrd = json_text(json_member(v.nodes, "initrd"), "");
	offset = (u32)vector_u64(v.nodes, "offset");
	hash_bytes(HASH_SHA256, cmdline, strlen(cmdline) + 1, hashes.cmdline);
	hash_bytes(HASH_SHA256, initrd, strlen(initrd), hashes.initrd);
	hash_bytes(HASH_SHA256, kernel, strlen(kernel), hashes.kernel);
	memset(page, 0xaa, sizeof(page));
	snp_hashes_page(&hashes, offset, page);
	assert_hex(page + offset, SNP_HASHES_SIZE, json_text(json_member(v.nodes, "table"), ""));
	assert_memory_equal(page, zeroes, offset);
	hash_bytes(HASH_SHA384, page, sizeof(page), digest);
	assert_hex(digest, 48, json_text(json_member(v.nodes, "sha384"), ""));
	vectors_close(&v);
	/* Wherever it is asked for, it stays in the page. */
	snp_hashes_page(&hashes, 4095, page);
	assert_memory_equal(page, zeroes, 4096 - SNP_HASHES_SIZE);
	assert_int_equal(page[4096 - SNP_HASHES_SIZE], 0x06);
}

static void make_block(u8 raw[SNP_ID_BLOCK_SIZE])
{
	for (u32 i = 0; i < SNP_ID_BLOCK_SIZE; i++)
		raw[i] = (u8)i;
	put_le(raw + 0x50, 4, 1);
	put_le(raw + 0x54, 4, 5);
	put_le(raw + 0x58, 8, 0x30000);
}

static void test_id_block(void **state)
{
	u8 raw[SNP_ID_BLOCK_SIZE];
	struct snp_id_block block;
	const char *why = NULL;

	make_block(raw);
	assert_int_equal(snp_id_block_parse(raw, &block, &why), 0);
	assert_memory_equal(block.ld, raw, 48);
	assert_memory_equal(block.family_id, raw + 48, 16);
	assert_memory_equal(block.image_id, raw + 64, 16);
	assert_int_equal(block.version, 1);
	assert_int_equal(block.guest_svn, 5);
	assert_int_equal(block.policy, 0x30000);
	put_le(raw + 0x50, 4, 2);
	assert_int_equal(snp_id_block_parse(raw, &block, &why), -EINVAL);
	assert_non_null(strstr(why, "version"));
}

static void test_id_auth(void **state)
{
	u8 *raw = xcalloc(1, SNP_ID_AUTH_SIZE), digest[48];
	struct snp_id_auth auth;
	const char *why = NULL;

	raw[0] = 1;
	raw[0x240] = 2;
	memset(raw + 0x244, 0x5a, 48);
	assert_int_equal(snp_id_auth_parse(raw, &auth, &why), 0);
	assert_false(auth.has_author_key);
	assert_int_equal(auth.id_key_algo, 1);
	if (hash_library()) {
		hash_bytes(HASH_SHA384, raw + 0x240, 1028, digest);
		assert_memory_equal(auth.id_key_digest, digest, 48);
	}
	memset(digest, 0, sizeof(digest));
	assert_memory_equal(auth.author_key_digest, digest, 48);

	raw[4] = 1;
	assert_int_equal(snp_id_auth_parse(raw, &auth, &why), -EINVAL);
	assert_non_null(strstr(why, "author key's curve"));
	raw[0x880] = 2;
	raw[0x884] = 0x77;
	assert_int_equal(snp_id_auth_parse(raw, &auth, &why), 0);
	assert_true(auth.has_author_key);
	if (hash_library()) {
		hash_bytes(HASH_SHA384, raw + 0x880, 1028, digest);
		assert_memory_equal(auth.author_key_digest, digest, 48);
	}
	raw[4] = 2;
	assert_int_equal(snp_id_auth_parse(raw, &auth, &why), -EINVAL);
	assert_non_null(strstr(why, "author key's algorithm"));
	raw[0x240] = 3;
	assert_int_equal(snp_id_auth_parse(raw, &auth, &why), -EINVAL);
	assert_non_null(strstr(why, "ID key's curve"));
	raw[0] = 0;
	assert_int_equal(snp_id_auth_parse(raw, &auth, &why), -EINVAL);
	assert_non_null(strstr(why, "ID key's algorithm"));
	free(raw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_content_that_does_not_enter),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_hashes_page),
		cmocka_unit_test(test_id_block),
		cmocka_unit_test(test_id_auth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
