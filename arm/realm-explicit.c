/* SPDX-License-Identifier: MIT */
/*
 * The launch of a realm by KVM's explicit ABI, v7 to v10: each step is KVM_ENABLE_CAP of the
 * realm's capability. The order counts: INIT_RIPAS of all memory before the first page (the RMM
 * stops at a page that is populated, and the measurement is what verifiers expect), pages by
 * ascending address, RECs by ascending number.
 */
#include <kvm-realm.h>

#include "arm.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/memory-map.h"
#include "lkvm/memory.h"
#include "lkvm/plan.h"
#include "lkvm/thread.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "realm.h"

static int step(const struct vm *vm, enum realm_rme_op op, void *arg)
{
	const struct arm_realm *realm = vm->arch->realm;
	struct kvm_enable_cap cap = {
		.cap = realm->found.cap,
		.args = { op, (u64)(uintptr_t)arg },
	};
	int ret = realm->host->ioctl(realm->host->opaque, vm->kvm.vm_fd, KVM_ENABLE_CAP,
				     (unsigned long)&cap);

	return MIN(ret, 0);
}

static int failed(const char *what, int ret, const char *why)
{
	if (why)
		err("--realm: %s: %s: %s", what, strerror(-ret), why);
	else
		err("--realm: %s: %s%s; the host's kernel log may say more", what, strerror(-ret),
		    limit_hint(ret));
	return ret;
}

/* CONFIG */

static int configure_hash(struct vm *vm)
{
	enum realm_hash hash = vm->cfg->arm.realm.hash;
	struct realm_rme_config config = {
		.cfg = REALM_RME_CFG_HASH,
		.hash = hash == REALM_HASH_512 ? REALM_HASH_SHA512 : REALM_HASH_SHA256,
	};
	int ret = hash ? step(vm, REALM_RME_CONFIG, &config) : 0;

	if (ret)
		return failed("hash", ret,
			      ret == -EINVAL ? "the RMM does not have this hash; choose another "
					       "by hash="
					     : NULL);
	return 0;
}

static int configure_rpv(struct vm *vm)
{
	struct realm_rme_config config = { .cfg = REALM_RME_CFG_RPV };
	int ret;

	if (!vm->cfg->arm.realm.has_rpv)
		return 0;
	memcpy(config.rpv, arm_realm_rpv(vm), sizeof(config.rpv));
	ret = step(vm, REALM_RME_CONFIG, &config);
	return ret ? failed("rpv", ret, NULL) : 0;
}

/* The numbers of planes are those of a patch. There are kernels that mean something else by them,
 * and one is a question: what is asked must come back as it was. */
static int configure_plane(struct vm *vm, u32 cfg, u32 value)
{
	struct realm_rme_config config = { .cfg = cfg, .planes = value }, asked = config;
	int ret = step(vm, REALM_RME_CONFIG, &config);

	if (config.cfg != asked.cfg ||
	    memcmp(config.reserved, asked.reserved, sizeof(asked.reserved)) != 0)
		return ret ? ret : -EPROTO;
	return ret;
}

static int configure_planes(struct vm *vm)
{
	const struct realm_config *cfg = &vm->cfg->arm.realm;
	bool shared = cfg->tree == REALM_TREE_SHARED;
	int ret;

	if (!cfg->planes)
		return 0;
	ret = configure_plane(vm, REALM_RME_CFG_PLANES, cfg->planes);
	if (ret == -EINVAL)
		return failed("planes", ret,
			      "the RMM has not so many auxiliary planes, or this KVM has none; "
			      "decrease planes=");
	if (ret)
		return failed("planes", ret,
			      ret == -EPROTO
				      ? "this KVM has something else than planes there; omit "
					"planes="
				      : NULL);
	/* A tree for each plane is what every RMM with planes has. */
	ret = configure_plane(vm, REALM_RME_CFG_TREE_PP, !shared);
	if (ret)
		return failed("rtt-tree", ret,
			      ret == -EINVAL && shared
				      ? "the RMM knows only a tree for each plane; use "
					"rtt-tree=per-plane"
				      : NULL);
	return 0;
}

int arm_realm_configure(struct vm *vm)
{
	int ret = configure_hash(vm);

	if (!ret)
		ret = configure_rpv(vm);
	return ret ? ret : configure_planes(vm);
}

/* CREATE, INIT_RIPAS */

