/* SPDX-License-Identifier: MIT */
/*
 * What a debugger needs of an x86 vcpu (include/lkvm/debug.h): registers as GDB numbers them,
 * addresses by KVM_TRANSLATE, debug registers and single steps (Intel SDM volume 3, 17.2).
 */
#include "lkvm/debug.h"

#include <stdlib.h>

#include "lkvm/kvm.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "vcpu-state.h"

#define MSR_KERNEL_GS_BASE 0xc0000102

#define VECTOR_DB 1
#define VECTOR_BP 3

/* Intel SDM volume 3, 17.2.3 and 17.2.4 */
#define DR6_POINTS	 0xfULL
#define DR6_BS		 BIT_ULL(14)
#define DR7_FIXED	 BIT_ULL(10)
#define DR7_GE		 BIT_ULL(9)
#define DR7_ENABLE(n)	 (2ULL << (2 * (n))) /* G0 and on */
#define DR7_RW_SHIFT(n)	 (16 + 4 * (n))
#define DR7_LEN_SHIFT(n) (18 + 4 * (n))
#define NR_DR		 4U

/* The beginning of an XSAVE area (Intel SDM volume 1, 10.5.1 and 13.4). */
struct x86_fxsave {
	u16 fcw, fsw;
	u8 ftw, reserved;
	u16 fop;
	u64 ip, dp;
	u32 mxcsr, mxcsr_mask;
	u8 st[8][16];
	u8 xmm[16][16];
};
#define XSTATE_BV     512
#define XSTATE_FP_SSE 3ULL

/* Where KVM has a register: in one of these, or in an MSR. */
struct x86_all {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct x86_fxsave fpu;
	u64 kernel_gs_base;
};

#define SIZE(m) sizeof(((struct x86_all *)0)->m)
#define AT(m)	.where = offsetof(struct x86_all, m), .have = SIZE(m)
#define REG(n, m)                            \
	{                                    \
		.name = n, .bytes = 8, AT(m) \
	}
#define PTR(n, t, m)                                    \
	{                                               \
		.name = n, .type = t, .bytes = 8, AT(m) \
	}
#define SEG(n)                                               \
	{                                                    \
		.name = #n, .bytes = 4, AT(sregs.n.selector) \
	}
#define CONTROL(n, m)                                           \
	{                                                       \
		.name = n, .type = "int", .bytes = 4, AT(fpu.m) \
	}
#define SYSTEM(n)                                   \
	{                                           \
		.name = #n, .bytes = 8, AT(sregs.n) \
	}

/* clang-format off */
static const struct debug_reg core[] = {
	REG("rax", regs.rax), REG("rbx", regs.rbx), REG("rcx", regs.rcx), REG("rdx", regs.rdx),
	REG("rsi", regs.rsi), REG("rdi", regs.rdi),
	PTR("rbp", "data_ptr", regs.rbp), PTR("rsp", "data_ptr", regs.rsp),
	REG("r8", regs.r8), REG("r9", regs.r9), REG("r10", regs.r10), REG("r11", regs.r11),
	REG("r12", regs.r12), REG("r13", regs.r13), REG("r14", regs.r14), REG("r15", regs.r15),
	PTR("rip", "code_ptr", regs.rip),
	/* The upper half is reserved. */
	{ .name = "eflags", .type = "x86_eflags", .bytes = 4, .have = 4,
	  .where = offsetof(struct x86_all, regs.rflags) },
	SEG(cs), SEG(ss), SEG(ds), SEG(es), SEG(fs), SEG(gs),
	{ .name = "st", .type = "i387_ext", .bytes = 10, .have = 10, .count = 8, .step = 16,
	  .where = offsetof(struct x86_all, fpu.st) },
	CONTROL("fctrl", fcw), CONTROL("fstat", fsw), CONTROL("ftag", ftw),
	/* The instruction's and the operand's address, without their segments. */
	{ .name = "fiseg", .type = "int", .bytes = 4 },
	{ .name = "fioff", .type = "int", .bytes = 4, .have = 4,
	  .where = offsetof(struct x86_all, fpu.ip) },
	{ .name = "foseg", .type = "int", .bytes = 4 },
	{ .name = "fooff", .type = "int", .bytes = 4, .have = 4,
	  .where = offsetof(struct x86_all, fpu.dp) },
	CONTROL("fop", fop),
};
static const struct debug_reg sse[] = {
	{ .name = "xmm", .type = "vec128", .bytes = 16, .have = 16, .count = 16, .step = 16,
	  .where = offsetof(struct x86_all, fpu.xmm) },
	{ .name = "mxcsr", .type = "int", .bytes = 4, AT(fpu.mxcsr) },
};
static const struct debug_reg segments[] = {
	REG("fs_base", sregs.fs.base), REG("gs_base", sregs.gs.base),
};
static const struct debug_reg system_regs[] = {
	REG("k_gs_base", kernel_gs_base),
	SYSTEM(cr0), SYSTEM(cr2), SYSTEM(cr3), SYSTEM(cr4), SYSTEM(cr8), SYSTEM(efer),
};

