/* SPDX-License-Identifier: MIT */
/* The words of --pmu-filter, and what KVM gets of them. */
#include "capture.h"

#include <kvm-compat.h>
#include <stdlib.h>

#include "../../../x86/tuning.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

static u64 event(const struct kvm_pmu_event_filter *f, u32 i)
{
	assert_true(i < f->nevents);
	return ((const u64 *)(f + 1))[i];
}

static void test_filter(void **state)
{
	struct kvm_pmu_event_filter *f;

	f = x86_pmu_filter("allow:cycles,c0:1,fixed0,fixed31,0xC4:0xfF,llc-misses", X86_PMU_INTEL);
	assert_non_null(f);
	assert_int_equal(f->action, KVM_PMU_EVENT_ALLOW);
	assert_int_equal(f->flags, 0);
	assert_int_equal(f->fixed_counter_bitmap, 0x80000001);
	assert_int_equal(f->nevents, 4);
	assert_true(event(f, 0) == 0x003c && event(f, 1) == 0x01c0 && event(f, 2) == 0xffc4 &&
		    event(f, 3) == 0x412e);
	free(f);

	/* AMD's cycles, and its 12 bits. */
	f = x86_pmu_filter("deny:cycles,fff:12", X86_PMU_AMD);
	assert_non_null(f);
	assert_int_equal(f->action, KVM_PMU_EVENT_DENY);
	assert_true(event(f, 0) == 0x0076 && event(f, 1) == 0xf000012ffULL);
	assert_int_equal(f->fixed_counter_bitmap, 0);
	free(f);

	/* One mask, and all are entries with masks. */
	f = x86_pmu_filter("allow:c0:10/f0,-c0:11/ff,cycles,fixed1", X86_PMU_INTEL);
	assert_non_null(f);
	assert_int_equal(f->flags, KVM_PMU_EVENT_FLAG_MASKED_EVENTS);
	assert_int_equal(f->nevents, 3);
	assert_true(event(f, 0) == 0xf0000000000010c0ULL && event(f, 1) == 0xff800000000011c0ULL &&
		    event(f, 2) == 0xff0000000000003cULL);
	assert_int_equal(f->fixed_counter_bitmap, 2);
	free(f);
	f = x86_pmu_filter("deny:-c0:11", X86_PMU_INTEL);
	assert_non_null(f);
	assert_true(f->flags && event(f, 0) == 0xff800000000011c0ULL);
	free(f);
	/* Nothing but fixed counters. */
	f = x86_pmu_filter("deny:fixed2", X86_PMU_ANY);
	assert_non_null(f);
	assert_int_equal(f->nevents, 0);
	assert_int_equal(f->fixed_counter_bitmap, 4);
	free(f);
}

static void test_filter_refused(void **state)
{
	static const struct {
		const char *text, *says;
		enum x86_pmu_vendor vendor;
	} cases[] = {
		{ "", "must be allow:EVENT", X86_PMU_ANY },
		{ "cycles", "must be allow:EVENT", X86_PMU_ANY },
		{ "allow:", "must be allow:EVENT", X86_PMU_ANY },
		{ "permit:cycles", "must be allow:EVENT", X86_PMU_ANY },
		{ "allow:cycle", "did you mean 'cycles'?", X86_PMU_ANY },
		{ "allow:,cycles", "is no event", X86_PMU_ANY },
		{ "allow:cycles,", "is no event", X86_PMU_ANY },
		{ "allow:c0", "is no event", X86_PMU_ANY },
		{ "allow:c0:", "is no event", X86_PMU_ANY },
		{ "allow::0", "is no event", X86_PMU_ANY },
		{ "allow:0x:0", "is no event", X86_PMU_ANY },
		{ "allow:1000:0", "is no event", X86_PMU_ANY },
		{ "allow:c0:100", "is no event", X86_PMU_ANY },
		{ "allow:c0:0/", "is no event", X86_PMU_ANY },
		{ "allow:c0:0/100", "is no event", X86_PMU_ANY },
		{ "allow:c0:0/1x", "is no event", X86_PMU_ANY },
		{ "allow:c0:0 ", "is no event", X86_PMU_ANY },
		{ "allow:--c0:0", "is no event", X86_PMU_ANY },
		{ "allow:c0:3/1", "matches nothing", X86_PMU_ANY },
		{ "allow:fixed32", "no more fixed counters", X86_PMU_ANY },
		{ "allow:-fixed1", "has no exceptions", X86_PMU_ANY },
		{ "allow:fixedx", "is no event", X86_PMU_ANY },
		{ "allow:100:0", "an event select has 8 bits", X86_PMU_INTEL },
		{ "allow:ref-cycles", "is an event of Intel's CPUs", X86_PMU_AMD },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		capture_begin();
		assert_null(x86_pmu_filter(cases[i].text, cases[i].vendor));
		capture_end();
		assert_one_line(captured);
		assert_contains(captured, "--pmu-filter");
		assert_contains(captured, cases[i].says);
	}
}

/* KVM takes 300, and says no word of how many. */
static void test_filter_limit(void **state)
{
	char *text = xstrdup("allow:fixed0");
	struct kvm_pmu_event_filter *f;

	for (u32 i = 0; i < X86_PMU_MAX_EVENTS; i++)
		xappendf(&text, ",%x:%x", i & 0xff, i >> 8);
	f = x86_pmu_filter(text, X86_PMU_ANY);
	assert_non_null(f);
	assert_int_equal(f->nevents, 300);
	free(f);
	xappendf(&text, ",cycles");
	capture_begin();
	assert_null(x86_pmu_filter(text, X86_PMU_ANY));
	capture_end();
	assert_one_line(captured);
	assert_contains(captured, "has 301 events; KVM takes at most 300");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_filter_refused),
		cmocka_unit_test(test_filter_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
