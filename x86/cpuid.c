/* SPDX-License-Identifier: MIT */
/*
 * CPUID of the vcpus: what KVM supports, edited to the topology of its vcpus
 * (Intel SDM volume 2A, "CPUID"; AMD APM volume 3, appendix E; Linux
 * Documentation/virt/kvm/x86/cpuid.rst). Pure: who has KVM at hand asks it.
 */
#include <stdlib.h>

#include "cpu.h"
#include "platform.h"

#define CPUID_MAX_ENTRIES 4096U
#define CPUID_SPARE	  (12U + X86_CPU_SPARE) /* entries that x86_cpuid_build may add */

/* Bits of leaf 1 */
#define LEAF1_ECX_X2APIC       BIT(21)
#define LEAF1_ECX_TSC_DEADLINE BIT(24)
#define LEAF1_ECX_HYPERVISOR   BIT(31)
#define LEAF1_EDX_HTT	       BIT(28)
/* AMD, leaf 0x80000001 */
#define AMD_ECX_CMP_LEGACY BIT(1)
/* KVM's own leaves */
#define KVM_LEAF_SIGNATURE	0x40000000U
#define KVM_LEAF_FEATURES	0x40000001U
#define KVM_LEAF_TIMING		0x40000010U
#define KVM_BIT_MSI_EXT_DEST_ID BIT(15)
/* KVM's local APIC timer counts nanoseconds (KVM_CAP_X86_APIC_BUS_CYCLES_NS has the default 1). */
#define APIC_BUS_KHZ 1000000U

static size_t cpuid_bytes(u32 nent)
{
	return sizeof(struct kvm_cpuid2) + nent * sizeof(struct kvm_cpuid_entry2);
}

int x86_cpuid_supported(int (*get)(void *opaque, struct kvm_cpuid2 *cpuid), void *opaque,
			struct kvm_cpuid2 **out)
{
	/* KVM says E2BIG for too few, never how many it has. */
	for (u32 nent = 128; nent <= CPUID_MAX_ENTRIES; nent *= 2) {
		struct kvm_cpuid2 *cpuid = calloc(1, cpuid_bytes(nent));
		int ret;

		if (!cpuid)
			return -ENOMEM;
		cpuid->nent = nent;
		ret = get(opaque, cpuid);
		if (ret >= 0) {
			*out = cpuid;
			return 0;
		}
		free(cpuid);
		if (ret != -E2BIG)
			return ret;
	}
	return -E2BIG;
}

struct kvm_cpuid_entry2 *x86_cpuid_find(struct kvm_cpuid2 *cpuid, u32 function, u32 index)
{
	for (u32 i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];

		if (e->function != function)
			continue;
		if (!(e->flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) || e->index == index)
			return e;
	}
	return NULL;
}

u32 x86_cpuid_phys_bits(struct kvm_cpuid2 *supported)
{
	const struct kvm_cpuid_entry2 *e = x86_cpuid_find(supported, 0x80000008, 0);
	u32 bits, guest_bits;

	if (!e)
		return 36; /* what every CPU with long mode has */
	bits = e->eax & 0xff;
	/* GuestPhysAddrSize: less where nested paging has fewer levels than the address width. */
	guest_bits = e->eax >> 16 & 0xff;
	return guest_bits && guest_bits < bits ? guest_bits : bits;
}

static void remove_leaf(struct kvm_cpuid2 *cpuid, u32 function)
{
	u32 n = 0;

	for (u32 i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function != function)
			cpuid->entries[n++] = cpuid->entries[i];
	cpuid->nent = n;
}

static struct kvm_cpuid_entry2 *add_leaf(struct kvm_cpuid2 *cpuid, u32 function)
{
	struct kvm_cpuid_entry2 *e = &cpuid->entries[cpuid->nent++];

	memset(e, 0, sizeof(*e));
	e->function = function;
	return e;
}

/* vcpus in one socket. */
static u32 package_cpus(const struct x86_cpuid_params *p)
{
	return p->topology.dies * p->topology.cores * p->topology.threads;
}