/* Intel SDM volume 1, 3.4.3 */
#define FLAG(n, bit) "<field name=\"" n "\" start=\"" #bit "\" end=\"" #bit "\"/>"
static const char core_types[] =
	"<flags id=\"x86_eflags\" size=\"4\">"
	FLAG("CF", 0) FLAG("PF", 2) FLAG("AF", 4) FLAG("ZF", 6) FLAG("SF", 7) FLAG("TF", 8)
	FLAG("IF", 9) FLAG("DF", 10) FLAG("OF", 11) FLAG("NT", 14) FLAG("RF", 16) FLAG("VM", 17)
	FLAG("AC", 18) FLAG("VIF", 19) FLAG("VIP", 20) FLAG("ID", 21)
	"</flags>";
static const char sse_types[] =
	"<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
	"<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
	"<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
	"<vector id=\"v8i16\" type=\"int16\" count=\"8\"/>"
	"<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
	"<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
	"<union id=\"vec128\"><field name=\"v4_float\" type=\"v4f\"/>"
	"<field name=\"v2_double\" type=\"v2d\"/><field name=\"v16_int8\" type=\"v16i8\"/>"
	"<field name=\"v8_int16\" type=\"v8i16\"/><field name=\"v4_int32\" type=\"v4i32\"/>"
	"<field name=\"v2_int64\" type=\"v2i64\"/><field name=\"uint128\" type=\"uint128\"/></union>";
static const struct debug_feature features[] = {
	{ "org.gnu.gdb.i386.core", core_types, core, ARRAY_SIZE(core) },
	{ "org.gnu.gdb.i386.sse", sse_types, sse, ARRAY_SIZE(sse) },
	{ "org.gnu.gdb.i386.segments", NULL, segments, ARRAY_SIZE(segments) },
	{ "lkvm.x86.system", NULL, system_regs, ARRAY_SIZE(system_regs) },
};
/* clang-format on */

const struct arch_debug arch_debug = {
	.architecture = "i386:x86-64",
	.breaks = { { { 0xcc }, 1 } }, /* INT3 */
	.breakpoint_control = KVM_GUESTDBG_USE_SW_BP,
};

const struct debug_feature *arch_debug_features(const struct vm *vm, u32 *nr)
{
	*nr = ARRAY_SIZE(features);
	return features;
}

/* The rest of the area stays; what is set is not in its initial state any more. */
static int transfer_fpu(struct vcpu *vcpu, struct x86_fxsave *fpu, bool set)
{
	int size = kvm_check_cap(&vcpu->vm->kvm, KVM_CAP_XSAVE2), ret;
	u8 *area = xcalloc(1, (size_t)MAX(size, (int)sizeof(struct kvm_xsave)));

	ret = xioctl(vcpu->fd, size > 0 ? KVM_GET_XSAVE2 : KVM_GET_XSAVE, area);
	if (ret >= 0 && set) {
		memcpy(area, fpu, sizeof(*fpu));
		put_le(area + XSTATE_BV, 8, get_le(area + XSTATE_BV, 8) | XSTATE_FP_SSE);
		ret = xioctl(vcpu->fd, KVM_SET_XSAVE, area);
	} else if (ret >= 0) {
		memcpy(fpu, area, sizeof(*fpu));
	}
	free(area);
	return ret;
}

