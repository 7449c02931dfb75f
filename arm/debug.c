/* SPDX-License-Identifier: MIT */
/*
 * What a debugger needs of an arm64 vcpu (include/lkvm/debug.h): registers as GDB numbers them,
 * breakpoints, watchpoints and steps (Arm DDI 0487, D2 and D24.3).
 */
#include "lkvm/debug.h"

#include "arm.h"
#include "lkvm/kvm.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

/* PSTATE as SPSR_EL1 has it (C5.2.18), SCTLR_ELx (D24.2). */
#define PSTATE_KEPT (0xfULL << 28 | BIT_ULL(24) | BIT_ULL(22)) /* NZCV, DIT, PAN */
#define PSTATE_PAN  BIT_ULL(22)
#define PSTATE_EL1H 5ULL
#define SCTLR_SPAN  BIT_ULL(23)

/* ESR_ELx.EC (D24.2.40); from a lower level, and one more from the same. */
#define ESR_EC(esr)   ((u32)((esr) >> 26) & 0x3f)
#define EC_BREAKPOINT 0x30
#define EC_STEP	      0x32
#define EC_WATCHPOINT 0x34
#define EC_BRK	      0x3c
#define ESR_EC_SAME   BIT_ULL(26)

/* DBGBCR<n>_EL1 and DBGWCR<n>_EL1 (D24.3): enabled at EL0 and EL1. */
#define DBG_ENABLE     7ULL
#define DBG_BCR_BAS    (0xfULL << 5)
#define DBG_WCR_LSC(k) ((u64)(k) << 3) /* 1: loads, 2: stores */
#define DBG_WCR_BAS(b) ((u64)(b) << 5) /* a bit for each byte of eight */

#define VECTOR_SAME_SP0 0x000ULL /* D1.3.1 */
#define VECTOR_SAME_SPX 0x200ULL
#define VECTOR_LOWER	0x400ULL

#define SVE_SLICE 256 /* bytes of a Z register, as KVM gives it; the lower 16 are V */

#define IS_SP 1 /* no id: SP_EL0, or that of the exception level */
#define FP_REG(size, m) \
	(KVM_REG_ARM64 | (size) | KVM_REG_ARM_CORE | KVM_REG_ARM_CORE_REG(fp_regs.m))

static const struct debug_reg core[] = {
	{ .name = "x",
	  .bytes = 8,
	  .count = 31,
	  .step = 2, /* KVM counts in words */
	  .where = ARM_CORE_REG(regs.regs[0]) },
	{ .name = "sp", .type = "data_ptr", .bytes = 8, .where = IS_SP },
	{ .name = "pc", .type = "code_ptr", .bytes = 8, .where = ARM_CORE_REG(regs.pc) },
	{ .name = "cpsr", .type = "pstate", .bytes = 4, .where = ARM_CORE_REG(regs.pstate) },
};
static const struct debug_reg fpu[] = {
	{ .name = "v",
	  .type = "aarch64v",
	  .bytes = 16,
	  .count = 32,
	  .step = 4,
	  .where = FP_REG(KVM_REG_SIZE_U128, vregs[0]) },
	{ .name = "fpsr", .type = "int", .bytes = 4, .where = FP_REG(KVM_REG_SIZE_U32, fpsr) },
	{ .name = "fpcr", .type = "int", .bytes = 4, .where = FP_REG(KVM_REG_SIZE_U32, fpcr) },
};
static const struct debug_reg el0_regs[] = {
	ARM_DEBUG_CORE("sp_el0", regs.sp),
	ARM_DEBUG_SYS("tpidr_el0", 3, 3, 13, 0, 2),
};

/* clang-format off */
#define FLAG(n, bit) "<field name=\"" n "\" start=\"" #bit "\" end=\"" #bit "\"/>"
static const char core_types[] =
	"<flags id=\"pstate\" size=\"4\">" FLAG("SP", 0)
	"<field name=\"EL\" start=\"2\" end=\"3\"/>" FLAG("nRW", 4) FLAG("F", 6) FLAG("I", 7)
	FLAG("A", 8) FLAG("D", 9) FLAG("IL", 20) FLAG("SS", 21) FLAG("PAN", 22) FLAG("UAO", 23)
	FLAG("DIT", 24) FLAG("TCO", 25) FLAG("V", 28) FLAG("C", 29) FLAG("Z", 30) FLAG("N", 31)
	"</flags>";
static const char fpu_types[] =
	"<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
	"<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
	"<vector id=\"v16u\" type=\"uint8\" count=\"16\"/>"
	"<vector id=\"v8u\" type=\"uint16\" count=\"8\"/>"
	"<vector id=\"v4u\" type=\"uint32\" count=\"4\"/>"
	"<vector id=\"v2u\" type=\"uint64\" count=\"2\"/>"
	"<union id=\"aarch64v\"><field name=\"d\" type=\"v2d\"/><field name=\"s\" type=\"v4f\"/>"
	"<field name=\"b\" type=\"v16u\"/><field name=\"h\" type=\"v8u\"/>"
	"<field name=\"w\" type=\"v4u\"/><field name=\"x\" type=\"v2u\"/>"
	"<field name=\"q\" type=\"uint128\"/></union>";
