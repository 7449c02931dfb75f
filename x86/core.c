/* SPDX-License-Identifier: MIT */
/*
 * What a core file says of an x86 vcpu (include/lkvm/debug.h): registers as Linux has them in one,
 * and the note in which QEMU says the rest, by which crash finds the kernel: control registers,
 * tables, segments. The upper half of its page tables (Intel SDM volume 3, 4.5).
 */
#include <elf.h>
#include <stdlib.h>

#include "lkvm/debug.h"
#include "lkvm/kvm.h"
#include "lkvm/page-walk.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "vcpu-state.h"

#define MSR_KERNEL_GS_BASE 0xc0000102
#define CR0_PG		   BIT_ULL(31)
#define CR4_LA57	   BIT_ULL(12)
#define EFER_LMA	   BIT_ULL(10)
#define PTE_PRESENT	   BIT_ULL(0)
#define PTE_LARGE	   BIT_ULL(7)
#define PTE_ADDRESS	   (BIT_ULL(52) - BIT_ULL(12))

/* struct user_regs_struct of Linux (arch/x86/include/asm/user_64.h). */
struct core_regs {
	__le64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
	__le64 orig_rax, rip, cs, rflags, rsp, ss, fs_base, gs_base, ds, es, fs, gs;
};

/* The note of the name QEMU, version 1. */
struct core_segment {
	__le32 selector, limit, flags, pad;
	__le64 base;
};
struct core_system {
	__le32 version, size;
	__le64 rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp;
	__le64 r8, r9, r10, r11, r12, r13, r14, r15, rip, rflags;
	struct core_segment cs, ds, es, fs, gs, ss, ldt, tr, gdt, idt;
	__le64 cr[5];
	__le64 kernel_gs_base;
};

#define FXSAVE_SIZE 512 /* struct user_i387_struct is an FXSAVE area */

const struct arch_core arch_core = {
	.machine = EM_X86_64,
	.regs_size = sizeof(struct core_regs),
	.fpregs_size = FXSAVE_SIZE,
	.system_size = sizeof(struct core_system),
	.system_name = "QEMU",
};

static void put_regs(struct core_regs *out, const struct kvm_regs *r, const struct kvm_sregs *s)
{
	*out = (struct core_regs){
		.r15 = cpu_to_le64(r->r15),
		.r14 = cpu_to_le64(r->r14),
		.r13 = cpu_to_le64(r->r13),
		.r12 = cpu_to_le64(r->r12),
		.rbp = cpu_to_le64(r->rbp),
		.rbx = cpu_to_le64(r->rbx),
		.r11 = cpu_to_le64(r->r11),
		.r10 = cpu_to_le64(r->r10),
		.r9 = cpu_to_le64(r->r9),
		.r8 = cpu_to_le64(r->r8),
		.rax = cpu_to_le64(r->rax),
		.rcx = cpu_to_le64(r->rcx),
		.rdx = cpu_to_le64(r->rdx),
		.rsi = cpu_to_le64(r->rsi),
		.rdi = cpu_to_le64(r->rdi),
		.orig_rax = cpu_to_le64(~0ULL), /* it is in no system call */
		.rip = cpu_to_le64(r->rip),
		.cs = cpu_to_le64(s->cs.selector),
		.rflags = cpu_to_le64(r->rflags),
		.rsp = cpu_to_le64(r->rsp),
		.ss = cpu_to_le64(s->ss.selector),
		.fs_base = cpu_to_le64(s->fs.base),
		.gs_base = cpu_to_le64(s->gs.base),
		.ds = cpu_to_le64(s->ds.selector),
		.es = cpu_to_le64(s->es.selector),
		.fs = cpu_to_le64(s->fs.selector),
		.gs = cpu_to_le64(s->gs.selector),
	};
}

/* As a descriptor has them in its second word (Intel SDM volume 3, 3.4.5). */
static u32 segment_flags(const struct kvm_segment *s)
{
	return (u32)s->type << 8 | (u32)s->s << 12 | (u32)s->dpl << 13 | (u32)s->present << 15 |
	       (u32)s->avl << 20 | (u32)s->l << 21 | (u32)s->db << 22 | (u32)s->g << 23;
}

static struct core_segment segment(const struct kvm_segment *s)
{
	return (struct core_segment){
		.selector = cpu_to_le32(s->selector),
		.limit = cpu_to_le32(s->limit),
		.flags = cpu_to_le32(segment_flags(s)),
		.base = cpu_to_le64(s->base),
	};
}

