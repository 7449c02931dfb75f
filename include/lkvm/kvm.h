/* SPDX-License-Identifier: MIT */
/* The file descriptors of KVM and its capabilities (Linux Documentation/virt/kvm/api.rst). */
#ifndef LKVM_KVM_H
#define LKVM_KVM_H

#include <kvm-compat.h>
#include <stdatomic.h>

#include "lkvm/types.h"

struct memslots;

struct kvm {
	int sys_fd;		/* /dev/kvm */
	int vm_fd;		/* -1 until kvm_create_vm */
	u64 vm_type;		/* what it was made with */
	u32 run_size;		/* bytes to map of a vcpu fd */
	atomic_int *caps;	/* what KVM answered; NULL: it is asked each time */
	struct memslots *slots; /* of memslot.h; NULL until memory is attached */
	/* KVM refused what it refuses to no working VM, and the guest would wait for ever: to end
	 * it. Any thread; NULL until there is a machine. */
	void (*broken)(struct kvm *kvm);
};

/* Open @path and check the API version. Prints what is wrong and the remedy; 0 or -errno. */
int kvm_open(struct kvm *kvm, const char *path) __must_check;
/* Create the VM of @type (0: the default). Prints on failure. */
int kvm_create_vm(struct kvm *kvm, u64 type) __must_check;
/*
 * KVM_CHECK_EXTENSION on the VM where there is one, else on the system fd; 0 when unknown. The
 * answers of each are kept: KVM is asked once. Any thread.
 */
int kvm_check_cap(const struct kvm *kvm, u32 cap);
/* The same, or @fallback where KVM does not say. */
u32 kvm_cap_or(const struct kvm *kvm, u32 cap, u32 fallback);
/*
 * Can a VM have @cpus vcpus, with ids from 0 on? Prints the number that is too much for KVM and the
 * one that is not; 0 or -EINVAL. The second says so where they are more than KVM recommends.
 */
int kvm_check_vcpus(const struct kvm *kvm, u32 cpus) __must_check;
void kvm_advise_vcpus(const struct kvm *kvm, u32 cpus);
/* A capability without which nothing works, and what it is needed for. */
struct kvm_need {
	u32 cap;
	const char *name, *why;
};
/* Are all there? Prints each that is missing; -ENOTSUP. */
int kvm_require(const struct kvm *kvm, const struct kvm_need *needs, size_t n) __must_check;
/* KVM_CREATE_DEVICE; *fd, the caller's, where a device was made (@fd may be NULL with
 * KVM_CREATE_DEVICE_TEST). 0 or -errno, prints nothing. */
int kvm_create_device(const struct kvm *kvm, u32 type, u32 flags, int *fd) __must_check;
/* KVM_ENABLE_CAP on the VM; 0 or -errno, prints nothing. */
int kvm_enable_cap(const struct kvm *kvm, u32 cap, u64 arg0) __must_check;
/* KVM_CAP_HALT_POLL: the VM's longest poll before an idle vcpu sleeps. Prints on failure. */
int kvm_set_halt_poll(const struct kvm *kvm, u32 ns) __must_check;
/*
 * A new guest_memfd of @size bytes (of whole pages) with GUEST_MEMFD_FLAG_* in @flags, for
 * memory.h. The descriptor, the caller's, or -errno; prints nothing.
 */
int kvm_create_guest_memfd(const struct kvm *kvm, u64 size, u64 flags) __must_check;
/* Close the VM alone, or all. Memory was detached before. Safe when there is none. */
void kvm_close_vm(struct kvm *kvm);
void kvm_close(struct kvm *kvm);

/* ioctl that retries EINTR and returns its value or -errno. Not for KVM_RUN. */
int xioctl(int fd, unsigned long request, void *arg);
int xioctl_val(int fd, unsigned long request, unsigned long arg);

#endif
