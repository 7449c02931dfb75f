/* SPDX-License-Identifier: MIT */
/* A vcpu's registers as KVM keeps them (Linux 7.3, arch/x86/kvm/x86.c and svm/svm.c; api.rst). */
#include "state.h"

#include <stdlib.h>

#define CR0_PG	 (1U << 31)
#define CR4_PAE	 (1U << 5)
#define EFER_LME (1U << 8)
#define EFER_LMA (1U << 10)

/* svm_set_segment */
void x86_segment_set(struct x86_segment *to, const struct kvm_segment *from)
{
	u32 present = from->present && !from->unusable;

	to->selector = from->selector;
	to->limit = from->limit;
	to->base = from->base;
	to->attributes = (u16)((from->type & 15U) | (from->s & 1U) << 4 | (from->dpl & 3U) << 5 |
			       present << 7 | (from->avl & 1U) << 8 | (from->l & 1U) << 9 |
			       (from->db & 1U) << 10 | (from->g & 1U) << 11);
}

/* svm_get_segment: what an Intel CPU would have is made up. */
void x86_segment_get(struct kvm_segment *to, const struct x86_segment *from, int which)
{
	u32 a = from->attributes;

	*to = (struct kvm_segment){
		.base = from->base,
		.limit = from->limit,
		.selector = from->selector,
		.type = a & 15,
		.s = a >> 4 & 1,
		.dpl = a >> 5 & 3,
		.present = a >> 7 & 1,
		.avl = a >> 8 & 1,
		.l = a >> 9 & 1,
		.db = a >> 10 & 1,
		.g = from->limit > 0xfffff,
		.unusable = !(a >> 7 & 1),
	};
	if (which == X86_TR)
		to->type |= 2;
	else if ((which == X86_DS || which == X86_ES || which == X86_FS || which == X86_GS) &&
		 !to->unusable)
		to->type |= 1;
	else if (which == X86_SS && to->unusable)
		to->db = 0;
}

/* init_vmcb and kvm_vcpu_reset; RDX: CPUID comes later, so it is KVM's default signature. */
void x86_state_reset(struct x86_state *s, bool first)
{
	memset(s, 0, sizeof(*s));
	for (int i = 0; i < X86_SEGMENTS; i++)
		s->segments[i] = (struct x86_segment){ .attributes = 0x92, .limit = 0xffff };
	s->segments[X86_CS].selector = 0xf000;
	s->segments[X86_CS].attributes = 0x9a;
	s->segments[X86_CS].base = 0xffff0000;
	s->segments[X86_TR].attributes = 0x83;
	s->segments[X86_LDTR].attributes = 0x82;
	s->gdt.limit = s->idt.limit = 0xffff;
	s->regs.rip = 0xfff0;
	s->regs.rflags = 2;
	s->regs.rdx = 0x600;
	s->cr0 = 0x60000010;
	s->apic_base = 0xfee00800 | (first ? 0x100U : 0);
	s->xcr0 = 1;
	s->debug.dr6 = 0xffff0ff0;
	s->debug.dr7 = 0x400;
	memcpy(s->xsave, "\x7f\x03", 2);	  /* FCW */
	memcpy(s->xsave + 24, "\x80\x1f\0\0", 4); /* MXCSR */
	s->mp_state = first ? KVM_MP_STATE_RUNNABLE : KVM_MP_STATE_UNINITIALIZED;
	s->tsc_khz = X86_TSC_KHZ;
}

/* MSRs that KVM has for every guest: those that a VMM may want to set at a reset. */
static bool is_msr(u32 i)
{
	static const u32 known[] = {
		0x10,	    0x1b,	0x3a,	    0x3b,	0x48,	    0x8b,	0x10a,
		0x140,	    0x174,	0x175,	    0x176,	0x179,	    0x17a,	0x17b,
		0x1a0,	    0x1d9,	0x277,	    0x2ff,	0x6e0,	    0xda0,	0x345,
		0x4b564d00, 0x4b564d01, 0x4b564d02, 0x4b564d03, 0x4b564d04, 0x4b564d05, 0x4b564d06,
		0x4b564d07, 0xc0000080, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100,
		0xc0000101, 0xc0000102, 0xc0000103, 0xc0010015, 0xc0010010, 0xc001001f, 0xc0011029,
		0x11,	    0x12,	0xc0010117,
	};

	for (u32 k = 0; k < MODEL_ARRAY(known); k++)
		if (known[k] == i)
			return true;
	return (i >= 0x200 && i < 0x210) || (i >= 0x250 && i < 0x270);
}

