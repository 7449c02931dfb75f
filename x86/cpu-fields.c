/* SPDX-License-Identifier: MIT */
/* Reading and writing the properties of cpu-props.c in a list of CPUID's leaves. */
#include "cpu.h"

#include <assert.h>
#include <string.h>

#include "lkvm/util.h"

#define LEAF_VENDOR	     0U
#define LEAF_VENDOR_EXTENDED 0x80000000U
#define LEAF_MODEL_NAME	     0x80000002U /* and the two behind it */
#define LEAF_HYPERVISOR	     0x40000000U

/* Leaves whose data depends on ECX (Intel SDM volume 2A, "CPUID", table 3-17; AMD APM volume 3). */
static bool has_subleaves(u32 leaf)
{
	static const u32 leaves[] = { 4,    7,	  0xb,	0xd,	    0xf,       0x10,
				      0x12, 0x14, 0x17, 0x18,	    0x1d,      0x1e,
				      0x1f, 0x20, 0x24, 0x8000001d, 0x80000026 };

	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++)
		if (leaves[i] == leaf)
			return true;
	return false;
}

static struct kvm_cpuid_entry2 *find(struct kvm_cpuid2 *cpuid, u32 leaf, u32 index)
{
	for (u32 i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];
		bool indexed = e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX;

		if (e->function == leaf && (indexed ? e->index == index : !index))
			return e;
	}
	return NULL;
}

static struct kvm_cpuid_entry2 *find_or_add(struct kvm_cpuid2 *cpuid, u32 leaf, u32 index)
{
	struct kvm_cpuid_entry2 *e = find(cpuid, leaf, index);

	if (e)
		return e;
	e = &cpuid->entries[cpuid->nent++];
	*e = (struct kvm_cpuid_entry2){
		.function = leaf,
		.index = index,
		.flags = has_subleaves(leaf) ? KVM_CPUID_FLAG_SIGNIFCANT_INDEX : 0,
	};
	return e;
}

static u32 *reg_of(struct kvm_cpuid_entry2 *e, u32 reg)
{
	switch (reg) {
	case X86_EAX:
		return &e->eax;
	case X86_EBX:
		return &e->ebx;
	case X86_ECX:
		return &e->ecx;
	default:
		return &e->edx;
	}
}

static u32 mask_of(u32 width)
{
	return (u32)(BIT_ULL(width) - 1);
}

size_t x86_cpu_prop_number(const struct x86_cpu_prop *prop)
{
	return (size_t)(prop - x86_cpu_props);
}

u64 x86_cpu_prop_max(const struct x86_cpu_prop *prop)
{
	if (prop->max)
		return prop->max;
	return prop->width < 64 ? BIT_ULL(prop->width) - 1 : ~0ULL;
}

/* @name as the table writes it: '-' for the '_' of Linux and others. */
static bool same_name(const char *ours, const char *name, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!ours[i] || ours[i] != (name[i] == '_' ? '-' : name[i]))
			return false;
	return !ours[len];
}

const struct x86_cpu_prop *x86_cpu_prop_find(const char *name, size_t len)
{
	for (size_t i = 0; i < x86_nr_cpu_props; i++)
		if (same_name(x86_cpu_props[i].name, name, len))
			return &x86_cpu_props[i];
	for (size_t i = 0; i < x86_nr_cpu_aliases; i++) {
		const char *real = x86_cpu_aliases[i].name;

		if (same_name(x86_cpu_aliases[i].alias, name, len))
			return x86_cpu_prop_find(real, strlen(real));
	}
	return NULL;
}

/*
 * Leaf 1, EAX (Intel SDM volume 2A, figure 3-6; AMD APM volume 3, E.3.2): family 0xf has eight more
 * bits to add, families 6 and 0xf up have four high bits of the model.
 */
#define FAMILY_BITS 0x0ff00f00U
#define MODEL_BITS  0x000f00f0U

static u32 signature_family(u32 eax)
{
	u32 family = eax >> 8 & 0xf;

	return family == 0xf ? family + (eax >> 20 & 0xff) : family;
}

static u32 signature_model(u32 eax)
{
	u32 family = eax >> 8 & 0xf, model = eax >> 4 & 0xf;

	return family == 6 || family == 0xf ? model | (eax >> 16 & 0xf) << 4 : model;
}

static u32 make_signature(u32 old, u32 family, u32 model)
{
	u32 extended = family > 0xf ? family - 0xf : 0;

	return (old & ~(FAMILY_BITS | MODEL_BITS)) | MIN(family, 0xfU) << 8 | extended << 20 |
	       (model & 0xf) << 4 | (model >> 4 & 0xf) << 16;
}

static bool is_family(const struct x86_cpu_prop *prop)
{
	return prop->shift == 8;
}

u64 x86_cpu_prop_get(const struct kvm_cpuid2 *cpuid, const struct x86_cpu_prop *prop)
{
	struct kvm_cpuid_entry2 *e = find((struct kvm_cpuid2 *)cpuid, prop->leaf, prop->index);

	if (!e)
		return 0;
	switch (prop->type) {
	case X86_PROP_WIDE:
		return *reg_of(e, prop->reg) | (u64)e->edx << 32;
	case X86_PROP_DERIVED:
		return is_family(prop) ? signature_family(e->eax) : signature_model(e->eax);
	case X86_PROP_TOPOLOGY:
	case X86_PROP_TEXT:
		return 0;
	default:
		return *reg_of(e, prop->reg) >> prop->shift & mask_of(prop->width);
	}
}

