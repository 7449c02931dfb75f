/* SPDX-License-Identifier: MIT */
/* The model's RMM against known measurements: tests/vectors/cca-rim.json, cca-official.json. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arm/cca-rmm.h"
#include "lkvm/json.h"

#define MAX_NODES 8192

static struct json nodes[MAX_NODES];

static size_t load(const char *name, void *buf, size_t size)
{
	const char *folder = getenv("VECTORS");
	char path[512];
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/%s", folder ? folder : "tests/vectors", name);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(buf, 1, size, f);
	fclose(f);
	assert_true(n < size);
	return n;
}

static const struct json *parse(const char *name)
{
	static char text[65536];
	size_t n = load(name, text, sizeof(text));

	assert_int_equal(json_parse(text, n, nodes, MAX_NODES), 0);
	return json_member(nodes, "vectors");
}

static u64 number(const struct json *object, const char *name)
{
	const struct json *value = json_member(object, name);

	assert_non_null(value);
	return value->type == JSON_STRING ? strtoull(value->text, NULL, 0) : value->number;
}

static enum rim_hash hash_of(const struct json *vector)
{
	const char *name = json_text(json_member(vector, "algo"), "");

	for (enum rim_hash hash = RIM_SHA256; hash <= RIM_SHA384; hash++)
		if (!strcmp(name, rim_hash_name(hash)))
			return hash;
	fail_msg("no such hash: %s", name);
	return RIM_SHA256;
}

static const struct rmm_host *host_of(const char *profile)
{
	static struct rmm_host host = {
		.hashes = 7,
		.s2sz = 52,
		.sve_vl = 15,
		.num_bps = 15,
		.num_wps = 15,
		.pmu_num_ctrs = 31,
		.max_planes = 3,
		.lpa2 = true,
		.sve = true,
		.pmu = true,
	};

	host.ripas_measured = !strcmp(profile, "rmm1");
	return &host;
}

static void pattern(const char *what, u8 page[MODEL_PAGE])
{
	unsigned int seed;

	memset(page, 0, MODEL_PAGE);
	if (sscanf(what, "pattern %u", &seed) == 1)
		for (unsigned int i = 0; i < MODEL_PAGE; i++)
			page[i] = (u8)(i * 7 + seed * 31 + (i >> 8));
	else
		assert_string_equal(what, "zeros");
}

static void rec(struct rmm_realm *realm, const struct json *op)
{
	const struct json *list = json_member(op, "gprs"), *reg;
	bool runnable = json_truth(json_member(op, "runnable"));
	u64 gprs[8] = { 0 };

	if (runnable) {
		reg = json_first(list);
		for (u32 i = 0; i < 8; i++, reg = json_next(reg))
			gprs[i] = strtoull(reg->text, NULL, 0);
	}
	assert_int_equal(
		rmm_rec(realm, realm->nr_recs, runnable, runnable ? number(op, "pc") : 0, gprs),
		RMI_SUCCESS);
}

static void step(struct rmm_realm *realm, const struct json *op)
{
	const char *what = json_text(json_member(op, "op"), "");
	u32 extends = realm->rim.extends;
	u8 page[MODEL_PAGE];

	if (!strcmp(what, "init_ripas")) {
		assert_int_equal(rmm_init_ripas(realm, number(op, "base"), number(op, "top")),
				 RMI_SUCCESS);
		assert_int_equal(realm->rim.extends - extends, number(op, "extends"));
	} else if (!strcmp(what, "data")) {
		pattern(json_text(json_member(op, "page"), ""), page);
		assert_int_equal(rmm_data(realm, number(op, "ipa"), page,
					  json_truth(json_member(op, "measure"))),
				 RMI_SUCCESS);
	} else {
		assert_string_equal(what, "rec");
		rec(realm, op);
	}
}

static void check_rim(const struct rmm_realm *realm, const struct json *vector, const char *name)
{
	const char *want = json_text(json_member(vector, name), "");
	char text[2 * RIM_SIZE + 1];

	rim_hex(&realm->rim, text);
	assert_true(strlen(want) >= strlen(text));
	assert_memory_equal(text, want, strlen(text));
	for (want += strlen(text); *want; want++)
		assert_int_equal(*want, '0');
}

static void all_vectors(void **state)
{
	const struct json *vectors = parse("cca-rim.json"), *v = json_first(vectors);

	assert_true(vectors->nr >= 25);
	for (u32 i = 0; i < vectors->nr; i++, v = json_next(v)) {
		const struct json *p = json_member(v, "params"), *ops = json_member(v, "ops");
		const struct json *op = json_first(ops);
		struct rmm_params params = {
			.measured = {
				.flags = number(p, "flags"),
				.s2sz = (u8)number(p, "s2sz"),
				.sve_vl = (u8)number(p, "sve_vl"),
				.num_bps = (u8)number(p, "num_bps"),
				.num_wps = (u8)number(p, "num_wps"),
				.pmu_num_ctrs = (u8)number(p, "pmu_num_ctrs"),
				.hash = hash_of(v),
			},
		};
		struct rmm_realm realm;

		print_message("# %s\n", json_text(json_member(v, "name"), ""));
		assert_int_equal(rmm_create(&realm,
					    host_of(json_text(json_member(v, "profile"), "")),
					    &params),
				 RMI_SUCCESS);
		check_rim(&realm, v, "rim_after_create");
		for (u32 j = 0; j < ops->nr; j++, op = json_next(op)) {
			step(&realm, op);
			check_rim(&realm, op, "rim_after");
		}
		check_rim(&realm, v, "rim");
		rmm_destroy(&realm);
	}
}

/* What kvmtool's tree is padded to. */
#define DTB_SIZE 65536