static const char *why_not_created(const struct vm *vm, int ret)
{
	const struct realm_config *cfg = &vm->cfg->arm.realm;

	switch (ret) {
	case -EBUSY:
		return "no VMID is free: end another realm";
	case -EINVAL:
		return "the vcpus' SVE vectors are not what the RMM has; use --sve-max-vl or "
		       "--disable-sve";
	case -ENXIO:
		if (cfg->planes && cfg->tree == REALM_TREE_SHARED)
			return "the RMM refuses it: a tree that planes share needs indirect "
			       "permissions, which KVM does not ask for; use rtt-tree=per-plane";
		if (cfg->planes)
			return "the RMM refuses it: it has fewer planes, or has them with "
			       "rtt-tree=shared alone; else address bits (--mem), SVE, "
			       "breakpoints, watchpoints or counters that it does not have";
		return "the RMM refuses it: address bits (--mem), SVE, breakpoints, watchpoints or "
		       "counters that it does not have";
	}
	return NULL;
}

static int init_ripas(struct vm *vm, const struct memory_region *r)
{
	struct realm_rme_ripas ripas = { .base = r->gpa, .size = r->size };
	int ret = step(vm, REALM_RME_INIT_RIPAS, &ripas);

	if (ret)
		return failed("making memory the realm's (INIT_RIPAS)", ret,
			      ret == -ENXIO
				      ? "the RMM refuses it: it is not in the lower half of the "
					"realm's addresses"
				      : NULL);
	return 0;
}

int arm_realm_create(struct vm *vm)
{
	const struct memory_region *r;
	int ret = step(vm, REALM_RME_CREATE, NULL);

	if (ret)
		return failed("creating the realm (CREATE)", ret, why_not_created(vm, ret));
	memory_for_each(&vm->mem, r) {
		if (!arm_realm_owns(r))
			continue;
		ret = init_ripas(vm, r);
		if (ret)
			return ret;
	}
	return 0;
}

/* POPULATE */

/* Through the slot's memory in user space, which is nobody's but ours as long as the page is the
 * realm's own, and goes back to the host at once. */
static int populate(struct vm *vm, const struct boot_plan *plan, const struct boot_run *run,
		    const struct memory_region *r, u64 gpa, u64 len)
{
	struct realm_rme_populate args = {
		.base = gpa,
		.size = len,
		.flags = run->measured ? REALM_POPULATE_MEASURE : 0,
	};
	u64 offset = gpa - r->gpa;
	int ret = boot_plan_read(plan, gpa, (u8 *)r->hva + offset, len);

	if (!ret) {
		ret = step(vm, REALM_RME_POPULATE, &args);
		if (ret)
			failed("populating the realm (POPULATE)", ret,
			       ret == -ENXIO ? "the RMM refuses a page" : NULL);
	}
	memory_discard(r, offset, len);
	return ret;
}

int arm_realm_populate(struct vm *vm, const struct boot_plan *plan, const struct boot_run *run)
{
	const struct memory_region *r = memory_find(&vm->mem, run->gpa);
	u64 end = run->gpa + run->len;
	int ret = 0;

	if (!r || r->private_fd < 0 || end > r->gpa + r->size) {
		err("--realm: 0x%llx: what the guest starts from lies outside of its memory",
		    run->gpa);
		return -EFAULT;
	}
	for (u64 at = run->gpa, n; at < end && !ret; at += n) {
		/* KVM goes by blocks of 2 MiB. */
		n = MIN(end - at, ARM_REALM_CHUNK - at % ARM_REALM_CHUNK);
		ret = populate(vm, plan, run, r, at, n);
	}
	return ret;
}

/* RECs, ACTIVATE */

int arm_realm_finalize(struct vcpu *vcpu)
{
	const struct arm_realm *realm = vcpu->vm->arch->realm;
	int feature = (int)realm->found.abi->rec, ret;
	char what[64];

	ret = realm->host->ioctl(realm->host->opaque, vcpu->fd, KVM_ARM_VCPU_FINALIZE,
				 (unsigned long)&feature);
	if (ret >= 0)
		return 0;
	snprintf(what, sizeof(what), "making the REC of vcpu %u (FINALIZE)", vcpu->id);
	return failed(what, ret, ret == -ENXIO ? "the RMM refuses it" : NULL);
}

int arm_realm_activate(struct vm *vm)
{
	int ret = step(vm, REALM_RME_ACTIVATE, NULL);

	return ret ? failed("activating the realm (ACTIVATE)", ret, NULL) : 0;
}
