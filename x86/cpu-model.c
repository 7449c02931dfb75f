/* SPDX-License-Identifier: MIT */
/*
 * --cpu BASE[,+FEATURE][,-FEATURE][,PROPERTY=VALUE]... to what was asked of the vcpus, and what of
 * that contradicts itself. Knows no host: what a host lacks, cpu-apply.c says.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

void x86_cpu_model_destroy(struct x86_cpu_model *model)
{
	free(model->words);
	memset(model, 0, sizeof(*model));
}

bool x86_cpu_model_is_plain(const struct x86_cpu_model *model)
{
	return model->base == X86_CPU_HOST && !model->nr_words;
}

const struct x86_cpu_word *x86_cpu_model_word(const struct x86_cpu_model *model,
					      const struct x86_cpu_prop *prop)
{
	for (u32 i = 0; i < model->nr_words; i++)
		if (model->words[i].prop == prop)
			return &model->words[i];
	return NULL;
}

const struct x86_cpu_word *x86_cpu_model_named(const struct x86_cpu_model *model, const char *name)
{
	return x86_cpu_model_word(model, x86_cpu_prop_find(name, strlen(name)));
}

/* @is_flag: of the features, else of the properties. */
static int unknown(const char *name, bool is_flag)
{
	const char **names = xcalloc(x86_nr_cpu_props + 1, sizeof(names[0]));
	const char *kind = is_flag ? "feature" : "property", *near;
	size_t n = 0;

	for (size_t i = 0; i < x86_nr_cpu_props; i++)
		if ((x86_cpu_props[i].type == X86_PROP_FLAG) == is_flag)
			names[n++] = x86_cpu_props[i].name;
	near = nearest_word(name, names);
	if (near)
		err("--cpu: unknown %s '%s'; did you mean '%s'?", kind, name, near);
	else
		err("--cpu: unknown %s '%s'; `lkvm run --cpu help` lists them", kind, name);
	free(names);
	return -EINVAL;
}

static int parse_switch(const char *word, struct x86_cpu_word *out)
{
	const char *name = word + 1;
	const struct x86_cpu_prop *prop = x86_cpu_prop_find(name, strlen(name));

	if (!prop)
		return unknown(name, true);
	if (prop->type != X86_PROP_FLAG) {
		err("--cpu: '%s' is not a feature but has a value: write %s=VALUE", word,
		    prop->name);
		return -EINVAL;
	}
	out->prop = prop;
	out->value = *word == '+';
	return 0;
}

static int parse_text(const char *value, struct x86_cpu_word *out)
{
	const struct x86_cpu_prop *prop = out->prop;
	/* The name of a model has its end in the leaves, too. */
	size_t len = strlen(value), most = MIN(prop->width, X86_CPU_TEXT_MAX - 1);
	size_t least = prop->leaf ? 0 : most; /* vendors have all twelve */

	for (const char *c = value; *c; c++)
		if ((u8)*c < 0x20 || (u8)*c > 0x7e)
			len = ~0UL;
	if (len < least || len > most) {
		err("--cpu: %s=%s: must be %s%zu printable characters", prop->name, value,
		    least ? "" : "at most ", most);
		return -EINVAL;
	}
	memcpy(out->text, value, len + 1);
	return 0;
}

static int parse_number(const char *value, struct x86_cpu_word *out)
{
	const struct x86_cpu_prop *prop = out->prop;
	u64 most = x86_cpu_prop_max(prop);

	if (!parse_u64(value, &out->value) && out->value >= prop->min && out->value <= most)
		return 0;
	if (prop->type == X86_PROP_WIDE)
		err("--cpu: %s=%s: is not a number of 64 bits", prop->name, value);
	else if (prop->flags & X86_PROP_HEX)
		err("--cpu: %s=%s: is not a number from 0x%llx to 0x%llx", prop->name, value,
		    prop->min, most);
	else
		err("--cpu: %s=%s: is not a number from %llu to %llu", prop->name, value, prop->min,
		    most);
	return -EINVAL;
}

