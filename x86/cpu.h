/* SPDX-License-Identifier: MIT */
/*
 * The CPU that a guest is shown. cpu-props.c: everything that CPUID says and that has a name, one
 * table for --cpu, `lkvm host` and the self-test; cpu-fields.c: reading and writing it;
 * cpu-needs.c: which feature needs which, and the levels; cpu-model.c: the words of --cpu.
 */
#ifndef LKVM_X86_CPU_H
#define LKVM_X86_CPU_H

#include <linux/kvm.h>

#include "lkvm/types.h"

enum x86_reg { X86_EAX, X86_EBX, X86_ECX, X86_EDX };

enum x86_prop_type {
	X86_PROP_FLAG,	   /* one bit: a feature, +NAME and -NAME */
	X86_PROP_NUMBER,   /* a field of one register */
	X86_PROP_WIDE,	   /* 64 bits: @reg has the low half, EDX the high one */
	X86_PROP_TEXT,	   /* characters in several registers, cpu-fields.c knows which */
	X86_PROP_DERIVED,  /* family and model: fields with extensions */
	X86_PROP_TOPOLOGY, /* how many of them; many fields follow from it (topology.c) */
};

/* Bits of x86_cpu_prop.flags. */
#define X86_PROP_LKVMS	 BIT(0) /* a flag that KVM does not report: lkvm may give it to any guest */
#define X86_PROP_AT_MOST BIT(1) /* no more than KVM offers, since KVM or the CPU has to have it */
#define X86_PROP_HEX	 BIT(2) /* shown in hexadecimal */
#define X86_PROP_FIXED	 BIT(3) /* for reading alone */

/* A field of CPUID under the name that QEMU gives it, where that has one. */
struct x86_cpu_prop {
	const char *name;
	const char *help; /* in a few words */
	u32 leaf;
	u8 index; /* subleaf */
	u8 reg;	  /* enum x86_reg */
	u8 shift;
	u8 width; /* bits; of X86_PROP_TEXT, characters */
	u8 type;  /* enum x86_prop_type */
	u8 flags;
	u64 min, max; /* of the values that it can have; max 0: what fits @width */
};
extern const struct x86_cpu_prop x86_cpu_props[];
extern const size_t x86_nr_cpu_props;

/* Another name of the same thing. */
struct x86_cpu_alias {
	const char *alias;
	const char *name;
};
extern const struct x86_cpu_alias x86_cpu_aliases[];
extern const size_t x86_nr_cpu_aliases;

#define X86_CPU_TEXT_MAX 48 /* characters of the longest text, model-name */

/* The row called @name (@len bytes) or so by an alias; '_' is '-'. NULL: there is none. */
const struct x86_cpu_prop *x86_cpu_prop_find(const char *name, size_t len);
/* The row's place in the table. */
size_t x86_cpu_prop_number(const struct x86_cpu_prop *prop);
/* The largest value that the property may be given. */
u64 x86_cpu_prop_max(const struct x86_cpu_prop *prop);
static inline bool x86_cpu_prop_is_kvms(const struct x86_cpu_prop *prop)
{
	return prop->leaf >> 28 == 4; /* a hypervisor's leaves come from no CPU */
}

/* What @prop, which is no text, is in @cpuid; 0 where its leaf is not there. */
u64 x86_cpu_prop_get(const struct kvm_cpuid2 *cpuid, const struct x86_cpu_prop *prop);
/* A text's characters, in @buf, which is returned. */
const char *x86_cpu_prop_text(const struct kvm_cpuid2 *cpuid, const struct x86_cpu_prop *prop,
			      char buf[X86_CPU_TEXT_MAX + 1]);
/*
 * Write it. A leaf that is not there is added, for which @cpuid must have room, unless the value is
 * 0. Topology is not written.
 */
void x86_cpu_prop_set(struct kvm_cpuid2 *cpuid, const struct x86_cpu_prop *prop, u64 value);
void x86_cpu_prop_set_text(struct kvm_cpuid2 *cpuid, const struct x86_cpu_prop *prop,
			   const char *text);
/* Set every bit that belongs to it, of a text all its registers. */
void x86_cpu_prop_fill(struct kvm_cpuid2 *cpuid, const struct x86_cpu_prop *prop);
/* Entries that writing all properties may add. */
#define X86_CPU_SPARE 40U

