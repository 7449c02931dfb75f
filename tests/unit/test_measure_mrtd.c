/* SPDX-License-Identifier: MIT */
/* measure/mrtd.c: regions of pages, and the sections of the small firmware in tests/vectors. */
#include "vectors.h"

/* Where a section says so its pages are added later, by the guest. */
#define TDVF_EXTEND   BIT_ULL(0)
#define TDVF_PAGE_AUG BIT_ULL(1)

static void add_region(struct mrtd *m, const struct json *region)
{
	const struct json *page, *pages = json_member(region, "pages");
	bool measured = json_truth(json_member(region, "measure"));
	u64 gpa = vector_u64(region, "gpa");
	u8 bytes[4096];

	for_each_vector(page, pages)
	{
		vector_page(page->text, bytes);
		mrtd_page(m, gpa, measured ? bytes : NULL, measured);
		gpa += 4096;
	}
}

static void assert_mrtd(const struct mrtd *m, const struct json *vector)
{
	u8 value[MRTD_LEN];

	mrtd_value(m, value);
	assert_hex(value, sizeof(value), json_text(json_member(vector, "mrtd"), ""));
	/* Asking changes nothing. */
	mrtd_value(m, value);
	assert_hex(value, sizeof(value), json_text(json_member(vector, "mrtd"), ""));
}

static void test_regions(void **state)
{
	const struct json *vector, *all;
	struct vectors v;
	u32 nr = 0;

	NEEDS_HASH();
	vectors_open(&v, "tdx-mrtd.json");
	all = json_member(v.nodes, "vectors");
	for_each_vector(vector, all)
	{
		const struct json *region, *regions = json_member(vector, "regions");
		struct mrtd m;

		mrtd_begin(&m, NULL);
		for_each_vector(region, regions) add_region(&m, region);
		assert_mrtd(&m, vector);
		nr++;
	}
	assert_true(nr >= 8);
	vectors_close(&v);
}

static void add_section(struct mrtd *m, const u64 s[6], const u8 *file)
{
	u8 page[4096];

	if (s[5] & TDVF_PAGE_AUG)
		return;
	for (u64 at = 0; at < s[3]; at += sizeof(page)) {
		memset(page, 0, sizeof(page));
		if (at < s[1])
			memcpy(page, file + s[0] + at, MIN(s[1] - at, (u64)sizeof(page)));
		mrtd_page(m, s[2] + at, page, s[5] & TDVF_EXTEND);
	}
}

static void test_firmware(void **state)
{
	const struct json *firmware, *section, *sections;
	struct vectors v;
	struct mrtd m;
	size_t len;
	u8 *file;

	NEEDS_HASH();
	vectors_open(&v, "tdx-mrtd.json");
	firmware = json_member(v.nodes, "firmware");
	sections = json_member(firmware, "sections");
	file = vector_file(json_text(json_member(firmware, "name"), ""), &len);
	mrtd_begin(&m, NULL);
	for_each_vector(section, sections)
	{
		u64 s[6]; /* offset, raw size, address, size, type, attributes */

		for (u32 i = 0; i < 6; i++)
			s[i] = vector_number(vector_item(section, i));
		assert_true(s[0] + s[1] <= len);
		add_section(&m, s, file);
	}
	assert_mrtd(&m, firmware);
	vectors_close(&v);
	free(file);
}

static void test_log(void **state)
{
	struct measure_log log = { .json = true };
	u8 page[4096] = { 0 }, value[MRTD_LEN];
	char *text = NULL, *line, *hex;
	struct mrtd m;
	size_t len;

	NEEDS_HASH();
	log.out = open_memstream(&text, &len);
	mrtd_begin(&m, &log);
	mrtd_page(&m, 0x1000, page, true);
	mrtd_value(&m, value);
	mrtd_page(&m, 0x2000, NULL, false);
	fclose(log.out);
	line = strchr(text, '\n');
	assert_non_null(line);
	*line++ = '\0';
	assert_non_null(strstr(text, "\"step\":\"add-extend\",\"gpa\":4096,\"size\":4096,"
				     "\"content\":\""));
	hex = strstr(text, "\"after\":\"");
	assert_non_null(hex);
	hex += strlen("\"after\":\"");
	hex[2 * MRTD_LEN] = '\0';
	assert_hex(value, sizeof(value), hex);
	assert_non_null(strstr(line, "\"step\":\"add\",\"gpa\":8192,\"size\":4096,\"after\":\""));
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_regions),
		cmocka_unit_test(test_firmware),
		cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