/* @name: the word itself, cut at its '='. */
static int parse_property(char *name, struct x86_cpu_word *out)
{
	char *value = strchr(name, '=');
	const struct x86_cpu_prop *prop;

	if (value)
		*value++ = '\0';
	prop = x86_cpu_prop_find(name, strlen(name));
	if (!prop && !value) {
		err("--cpu: '%s' is neither +FEATURE nor -FEATURE nor PROPERTY=VALUE", name);
		return -EINVAL;
	}
	if (!prop)
		return unknown(name, false);
	if (prop->type == X86_PROP_FLAG) {
		err("--cpu: %s is a feature: write +%s or -%s", prop->name, prop->name, prop->name);
		return -EINVAL;
	}
	if (prop->flags & X86_PROP_FIXED) {
		err("--cpu: %s: is the host's and cannot be set; omit it", prop->name);
		return -EINVAL;
	}
	if (!value || !*value) {
		err("--cpu: %s: has no value; write %s=VALUE", prop->name, prop->name);
		return -EINVAL;
	}
	out->prop = prop;
	return prop->type == X86_PROP_TEXT ? parse_text(value, out) : parse_number(value, out);
}

static int add_word(struct x86_cpu_model *model, const struct x86_cpu_word *word)
{
	const char *name = word->prop->name;
	const struct x86_cpu_word *other = x86_cpu_model_word(model, word->prop);

	if (other && word->prop->type == X86_PROP_FLAG && other->value != word->value)
		err("--cpu: +%s and -%s contradict each other; omit one of them", name, name);
	else if (other)
		err("--cpu: %s is given twice; omit one of them", name);
	if (other)
		return -EINVAL;
	model->words = xrealloc(model->words, (model->nr_words + 1) * sizeof(*word));
	model->words[model->nr_words++] = *word;
	return 0;
}

