/* SPDX-License-Identifier: MIT */
/*
 * What of a realm's memory is private. Up to v14 the VM has attributes, by guest address; in v15 a
 * guest_memfd has them, by its offsets, where KVM was loaded with in-place conversion.
 */
#include "cca.h"

/* struct kvm_memory_attributes2, 128 bytes */
struct gmem_attributes {
	u64 offset, size, attributes, flags, error_offset, reserved[11];
};
_Static_assert(sizeof(struct gmem_attributes) == 128, "struct kvm_memory_attributes2");

/* In v15 only of memory that is converted in place: what was made without INIT_SHARED stays
 * private, and the shared half is the slot's other memory. */
bool cca_has_attributes(const struct model_vm *vm, u64 gpa)
{
	const struct model_slot *slot;

	if (!cca_host.gen->no_vm_attributes)
		return true;
	slot = model_find_slot(vm, gpa);
	return cca_host.in_place && slot && slot->gmem &&
	       slot->gmem->flags & GUEST_MEMFD_FLAG_INIT_SHARED;
}

/* All of it is private at first, unless it was made otherwise. */
static struct model_set *private_of(struct cca_realm *realm, const struct model_gmem *gmem)
{
	u32 i = 0;

	while (i < realm->nr_gmems && realm->gmems[i].gmem != gmem)
		i++;
	if (i < realm->nr_gmems)
		return &realm->gmems[i].private;
	if (i == CCA_MAX_GMEMS)
		model_usage("a realm has at most %d guest_memfds", CCA_MAX_GMEMS);
	realm->gmems[i].gmem = gmem;
	realm->nr_gmems++;
	if (!(gmem->flags & GUEST_MEMFD_FLAG_INIT_SHARED))
		model_set_add(&realm->gmems[i].private, 0, gmem->size);
	return &realm->gmems[i].private;
}

void cca_gmem_free(struct cca_realm *realm)
{
	for (u32 i = 0; i < realm->nr_gmems; i++)
		model_set_free(&realm->gmems[i].private);
	realm->nr_gmems = 0;
	model_set_free(&realm->punched);
}

bool cca_is_private(const struct model_vm *vm, u64 gpa)
{
	const struct model_slot *slot;

	if (!cca_host.gen->no_vm_attributes)
		return model_set_has(&vm->private, gpa);
	slot = model_find_slot(vm, gpa);
	return cca_host.in_place && slot && slot->gmem &&
	       model_set_has(private_of(cca_realm(vm), slot->gmem),
			     slot->gmem_offset + (gpa - slot->gpa));
}

bool cca_are_all(const struct model_vm *vm, u64 gpa, u64 size, bool private)
{
	for (u64 at = gpa; at < gpa + size; at += MODEL_PAGE)
		if (cca_is_private(vm, at) != private)
			return false;
	return true;
}

/* A guest address that a guest_memfd's offset has by a slot. */
static void mark_punched(struct model_vm *vm, const struct model_gmem *gmem, u64 offset, u64 len)
{
	for (size_t i = 0; i < vm->nr_slots; i++) {
		const struct model_slot *s = &vm->slots[i];
		u64 start = MAX(offset, s->gmem_offset);
		u64 end = MIN(offset + len, s->gmem_offset + s->size);

		if (s->gmem == gmem && start < end)
			model_set_add(&cca_realm(vm)->punched, s->gpa + (start - s->gmem_offset),
				      s->gpa + (end - s->gmem_offset));
	}
}

void cca_gmem_punch(struct model_gmem *gmem, u64 offset, u64 len)
{
	struct cca_realm *realm = cca_realm(gmem->vm);

	mark_punched(gmem->vm, gmem, offset, len);
	if (cca_host.gen->no_vm_attributes && realm->state == CCA_ACTIVE &&
	    !model_set_has_all(private_of(realm, gmem), offset, offset + len))
		model_broken(0,
			     "a hole at 0x%llx of a guest_memfd that is shared: the granules are "
			     "lost; it is punched while it is private",
			     offset);
}

static long set_attributes(struct model_call *c)
{
	const struct model_gmem *gmem = c->file->gmem;
	struct model_set *private = private_of(cca_realm(c->vm), gmem);
	struct gmem_attributes a;

	if (model_read(&a, c->arg, sizeof(a)))
		return -EFAULT;
	model_note(c, "offset", "\"0x%llx\"", a.offset);
	model_note(c, "size", "%llu", a.size);
	model_note(c, "private", "%s", a.attributes ? "true" : "false");
	if (!a.size) /* how its presence is found */
		return -EINVAL;
	for (size_t i = 0; i < MODEL_ARRAY(a.reserved); i++)
		if (a.reserved[i])
			return model_broken(-EINVAL, "attributes of a guest_memfd: reserved[%zu]",
					    i);
	if (a.flags || a.attributes & ~KVM_MEMORY_ATTRIBUTE_PRIVATE)
		return model_broken(-EINVAL, "attributes of a guest_memfd: flags 0x%llx, 0x%llx",
				    a.flags, a.attributes);
	if (!MODEL_ALIGNED(a.offset | a.size) || a.offset > gmem->size ||
	    a.size > gmem->size - a.offset)
		return model_broken(-EINVAL, "attributes of a guest_memfd: 0x%llx at 0x%llx",
				    a.size, a.offset);
	if (a.attributes)
		model_set_add(private, a.offset, a.offset + a.size);
	else
		model_set_remove(private, a.offset, a.offset + a.size);
	return 0;
}

/* Without in-place conversion, and before v15, there is no such call. */
long cca_gmem_ioctl(struct model_call *c)
{
	if (c->request != CCA_GMEM_SET_ATTRIBUTES || !cca_host.gen->no_vm_attributes ||
	    !cca_host.in_place)
		return -ENOTTY;
	return set_attributes(c);
}
