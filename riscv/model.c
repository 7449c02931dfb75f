/* SPDX-License-Identifier: MIT */
/*
 * --cpu host|max|min[,WORD]...: "+ext" and "-ext" of isa.c, "mvendorid=", "marchid=", "mimpid=";
 * --sbi [host,]+ext,-ext: to what is asked of the vcpus. Knows no host.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cpu.h"
#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* By enum riscv_cpu_base. */
static const char *const bases[][2] = {
	{ "host", "all that KVM gives to guests unless asked otherwise" },
	{ "max", "the same, and what KVM gives only when asked" },
	{ "min", "RV64GC and what its interrupts need, and what KVM cannot hide" },
};

const char *const riscv_cpu_id_names[RISCV_NR_CPU_IDS] = { "mvendorid", "marchid", "mimpid" };
static const char *const id_help[RISCV_NR_CPU_IDS] = { "maker of the CPU", "its microarchitecture",
						       "its version" };

void arch_cpu_list(FILE *out)
{
	char word[40];

	for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
		fprintf(out, "%-14s  %s\n", bases[i][0], bases[i][1]);
	for (u32 i = 0; i < RISCV_NR_CPU_IDS; i++) {
		snprintf(word, sizeof(word), "%s=N", riscv_cpu_id_names[i]);
		fprintf(out, "%-14s  %s\n", word, id_help[i]);
	}
	for (u32 i = 0; i < riscv_nr_exts; i++) {
		const struct riscv_ext *ext = &riscv_exts[i];

		snprintf(word, sizeof(word), "+%s", ext->name);
		fprintf(out, "%-14s  %s%s\n", word, ext->help,
			ext->flags & RISCV_EXT_FIXED ? " (cannot be switched off)" : "");
	}
}

const char *const *arch_cpu_words(void)
{
	static const char **words;
	size_t n = 0;

	if (words)
		return words;
	words = xcalloc(ARRAY_SIZE(bases) + RISCV_NR_CPU_IDS + 2 * riscv_nr_exts + 2,
			sizeof(words[0]));
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
		words[n++] = bases[i][0];
	words[n++] = "help";
	for (u32 i = 0; i < RISCV_NR_CPU_IDS; i++)
		words[n++] = xasprintf("%s=N", riscv_cpu_id_names[i]);
	for (u32 i = 0; i < riscv_nr_exts; i++) {
		words[n++] = xasprintf("+%s", riscv_exts[i].name);
		if (!(riscv_exts[i].flags & RISCV_EXT_FIXED))
			words[n++] = xasprintf("-%s", riscv_exts[i].name);
	}
	return words;
}

char *arch_selftest_words(const struct vm_config *cfg)
{
	return NULL;
}

/* @names ends with NULL. */
static int unknown(const char *option, const char *name, const char *const *names)
{
	const char *near = nearest_word(name, names);

	if (near)
		err("%s: unknown extension '%s'; did you mean '%s'?", option, name, near);
	else
		err("%s: unknown extension '%s'; `lkvm run %s help` lists them", option, name,
		    option);
	return -EINVAL;
}

static int parse_isa_switch(struct riscv_cpu_model *model, const char *word)
{
	const struct riscv_ext *ext = riscv_ext_named(word + 1);
	const char *names[RISCV_MAX_EXTS + 1];
	u32 n;

	if (ext) {
		model->isa[ext->id] = *word == '+' ? RISCV_ON : RISCV_OFF;
		return 0;
	}
	for (n = 0; n < riscv_nr_exts; n++)
		names[n] = riscv_exts[n].name;
	names[n] = NULL;
	return unknown("--cpu", word + 1, names);
}

/* "marchid=0x10" */
static int parse_id(struct riscv_cpu_model *model, const char *word)
{
	size_t len = strcspn(word, "=");
	u64 value;

	for (u32 i = 0; i < RISCV_NR_CPU_IDS; i++) {
		if (strlen(riscv_cpu_id_names[i]) != len ||
		    strncmp(riscv_cpu_id_names[i], word, len) != 0)
			continue;
		if (word[len] != '=' || parse_u64(word + len + 1, &value)) {
			err("--cpu: '%s': must be %s=N with a number like 0x1f", word,
			    riscv_cpu_id_names[i]);
			return -EINVAL;
		}
		model->has_id[i] = true;
		model->id[i] = value;
		return 0;
	}
	err("--cpu: '%s' is not a setting; write +EXTENSION, -EXTENSION, mvendorid=N, marchid=N or "
	    "mimpid=N",
	    word);
	return -EINVAL;
}

