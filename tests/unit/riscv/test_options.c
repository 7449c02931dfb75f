/* SPDX-License-Identifier: MIT */
/* The options of riscv64 machines: the words that completion offers, kvmtool's older ones. */
#include "capture.h"

#include <stdlib.h>

#include "../../../riscv/cpu.h"
#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/util.h"

static const struct option_spec *row(const char *name)
{
	for (const struct option_spec *o = riscv_options; o->type != OPT_GROUP || o->help; o++)
		if (o->name && !strcmp(o->name, name))
			return o;
	fail_msg("no row '%s'", name);
	return NULL;
}

static int call(struct vm_config *cfg, const char *name, const char *arg)
{
	char *shown = xasprintf("--%s", name);
	int ret;

	capture_begin();
	ret = row(name)->parse(shown, arg, cfg);
	capture_end();
	free(shown);
	if (ret)
		assert_one_line(captured);
	return ret;
}

static void test_kvmtools(void **state)
{
	struct vm_config cfg = { 0 };
	struct riscv_cpu_model model;

	assert_int_equal(call(&cfg, "custom-marchid", "0x10"), 0);
	assert_string_equal(cfg.riscv.cpu, "host,marchid=0x10");
	assert_int_equal(call(&cfg, "custom-mvendorid", "7"), 0);
	assert_int_equal(call(&cfg, "cpu-type", "max"), 0);
	assert_int_equal(call(&cfg, "custom-mimpid", "3"), 0);
	assert_string_equal(cfg.riscv.cpu, "max,marchid=0x10,mvendorid=7,mimpid=3");
	assert_int_equal(riscv_cpu_model_parse(&cfg, &model), 0);
	assert_int_equal(model.base, RISCV_CPU_MAX);
	assert_true(model.id[0] == 7 && model.id[1] == 0x10 && model.id[2] == 3);
	/* What is wrong leaves it. */
	assert_int_equal(call(&cfg, "cpu-type", "host"), -EINVAL);
	assert_contains(captured, "is not one of max, min");
	assert_int_equal(call(&cfg, "custom-mimpid", "new"), -EINVAL);
	assert_contains(captured, "--custom-mimpid new: is not a number");
	assert_string_equal(cfg.riscv.cpu, "max,marchid=0x10,mvendorid=7,mimpid=3");
	free(cfg.riscv.cpu);
}

/* Each word that is offered is one that is taken. */
static void test_words(void **state)
{
	const char *const *words = arch_cpu_words();
	struct riscv_cpu_model model;
	u32 n = 0;

	for (; words[n]; n++) {
		struct vm_config cfg = { 0 };

		/* "mimpid=N" is for people. */
		if (!strcmp(words[n], "help") || strchr(words[n], '='))
			continue;
		cfg.riscv.cpu =
			xasprintf("%s%s", strchr("+-", words[n][0]) ? "host," : "", words[n]);
		if (riscv_cpu_model_parse(&cfg, &model))
			fail_msg("--cpu %s", cfg.riscv.cpu);
		free(cfg.riscv.cpu);
	}
	assert_true(n > riscv_nr_exts);
	words = row("sbi")->words();
	for (n = 0; words[n]; n++) {
		struct vm_config cfg = { .riscv.sbi = (char *)words[n] };

		if (strcmp(words[n], "help") && riscv_cpu_model_parse(&cfg, &model))
			fail_msg("--sbi %s", words[n]);
	}
	assert_int_equal(n, 2 + 2 * RISCV_NR_SBI_EXTS);
	assert_ptr_equal(words, row("sbi")->words());
}

/* --cpu help and --sbi help: a line for each. */
static void test_lists(void **state)
{
	static const char *const names[] = { "cpu", "sbi" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char *text = NULL;
		size_t len;
		FILE *out = open_memstream(&text, &len);

		row(names[i])->list(out);
		fclose(out);
		assert_contains(text, i ? "+dbcn" : "+zicboz");
		assert_contains(text, i ? "debug console" : "cache block zeroing");
		assert_contains(text, i ? "mpxy" : "mimpid=N");
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kvmtools),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
