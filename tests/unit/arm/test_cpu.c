/* SPDX-License-Identifier: MIT */
/* The CPU model: the words of --cpu, the ID registers, vector lengths, the host's PMUs. */
#include "capture.h"
#include "no_attrs.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../../../arm/arm.h"
#include "../../../arm/cpu.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define PFR0  ARM_ID_REG(4, 0)
#define DFR0  ARM_ID_REG(5, 0)
#define ISAR0 ARM_ID_REG(6, 0)
#define MMFR0 ARM_ID_REG(7, 0)

/* In place of one-reg.c: a vcpu with this register. */
static u64 mmfr0;
static int set_answer;
static unsigned int sets;

int vcpu_get_reg(const struct vcpu *vcpu, u64 id, void *value)
{
	if (id != arm_id_reg(MMFR0))
		return -ENOENT;
	*(u64 *)value = mmfr0;
	return 0;
}

int vcpu_set_reg(const struct vcpu *vcpu, u64 id, const void *value)
{
	assert_true(id == arm_id_reg(MMFR0));
	sets++;
	if (!set_answer)
		mmfr0 = *(const u64 *)value;
	return set_answer;
}

static int parse(const char *words, struct arm_cpu_model *model)
{
	struct vm_config cfg = { .arm.cpu = (char *)words };
	int ret;

	capture_begin();
	ret = arm_cpu_model_parse(&cfg, model);
	capture_end();
	assert_told(ret);
	return ret;
}

static void refused(const char *words, const char *why)
{
	struct arm_cpu_model model;

	assert_int_equal(parse(words, &model), -EINVAL);
	assert_contains(captured, why);
}

static void test_words(void **state)
{
	struct arm_cpu_model m;

	assert_int_equal(parse(NULL, &m), 0);
	assert_int_equal(parse("host", &m), 0);
	assert_int_equal(arm_cpu_model_want(&m, ARM_PROP_SVE), ARM_AS_HOST);
	assert_int_equal(parse("host,-sve,+pauth,-mte", &m), 0);
	assert_int_equal(arm_cpu_model_want(&m, ARM_PROP_SVE), ARM_OFF);
	assert_int_equal(arm_cpu_model_want(&m, ARM_PROP_PAUTH), ARM_ON);
	assert_int_equal(arm_cpu_model_want(&m, ARM_PROP_MTE), ARM_OFF);
	assert_int_equal(arm_cpu_model_want(&m, ARM_PROP_PMU), ARM_AS_HOST);
	/* The last word counts. */
	assert_int_equal(parse("host,-sve,+sve", &m), 0);
	assert_int_equal(arm_cpu_model_want(&m, ARM_PROP_SVE), ARM_ON);

	refused("", "begin with 'host'");
	refused("cortex-a57", "begin with 'host', not 'cortex-a57'");
	refused("host,", "is not a setting");
	refused("host,sve", "+FEATURE or -FEATURE");
	refused("host,+pauht", "did you mean 'pauth'");
	refused("host,+", "unknown feature ''");
	refused("host,pmuvre=v3", "did you mean 'pmuver'");
	refused("host,=3", "unknown setting ''");
}

static void test_pmu_words(void **state)
{
	struct arm_cpu_model m;

	assert_int_equal(parse("host,+pmu,pmuver=v3p5,counters=0,pmu-deny=0x11,pmu-allow=3-5", &m),
			 0);
	assert_int_equal(m.pmuver, 6);
	assert_true(m.has_counters && m.counters == 0);
	assert_int_equal(m.nr_filters, 2);
	assert_int_equal(m.filters[0].base_event, 0x11);
	assert_int_equal(m.filters[0].nevents, 1);
	assert_int_equal(m.filters[0].action, KVM_PMU_EVENT_DENY);
	assert_int_equal(m.filters[1].base_event, 3);
	assert_int_equal(m.filters[1].nevents, 3);
	assert_int_equal(m.filters[1].action, KVM_PMU_EVENT_ALLOW);
	assert_int_equal(parse("host,+pmu,counters=31,pmu-deny=0-0xfffe", &m), 0);

	refused("host,counters=3", "add +pmu");
	refused("host,-pmu,pmuver=v3", "add +pmu");
	refused("host,+pmu,counters=32", "0 to 31");
	refused("host,+pmu,counters=", "0 to 31");
	refused("host,+pmu,pmuver=3", "one of v3");
	refused("host,+pmu,pmu-deny=", "not an event");
	refused("host,+pmu,pmu-deny=5-3", "not an event");
	refused("host,+pmu,pmu-deny=0x10000", "not an event");
	refused("host,+pmu,pmu-deny=0-0xffff", "not an event");
	refused("host,+pmu,pmu-deny=3-", "not an event");
}

