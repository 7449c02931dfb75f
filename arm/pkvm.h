/* SPDX-License-Identifier: MIT */
/*
 * Protected guests (Linux Documentation/virt/kvm/arm/pkvm.rst): the hypervisor takes each page that
 * the guest uses away from the host, but for those that the guest gives back to share them.
 */
#ifndef LKVM_ARM_PKVM_H
#define LKVM_ARM_PKVM_H

#include <stdbool.h>
#include <sys/resource.h>

#include "lkvm/types.h"

struct coco_ops;
struct guest_memory;
struct kvm;
struct vm_config;

/*
 * The guest's drivers put what devices are to see into this pool, which the guest shares: as much
 * as Linux's own bounce buffers have (CONFIG_SWIOTLB_DEFAULT_SIZE_MB).
 */
#define ARM_DMA_POOL_SIZE (64 * MiB)

/* What is asked of the host; unit tests have another. Each returns 0, a file descriptor or -errno.
 */
struct arm_pkvm_host {
	int (*create_vm)(const struct kvm *kvm, u64 type);
	int (*get_limit)(struct rlimit *limit);
	int (*set_limit)(const struct rlimit *limit);
	bool (*may_lock)(void); /* CAP_IPC_LOCK: the limit does not count */
};
extern const struct arm_pkvm_host arm_pkvm_host;

/* What --protected excludes, without a host. Prints, -EINVAL. */
int arm_pkvm_check(const struct vm_config *cfg) __must_check;
/* Make *type, of arch_vm_type, that of a protected VM. Prints why this host has none; -errno. */
int arm_pkvm_vm_type(const struct arm_pkvm_host *host, const struct kvm *kvm,
		     u64 *type) __must_check;
/* KVM locks every page that the guest uses: let it lock @size bytes. Prints; -errno. */
int arm_pkvm_lock_limit(const struct arm_pkvm_host *host, u64 size) __must_check;
/*
 * Once the guest runs, touching what it does not share raises SIGSEGV (pkvm.rst). That happens only
 * by a driver that breaks the rules, and must not end lkvm: the device finds zeroes there. For the
 * regions that @mem has now; any number of VMs. The caller ends it before the memory goes, which is
 * safe without a guard too.
 */
void arm_pkvm_guard(const struct guest_memory *mem);
void arm_pkvm_unguard(const struct guest_memory *mem);
/* The table of protected guests where @cfg asks for one, else NULL. */
const struct coco_ops *arm_pkvm_ops(const struct vm_config *cfg);

#endif
