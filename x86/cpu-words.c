/* SPDX-License-Identifier: MIT */
/* The words of --cpu for people who do not know them: help, and completion. */
#include <stdio.h>

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

bool arch_config_help(const struct vm_config *cfg, FILE *out)
{
	if (!cfg->x86.cpu || strcmp(cfg->x86.cpu, "help") != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
		fprintf(out, "%-22s  %s\n", bases[i][0], bases[i][1]);
	for (size_t i = 0; i < x86_nr_cpu_props; i++)
		print_prop(&x86_cpu_props[i], out);
	return true;
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