static void test_too_many_filters(void **state)
{
	char words[2048] = "host,+pmu";
	struct arm_cpu_model m;

	for (int i = 0; i < ARM_MAX_PMU_FILTERS; i++)
		strcat(words, ",pmu-deny=1");
	assert_int_equal(parse(words, &m), 0);
	strcat(words, ",pmu-deny=1");
	refused(words, "the maximum is 32");
}

static int check(const struct vm_config *cfg)
{
	int ret;

	capture_begin();
	ret = arm_cpu_check(cfg);
	capture_end();
	return ret;
}

static void test_options(void **state)
{
	struct vm_config cfg = { 0 };
	struct arm_cpu_model m;

	assert_int_equal(check(&cfg), 0);
	cfg = (struct vm_config){ .arm.pmu = true, .arm.disable_mte = true, .arm.sve_max_vl = 256 };
	assert_int_equal(arm_cpu_model_parse(&cfg, &m), 0);
	assert_int_equal(arm_cpu_model_want(&m, ARM_PROP_PMU), ARM_ON);
	assert_int_equal(arm_cpu_model_want(&m, ARM_PROP_MTE), ARM_OFF);
	assert_int_equal(arm_cpu_model_want(&m, ARM_PROP_SVE), ARM_ON);
	cfg = (struct vm_config){ .arm.pmu = true, .arm.cpu = (char *)"host,-pmu" };
	assert_int_equal(check(&cfg), -EINVAL);
	assert_contains(captured, "--pmu and --cpu: contradict");
	cfg = (struct vm_config){ .arm.e2h0 = true };
	assert_int_equal(check(&cfg), -EINVAL);
	assert_contains(captured, "--nested");
	cfg = (struct vm_config){ .arm.aarch32 = true, .arm.nested = true };
	assert_int_equal(check(&cfg), -EINVAL);
	cfg = (struct vm_config){ .arm.sve_max_vl = 200 };
	assert_int_equal(check(&cfg), -EINVAL);
	assert_contains(captured, "multiple of 128");
	cfg = (struct vm_config){ .arm.sve_max_vl = 4096 };
	assert_int_equal(check(&cfg), -EINVAL);
}

static int plan(const char *words, struct arm_id_regs *regs, u64 *changed)
{
	struct arm_cpu_model m;
	int ret;

	assert_int_equal(parse(words, &m), 0);
	capture_begin();
	ret = arm_id_regs_plan(&m, regs, changed);
	capture_end();
	if (ret)
		assert_one_line(captured);
	return ret;
}