static u64 msr_at_reset(const struct x86_state *s, u32 index)
{
	switch (index) {
	case 0x1b:
		return s->apic_base;
	case 0x1a0:
		return 1;
	case 0x277:
		return 0x0007040600070406ULL;
	case 0xc0000080:
		return s->efer;
	}
	return 0;
}

u64 x86_msr(const struct x86_state *s, u32 index, u64 otherwise)
{
	for (u32 i = 0; i < s->nr_msrs; i++)
		if (s->msrs[i].index == index)
			return s->msrs[i].value;
	return otherwise;
}

static void write_msr(struct x86_state *s, u32 index, u64 value)
{
	u32 i = 0;

	while (i < s->nr_msrs && s->msrs[i].index != index)
		i++;
	if (i == X86_MAX_MSRS)
		return;
	s->nr_msrs = i == s->nr_msrs ? i + 1 : s->nr_msrs;
	s->msrs[i].index = index;
	s->msrs[i].value = value;
	if (index == 0xc0000100)
		s->segments[X86_FS].base = value;
	if (index == 0xc0000101)
		s->segments[X86_GS].base = value;
	if (index == 0xc0000080)
		s->efer = value;
	if (index == 0x1b)
		s->apic_base = value;
}

/* The number of MSRs done; the first that is unknown ends it. */
static long transfer_msrs(struct model_call *c, struct x86_state *s, bool set)
{
	struct kvm_msrs head;
	struct kvm_msr_entry e;
	u32 i;

	if (model_read(&head, c->arg, sizeof(head)))
		return -EFAULT;
	if (head.nmsrs > 256)
		return -E2BIG;
	for (i = 0; i < head.nmsrs; i++) {
		u64 at = c->arg + sizeof(head) + i * sizeof(e);

		if (model_read(&e, at, sizeof(e)))
			return -EFAULT;
		if (!(s->has_msr ? s->has_msr : is_msr)(e.index))
			break;
		if (set)
			write_msr(s, e.index, e.data);
		else
			e.data = x86_msr(s, e.index, msr_at_reset(s, e.index));
		if (!set && model_write(at, &e, sizeof(e)))
			return -EFAULT;
	}
	return i;
}

const struct kvm_cpuid_entry2 *x86_cpuid_entry(const struct x86_state *s, u32 leaf, u32 index)
{
	for (u32 i = 0; i < s->nr_cpuid; i++)
		if (s->cpuid[i].function == leaf &&
		    (!(s->cpuid[i].flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX) ||
		     s->cpuid[i].index == index))
			return &s->cpuid[i];
	return NULL;
}

static long set_cpuid(struct model_call *c, struct x86_state *s)
{
	struct kvm_cpuid2 head;
	struct kvm_cpuid_entry2 *all;

	if (model_read(&head, c->arg, sizeof(head)))
		return -EFAULT;
	if (head.nent > 256)
		return -E2BIG;
	all = calloc(head.nent + 1U, sizeof(*all));
	if (!all)
		abort();
	if (model_read(all, c->arg + sizeof(head), head.nent * sizeof(*all))) {
		free(all);
		return -EFAULT;
	}
	free(s->cpuid);
	s->cpuid = all;
	s->nr_cpuid = head.nent;
	model_note(c, "leaves", "%u", head.nent);
	return 0;
}

/* Above MAXPHYADDR are only the C-bit (leaf 0x8000001f) and bit 63 of CR3 with PCIDs. */
static bool is_cr3(const struct x86_state *s, u64 cr3)
{
	const struct kvm_cpuid_entry2 *size = x86_cpuid_entry(s, 0x80000008, 0);
	const struct kvm_cpuid_entry2 *sev = x86_cpuid_entry(s, 0x8000001f, 0);
	u32 bits = size && (size->eax & 0xff) < 64 ? size->eax & 0xff : 36;
	u64 extra = sev ? 1ULL << (sev->ebx & 63) : 0;

	return !(cr3 & ~extra & (~0ULL << bits));
}

/* kvm_is_valid_sregs */
static long check_sregs(const struct x86_state *s, const struct kvm_sregs *r)
{
	if (r->efer & EFER_LME && r->cr0 & CR0_PG) {
		if (!(r->cr4 & CR4_PAE) || !(r->efer & EFER_LMA))
			return model_broken(-EINVAL, "KVM_SET_SREGS: long mode without PAE or LMA");
		if (!is_cr3(s, r->cr3))
			return model_broken(-EINVAL, "KVM_SET_SREGS: CR3 0x%llx has reserved bits",
					    r->cr3);
	} else if (r->efer & EFER_LMA || r->cs.l) {
		return model_broken(-EINVAL, "KVM_SET_SREGS: LMA or CS.L without paging and LME");
	}
	return 0;
}