/* clang-format on */

static const struct debug_feature features[] = {
	{ "org.gnu.gdb.aarch64.core", core_types, core, ARRAY_SIZE(core) },
	{ "org.gnu.gdb.aarch64.fpu", fpu_types, fpu, ARRAY_SIZE(fpu) },
	{ "lkvm.arm64.el0", NULL, el0_regs, ARRAY_SIZE(el0_regs) },
	{ "lkvm.arm64.el1", NULL, arm_el_regs[0], ARM_EL_REGS },
	{ "lkvm.arm64.el2", NULL, arm_el_regs[1], ARM_EL_REGS }, /* last */
};

const struct arch_debug arch_debug = {
	.architecture = "aarch64",
	.breaks = { { { 0x00, 0x00, 0x20, 0xd4 }, 4 } }, /* BRK #0 (C6.2.47) */
	.breakpoint_control = KVM_GUESTDBG_USE_SW_BP,
};

const struct debug_feature *arch_debug_features(const struct vm *vm, u32 *nr)
{
	*nr = ARRAY_SIZE(features) - !vm->cfg->arm.nested;
	return features;
}

/* The stack pointer that instructions use (D1.5). */
static u64 sp_id(const struct vcpu *vcpu)
{
	u64 pstate = arm_pstate(vcpu);

	if (!(pstate & PSTATE_SP) || (pstate & PSTATE_AARCH32))
		return ARM_CORE_REG(regs.sp);
	return PSTATE_EL(pstate) == 2 ? arm_el_regs[1][ARM_EL_SP].where : ARM_CORE_REG(sp_el1);
}

static u64 reg_id(const struct vcpu *vcpu, const struct debug_reg *reg, u32 index)
{
	return reg->where == IS_SP ? sp_id(vcpu) : reg->where + (u64)index * reg->step;
}

/* Of a vcpu with SVE KVM has vector registers as a part of those alone (api.rst, 4.68). */
static int sve_vector(const struct vcpu *vcpu, u32 index, u8 *value, bool set)
{
	u8 z[SVE_SLICE] __attribute__((aligned(16)));
	u64 id = KVM_REG_ARM64_SVE_ZREG(index, 0);
	int ret = vcpu_get_reg(vcpu, id, z);

	if (!ret && set) {
		memcpy(z, value, 16);
		ret = vcpu_set_reg(vcpu, id, z);
	} else if (!ret) {
		memcpy(value, z, 16);
	}
	return ret;
}

int arch_debug_get(struct vcpu *vcpu, const struct debug_reg *reg, u32 index, u8 *value)
{
	u8 got[DEBUG_REG_MAX] __attribute__((aligned(16)));
	int ret = vcpu_get_reg(vcpu, reg_id(vcpu, reg, index), got);

	if (ret && reg->bytes == 16)
		return sve_vector(vcpu, index, value, false);
	if (!ret)
		memcpy(value, got, reg->bytes);
	return ret;
}

int arch_debug_set(struct vcpu *vcpu, const struct debug_reg *reg, u32 index, const u8 *value)
{
	u64 id = reg_id(vcpu, reg, index);
	u8 now[DEBUG_REG_MAX] __attribute__((aligned(16)));
	int ret = vcpu_get_reg(vcpu, id, now);

	if (ret && reg->bytes == 16) {
		memcpy(now, value, 16);
		return sve_vector(vcpu, index, now, true);
	}
	/* PSTATE has bits that a debugger does not see. */
	memcpy(now, value, reg->bytes);
	return ret ? ret : vcpu_set_reg(vcpu, id, now);
}

/* Points */

static int set_watch(struct kvm_guest_debug_arch *arch, u32 *used, u32 room,
		     const struct debug_point *p)
{
	static const u8 kinds[] = {
		[DEBUG_WRITE] = 2,
		[DEBUG_READ] = 1,
		[DEBUG_ACCESS] = 3,
	};
	u64 addr = p->addr, left = p->len;

	if (!left || left > 8ULL * KVM_ARM_MAX_DBG_REGS || addr + left < addr)
		return -EINVAL;
	while (left) {
		u64 in_word = addr & 7, n = MIN(left, 8 - in_word);

		if (*used == room)
			return -ENOSPC;
		arch->dbg_wvr[*used] = addr - in_word;
		arch->dbg_wcr[*used] = DBG_ENABLE | DBG_WCR_LSC(kinds[p->kind]) |
				       DBG_WCR_BAS((BIT(n) - 1) << in_word);
		++*used;
		addr += n;
		left -= n;
	}
	return 0;
}

