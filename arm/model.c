/* SPDX-License-Identifier: MIT */
/*
 * --cpu host[,WORD]...: "+feature" and "-feature", "pmuver=", "counters=", "pmu-allow=" and
 * "pmu-deny=" (Linux Documentation/virt/kvm/devices/vcpu.rst, 1.3), to what was asked of the
 * vcpus. Knows no host.
 */
#include <stdio.h>
#include <stdlib.h>

#include "arm.h"
#include "cpu.h"
#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* ID_AA64DFR0_EL1.PMUVer. */
static const struct {
	const char *name;
	u8 value;
} pmu_versions[] = {
	{ "v3", 1 },   { "v3p1", 4 }, { "v3p4", 5 }, { "v3p5", 6 },
	{ "v3p7", 7 }, { "v3p8", 8 }, { "v3p9", 9 },
};

/* As completion has them, and what they are. */
static const char *const setting_help[][2] = {
	{ "pmuver=v3|v3p1|v3p4|v3p5|v3p7|v3p8|v3p9", "version of the performance counters" },
	{ "counters=N", "event counters, 0 to 31" },
	{ "pmu-allow=EVENTS", "only these events are counted: 0x11, 0x10-0x1f" },
	{ "pmu-deny=EVENTS", "these events are not counted" },
};

/* Two rows of one name are one feature. */
static bool is_first(size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (!strcmp(arm_cpu_props[k].name, arm_cpu_props[i].name))
			return false;
	return true;
}

void arch_cpu_list(FILE *out)
{
	fprintf(out, "%-22s  %s\n", "host", "all that KVM offers on this host");
	for (size_t i = 0; i < ARRAY_SIZE(setting_help); i++)
		fprintf(out, "%-22s  %s\n", setting_help[i][0], setting_help[i][1]);
	for (size_t i = 0; i < arm_nr_cpu_props; i++) {
		const struct arm_cpu_prop *prop = &arm_cpu_props[i];
		char name[40];

		if (!is_first(i))
			continue;
		snprintf(name, sizeof(name), "+%s", prop->name);
		if (prop->kind == ARM_PROP_FIELD)
			fprintf(out, "%-22s  %s bits %u to %u\n", name, arm_id_reg_name(prop->reg),
				prop->shift, prop->shift + 3);
		else
			fprintf(out, "%-22s  by a switch of KVM's\n", name);
	}
}

const char *const *arch_cpu_words(void)
{
	static const char **words;
	size_t n = 0;

	if (words)
		return words;
	words = xcalloc(2 * arm_nr_cpu_props + ARRAY_SIZE(setting_help) + 3, sizeof(words[0]));
	words[n++] = "host";
	words[n++] = "help";
	for (size_t i = 0; i < ARRAY_SIZE(setting_help); i++)
		words[n++] = setting_help[i][0];
	for (size_t i = 0; i < arm_nr_cpu_props; i++) {
		if (!is_first(i))
			continue;
		words[n++] = xasprintf("+%s", arm_cpu_props[i].name);
		words[n++] = xasprintf("-%s", arm_cpu_props[i].name);
	}
	return words;
}

char *arch_selftest_words(const struct vm_config *cfg)
{
	return NULL;
}

static int unknown_feature(const char *name)
{
	const char **names = xcalloc(arm_nr_cpu_props + 1, sizeof(names[0]));
	const char *near;

	for (size_t i = 0; i < arm_nr_cpu_props; i++)
		names[i] = arm_cpu_props[i].name;
	near = nearest_word(name, names);
	if (near)
		err("--cpu: unknown feature '%s'; did you mean '%s'?", name, near);
	else
		err("--cpu: unknown feature '%s'; `lkvm run --cpu help` lists them", name);
	free(names);
	return -EINVAL;
}

