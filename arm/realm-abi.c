/* SPDX-License-Identifier: MIT */
/*
 * The versions of KVM's ABI for realms, and which one a host has. A number alone never tells: each
 * means something else in Linux 7.3. What no KVM without realms does is create one; the realm's own
 * descriptor is asked for its number then, and the explicit ABI has to show that it is there.
 */
#include <kvm-realm.h>
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/config.h"
#include "lkvm/kvm.h"
#include "lkvm/memory.h"
#include "lkvm/util.h"
#include "realm.h"

/* The fewest that a realm can have: memory begins at 2 GiB, and one bit says what is shared. */
#define MIN_IPA_BITS 33U

/* Ascending. The newest whose number answers is the one: the numbers of older ones may have become
 * something else meanwhile. */
static const struct arm_realm_abi abis[] = {
	{ .kind = REALM_ABI_V7,
	  .cap = REALM_CAP_V7,
	  .type = REALM_VM_TYPE_OLD,
	  .rec = REALM_VCPU_REC_V7 },
	{ .kind = REALM_ABI_V8,
	  .cap = REALM_CAP_V8,
	  .type = REALM_VM_TYPE_OLD,
	  .rec = REALM_VCPU_REC_V7 },
	{ .kind = REALM_ABI_V9,
	  .cap = REALM_CAP_V9,
	  .type = REALM_VM_TYPE_OLD,
	  .rec = REALM_VCPU_REC_V9 },
	{ .kind = REALM_ABI_V10,
	  .cap = REALM_CAP_V10,
	  .type = REALM_VM_TYPE_OLD,
	  .rec = REALM_VCPU_REC_V9,
	  .planes = true },
	{ .kind = REALM_ABI_V11,
	  .cap = REALM_CAP_V11,
	  .type = REALM_VM_TYPE_OLD,
	  .implicit = true,
	  .counts = true },
	{ .kind = REALM_ABI_V12,
	  .cap = REALM_CAP_V11,
	  .type = REALM_VM_TYPE_OLD,
	  .implicit = true,
	  .counts = true },
	{ .kind = REALM_ABI_V13,
	  .cap = REALM_CAP_V13,
	  .type = REALM_VM_TYPE_OLD,
	  .implicit = true },
	{ .kind = REALM_ABI_V14,
	  .cap = REALM_CAP_V14,
	  .type = REALM_VM_TYPE_NEW,
	  .implicit = true },
	{ .kind = REALM_ABI_V15,
	  .cap = REALM_CAP_V15,
	  .type = REALM_VM_TYPE_NEW,
	  .implicit = true,
	  .gmem_attributes = true },
};

const char *arm_realm_abi_name(const struct arm_realm_abi *abi)
{
	return realm_abi_names[abi->kind];
}

const struct arm_realm_abi *arm_realm_abi_of(enum realm_abi_kind kind)
{
	for (size_t i = 0; i < ARRAY_SIZE(abis); i++)
		if (abis[i].kind == kind)
			return &abis[i];
	return NULL;
}

/* A realm */

static int create(const struct arm_realm_host *host, int sys_fd, u64 type, u32 ipa_bits)
{
	return host->ioctl(host->opaque, sys_fd, KVM_CREATE_VM, (unsigned long)(type | ipa_bits));
}

/*
 * A realm of the first type that KVM takes. EINVAL is what it says to a type that it does not know,
 * and to more bits than the RMM has; EPERM: it knows the type and has no RMM.
 */
static int create_any(const struct arm_realm_host *host, int sys_fd, const struct realm_config *cfg,
		      u32 ipa_bits, u64 *type)
{
	static const u64 types[] = { REALM_VM_TYPE_OLD, REALM_VM_TYPE_NEW };
	const struct arm_realm_abi *asked = arm_realm_abi_of(cfg->abi);
	int error = -ENOSYS;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		int fd;

		if (asked && asked->type != types[i])
			continue;
		*type = types[i];
		fd = create(host, sys_fd, *type, ipa_bits);
		if (fd >= 0)
			return fd;
		if (fd != -EINVAL)
			error = fd;
	}
	return error;
}

/* Its version */

static int check(const struct arm_realm_host *host, int vm_fd, u32 cap)
{
	return host->ioctl(host->opaque, vm_fd, KVM_CHECK_EXTENSION, cap);
}

/*
 * Is the number that of the explicit ABI? There are kernels that answer to several, of which one is
 * a realm's; that one takes a personalization value, which all have and nothing depends on.
 */
static bool takes_configuration(const struct arm_realm_host *host, int vm_fd, u32 cap)
{
	struct realm_rme_config config = { .cfg = REALM_RME_CFG_RPV };
	struct kvm_enable_cap enable = {
		.cap = cap,
		.args = { REALM_RME_CONFIG, (u64)(uintptr_t)&config },
	};

	/* Another error is one of the realm's, which the configuration will meet again. */
	return host->ioctl(host->opaque, vm_fd, KVM_ENABLE_CAP, (unsigned long)&enable) != -EINVAL;
}

static bool answers(const struct arm_realm_host *host, int vm_fd, const struct arm_realm_abi *abi)
{
	return check(host, vm_fd, abi->cap) > 0 &&
	       (abi->implicit || takes_configuration(host, vm_fd, abi->cap));
}

