/* SPDX-License-Identifier: MIT */
/*
 * Memory slots, guest_memfd and attributes as the generic part of KVM checks them (Linux 7.3,
 * virt/kvm/kvm_main.c and guest_memfd.c; api.rst). What a kind forbids besides is in its hooks.
 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "model-files.h"
#include "model.h"

const struct model_slot *model_find_slot(const struct model_vm *vm, u64 gpa)
{
	for (size_t i = 0; i < vm->nr_slots; i++)
		if (gpa >= vm->slots[i].gpa && gpa - vm->slots[i].gpa < vm->slots[i].size)
			return &vm->slots[i];
	return NULL;
}

u8 *model_gmem_at(const struct model_vm *vm, u64 gpa)
{
	const struct model_slot *slot = model_find_slot(vm, gpa);

	if (!slot || !slot->gmem)
		return NULL;
	return slot->gmem->map + slot->gmem_offset + (gpa - slot->gpa);
}

u64 model_resident(const struct model_vm *vm, u64 start, u64 end, bool private)
{
	u64 n = 0;

	for (u64 gpa = start; gpa < end; gpa += MODEL_PAGE) {
		const struct model_slot *slot = model_find_slot(vm, gpa);
		u8 there = 0, *page;

		if (!slot || !slot->gmem)
			continue;
		page = private ? model_gmem_at(vm, gpa)
			       : (u8 *)model_pointer(slot->hva + (gpa - slot->gpa));
		if (!mincore(page, MODEL_PAGE, &there))
			n += there & 1;
	}
	return n;
}

void model_gmem_put(struct model_gmem *gmem)
{
	if (!gmem || --gmem->users)
		return;
	munmap(gmem->map, gmem->size);
	free(gmem);
}

/* guest_memfd.c, kvm_gmem_release: slots hold no reference and lose what is behind them. */
void model_gmem_closed(struct model_gmem *gmem)
{
	if (--gmem->fds || gmem->vm->gone)
		return;
	for (size_t i = 0; i < gmem->vm->nr_slots; i++)
		if (gmem->vm->slots[i].gmem == gmem)
			model_broken(0, "slot %u: its guest_memfd was closed under it",
				     gmem->vm->slots[i].id);
}

static long create_gmem(struct model_call *c)
{
	struct kvm_create_guest_memfd create;
	struct model_gmem *gmem;
	int fd;

	if (model_read(&create, c->arg, sizeof(create)))
		return -EFAULT;
	model_note(c, "size", "%llu", create.size);
	model_note(c, "flags", "%llu", create.flags);
	if (create.flags & ~c->vm->gmem_flags)
		return model_broken(-EINVAL,
				    "KVM_CREATE_GUEST_MEMFD: flags 0x%llx, this VM has 0x%llx",
				    create.flags, c->vm->gmem_flags);
	if ((s64)create.size <= 0 || !MODEL_ALIGNED(create.size))
		return model_broken(-EINVAL, "KVM_CREATE_GUEST_MEMFD: size 0x%llx", create.size);
	for (u32 i = 0; i < MODEL_ARRAY(create.reserved); i++)
		if (create.reserved[i])
			model_broken(0, "KVM_CREATE_GUEST_MEMFD: reserved[%u] is not zero", i);
	fd = model_new_fd("guest_memfd", create.size, MODEL_GMEM);
	if (fd < 0)
		return fd;
	gmem = calloc(1, sizeof(*gmem));
	if (!gmem)
		abort();
	*gmem = (struct model_gmem){ c->vm, create.size, create.flags, NULL, 1, 1 };
	gmem->map = model_libc_mmap(NULL, create.size, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_NORESERVE, fd, 0);
	if (gmem->map == MAP_FAILED) {
		free(gmem);
		model_close(fd);
		model_drop_fd(fd);
		return -ENOMEM;
	}
	model_file(fd)->gmem = gmem;
	model_file(fd)->vm = c->vm;
	return fd;
}

/* Without the flag there is nothing to map; private mappings there are never. */
long model_may_map(int fd, int flags)
{
	const struct model_file *f = model.kind ? model_file(fd) : NULL;

	if (!f || f->type != MODEL_GMEM)
		return 0;
	if (!(f->gmem->flags & GUEST_MEMFD_FLAG_MMAP))
		return model_broken(-ENODEV, "mmap of a guest_memfd that was made without MMAP");
	return flags & MAP_SHARED ? 0 : model_broken(-EINVAL, "private mmap of a guest_memfd");
}

