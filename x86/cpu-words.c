/* SPDX-License-Identifier: MIT */
/* The words of --cpu for others: help for people, completion, and what the self-test is to find. */
#include <stdio.h>
#include <stdlib.h>

#include "cpu.h"
#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/util.h"

static const char *const bases[][2] = {
	{ "host", "all that KVM offers on this host" },
	{ "min", "x86-64 as it began, and what a kernel needs" },
	{ "v2", "x86-64-v2: SSE4.2, POPCNT, CMPXCHG16B" },
	{ "v3", "x86-64-v3: AVX2, BMI, FMA" },
	{ "v4", "x86-64-v4: AVX-512" },
};

/* "=NAME" of what has a value, "+NAME" of features. */
static void print_prop(const struct x86_cpu_prop *prop, FILE *out)
{
	char name[40], range[64];
	u64 most = x86_cpu_prop_max(prop);

	if (prop->flags & X86_PROP_FIXED)
		return;
	if (prop->type == X86_PROP_FLAG) {
		snprintf(name, sizeof(name), "+%s", prop->name);
		fprintf(out, "%-22s  %s\n", name, prop->help);
		return;
	}
	snprintf(name, sizeof(name), "%s=", prop->name);
	if (prop->type == X86_PROP_TEXT)
		snprintf(range, sizeof(range), "text");
	else if (prop->flags & X86_PROP_HEX)
		snprintf(range, sizeof(range), "0x%llx to 0x%llx", prop->min, most);
	else
		snprintf(range, sizeof(range), "%llu to %llu", prop->min, most);
	fprintf(out, "%-22s  %s (%s)\n", name, prop->help, range);
}

void arch_cpu_list(FILE *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
		fprintf(out, "%-22s  %s\n", bases[i][0], bases[i][1]);
	for (size_t i = 0; i < x86_nr_cpu_props; i++)
		print_prop(&x86_cpu_props[i], out);
}

const char *const *arch_cpu_words(void)
{
	static const char **words;
	size_t n = 0;

	if (words)
		return words;
	words = xcalloc(ARRAY_SIZE(bases) + 2 * x86_nr_cpu_props + 2, sizeof(words[0]));
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
		words[n++] = bases[i][0];
	words[n++] = "help";
	for (size_t i = 0; i < x86_nr_cpu_props; i++) {
		const struct x86_cpu_prop *prop = &x86_cpu_props[i];

		if (prop->flags & X86_PROP_FIXED)
			continue;
		if (prop->type != X86_PROP_FLAG) {
			words[n++] = xasprintf("%s=%s", prop->name,
					       prop->type == X86_PROP_TEXT ? "TEXT" : "N");
			continue;
		}
		words[n++] = xasprintf("+%s", prop->name);
		words[n++] = xasprintf("-%s", prop->name);
	}
	return words;
}

/* "cpuid=LEAF.INDEX.REGISTER.MASK.VALUE,..." in hexadecimal, for each register of @mask. */
static char *cpuid_word(const struct kvm_cpuid2 *mask, const struct kvm_cpuid2 *value)
{
	char *text = NULL;
	size_t len;
	const char *sep = "cpuid=";
	FILE *out = open_memstream(&text, &len);

	for (u32 i = 0; out && i < mask->nent; i++) {
		const struct kvm_cpuid_entry2 *m = &mask->entries[i], zero = { 0 }, *v = &zero;

		for (u32 k = 0; k < value->nent; k++)
			if (value->entries[k].function == m->function &&
			    value->entries[k].index == m->index)
				v = &value->entries[k];
		const u32 masks[] = { m->eax, m->ebx, m->ecx, m->edx };
		const u32 values[] = { v->eax, v->ebx, v->ecx, v->edx };
		for (u32 r = 0; r < ARRAY_SIZE(masks); r++) {
			if (!masks[r])
				continue;
			fprintf(out, "%s%x.%x.%x.%x.%x", sep, m->function, m->index, r, masks[r],
				values[r] & masks[r]);
			sep = ",";
		}
	}
	if (!out || fclose(out))
		return NULL;
	return text;
}

/* What follows from the machine, whatever the level. */
static bool is_machines(const struct x86_cpu_prop *prop)
{
	return !strcmp(prop->name, "cmp-legacy") || !strcmp(prop->name, "kvm-msi-ext-dest-id") ||
	       (prop->flags & X86_PROP_LKVMS) || !strcmp(prop->name, "tsc-deadline");
}

char *arch_selftest_words(const struct vm_config *cfg)
{
	size_t size = sizeof(struct kvm_cpuid2) + X86_CPU_SPARE * sizeof(struct kvm_cpuid_entry2);
	struct kvm_cpuid2 *mask = xcalloc(1, size), *value = xcalloc(1, size);
	struct x86_cpu_model model;
	char *text = NULL;
	bool whole;

	/* It was looked at when the configuration was completed. */
	if (x86_cpu_model_parse(cfg->x86.cpu, &model))
		goto out;
	/* What masks and last leaves take away is not worked out once more. */
	whole = model.base != X86_CPU_HOST && !x86_cpu_model_named(&model, "xcr0") &&
		!x86_cpu_model_named(&model, "xss") && !x86_cpu_model_named(&model, "level") &&
		!x86_cpu_model_named(&model, "xlevel");
	for (size_t i = 0; i < x86_nr_cpu_props; i++) {
		const struct x86_cpu_prop *prop = &x86_cpu_props[i];
		const struct x86_cpu_word *word = x86_cpu_model_word(&model, prop);
		bool level = whole && prop->type == X86_PROP_FLAG && !is_machines(prop);
		bool there =
			x86_cpu_level_has(model.base, prop) && !x86_cpu_model_off(&model, prop);

		if ((!word && !level) || prop->type == X86_PROP_TOPOLOGY)
			continue;
		x86_cpu_prop_fill(mask, prop);
		if (prop->type == X86_PROP_TEXT)
			x86_cpu_prop_set_text(value, prop, word->text);
		else
			x86_cpu_prop_set(value, prop, word ? word->value : there);
	}
	text = mask->nent ? cpuid_word(mask, value) : NULL;
out:
	x86_cpu_model_destroy(&model);
	free(mask);
	free(value);
	return text;
}
