/* SPDX-License-Identifier: MIT */
/*
 * vcpus at the start and at reset (Intel SDM volume 3, 10.1). KVM creates a vcpu in its reset
 * state, so the start sets only what the loaded guest begins with; a reset puts back what KVM
 * makes (pristine.c): a rebooted guest finds what it found the first time. KVM delivers INIT and
 * SIPI itself: secondary vcpus wait for them.
 */
#include "boot.h"
#include "layout.h"
#include "lkvm/arch.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "pristine.h"
#include "vcpu-state.h"

/* Intel SDM volume 3, 11.4.4 and table 11-1 */
#define APIC_BASE_BSP	 BIT_ULL(8)
#define APIC_BASE_ENABLE BIT_ULL(11)
#define APIC_ID		 0x20
#define TYPE_LDT	 2 /* volume 3, table 3-2 */

/* What a start leaves as reset made it (volume 3, table 10-1), of what is set only as a whole. */
static const struct kvm_sregs reset_sregs = {
	.ldt = { .limit = 0xffff, .type = TYPE_LDT, .present = 1 },
	.apic_base = X86_LAPIC | APIC_BASE_ENABLE | APIC_BASE_BSP,
};

static int start_vcpu(struct vcpu *vcpu)
{
	const struct x86_entry *entry = &vcpu->vm->arch->entry;
	struct kvm_sregs sregs = reset_sregs;
	struct kvm_regs regs;
	int ret;

	/* A confidential guest's are its launch's to set. */
	if (vcpu->vm->arch->snp || vcpu->id || entry->mode == X86_ENTRY_RESET)
		return 0;
	x86_entry_registers(entry, &sregs, &regs);
	ret = VCPU_IOCTL(vcpu, KVM_SET_SREGS, &sregs);
	return ret ? ret : VCPU_IOCTL(vcpu, KVM_SET_REGS, &regs);
}

/*
 * The TSC keeps counting, in step on all vcpus; but what the guest itself added to it (KVM sums
 * that up in IA32_TSC_ADJUST) is taken away again.
 */
static int reset_tsc(const struct vcpu *vcpu)
{
	u64 adjust = 0;
	u64 offset;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&offset,
	};

	if (!x86_transfer_msr(vcpu, KVM_GET_MSRS, MSR_TSC_ADJUST, &adjust) || !adjust)
		return 0;
	if (!xioctl(vcpu->fd, KVM_GET_DEVICE_ATTR, &attr)) {
		int ret;

		offset -= adjust;
		ret = VCPU_IOCTL(vcpu, KVM_SET_DEVICE_ATTR, &attr);
		if (ret)
			return ret;
	}
	adjust = 0;
	return x86_transfer_msr(vcpu, KVM_SET_MSRS, MSR_TSC_ADJUST, &adjust) ? 0 : -EIO;
}

static int reset_vcpu(struct vcpu *vcpu, const struct x86_vcpu_state *s)
{
	struct kvm_lapic_state lapic = s->lapic;
	struct kvm_sregs sregs = s->sregs;
	struct kvm_regs regs = s->regs;
	int ret = 0;

	/* Reset leaves the local APIC in its mode of 8-bit ids. */
	put_le((u8 *)lapic.regs + APIC_ID, 4, arch_vcpu_kvm_id(vcpu->vm, vcpu->id) << 24);
	if (vcpu->id == 0)
		x86_entry_registers(&vcpu->vm->arch->entry, &sregs, &regs);
	/* First of all out of VMX operation: it forbids to clear CR4.VMXE. */
	if (s->nested_len)
		ret = VCPU_IOCTL(vcpu, KVM_SET_NESTED_STATE, s->nested);
	if (!ret)
		ret = VCPU_IOCTL(vcpu, KVM_SET_SREGS, &sregs);
	if (!ret)
		ret = VCPU_IOCTL(vcpu, KVM_SET_REGS, &regs);
	if (!ret)
		ret = x86_state_set(vcpu, s, &lapic, false);
	return ret ? ret : reset_tsc(vcpu);
}

int arch_vcpu_reset(struct vcpu *vcpu)
{
	const struct x86_pristine *p;
	int ret;

	/* The TDX module sets its registers, and a reset makes the VM anew. */
	if (vcpu->vm->arch->tdx)
		return 0;
	if (!vcpu->arch->used) {
		vcpu->arch->used = true;
		return start_vcpu(vcpu);
	}
	ret = x86_pristine(vcpu->vm, &p);
	return ret ? ret : reset_vcpu(vcpu, p->vcpus[vcpu->id ? 1 : 0]);
}