static int parse_cpu(struct riscv_cpu_model *model, const char *text)
{
	char *copy = xstrdup(text), *rest = copy, *word = strsep(&rest, ",");
	int ret = -EINVAL;

	for (size_t i = 0; i < ARRAY_SIZE(bases) && ret; i++) {
		if (strcmp(word, bases[i][0]) != 0)
			continue;
		model->base = (enum riscv_cpu_base)i;
		ret = 0;
	}
	if (ret)
		err("--cpu: must begin with 'host', 'max' or 'min', not '%s'", word);
	while (!ret && rest) {
		word = strsep(&rest, ",");
		ret = *word == '+' || *word == '-' ? parse_isa_switch(model, word)
						   : parse_id(model, word);
	}
	free(copy);
	return ret;
}

static int parse_sbi_switch(struct riscv_cpu_model *model, const char *word)
{
	if (*word != '+' && *word != '-') {
		err("--sbi: '%s' must be +EXTENSION or -EXTENSION", word);
		return -EINVAL;
	}
	for (u32 i = 0; i < RISCV_NR_SBI_EXTS; i++) {
		if (strcmp(riscv_sbi_names[i], word + 1) != 0)
			continue;
		model->sbi[i] = *word == '+' ? RISCV_ON : RISCV_OFF;
		return 0;
	}
	return unknown("--sbi", word + 1, riscv_sbi_names);
}

/* "host" may stand in front, as in --cpu: the first word needs no "=" before it then. */
static int parse_sbi(struct riscv_cpu_model *model, const char *text)
{
	char *copy = xstrdup(text), *rest = copy;
	int ret = 0;

	if (!strncmp(rest, "host", 4) && (!rest[4] || rest[4] == ','))
		rest = rest[4] ? rest + 5 : NULL;
	while (!ret && rest)
		ret = parse_sbi_switch(model, strsep(&rest, ","));
	free(copy);
	return ret;
}

const struct riscv_ext *riscv_cpu_model_lacks(const struct riscv_cpu_model *model,
					      const struct riscv_ext *ext)
{
	u32 depth = 0;

	/* Rows need rows before them: the way is short, and it ends. */
	while (ext->needs != RISCV_NO_EXT && depth++ < riscv_nr_exts) {
		ext = riscv_ext_of(ext->needs);
		if (model->isa[ext->id] == RISCV_OFF)
			return ext;
	}
	return NULL;
}

static int check_needs(const struct riscv_cpu_model *model)
{
	for (u32 i = 0; i < riscv_nr_exts; i++) {
		const struct riscv_ext *ext = &riscv_exts[i], *lacks;

		if (model->isa[ext->id] != RISCV_ON)
			continue;
		lacks = riscv_cpu_model_lacks(model, ext);
		if (lacks) {
			err("--cpu: '%s' needs '%s'; omit +%s or -%s", ext->name, lacks->name,
			    ext->name, lacks->name);
			return -EINVAL;
		}
	}
	return 0;
}

int riscv_cpu_model_parse(const struct vm_config *cfg, struct riscv_cpu_model *model)
{
	int ret = 0;

	memset(model, 0, sizeof(*model));
	if (cfg->riscv.cpu)
		ret = parse_cpu(model, cfg->riscv.cpu);
	if (!ret && cfg->riscv.sbi)
		ret = parse_sbi(model, cfg->riscv.sbi);
	if (ret)
		return ret;
	if (cfg->riscv.nested && model->isa[RISCV_EXT_H] == RISCV_OFF) {
		err("--nested and --cpu: contradict each other; omit -h or --nested");
		return -EINVAL;
	}
	if (cfg->riscv.nested)
		model->isa[RISCV_EXT_H] = RISCV_ON;
	if (cfg->riscv.irqchip == RISCV_IRQCHIP_AIA && model->isa[RISCV_EXT_SSAIA] == RISCV_OFF) {
		err("--cpu and --irqchip aia: the AIA needs 'ssaia'; omit -ssaia, or use --irqchip "
		    "plic");
		return -EINVAL;
	}
	return check_needs(model);
}