#define SEGMENTS(X)   \
	X(X86_ES, es) \
	X(X86_CS, cs) \
	X(X86_SS, ss) X(X86_DS, ds) X(X86_FS, fs) X(X86_GS, gs) X(X86_LDTR, ldt) X(X86_TR, tr)

static long set_sregs(struct model_call *c, struct x86_state *s)
{
	struct kvm_sregs r;
	long ret;

	/* kvm_sregs2 is the same up to apic_base. */
	if (model_read(&r, c->arg, offsetof(struct kvm_sregs, interrupt_bitmap)))
		return -EFAULT;
	ret = check_sregs(s, &r);
	if (ret)
		return ret;
#define SET(which, name) x86_segment_set(&s->segments[which], &r.name);
	SEGMENTS(SET)
	s->cpl = r.ss.dpl & 3;
	s->gdt = r.gdt;
	s->idt = r.idt;
	s->cr0 = r.cr0;
	s->cr2 = r.cr2;
	s->cr3 = r.cr3;
	s->cr4 = r.cr4;
	s->cr8 = r.cr8;
	s->efer = r.efer;
	s->apic_base = r.apic_base;
	return 0;
}

static long get_sregs(struct model_call *c, const struct x86_state *s, size_t size)
{
	struct kvm_sregs2 r2 = { 0 };
	struct kvm_sregs r = { 0 };

#define GET(which, name) x86_segment_get(&r.name, &s->segments[which], which);
	SEGMENTS(GET)
	r.ss.dpl = s->cpl;
	r.gdt = s->gdt;
	r.idt = s->idt;
	r.cr0 = s->cr0;
	r.cr2 = s->cr2;
	r.cr3 = s->cr3;
	r.cr4 = s->cr4;
	r.cr8 = s->cr8;
	r.efer = s->efer;
	r.apic_base = s->apic_base;
	/* The same up to apic_base. */
	memcpy(&r2, &r, offsetof(struct kvm_sregs, interrupt_bitmap));
	return model_write(c->arg, size == sizeof(r2) ? (void *)&r2 : (void *)&r, size);
}

static long get_fpu(struct model_call *c, const struct x86_state *s)
{
	struct kvm_fpu f = { 0 };

	memcpy(&f.fcw, s->xsave, 2);
	memcpy(&f.fsw, s->xsave + 2, 2);
	f.ftwx = s->xsave[4];
	memcpy(&f.last_opcode, s->xsave + 6, 2);
	memcpy(&f.last_ip, s->xsave + 8, 8);
	memcpy(&f.last_dp, s->xsave + 16, 8);
	memcpy(&f.mxcsr, s->xsave + 24, 4);
	memcpy(f.fpr, s->xsave + 32, sizeof(f.fpr));
	memcpy(f.xmm, s->xsave + 160, sizeof(f.xmm));
	return model_write(c->arg, &f, sizeof(f));
}

static long set_fpu(struct model_call *c, struct x86_state *s)
{
	struct kvm_fpu f;

	if (model_read(&f, c->arg, sizeof(f)))
		return -EFAULT;
	memcpy(s->xsave, &f.fcw, 2);
	memcpy(s->xsave + 2, &f.fsw, 2);
	s->xsave[4] = f.ftwx;
	memcpy(s->xsave + 6, &f.last_opcode, 2);
	memcpy(s->xsave + 8, &f.last_ip, 8);
	memcpy(s->xsave + 16, &f.last_dp, 8);
	memcpy(s->xsave + 24, &f.mxcsr, 4);
	memcpy(s->xsave + 32, f.fpr, sizeof(f.fpr));
	memcpy(s->xsave + 160, f.xmm, sizeof(f.xmm));
	/* XSTATE_BV: what was set is there. */
	s->xsave[512] |= 3;
	return 0;
}

/* copy_uabi_to_xstate: what XSTATE_BV does not name stays as it is in KVM's own area. */
static long set_xsave(struct model_call *c, struct x86_state *s)
{
	u8 area[sizeof(s->xsave)];
	u8 bv;

	if (model_read(area, c->arg, sizeof(area)))
		return -EFAULT;
	bv = area[512];
	if (bv & 1) {
		memcpy(s->xsave, area, 24);
		memcpy(s->xsave + 32, area + 32, 128);
	}
	if (bv & 7)
		memcpy(s->xsave + 24, area + 24, 8);
	if (bv & 2)
		memcpy(s->xsave + 160, area + 160, 256);
	if (bv & 4)
		memcpy(s->xsave + 576, area + 576, 256);
	memcpy(s->xsave + 512, area + 512, 64);
	return 0;
}

