/* SPDX-License-Identifier: MIT */
/*
 * --cpu on this host: what it asks for out of what KVM offers. What KVM lacks is refused, with the
 * reason that `lkvm host` gives; what cannot be there without something that is switched off goes
 * with it, and is said.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cpu.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "platform.h"

/* What is done to a list of leaves. */
struct change {
	const struct x86_cpu_model *model;
	const struct kvm_cpuid2 *supported;
	bool tsc_deadline;
	struct kvm_cpuid2 *cpuid;
	bool *removed; /* for each row of the table */
};

/* Names in a message: "a, b and c". */
struct names {
	const struct x86_cpu_prop *first;
	char text[1024];
	size_t len;
	u32 n;
};

static void add_name(struct names *names, const struct x86_cpu_prop *prop)
{
	int len = snprintf(names->text + names->len, sizeof(names->text) - names->len, "%s%s",
			   names->n ? ", " : "", prop->name);

	names->len = MIN(names->len + (size_t)len, sizeof(names->text) - 1);
	if (!names->n++)
		names->first = prop;
}

static bool is_offered(const struct change *c, const struct x86_cpu_prop *prop)
{
	/* It is for who makes the local APIC, and told by a capability. */
	if (!strcmp(prop->name, "tsc-deadline"))
		return c->tsc_deadline;
	return (prop->flags & X86_PROP_LKVMS) || x86_cpu_prop_get(c->supported, prop);
}

/* Every feature that the level or a word asks for. */
static int check_features(const struct change *c)
{
	const char *base = x86_cpu_base_names[c->model->base];
	struct names names = { .n = 0 };
	struct kvm_cpuid2 *hardware;

	for (size_t i = 0; i < x86_nr_cpu_props; i++) {
		const struct x86_cpu_prop *prop = &x86_cpu_props[i];
		const struct x86_cpu_word *word = x86_cpu_model_word(c->model, prop);
		bool wanted = word ? word->value : x86_cpu_level_has(c->model->base, prop);

		if (prop->type == X86_PROP_FLAG && wanted && !is_offered(c, prop))
			add_name(&names, prop);
	}
	if (!names.n)
		return 0;
	hardware = x86_cpu_hardware();
	if (names.n == 1)
		err("--cpu %s: this host has no %s for guests: %s", base, names.text,
		    x86_cpu_missing(names.first, hardware));
	else
		err("--cpu %s: this host has none of these for guests: %s; %s: %s", base,
		    names.text, names.first->name, x86_cpu_missing(names.first, hardware));
	free(hardware);
	return -ENOTSUP;
}

static int check_value(const struct change *c, const struct x86_cpu_word *word)
{
	const struct x86_cpu_prop *prop = word->prop;
	u64 most = x86_cpu_prop_get(c->supported, prop);

	if (!(prop->flags & X86_PROP_AT_MOST))
		return 0;
	/* 0: as many as the others. */
	if (!strcmp(prop->name, "guest-phys-bits") && !most)
		most = x86_cpu_prop_get(c->supported, x86_cpu_prop_find("phys-bits", 9));
	if (prop->type == X86_PROP_WIDE && (word->value & ~most)) {
		err("--cpu: %s=0x%llx: this host's KVM offers a guest only 0x%llx", prop->name,
		    word->value, most);
		return -ENOTSUP;
	}
	if (prop->type != X86_PROP_WIDE && word->value > most) {
		err("--cpu: %s=%llu: this host's KVM offers a guest at most %llu", prop->name,
		    word->value, most);
		return -ENOTSUP;
	}
	return 0;
}

/* The host's family with a model of more than four bits, which the parser could not see. */
static int check_signature(const struct change *c)
{
	const struct x86_cpu_word *model = x86_cpu_model_named(c->model, "model");
	u64 family;

	if (!model || x86_cpu_prop_get(c->cpuid, model->prop) == model->value)
		return 0;
	family = x86_cpu_prop_get(c->cpuid, x86_cpu_prop_find("family", 6));
	err("--cpu: model=%llu: this CPU is of family %llu, which has models 0 to 15; add family=6",
	    model->value, family);
	return -ENOTSUP;
}

/* Does a mask or a last leaf that was asked for leave no room for @prop? */
static bool is_cut(const struct change *c, const struct x86_cpu_prop *prop)
{
	bool xss;
	u64 parts = x86_cpu_components(prop, &xss);
	const struct x86_cpu_word *mask = x86_cpu_model_named(c->model, xss ? "xss" : "xcr0");
	const struct x86_cpu_word *level = x86_cpu_model_named(c->model, x86_cpu_level_name(prop));

	return (mask && (mask->value & parts) != parts) || (level && prop->leaf > level->value);
}

static bool lacks_need(const struct change *c, const struct x86_cpu_prop *prop)
{
	const struct x86_cpu_prop *need;

	for (u32 i = 0; (need = x86_cpu_need(prop, i)); i++)
		if (c->removed[x86_cpu_prop_number(need)])
			return true;
	return false;
}

