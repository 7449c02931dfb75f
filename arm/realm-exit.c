/* SPDX-License-Identifier: MIT */
/*
 * A realm that runs: what it wants of its memory, which KVM tells by KVM_EXIT_MEMORY_FAULT (it has
 * asked the RMM for another RIPAS, or touched a page as what it is not), its end, and why it cannot
 * run. All of that is the guest's word, and bounded by the memory that it has.
 */
#include <time.h>

#include "arm.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/memory.h"
#include "lkvm/shared-map.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "realm.h"

#define PAGE (4 * KiB)

/* Asked for on end, and as it was before: KVM does not go on from there. */
#define MAX_EQUAL_FAULTS 100

/* Not before the VM stops is there something to do. */
#define OFF_PAUSE_NS 10000000L

/* What of [gpa, gpa+len) is memory of the realm's own in @r, as [*at, *at + *n). */
static bool part_of(const struct memory_region *r, u64 gpa, u64 len, u64 *at, u64 *n)
{
	u64 end = MIN(gpa + len, r->gpa + r->size);

	*at = MAX(gpa, r->gpa);
	*n = end > *at ? end - *at : 0;
	return r->shared && *n;
}

/* How much of it is, and is all of that @shared, or not, already? */
static u64 look(const struct guest_memory *mem, u64 gpa, u64 len, bool shared, bool *is_so)
{
	const struct memory_region *r;
	u64 sum = 0, at, n;

	*is_so = true;
	memory_for_each(mem, r) {
		if (!part_of(r, gpa, len, &at, &n))
			continue;
		sum += n;
		if (shared_map_run(r->shared, at - r->gpa, n, shared) < n)
			*is_so = false;
	}
	return sum;
}

static int convert(struct guest_memory *mem, u64 gpa, u64 len, bool shared)
{
	const struct memory_region *r;
	int ret = 0;
	u64 at, n;

	memory_for_each(mem, r) {
		if (!ret && part_of(r, gpa, len, &at, &n))
			ret = memory_set_shared(mem, at, n, shared);
	}
	return ret;
}

static bool comes_back(struct vcpu *vcpu, u64 gpa, u64 flags, bool is_so_already)
{
	if (!is_so_already || vcpu->fault.gpa != gpa || vcpu->fault.flags != flags) {
		vcpu->fault.gpa = gpa;
		vcpu->fault.flags = flags;
		vcpu->fault.times = 1;
		return false;
	}
	return ++vcpu->fault.times > MAX_EQUAL_FAULTS;
}

static void end_guest(struct vcpu *vcpu)
{
	vm_request_stop(vcpu->vm, VM_STOP_KVM_ERROR, 0, (s32)vcpu->id);
}

/*
 * The realm's own page and the shared one are two: the one that it does not use any more goes back
 * to the host. The RMM changes what it knows when the vcpu is entered again. What is no memory may
 * be shared, by firmware that says so of all that is none of its own; nothing happens there.
 */
static void memory_fault(struct vcpu *vcpu)
{
	const struct lkvm_exit_memory_fault *fault = (const void *)&vcpu->run->hw;
	u64 half = 1ULL << (vcpu->vm->arch->ipa_bits - 1), gpa = ALIGN_DOWN(fault->gpa, PAGE), len;
	bool private = fault->flags & KVM_MEMORY_EXIT_FLAG_PRIVATE, is_so;
	const char *as = private ? "its own" : "shared";
	int ret;

	if (fault->gpa >= half || fault->size > half - fault->gpa) {
		err("vcpu %u: the guest wants memory at 0x%llx (%llu bytes) to be %s, beyond its "
		    "addresses",
		    vcpu->id, fault->gpa, fault->size, as);
		return end_guest(vcpu);
	}
	len = ALIGN_UP(fault->gpa + MAX(fault->size, 1ULL), PAGE) - gpa;
	if (look(&vcpu->vm->mem, gpa, len, !private, &is_so) < len && private) {
		err("vcpu %u: the guest wants memory at 0x%llx (%llu bytes) to be its own, where "
		    "it has none",
		    vcpu->id, gpa, len);
		return end_guest(vcpu);
	}
	if (comes_back(vcpu, gpa, fault->flags, is_so)) {
		err("vcpu %u: memory at 0x%llx is %s, and KVM asks for that without end", vcpu->id,
		    gpa, as);
		return end_guest(vcpu);
	}
	ret = convert(&vcpu->vm->mem, gpa, len, !private);
	if (!ret)
		return;
	err("vcpu %u: memory at 0x%llx (%llu bytes) cannot become %s: %s", vcpu->id, gpa, len, as,
	    strerror(-ret));
	end_guest(vcpu);
}

/* The realm was switched off, which another vcpu knows and tells: this one has nothing to do. */
static void wait_for_end(void)
{
	const struct timespec pause = { .tv_nsec = OFF_PAUSE_NS };

	nanosleep(&pause, NULL);
}

int arm_realm_exit(struct vcpu *vcpu)
{
	switch (vcpu->run->exit_reason) {
	case KVM_EXIT_MEMORY_FAULT:
		memory_fault(vcpu);
		return 0;
	case KVM_EXIT_UNKNOWN:
		wait_for_end();
		return 0;
	}
	return -ENOTSUP;
}

/* With the implicit ABI the first run activates the realm, which a failure ends for good: has any
 * vcpu been inside? */
bool arm_realm_may_retry(struct vcpu *vcpu)
{
	const struct vm *vm = vcpu->vm;

	if (!vm->arch->realm->found.abi->implicit)
		return true;
	for (u32 i = 0; i < vm->nr_vcpus; i++)
		for (u32 slot = 0; slot < EXIT_REASONS; slot++)
			if (exit_counted(&vm->vcpus[i]->exits, slot))
				return true;
	return false;
}

int arm_realm_run_failed(struct vcpu *vcpu, int error)
{
	struct arm_realm *realm = vcpu->vm->arch->realm;
	bool implicit = realm->found.abi->implicit;

	/* One reason for all: a realm that failed once never runs. */
	if (atomic_exchange(&realm->failed_said, true))
		return 0;
	switch (error) {
	case ENXIO:
		err("--realm: vcpu %u: KVM_RUN: %s: the RMM refuses to %s; the host's kernel log "
		    "may say more",
		    vcpu->id, strerror(error),
		    implicit ? "make the realm (address bits, SVE, breakpoints, watchpoints that "
			       "it does not have), or to enter it"
			     : "enter it");
		break;
	case EINVAL:
		err("--realm: vcpu %u: KVM_RUN: %s: the guest asks for memory beyond its half of "
		    "the addresses%s",
		    vcpu->id, strerror(error), implicit ? ", or KVM cannot make this realm" : "");
		break;
	case EPERM:
		err("--realm: vcpu %u: KVM_RUN: %s: the realm is not active", vcpu->id,
		    strerror(error));
		break;
	default:
		return -ENOTSUP;
	}
	return 0;
}
