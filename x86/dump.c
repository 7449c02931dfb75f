/* SPDX-License-Identifier: MIT */
/* The registers of a vcpu in words, and the instruction bytes at its program counter. */
#include <stdio.h>

#include "lkvm/arch.h"
#include "lkvm/coco.h"
#include "lkvm/debug.h"
#include "lkvm/kvm.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

/* Intel SDM volume 3, 2.2.1 and 2.5 */
#define EFER_LMA  BIT_ULL(10)
#define CR0_PE	  BIT_ULL(0)
#define CR0_ET	  BIT_ULL(4)
#define CR0_CACHE (BIT_ULL(30) | BIT_ULL(29)) /* CD and NW, which INIT leaves alone */

/* Intel SDM volume 3, table 10-1: after INIT */
#define INIT_RIP     0xfff0
#define INIT_RFLAGS  2
#define INIT_CS	     0xf000
#define INIT_CS_BASE 0xffff0000
#define INIT_LIMIT   0xffff

static void dump_segment(FILE *out, const char *name, const struct kvm_segment *s)
{
	fprintf(out,
		"  %-4s %04x base %016llx limit %08x type %x s %u dpl %u p %u l %u db %u g %u%s\n",
		name, s->selector, s->base, s->limit, s->type, s->s, s->dpl, s->present, s->l,
		s->db, s->g, s->unusable ? " unusable" : "");
}

static void dump_general(FILE *out, const struct kvm_regs *r)
{
	fprintf(out, "  rip %016llx rflags %016llx\n", r->rip, r->rflags);
	fprintf(out, "  rax %016llx rbx %016llx rcx %016llx rdx %016llx\n", r->rax, r->rbx, r->rcx,
		r->rdx);
	fprintf(out, "  rsi %016llx rdi %016llx rbp %016llx rsp %016llx\n", r->rsi, r->rdi, r->rbp,
		r->rsp);
	fprintf(out, "  r8  %016llx r9  %016llx r10 %016llx r11 %016llx\n", r->r8, r->r9, r->r10,
		r->r11);
	fprintf(out, "  r12 %016llx r13 %016llx r14 %016llx r15 %016llx\n", r->r12, r->r13, r->r14,
		r->r15);
}

static void dump_system(FILE *out, const struct kvm_sregs *s)
{
	fprintf(out, "  cr0 %016llx cr2 %016llx cr3 %016llx cr4 %016llx\n", s->cr0, s->cr2, s->cr3,
		s->cr4);
	fprintf(out, "  cr8 %llx efer %016llx apic base %016llx\n", s->cr8, s->efer, s->apic_base);
	dump_segment(out, "cs", &s->cs);
	dump_segment(out, "ss", &s->ss);
	dump_segment(out, "ds", &s->ds);
	dump_segment(out, "es", &s->es);
	dump_segment(out, "fs", &s->fs);
	dump_segment(out, "gs", &s->gs);
	dump_segment(out, "tr", &s->tr);
	dump_segment(out, "ldt", &s->ldt);
	fprintf(out, "  gdt  base %016llx limit %04x\n", s->gdt.base, s->gdt.limit);
	fprintf(out, "  idt  base %016llx limit %04x\n", s->idt.base, s->idt.limit);
}

/* What is about to be delivered; nothing where KVM cannot tell. */
static void dump_events(FILE *out, struct vcpu *vcpu)
{
	struct kvm_vcpu_events ev = { 0 };
	struct kvm_mp_state mp = { 0 };

	if (xioctl(vcpu->fd, KVM_GET_MP_STATE, &mp) >= 0)
		fprintf(out, "  mp state %u\n", mp.mp_state);
	if (xioctl(vcpu->fd, KVM_GET_VCPU_EVENTS, &ev) < 0)
		return;
	if (ev.exception.injected)
		fprintf(out, "  exception %u pending, error code %x\n", ev.exception.nr,
			ev.exception.has_error_code ? ev.exception.error_code : 0);
	if (ev.interrupt.injected)
		fprintf(out, "  interrupt %u pending\n", ev.interrupt.nr);
	if (ev.nmi.injected || ev.nmi.pending)
		fprintf(out, "  NMI pending\n");
}

