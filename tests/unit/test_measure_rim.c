/* SPDX-License-Identifier: MIT */
/* measure/rim.c: realms of both profiles, how ranges are cut, and published figures. */
#include "vectors.h"

static enum hash_alg hash_called(const char *name)
{
	for (enum hash_alg alg = HASH_SHA256; alg <= HASH_SHA512; alg++)
		if (!strcmp(hash_name(alg), name))
			return alg;
	fail_msg("no hash is called %s", name);
	return HASH_SHA256;
}

static struct rim_params params_of(const struct json *p, const char *algo)
{
	return (struct rim_params){
		.flags = vector_u64(p, "flags"),
		.s2sz = (u8)vector_u64(p, "s2sz"),
		.sve_vl = (u8)json_number(json_member(p, "sve_vl"), 0),
		.num_bps = (u8)vector_u64(p, "num_bps"),
		.num_wps = (u8)vector_u64(p, "num_wps"),
		.pmu_num_ctrs = (u8)json_number(json_member(p, "pmu_num_ctrs"), 0),
		.hash = hash_called(algo),
	};
}

static void run_op(struct rim *r, const struct json *op)
{
	const char *what = json_text(json_member(op, "op"), "");
	u64 gprs[8] = { 0 }, nr;
	u8 page[4096];

	if (!strcmp(what, "init_ripas")) {
		nr = rim_init_ripas(r, vector_u64(op, "base"), vector_u64(op, "top"));
		assert_int_equal(nr, vector_u64(op, "extends"));
	} else if (!strcmp(what, "data")) {
		vector_page(json_text(json_member(op, "page"), ""), page);
		rim_data(r, vector_u64(op, "ipa"), page, json_truth(json_member(op, "measure")));
	} else if (!strcmp(what, "rec")) {
		/* One that is not runnable is no call here. */
		if (!json_truth(json_member(op, "runnable")))
			return;
		for (u32 i = 0; i < 8; i++)
			gprs[i] = vector_number(vector_item(json_member(op, "gprs"), i));
		rim_rec(r, vector_u64(op, "pc"), gprs);
	} else {
		fail_msg("unknown step %s", what);
	}
}

static void check_vector(const struct json *vector)
{
	const char *algo = json_text(json_member(vector, "algo"), "");
	bool rmm1 = !strcmp(json_text(json_member(vector, "profile"), ""), "rmm1");
	struct rim_params params = params_of(json_member(vector, "params"), algo);
	const struct json *op, *ops = json_member(vector, "ops");
	u32 len = hash_len(params.hash);
	struct rim r;

	rim_create(&r, &params, rmm1 ? RIM_RMM1 : RIM_RMM2, "rim", NULL);
	assert_hex(r.value, len, json_text(json_member(vector, "rim_after_create"), ""));
	for_each_vector(op, ops)
	{
		run_op(&r, op);
		assert_hex(r.value, len, json_text(json_member(op, "rim_after"), ""));
	}
	assert_hex(r.value, RIM_LEN, json_text(json_member(vector, "rim"), ""));
}

static void test_vectors(void **state)
{
	const struct json *vector, *all;
	struct vectors v;
	u32 nr = 0;

	NEEDS_HASH();
	vectors_open(&v, "cca-rim.json");
	all = json_member(v.nodes, "vectors");
	for_each_vector(vector, all)
	{
		check_vector(vector);
		nr++;
	}
	assert_true(nr >= 25);
	vectors_close(&v);
}

/* The kvmtool entries, as far as their images are at hand: all RAM, the images, the first REC. */
static void check_official(const struct json *vector, const u8 *dtb)
{
	struct rim_params params = params_of(vector, json_text(json_member(vector, "algo"), ""));
	const struct json *ram = json_member(vector, "ram"), *rec = json_member(vector, "rec");
	const struct json *blob, *blobs = json_member(vector, "blobs");
	u64 base = vector_number(vector_item(ram, 0)), gprs[8] = { 0 };
	u8 firmware[4096] = "FW CONTENT";
	struct rim r;

	rim_create(&r, &params, RIM_RMM1, "rim", NULL);
	rim_init_ripas(&r, base, base + vector_number(vector_item(ram, 1)));
	for_each_vector(blob, blobs)
	{
		u64 ipa = vector_number(vector_item(blob, 0));

		if (ipa == base)
			rim_data(&r, ipa, firmware, true);
		for (u64 at = 0; ipa != base && at < 64 * KiB; at += 4 * KiB)
			rim_data(&r, ipa + at, dtb + at, true);
	}
	gprs[0] = vector_u64(rec, "x0");
	rim_rec(&r, vector_u64(rec, "pc"), gprs);
	assert_hex(r.value, hash_len(params.hash), json_text(json_member(vector, "rim"), ""));
}

