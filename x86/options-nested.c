/* SPDX-License-Identifier: MIT */
/*
 * --vmx +FEATURE,-FEATURE..., --svm the same with revision= and asids=, to what was asked of each
 * row; and what needs what. Knows no host. In every binary, as options.c is.
 */
#include "options-nested.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define ROW(name, alias, msr, bit, needs, text) { name, alias, msr, bit, needs, text },

static const struct x86_nested_feature vmx_features[] = { X86_VMX_FEATURES(ROW) };
static const struct x86_nested_feature svm_features[] = { X86_SVM_FEATURES(ROW) };

_Static_assert(ARRAY_SIZE(vmx_features) <= X86_NESTED_ROWS, "X86_NESTED_ROWS");

const struct x86_nested_table x86_vmx_table = {
	.prefix = "vmx-",
	.features = vmx_features,
	.count = ARRAY_SIZE(vmx_features),
};
const struct x86_nested_table x86_svm_table = {
	.prefix = "",
	.features = svm_features,
	.count = ARRAY_SIZE(svm_features),
};

struct parse {
	const struct x86_nested_table *table;
	const char *shown; /* the option, for messages */
	struct x86_nested_words *words;
};

/* Linux writes '_' where QEMU writes '-'. */
static bool same_name(const char *a, const char *b)
{
	for (; *a && *b; a++, b++)
		if ((*a == '_' ? '-' : *a) != (*b == '_' ? '-' : *b))
			return false;
	return *a == *b;
}

static bool is_called(const struct x86_nested_feature *f, const char *name)
{
	return same_name(f->name, name) || (*f->alias && same_name(f->alias, name));
}

const struct x86_nested_feature *x86_nested_find(const struct x86_nested_table *table,
						 const char *name)
{
	size_t prefix = strlen(table->prefix);

	for (size_t i = 0; i < table->count; i++)
		if (is_called(&table->features[i], name))
			return &table->features[i];
	if (!prefix || strlen(name) <= prefix)
		return NULL;
	for (size_t i = 0; i < prefix; i++)
		if ((name[i] == '_' ? '-' : name[i]) != table->prefix[i])
			return NULL;
	for (size_t i = 0; i < table->count; i++)
		if (is_called(&table->features[i], name + prefix))
			return &table->features[i];
	return NULL;
}

/* @word has a sign in front. */
static int unknown_feature(const struct parse *p, const char *word)
{
	const char **names = xcalloc(2 * p->table->count + 1, sizeof(names[0]));
	const char *near;
	size_t n = 0;

	for (size_t i = 0; i < p->table->count; i++) {
		names[n++] = p->table->features[i].name;
		if (*p->table->features[i].alias)
			names[n++] = p->table->features[i].alias;
	}
	near = nearest_word(word + 1, names);
	if (near)
		err("%s: unknown feature '%s'; did you mean '%c%s'?", p->shown, word, *word, near);
	else
		err("%s: unknown feature '%s'; the word help alone lists them", p->shown, word);
	free(names);
	return -EINVAL;
}

static int take_switch(const struct parse *p, const char *word)
{
	const struct x86_nested_feature *f = x86_nested_find(p->table, word + 1);
	u8 want = *word == '+' ? X86_NESTED_ON : X86_NESTED_OFF;
	u8 *now;

	if (!f)
		return unknown_feature(p, word);
	now = &p->words->want[f - p->table->features];
	if (*now != X86_NESTED_AS_HOST && *now != want) {
		err("%s: +%s and -%s: contradict each other; omit one of them", p->shown, f->name,
		    f->name);
		return -EINVAL;
	}
	*now = want;
	return 0;
}

struct number {
	const char *name; /* with the '=' */
	u32 min, max;
};

