/* SPDX-License-Identifier: MIT */
/* KVM's memory slots, handed out to the regions of guest memory (see include/lkvm/memslot.h). */
#include "lkvm/memslot.h"

#include <stdlib.h>

#include "lkvm/kvm.h"
#include "lkvm/memory.h"

#define FIRST_SLOTS 8U

/* Called with the guest memory locked, so this needs no lock of its own. */
struct memslots {
	struct memory_listener listener;
	struct memslot_vm vm;
	const struct memory_region **regions; /* by slot; NULL: it is free */
	u32 count;
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

static int set_slot(const struct memslots *s, u32 slot, const struct memory_region *region,
		    u64 size)
{
	struct kvm_userspace_memory_region r = {
		.slot = slot,
		.flags = region->kind == MEM_ROM ? KVM_MEM_READONLY : 0,
		.guest_phys_addr = region->gpa,
		.memory_size = size,
		.userspace_addr = (u64)(uintptr_t)region->hva,
	};

	return s->vm.ioctl(s->vm.opaque, KVM_SET_USER_MEMORY_REGION, &r);
}

static int slot_add(struct memory_listener *l, const struct memory_region *region)
{
	struct memslots *s = container_of(l, struct memslots, listener);
	u32 slot = find_slot(s, NULL);
	int ret = slot == s->count ? grow(s) : 0;

	if (ret)
		return ret;
	ret = set_slot(s, slot, region, region->size);
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
	/* A size of 0 deletes it (api.rst, 4.35). */
	ret = set_slot(s, slot, region, 0);
	if (!ret)
		s->regions[slot] = NULL;
	return ret;
}

int memslots_attach(const struct memslot_vm *vm, struct guest_memory *mem, struct memslots **out)
{
	struct memslots *s = calloc(1, sizeof(*s));
	int ret;

	if (!s)
		return -ENOMEM;
	s->listener.add = slot_add;
	s->listener.remove = slot_remove;
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
	int ret = xioctl(kvm->vm_fd, request, arg);

	return ret < 0 ? ret : 0;
}

int kvm_attach_memory(struct kvm *kvm, struct guest_memory *mem)
{
	const struct memslot_vm vm = {
		.ioctl = vm_ioctl,
		.opaque = kvm,
		.max_slots = kvm->max_slots,
	};

	return memslots_attach(&vm, mem, &kvm->slots);
}

void kvm_detach_memory(struct kvm *kvm, struct guest_memory *mem)
{
	memslots_detach(kvm->slots, mem);
	kvm->slots = NULL;
}