static void test_fields(void **state)
{
	struct arm_id_regs regs = { 0 };
	u64 changed;

	regs.writable[ISAR0] = regs.writable[PFR0] = regs.writable[MMFR0] = ~0ULL;
	regs.value[ISAR0] = 0x0000000000200020; /* lse, pmull */
	regs.value[PFR0] = 0x0000000000110011;	/* fp16 twice */
	assert_int_equal(plan("host", &regs, &changed), 0);
	assert_true(changed == 0);
	/* Nothing to do: they are as asked. */
	assert_int_equal(plan("host,+lse,+pmull,-rng", &regs, &changed), 0);
	assert_true(changed == 0);
	assert_int_equal(plan("host,-lse,-pmull,-fp16", &regs, &changed), 0);
	assert_true(changed == (BIT_ULL(ISAR0) | BIT_ULL(PFR0)));
	assert_true(regs.value[ISAR0] == 0x10);
	assert_true(regs.value[PFR0] == 0x11);
	/* A host without them. */
	assert_int_equal(plan("host,+lse", &regs, &changed), -EOPNOTSUPP);
	assert_contains(captured, "'lse' is not available on this host: bits 20 to 23 of "
				  "ID_AA64ISAR0_EL1 are 0x0");
	/* Off wins over what needs less of the field, whatever the order. */
	regs.value[ISAR0] = 0x20;
	assert_int_equal(plan("host,+aes,-pmull", &regs, &changed), 0);
	assert_true(regs.value[ISAR0] == 0x10);
	regs.value[ISAR0] = 0x20;
	assert_int_equal(plan("host,-aes,+pmull", &regs, &changed), 0);
	assert_true(regs.value[ISAR0] == 0x20);
	/* 0xf: not there. */
	regs.value[PFR0] = 0xff0000;
	assert_int_equal(plan("host,-fp16", &regs, &changed), 0);
	assert_true(changed == 0);
	assert_int_equal(plan("host,+fp16", &regs, &changed), -EOPNOTSUPP);
	/* 0 means that the granule is there. */
	assert_int_equal(plan("host,-granule-64k", &regs, &changed), 0);
	assert_true(regs.value[MMFR0] == 0xf000000);
}

static void test_fixed(void **state)
{
	struct arm_id_regs regs = { 0 };
	u64 changed;

	regs.value[ISAR0] = 0x200000;
	regs.writable[ISAR0] = ~0xf00000ULL;
	assert_int_equal(plan("host,-lse", &regs, &changed), -EOPNOTSUPP);
	assert_contains(captured, "'lse' is fixed on this host");
	/* What is so already needs no leave. */
	assert_int_equal(plan("host,+lse", &regs, &changed), 0);
}

static void test_pmuver(void **state)
{
	struct arm_id_regs regs = { 0 };
	u64 changed;

	regs.writable[DFR0] = ~0ULL;
	regs.value[DFR0] = 0x610;
	assert_int_equal(plan("host,+pmu,pmuver=v3p4", &regs, &changed), 0);
	assert_true(changed == BIT_ULL(DFR0) && regs.value[DFR0] == 0x510);
	assert_int_equal(plan("host,+pmu,pmuver=v3p7", &regs, &changed), -EOPNOTSUPP);
	assert_contains(captured, "at most version 5");
	regs.value[DFR0] = 0xf10;
	assert_int_equal(plan("host,+pmu,pmuver=v3", &regs, &changed), -EOPNOTSUPP);
}

/* Its encodings: 0 32 bits, 1 36, 2 40, 3 42, 4 44, 5 48, 6 52, 7 56. */
static void test_pa_range(void **state)
{
	assert_true(arm_limit_pa_range(0x2100022310000006, 36) == 0x2100022310000005);
	assert_true(arm_limit_pa_range(0x10f7, 48) == 0x10f5);
	/* A machine that needs them all, and hosts with no more than 48. */
	assert_true(arm_limit_pa_range(0x10f6, 49) == 0x10f6);
	for (u64 range = 0; range <= 5; range++)
		assert_true(arm_limit_pa_range(0xff0 | range, 36) == (0xff0 | range));
}

/* Set on the first vcpu for all; a KVM that refuses it is not fatal. */
static void test_pa_range_set(void **state)
{
	struct vm_config cfg = { 0 };
	struct arch_vm arch = { .ipa_bits = 40 };
	struct vm vm = { .cfg = &cfg, .arch = &arch };
	struct vcpu vcpu = { .vm = &vm, .id = 1 };

	mmfr0 = 0x10f6;
	sets = 0;
	assert_int_equal(arm_cpu_finish(&vcpu), 0);
	assert_int_equal(sets, 0);
	vcpu.id = 0;
	set_answer = -EINVAL;
	assert_int_equal(arm_cpu_finish(&vcpu), 0);
	assert_true(sets == 1 && mmfr0 == 0x10f6);
	set_answer = 0;
	assert_int_equal(arm_cpu_finish(&vcpu), 0);
	assert_true(sets == 2 && mmfr0 == 0x10f5);
	assert_int_equal(arm_cpu_finish(&vcpu), 0);
	assert_int_equal(sets, 2);
}