static void test_official(void **state)
{
	u8 *dtb = xcalloc(1, 64 * KiB), *file, digest[32];
	const struct json *vector, *all;
	struct vectors v;
	size_t len;
	u32 nr = 0;

	NEEDS_HASH();
	vectors_open(&v, "cca-official.json");
	file = vector_file("kvmtool-512M-1cpu.dtb", &len);
	memcpy(dtb, file, len);
	hash_bytes(HASH_SHA256, dtb, 64 * KiB, digest);
	assert_hex(digest, 32, json_text(json_member(v.nodes, "dtb_sha256_padded"), ""));
	all = json_member(v.nodes, "vectors");
	for_each_vector(vector, all)
	{
		if (!json_member(vector, "ram"))
			continue;
		check_official(vector, dtb);
		nr++;
	}
	assert_int_equal(nr, 2);
	vectors_close(&v);
	free(file);
	free(dtb);
}

/* The largest entries that tables for so many bits have: a first level of up to 16 tables. */
static void test_levels(void **state)
{
	static const struct {
		u8 bits;
		u64 base, top, entries;
	} all[] = {
		{ 32, 2 * GiB, 4 * GiB, 1024 },
		{ 34, 2 * GiB, 4 * GiB, 1024 },
		{ 35, 2 * GiB, 4 * GiB, 2 },
		{ 43, 512 * GiB, 1024 * GiB, 512 },
		{ 44, 512 * GiB, 1024 * GiB, 1 },
		{ 52, 0, 2048 * GiB, 4 },
		{ 25, 0, 4 * MiB, 1024 },
		{ 0, 0, 4 * MiB, 1024 },
		{ 26, 0, 4 * MiB, 2 },
		{ 40, 0, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		const struct rim_params params = { .s2sz = all[i].bits };
		struct rim r;

		rim_create(&r, &params, RIM_RMM1, "rim", NULL);
		assert_int_equal(rim_init_ripas(&r, all[i].base, all[i].top), all[i].entries);
	}
}

static void test_log(void **state)
{
	const struct rim_params params = { .s2sz = 33, .hash = HASH_SHA256 };
	struct measure_log log = { .json = true };
	const u64 gprs[8] = { 0 };
	char *text = NULL, *line;
	u8 page[4096] = { 0 };
	struct rim r;
	size_t len;
	static const char *const steps[] = {
		"{\"measurement\":\"rim-v10\",\"step\":\"realm-parameters\",\"after\":\"",
		"\"step\":\"ripas-ram\",\"gpa\":2147483648,\"size\":2097152,\"after\":\"",
		"\"step\":\"ripas-ram\",\"gpa\":2149580800,\"size\":4096,\"after\":\"",
		"\"step\":\"data\",\"gpa\":2147483648,\"size\":4096,\"content\":\"",
		"\"step\":\"data-unmeasured\",\"gpa\":2147487744,\"size\":4096,\"after\":\"",
		"\"step\":\"rec\",\"content\":\"",
	};

	NEEDS_HASH();
	log.out = open_memstream(&text, &len);
	rim_create(&r, &params, RIM_RMM1, "rim-v10", &log);
	rim_init_ripas(&r, 0x80000000, 0x80201000);
	rim_data(&r, 0x80000000, page, true);
	rim_data(&r, 0x80001000, NULL, false);
	rim_rec(&r, 0x80000000, gprs);
	fclose(log.out);
	line = text;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		char *end = strchr(line, '\n');

		assert_non_null(end);
		*end = '\0';
		assert_non_null(strstr(line, steps[i]));
		line = end + 1;
	}
	assert_string_equal(line, "");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_official),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