bool x86_cpuid_is_amd(struct kvm_cpuid2 *cpuid)
{
	const struct kvm_cpuid_entry2 *e = x86_cpuid_find(cpuid, 0, 0);

	/* "AuthenticAMD" and "HygonGenuine", by EBX. */
	return e && (e->ebx == 0x68747541 || e->ebx == 0x6f677948);
}

static void edit_features(struct kvm_cpuid2 *cpuid, const struct x86_cpuid_params *p)
{
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(cpuid, 1, 0);
	u32 ids = MIN(1U << x86_topology_shifts(&p->topology).socket, 0xffU);

	if (!e)
		return;
	/* EBX: CLFLUSH size and brand stay, ids of the package and the initial APIC id are ours. */
	e->ebx = (e->ebx & 0xffff) | ids << 16 | (p->apic_id & 0xff) << 24;
	e->ecx |= LEAF1_ECX_HYPERVISOR | LEAF1_ECX_X2APIC;
	e->ecx &= ~LEAF1_ECX_TSC_DEADLINE;
	if (p->tsc_deadline)
		e->ecx |= LEAF1_ECX_TSC_DEADLINE;
	e->edx &= ~LEAF1_EDX_HTT;
	if (package_cpus(p) > 1)
		e->edx |= LEAF1_EDX_HTT;
}

/*
 * Caches (Intel leaf 4, AMD leaf 0x8000001d share the layout of EAX): the host's, where levels 1
 * and 2 belong to one core and the rest to the die.
 */
static void edit_caches(struct kvm_cpuid2 *cpuid, u32 function, const struct x86_cpuid_params *p)
{
	struct x86_topology_shifts s = x86_topology_shifts(&p->topology);

	for (u32 i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *e = &cpuid->entries[i];
		u32 level = e->eax >> 5 & 7;
		u32 sharing = 1U << (level >= 3 ? s.die : s.core);

		if (e->function != function || !(e->eax & 0x1f))
			continue;
		e->eax &= 0x3fff;
		e->eax |= (MIN(sharing, 4096U) - 1) << 14;
		if (function == 4)
			e->eax |= (MIN(1U << (s.socket - s.core), 64U) - 1) << 26;
	}
}

/* The domains of extended topology: the bits of an id below the next one, and vcpus in it. */
struct domain {
	u32 type; /* SDM volume 2A, leaf 0x1f: 1 threads, 2 cores, 5 dies; 0: the end */
	u32 shift;
	u32 count;
};

static void add_domains(struct kvm_cpuid2 *cpuid, u32 function, u32 apic_id,
			const struct domain *domains)
{
	remove_leaf(cpuid, function);
	for (u32 i = 0;; i++) {
		struct kvm_cpuid_entry2 *e = add_leaf(cpuid, function);

		e->flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
		e->index = i;
		e->eax = domains[i].shift;
		e->ebx = domains[i].count;
		e->ecx = domains[i].type << 8 | i;
		e->edx = apic_id;
		if (!domains[i].type)
			break;
	}
}

/* Leaf 0xb knows no dies: its cores are those of the socket. */
static void edit_topology(struct kvm_cpuid2 *cpuid, const struct x86_cpuid_params *p)
{
	struct kvm_cpuid_entry2 *basic = x86_cpuid_find(cpuid, 0, 0);
	const struct x86_topology *t = &p->topology;
	struct x86_topology_shifts s = x86_topology_shifts(t);
	const struct domain plain[] = {
		{ 1, s.core, t->threads },
		{ 2, s.socket, package_cpus(p) },
		{ 0, 0, 0 },
	};
	const struct domain with_dies[] = {
		{ 1, s.core, t->threads },
		{ 2, s.die, t->cores * t->threads },
		{ 5, s.socket, package_cpus(p) },
		{ 0, 0, 0 },
	};
	bool dies = t->dies > 1 && !x86_cpuid_is_amd(cpuid);

	if (!basic)
		return;
	/* An x2APIC is there, so must be the leaf with its id. */
	basic->eax = MAX(basic->eax, dies ? 0x1fU : 0xbU);
	add_domains(cpuid, 0xb, p->apic_id, plain);
	if (basic->eax >= 0x1f)
		add_domains(cpuid, 0x1f, p->apic_id, dies ? with_dies : plain);
}

