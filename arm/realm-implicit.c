/* SPDX-License-Identifier: MIT */
/*
 * The launch of a realm by KVM's implicit ABI, v11 to v15: the first page makes the realm, the
 * first KVM_RUN its RECs, the state of its memory, and activates it. Nothing else is said; a call
 * does as much as it can and is repeated.
 */
#include <kvm-realm.h>

#include "arm.h"
#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/plan.h"
#include "lkvm/thread.h"
#include "lkvm/vm.h"
#include "realm.h"

/* Interruptions on end without a page between them: nothing but KVM does that. */
#define MAX_INTERRUPTIONS 1000U

/* One call. Returns the bytes that are done, and moves @p on by them; or -errno; what the RMM said
 * to a page is -EREMOTEIO with the answer in *status. */
static s64 populate_some(const struct vm *vm, struct realm_rmi_populate *p, int *status)
{
	const struct arm_realm *realm = vm->arch->realm;
	bool counts = realm->found.abi->counts;
	const struct realm_rmi_populate before = *p;
	int ret = realm->host->ioctl(realm->host->opaque, vm->kvm.vm_fd,
				     counts ? REALM_RMI_POPULATE_V11 : REALM_RMI_POPULATE,
				     (unsigned long)p);
	u64 done;

	if (ret < 0 && ret != -EINTR)
		return ret;
	if (!counts && ret > 0) {
		*status = ret;
		return -EREMOTEIO;
	}
	done = !counts ? before.size - p->size : ret > 0 ? (u64)ret : 0;
	if (done > before.size || done % BOOT_PAGE)
		return -EPROTO;
	p->base = before.base + done;
	p->size = before.size - done;
	p->source_uaddr = before.source_uaddr + done;
	if (!done)
		return ret == -EINTR ? -EINTR : -EPROTO;
	return (s64)done;
}

static int failed(const struct vm *vm, u64 gpa, int ret, int status)
{
	if (ret == -EREMOTEIO)
		err("--realm: populating 0x%llx: the RMM refuses a page (RMI status 0x%x)", gpa,
		    status);
	else if (ret == -ENXIO)
		err("--realm: populating 0x%llx: %s: the RMM refuses a page, or the realm: address "
		    "bits (--mem), SVE, breakpoints or watchpoints that it does not have",
		    gpa, strerror(-ret));
	else if (ret == -EPROTO)
		err("--realm: populating 0x%llx: KVM makes no progress; is its ABI %s? See abi=",
		    gpa, arm_realm_abi_name(vm->arch->realm->found.abi));
	else
		err("--realm: populating 0x%llx: %s%s; the host's kernel log may say more", gpa,
		    strerror(-ret), limit_hint(ret));
	return ret;
}

static int populate(const struct vm *vm, u64 gpa, u64 len, bool measured)
{
	struct realm_rmi_populate p = {
		.base = gpa,
		.size = len,
		.source_uaddr = (u64)(uintptr_t)vm->arch->realm->buffer,
		.flags = measured ? REALM_POPULATE_MEASURE : 0,
	};
	u32 interruptions = 0;
	int status = 0;

	while (p.size) {
		s64 done = populate_some(vm, &p, &status);

		if (done > 0)
			interruptions = 0;
		else if (done != -EINTR || ++interruptions == MAX_INTERRUPTIONS)
			return failed(vm, p.base, (int)done, status);
	}
	return 0;
}

int arm_realm_populate_implicit(struct vm *vm, const struct boot_plan *plan,
				const struct boot_run *run)
{
	u64 end = run->gpa + run->len;
	int ret = 0;

	for (u64 at = run->gpa, n; at < end && !ret; at += n) {
		n = MIN(end - at, ARM_REALM_CHUNK - at % ARM_REALM_CHUNK);
		ret = boot_plan_read(plan, at, vm->arch->realm->buffer, n);
		if (!ret)
			ret = populate(vm, at, n, run->measured);
	}
	return ret;
}