/* Given once, or again as the same. */
static int take_number(const struct parse *p, const struct number *number, const char *text,
		       bool *has, u32 *value)
{
	u64 n;

	if (parse_u64(text, &n) || n < number->min || n > number->max) {
		err("%s: %s%s: is not a number from %u to %u", p->shown, number->name, text,
		    number->min, number->max);
		return -EINVAL;
	}
	if (*has && *value != n) {
		err("%s: %s%u and %s%llu: contradict each other; omit one of them", p->shown,
		    number->name, *value, number->name, n);
		return -EINVAL;
	}
	*has = true;
	*value = (u32)n;
	return 0;
}

static int unknown_setting(const struct parse *p, const char *word)
{
	static const char *const settings[] = { "revision=", "asids=", NULL };
	int len = (int)strcspn(word, "=");
	char *key = xasprintf("%.*s=", len, word);
	const char *near = p->table == &x86_svm_table ? nearest_word(key, settings) : NULL;

	free(key);
	if (x86_nested_find(p->table, word))
		err("%s: '%s' needs a sign: +%s or -%s", p->shown, word, word, word);
	else if (near)
		err("%s: unknown setting '%.*s'; did you mean '%s'?", p->shown, len, word, near);
	else
		err("%s: '%s' is not +FEATURE or -FEATURE%s", p->shown, word,
		    p->table == &x86_svm_table ? ", revision=N or asids=N" : "");
	return -EINVAL;
}

/* AMD APM volume 3, E.4.9: EAX 7:0 and EBX. ASID 0 is the host's: one alone serves no guest. */
static int take_setting(const struct parse *p, const char *word)
{
	static const struct number revision = { "revision=", 1, 0xff };
	static const struct number asids = { "asids=", 2, UINT32_MAX };
	struct x86_nested_words *words = p->words;

	if (p->table == &x86_svm_table && !strncmp(word, "revision=", 9))
		return take_number(p, &revision, word + 9, &words->has_revision, &words->revision);
	if (p->table == &x86_svm_table && !strncmp(word, "asids=", 6))
		return take_number(p, &asids, word + 6, &words->has_asids, &words->asids);
	return unknown_setting(p, word);
}

/* What an MSR as a whole needs: the controls in it are ignored without. */
static const char *msr_needs(u32 msr)
{
	switch (msr) {
	case MSR_VMX_PROCBASED_CTLS2:
		return "secondary-ctls";
	case MSR_VMX_PROCBASED_CTLS3:
		return "tertiary-ctls";
	case MSR_VMX_EXIT_CTLS2:
		return "exit-secondary-ctls";
	case MSR_VMX_VMFUNC:
		return "vmfunc";
	default:
		return "";
	}
}

/* The first of @names whose row is off or falls; its index, or -1. */
static int lost_one(const struct x86_nested_table *table, const char *names,
		    const struct x86_nested_words *words)
{
	char name[64];

	for (size_t len; *names; names += len + (names[len] == ' ')) {
		const struct x86_nested_feature *f;

		len = strcspn(names, " ");
		snprintf(name, sizeof(name), "%.*s", (int)len, names);
		f = x86_nested_find(table, name);
		if (f && words->want[f - table->features] >= X86_NESTED_OFF)
			return (int)(f - table->features);
	}
	return -1;
}

/* What row @i needs and is lost; its index, or -1. */
static int lost_need(const struct x86_nested_table *table, size_t i,
		     const struct x86_nested_words *words)
{
	int lost = lost_one(table, msr_needs(table->features[i].msr), words);

	return lost >= 0 ? lost : lost_one(table, table->features[i].needs, words);
}

static int refuse_lost(const struct parse *p, size_t i, int lost)
{
	const struct x86_nested_feature *rows = p->table->features;
	const char *direct = rows[lost].name;

	/* To what the user wrote. */
	while (p->words->want[lost] == X86_NESTED_FALLS)
		lost = lost_need(p->table, (size_t)lost, p->words);
	err("%s: +%s needs %s, which -%s switches off; omit one of them", p->shown, rows[i].name,
	    direct, rows[lost].name);
	return -EINVAL;
}