/* The part of x86_all that holds @reg: read it from KVM, or (@set) write it there. */
static int transfer(struct vcpu *vcpu, const struct debug_reg *reg, struct x86_all *all, bool set)
{
	int ret;

	if (reg->where >= offsetof(struct x86_all, kernel_gs_base))
		return x86_transfer_msr(vcpu, set ? KVM_SET_MSRS : KVM_GET_MSRS, MSR_KERNEL_GS_BASE,
					&all->kernel_gs_base)
			       ? 0
			       : -EINVAL;
	if (reg->where >= offsetof(struct x86_all, fpu))
		ret = transfer_fpu(vcpu, &all->fpu, set);
	else if (reg->where >= offsetof(struct x86_all, sregs))
		ret = xioctl(vcpu->fd, set ? KVM_SET_SREGS : KVM_GET_SREGS, &all->sregs);
	else
		ret = xioctl(vcpu->fd, set ? KVM_SET_REGS : KVM_GET_REGS, &all->regs);
	return MIN(ret, 0);
}

/* FXSAVE's tags tell whether a register is empty; FSTENV's, which GDB wants, have two bits (Intel
 * SDM volume 1, 10.5.1.1). */
static u32 full_tags(u8 abridged)
{
	u32 tags = 0;

	for (u32 i = 0; i < 8; i++)
		if (!(abridged & BIT(i)))
			tags |= 3U << (2 * i);
	return tags;
}

static bool is_tag(const struct debug_reg *reg)
{
	return reg->where == offsetof(struct x86_all, fpu.ftw);
}

int arch_debug_get(struct vcpu *vcpu, const struct debug_reg *reg, u32 index, u8 *value)
{
	struct x86_all all = { 0 };
	int ret = reg->have ? transfer(vcpu, reg, &all, false) : 0;

	if (ret)
		return ret;
	memset(value, 0, reg->bytes);
	memcpy(value, (u8 *)&all + reg->where + (size_t)index * reg->step, reg->have);
	if (is_tag(reg))
		put_le(value, reg->bytes, full_tags(all.fpu.ftw));
	return 0;
}

int arch_debug_set(struct vcpu *vcpu, const struct debug_reg *reg, u32 index, const u8 *value)
{
	struct x86_all all = { 0 };
	int ret = reg->have ? transfer(vcpu, reg, &all, false) : 0;

	/* Tags follow from what is loaded; a segment of the x87 is none. */
	if (ret || !reg->have || is_tag(reg))
		return ret;
	memcpy((u8 *)&all + reg->where + (size_t)index * reg->step, value, reg->have);
	return transfer(vcpu, reg, &all, true);
}

int arch_vcpu_translate(struct vcpu *vcpu, u64 va, u64 *gpa)
{
	struct kvm_translation tr = { .linear_address = va };
	int ret = xioctl(vcpu->fd, KVM_TRANSLATE, &tr);

	if (ret < 0)
		return ret;
	*gpa = tr.physical_address;
	return tr.valid ? 0 : -EFAULT;
}

/* Points */

/* The longest piece of [addr, addr+len) that one debug register watches: a power of two of bytes at
 * a multiple of that. */
static u32 piece(u64 addr, u64 len)
{
	u32 size = 8;

	while (size > 1 && (size > len || addr % size))
		size /= 2;
	return size;
}

static int set_dr(struct kvm_guest_debug *dbg, u32 *used, u64 addr, u32 len, u32 rw)
{
	/* Their code for 8 bytes is 2, for the others one less than that. */
	u64 code = len == 8 ? 2 : len - 1;

	if (*used == NR_DR)
		return -ENOSPC;
	dbg->arch.debugreg[*used] = addr;
	dbg->arch.debugreg[7] |=
		DR7_ENABLE(*used) | (u64)rw << DR7_RW_SHIFT(*used) | code << DR7_LEN_SHIFT(*used);
	++*used;
	return 0;
}

