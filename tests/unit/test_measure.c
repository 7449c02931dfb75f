/* SPDX-License-Identifier: MIT */
/* measure/: hashes by FIPS 180-4's examples, the event log, results as text and JSON. */
#include "capture.h"
#include "vectors.h"

/* FIPS 180-4's examples (NIST, "Cryptographic Standards and Guidelines: Example Values"). */
static const struct {
	enum hash_alg alg;
	const char *text, *digest;
} examples[] = {
	{ HASH_SHA256, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" },
	{ HASH_SHA256, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	  "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1" },
	{ HASH_SHA384, "abc",
	  "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed"
	  "8086072ba1e7cc2358baeca134c825a7" },
	{ HASH_SHA512, "abc",
	  "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
	  "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f" },
	{ HASH_SHA256, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" },
};

static void test_hash(void **state)
{
	u8 out[HASH_MAX_LEN], again[HASH_MAX_LEN];

	NEEDS_HASH();
	for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
		const char *text = examples[i].text;
		struct hash h, copy;

		hash_bytes(examples[i].alg, text, strlen(text), out);
		assert_hex(out, hash_len(examples[i].alg), examples[i].digest);
		/* Byte by byte, and a copy goes its own way. */
		hash_begin(&h, examples[i].alg);
		for (const char *c = text; *c; c++)
			hash_add(&h, c, 1);
		copy = h;
		hash_add(&copy, "x", 1);
		hash_end(&copy, again);
		hash_end(&h, out);
		assert_hex(out, hash_len(examples[i].alg), examples[i].digest);
		assert_memory_not_equal(out, again, hash_len(examples[i].alg));
	}
}

static void test_hash_names(void **state)
{
	assert_int_equal(hash_len(HASH_SHA256), 32);
	assert_int_equal(hash_len(HASH_SHA384), 48);
	assert_int_equal(hash_len(HASH_SHA512), 64);
	assert_string_equal(hash_name(HASH_SHA256), "sha256");
	assert_string_equal(hash_name(HASH_SHA384), "sha384");
	assert_string_equal(hash_name(HASH_SHA512), "sha512");
}

static void test_hash_check(void **state)
{
	const char *said;
	int ret;

	capture_begin();
	ret = hash_check();
	said = capture_end();
	assert_int_equal(ret, hash_library() ? 0 : -ENOTSUP);
	if (hash_library())
		assert_string_equal(said, "");
	else
		assert_contains(said, "built without SHA-2");
}

static char *log_of(bool json, const struct measure_step *step)
{
	struct measure_log log = { .json = json };
	char *text = NULL;
	size_t len;

	log.out = open_memstream(&text, &len);
	measure_log_step(&log, step);
	fclose(log.out);
	return text;
}

static void test_log(void **state)
{
	static const u8 content[] = { 0x12, 0xab }, after[] = { 0x00, 0xff, 0x80 };
	struct measure_step step = {
		.measurement = "rim-v10",
		.what = "data",
		.has_range = true,
		.gpa = 0x80000000,
		.len = 4096,
		.content = content,
		.content_len = sizeof(content),
		.after = after,
		.after_len = sizeof(after),
	};
	char *text = log_of(true, &step);

	assert_string_equal(text,
			    "{\"measurement\":\"rim-v10\",\"step\":\"data\",\"gpa\":2147483648,"
			    "\"size\":4096,\"content\":\"12ab\",\"after\":\"00ff80\"}\n");
	free(text);
	text = log_of(false, &step);
	assert_string_equal(
		text, "rim-v10        data                  0x80000000     0x1000  12ab  00ff80\n");
	free(text);
	step.content = NULL;
	step.has_range = false;
	text = log_of(true, &step);
	assert_string_equal(
		text, "{\"measurement\":\"rim-v10\",\"step\":\"data\",\"after\":\"00ff80\"}\n");
	free(text);
	text = log_of(false, &step);
	assert_string_equal(
		text, "rim-v10        data                           -          -  -  00ff80\n");
	free(text);
	measure_log_step(NULL, &step);
}

static char *print(const struct measure *m, bool json)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_int_equal(measure_print(m, "snp", json, out), 0);
	fclose(out);
	return text;
}

static void assert_prints(const struct measure *m, const char *plain, const char *json)
{
	char *text = print(m, false);

	assert_string_equal(text, plain);
	free(text);
	text = print(m, true);
	assert_string_equal(text, json);
	free(text);
}

static void test_result(void **state)
{
	struct measure m = { 0 };
	struct measure_result *r = measure_add_result(&m, NULL);

	measure_add_bytes(r, "launch-digest", "\x01\xfe", 2);
	measure_add_bits(r, "policy", 0x30000);
	measure_add_number(r, "guest-svn", 7);
	measure_add_text(r, "features", "a \"b\"");
	assert_prints(&m, "launch-digest: 01fe\npolicy: 0x30000\nguest-svn: 7\nfeatures: a \"b\"\n",
		      "{\"kind\":\"snp\",\"results\":[{\"launch-digest\":\"01fe\",\"policy\":"
		      "\"0x30000\",\"guest-svn\":7,\"features\":\"a \\\"b\\\"\"}]}\n");
	measure_free(&m);
}

static void test_results(void **state)
{
	struct measure m = { 0 };
	struct measure_result *r = measure_add_result(&m, "v10");

	measure_add_bytes(r, "rim", "\x12", 1);
	measure_refuse(measure_add_result(&m, "v11"), "the %s differs", "first");
	/* The last word counts. */
	measure_refuse(&m.results[1], "the %s differs", "order");
	assert_prints(&m, "abi: v10\nrim: 12\n\nabi: v11\nrefused: the order differs\n",
		      "{\"kind\":\"snp\",\"results\":[{\"abi\":\"v10\",\"rim\":\"12\"},"
		      "{\"abi\":\"v11\",\"refused\":\"the order differs\"}]}\n");
	measure_free(&m);
	assert_prints(&m, "", "{\"kind\":\"snp\",\"results\":[]}\n");
}

static void test_result_not_written(void **state)
{
	struct measure m = { 0 };
	FILE *full = fopen("/dev/full", "we");

	measure_add_number(measure_add_result(&m, NULL), "vcpus", 1);
	assert_int_equal(measure_print(&m, "snp", false, full), -ENOSPC);
	clearerr(full);
	assert_int_equal(measure_print(&m, "snp", true, full), -ENOSPC);
	fclose(full);
	measure_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_hash_names),
		cmocka_unit_test(test_hash_check),
		cmocka_unit_test(test_log),
		cmocka_unit_test(test_result),
		cmocka_unit_test(test_results),
		cmocka_unit_test(test_result_not_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