static void kvmtool_realm(const char *vector, const char *firmware)
{
	const struct json *vectors = parse("cca-official.json"), *v = json_first(vectors);
	static u8 dtb[DTB_SIZE], page[MODEL_PAGE];
	const struct rmm_params params = {
		.measured = { .s2sz = 33, .num_bps = 5, .num_wps = 5 },
	};
	u64 x[8] = { 0x8fe00000 }, pc = firmware ? 0x80000000 : 0;
	struct rmm_realm realm;

	while (strcmp(json_text(json_member(v, "name"), ""), vector))
		v = json_next(v);
	load("kvmtool-512M-1cpu.dtb", dtb, sizeof(dtb));
	assert_int_equal(rmm_create(&realm, host_of("rmm1"), &params), RMI_SUCCESS);
	assert_int_equal(rmm_init_ripas(&realm, 0x80000000, 0xa0000000), RMI_SUCCESS);
	if (firmware) {
		memcpy(page, firmware, strlen(firmware));
		assert_int_equal(rmm_data(&realm, 0x80000000, page, true), RMI_SUCCESS);
	}
	for (u64 at = 0; at < DTB_SIZE; at += MODEL_PAGE)
		assert_int_equal(rmm_data(&realm, 0x8fe00000 + at, dtb + at, true), RMI_SUCCESS);
	assert_int_equal(rmm_rec(&realm, 0, true, pc, x), RMI_SUCCESS);
	check_rim(&realm, v, "rim");
	rmm_destroy(&realm);
}

static void official_kvmtool(void **state)
{
	kvmtool_realm("kvmtool-c1-m512M", NULL);
	kvmtool_realm("kvmtool-firmware", "FW CONTENT");
}

static struct rmm_params plain = {
	.measured = { .s2sz = 40, .num_bps = 5, .num_wps = 5 },
};

/* A block that has a table of 4 KiB entries is measured entry by entry. */
static void tables_cut(void **state)
{
	struct rmm_realm realm;
	u8 page[MODEL_PAGE] = { 0 };

	assert_int_equal(rmm_create(&realm, host_of("rmm1"), &plain), RMI_SUCCESS);
	assert_int_equal(rmm_data(&realm, 0x80200000, page, true), RMI_SUCCESS);
	assert_int_equal(realm.rim.extends, 1);
	/* One block of 2 MiB, and then the page is in the way. */
	assert_int_equal(rmm_init_ripas(&realm, 0x80000000, 0x80600000), RMI_ERROR_RTT);
	assert_int_equal(realm.rim.extends, 2);
	assert_int_equal(rmm_init_ripas(&realm, 0x80201000, 0x80600000), RMI_SUCCESS);
	assert_int_equal(realm.rim.extends, 2 + 511 + 1);
	/* What is RAM already is measured again; 1 GiB is one entry where nothing is below it. */
	assert_int_equal(rmm_init_ripas(&realm, 0x80400000, 0x80600000), RMI_SUCCESS);
	assert_int_equal(realm.rim.extends, 2 + 511 + 2);
	assert_int_equal(rmm_init_ripas(&realm, 0xc0000000, 0x100000000), RMI_SUCCESS);
	assert_int_equal(realm.rim.extends, 2 + 511 + 3);
	rmm_destroy(&realm);
}

