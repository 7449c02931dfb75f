/* SPDX-License-Identifier: MIT */
/* x86/topology.c: sockets, dies, cores and threads, and the APIC ids that say them. */
#ifndef LKVM_X86_TOPOLOGY_H
#define LKVM_X86_TOPOLOGY_H

#include "lkvm/types.h"

struct vm_config;
struct x86_cpu_model;

/* How many in each of the level above; the product is the number of vcpus. */
struct x86_topology {
	u32 sockets;
	u32 dies;
	u32 cores;
	u32 threads;
};

/* Bits of an APIC id below each level: log2 of its count, rounded up, added up from the threads. */
struct x86_topology_shifts {
	u32 core;   /* bits that count the threads of a core */
	u32 die;    /* and its cores */
	u32 socket; /* and its dies */
};

/*
 * What @model says for @cpus vcpus. What it does not say follows: the rest are cores, or where
 * those are said sockets; all else is one. -EINVAL after printing that it is not their product.
 */
int x86_topology_init(struct x86_topology *t, const struct x86_cpu_model *model,
		      u32 cpus) __must_check;
/* That of a configuration that is complete. */
struct x86_topology x86_topology_of(const struct vm_config *cfg);
u32 x86_topology_cpus(const struct x86_topology *t);
struct x86_topology_shifts x86_topology_shifts(const struct x86_topology *t);
/* The APIC id of vcpu @index, which is KVM's id of it too. They ascend, with gaps where a count is
 * no power of two. */
u32 x86_topology_apic_id(const struct x86_topology *t, u32 index);
/* One more than the highest: how many ids must be had. */
u32 x86_topology_nr_ids(const struct x86_topology *t);
/* The same for a configuration that is complete. */
u32 x86_nr_apic_ids(const struct vm_config *cfg);

#endif
