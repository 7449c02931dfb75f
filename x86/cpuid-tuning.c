/* SPDX-License-Identifier: MIT */
/*
 * What --tsc-khz, --apic-bus-hz, --disable-exits and --pmu say in a vcpu's CPUID (Intel SDM volume
 * 2A, "CPUID"; AMD APM volume 3, appendix E; Linux Documentation/virt/kvm/x86/cpuid.rst). Pure.
 */
#include <stdlib.h>

#include "platform.h"
#include "tuning.h"

#define SPARE 5U /* entries that may be added: 5, 0xa, 0x15, 0x16, 0x80000022 */

/* Leaf 1 */
#define LEAF1_ECX_MONITOR BIT(3)
#define LEAF1_ECX_PDCM	  BIT(15)
/* AMD, leaf 0x80000001: counters of the core, the northbridge and the last-level cache */
#define AMD_ECX_PERFCTR (BIT(23) | BIT(24) | BIT(28))
/* KVM's own leaves */
#define KVM_LEAF_FEATURES 0x40000001U
#define KVM_LEAF_TIMING	  0x40000010U
#define KVM_EAX_PV_UNHALT BIT(7)
#define KVM_EDX_REALTIME  BIT(0)
#define KVM_APIC_BUS_HZ	  1000000000U
#define FREQUENCY_LEAVES  0x16U

static struct kvm_cpuid_entry2 *find_or_add(struct kvm_cpuid2 *cpuid, u32 function)
{
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(cpuid, function, 0);

	if (!e) {
		e = &cpuid->entries[cpuid->nent++];
		*e = (struct kvm_cpuid_entry2){ .function = function };
	}
	return e;
}

/* A fraction, both parts of which stay within what they are added up from. */
struct fraction {
	u64 num, den;
};

/* Is @a nearer to @x than @b? */
static bool nearer(struct fraction a, struct fraction b, struct fraction x)
{
	__int128 off_a = (__int128)a.num * x.den - (__int128)x.num * a.den;
	__int128 off_b = (__int128)b.num * x.den - (__int128)x.num * b.den;

	off_a = off_a < 0 ? -off_a : off_a;
	off_b = off_b < 0 ? -off_b : off_b;
	return off_a * b.den < off_b * a.den;
}

/*
 * Continued fractions: each step is nearer to the ratio than the one before; the last one is cut
 * off where its numerator would exceed the limit.
 */
void x86_tsc_ratio(u32 tsc_khz, u32 bus_hz, u32 *den, u32 *num)
{
	const struct fraction x = { tsc_khz * 1000ULL, bus_hz };
	struct fraction last = { 0, 1 }, best = { 1, 0 };
	u64 limit = UINT32_MAX / (bus_hz / 1000);
	u64 n = x.num, d = x.den;

	while (d) {
		u64 a = n / d, most = best.num ? (limit - last.num) / best.num : a;
		struct fraction next;

		a = MIN(a, most);
		next = (struct fraction){ a * best.num + last.num, a * best.den + last.den };
		if (a < n / d) {
			best = nearer(next, best, x) ? next : best;
			break;
		}
		last = best;
		best = next;
		n %= d;
		a = n;
		n = d;
		d = a;
	}
	*num = (u32)best.num;
	*den = (u32)best.den;
}

/*
 * Leaf 0x15: the "crystal" is what the local APIC's timer counts, as Linux takes it, and the TSC a
 * multiple of it. 0x16: the same in MHz.
 */
static bool tune_frequencies(struct kvm_cpuid2 *cpuid, const struct x86_cpuid_tuning *t)
{
	u32 bus_hz = t->asked->apic_bus_hz ? t->asked->apic_bus_hz : KVM_APIC_BUS_HZ;
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(cpuid, KVM_LEAF_TIMING, 0);
	u32 num, den;
	bool overruled;

	if (!t->tsc_khz || (!t->asked->tsc_khz && !t->asked->apic_bus_hz))
		return false;
	if (e) {
		e->eax = t->tsc_khz;
		e->ebx = (bus_hz + 500) / 1000;
	}
	x86_tsc_ratio(t->tsc_khz, bus_hz, &den, &num);
	/* Who makes CPUID leaves it empty: it was another option. */
	e = find_or_add(cpuid, 0x15);
	overruled = (e->eax && e->eax != den) || (e->ebx && e->ebx != num) ||
		    (e->ecx && e->ecx != bus_hz);
	*e = (struct kvm_cpuid_entry2){ .function = 0x15, .eax = den, .ebx = num, .ecx = bus_hz };
	e = find_or_add(cpuid, 0x16);
	e->eax = e->ebx = (t->tsc_khz + 500) / 1000;
	e->ecx = (bus_hz + 500000) / 1000000;
	e = x86_cpuid_find(cpuid, 0, 0);
	if (e)
		e->eax = MAX(e->eax, FREQUENCY_LEAVES);
	return overruled;
}