static struct core_segment table(const struct kvm_dtable *t)
{
	return (struct core_segment){
		.limit = cpu_to_le32(t->limit),
		.base = cpu_to_le64(t->base),
	};
}

static void put_system(struct core_system *out, const struct core_regs *r,
		       const struct kvm_sregs *s)
{
	*out = (struct core_system){
		.version = cpu_to_le32(1),
		.size = cpu_to_le32(sizeof(*out)),
		.rax = r->rax,
		.rbx = r->rbx,
		.rcx = r->rcx,
		.rdx = r->rdx,
		.rsi = r->rsi,
		.rdi = r->rdi,
		.rsp = r->rsp,
		.rbp = r->rbp,
		.r8 = r->r8,
		.r9 = r->r9,
		.r10 = r->r10,
		.r11 = r->r11,
		.r12 = r->r12,
		.r13 = r->r13,
		.r14 = r->r14,
		.r15 = r->r15,
		.rip = r->rip,
		.rflags = r->rflags,
		.cs = segment(&s->cs),
		.ds = segment(&s->ds),
		.es = segment(&s->es),
		.fs = segment(&s->fs),
		.gs = segment(&s->gs),
		.ss = segment(&s->ss),
		.ldt = segment(&s->ldt),
		.tr = segment(&s->tr),
		.gdt = table(&s->gdt),
		.idt = table(&s->idt),
		.cr = { cpu_to_le64(s->cr0), 0, cpu_to_le64(s->cr2), cpu_to_le64(s->cr3),
			cpu_to_le64(s->cr4) },
	};
}

static int put_fpregs(struct vcpu *vcpu, u8 *out)
{
	int size = kvm_check_cap(&vcpu->vm->kvm, KVM_CAP_XSAVE2), ret;
	u8 *area = xcalloc(1, (size_t)MAX(size, (int)sizeof(struct kvm_xsave)));

	ret = xioctl(vcpu->fd, size > 0 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, area);
	if (ret >= 0)
		memcpy(out, area, FXSAVE_SIZE);
	free(area);
	return MIN(ret, 0);
}

int arch_vcpu_core(struct vcpu *vcpu, u8 *regs, u8 *fpregs, u8 *system)
{
	struct core_regs core;
	struct core_system all;
	struct kvm_sregs s;
	struct kvm_regs r;
	u64 base = 0;
	int ret = xioctl(vcpu->fd, KVM_GET_REGS, &r);

	if (ret >= 0)
		ret = xioctl(vcpu->fd, KVM_GET_SREGS, &s);
	if (ret < 0)
		return ret;
	put_regs(&core, &r, &s);
	put_system(&all, &core, &s);
	if (x86_transfer_msr(vcpu, KVM_GET_MSRS, MSR_KERNEL_GS_BASE, &base))
		all.kernel_gs_base = cpu_to_le64(base);
	memcpy(regs, &core, sizeof(core));
	memcpy(system, &all, sizeof(all));
	return put_fpregs(vcpu, fpregs);
}

static enum page_entry read_entry(const struct page_tables *t, u64 entry, u64 va, u32 shift,
				  u64 *addr)
{
	*addr = entry & PTE_ADDRESS;
	if (!(entry & PTE_PRESENT))
		return PAGE_ENTRY_NONE;
	if (shift == t->page_shift)
		return PAGE_ENTRY_LEAF;
	if (!(entry & PTE_LARGE))
		return PAGE_ENTRY_TABLE;
	/* Of 2 MiB and 1 GiB; else it is reserved. */
	return shift <= 30 ? PAGE_ENTRY_LEAF : PAGE_ENTRY_NONE;
}

/* The upper half is what the second half of the first table is for. */
int arch_vcpu_tables(struct vcpu *vcpu, struct page_tables *t)
{
	struct kvm_sregs s;

	if (xioctl(vcpu->fd, KVM_GET_SREGS, &s) < 0 || !(s.cr0 & CR0_PG) || !(s.efer & EFER_LMA))
		return -ENOTSUP;
	t->bits = s.cr4 & CR4_LA57 ? 56 : 47;
	t->base = ~0ULL << t->bits;
	t->page_shift = 12;
	t->root = (s.cr3 & PTE_ADDRESS) + 256 * 8;
	t->user = (s.cs.selector & 3) == 3;
	t->read = read_entry;
	return 0;
}
