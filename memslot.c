/* SPDX-License-Identifier: MIT */
/* KVM's memory slots, handed out to the regions of guest memory (see include/lkvm/memslot.h). */
#include "lkvm/memslot.h"

#include <stdlib.h>

#include "lkvm/kvm.h"
#include "lkvm/log.h"
#include "lkvm/memory.h"

#define FIRST_SLOTS 8U

/* Called with the guest memory locked, so this needs no lock of its own. */
struct memslots {
	struct memory_listener listener;
	struct memslot_vm vm;
	const struct memory_region **regions; /* by slot; NULL: it is free */
	u32 count;
	bool asked; /* the next two are known */
	bool has_guest_memfd;
	bool has_attributes;
};

/* The lowest slot that holds @region (NULL: a free one), or count. */
static u32 find_slot(const struct memslots *s, const struct memory_region *region)
{
	u32 i = 0;

	while (i < s->count && s->regions[i] != region)
		i++;
	return i;
}

/* More room, all of it free. */
static int grow(struct memslots *s)
{
	u32 count = MIN(s->count ? s->count * 2 : FIRST_SLOTS, s->vm.max_slots);
	const struct memory_region **regions;

	if (count <= s->count)
		return -ENOSPC;
	regions = realloc(s->regions, count * sizeof(regions[0]));
	if (!regions)
		return -ENOMEM;
	for (u32 i = s->count; i < count; i++)
		regions[i] = NULL;
	s->regions = regions;
	s->count = count;
	return 0;
}

/* Regions that need no guest_memfd are given the way that every KVM knows. */
static int set_plain_slot(const struct memslots *s, u32 slot, const struct memory_region *region,
			  u64 size)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.flags = region->kind == MEM_ROM || region->kind == MEM_PMEM_RO ? KVM_MEM_READONLY
										: 0,
		.guest_phys_addr = region->gpa,
		.memory_size = size,
		.userspace_addr = (u64)(uintptr_t)region->hva,
	};

	return s->vm.ioctl(s->vm.opaque, KVM_SET_USER_MEMORY_REGION, &r);
}

/* A slot with a guest_memfd may not be READONLY; of private ROM the guest owns the contents. */
static int set_guest_memfd_slot(const struct memslots *s, u32 slot,
				const struct memory_region *region)
{
	struct kvm_userspace_memory_region2 r = {
		.slot = slot,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_phys_addr = region->gpa,
		.memory_size = region->size,
		.userspace_addr = (u64)(uintptr_t)region->hva,
		.guest_memfd = (u32)region->private_fd,
	};

	if (!region->shared) {
		r.guest_memfd = (u32)region->fd;
		r.guest_memfd_offset = region->offset;
	}
	return s->vm.ioctl(s->vm.opaque, KVM_SET_USER_MEMORY_REGION2, &r);
}

static int set_private(const struct memslots *s, u64 gpa, u64 len, bool private)
{
	struct kvm_memory_attributes a = {
		.address = gpa,
		.size = len,
		.attributes = private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
	};

	return s->vm.ioctl(s->vm.opaque, KVM_SET_MEMORY_ATTRIBUTES, &a);
}

/* Asked for the first time when a region needs it: ordinary machines make no system call for it. */
static int learn_caps(struct memslots *s)
{
	const struct memslot_vm *vm = &s->vm;

	if (s->asked)
		return s->has_guest_memfd ? 0 : -ENOTSUP;
	s->has_guest_memfd = vm->check_cap(vm->opaque, KVM_CAP_USER_MEMORY2) > 0 &&
			     vm->check_cap(vm->opaque, KVM_CAP_GUEST_MEMFD) > 0;
	s->has_attributes = vm->check_cap(vm->opaque, KVM_CAP_MEMORY_ATTRIBUTES) &
			    (int)KVM_MEMORY_ATTRIBUTE_PRIVATE;
	s->asked = true;
	return learn_caps(s);
}

/* Pages are shared until they are said to be private, and no access falls in between. */
static int add_guest_memfd(struct memslots *s, u32 slot, const struct memory_region *region)
{
	bool private;
	int ret = learn_caps(s);

	if (ret)
		return ret;
	private = region->shared && s->has_attributes;
	if (private)
		ret = set_private(s, region->gpa, region->size, true);
	if (ret)
		return ret;
	ret = set_guest_memfd_slot(s, slot, region);
	if (ret && private)
		set_private(s, region->gpa, region->size, false);
	return ret;
}

static int slot_add(struct memory_listener *l, const struct memory_region *region)
{
	struct memslots *s = container_of(l, struct memslots, listener);
	u32 slot = find_slot(s, NULL);
	int ret = slot == s->count ? grow(s) : 0;

	if (ret)
		return ret;
	if (region->shared || region->backing == MEM_GUEST_MEMFD)
		ret = add_guest_memfd(s, slot, region);
	else
		ret = set_plain_slot(s, slot, region, region->size);
	if (!ret)
		s->regions[slot] = region;
	return ret;
}

static int slot_remove(struct memory_listener *l, const struct memory_region *region)
{
	struct memslots *s = container_of(l, struct memslots, listener);
	u32 slot = find_slot(s, region);
	int ret;

	if (slot == s->count)
		return 0;
	/* A size of 0 deletes it, whatever it was made of. */
	ret = set_plain_slot(s, slot, region, 0);
	if (ret)
		return ret;
	s->regions[slot] = NULL;
	/* Attributes outlive the slot; what comes to this place later is not private. */
	if (region->shared && s->has_attributes && set_private(s, region->gpa, region->size, false))
		warn("guest memory at 0x%llx (%s) was removed, but its pages are still private in "
		     "KVM",
		     region->gpa, region->name);
	return 0;
}

static int slot_convert(struct memory_listener *l, const struct memory_region *region, u64 offset,
			u64 len, bool shared)
{
	const struct memslots *s = container_of(l, struct memslots, listener);

	return s->has_attributes ? set_private(s, region->gpa + offset, len, !shared) : 0;
}

int memslots_attach(const struct memslot_vm *vm, struct guest_memory *mem, struct memslots **out)
{
	struct memslots *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	s->listener.add = slot_add;
	s->listener.remove = slot_remove;
	s->listener.convert = slot_convert;
	s->vm = *vm;
	ret = memory_add_listener(mem, &s->listener);
	if (ret) {
		free(s->regions);
		free(s);
		return ret;
	}
	*out = s;
	return 0;
}

void memslots_detach(struct memslots *s, struct guest_memory *mem)
{
	if (!s)
		return;
	memory_remove_listener(mem, &s->listener);
	free(s->regions);
	free(s);
}

static int vm_ioctl(void *opaque, unsigned long request, void *arg)
{
	const struct kvm *kvm = opaque;
	int ret;

	/* A VM that is closed took its slots along. */
	if (kvm->vm_fd < 0)
		return 0;
	ret = xioctl(kvm->vm_fd, request, arg);
	return ret < 0 ? ret : 0;
}

static int vm_check_cap(void *opaque, u32 cap)
{
	return kvm_check_cap(opaque, cap);
}

int kvm_attach_memory(struct kvm *kvm, struct guest_memory *mem)
{
	const struct memslot_vm vm = {
		.ioctl = vm_ioctl,
		.check_cap = vm_check_cap,
		.opaque = kvm,
		.max_slots = kvm_cap_or(kvm, KVM_CAP_NR_MEMSLOTS, 32),
	};

	return memslots_attach(&vm, mem, &kvm->slots);
}

void kvm_detach_memory(struct kvm *kvm, struct guest_memory *mem)
{
	memslots_detach(kvm->slots, mem);
	kvm->slots = NULL;
}