static int set_point(struct kvm_guest_debug *dbg, u32 *used, const struct debug_point *p)
{
	u64 addr = p->addr, left = p->len;
	int ret = 0;

	if (p->kind == DEBUG_EXEC)
		return set_dr(dbg, used, p->addr, 1, 0);
	/* They cannot tell reads from writes. */
	if (p->kind == DEBUG_READ)
		return -ENOTSUP;
	if (!left || left > 8ULL * NR_DR || addr + left < addr)
		return -EINVAL;
	while (left && !ret) {
		u32 n = piece(addr, left);

		ret = set_dr(dbg, used, addr, n, p->kind == DEBUG_WRITE ? 1 : 3);
		addr += n;
		left -= n;
	}
	return ret;
}

static int set_points(struct kvm_guest_debug *dbg, const struct debug_point *points, u32 nr)
{
	u32 used = 0;
	int ret = 0;

	if (nr)
		dbg->arch.debugreg[7] = DR7_FIXED | DR7_GE;
	for (u32 i = 0; i < nr && !ret; i++)
		ret = set_point(dbg, &used, &points[i]);
	return ret;
}

int arch_debug_check(const struct vm *vm, const struct debug_point *points, u32 nr)
{
	struct kvm_guest_debug dbg = { 0 };

	return set_points(&dbg, points, nr);
}

/* A step ends at the next instruction, not in a handler of an interrupt that waited, where KVM can
 * hold those back (since Linux 5.13). */
static u32 step_flags(const struct kvm *kvm)
{
	u32 flags = KVM_GUESTDBG_SINGLESTEP;

	if (kvm_check_cap(kvm, KVM_CAP_SET_GUEST_DEBUG2) & KVM_GUESTDBG_BLOCKIRQ)
		flags |= KVM_GUESTDBG_BLOCKIRQ;
	return flags;
}

int arch_debug_apply(struct vcpu *vcpu, const struct debug_setup *setup)
{
	struct kvm_guest_debug dbg = { 0 };
	int ret = set_points(&dbg, setup->points, setup->nr_points);

	if (ret)
		return ret;
	if (setup->nr_points)
		dbg.control |= KVM_GUESTDBG_USE_HW_BP;
	if (setup->step)
		dbg.control |= step_flags(&vcpu->vm->kvm);
	return vcpu_set_debug(vcpu, setup, &dbg);
}

/* KVM does it all. */
void arch_debug_enter(struct vcpu *vcpu) {}

void arch_debug_leave(struct vcpu *vcpu) {}

void arch_debug_event(struct vcpu *vcpu, struct debug_event *event)
{
	const struct kvm_debug_exit_arch *arch = &vcpu->run->debug.arch;
	const struct kvm_guest_debug *dbg = &vcpu->debug;

	*event = (struct debug_event){ .pc = arch->pc };
	if (arch->exception == VECTOR_BP) {
		event->stop = DEBUG_STOP_BREAK;
		return;
	}
	for (u32 i = 0; i < NR_DR; i++) {
		if (!(arch->dr6 & DR6_POINTS & BIT_ULL(i)) ||
		    !(dbg->arch.debugreg[7] & DR7_ENABLE(i)))
			continue;
		event->addr = dbg->arch.debugreg[i];
		event->stop = dbg->arch.debugreg[7] >> DR7_RW_SHIFT(i) & 3 ? DEBUG_STOP_WATCH
									   : DEBUG_STOP_EXEC;
		return;
	}
	if (dbg->control & KVM_GUESTDBG_SINGLESTEP)
		event->stop = DEBUG_STOP_STEP;
}

int arch_debug_reinject(struct vcpu *vcpu, const struct debug_event *event)
{
	struct kvm_guest_debug dbg = vcpu->debug;
	int ret;

	dbg.control |=
		KVM_GUESTDBG_ENABLE |
		(event->stop == DEBUG_STOP_BREAK ? KVM_GUESTDBG_INJECT_BP : KVM_GUESTDBG_INJECT_DB);
	ret = xioctl(vcpu->fd, KVM_SET_GUEST_DEBUG, &dbg);
	return MIN(ret, 0);
}