/* A row's field must be one that a wrong shift or level would give away. */
static void test_table(void **state)
{
	for (size_t i = 0; i < arm_nr_cpu_props; i++) {
		const struct arm_cpu_prop *p = &arm_cpu_props[i];

		if (p->kind != ARM_PROP_FIELD)
			continue;
		assert_true(p->shift % 4 == 0 && p->shift < 64);
		assert_true(p->level < 8);
		assert_string_not_equal(arm_id_reg_name(p->reg), "an ID register");
		assert_true(arm_prop_present(p, (u64)p->level << p->shift));
		assert_false(arm_prop_present(p, (u64)p->off << p->shift));
	}
	assert_true(arm_id_reg(ISAR0) == ARM64_SYS_REG(3, 0, 0, 6, 0));
}

static void test_sve(void **state)
{
	/* More than a host can have: not to be looked at. */
	u64 vls[KVM_ARM64_SVE_VLS_WORDS + 1] = { [KVM_ARM64_SVE_VLS_WORDS] = ~0ULL };
	char buf[512];

	vls[0] = 1 | 1 << 1 | 1 << 3; /* 128, 256, 512 */
	assert_string_equal(arm_sve_list(vls, buf, sizeof(buf)), "128 256 512");
	assert_int_equal(arm_sve_limit(vls, 384), -EINVAL);
	assert_int_equal(arm_sve_limit(vls, 200), -EINVAL);
	assert_int_equal(arm_sve_limit(vls, 0), -EINVAL);
	assert_int_equal(arm_sve_limit(vls, (KVM_ARM64_SVE_VLS_WORDS * 64 + 1) * 128), -EINVAL);
	assert_true(vls[0] == 0xb);
	assert_int_equal(arm_sve_limit(vls, 512), 0);
	assert_true(vls[0] == 0xb);
	assert_int_equal(arm_sve_limit(vls, 256), 0);
	assert_true(vls[0] == 3);
	for (size_t i = 0; i < ARRAY_SIZE(vls); i++)
		vls[i] = ~0ULL;
	assert_true(strlen(arm_sve_list(vls, buf, sizeof(buf))) < sizeof(buf));
}

static void put(const char *root, const char *pmu, const char *file, const char *text)
{
	char *path = xasprintf("%s/sys/bus/event_source/devices/%s/%s", root, pmu, file);
	FILE *f;

	for (char *s = strchr(path + strlen(root) + 1, '/'); s; s = strchr(s + 1, '/')) {
		*s = '\0';
		mkdir(path, 0755);
		*s = '/';
	}
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	free(path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static void test_pmu_of(void **state)
{
	char root[] = "/tmp/lkvm-test-cpu-XXXXXX";

	assert_non_null(mkdtemp(root));
	assert_int_equal(arm_pmu_of(root, "0"), -ENOENT);
	put(root, "arm_spe_0", "type", "12\n");
	put(root, "arm_spe_0", "cpumask", "0-7\n");
	put(root, "armv8_cortex_a53", "type", "8\n");
	put(root, "armv8_cortex_a53", "cpus", "0-3\n");
	put(root, "armv8_cortex_a72", "type", "9\n");
	put(root, "armv8_cortex_a72", "cpus", "4-5,7\n");
	assert_int_equal(arm_pmu_of(root, "0-3"), 8);
	assert_int_equal(arm_pmu_of(root, "5,7"), 9);
	assert_int_equal(arm_pmu_of(root, "3-4"), -ENOENT);
	assert_int_equal(arm_pmu_of(root, "6"), -ENOENT);
	assert_int_equal(arm_pmu_of(root, "x"), -EINVAL);
	put(root, "armv8_cortex_a72", "type", "many\n");
	assert_int_equal(arm_pmu_of(root, "5"), -ENOENT);
	assert_int_equal(nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_pmu_words),
		cmocka_unit_test(test_too_many_filters),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_pmuver),
		cmocka_unit_test(test_pa_range),
		cmocka_unit_test(test_pa_range_set),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_sve),
		cmocka_unit_test(test_pmu_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
