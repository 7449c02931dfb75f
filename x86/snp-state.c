/* SPDX-License-Identifier: MIT */
/*
 * The registers with which an SNP guest's vcpus start. KVM puts what it was given last into their
 * VMSAs, which are measured (Linux arch/x86/kvm/svm/sev.c, sev_es_sync_vmsa): so all of it is set,
 * and nothing is read from KVM, whose own state after a vcpu's creation is another.
 *
 * At the reset vector they are what QEMU gives them: tools that compute measurements of firmware
 * count on that. (APM volume 2, table 14-1: segments are accessed, which KVM leaves out.)
 */
#include "boot.h"
#include "lkvm/arch.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "snp.h"
#include "vcpu-state.h"

#define APIC_BASE_BSP	 BIT_ULL(8)
#define APIC_BASE_ENABLE BIT_ULL(11)

#define TYPE_CODE 0xb /* execute, read, accessed */
#define TYPE_DATA 0x3 /* read, write, accessed */
#define TYPE_TSS  0xb /* busy 32-bit TSS */
#define TYPE_LDT  0x2
#define CR0_ET	  BIT_ULL(4)

#define RESET_ADDRESS 0xfffffff0U

static struct kvm_segment segment(u8 type, bool system)
{
	return (struct kvm_segment){ .limit = 0xffff, .type = type, .s = !system, .present = 1 };
}

/* About to execute at @address, in real mode. */
static void reset_state(u32 address, u32 rdx, struct kvm_sregs *sregs, struct kvm_regs *regs)
{
	const struct kvm_segment data = segment(TYPE_DATA, false);

	*sregs = (struct kvm_sregs){
		.cs = segment(TYPE_CODE, false),
		.ds = data,
		.es = data,
		.fs = data,
		.gs = data,
		.ss = data,
		.tr = segment(TYPE_TSS, true),
		.ldt = segment(TYPE_LDT, true),
		.gdt.limit = 0xffff,
		.idt.limit = 0xffff,
		.cr0 = CR0_ET, /* KVM takes CD and NW off in any case */
	};
	sregs->cs.selector = 0xf000;
	sregs->cs.base = address & 0xffff0000;
	*regs = (struct kvm_regs){ .rip = address & 0xffff, .rdx = rdx, .rflags = 2 };
}

void x86_snp_state(const struct x86_entry *entry, u32 index, struct kvm_sregs *sregs,
		   struct kvm_regs *regs)
{
	bool secondary = index && entry->ap_address;

	reset_state(secondary ? entry->ap_address : RESET_ADDRESS, entry->signature, sregs, regs);
	if (!index)
		x86_entry_registers(entry, sregs, regs);
	sregs->apic_base = X86_LAPIC | APIC_BASE_ENABLE | (index ? 0 : APIC_BASE_BSP);
}

int x86_snp_vcpu(struct vcpu *vcpu, const struct boot_plan *plan)
{
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	int ret;

	x86_snp_state(&vcpu->vm->arch->entry, vcpu->id, &sregs, &regs);
	ret = VCPU_IOCTL(vcpu, KVM_SET_SREGS, &sregs);
	return ret ? ret : VCPU_IOCTL(vcpu, KVM_SET_REGS, &regs);
}