static int parse_switch(struct arm_cpu_model *model, const char *word)
{
	bool found = false;

	for (size_t i = 0; i < arm_nr_cpu_props; i++) {
		if (strcmp(arm_cpu_props[i].name, word + 1) != 0)
			continue;
		model->want[i] = *word == '+' ? ARM_ON : ARM_OFF;
		found = true;
	}
	return found ? 0 : unknown_feature(word + 1);
}

static int parse_pmuver(struct arm_cpu_model *model, const char *value)
{
	for (size_t i = 0; i < ARRAY_SIZE(pmu_versions); i++) {
		if (!strcmp(pmu_versions[i].name, value)) {
			model->pmuver = pmu_versions[i].value;
			return 0;
		}
	}
	err("--cpu: pmuver=%s: is not one of v3, v3p1, v3p4, v3p5, v3p7, v3p8, v3p9", value);
	return -EINVAL;
}

/* Arm ARM, D13.11.2: PMCR_EL0.N is at most 31. */
static int parse_counters(struct arm_cpu_model *model, const char *value)
{
	u64 n;

	if (parse_u64(value, &n) || n > 31) {
		err("--cpu: counters=%s: is not a number from 0 to 31", value);
		return -EINVAL;
	}
	model->has_counters = true;
	model->counters = (u32)n;
	return 0;
}

/* "0x11", "0x10-0x1f" */
static int parse_filter(struct arm_cpu_model *model, const char *value, u8 action)
{
	struct kvm_pmu_event_filter *filter = &model->filters[model->nr_filters];
	char *first = xstrdup(value), *last = strchr(first, '-');
	u64 from = 0, to = 0;
	int ret;

	if (last)
		*last++ = '\0';
	ret = parse_u64(first, &from);
	if (!ret)
		ret = last ? parse_u64(last, &to) : parse_u64(first, &to);
	free(first);
	/* nevents is a u16. */
	if (ret || from > to || to > 0xffff || to - from > 0xfffe) {
		err("--cpu: '%s' is not an event or a range of events like 0x11 or 0x10-0x1f",
		    value);
		return -EINVAL;
	}
	if (model->nr_filters == ARM_MAX_PMU_FILTERS) {
		err("--cpu: has too many event filters; the maximum is %u", ARM_MAX_PMU_FILTERS);
		return -EINVAL;
	}
	filter->base_event = (u16)from;
	filter->nevents = (u16)(to - from + 1);
	filter->action = action;
	model->nr_filters++;
	return 0;
}

static int parse_setting(struct arm_cpu_model *model, const char *word)
{
	static const char *const names[] = { "pmuver", "counters", "pmu-allow", "pmu-deny", NULL };
	const char *value = strchr(word, '=');
	char *name;
	const char *near;

	if (!value) {
		err("--cpu: '%s' is not a setting; write +FEATURE or -FEATURE", word);
		return -EINVAL;
	}
	value++;
	if (!strncmp(word, "pmuver=", 7))
		return parse_pmuver(model, value);
	if (!strncmp(word, "counters=", 9))
		return parse_counters(model, value);
	if (!strncmp(word, "pmu-allow=", 10))
		return parse_filter(model, value, KVM_PMU_EVENT_ALLOW);
	if (!strncmp(word, "pmu-deny=", 9))
		return parse_filter(model, value, KVM_PMU_EVENT_DENY);
	name = xasprintf("%.*s", (int)(value - word - 1), word);
	near = nearest_word(name, names);
	err("--cpu: unknown setting '%s'%s%s%s", name, near ? "; did you mean '" : "",
	    near ? near : "", near ? "'?" : "");
	free(name);
	return -EINVAL;
}

static int parse_words(struct arm_cpu_model *model, const char *text)
{
	char *copy = xstrdup(text), *rest = copy, *word = strsep(&rest, ",");
	int ret = 0;

	if (strcmp(word, "host") != 0) {
		err("--cpu: must begin with 'host', not '%s': KVM has no other CPU model", word);
		ret = -EINVAL;
	}
	while (!ret && (word = strsep(&rest, ",")))
		ret = *word == '+' || *word == '-' ? parse_switch(model, word)
						   : parse_setting(model, word);
	free(copy);
	return ret;
}

