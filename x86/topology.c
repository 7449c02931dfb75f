/* SPDX-License-Identifier: MIT */
/*
 * How vcpus share cores, dies and sockets (Intel SDM volume 3, 9.9.1 "Hierarchical Mapping of
 * Shared Resources"): an APIC id has a field for each level, so its number is not the vcpu's where
 * a count is no power of two. KVM takes its own id of a vcpu for the APIC's: it is created by that.
 */
#include "topology.h"

#include "cpu.h"
#include "lkvm/arch.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/vm.h"
#include "x86.h"

static u32 bits_for(u32 count)
{
	u32 bits = 0;

	while ((1U << bits) < count)
		bits++;
	return bits;
}

static u32 count_of(const struct x86_cpu_model *model, const char *name, bool *given)
{
	const struct x86_cpu_word *word = x86_cpu_model_named(model, name);

	*given = word != NULL;
	return word ? (u32)word->value : 1;
}

/* Of numbers that a user gave: 32 bits may not hold it. */
static u64 product(const struct x86_topology *t)
{
	return (u64)t->sockets * t->dies * ((u64)t->cores * t->threads);
}

int x86_topology_init(struct x86_topology *t, const struct x86_cpu_model *model, u32 cpus)
{
	bool sockets, dies, cores, threads;
	u64 rest;

	*t = (struct x86_topology){
		.sockets = count_of(model, "sockets", &sockets),
		.dies = count_of(model, "dies", &dies),
		.cores = count_of(model, "cores", &cores),
		.threads = count_of(model, "threads", &threads),
	};
	rest = product(t);
	if (!cores && rest <= cpus)
		t->cores = (u32)(cpus / rest);
	else if (!sockets && rest <= cpus)
		t->sockets = (u32)(cpus / rest);
	if (product(t) == cpus)
		return 0;
	err("--cpu: sockets=%u, dies=%u, cores=%u and threads=%u make %llu vcpus, not --cpus %u",
	    t->sockets, t->dies, t->cores, t->threads, product(t), cpus);
	return -EINVAL;
}

struct x86_topology x86_topology_of(const struct vm_config *cfg)
{
	struct x86_topology t = { 1, 1, cfg->cpus, 1 };
	struct x86_cpu_model model;

	if (!cfg->x86.cpu)
		return t;
	/* It was looked at when the configuration was completed. */
	if (!x86_cpu_model_parse(cfg->x86.cpu, &model) && x86_topology_init(&t, &model, cfg->cpus))
		t = (struct x86_topology){ 1, 1, cfg->cpus, 1 };
	x86_cpu_model_destroy(&model);
	return t;
}

u32 x86_topology_cpus(const struct x86_topology *t)
{
	return (u32)product(t);
}

struct x86_topology_shifts x86_topology_shifts(const struct x86_topology *t)
{
	struct x86_topology_shifts s = { .core = bits_for(t->threads) };

	s.die = s.core + bits_for(t->cores);
	s.socket = s.die + bits_for(t->dies);
	return s;
}

u32 x86_topology_apic_id(const struct x86_topology *t, u32 index)
{
	struct x86_topology_shifts s = x86_topology_shifts(t);
	u32 thread = index % t->threads, core = index / t->threads % t->cores;
	u32 die = index / t->threads / t->cores % t->dies;
	u32 socket = index / t->threads / t->cores / t->dies;

	return socket << s.socket | die << s.die | core << s.core | thread;
}

u32 x86_topology_nr_ids(const struct x86_topology *t)
{
	return x86_topology_apic_id(t, x86_topology_cpus(t) - 1) + 1;
}

u32 x86_nr_apic_ids(const struct vm_config *cfg)
{
	struct x86_topology t = x86_topology_of(cfg);

	return x86_topology_nr_ids(&t);
}

u32 arch_vcpu_kvm_id(const struct vm *vm, u32 index)
{
	return vm->arch ? x86_topology_apic_id(&vm->arch->topology, index) : index;
}