/* What is switched off, and what goes with it. */
static void find_removed(struct change *c)
{
	struct names names = { .n = 0 };
	bool more = true;

	for (size_t i = 0; i < x86_nr_cpu_props; i++) {
		const struct x86_cpu_word *word = x86_cpu_model_word(c->model, &x86_cpu_props[i]);

		c->removed[i] = x86_cpu_props[i].type == X86_PROP_FLAG && word && !word->value;
	}
	while (more) {
		more = false;
		for (size_t i = 0; i < x86_nr_cpu_props; i++) {
			const struct x86_cpu_prop *prop = &x86_cpu_props[i];

			if (c->removed[i] || prop->type != X86_PROP_FLAG ||
			    !x86_cpu_prop_get(c->cpuid, prop) ||
			    !(lacks_need(c, prop) || is_cut(c, prop)))
				continue;
			c->removed[i] = more = true;
			add_name(&names, prop);
		}
	}
	if (names.n)
		warn("--cpu: the guest does without %s, too: they need what is switched off",
		     names.text);
}

/* Leaves that say more about one feature. */
static const struct {
	const char *feature;
	u32 leaf;
} leaves[] = {
	{ "monitor", 5 },     { "xsave", 0xd },	    { "sgx", 0x12 },
	{ "intel-pt", 0x14 }, { "arch-lbr", 0x1c }, { "amx-tile", 0x1d },
	{ "amx-tile", 0x1e }, { "avx10", 0x24 },    { "svm", 0x8000000a },
};

static void remove_leaf(struct kvm_cpuid2 *cpuid, u32 function)
{
	u32 n = 0;

	for (u32 i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function != function)
			cpuid->entries[n++] = cpuid->entries[i];
	cpuid->nent = n;
}

static void remove_features(struct change *c)
{
	const struct x86_cpu_word *pmu = x86_cpu_model_named(c->model, "pmu-version");

	for (size_t i = 0; i < x86_nr_cpu_props; i++)
		if (c->removed[i])
			x86_cpu_prop_set(c->cpuid, &x86_cpu_props[i], 0);
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		const char *name = leaves[i].feature;
		const struct x86_cpu_prop *prop = x86_cpu_prop_find(name, strlen(name));

		if (c->removed[x86_cpu_prop_number(prop)])
			remove_leaf(c->cpuid, leaves[i].leaf);
	}
	if (pmu && !pmu->value)
		remove_leaf(c->cpuid, 0xa);
	/* Without five levels of page tables there are 48 bits. */
	if (c->removed[x86_cpu_prop_number(x86_cpu_prop_find("la57", 4))])
		x86_cpu_prop_set(c->cpuid, x86_cpu_prop_find("linear-bits", 11), 48);
}

/* AMD APM volume 3, E.4.2: these bits of EDX are leaf 1's once more. */
#define AMD_ALIASES 0x0183f3ffU

static void copy_aliases(struct kvm_cpuid2 *cpuid)
{
	const struct kvm_cpuid_entry2 *leaf1 = x86_cpuid_find(cpuid, 1, 0);
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(cpuid, 0x80000001, 0);

	if (leaf1 && e && x86_cpuid_is_amd(cpuid))
		e->edx = (e->edx & ~AMD_ALIASES) | (leaf1->edx & AMD_ALIASES);
}

/* Leaves beyond the last one of their kind. */
static void cut_leaves(const struct x86_cpu_model *model, struct kvm_cpuid2 *cpuid)
{
	static const char *const levels[] = { "level", "hypervisor-level", "xlevel" };

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++) {
		const struct x86_cpu_word *word = x86_cpu_model_named(model, levels[i]);
		u32 n = 0;

		for (u32 k = 0; word && k < cpuid->nent; k++) {
			u32 leaf = cpuid->entries[k].function;

			if (leaf >> 28 == word->prop->leaf >> 28 && leaf > word->value)
				continue;
			cpuid->entries[n++] = cpuid->entries[k];
		}
		if (word)
			cpuid->nent = n;
	}
}

void x86_cpu_pin(const struct x86_cpu_model *model, struct kvm_cpuid2 *cpuid)
{
	for (u32 i = 0; i < model->nr_words; i++) {
		const struct x86_cpu_word *word = &model->words[i];

		if (word->prop->type == X86_PROP_TEXT)
			x86_cpu_prop_set_text(cpuid, word->prop, word->text);
		else
			x86_cpu_prop_set(cpuid, word->prop, word->value);
	}
	cut_leaves(model, cpuid);
}

static struct kvm_cpuid2 *copy(const struct kvm_cpuid2 *from)
{
	size_t size = sizeof(*from) + from->nent * sizeof(from->entries[0]);
	struct kvm_cpuid2 *to = xcalloc(1, size + X86_CPU_SPARE * sizeof(from->entries[0]));

	memcpy(to, from, size);
	return to;
}

int x86_cpu_apply(const struct x86_cpu_model *model, const struct kvm_cpuid2 *supported,
		  bool tsc_deadline, struct kvm_cpuid2 **out)
{
	struct change c = {
		.model = model,
		.supported = supported,
		.tsc_deadline = tsc_deadline,
	};
	int ret = check_features(&c);

	*out = NULL;
	for (u32 i = 0; i < model->nr_words && !ret; i++)
		ret = check_value(&c, &model->words[i]);
	if (ret)
		return ret;
	c.cpuid = model->base == X86_CPU_HOST ? copy(supported)
					      : x86_cpu_level(model->base, supported);
	c.removed = xcalloc(x86_nr_cpu_props, sizeof(c.removed[0]));
	find_removed(&c);
	remove_features(&c);
	x86_cpu_pin(model, c.cpuid);
	x86_cpu_fit_xstate(c.cpuid, model, c.removed);
	copy_aliases(c.cpuid);
	ret = check_signature(&c);
	free(c.removed);
	if (ret)
		free(c.cpuid);
	else
		*out = c.cpuid;
	return ret;
}
