/* SPDX-License-Identifier: MIT */
/*
 * vcpus at reset (Intel SDM volume 3, 10.1). KVM creates a vcpu in its reset state, so that state
 * is kept and put back: a rebooted guest finds what it found the first time. KVM delivers INIT and
 * SIPI itself: secondary vcpus wait for them.
 */
#include <stdlib.h>

#include "boot.h"
#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "vcpu-state.h"

/*
 * The initial state of x87 and SSE; everything else is initial where the header's mask has no bit
 * (Intel SDM volume 1, 13.4 and table 10-2).
 */
static void make_xsave(struct x86_vcpu_state *s)
{
	memset(s->xsave, 0, s->xsave_len);
	put_le(s->xsave + 0, 2, 0x37f);	  /* FCW */
	put_le(s->xsave + 24, 4, 0x1f80); /* MXCSR */
	put_le(s->xsave + 512, 8, 3);	  /* XSTATE_BV: x87 and SSE */
}

int x86_reset_capture(struct vcpu *vcpu)
{
	struct x86_vcpu_state *s = x86_state_new(vcpu);
	int ret;

	vcpu->arch->reset = s;
	ret = x86_state_get(vcpu, s);
	if (ret)
		return ret;
	make_xsave(s);
	s->xcr0 = s->xcr0 ? 1 : 0;
	s->mp_state = vcpu->id ? KVM_MP_STATE_UNINITIALIZED : KVM_MP_STATE_RUNNABLE;
	return 0;
}

void x86_reset_release(struct vcpu *vcpu)
{
	if (!vcpu->arch)
		return;
	x86_state_free(vcpu->arch->reset);
	vcpu->arch->reset = NULL;
}

/*
 * The TSC keeps counting, in step on all vcpus; but what the guest itself added to it (KVM sums
 * that up in IA32_TSC_ADJUST) is taken away again.
 */
static int reset_tsc(const struct vcpu *vcpu)
{
	union {
		struct kvm_msrs msrs;
		u8 room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
	} m = { .room = { 0 } };
	struct kvm_msr_entry *adjust = m.msrs.entries;
	u64 offset;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};

	m.msrs.nmsrs = 1;
	adjust->index = MSR_TSC_ADJUST;
	if (xioctl(vcpu->fd, KVM_GET_MSRS, &m) != 1 || !adjust->data)
		return 0;
	if (!xioctl(vcpu->fd, KVM_GET_DEVICE_ATTR, &attr)) {
		int ret;

		offset -= adjust->data;
		ret = VCPU_IOCTL(vcpu, KVM_SET_DEVICE_ATTR, &attr);
		if (ret)
			return ret;
	}
	adjust->data = 0;
	return xioctl(vcpu->fd, KVM_SET_MSRS, &m) == 1 ? 0 : -EIO;
}

int arch_vcpu_reset(struct vcpu *vcpu)
{
	const struct x86_vcpu_state *s = vcpu->arch->reset;
	bool used = vcpu->arch->used;
	struct kvm_sregs sregs = s->sregs;
	struct kvm_regs regs = s->regs;
	int ret = 0;

	if (vcpu->id == 0)
		x86_entry_registers(&vcpu->vm->arch->entry, &sregs, &regs);
	/* First of all out of VMX operation: it forbids to clear CR4.VMXE. */
	if (used && s->nested_len)
		ret = VCPU_IOCTL(vcpu, KVM_SET_NESTED_STATE, s->nested);
	if (!ret)
		ret = VCPU_IOCTL(vcpu, KVM_SET_SREGS, &sregs);
	if (!ret)
		ret = VCPU_IOCTL(vcpu, KVM_SET_REGS, &regs);
	if (!ret && used)
		ret = x86_state_set(vcpu, s, false);
	if (!ret && used)
		ret = reset_tsc(vcpu);
	vcpu->arch->used = true;
	return ret;
}