static void refusals(void **state)
{
	const struct rmm_host *host = host_of("rmm1");
	struct rmm_host small = *host;
	struct rmm_realm realm = { 0 };
	struct rmm_params p = plain;
	u8 page[MODEL_PAGE] = { 0 };
	u64 x[8] = { 0 };

	assert_int_equal(rmm_data(&realm, 0, page, true), RMI_ERROR_REALM);
	p.measured.num_bps = 0;
	assert_int_equal(rmm_create(&realm, host, &p), RMI_ERROR_INPUT);
	p = plain;
	p.measured.num_wps = 0;
	assert_int_equal(rmm_create(&realm, host, &p), RMI_ERROR_INPUT);
	p = plain;
	p.measured.s2sz = 53;
	assert_int_equal(rmm_create(&realm, host, &p), RMI_ERROR_INPUT);
	p = plain;
	p.measured.hash = RIM_SHA512;
	small.hashes = 1;
	assert_int_equal(rmm_create(&realm, &small, &p), RMI_ERROR_INPUT);
	assert_int_equal(rmm_create(&realm, host, &plain), RMI_SUCCESS);
	/* The upper half is shared. */
	assert_int_equal(rmm_data(&realm, 1ULL << 39, page, true), RMI_ERROR_INPUT);
	assert_int_equal(rmm_init_ripas(&realm, 0, (1ULL << 39) + MODEL_PAGE), RMI_ERROR_INPUT);
	assert_int_equal(rmm_init_ripas(&realm, 1, MODEL_PAGE), RMI_ERROR_INPUT);
	assert_int_equal(rmm_data(&realm, 0, page, true), RMI_SUCCESS);
	assert_int_equal(rmm_data(&realm, 0, page, true), RMI_ERROR_RTT);
	assert_int_equal(rmm_rec(&realm, 1, false, 0, x), RMI_ERROR_INPUT);
	assert_int_equal(rmm_rec(&realm, 0, true, 0, x), RMI_SUCCESS);
	assert_int_equal(rmm_activate(&realm), RMI_SUCCESS);
	assert_int_equal(rmm_activate(&realm), RMI_ERROR_REALM);
	assert_int_equal(rmm_data(&realm, MODEL_PAGE, page, true), RMI_ERROR_REALM);
	assert_int_equal(rmm_rec(&realm, 1, false, 0, x), RMI_ERROR_REALM);
	rmm_destroy(&realm);
}

/* TF-RMM: separate trees with direct permissions, or a shared one with indirect ones. */
static void planes(void **state)
{
	static const struct {
		u32 planes;
		bool tree_pp, indirect;
		enum rmi want;
	} cases[] = {
		{ 0, false, false, RMI_SUCCESS },     { 3, true, false, RMI_SUCCESS },
		{ 1, false, false, RMI_ERROR_INPUT }, { 1, false, true, RMI_SUCCESS },
		{ 1, true, true, RMI_ERROR_INPUT },   { 4, true, false, RMI_ERROR_INPUT },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rmm_params p = plain;
		struct rmm_realm realm = { 0 };

		p.num_aux_planes = cases[i].planes;
		p.tree_pp = cases[i].tree_pp;
		p.indirect = cases[i].indirect;
		assert_int_equal(rmm_create(&realm, host_of("rmm1"), &p), cases[i].want);
		rmm_destroy(&realm);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_vectors), cmocka_unit_test(official_kvmtool),
		cmocka_unit_test(tables_cut),  cmocka_unit_test(refusals),
		cmocka_unit_test(planes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