/*
 * AMD's own topology (APM volume 3, E.4.1, E.4.7, E.4.16): 0x80000001 CmpLegacy, 0x80000008 core
 * count, 0x8000001e ids. A die is a node.
 */
static void edit_amd(struct kvm_cpuid2 *cpuid, const struct x86_cpuid_params *p)
{
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(cpuid, 0x80000001, 0);
	const struct x86_topology *t = &p->topology;
	struct x86_topology_shifts s = x86_topology_shifts(t);
	u32 in_socket = p->apic_id & ((1U << s.socket) - 1);

	if (e) {
		e->ecx &= ~AMD_ECX_CMP_LEGACY;
		if (package_cpus(p) > 1)
			e->ecx |= AMD_ECX_CMP_LEGACY;
	}
	e = x86_cpuid_find(cpuid, 0x80000008, 0);
	if (e)
		e->ecx = s.socket << 12 | (MIN(package_cpus(p), 256U) - 1);
	e = x86_cpuid_find(cpuid, 0x8000001e, 0);
	if (e) {
		e->eax = p->apic_id;
		e->ebx = (in_socket >> s.core & 0xff) | (MIN(t->threads, 256U) - 1) << 8;
		e->ecx = (p->apic_id >> s.die & 0xff) | (MIN(t->dies, 8U) - 1) << 8;
	}
	/* The host's dies and complexes are not ours. */
	remove_leaf(cpuid, 0x80000026);
}

/* KVM's leaves, and the frequencies in the form that hypervisors share (EAX TSC, EBX APIC bus). */
static void edit_hypervisor(struct kvm_cpuid2 *cpuid, const struct x86_cpuid_params *p)
{
	struct kvm_cpuid_entry2 *sig = x86_cpuid_find(cpuid, KVM_LEAF_SIGNATURE, 0);
	struct kvm_cpuid_entry2 *e = x86_cpuid_find(cpuid, KVM_LEAF_FEATURES, 0);

	if (e) {
		e->eax &= ~KVM_BIT_MSI_EXT_DEST_ID;
		if (p->msi_ext_dest)
			e->eax |= KVM_BIT_MSI_EXT_DEST_ID;
	}
	if (sig && p->tsc_khz) {
		sig->eax = MAX(sig->eax, KVM_LEAF_TIMING);
		remove_leaf(cpuid, KVM_LEAF_TIMING);
		e = add_leaf(cpuid, KVM_LEAF_TIMING);
		e->eax = p->tsc_khz;
		e->ebx = APIC_BUS_KHZ;
	}
	/* The host's crystal (ECX of leaf 0x15) is not what drives KVM's APIC timer. */
	e = x86_cpuid_find(cpuid, 0x15, 0);
	if (e)
		e->eax = e->ebx = e->ecx = e->edx = 0;
}

int x86_cpuid_build(const struct kvm_cpuid2 *supported, const struct x86_cpuid_params *p,
		    struct kvm_cpuid2 **out)
{
	struct kvm_cpuid2 *cpuid = calloc(1, cpuid_bytes(supported->nent + CPUID_SPARE));

	if (!cpuid)
		return -ENOMEM;
	memcpy(cpuid, supported, cpuid_bytes(supported->nent));
	edit_features(cpuid, p);
	edit_caches(cpuid, 4, p);
	edit_caches(cpuid, 0x8000001d, p);
	edit_topology(cpuid, p);
	if (x86_cpuid_is_amd(cpuid))
		edit_amd(cpuid, p);
	edit_hypervisor(cpuid, p);
	*out = cpuid;
	return 0;
}