static int let_fall(const struct parse *p)
{
	struct x86_nested_words *words = p->words;
	bool again = true;

	while (again) {
		again = false;
		for (size_t i = 0; i < p->table->count; i++) {
			int lost = lost_need(p->table, i, words);

			if (lost < 0 || words->want[i] >= X86_NESTED_OFF)
				continue;
			if (words->want[i] == X86_NESTED_ON)
				return refuse_lost(p, i, lost);
			words->want[i] = X86_NESTED_FALLS;
			again = true;
		}
	}
	return 0;
}

int x86_nested_parse(const struct x86_nested_table *table, const char *shown, const char *text,
		     struct x86_nested_words *words)
{
	const struct parse p = { .table = table, .shown = shown, .words = words };
	char *copy, *rest, *word;
	int ret = 0;

	memset(words, 0, sizeof(*words));
	if (!text)
		return 0;
	copy = rest = xstrdup(text);
	while (!ret && (word = strsep(&rest, ",")))
		ret = *word == '+' || *word == '-' ? take_switch(&p, word) : take_setting(&p, word);
	free(copy);
	return ret ? ret : let_fall(&p);
}

static void print_names(const struct x86_nested_table *table, FILE *out)
{
	for (size_t i = 0; i < table->count; i++) {
		const struct x86_nested_feature *f = &table->features[i];

		fprintf(out, "%-33s %s%s%s%s\n", f->name, f->text, *f->alias ? " (Linux: " : "",
			f->alias, *f->alias ? ")" : "");
	}
}

void x86_vmx_list(FILE *out)
{
	print_names(&x86_vmx_table, out);
}

void x86_svm_list(FILE *out)
{
	print_names(&x86_svm_table, out);
}

/* Further uses add to the first. */
static int take_words(const struct x86_nested_table *table, const char *shown, const char *arg,
		      char **member)
{
	struct x86_nested_words words;
	char *all;

	all = *member ? xasprintf("%s,%s", *member, arg) : xstrdup(arg);
	if (x86_nested_parse(table, shown, all, &words)) {
		free(all);
		return -EINVAL;
	}
	free(*member);
	*member = all;
	return 0;
}

static int vmx_parse(const char *shown, const char *arg, void *target)
{
	return take_words(&x86_vmx_table, shown, arg, &((struct vm_config *)target)->x86.vmx);
}

static int svm_parse(const char *shown, const char *arg, void *target)
{
	return take_words(&x86_svm_table, shown, arg, &((struct vm_config *)target)->x86.svm);
}

static char *vmx_text(const void *target, u32 i)
{
	const char *words = ((const struct vm_config *)target)->x86.vmx;

	return i || !words ? NULL : xstrdup(words);
}

static char *svm_text(const void *target, u32 i)
{
	const char *words = ((const struct vm_config *)target)->x86.svm;

	return i || !words ? NULL : xstrdup(words);
}

static void vmx_destroy(void *target)
{
	char **words = &((struct vm_config *)target)->x86.vmx;

	free(*words);
	*words = NULL;
}

static void svm_destroy(void *target)
{
	char **words = &((struct vm_config *)target)->x86.svm;

	free(*words);
	*words = NULL;
}

#define ITEM(name, alias, msr, bit, needs, text) "+" name, "-" name,

static const char *const vmx_items[] = { X86_VMX_FEATURES(ITEM) NULL };
static const char *const svm_items[] = { "revision=N", "asids=N", X86_SVM_FEATURES(ITEM) NULL };

const struct option_hooks x86_vmx_hooks = {
	.parse = vmx_parse,
	.text = vmx_text,
	.destroy = vmx_destroy,
	.items = vmx_items,
};
const struct option_hooks x86_svm_hooks = {
	.parse = svm_parse,
	.text = svm_text,
	.destroy = svm_destroy,
	.items = svm_items,
};
