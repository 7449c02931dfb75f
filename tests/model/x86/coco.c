/* SPDX-License-Identifier: MIT */
#include "coco.h"

#include <string.h>

#include "state.h"

static long has_cap(unsigned long cap, u32 type)
{
	switch (cap) {
	case KVM_CAP_VM_TYPES:
		/* Whoever has SNP has what came before: 2 is SEV, 3 SEV-ES. */
		return (long)(1U | 1U << type | (type == 4 ? 12U : 0));
	case KVM_CAP_MEMORY_ATTRIBUTES:
		return (long)KVM_MEMORY_ATTRIBUTE_PRIVATE;
	case KVM_CAP_MEMORY_FAULT_INFO:
	case KVM_CAP_GUEST_MEMFD:
	case KVM_CAP_USER_MEMORY2:
	case KVM_CAP_PRE_FAULT_MEMORY:
		return 1;
	case X86_CAP_EXIT_HYPERCALL:
		return 1 << X86_HYPERCALL_MAP_RANGE;
	}
	return MODEL_PASS;
}

long x86_coco_system(struct model_call *c, u32 type)
{
	if (c->request == KVM_CHECK_EXTENSION && c->arg == KVM_CAP_GUEST_MEMFD_FLAGS)
		return GUEST_MEMFD_FLAG_MMAP | GUEST_MEMFD_FLAG_INIT_SHARED;
	return c->request == KVM_CHECK_EXTENSION ? has_cap(c->arg, type) : MODEL_PASS;
}

/* kvm_vm_ioctl_enable_cap */
static long enable_cap(struct model_call *c)
{
	struct kvm_enable_cap e;

	if (model_read(&e, c->arg, sizeof(e)))
		return -EFAULT;
	if (e.cap != X86_CAP_EXIT_HYPERCALL)
		return MODEL_PASS;
	model_note(c, "cap", "%u", e.cap);
	if (e.flags || e.args[0] & ~(1ULL << X86_HYPERCALL_MAP_RANGE))
		return model_broken(-EINVAL, "KVM_CAP_EXIT_HYPERCALL: 0x%llx", e.args[0]);
	c->vm->hypercall_exits = e.args[0];
	return 0;
}

long x86_coco_vm(struct model_call *c, u32 type)
{
	if (c->request == KVM_ENABLE_CAP)
		return enable_cap(c);
	if (c->request != KVM_CHECK_EXTENSION)
		return MODEL_PASS;
	switch (c->arg) {
	case KVM_CAP_SYNC_REGS:
	case KVM_CAP_READONLY_MEM:
		return 0;
	case KVM_CAP_GUEST_MEMFD_FLAGS:
		return (long)c->vm->gmem_flags;
	}
	return has_cap(c->arg, type);
}

/* virt/kvm/kvm_main.c, kvm_vcpu_pre_fault_memory */
long x86_coco_prefault(struct model_call *c, bool may_prefault)
{
	struct {
		u64 gpa, size, flags, padding[5];
	} range;

	if (model_read(&range, c->arg, sizeof(range)))
		return -EFAULT;
	if (!may_prefault)
		return model_broken(-EOPNOTSUPP, "KVM_PRE_FAULT_MEMORY before the launch is over");
	if (range.flags || !MODEL_ALIGNED(range.gpa | range.size) ||
	    range.gpa + range.size <= range.gpa)
		return model_broken(-EINVAL, "KVM_PRE_FAULT_MEMORY: 0x%llx at 0x%llx", range.size,
				    range.gpa);
	if (!model_find_slot(c->vm, range.gpa))
		return -ENOENT;
	range.gpa += range.size;
	range.size = 0;
	return model_write(c->arg, &range, sizeof(range));
}

/* A write to read-only memory is emulated, which nobody can do for such a guest
 * (kvm_arch_has_readonly_mem). */
int x86_coco_slot(struct model_vm *vm, const struct model_slot *slot)
{
	if (slot->flags & KVM_MEM_READONLY)
		return (int)model_broken(-EINVAL,
					 "slot %u: no READONLY memory in a VM whose state "
					 "is protected",
					 slot->id);
	if (slot->gmem && slot->gmem->flags & GUEST_MEMFD_FLAG_MMAP)
		model_broken(0,
			     "slot %u: shared pages of this guest_memfd are not userspace_addr's",
			     slot->id);
	return 0;
}

/* The guest asks that pages change hands (Documentation/virt/kvm/x86/hypercalls.rst, 8). */
int x86_fill_map_range(struct model_vcpu *vcpu, const struct model_words *words, int *error)
{
	bool private = model_word(words, "private"), huge = model_word(words, "huge");
	u64 gpa = model_word_number(words, "gpa", 0), pages = model_word_number(words, "pages", 1);
	bool tdx = !strcmp(vcpu->vm->kind->name, "tdx");
	u64 most = tdx ? 512 : 253ULL * (huge ? 512 : 1);

	if (private == model_word(words, "shared"))
		return model_script_error(words, "pages become private or shared");
	if (!MODEL_ALIGNED(gpa) || !pages || pages > most || (tdx && huge) ||
	    (huge && (gpa | pages * MODEL_PAGE) & 0x1fffff))
		return model_script_error(words, "KVM says at most %llu whole pages at once", most);
	if (!(vcpu->vm->hypercall_exits & 1ULL << X86_HYPERCALL_MAP_RANGE)) {
		model_broken(0, "the guest's page-state change fails: KVM_CAP_EXIT_HYPERCALL was "
				"not enabled");
		vcpu->run->exit_reason = KVM_EXIT_INTR;
		return 0;
	}
	vcpu->run->exit_reason = X86_EXIT_HYPERCALL;
	model_run_set(vcpu, 32, X86_HYPERCALL_MAP_RANGE);
	model_run_set(vcpu, 40, gpa);
	model_run_set(vcpu, 48, pages);
	model_run_set(vcpu, 56, (private ? X86_MAP_PRIVATE : 0) | huge);
	if (tdx)
		model_run_set(vcpu, 96, 1); /* flags: long mode */
	vcpu->preset[0] = X86_HYPERCALL_MAP_RANGE;
	vcpu->preset[1] = gpa;
	vcpu->preset[2] = gpa + pages * MODEL_PAGE;
	vcpu->preset[3] = private;
	return 0;
}

int x86_complete_map_range(struct model_vcpu *vcpu)
{
	u64 ret = model_run_get(vcpu, 88), start = vcpu->preset[1], end = vcpu->preset[2];
	const struct model_set *private = &vcpu->vm->private;
	bool done = vcpu->preset[3] ? model_set_has_all(private, start, end)
				    : !model_set_has_any(private, start, end);

	if (vcpu->preset[0] != X86_HYPERCALL_MAP_RANGE)
		return 0;
	vcpu->preset[0] = 0;
	model_log("\"answer\": \"psc\", \"ret\": %llu, \"converted\": %s, \"kept\": %llu", ret,
		  done ? "true" : "false", model_resident(vcpu->vm, start, end, !vcpu->preset[3]));
	if (ret && ret != EINVAL && ret != EAGAIN)
		return (int)model_broken(-EINVAL, "a page-state change is answered %llu", ret);
	if (!ret && !done)
		model_broken(0, "a page-state change at 0x%llx was answered 0, but not made",
			     start);
	return 0;
}
