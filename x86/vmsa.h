/* SPDX-License-Identifier: MIT */
/*
 * The page in which an SEV-ES or SEV-SNP vcpu's first registers are encrypted and measured (APM
 * volume 2, appendix B, table B-4), as KVM makes it at LAUNCH_FINISH from what it was given (Linux
 * arch/x86/kvm/svm/sev.c, sev_es_sync_vmsa).
 */
#ifndef X86_VMSA_H
#define X86_VMSA_H

#include <linux/kvm.h>

#include "lkvm/types.h"

/* A vcpu's registers as KVM has them: x86_vmsa_reset, and over that what a launch sets. */
struct x86_vmsa_state {
	struct kvm_sregs sregs; /* apic_base, cr2, cr8 and interrupts do not enter */
	struct kvm_regs regs;
	u64 sev_features; /* KVM_SEV_INIT2's; SNP_ACTIVE is added */
	u64 xcr0, xss, dr6;
	u32 pkru;
	u32 mxcsr;
	u16 fcw;
	/* KVM_SET_MSRS */
	u64 pat, star, lstar, cstar, sfmask, kernel_gs_base;
	u64 sysenter_cs, sysenter_esp, sysenter_eip;
	u64 debugctl, spec_ctrl;
};

/* Of a vcpu on which nothing was set (svm.c, init_vmcb; RDX is KVM's own default). */
void x86_vmsa_reset(struct x86_vmsa_state *s, u64 sev_features);
/* Its page; KVM_X86_QUIRK_CD_NW_CLEARED is as it is by default, on. */
void x86_vmsa_page(const struct x86_vmsa_state *s, u8 page[4096]);

#endif
