/* SPDX-License-Identifier: MIT */
/* The VMSA page of an SEV-SNP vcpu; see vmsa.h. */
#include "vmsa.h"

/* APM volume 2, table B-4 */
#define VMSA_ES		    0x0
#define VMSA_CS		    0x10
#define VMSA_SS		    0x20
#define VMSA_DS		    0x30
#define VMSA_FS		    0x40
#define VMSA_GS		    0x50
#define VMSA_GDTR	    0x60
#define VMSA_LDTR	    0x70
#define VMSA_IDTR	    0x80
#define VMSA_TR		    0x90
#define VMSA_CPL	    0xcb
#define VMSA_EFER	    0xd0
#define VMSA_XSS	    0x140
#define VMSA_CR4	    0x148
#define VMSA_CR3	    0x150
#define VMSA_CR0	    0x158
#define VMSA_DR7	    0x160
#define VMSA_DR6	    0x168
#define VMSA_RFLAGS	    0x170
#define VMSA_RIP	    0x178
#define VMSA_RSP	    0x1d8
#define VMSA_RAX	    0x1f8
#define VMSA_STAR	    0x200
#define VMSA_LSTAR	    0x208
#define VMSA_CSTAR	    0x210
#define VMSA_SFMASK	    0x218
#define VMSA_KERNEL_GS_BASE 0x220
#define VMSA_SYSENTER_CS    0x228
#define VMSA_SYSENTER_ESP   0x230
#define VMSA_SYSENTER_EIP   0x238
#define VMSA_PAT	    0x268
#define VMSA_DEBUGCTL	    0x270
#define VMSA_SPEC_CTRL	    0x2e0
#define VMSA_PKRU	    0x2e8
#define VMSA_RCX	    0x308
#define VMSA_RDX	    0x310
#define VMSA_RBX	    0x318
#define VMSA_RBP	    0x328
#define VMSA_RSI	    0x330
#define VMSA_RDI	    0x338
#define VMSA_R8		    0x340
#define VMSA_SEV_FEATURES   0x3b0
#define VMSA_XCR0	    0x3e8
#define VMSA_MXCSR	    0x408
#define VMSA_FCW	    0x410

#define SEV_SNP_ACTIVE BIT_ULL(0)
#define EFER_SVME      BIT_ULL(12)
#define CR0_ET	       BIT_ULL(4)
#define CR0_NW	       BIT_ULL(29)
#define CR0_CD	       BIT_ULL(30)
#define CR4_MCE	       BIT_ULL(6)
#define DR7_FIXED      0x400
#define DR6_FIXED      0xffff0ff0
#define RFLAGS_FIXED   2
#define PAT_RESET      0x0007040600070406ULL
#define MXCSR_RESET    0x1f80
#define FCW_RESET      0x37f
/* KVM's RDX at reset is CPUID's signature, of which it knows none before KVM_SET_CPUID2. */
#define RDX_RESET 0x600

/* Segment types (APM volume 2, 4.7 and 4.8), as KVM makes them: not accessed. */
#define TYPE_DATA 2
#define TYPE_CODE 10
#define TYPE_LDT  2
#define TYPE_TSS  3 /* busy, 16-bit */

static struct kvm_segment reset_segment(u8 type, bool system)
{
	return (struct kvm_segment){ .limit = 0xffff, .type = type, .s = !system, .present = 1 };
}

void x86_vmsa_reset(struct x86_vmsa_state *s, u64 sev_features)
{
	struct kvm_segment data = reset_segment(TYPE_DATA, false);

	*s = (struct x86_vmsa_state){
		.sregs = {
			.cs = reset_segment(TYPE_CODE, false),
			.ds = data, .es = data, .fs = data, .gs = data, .ss = data,
			.tr = reset_segment(TYPE_TSS, true),
			.ldt = reset_segment(TYPE_LDT, true),
			.gdt = { .limit = 0xffff },
			.idt = { .limit = 0xffff },
			.cr0 = CR0_NW | CR0_CD | CR0_ET,
		},
		.regs = { .rip = 0xfff0, .rdx = RDX_RESET, .rflags = RFLAGS_FIXED },
		.sev_features = sev_features,
		.xcr0 = 1,
		.dr6 = DR6_FIXED,
		.mxcsr = MXCSR_RESET,
		.fcw = FCW_RESET,
		.pat = PAT_RESET,
	};
	s->sregs.cs.selector = 0xf000;
	s->sregs.cs.base = 0xffff0000;
}

