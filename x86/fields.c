/* SPDX-License-Identifier: MIT */
/* The registers of a vcpu by name, and saving and loading them (see include/lkvm/state.h). */
#include "lkvm/arch.h"
#include "lkvm/coco.h"
#include "lkvm/log.h"
#include "lkvm/state.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "vcpu-state.h"
#include "x86.h"

/* Intel SDM volume 3, 11.5.4: the timer's current count, which runs. */
#define APIC_TMCCT 0x390
#define APIC_SIZE  0x400

#define VALUE(member)	    STATE_VALUE(struct x86_vcpu_state, member)
#define PART(member, table) STATE_PART(struct x86_vcpu_state, member, table)

#define SEGMENT(member) STATE_VALUE(struct kvm_segment, member)
static const struct state_field segment_fields[] = {
	SEGMENT(base),	  SEGMENT(limit), SEGMENT(selector), SEGMENT(type),
	SEGMENT(present), SEGMENT(dpl),	  SEGMENT(db),	     SEGMENT(s),
	SEGMENT(l),	  SEGMENT(g),	  SEGMENT(avl),	     SEGMENT(unusable),
};
static const struct device_state segment_state = { .version = 1, STATE_TABLE(segment_fields) };

static const struct state_field dtable_fields[] = {
	STATE_VALUE(struct kvm_dtable, base),
	STATE_VALUE(struct kvm_dtable, limit),
};
static const struct device_state dtable_state = { .version = 1, STATE_TABLE(dtable_fields) };

static const struct state_field fields[] = {
	VALUE(regs.rax),
	VALUE(regs.rbx),
	VALUE(regs.rcx),
	VALUE(regs.rdx),
	VALUE(regs.rsi),
	VALUE(regs.rdi),
	VALUE(regs.rsp),
	VALUE(regs.rbp),
	VALUE(regs.r8),
	VALUE(regs.r9),
	VALUE(regs.r10),
	VALUE(regs.r11),
	VALUE(regs.r12),
	VALUE(regs.r13),
	VALUE(regs.r14),
	VALUE(regs.r15),
	VALUE(regs.rip),
	VALUE(regs.rflags),
	PART(sregs.cs, &segment_state),
	PART(sregs.ds, &segment_state),
	PART(sregs.es, &segment_state),
	PART(sregs.fs, &segment_state),
	PART(sregs.gs, &segment_state),
	PART(sregs.ss, &segment_state),
	PART(sregs.tr, &segment_state),
	PART(sregs.ldt, &segment_state),
	PART(sregs.gdt, &dtable_state),
	PART(sregs.idt, &dtable_state),
	VALUE(sregs.cr0),
	VALUE(sregs.cr2),
	VALUE(sregs.cr3),
	VALUE(sregs.cr4),
	VALUE(sregs.cr8),
	VALUE(sregs.efer),
	VALUE(sregs.apic_base),
	STATE_ARRAY(struct x86_vcpu_state, sregs.interrupt_bitmap),
	STATE_ARRAY(struct x86_vcpu_state, debugregs.db),
	VALUE(debugregs.dr6),
	VALUE(debugregs.dr7),
	VALUE(debugregs.flags),
	VALUE(events.exception.injected),
	VALUE(events.exception.nr),
	VALUE(events.exception.has_error_code),
	VALUE(events.exception.pending),
	VALUE(events.exception.error_code),
	VALUE(events.interrupt.injected),
	VALUE(events.interrupt.nr),
	VALUE(events.interrupt.soft),
	VALUE(events.interrupt.shadow),
	VALUE(events.nmi.injected),
	VALUE(events.nmi.pending),
	VALUE(events.nmi.masked),
	VALUE(events.sipi_vector),
	VALUE(events.flags),
	VALUE(events.smi.smm),
	VALUE(events.smi.pending),
	VALUE(events.smi.smm_inside_nmi),
	VALUE(events.smi.latched_init),
	VALUE(events.triple_fault.pending),
	VALUE(events.exception_has_payload),
	VALUE(events.exception_payload),
	STATE_BOOL(struct x86_vcpu_state, has_lapic),
	{ .name = "lapic",
	  .offset = offsetof(struct x86_vcpu_state, lapic),
	  .size = 1,
	  .count = APIC_TMCCT },
	{ .name = "lapic.tmcct",
	  .offset = offsetof(struct x86_vcpu_state, lapic) + APIC_TMCCT,
	  .size = 4,
	  .count = 1,
	  .flags = STATE_RUNS },
	{ .name = "lapic.rest",
	  .offset = offsetof(struct x86_vcpu_state, lapic) + APIC_TMCCT + 4,
	  .size = 1,
	  .count = APIC_SIZE - APIC_TMCCT - 4 },
	VALUE(mp_state),
	VALUE(xcr0),
	STATE_COUNTED(struct x86_vcpu_state, xsave, xsave_len),
	STATE_USED(struct x86_vcpu_state, msr_index, nr_msrs),
	STATE_USED(struct x86_vcpu_state, msr_value, nr_msrs),
	STATE_CLOCK(struct x86_vcpu_state, tsc),
	VALUE(tsc_adjust),
	VALUE(tsc_deadline),
	STATE_USED(struct x86_vcpu_state, nested, nested_len),
};

static int vcpu_state_save(void *obj)
{
	struct x86_vcpu_state *s = obj;

	return x86_state_get(s->vcpu, s);
}

/* Only registers that this VM's vcpus have; and KVM reads as much of @nested as it says it has. */
static int vcpu_state_check(const void *obj)
{
	const struct x86_vcpu_state *s = obj;
	const struct kvm_msr_list *list = s->vcpu->vm->arch->msrs;
	const struct kvm_nested_state *nested = (const void *)s->nested;

	if (s->nr_msrs != list->nmsrs)
		return -EINVAL;
	for (u32 i = 0; i < s->nr_msrs; i++)
		if (s->msr_index[i] != list->indices[i])
			return -EINVAL;
	if (s->nested_len && (s->nested_len < sizeof(*nested) || nested->size > s->nested_len))
		return -EINVAL;
	return 0;
}

static int vcpu_state_load(void *obj)
{
	struct x86_vcpu_state *s = obj;
	int ret = VCPU_IOCTL(s->vcpu, KVM_SET_SREGS, &s->sregs);

	if (!ret)
		ret = VCPU_IOCTL(s->vcpu, KVM_SET_REGS, &s->regs);
	if (!ret)
		ret = x86_state_set(s->vcpu, s, &s->lapic, true);
	if (!ret)
		ret = x86_state_set_clock(s->vcpu, s);
	/* Last: it looks at control registers and MSRs. */
	if (!ret && s->nested_len)
		ret = VCPU_IOCTL(s->vcpu, KVM_SET_NESTED_STATE, s->nested);
	return ret;
}

const struct device_state arch_vcpu_state = {
	.version = 2,
	STATE_TABLE(fields),
	.save = vcpu_state_save,
	.check = vcpu_state_check,
	.load = vcpu_state_load,
};

int arch_vcpu_state_new(struct vcpu *vcpu, void **out)
{
	int ret;

	if (vcpu->vm->coco && vcpu->vm->coco->private_memory) {
		err("vcpu %u: its registers are the guest's own: they cannot be saved", vcpu->id);
		return -ENOTSUP;
	}
	ret = x86_state_msrs(vcpu);
	if (!ret)
		*out = x86_state_new(vcpu);
	return ret;
}

void arch_vcpu_state_free(void *state)
{
	x86_state_free(state);
}