static long get_xcrs(struct model_call *c, const struct x86_state *s)
{
	struct kvm_xcrs x = { .nr_xcrs = 1, .xcrs = { { .xcr = 0, .value = s->xcr0 } } };

	return model_write(c->arg, &x, sizeof(x));
}

static long set_xcrs(struct model_call *c, struct x86_state *s)
{
	struct kvm_xcrs x;

	if (model_read(&x, c->arg, sizeof(x)))
		return -EFAULT;
	if (x.nr_xcrs > KVM_MAX_XCRS || x.flags)
		return -EINVAL;
	for (u32 i = 0; i < x.nr_xcrs; i++) {
		if (x.xcrs[i].xcr)
			continue;
		if (!(x.xcrs[i].value & 1) || (x.xcrs[i].value & 6) == 4)
			return model_broken(-EINVAL, "KVM_SET_XCRS: 0x%llx", x.xcrs[i].value);
		s->xcr0 = x.xcrs[i].value;
	}
	return 0;
}

static long set_mp_state(struct model_call *c, struct x86_state *s)
{
	struct kvm_mp_state mp;

	if (model_read(&mp, c->arg, sizeof(mp)))
		return -EFAULT;
	s->mp_state = mp.mp_state;
	return 0;
}

#define COPY_OUT(member) model_write(c->arg, &s->member, sizeof(s->member))
#define COPY_IN(member)	 model_read(&s->member, c->arg, sizeof(s->member))

bool x86_is_protected_state(unsigned long request)
{
	switch (request) {
	case KVM_GET_REGS:
	case KVM_SET_REGS:
	case KVM_GET_SREGS:
	case KVM_SET_SREGS:
	case KVM_GET_SREGS2:
	case KVM_SET_SREGS2:
	case KVM_GET_XSAVE:
	case KVM_GET_XSAVE2:
	case KVM_SET_XSAVE:
	case KVM_GET_XCRS:
	case KVM_SET_XCRS:
	case KVM_GET_FPU:
	case KVM_SET_FPU:
	case KVM_GET_DEBUGREGS:
	case KVM_SET_DEBUGREGS:
		return true;
	}
	return false;
}

static long other_state(struct model_call *c, struct x86_state *s)
{
	switch (c->request) {
	case KVM_GET_MP_STATE:
		return model_write(c->arg, &s->mp_state, sizeof(s->mp_state));
	case KVM_SET_MP_STATE:
		return set_mp_state(c, s);
	case KVM_GET_VCPU_EVENTS:
		return COPY_OUT(events);
	case KVM_SET_VCPU_EVENTS:
		return COPY_IN(events);
	case KVM_GET_LAPIC:
		return COPY_OUT(lapic);
	case KVM_SET_LAPIC:
		return COPY_IN(lapic);
	case KVM_SET_GUEST_DEBUG:
		return COPY_IN(guest_debug);
	case KVM_SET_CPUID2:
		return set_cpuid(c, s);
	case KVM_GET_MSRS:
		return transfer_msrs(c, s, false);
	case KVM_SET_MSRS:
		return transfer_msrs(c, s, true);
	}
	return MODEL_PASS;
}

long x86_state_ioctl(struct model_call *c)
{
	struct x86_state *s = c->vcpu ? x86_state(c->vcpu) : NULL;

	if (!s)
		return MODEL_PASS;
	switch (c->request) {
	case KVM_GET_REGS:
		return COPY_OUT(regs);
	case KVM_SET_REGS:
		return COPY_IN(regs);
	case KVM_GET_SREGS:
		return get_sregs(c, s, sizeof(struct kvm_sregs));
	case KVM_GET_SREGS2:
		return get_sregs(c, s, sizeof(struct kvm_sregs2));
	case KVM_SET_SREGS:
	case KVM_SET_SREGS2:
		return set_sregs(c, s);
	case KVM_GET_XSAVE:
	case KVM_GET_XSAVE2:
		return COPY_OUT(xsave);
	case KVM_SET_XSAVE:
		return set_xsave(c, s);
	case KVM_GET_XCRS:
		return get_xcrs(c, s);
	case KVM_SET_XCRS:
		return set_xcrs(c, s);
	case KVM_GET_FPU:
		return get_fpu(c, s);
	case KVM_SET_FPU:
		return set_fpu(c, s);
	case KVM_GET_DEBUGREGS:
		return COPY_OUT(debug);
	case KVM_SET_DEBUGREGS:
		return COPY_IN(debug);
	}
	return other_state(c, s);
}
