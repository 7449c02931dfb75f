/* SPDX-License-Identifier: MIT */
/* Registers of a guest that runs on the host's KVM below: what that would not take is left out. */
#include "state.h"

/* The C-bit of CR3 means nothing to an ordinary VM: it would be a reserved one. */
static long forward_sregs(const struct model_call *c)
{
	const struct kvm_cpuid_entry2 *sev = x86_cpuid_entry(x86_state(c->vcpu), 0x8000001f, 0);
	size_t size =
		c->request == KVM_SET_SREGS ? sizeof(struct kvm_sregs) : sizeof(struct kvm_sregs2);
	union {
		struct kvm_sregs sregs;
		struct kvm_sregs2 sregs2; /* the same up to apic_base */
	} r;

	if (model_read(&r, c->arg, size))
		return -EFAULT;
	if (sev)
		r.sregs.cr3 &= ~(1ULL << (sev->ebx & 63));
	return model_libc_ioctl(c->fd, c->request, (unsigned long)&r);
}

long x86_real_forward(struct model_call *c)
{
	switch (c->request) {
	case KVM_SET_SREGS:
	case KVM_SET_SREGS2:
		return forward_sregs(c);
	case KVM_SET_MSRS:
		/* As many as the model has taken; the host's KVM may know others. */
		model_libc_ioctl(c->fd, c->request, c->arg);
		return model_machine.state(c);
	}
	return model_libc_ioctl(c->fd, c->request, c->arg);
}

int x86_real_start_flat(const struct model_vcpu *vcpu, u64 rcx, u64 rbx)
{
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_regs regs = { .rip = 0xfffffff0, .rflags = 2, .rcx = rcx, .r8 = rcx };
	struct kvm_segment flat = { .limit = 0xffffffff, .present = 1, .s = 1, .db = 1, .g = 1 };
	struct kvm_sregs s;
	long ret = model_libc_ioctl(vcpu->fd, KVM_GET_SREGS, (unsigned long)&s);

	flat.type = 3;
	s.ds = s.es = s.fs = s.gs = s.ss = flat;
	s.ds.selector = s.es.selector = s.fs.selector = s.gs.selector = s.ss.selector = 0x10;
	flat.type = 11;
	flat.selector = 8;
	s.cs = flat;
	s.cr0 |= 1;
	regs.rbx = rbx;
	regs.rsi = vcpu->index;
	if (!ret)
		ret = model_libc_ioctl(vcpu->fd, KVM_SET_SREGS, (unsigned long)&s);
	if (!ret)
		ret = model_libc_ioctl(vcpu->fd, KVM_SET_REGS, (unsigned long)&regs);
	if (!ret)
		ret = model_libc_ioctl(vcpu->fd, KVM_SET_MP_STATE, (unsigned long)&mp);
	return (int)ret;
}