static u64 linear_address(const struct kvm_regs *regs, const struct kvm_sregs *sregs)
{
	if ((sregs->efer & EFER_LMA) && sregs->cs.l)
		return regs->rip;
	if (sregs->cr0 & CR0_PE)
		return (u32)(sregs->cs.base + regs->rip);
	return (u32)(sregs->cs.base + (regs->rip & 0xffff));
}

/* What it points to, as words of the mode's width. */
static void dump_stack(FILE *out, struct vcpu *vcpu, const struct kvm_regs *regs,
		       const struct kvm_sregs *sregs)
{
	bool is_long = (sregs->efer & EFER_LMA) && sregs->cs.l;
	u32 width = is_long ? 8 : sregs->cs.db ? 4 : 2;
	u64 at = is_long	? regs->rsp
		 : sregs->ss.db ? (u32)(sregs->ss.base + (u32)regs->rsp)
				: (u32)(sregs->ss.base + (regs->rsp & 0xffff));

	vcpu_dump_stack(vcpu, out, at, width);
}

/* The instruction that KVM gave up on, as KVM fetched it. */
static void dump_emulation_failure(FILE *out, const struct kvm_run *run)
{
	u32 n = run->emulation_failure.insn_size;

	if (run->exit_reason != KVM_EXIT_INTERNAL_ERROR ||
	    run->internal.suberror != KVM_INTERNAL_ERROR_EMULATION || run->internal.ndata < 3 ||
	    !(run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES))
		return;
	fprintf(out, "  instruction:");
	for (u32 i = 0; i < MIN(n, (u32)sizeof(run->emulation_failure.insn_bytes)); i++)
		fprintf(out, " %02x", run->emulation_failure.insn_bytes[i]);
	fputc('\n', out);
}

/*
 * On some hosts (AMD's, where the processor leaves a vcpu undefined at a shutdown) KVM resets the
 * vcpu before it reports the triple fault. Its registers are then those of INIT (Intel SDM volume
 * 3, table 10-1), which no instruction can have left: they say nothing of the fault.
 */
static bool was_reset(const struct kvm_regs *r, const struct kvm_sregs *s)
{
	const u64 *general = (const u64 *)r; /* up to R15, then RIP and RFLAGS */
	u64 any = 0;

	for (size_t i = 0; i < offsetof(struct kvm_regs, rip) / sizeof(u64); i++)
		if (i != offsetof(struct kvm_regs, rdx) / sizeof(u64)) /* the CPU's signature */
			any |= general[i];
	return !any && r->rip == INIT_RIP && r->rflags == INIT_RFLAGS &&
	       s->cs.selector == INIT_CS && s->cs.base == INIT_CS_BASE &&
	       (s->cr0 & ~CR0_CACHE) == CR0_ET && !s->cr3 && !s->efer && !s->idt.base &&
	       s->idt.limit == INIT_LIMIT;
}

void arch_vcpu_dump(struct vcpu *vcpu, FILE *out)
{
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	int ret;

	if (vcpu->vm->coco && vcpu->vm->coco->private_memory) {
		fprintf(out, "vcpu %u: its registers are the guest's own\n", vcpu->id);
		return;
	}
	ret = xioctl(vcpu->fd, KVM_GET_REGS, &regs);
	if (ret >= 0)
		ret = xioctl(vcpu->fd, KVM_GET_SREGS, &sregs);
	if (ret < 0 && vcpu->vm->coco) {
		fprintf(out, "vcpu %u: its registers are the guest's own\n", vcpu->id);
		return;
	}
	if (ret < 0) {
		fprintf(out, "vcpu %u: cannot read its registers: %s\n", vcpu->id, strerror(-ret));
		return;
	}
	if (vcpu->run->exit_reason == KVM_EXIT_SHUTDOWN && was_reset(&regs, &sregs)) {
		fprintf(out,
			"vcpu %u: its registers are lost: this host's KVM resets a vcpu before it "
			"reports a triple fault\n",
			vcpu->id);
		return;
	}
	fprintf(out, "vcpu %u:\n", vcpu->id);
	dump_general(out, &regs);
	dump_system(out, &sregs);
	dump_events(out, vcpu);
	vcpu_dump_code(vcpu, out, 1, linear_address(&regs, &sregs));
	dump_stack(out, vcpu, &regs, &sregs);
	dump_emulation_failure(out, vcpu->run);
}