static void put_segment(u8 *at, const struct kvm_segment *s)
{
	u16 attributes =
		(u16)(s->type | s->s << 4 | s->dpl << 5 | (s->present && !s->unusable) << 7 |
		      s->avl << 8 | s->l << 9 | s->db << 10 | s->g << 11);

	put_le(at, 2, s->selector);
	put_le(at + 2, 2, attributes);
	put_le(at + 4, 4, s->limit);
	put_le(at + 8, 8, s->base);
}

static void put_table(u8 *at, const struct kvm_dtable *t)
{
	put_le(at + 4, 4, t->limit);
	put_le(at + 8, 8, t->base);
}

static void put_sregs(u8 *page, const struct kvm_sregs *s)
{
	put_segment(page + VMSA_ES, &s->es);
	put_segment(page + VMSA_CS, &s->cs);
	put_segment(page + VMSA_SS, &s->ss);
	put_segment(page + VMSA_DS, &s->ds);
	put_segment(page + VMSA_FS, &s->fs);
	put_segment(page + VMSA_GS, &s->gs);
	put_table(page + VMSA_GDTR, &s->gdt);
	put_segment(page + VMSA_LDTR, &s->ldt);
	put_table(page + VMSA_IDTR, &s->idt);
	put_segment(page + VMSA_TR, &s->tr);
	page[VMSA_CPL] = s->ss.dpl; /* svm_set_segment */
	/* What KVM itself wants there: SVM is on, machine checks are the host's, caches are on. */
	put_le(page + VMSA_EFER, 8, s->efer | EFER_SVME);
	put_le(page + VMSA_CR4, 8, s->cr4 | CR4_MCE);
	put_le(page + VMSA_CR3, 8, s->cr3);
	put_le(page + VMSA_CR0, 8, s->cr0 & ~(CR0_CD | CR0_NW));
}

static void put_regs(u8 *page, const struct kvm_regs *r)
{
	const u64 r8[] = { r->r8, r->r9, r->r10, r->r11, r->r12, r->r13, r->r14, r->r15 };

	put_le(page + VMSA_RFLAGS, 8, r->rflags);
	put_le(page + VMSA_RIP, 8, r->rip);
	put_le(page + VMSA_RSP, 8, r->rsp);
	put_le(page + VMSA_RAX, 8, r->rax);
	put_le(page + VMSA_RCX, 8, r->rcx);
	put_le(page + VMSA_RDX, 8, r->rdx);
	put_le(page + VMSA_RBX, 8, r->rbx);
	put_le(page + VMSA_RBP, 8, r->rbp);
	put_le(page + VMSA_RSI, 8, r->rsi);
	put_le(page + VMSA_RDI, 8, r->rdi);
	for (u32 i = 0; i < ARRAY_SIZE(r8); i++)
		put_le(page + VMSA_R8 + i * 8, 8, r8[i]);
}

static void put_msrs(u8 *page, const struct x86_vmsa_state *s)
{
	put_le(page + VMSA_STAR, 8, s->star);
	put_le(page + VMSA_LSTAR, 8, s->lstar);
	put_le(page + VMSA_CSTAR, 8, s->cstar);
	put_le(page + VMSA_SFMASK, 8, s->sfmask);
	put_le(page + VMSA_KERNEL_GS_BASE, 8, s->kernel_gs_base);
	put_le(page + VMSA_SYSENTER_CS, 8, s->sysenter_cs);
	put_le(page + VMSA_SYSENTER_ESP, 8, s->sysenter_esp);
	put_le(page + VMSA_SYSENTER_EIP, 8, s->sysenter_eip);
	put_le(page + VMSA_PAT, 8, s->pat);
	put_le(page + VMSA_DEBUGCTL, 8, s->debugctl);
	put_le(page + VMSA_SPEC_CTRL, 8, s->spec_ctrl);
}

/* CR2 and TSC_AUX, which KVM writes only when it runs a guest, stay 0. */
void x86_vmsa_page(const struct x86_vmsa_state *s, u8 page[4096])
{
	memset(page, 0, 4096);
	put_sregs(page, &s->sregs);
	put_regs(page, &s->regs);
	put_msrs(page, s);
	put_le(page + VMSA_XSS, 8, s->xss);
	put_le(page + VMSA_DR7, 8, DR7_FIXED);
	put_le(page + VMSA_DR6, 8, s->dr6);
	put_le(page + VMSA_PKRU, 4, s->pkru);
	put_le(page + VMSA_SEV_FEATURES, 8, s->sev_features | SEV_SNP_ACTIVE);
	put_le(page + VMSA_XCR0, 8, s->xcr0);
	put_le(page + VMSA_MXCSR, 4, s->mxcsr);
	put_le(page + VMSA_FCW, 2, s->fcw);
}
