/* SPDX-License-Identifier: MIT */
/* Hosts that can make realms: versions of the series, options, VM types, capabilities. */
#include <stdio.h>
#include <stdlib.h>

#include "cca.h"

#define CAP_GMEM_ATTRIBUTES 250 /* of v15: KVM_CAP_GUEST_MEMFD_MEMORY_ATTRIBUTES */
#define TYPE_FIELD	    0xf00ULL
#define TYPE_REALM_OLD	    (1ULL << 8)
#define TYPE_REALM	    (1ULL << 30)
#define TYPE_PROTECTED	    (1ULL << 31)
#define IPA_MASK	    0xffULL
#define IPA_DEFAULT	    40U
#define PSCI_OLD	    0x4018aed2U
#define PSCI		    0x4018aed6U

const struct cca_generation cca_generations[] = {
	{ .name = "cca-v7",
	  .release = "6.14.0",
	  .cap = 300,
	  .type = TYPE_REALM_OLD,
	  .rec = 8,
	  .psci = PSCI_OLD,
	  .old_errors = true },
	{ .name = "cca-v8",
	  .release = "6.15.0",
	  .cap = 240,
	  .type = TYPE_REALM_OLD,
	  .rec = 8,
	  .psci = PSCI },
	{ .name = "cca-v9",
	  .release = "6.16.0",
	  .cap = 243,
	  .type = TYPE_REALM_OLD,
	  .rec = 9,
	  .psci = PSCI },
	{ .name = "cca-v10",
	  .release = "6.17.0",
	  .cap = 244,
	  .type = TYPE_REALM_OLD,
	  .rec = 9,
	  .psci = PSCI },
	{ .name = "cca-v11",
	  .release = "6.18.0",
	  .implicit = true,
	  .cap = 247,
	  .type = TYPE_REALM_OLD,
	  .psci = PSCI,
	  .gmem_flags = GUEST_MEMFD_FLAG_MMAP },
	{ .name = "cca-v12",
	  .release = "6.19.0",
	  .implicit = true,
	  .cap = 247,
	  .type = TYPE_REALM_OLD,
	  .psci = PSCI,
	  .allow_list = true,
	  .gmem_flags = GUEST_MEMFD_FLAG_MMAP },
	{ .name = "cca-v13",
	  .release = "7.0.0",
	  .implicit = true,
	  .cap = 248,
	  .type = TYPE_REALM_OLD,
	  .psci = PSCI,
	  .allow_list = true,
	  .advances = true,
	  .rmm2 = true,
	  .gmem_flags = GUEST_MEMFD_FLAG_MMAP },
	{ .name = "cca-v14",
	  .release = "7.1.0",
	  .implicit = true,
	  .cap = 249,
	  .type = TYPE_REALM,
	  .allow_list = true,
	  .advances = true,
	  .rmm2 = true,
	  .gmem_flags = GUEST_MEMFD_FLAG_MMAP },
	{ .name = "cca-v15",
	  .release = "7.2.0",
	  .implicit = true,
	  .cap = 251,
	  .type = TYPE_REALM,
	  .allow_list = true,
	  .advances = true,
	  .rmm2 = true,
	  .no_vm_attributes = true,
	  .gmem_flags = GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED },
	{ .name = NULL },
};

struct cca_host cca_host = {
	.rmm = {
		.hashes = 1U << RIM_SHA256 | 1U << RIM_SHA512,
		.s2sz = 48,
		.pmu = true,
	},
	.planes = CCA_DIRECT,
	.vmids = 16,
	.in_place = true,
};

static long host_cap(u32 cap);

bool cca_select(const char *word)
{
	const struct cca_generation *g = cca_generations;

	while (g->name && strcmp(g->name, word))
		g++;
	if (!g->name)
		return false;
	cca_host.gen = g;
	cca_host.rmm.ripas_measured = !g->rmm2;
	if (g->rmm2)
		cca_host.rmm.hashes |= 1U << RIM_SHA384;
	arm_host.cap = host_cap;
	return true;
}

static u32 hashes(const char *list)
{
	char text[64], *rest = text, *word;
	u32 set = 0;

	snprintf(text, sizeof(text), "%s", list ? list : "");
	while ((word = strsep(&rest, "+"))) {
		enum rim_hash hash = RIM_SHA256;

		while (hash <= RIM_SHA384 && strcmp(word, rim_hash_name(hash)))
			hash++;
		if (hash > RIM_SHA384)
			model_usage("hash=%s: it is sha256, sha512 or sha384, with + between",
				    list ? list : "");
		set |= 1U << hash;
	}
	return set;
}

static void set_rmm(const char *value)
{
	static const char *const names[] = {
		[CCA_DIRECT] = "direct",
		[CCA_INDIRECT] = "indirect",
		[CCA_PER_PLANE] = "per-plane",
	};

	cca_host.no_rmm = value && !strcmp(value, "none");
	if (cca_host.no_rmm)
		return;
	for (size_t i = 0; i < MODEL_ARRAY(names); i++) {
		if (!value || strcmp(value, names[i]))
			continue;
		cca_host.planes = (enum cca_planes)i;
		return;
	}
	model_usage("rmm=%s: it is none, direct, indirect or per-plane", value ? value : "");
}

static bool number_option(const char *name, const char *value)
{
	if (!strcmp(name, "ipa"))
		cca_host.rmm.s2sz = (u8)model_number(name, value);
	else if (!strcmp(name, "cap"))
		cca_host.cap = (u32)model_number(name, value);
	else if (!strcmp(name, "vmids"))
		cca_host.vmids = (u32)model_number(name, value);
	else if (!strcmp(name, "inplace"))
		cca_host.in_place = model_number(name, value);
	else
		return false;
	return true;
}

