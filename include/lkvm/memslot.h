/* SPDX-License-Identifier: MIT */
/*
 * KVM's memory slots as a listener of guest memory (Linux Documentation/virt/kvm/api.rst, 4.35
 * KVM_SET_USER_MEMORY_REGION): each region has the lowest slot that is free, until it goes. A
 * region with a guest_memfd takes KVM_SET_USER_MEMORY_REGION2 (4.140). Where KVM keeps attributes
 * of pages (4.141: x86), they say which pages of a private region are private; elsewhere the
 * guest's firmware knows.
 */
#ifndef LKVM_MEMSLOT_H
#define LKVM_MEMSLOT_H

#include "lkvm/types.h"

struct guest_memory;
struct kvm;
struct memslots;

/* The VM behind the slots; in tests something else. */
struct memslot_vm {
	int (*ioctl)(void *opaque, unsigned long request, void *arg); /* 0 or -errno */
	int (*check_cap)(void *opaque, u32 cap);		      /* as kvm_check_cap */
	void *opaque;
	u32 max_slots; /* KVM_CAP_NR_MEMSLOTS */
};

/* Keep the slots of @vm equal to @mem from now on. 0, -ENOSPC (more regions than slots), -ENOTSUP
 * (a guest_memfd, and KVM has none), -ENOMEM, or KVM's errno; prints nothing. Regions that are
 * added later fail like that. */
int memslots_attach(const struct memslot_vm *vm, struct guest_memory *mem,
		    struct memslots **out) __must_check;
/* Delete all slots and free it. NULL is fine. */
void memslots_detach(struct memslots *slots, struct guest_memory *mem);

/* The same for @kvm, which keeps them. Where its VM was closed before, that deleted the slots: of a
 * protected VM that has run KVM lets nobody delete one (EPERM). */
int kvm_attach_memory(struct kvm *kvm, struct guest_memory *mem) __must_check;
void kvm_detach_memory(struct kvm *kvm, struct guest_memory *mem);

#endif
