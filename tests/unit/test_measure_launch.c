/* SPDX-License-Identifier: MIT */
/* A launch that is followed without KVM (boot_measure): the calls of a kind, in boot_launch's
 * order; and what a measurement may not leave to the host (config-measure.c). */
#include "capture.h"
#include "unit.h"

#include <stdio.h>

#include "lkvm/boot.h"
#include "lkvm/coco.h"
#include "lkvm/config.h"
#include "lkvm/measure.h"
#include "lkvm/plan.h"
#include "lkvm/util.h"
#include "lkvm/vm.h"

/* What was called, a word each. */
static char *calls;
/* The call that fails, of those called so. */
static const char *fails;

static int called(const char *name, const char *detail)
{
	xappendf(&calls, "%s%s ", name, detail);
	return fails && !strcmp(fails, name) ? -EIO : 0;
}

static int begin(struct measure *m, const struct boot_plan *plan)
{
	m->state = &calls;
	return called("begin", "");
}

static int place(struct measure *m, const struct boot_plan *plan, const struct boot_run *run)
{
	char detail[32];

	assert_ptr_equal(m->state, &calls);
	snprintf(detail, sizeof(detail), "@%llx+%llx", run->gpa, run->len);
	return called("place", detail);
}

static int vcpu(struct measure *m, u32 index, const struct boot_plan *plan)
{
	char detail[16];

	snprintf(detail, sizeof(detail), "%u", index);
	return called("vcpu", detail);
}

static int finish(struct measure *m)
{
	measure_add_number(measure_add_result(m, NULL), "done", 1);
	return called("finish", "");
}

static void destroy(struct measure *m)
{
	called("destroy", "");
}

static const struct coco_measure whole = {
	.kind = "toy",
	.begin = begin,
	.place = place,
	.vcpu = vcpu,
	.finish = finish,
	.destroy = destroy,
};
static const struct coco_measure least = { .kind = "toy", .finish = finish };

/* Of a list of two runs, the second of which has the lower rank, and two vcpus. */
static int launch(const struct coco_measure *kind, const char *failing, u32 results)
{
	const struct coco_ops ops = { .measure = kind };
	struct vm_config cfg = { .cpus = 2 };
	struct vm vm = { .cfg = &cfg, .coco = &ops };
	struct measure m = { .vm = &vm };
	struct boot_plan plan;
	int ret;

	free(calls);
	calls = xstrdup("");
	fails = failing;
	boot_plan_init(&plan);
	plan.rank = 1;
	boot_plan_add(&plan, BOOT_KERNEL, "kernel", 0x1000, "k", 1);
	plan.rank = 0;
	boot_plan_add_zero(&plan, "zeroes", 0x4000, 0x2000);
	ret = boot_measure(&m, &plan);
	assert_null(m.state);
	assert_int_equal(m.nr_results, results);
	measure_free(&m);
	boot_plan_free(&plan);
	return ret;
}

static void test_order(void **state)
{
	assert_int_equal(launch(&whole, NULL, 1), 0);
	assert_string_equal(calls, "begin place@4000+2000 place@1000+1000 vcpu0 vcpu1 finish "
				   "destroy ");
	assert_int_equal(launch(&least, NULL, 1), 0);
	assert_string_equal(calls, "finish ");
}

static void test_failures(void **state)
{
	assert_int_equal(launch(&whole, "begin", 0), -EIO);
	assert_string_equal(calls, "begin destroy ");
	assert_int_equal(launch(&whole, "place", 0), -EIO);
	assert_string_equal(calls, "begin place@4000+2000 destroy ");
	assert_int_equal(launch(&whole, "vcpu", 0), -EIO);
	assert_string_equal(calls, "begin place@4000+2000 place@1000+1000 vcpu0 destroy ");
	assert_int_equal(launch(&whole, "finish", 1), -EIO);
	free(calls);
	calls = NULL;
}

/* What is left to the host */

enum { WITH_KERNEL = 1, WITH_CPUS = 2, WITH_MEMORY = 4, WITH_ALL = 7 };

static void configure(struct vm_config *cfg, u32 with)
{
	config_init(cfg);
	cfg->measured = true;
	cfg->nodefaults = true;
	if (with & WITH_KERNEL)
		cfg->kernel = xstrdup("nosuch");
	cfg->cpus = with & WITH_CPUS ? 2 : 0;
	cfg->memory = with & WITH_MEMORY ? 64 * MiB : 0;
}

/* @text NULL: it is complete. */
static void check_complete(struct vm_config *cfg, const char *text)
{
	const char *said;
	int ret;

	capture_begin();
	ret = config_complete(cfg);
	said = capture_end();
	config_destroy(cfg);
	if (!text) {
		assert_string_equal(said, "");
		assert_int_equal(ret, 0);
		return;
	}
	assert_int_equal(ret, -EINVAL);
	assert_one_line(said);
	assert_contains(said, text);
}

static void test_left_to_host(void **state)
{
	struct vm_config cfg;

	configure(&cfg, WITH_ALL);
	check_complete(&cfg, NULL);
	configure(&cfg, WITH_ALL & ~WITH_KERNEL);
	check_complete(&cfg, "measure: the kernel would be this host's choice");
	configure(&cfg, WITH_ALL & ~WITH_CPUS);
	check_complete(&cfg, "give -c N");
	configure(&cfg, WITH_ALL & ~WITH_MEMORY);
	check_complete(&cfg, "give -m SIZE");
	configure(&cfg, WITH_ALL);
	cfg.memory += 4 * KiB;
	check_complete(&cfg, "give a multiple of 64K");
	configure(&cfg, WITH_ALL);
	cfg.fdt.rng_seed = true;
	check_complete(&cfg, "measure and --rng-seed cannot be combined");
}

static void test_command(void **state)
{
	char word[] = "true", *words[] = { word, NULL };
	struct vm_config cfg;

	configure(&cfg, WITH_ALL);
	cfg.root.command = words;
	check_complete(&cfg, "the command 'true': cannot be combined with measure");
}

/* Nobody asks for anything: there is no kind. */
static void test_no_kind(void **state)
{
	struct vm_config cfg;

	configure(&cfg, WITH_ALL);
	assert_null(config_confidential(&cfg, NULL));
	assert_int_equal(config_check_confidential(&cfg), 0);
	config_destroy(&cfg);
}

/* Each row with OPT_CONFIDENTIAL must be able to say that
 * it was given. */
static void test_rows(void **state)
{
	for_each_option(c, &config_set)
	{
		if (c.opt->flags & OPT_MEASURED)
			assert_true(c.opt->flags & OPT_CONFIDENTIAL);
		if (c.opt->flags & OPT_CONFIDENTIAL)
			assert_int_not_equal(c.opt->type, OPT_CALL);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),	     cmocka_unit_test(test_failures),
		cmocka_unit_test(test_left_to_host), cmocka_unit_test(test_command),
		cmocka_unit_test(test_no_kind),	     cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
