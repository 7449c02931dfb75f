/* SPDX-License-Identifier: MIT */
/* The layout of SNP's CPUID page by tests/vectors/snp-cpuid-page.json. */
#include "vectors.h"

#include "../../../x86/snp.h"

static void fill(struct snp_cpuid_fn *fn, const struct json *entry)
{
	*fn = (struct snp_cpuid_fn){
		.eax_in = cpu_to_le32((u32)vector_u64(entry, "fn")),
		.ecx_in = cpu_to_le32((u32)vector_u64(entry, "idx")),
		.xcr0_in = cpu_to_le64(json_number(json_member(entry, "xcr0"), 0)),
		.eax = cpu_to_le32((u32)vector_u64(entry, "eax")),
		.ebx = cpu_to_le32((u32)vector_u64(entry, "ebx")),
		.ecx = cpu_to_le32((u32)vector_u64(entry, "ecx")),
		.edx = cpu_to_le32((u32)vector_u64(entry, "edx")),
	};
}

static void test_layout(void **state)
{
	const struct json *entry, *entries, *run, *runs;
	struct snp_cpuid_page page = { 0 };
	u8 want[4096] = { 0 };
	struct vectors v;
	u32 nr = 0;

	vectors_open(&v, "snp-cpuid-page.json");
	entries = json_member(v.nodes, "entries");
	for_each_vector(entry, entries) fill(&page.fn[nr++], entry);
	page.count = cpu_to_le32(nr);
	runs = json_member(v.nodes, "page_nonzero");
	for_each_vector(run, runs)
	{
		u64 at = vector_number(vector_item(run, 0));

		vector_hex(vector_item(run, 1)->text, want + at, sizeof(want) - at);
	}
	assert_int_equal(sizeof(page), sizeof(want));
	assert_memory_equal(&page, want, sizeof(want));
	vectors_close(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_layout) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