bool cca_option(const char *name, const char *value)
{
	if (number_option(name, value) || arm_option(name, value))
		return true;
	if (!strcmp(name, "planes") && !cca_host.gen->implicit) {
		cca_host.has_planes = true;
		cca_host.rmm.max_planes = (u8)model_number(name, value);
	} else if (!strcmp(name, "rmm")) {
		set_rmm(value);
	} else if (!strcmp(name, "hash")) {
		cca_host.rmm.hashes = hashes(value);
	} else if (!strcmp(name, "lpa2") && !value) {
		cca_host.rmm.lpa2 = true;
	} else if (!strcmp(name, "nvidia") && !value) {
		cca_host.nvidia = true;
	} else if (!strcmp(name, "da") && !value) {
		cca_host.da = true;
	} else {
		return false;
	}
	return true;
}

u32 cca_cap_number(void)
{
	return cca_host.cap ? cca_host.cap : cca_host.gen->cap;
}

/* The release, and the number where NVIDIA's kernels say it. */
const char *cca_file(const char *path)
{
	static char text[32];

	if (!strcmp(path, ARM_OSRELEASE)) {
		snprintf(text, sizeof(text), "%s\n", cca_host.gen->release);
		return text;
	}
	if (strcmp(path, "/sys/module/kvm/parameters/kvm_cap_arm_rmi"))
		return NULL;
	if (!cca_host.nvidia)
		return "";
	snprintf(text, sizeof(text), "%u\n", cca_cap_number());
	return text;
}

/* Each version stands on the release of its time, which has the numbers up to its own: what Linux
 * 7.3 means by others this kernel does not know. v7's was chosen far from them. */
static bool is_of_later(u32 cap)
{
	return cap > (cca_host.gen->cap == 300 ? 238U : cca_host.gen->cap);
}

static long host_cap(u32 cap)
{
	if (cap == cca_cap_number())
		return !cca_host.no_rmm;
	if (cap == KVM_CAP_ARM_VM_IPA_SIZE && cca_host.lowered)
		return MIN(arm_host.ipa_bits, (u32)cca_host.rmm.s2sz);
	if (cap == CAP_GMEM_ATTRIBUTES && cca_host.gen->no_vm_attributes)
		return KVM_MEMORY_ATTRIBUTE_PRIVATE;
	return is_of_later(cap) ? 0 : MODEL_PASS;
}

/* From v12 on, besides what the generic part of KVM answers for every VM. */
static bool is_allowed(u32 cap)
{
	return arm_is_common_cap(cap) || (cap == KVM_CAP_ARM_PMU_V3 && cca_host.gen->cap == 248);
}

static long attributes_cap(u32 cap)
{
	bool gmem = cca_host.gen->no_vm_attributes;

	if (cap == KVM_CAP_MEMORY_ATTRIBUTES)
		return gmem ? 0 : (long)KVM_MEMORY_ATTRIBUTE_PRIVATE;
	return gmem && cca_host.in_place ? (long)KVM_MEMORY_ATTRIBUTE_PRIVATE : 0;
}

long cca_realm_cap(u32 cap)
{
	long ret;

	switch (cap) {
	case KVM_CAP_READONLY_MEM:
	case KVM_CAP_SET_GUEST_DEBUG:
	case KVM_CAP_STEAL_TIME:
		return 0;
	case KVM_CAP_MEMORY_ATTRIBUTES:
		return attributes_cap(cap);
	case KVM_CAP_GUEST_MEMFD_FLAGS:
		if (cca_host.gen->implicit)
			return (long)cca_host.gen->gmem_flags;
		break;
	}
	if (cap == CAP_GMEM_ATTRIBUTES && cca_host.gen->no_vm_attributes)
		return attributes_cap(cap);
	ret = host_cap(cap);
	if (ret != MODEL_PASS)
		return ret;
	return !cca_host.gen->allow_list || is_allowed(cap) ? arm_cap(cap) : 0;
}

/* kvm_arch_init_vm: the old type is a field, the new one a bit. */
static long check_type(u64 type)
{
	const struct cca_generation *gen = cca_host.gen;
	u64 known = gen->type == TYPE_REALM ? TYPE_REALM | TYPE_PROTECTED : TYPE_FIELD;

	if (type & ~(known | IPA_MASK))
		return model_refused(-EINVAL, "KVM_CREATE_VM: type 0x%llx", type);
	if (!(type & known))
		return MODEL_PASS;
	if ((type & known) != gen->type)
		return model_refused(-EINVAL, "KVM_CREATE_VM: type 0x%llx", type);
	if (cca_host.no_rmm)
		return model_refused(-EPERM, "KVM_CREATE_VM: this host has no RMM");
	return 0;
}

long cca_create_vm(struct model_vm *vm, u64 type)
{
	u32 bits = type & IPA_MASK ? (u32)(type & IPA_MASK) : IPA_DEFAULT;
	long ret = check_type(type);
	struct cca_realm *realm;

	if (ret)
		return ret;
	if (bits > cca_host.rmm.s2sz)
		return model_refused(-EINVAL, "KVM_CREATE_VM: %u address bits, the RMM has %u",
				     bits, cca_host.rmm.s2sz);
	realm = calloc(1, sizeof(*realm));
	if (!realm)
		abort();
	vm->kind_state = realm;
	vm->gmem_flags = cca_host.gen->gmem_flags;
	if (cca_host.gen->no_vm_attributes && !cca_host.in_place)
		vm->gmem_flags &= ~GUEST_MEMFD_FLAG_INIT_SHARED;
	vm->no_attributes = cca_host.gen->no_vm_attributes;
	cca_host.lowered = cca_host.gen->no_vm_attributes;
	return 0;
}