/* NVIDIA's kernels say which number is theirs; 0: nobody says. */
static u32 number_of_host(const struct arm_realm_host *host)
{
	char *path = xasprintf("%s/sys/module/kvm/parameters/kvm_cap_arm_rmi", host->root);
	FILE *f = fopen(path, "re");
	char line[32] = "";
	u64 n = 0;

	free(path);
	if (!f)
		return 0;
	if (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		if (parse_u64(line, &n) || n > INT32_MAX)
			n = 0;
	}
	fclose(f);
	return (u32)n;
}

/* A number that is no version's says which generation it is, by the type, and not more. */
static const struct arm_realm_abi *guess(const struct arm_realm_host *host, int vm_fd, u64 type,
					 u32 cap)
{
	for (size_t i = ARRAY_SIZE(abis); i--;)
		if (abis[i].cap == cap && abis[i].type == type)
			return &abis[i];
	if (type == REALM_VM_TYPE_OLD)
		return arm_realm_abi_of(takes_configuration(host, vm_fd, cap) ? REALM_ABI_V10
									      : REALM_ABI_V13);
	return arm_realm_abi_of(check(host, vm_fd, KVM_CAP_MEMORY_ATTRIBUTES) > 0 ? REALM_ABI_V14
										  : REALM_ABI_V15);
}

static int find_version(const struct arm_realm_host *host, int vm_fd,
			const struct realm_config *cfg, u64 type, struct arm_realm_found *found)
{
	u32 number = cfg->cap ? cfg->cap : number_of_host(host);

	found->abi = arm_realm_abi_of(cfg->abi);
	if (found->abi) {
		found->cap = cfg->cap ? cfg->cap : found->abi->cap;
		return 0;
	}
	if (number && check(host, vm_fd, number) > 0) {
		found->cap = number;
		found->abi = guess(host, vm_fd, type, number);
		return 0;
	}
	for (size_t i = ARRAY_SIZE(abis); i-- && !found->abi && !cfg->cap;)
		if (abis[i].type == type && answers(host, vm_fd, &abis[i]))
			found->abi = &abis[i];
	if (!found->abi)
		return -EPROTO;
	found->cap = found->abi->cap;
	return 0;
}

int arm_realm_identify(const struct arm_realm_host *host, int vm_fd, const struct realm_config *cfg,
		       u64 type, struct arm_realm_found *found)
{
	int ret = find_version(host, vm_fd, cfg, type, found), attributes;

	if (ret || !found->abi->gmem_attributes)
		return ret;
	attributes = check(host, vm_fd, REALM_CAP_GMEM_ATTRIBUTES);
	/* Else no page can be populated. */
	return attributes > 0 && attributes & (int)KVM_MEMORY_ATTRIBUTE_PRIVATE ? 0 : -ENODATA;
}

int arm_realm_detect(const struct arm_realm_host *host, int sys_fd, const struct realm_config *cfg,
		     u32 ipa_bits, struct arm_realm_found *found)
{
	u64 type;
	int fd = create_any(host, sys_fd, cfg, ipa_bits, &type), ret;

	if (fd == -ENOSYS && ipa_bits > MIN_IPA_BITS) {
		fd = create_any(host, sys_fd, cfg, MIN_IPA_BITS, &type);
		if (fd >= 0)
			host->close(host->opaque, fd);
		return fd < 0 ? fd : -ERANGE;
	}
	if (fd < 0)
		return fd;
	ret = arm_realm_identify(host, fd, cfg, type, found);
	host->close(host->opaque, fd);
	return ret;
}

const char *arm_realm_why_not(int error)
{
	switch (error) {
	case -ENOSYS:
		return "this host's KVM has no realms: they need CPUs with FEAT_RME, an RMM in the "
		       "firmware, and a kernel with the patches for them (no Linux up to 7.3 has "
		       "them)";
	case -EPERM:
		return "this host's kernel knows realms, but no RMM answers: the firmware must "
		       "have one (TF-A with RME), and the kernel must run at EL2 with VHE";
	case -ERANGE:
		return "the RMM's address space is too small for this guest: decrease --mem, or "
		       "use --virtio-transport mmio";
	case -EPROTO:
		return "this host's KVM makes realms, but answers to no number of their "
		       "capability from v7 to v15: name the version by abi=, its number by cap=";
	case -ENODATA:
		return "this host's KVM must convert guest_memfd in place: load it with "
		       "kvm.gmem_in_place_conversion=1";
	default:
		return NULL;
	}
}

bool arm_realm_owns(const struct memory_region *r)
{
	return r->kind == MEM_RAM;
}

/* What cannot be had */

static const char *misfit_explicit(const struct arm_realm_abi *abi, const struct realm_config *cfg)
{
	if (cfg->hash == REALM_HASH_384)
		return "hash=sha384: that ABI has numbers for sha256 and sha512 alone";
	if (cfg->planes && !abi->planes)
		return "planes: they are a patch upon v10";
	return NULL;
}

/* In the words of the series: left for later. */
static const char *misfit_implicit(const struct realm_config *realm)
{
	if (realm->hash && realm->hash != REALM_HASH_256)
		return "hash: KVM always asks for sha256";
	if (realm->has_rpv)
		return "rpv: KVM gives the realm no personalization value";
	if (realm->planes)
		return "planes: KVM gives the realm none";
	return NULL;
}

const char *arm_realm_misfit(const struct arm_realm_abi *abi, const struct vm_config *cfg,
			     char *buf, size_t len)
{
	const struct realm_config *realm = &cfg->arm.realm;
	const char *what = abi->implicit ? misfit_implicit(realm) : misfit_explicit(abi, realm);

	if (!what)
		return NULL;
	snprintf(buf, len, "%s (realms of %s)", what, arm_realm_abi_name(abi));
	return buf;
}
