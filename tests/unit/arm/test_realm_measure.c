/* SPDX-License-Identifier: MIT */
/* arm/realm-measure.c: its steps are those that a launch takes, and its figures those that the
 * rules of tests/vectors/README.md give for small realms, computed elsewhere. */
#include "fake_realm.h"

#include "lkvm/measure.h"

#define SMALL_AT   ARM_RAM
#define SMALL_FDT  (ARM_RAM + 0x700000)
#define SMALL_PAGE (ARM_RAM + 0x3000)

static void small_plan(void)
{
	boot_plan_init(&plan);
	boot_plan_add(&plan, BOOT_KERNEL, "k", SMALL_AT, "k", 1);
	boot_plan_add(&plan, BOOT_KERNEL, "u", SMALL_PAGE, "u", 1);
	plan.entries[1].measured = false;
	boot_plan_add_reg(&plan, "pc", SMALL_AT);
	boot_plan_add_reg(&plan, "x0", SMALL_FDT);
	assert_int_equal(boot_plan_check(&plan, &vm.mem), 0);
}

/* As builtin-measure.c does. */
static void measure(struct measure *m, struct measure_log *log)
{
	const struct coco_measure *kind = arm_realm_ops(&cfg)->measure;
	struct boot_run run = { 0 };

	*m = (struct measure){ .vm = &vm, .log = log };
	assert_int_equal(kind->begin(m, &plan), 0);
	while (boot_plan_next(&plan, &run))
		assert_int_equal(kind->place(m, &plan, &run), 0);
	for (u32 i = 0; i < 2; i++)
		assert_int_equal(kind->vcpu(m, i, &plan), 0);
	assert_int_equal(kind->finish(m), 0);
	kind->destroy(m);
	assert_null(m->state);
}

static const struct measure_value *value(const struct measure *m, u32 i, const char *name)
{
	const struct measure_result *r = &m->results[i];

	for (u32 k = 0; k < r->nr_values; k++)
		if (!strcmp(r->values[k].name, name))
			return &r->values[k];
	return NULL;
}

static void assert_rim(const struct measure *m, u32 i, const char *hex)
{
	const struct measure_value *v = value(m, i, "rim");
	char text[2 * RIM_LEN + 1] = "";

	assert_non_null(v);
	for (u32 k = 0; k < v->len; k++)
		snprintf(text + 2 * k, 3, "%02x", v->bytes[k]);
	assert_string_equal(text, hex);
}

static void begin(const char *version)
{
	memset(&cfg, 0, sizeof(cfg));
	cfg.arm.realm.on = true;
	fake_version(version);
	assert_int_equal(fake_begin(), 0);
}

static void test_small(void **state)
{
	struct measure m;

	if (!hash_library())
		skip();
	begin("v10");
	small_plan();
	measure(&m, NULL);
	assert_int_equal(m.nr_results, 3);
	assert_string_equal(m.results[0].name, "v7-v10");
	assert_rim(&m, 0, "bb6ce226ceb74e2c427c7052090d364149085cf46c661b8e697d7986e9ad61e6");
	assert_string_equal(m.results[1].name, "v11-v12");
	assert_non_null(strstr(m.results[1].refused, "in an order of its own"));
	assert_string_equal(m.results[2].name, "v13-v15");
	assert_rim(&m, 2, "8f140016996e0efb34d7160f89f1d9a689d8da8853b439688ef5679c7b9690d4");
	/* What was taken from no host is said. */
	assert_int_equal(value(&m, 0, "breakpoints")->number, 16);
	assert_int_equal(value(&m, 0, "sve-bits")->number, 512);
	assert_null(value(&m, 0, "pmu-counters"));
	assert_null(value(&m, 2, "rpv"));
	measure_free(&m);
	fake_end();
}

static void test_chosen(void **state)
{
	struct measure m;

	if (!hash_library())
		skip();
	begin("v10");
	cfg.arm.realm.hash = REALM_HASH_512;
	cfg.arm.realm.breakpoints = 4;
	cfg.arm.realm.watchpoints = 2;
	cfg.arm.disable_sve = cfg.arm.pmu = cfg.arm.has_pmu_counters = true;
	cfg.arm.pmu_counters = 6;
	cfg.arm.realm.planes = 3;
	small_plan();
	measure(&m, NULL);
	assert_rim(&m, 0,
		   "bd3c36e192a771509a630075b9c5a4045e46cd53c40dd7df630e7fd08aff54b5"
		   "dd63cd9c59bc49ca0b3aaaa07bf16f1a23be4a1fc72ab2e6eb96f5e56ac4c54f");
	assert_non_null(strstr(m.results[2].refused, "KVM always asks for sha256"));
	measure_free(&m);
	/* One version alone. */
	cfg.arm.realm.abi = REALM_ABI_V10;
	measure(&m, NULL);
	assert_int_equal(m.nr_results, 1);
	assert_string_equal(m.results[0].name, "v10");
	assert_int_equal(value(&m, 0, "pmu-counters")->number, 6);
	measure_free(&m);
	fake_end();
}

/* The steps of a log without what was hashed: "create", then kinds and ranges. */
static char *steps_of(const char *version)
{
	char *text = NULL, *line, *rest, *out = strdup("");
	struct measure_log log = { 0 };
	struct measure m;
	size_t len;

	log.out = open_memstream(&text, &len);
	cfg.arm.realm.abi = REALM_ABI_AUTO;
	for (u32 k = 0; realm_abi_names[k]; k++)
		if (!strcmp(realm_abi_names[k], version))
			cfg.arm.realm.abi = (enum realm_abi_kind)k;
	measure(&m, &log);
	measure_free(&m);
	fclose(log.out);
	for (rest = text; (line = strsep(&rest, "\n"));)
		if (*line)
			xappendf(&out, "%s\n", line);
	free(text);
	return out;
}

static u32 count(const char *text, const char *word)
{
	u32 n = 0;

	for (; (text = strstr(text, word)); text += strlen(word))
		n++;
	return n;
}

/* Each page that the launch populates is measured, in that order, and nothing else. */
static void test_same_steps(void **state)
{
	static const char *const versions[] = { "v7", "v10", "v13", "v15" };

	if (!hash_library())
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(versions); i++) {
		char *steps, *at, *token, *save = NULL;
		bool old = i < 2;

		begin(versions[i]);
		fake_plan();
		assert_int_equal(boot_launch(&vm, &plan), 0);
		steps = at = steps_of(versions[i]);
		for (token = strtok_r(kvm.told, " ", &save); token;
		     token = strtok_r(NULL, " ", &save)) {
			u64 gpa, size;
			char range[32];

			if (sscanf(token, "page@%llx+%llx", &gpa, &size) != 2)
				continue;
			for (; size; size -= FAKE_PAGE, gpa += FAKE_PAGE) {
				snprintf(range, sizeof(range), "%llx", gpa);
				at = strstr(at, range);
				if (!at)
					fail_msg("%s: 0x%llx is not in the log", versions[i], gpa);
			}
		}
		/* Blocks of 2 MiB; parameters and a REC; the pages. */
		assert_int_equal(count(steps, "\n"), (old ? 4 : 0) + 2 + 0x402 + 2);
		free(steps);
		fake_end();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_chosen),
		cmocka_unit_test(test_same_steps),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