/* cpu-hardware.c: the leaves of the table as this CPU has them, to be freed (never NULL). */
struct kvm_cpuid2 *x86_cpu_hardware(void);
/* Why KVM does not offer the feature @prop, as `lkvm host` says it. */
const char *x86_cpu_missing(const struct x86_cpu_prop *prop, const struct kvm_cpuid2 *hardware);

/* What --cpu begins with. Of each but the first: the same CPU on any host. */
enum x86_cpu_base {
	X86_CPU_HOST, /* all that KVM offers */
	X86_CPU_MIN,  /* x86-64 as the psABI has it, and what a kernel needs */
	X86_CPU_V2,   /* the psABI's levels (System V ABI, AMD64 supplement, 3.1.1) */
	X86_CPU_V3,
	X86_CPU_V4,
};
extern const char *const x86_cpu_base_names[]; /* ends with NULL */

/* cpu-needs.c */

/* Has the CPU that @base, not the host, stands for the feature @prop? */
bool x86_cpu_level_has(enum x86_cpu_base base, const struct x86_cpu_prop *prop);
/* The @i-th feature (from 0) that the feature @prop cannot do without; NULL: no more. */
const struct x86_cpu_prop *x86_cpu_need(const struct x86_cpu_prop *prop, u32 i);
/* The components of XSAVE in which the feature's registers are kept; *xss: of IA32_XSS's. */
u64 x86_cpu_components(const struct x86_cpu_prop *prop, bool *xss);

/* The property that says up to where the leaves of @prop's kind go. */
const char *x86_cpu_level_name(const struct x86_cpu_prop *prop);

/* cpu-model.c */

/* A word of --cpu after the first. */
struct x86_cpu_word {
	const struct x86_cpu_prop *prop;
	u64 value; /* of a feature: switched on? */
	char text[X86_CPU_TEXT_MAX + 1];
};

struct x86_cpu_model {
	enum x86_cpu_base base;
	u32 nr_words;
	struct x86_cpu_word *words; /* each of another property */
};

/*
 * Read @text, what was given to --cpu (NULL: nothing), into @model, which is to be destroyed in any
 * case. Knows no host. 0, or -EINVAL after printing what is wrong.
 */
int x86_cpu_model_parse(const char *text, struct x86_cpu_model *model) __must_check;
void x86_cpu_model_destroy(struct x86_cpu_model *model);
/* Does it ask for anything but the host's CPU as it is? */
bool x86_cpu_model_is_plain(const struct x86_cpu_model *model);
/* What it says of @prop, or NULL. */
const struct x86_cpu_word *x86_cpu_model_word(const struct x86_cpu_model *model,
					      const struct x86_cpu_prop *prop);
/* Is the feature switched off, or something that it needs? Then the word that does it, or NULL. */
const struct x86_cpu_word *x86_cpu_model_off(const struct x86_cpu_model *model,
					     const struct x86_cpu_prop *prop);
/* The same as x86_cpu_model_word by name; for names of the table. */
const struct x86_cpu_word *x86_cpu_model_named(const struct x86_cpu_model *model, const char *name);

/*
 * cpu-apply.c: what of a model @supported (KVM_GET_SUPPORTED_CPUID, and @tsc_deadline:
 * KVM_CAP_TSC_DEADLINE_TIMER) can give, as a list of the caller's (free). 0; -ENOTSUP when this
 * host lacks something that was asked for. Prints, also what is dropped with what it needs.
 */
int x86_cpu_apply(const struct x86_cpu_model *model, const struct kvm_cpuid2 *supported,
		  bool tsc_deadline, struct kvm_cpuid2 **out) __must_check;
/* Once more the words alone, when a vcpu's list is complete: they say it last. */
void x86_cpu_pin(const struct x86_cpu_model *model, struct kvm_cpuid2 *cpuid);

/* cpu-level.c: the CPU that the level @base stands for, with room for X86_CPU_SPARE more leaves. */
struct kvm_cpuid2 *x86_cpu_level(enum x86_cpu_base base, const struct kvm_cpuid2 *supported);

/*
 * cpu-xstate.c: make leaf 0xd fit the features: without the components of those in @removed (one
 * for each row of the table) that no other keeps, and with those that @model names.
 */
void x86_cpu_fit_xstate(struct kvm_cpuid2 *cpuid, const struct x86_cpu_model *model,
			const bool *removed);

#endif