static void set(struct arm_cpu_model *model, enum arm_prop_kind kind, enum arm_switch value)
{
	for (size_t i = 0; i < arm_nr_cpu_props; i++)
		if (arm_cpu_props[i].kind == kind)
			model->want[i] = value;
}

enum arm_switch arm_cpu_model_want(const struct arm_cpu_model *model, enum arm_prop_kind kind)
{
	for (size_t i = 0; i < arm_nr_cpu_props; i++)
		if (arm_cpu_props[i].kind == kind)
			return model->want[i];
	return ARM_AS_HOST;
}

/* An option that means the same as a word of --cpu must not contradict it. */
static int option(struct arm_cpu_model *model, enum arm_prop_kind kind, enum arm_switch value,
		  const char *name)
{
	enum arm_switch want = arm_cpu_model_want(model, kind);

	if (want != ARM_AS_HOST && want != value) {
		err("%s and --cpu: contradict each other; omit one of them", name);
		return -EINVAL;
	}
	set(model, kind, value);
	return 0;
}

static int counters_option(struct arm_cpu_model *model, u32 counters)
{
	if (model->has_counters && model->counters != counters) {
		err("--pmu-counters and --cpu: contradict each other; omit one of them");
		return -EINVAL;
	}
	model->has_counters = true;
	model->counters = counters;
	return 0;
}

int arm_cpu_model_parse(const struct vm_config *cfg, struct arm_cpu_model *model)
{
	int ret = 0;

	memset(model, 0, sizeof(*model));
	if (cfg->arm.cpu)
		ret = parse_words(model, cfg->arm.cpu);
	if (!ret && cfg->arm.pmu)
		ret = option(model, ARM_PROP_PMU, ARM_ON, "--pmu");
	if (!ret && cfg->arm.disable_mte)
		ret = option(model, ARM_PROP_MTE, ARM_OFF, "--disable-mte");
	if (!ret && cfg->arm.disable_sve)
		ret = option(model, ARM_PROP_SVE, ARM_OFF, "--disable-sve");
	if (!ret && cfg->arm.sve_max_vl && cfg->arm.disable_sve) {
		err("--disable-sve and --sve-max-vl: contradict each other; omit one of them");
		ret = -EINVAL;
	}
	if (!ret && cfg->arm.sve_max_vl)
		ret = option(model, ARM_PROP_SVE, ARM_ON, "--sve-max-vl");
	if (!ret && cfg->arm.has_pmu_counters)
		ret = counters_option(model, cfg->arm.pmu_counters);
	if (ret)
		return ret;
	if ((model->pmuver || model->has_counters || model->nr_filters) &&
	    arm_cpu_model_want(model, ARM_PROP_PMU) != ARM_ON) {
		if (cfg->arm.has_pmu_counters)
			err("--pmu-counters: needs a PMU: add --pmu");
		else
			err("--cpu: pmuver, counters, pmu-allow and pmu-deny need a PMU: add +pmu");
		return -EINVAL;
	}
	return 0;
}

const char *arm_cpu_model_beyond(const struct arm_cpu_model *model, u32 kinds, char *buf,
				 size_t len)
{
	for (size_t i = 0; i < arm_nr_cpu_props; i++) {
		const struct arm_cpu_prop *prop = &arm_cpu_props[i];
		bool ok = kinds & BIT(prop->kind) ||
			  (prop->kind != ARM_PROP_FIELD && model->want[i] == ARM_OFF);

		if (model->want[i] == ARM_AS_HOST || ok)
			continue;
		snprintf(buf, len, "%c%s", model->want[i] == ARM_ON ? '+' : '-', prop->name);
		return buf;
	}
	return NULL;
}