long model_may_allocate(int fd, int mode, u64 offset, u64 len)
{
	const struct model_file *f = model.kind ? model_file(fd) : NULL;

	if (!f || f->type != MODEL_GMEM)
		return 0;
	if (!(mode & FALLOC_FL_KEEP_SIZE) || mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE))
		return model_broken(-EOPNOTSUPP, "fallocate of a guest_memfd: mode 0x%x", mode);
	if (!MODEL_ALIGNED(offset | len) || !len)
		return model_broken(-EINVAL, "fallocate of a guest_memfd: 0x%llx at 0x%llx", len,
				    offset);
	if (mode & FALLOC_FL_PUNCH_HOLE && f->vm->kind && f->vm->kind->punch) {
		pthread_mutex_lock(&model_lock);
		f->vm->kind->punch(f->gmem, offset, len);
		pthread_mutex_unlock(&model_lock);
	}
	return 0;
}

static struct model_slot *slot_by_id(struct model_vm *vm, u32 id)
{
	for (size_t i = 0; i < vm->nr_slots; i++)
		if (vm->slots[i].id == id)
			return &vm->slots[i];
	return NULL;
}

static void delete_slot(struct model_vm *vm, struct model_slot *slot)
{
	size_t i = (size_t)(slot - vm->slots);

	model_gmem_put(slot->gmem);
	memmove(slot, slot + 1, (vm->nr_slots - i - 1) * sizeof(*slot));
	vm->nr_slots--;
}

static void insert_slot(struct model_vm *vm, const struct model_slot *slot)
{
	size_t i = vm->nr_slots;

	vm->slots = realloc(vm->slots, (vm->nr_slots + 1) * sizeof(*slot));
	if (!vm->slots)
		abort();
	while (i && vm->slots[i - 1].gpa > slot->gpa)
		i--;
	memmove(&vm->slots[i + 1], &vm->slots[i], (vm->nr_slots - i) * sizeof(*slot));
	vm->slots[i] = *slot;
	vm->nr_slots++;
	if (slot->gmem)
		slot->gmem->users++;
}

static bool overlaps(const struct model_vm *vm, const struct model_slot *slot)
{
	for (size_t i = 0; i < vm->nr_slots; i++)
		if (vm->slots[i].id != slot->id && vm->slots[i].gpa < slot->gpa + slot->size &&
		    slot->gpa < vm->slots[i].gpa + vm->slots[i].size)
			return true;
	return false;
}

/* guest_memfd.c, kvm_gmem_bind */
static long bind_gmem(struct model_vm *vm, struct model_slot *slot, int fd)
{
	const struct model_file *f = model_file(fd);

	if (f->type == MODEL_NONE && fcntl(fd, F_GETFD) < 0)
		return model_broken(-EBADF, "slot %u: guest_memfd %d is closed", slot->id, fd);
	if (f->type != MODEL_GMEM || f->gmem->vm != vm)
		return model_broken(-EINVAL, "slot %u: %d is no guest_memfd of this VM", slot->id,
				    fd);
	if (!MODEL_ALIGNED(slot->gmem_offset) || slot->gmem_offset + slot->size < slot->size ||
	    slot->gmem_offset + slot->size > f->gmem->size)
		return model_broken(-EINVAL, "slot %u: 0x%llx at 0x%llx is beyond its guest_memfd",
				    slot->id, slot->size, slot->gmem_offset);
	for (size_t i = 0; i < vm->nr_slots; i++) {
		const struct model_slot *o = &vm->slots[i];

		if (o->gmem == f->gmem && o->gmem_offset < slot->gmem_offset + slot->size &&
		    slot->gmem_offset < o->gmem_offset + o->size)
			return model_broken(-EEXIST, "slot %u: slot %u has that of the guest_memfd",
					    slot->id, o->id);
	}
	slot->gmem = f->gmem;
	return 0;
}

/* kvm_main.c, check_memory_region_flags and kvm_set_memory_region */
static long check_slot(const struct kvm_userspace_memory_region2 *r)
{
	u64 legal = KVM_MEM_LOG_DIRTY_PAGES | KVM_MEM_READONLY | KVM_MEM_GUEST_MEMFD;

	if (r->flags & KVM_MEM_GUEST_MEMFD)
		legal = KVM_MEM_GUEST_MEMFD;
	if (r->flags & ~legal)
		return model_broken(-EINVAL, "slot %u: flags 0x%x", r->slot, r->flags);
	if (!MODEL_ALIGNED(r->memory_size | r->guest_phys_addr | r->userspace_addr))
		return model_broken(-EINVAL, "slot %u: it is not aligned", r->slot);
	if (r->guest_phys_addr + r->memory_size < r->guest_phys_addr)
		return model_broken(-EINVAL, "slot %u: it wraps", r->slot);
	return 0;
}

static long remove_slot(struct model_vm *vm, struct model_slot *old, u32 id)
{
	struct model_slot gone = { .id = id };
	long ret;

	if (!old)
		return model_broken(-EINVAL, "slot %u: it is deleted, but there is none", id);
	ret = vm->kind && vm->kind->slot ? vm->kind->slot(vm, &gone) : 0;
	if (ret)
		return ret;
	delete_slot(vm, old);
	return 0;
}