static int set_points(struct kvm_guest_debug_arch *arch, const struct vm *vm,
		      const struct debug_point *points, u32 nr)
{
	u32 max_points =
		MIN(kvm_cap_or(&vm->kvm, KVM_CAP_GUEST_DEBUG_HW_BPS, 0), (u32)KVM_ARM_MAX_DBG_REGS);
	u32 max_watches =
		MIN(kvm_cap_or(&vm->kvm, KVM_CAP_GUEST_DEBUG_HW_WPS, 0), (u32)KVM_ARM_MAX_DBG_REGS);
	u32 used = 0, watches = 0;
	int ret = 0;

	for (u32 i = 0; i < nr && !ret; i++) {
		const struct debug_point *p = &points[i];

		if (p->kind != DEBUG_EXEC) {
			ret = set_watch(arch, &watches, max_watches, p);
			continue;
		}
		if (p->addr & 3)
			return -EINVAL;
		if (used == max_points)
			return -ENOSPC;
		arch->dbg_bvr[used] = p->addr;
		arch->dbg_bcr[used++] = DBG_ENABLE | DBG_BCR_BAS;
	}
	return ret;
}

int arch_debug_check(const struct vm *vm, const struct debug_point *points, u32 nr)
{
	struct kvm_guest_debug_arch arch = { 0 };

	return set_points(&arch, vm, points, nr);
}

int arch_debug_apply(struct vcpu *vcpu, const struct debug_setup *setup)
{
	struct kvm_guest_debug dbg = { 0 };
	int ret = set_points(&dbg.arch, vcpu->vm, setup->points, setup->nr_points);

	if (ret)
		return ret;
	if (setup->nr_points)
		dbg.control |= KVM_GUESTDBG_USE_HW;
	if (setup->step)
		dbg.control |= KVM_GUESTDBG_SINGLESTEP;
	return vcpu_set_debug(vcpu, setup, &dbg);
}

static bool stepped(const struct vcpu *vcpu)
{
	u32 class = ESR_EC(vcpu->run->debug.arch.hsr);

	return class == EC_STEP || class == EC_STEP + 1;
}

void arch_debug_event(struct vcpu *vcpu, struct debug_event *event)
{
	const struct kvm_debug_exit_arch *arch = &vcpu->run->debug.arch;

	*event = (struct debug_event){ .pc = arm_get(vcpu, ARM_CORE_REG(regs.pc)) };
	arm_step_end(vcpu, stepped(vcpu));
	switch (ESR_EC(arch->hsr)) {
	case EC_BRK:
		event->stop = DEBUG_STOP_BREAK;
		break;
	case EC_BREAKPOINT:
	case EC_BREAKPOINT + 1:
		event->stop = DEBUG_STOP_EXEC;
		break;
	case EC_WATCHPOINT:
	case EC_WATCHPOINT + 1:
		event->stop = DEBUG_STOP_WATCH;
		event->addr = arch->far;
		break;
	case EC_STEP:
	case EC_STEP + 1:
		if (vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP)
			event->stop = DEBUG_STOP_STEP;
		break;
	}
}

void arch_debug_enter(struct vcpu *vcpu)
{
	if (vcpu->debug.control & KVM_GUESTDBG_SINGLESTEP)
		arm_step_begin(vcpu);
}

void arch_debug_leave(struct vcpu *vcpu)
{
	arm_step_end(vcpu, false);
}

/* KVM has no request for this: the exception to EL1 is taken here (D1.3). */
int arch_debug_reinject(struct vcpu *vcpu, const struct debug_event *event)
{
	u64 pstate = arm_pstate(vcpu), esr = vcpu->run->debug.arch.hsr, pc = event->pc;
	u64 vector = VECTOR_LOWER, entry;
	const struct debug_reg *el1 = arm_el_regs[0];
	int ret;

	if (vcpu->vm->cfg->arm.nested || (pstate & PSTATE_AARCH32) || PSTATE_EL(pstate) > 1)
		return -ENOTSUP;
	if (PSTATE_EL(pstate)) {
		vector = pstate & PSTATE_SP ? VECTOR_SAME_SPX : VECTOR_SAME_SP0;
		/* BRK has one class for both. */
		if (ESR_EC(esr) != EC_BRK)
			esr |= ESR_EC_SAME;
	}
	vector += arm_get(vcpu, el1[ARM_EL_VBAR].where);
	entry = (pstate & PSTATE_KEPT) | PSTATE_EL1H | PSTATE_DAIF;
	if (!(arm_get(vcpu, el1[ARM_EL_SCTLR].where) & SCTLR_SPAN))
		entry |= PSTATE_PAN;
	ret = vcpu_set_reg(vcpu, el1[ARM_EL_ELR].where, &pc);
	if (!ret)
		ret = vcpu_set_reg(vcpu, el1[ARM_EL_SPSR].where, &pstate);
	if (!ret)
		ret = vcpu_set_reg(vcpu, el1[ARM_EL_ESR].where, &esr);
	if (!ret)
		ret = vcpu_set_reg(vcpu, ARM_CORE_REG(regs.pc), &vector);
	return ret ? ret : vcpu_set_reg(vcpu, ARM_CORE_REG(regs.pstate), &entry);
}