static int parse_base(const char *word, struct x86_cpu_model *model)
{
	const char *near;

	for (u32 i = 0; x86_cpu_base_names[i]; i++) {
		if (!strcmp(word, x86_cpu_base_names[i])) {
			model->base = i;
			return 0;
		}
	}
	near = nearest_word(word, x86_cpu_base_names);
	err("--cpu: must begin with host, min, v2, v3 or v4, not '%s'%s%s%s", word,
	    near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
	return -EINVAL;
}

/* What the words say against each other */

const struct x86_cpu_word *x86_cpu_model_off(const struct x86_cpu_model *model,
					     const struct x86_cpu_prop *prop)
{
	const struct x86_cpu_word *word = x86_cpu_model_word(model, prop);
	const struct x86_cpu_prop *need;

	if (word)
		return word->value ? NULL : word;
	word = NULL;
	for (u32 i = 0; !word && (need = x86_cpu_need(prop, i)); i++)
		word = x86_cpu_model_off(model, need);
	return word;
}

#define MAX_NEEDS 16 /* avx512-fp16 has 11 */

/* Add the needs of @prop that neither the level nor a word has to @list, @n long; how long it is.
 */
static u32 missing_needs(const struct x86_cpu_model *model, const struct x86_cpu_prop *prop,
			 const struct x86_cpu_prop **list, u32 n)
{
	const struct x86_cpu_prop *need;

	for (u32 i = 0; (need = x86_cpu_need(prop, i)); i++) {
		bool there =
			x86_cpu_level_has(model->base, need) || x86_cpu_model_word(model, need);

		for (u32 k = 0; k < n && !there; k++)
			there = list[k] == need;
		if (there)
			continue;
		n = missing_needs(model, need, list, n);
		if (n < MAX_NEEDS)
			list[n++] = need;
	}
	return n;
}

static int check_needs(const struct x86_cpu_model *model, const struct x86_cpu_prop *prop)
{
	const struct x86_cpu_prop *list[MAX_NEEDS];
	u32 n = missing_needs(model, prop, list, 0);
	char text[MAX_NEEDS * 24] = "";
	size_t len = 0;

	if (!n)
		return 0;
	for (u32 i = 0; i < n; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "%s+%s", i ? "," : "",
					list[i]->name);
	err("--cpu %s: +%s needs what that CPU does not have: add %s",
	    x86_cpu_base_names[model->base], prop->name, text);
	return -EINVAL;
}

/* Do the masks and last leaves that were asked for leave room for @prop and all that it needs? */
static int check_room(const struct x86_cpu_model *model, const struct x86_cpu_prop *asked,
		      const struct x86_cpu_prop *prop)
{
	const struct x86_cpu_word *level, *mask;
	const struct x86_cpu_prop *need;
	bool xss;
	u64 parts = x86_cpu_components(prop, &xss);
	int ret = 0;

	mask = x86_cpu_model_named(model, xss ? "xss" : "xcr0");
	if (mask && (mask->value & parts) != parts) {
		err("--cpu: +%s needs components 0x%llx, which %s=0x%llx does not have",
		    asked->name, parts, mask->prop->name, mask->value);
		return -EINVAL;
	}
	level = x86_cpu_model_named(model, x86_cpu_level_name(prop));
	if (level && prop->leaf > level->value) {
		err("--cpu: +%s needs leaf 0x%x, and %s=0x%llx ends before it", asked->name,
		    prop->leaf, level->prop->name, level->value);
		return -EINVAL;
	}
	for (u32 i = 0; !ret && (need = x86_cpu_need(prop, i)); i++)
		ret = check_room(model, asked, need);
	return ret;
}

static int check_feature(const struct x86_cpu_model *model, const struct x86_cpu_prop *prop)
{
	const struct x86_cpu_word *off = NULL;
	const struct x86_cpu_prop *need;

	for (u32 i = 0; !off && (need = x86_cpu_need(prop, i)); i++)
		off = x86_cpu_model_off(model, need);
	if (off) {
		err("--cpu: +%s needs %s; omit -%s", prop->name, off->prop->name, off->prop->name);
		return -EINVAL;
	}
	if (model->base != X86_CPU_HOST && check_needs(model, prop))
		return -EINVAL;
	return check_room(model, prop, prop);
}

/* XCR0's rules (Intel SDM volume 1, 13.3): all of @bits or none; with them, @needs. */
static const struct {
	u64 bits, needs;
	const char *what;
} xcr0_rules[] = {
	{ BIT(2), BIT(1), "component 2 (AVX) needs component 1 (SSE)" },
	{ BIT(3) | BIT(4), 0, "components 3 and 4 (MPX) go together" },
	{ 7U << 5, BIT(2), "components 5 to 7 (AVX-512) go together, with component 2 (AVX)" },
	{ BIT(17) | BIT(18), 0, "components 17 and 18 (AMX) go together" },
};

static int check_masks(const struct x86_cpu_model *model)
{
	const struct x86_cpu_word *xcr0 = x86_cpu_model_named(model, "xcr0");
	const char *what = NULL;

	if (!xcr0)
		return 0;
	if (!(xcr0->value & 1))
		what = "component 0 (x87) cannot be omitted";
	for (size_t i = 0; i < ARRAY_SIZE(xcr0_rules) && !what; i++) {
		u64 have = xcr0->value & xcr0_rules[i].bits;

		if (have && (have != xcr0_rules[i].bits ||
			     (xcr0->value & xcr0_rules[i].needs) != xcr0_rules[i].needs))
			what = xcr0_rules[i].what;
	}
	if (!what)
		return 0;
	err("--cpu: xcr0=0x%llx: %s", xcr0->value, what);
	return -EINVAL;
}

/* A model of more than four bits is for families 6 and 0xf up. */
static int check_signature(const struct x86_cpu_model *model)
{
	const struct x86_cpu_word *family = x86_cpu_model_named(model, "family");
	const struct x86_cpu_word *number = x86_cpu_model_named(model, "model");

	if (!family || !number || family->value == 6 || family->value >= 0xf || number->value < 16)
		return 0;
	err("--cpu: model=%llu: is not a number from 0 to 15, which family %llu has", number->value,
	    family->value);
	return -EINVAL;
}

static int check(const struct x86_cpu_model *model)
{
	int ret = check_masks(model);

	if (!ret)
		ret = check_signature(model);
	for (u32 i = 0; i < model->nr_words && !ret; i++)
		if (model->words[i].prop->type == X86_PROP_FLAG && model->words[i].value)
			ret = check_feature(model, model->words[i].prop);
	return ret;
}

int x86_cpu_model_parse(const char *text, struct x86_cpu_model *model)
{
	char *copy, *rest, *word;
	int ret;

	memset(model, 0, sizeof(*model));
	if (!text)
		return 0;
	rest = copy = xstrdup(text);
	ret = parse_base(strsep(&rest, ","), model);
	while (!ret && (word = strsep(&rest, ","))) {
		struct x86_cpu_word out = { 0 };

		ret = *word == '+' || *word == '-' ? parse_switch(word, &out)
						   : parse_property(word, &out);
		if (!ret)
			ret = add_word(model, &out);
	}
	free(copy);
	return ret ? ret : check(model);
}