/*
 * A vcpu that halts on its CPU is not woken by a hypercall, and is never preempted for long: Linux
 * then spins instead of asking for a wake-up.
 */
static void tune_idling(struct kvm_cpuid2 *cpuid, const struct x86_cpuid_tuning *t)
{
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(cpuid, KVM_LEAF_FEATURES, 0);

	if (e && t->asked->disable_exits & X86_EXIT_HLT) {
		e->eax &= ~KVM_EAX_PV_UNHALT;
		e->edx |= KVM_EDX_REALTIME;
	}
	e = x86_cpuid_find(cpuid, 1, 0);
	if (!e || !(t->asked->disable_exits & X86_EXIT_MWAIT))
		return;
	e->ecx |= LEAF1_ECX_MONITOR;
	e = find_or_add(cpuid, 5);
	e->eax = t->monitor[0];
	e->ebx = t->monitor[1];
	e->ecx = t->monitor[2];
	e->edx = t->monitor[3];
}

/* The bits of @mask in *@reg: KVM's, or none. */
static void tune_bits(u32 *reg, u32 mask, const u32 *kvms)
{
	*reg &= ~mask;
	if (kvms)
		*reg |= *kvms & mask;
}

/* A whole leaf: KVM's, or none. */
static void tune_leaf(struct kvm_cpuid2 *cpuid, u32 function, const struct kvm_cpuid_entry2 *kvms)
{
	if (kvms)
		*find_or_add(cpuid, function) = *kvms;
	for (u32 i = 0; i < cpuid->nent && !kvms; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function == function)
			e->eax = e->ebx = e->ecx = e->edx = 0;
	}
}

/* On: all that KVM has, where another option left nothing of it. Off: nothing. */
static void tune_pmu(struct kvm_cpuid2 *cpuid, struct kvm_cpuid2 *supported, enum x86_pmu pmu)
{
	static const u32 whole[] = { 0xa, 0x80000022 };
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(cpuid, 0xa, 0), *kvms;
	bool on = pmu == X86_PMU_ON;

	if (pmu == X86_PMU_DEFAULT || (on && e && e->eax & 0xff))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(whole); i++)
		tune_leaf(cpuid, whole[i], on ? x86_cpuid_find(supported, whole[i], 0) : NULL);
	e = x86_cpuid_find(cpuid, 1, 0);
	kvms = on ? x86_cpuid_find(supported, 1, 0) : NULL;
	if (e)
		tune_bits(&e->ecx, LEAF1_ECX_PDCM, kvms ? &kvms->ecx : NULL);
	e = x86_cpuid_find(cpuid, 0x80000001, 0);
	kvms = on ? x86_cpuid_find(supported, 0x80000001, 0) : NULL;
	if (e)
		tune_bits(&e->ecx, AMD_ECX_PERFCTR, kvms ? &kvms->ecx : NULL);
}

int x86_cpuid_tune(struct kvm_cpuid2 **cpuid, struct kvm_cpuid2 *supported,
		   const struct x86_cpuid_tuning *t)
{
	const struct kvm_cpuid2 *old = *cpuid;
	size_t bytes = sizeof(*old) + old->nent * sizeof(old->entries[0]);
	struct kvm_cpuid2 *new = calloc(1, bytes + SPARE * sizeof(old->entries[0]));
	bool overruled;

	if (!new)
		return -ENOMEM;
	memcpy(new, old, bytes);
	free(*cpuid);
	*cpuid = new;
	overruled = tune_frequencies(new, t);
	tune_idling(new, t);
	tune_pmu(new, supported, t->asked->pmu);
	return overruled;
}