static long change_slot(struct model_vm *vm, const struct model_slot *old, struct model_slot *slot,
			u32 gmem_fd)
{
	bool private = slot->flags & KVM_MEM_GUEST_MEMFD;
	long ret = 0;

	if (old && (private || old->gmem))
		return model_broken(-EINVAL, "slot %u: with a guest_memfd it cannot be changed",
				    slot->id);
	if (old && (old->size != slot->size || old->hva != slot->hva ||
		    (old->flags ^ slot->flags) & KVM_MEM_READONLY))
		return model_broken(-EINVAL, "slot %u: only its address and flags can be changed",
				    slot->id);
	if (overlaps(vm, slot))
		return model_broken(-EEXIST, "slot %u: 0x%llx at 0x%llx overlaps another", slot->id,
				    slot->size, slot->gpa);
	if (private)
		ret = bind_gmem(vm, slot, (int)gmem_fd);
	if (!ret && !model.host_kvm && model_machine.slot)
		ret = model_machine.slot(vm, slot);
	if (!ret && vm->kind && vm->kind->slot)
		ret = vm->kind->slot(vm, slot);
	return ret;
}

static long set_slot(struct model_call *c, bool has_gmem)
{
	struct kvm_userspace_memory_region2 r = { 0 };
	struct model_vm *vm = c->vm;
	struct model_slot slot, *old;
	long ret;

	if (model_read(&r, c->arg,
		       has_gmem ? sizeof(r) : sizeof(struct kvm_userspace_memory_region)))
		return -EFAULT;
	model_note(c, "slot", "%u", r.slot);
	model_note(c, "gpa", "\"0x%llx\"", r.guest_phys_addr);
	model_note(c, "size", "%llu", r.memory_size);
	model_note(c, "flags", "%u", r.flags);
	if (!has_gmem && r.flags & KVM_MEM_GUEST_MEMFD)
		return model_broken(-EINVAL, "slot %u: the old call knows no guest_memfd", r.slot);
	ret = check_slot(&r);
	if (ret)
		return ret;
	old = slot_by_id(vm, r.slot);
	slot = (struct model_slot){ r.slot,	      r.flags, r.guest_phys_addr,   r.memory_size,
				    r.userspace_addr, NULL,    r.guest_memfd_offset };
	if (!r.memory_size) {
		ret = remove_slot(vm, old, r.slot);
	} else {
		ret = change_slot(vm, old, &slot, r.guest_memfd);
		if (!ret && old)
			delete_slot(vm, old);
		if (!ret)
			insert_slot(vm, &slot);
	}
	return ret || !model.host_kvm ? ret : model_real_memory(vm);
}

/* kvm_main.c, kvm_vm_ioctl_set_mem_attributes */
static long set_attributes(struct model_call *c)
{
	struct kvm_memory_attributes a;
	struct model_vm *vm = c->vm;
	bool private;

	if (vm->no_attributes)
		return -ENOTTY;
	if (model_read(&a, c->arg, sizeof(a)))
		return -EFAULT;
	private = a.attributes & KVM_MEMORY_ATTRIBUTE_PRIVATE;
	model_note(c, "gpa", "\"0x%llx\"", a.address);
	model_note(c, "size", "%llu", a.size);
	model_note(c, "private", "%s", private ? "true" : "false");
	if (a.flags)
		return model_broken(-EINVAL, "KVM_SET_MEMORY_ATTRIBUTES: flags 0x%llx", a.flags);
	if (a.attributes & ~KVM_MEMORY_ATTRIBUTE_PRIVATE || (a.attributes && !vm->kind))
		return model_broken(-EINVAL, "KVM_SET_MEMORY_ATTRIBUTES: attributes 0x%llx",
				    a.attributes);
	if (!a.size || a.address + a.size < a.address)
		return model_broken(-EINVAL, "KVM_SET_MEMORY_ATTRIBUTES: size 0x%llx at 0x%llx",
				    a.size, a.address);
	if (!MODEL_ALIGNED(a.address | a.size))
		return model_broken(-EINVAL, "KVM_SET_MEMORY_ATTRIBUTES: it is not aligned");
	if (vm->kind && vm->kind->convert)
		vm->kind->convert(vm, a.address, a.size, private);
	if (private)
		model_set_add(&vm->private, a.address, a.address + a.size);
	else
		model_set_remove(&vm->private, a.address, a.address + a.size);
	return model.host_kvm ? model_real_memory(vm) : 0;
}

long model_memory(struct model_call *c)
{
	if (c->file->type != MODEL_VM)
		return MODEL_PASS;
	switch (c->request) {
	case KVM_CREATE_GUEST_MEMFD:
		return create_gmem(c);
	case KVM_SET_USER_MEMORY_REGION:
		return set_slot(c, false);
	case KVM_SET_USER_MEMORY_REGION2:
		return set_slot(c, true);
	case KVM_SET_MEMORY_ATTRIBUTES:
		return set_attributes(c);
	}
	return MODEL_PASS;
}