static void set_derived(struct kvm_cpuid_entry2 *e, const struct x86_cpu_prop *prop, u32 value)
{
	u32 family = is_family(prop) ? value : signature_family(e->eax);
	/* As it is written, so that the order of both does not matter. */
	u32 model = is_family(prop) ? (e->eax >> 4 & 0xf) | (e->eax >> 16 & 0xf) << 4 : value;

	e->eax = make_signature(e->eax, family, model);
}

void x86_cpu_prop_set(struct kvm_cpuid2 *cpuid, const struct x86_cpu_prop *prop, u64 value)
{
	struct kvm_cpuid_entry2 *e;
	u32 *reg;

	if (prop->type == X86_PROP_TOPOLOGY || (!value && !find(cpuid, prop->leaf, prop->index)))
		return;
	e = find_or_add(cpuid, prop->leaf, prop->index);
	reg = reg_of(e, prop->reg);
	switch (prop->type) {
	case X86_PROP_WIDE:
		*reg = (u32)value;
		e->edx = (u32)(value >> 32);
		break;
	case X86_PROP_DERIVED:
		set_derived(e, prop, (u32)value);
		break;
	default:
		*reg &= ~(mask_of(prop->width) << prop->shift);
		*reg |= ((u32)value & mask_of(prop->width)) << prop->shift;
	}
}

/* Texts: four characters in each register, these in order */

static const u8 vendor_regs[] = { X86_EBX, X86_EDX, X86_ECX };
static const u8 hypervisor_regs[] = { X86_EBX, X86_ECX, X86_EDX };
static const u8 name_regs[] = { X86_EAX, X86_EBX, X86_ECX, X86_EDX };

/* Of the @i-th four characters: the leaf, and the register. */
static u32 text_leaf(const struct x86_cpu_prop *prop, u32 i, u32 *reg)
{
	u32 leaf = prop->leaf;

	if (leaf == LEAF_MODEL_NAME) {
		*reg = name_regs[i % 4];
		return leaf + i / 4;
	}
	*reg = leaf == LEAF_HYPERVISOR ? hypervisor_regs[i] : vendor_regs[i];
	return leaf;
}

const char *x86_cpu_prop_text(const struct kvm_cpuid2 *cpuid, const struct x86_cpu_prop *prop,
			      char buf[X86_CPU_TEXT_MAX + 1])
{
	assert(prop->width <= X86_CPU_TEXT_MAX);
	memset(buf, 0, X86_CPU_TEXT_MAX + 1);
	for (u32 i = 0; i < prop->width / 4U; i++) {
		u32 reg, leaf = text_leaf(prop, i, &reg);
		struct kvm_cpuid_entry2 *e = find((struct kvm_cpuid2 *)cpuid, leaf, 0);

		if (e)
			put_le(buf + 4 * (size_t)i, 4, *reg_of(e, reg));
	}
	return buf;
}

static void set_text(struct kvm_cpuid2 *cpuid, const struct x86_cpu_prop *prop, const char *text)
{
	size_t len = strlen(text);

	for (u32 i = 0; i < prop->width / 4U; i++) {
		u32 reg, leaf = text_leaf(prop, i, &reg), value = 0;

		for (u32 c = 0; c < 4 && i * 4 + c < len; c++)
			value |= (u32)(u8)text[i * 4 + c] << 8 * c;
		*reg_of(find_or_add(cpuid, leaf, 0), reg) = value;
	}
}

void x86_cpu_prop_set_text(struct kvm_cpuid2 *cpuid, const struct x86_cpu_prop *prop,
			   const char *text)
{
	struct kvm_cpuid_entry2 *from, *to;

	set_text(cpuid, prop, text);
	if (prop->leaf != LEAF_VENDOR)
		return;
	/* AMD says it twice (APM volume 3, E.4.1); Intel has zeros there. */
	to = find(cpuid, LEAF_VENDOR_EXTENDED, 0);
	from = find(cpuid, LEAF_VENDOR, 0);
	if (!to)
		return;
	to->ebx = to->ecx = to->edx = 0;
	if (!strcmp(text, "AuthenticAMD") || !strcmp(text, "HygonGenuine")) {
		to->ebx = from->ebx;
		to->ecx = from->ecx;
		to->edx = from->edx;
	}
}

void x86_cpu_prop_fill(struct kvm_cpuid2 *cpuid, const struct x86_cpu_prop *prop)
{
	if (prop->type == X86_PROP_TEXT) {
		for (u32 i = 0; i < prop->width / 4U; i++) {
			u32 reg, leaf = text_leaf(prop, i, &reg);

			*reg_of(find_or_add(cpuid, leaf, 0), reg) = ~0U;
		}
	} else if (prop->type == X86_PROP_DERIVED) {
		find_or_add(cpuid, prop->leaf, 0)->eax |=
			is_family(prop) ? FAMILY_BITS : MODEL_BITS;
	} else {
		x86_cpu_prop_set(cpuid, prop, ~0ULL);
	}
}
