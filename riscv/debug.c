/* SPDX-License-Identifier: MIT */
/*
 * What a debugger needs of a riscv64 vcpu (include/lkvm/debug.h): registers as GDB names them (GDB
 * manual, G.5.13), breakpoints, the guest's own. Points of the processor's triggers KVM does not
 * give; steps are step.c's.
 */
#include "lkvm/debug.h"

#include "lkvm/kvm.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"
#include "riscv.h"

#define ZERO 0 /* no id: x0 */

#define CAUSE_BREAKPOINT 3 /* The RISC-V Instruction Set Manual Volume II, table 36 */

#define X(n, i)                                                     \
	{                                                           \
		.name = (n), .bytes = 8, .where = RISCV_CORE_REG(i) \
	}
#define X_TYPED(n, i, t)                                                         \
	{                                                                        \
		.name = (n), .type = (t), .bytes = 8, .where = RISCV_CORE_REG(i) \
	}
#define CSR(n, i)                                                  \
	{                                                          \
		.name = (n), .bytes = 8, .where = RISCV_CSR_REG(i) \
	}
/* @n bits of fcsr, from @at on (Volume I, 21.2). */
#define FCSR_BITS(name_, at, n)                                                        \
	{                                                                              \
		.name = (name_), .type = "int", .bytes = 4, .have = (n), .step = (at), \
		.where = RISCV_FCSR                                                    \
	}

const struct debug_reg riscv_x_regs[RISCV_X_REGS] = {
	{ .name = "zero", .bytes = 8, .where = ZERO },
	X_TYPED("ra", 1, "code_ptr"),
	X_TYPED("sp", 2, "data_ptr"),
	X_TYPED("gp", 3, "data_ptr"),
	X_TYPED("tp", 4, "data_ptr"),
	X("t0", 5),
	X("t1", 6),
	X("t2", 7),
	X_TYPED("fp", 8, "data_ptr"),
	X("s1", 9),
	X("a0", 10),
	X("a1", 11),
	X("a2", 12),
	X("a3", 13),
	X("a4", 14),
	X("a5", 15),
	X("a6", 16),
	X("a7", 17),
	X("s2", 18),
	X("s3", 19),
	X("s4", 20),
	X("s5", 21),
	X("s6", 22),
	X("s7", 23),
	X("s8", 24),
	X("s9", 25),
	X("s10", 26),
	X("s11", 27),
	X("t3", 28),
	X("t4", 29),
	X("t5", 30),
	X("t6", 31),
	X_TYPED("pc", RISCV_CORE_PC, "code_ptr"),
};
static const struct debug_reg fpu[] = {
	{ .name = "f",
	  .type = "ieee_double",
	  .bytes = 8,
	  .count = 32,
	  .step = 1,
	  .where = RISCV_FP_REG(0) },
	FCSR_BITS("fflags", 0, 5),
	FCSR_BITS("frm", 5, 3),
	FCSR_BITS("fcsr", 0, 32),
};
const struct debug_reg riscv_csrs[RISCV_CSRS] = {
	CSR("sstatus", RISCV_CSR_SSTATUS), CSR("sie", RISCV_CSR_SIE),
	CSR("stvec", RISCV_CSR_STVEC),	   CSR("sscratch", RISCV_CSR_SSCRATCH),
	CSR("sepc", RISCV_CSR_SEPC),	   CSR("scause", RISCV_CSR_SCAUSE),
	CSR("stval", RISCV_CSR_STVAL),	   CSR("sip", RISCV_CSR_SIP),
	CSR("satp", RISCV_CSR_SATP),	   CSR("scounteren", RISCV_CSR_SCOUNTEREN),
	CSR("senvcfg", RISCV_CSR_SENVCFG),
};
static const struct debug_reg virtual[] = {
	X("priv", RISCV_CORE_MODE), /* the same numbers */
};

/* KVM has five CSRs, and behind a place that it does not use V0 to V31, all of VLENB bytes. */
#define VECTOR_REG(size, n) (KVM_REG_RISCV | (size) | KVM_REG_RISCV_VECTOR | (u64)(n))
#define VECTOR_CSR(n)	    VECTOR_REG(KVM_REG_SIZE_U64, n)
#define VLENB		    VECTOR_CSR(4)
#define VECTOR(size, n)                                                           \
	{                                                                         \
		{ .name = "v",                                                    \
		  .type = "riscv_vector",                                         \
		  .bytes = (n),                                                   \
		  .count = 32,                                                    \
		  .step = 1,                                                      \
		  .where = VECTOR_REG(size, 6) },                                 \
			{ .name = "vstart", .bytes = 8, .where = VECTOR_CSR(0) }, \
			{ .name = "vl", .bytes = 8, .where = VECTOR_CSR(1) },     \
			{ .name = "vtype", .bytes = 8, .where = VECTOR_CSR(2) },  \
			{ .name = "vcsr", .bytes = 8, .where = VECTOR_CSR(3) },   \
			{ .name = "vlenb", .bytes = 8, .where = VLENB },          \
	}
static const struct debug_reg vector_regs[][6] = {
	VECTOR(KVM_REG_SIZE_U128, 16),
	VECTOR(KVM_REG_SIZE_U256, 32),
	VECTOR(KVM_REG_SIZE_U512, 64),
};
/* clang-format off */
#define VECTOR_TYPES(b, h, w, l, q)                                        \
	"<vector id=\"v_b\" type=\"uint8\" count=\"" #b "\"/>"               \
	"<vector id=\"v_h\" type=\"uint16\" count=\"" #h "\"/>"              \
	"<vector id=\"v_w\" type=\"uint32\" count=\"" #w "\"/>"              \
	"<vector id=\"v_l\" type=\"uint64\" count=\"" #l "\"/>"              \
	"<vector id=\"v_q\" type=\"uint128\" count=\"" #q "\"/>"             \
	"<union id=\"riscv_vector\"><field name=\"b\" type=\"v_b\"/>"        \
	"<field name=\"s\" type=\"v_h\"/><field name=\"w\" type=\"v_w\"/>" \
	"<field name=\"l\" type=\"v_l\"/><field name=\"q\" type=\"v_q\"/>" \
	"</union>"
/* clang-format on */

/* Without vectors, and with those of 128, 256 and 512 bits. */
#define FEATURES                                                                       \
	{ "org.gnu.gdb.riscv.cpu", NULL, riscv_x_regs, ARRAY_SIZE(riscv_x_regs) },     \
		{ "org.gnu.gdb.riscv.fpu", NULL, fpu, ARRAY_SIZE(fpu) },               \
		{ "org.gnu.gdb.riscv.csr", NULL, riscv_csrs, ARRAY_SIZE(riscv_csrs) }, \
	{                                                                              \
		"org.gnu.gdb.riscv.virtual", NULL, virtual, ARRAY_SIZE(virtual)        \
	}
#define FEATURES_WITH(i, types)                                            \
	{                                                                  \
		FEATURES,                                                  \
		{                                                          \
			"org.gnu.gdb.riscv.vector", types, vector_regs[i], \
				ARRAY_SIZE(vector_regs[i])                 \
		}                                                          \
	}
#define NR_FEATURES 4
static const struct debug_feature features[][NR_FEATURES + 1] = {
	{ FEATURES },
	FEATURES_WITH(0, VECTOR_TYPES(16, 8, 4, 2, 1)),
	FEATURES_WITH(1, VECTOR_TYPES(32, 16, 8, 4, 2)),
	FEATURES_WITH(2, VECTOR_TYPES(64, 32, 16, 8, 4)),
};

const struct arch_debug arch_debug = {
	.architecture = "riscv:rv64",
	/* C.EBREAK, which fits everywhere (Volume I, 28.5), and EBREAK. */
	.breaks = { { { 0x02, 0x90 }, 2 }, { { 0x73, 0x00, 0x10, 0x00 }, 4 } },
};

/* All vcpus have the same. Vectors that are longer than those above are not shown. */
const struct debug_feature *arch_debug_features(const struct vm *vm, u32 *nr)
{
	u64 vlenb = vm->nr_vcpus ? riscv_get(vm->vcpus[0], VLENB) : 0;

	for (u32 i = 0; i < ARRAY_SIZE(vector_regs); i++)
		if (vlenb == vector_regs[i][0].bytes) {
			*nr = NR_FEATURES + 1;
			return features[i + 1];
		}
	*nr = NR_FEATURES;
	return features[0];
}

static u64 reg_id(const struct debug_reg *reg, u32 index)
{
	return reg->where + (reg->count ? (u64)index * reg->step : 0);
}

int arch_debug_get(struct vcpu *vcpu, const struct debug_reg *reg, u32 index, u8 *value)
{
	u8 got[DEBUG_REG_MAX] __attribute__((aligned(8))) = { 0 };
	int ret = reg->where == ZERO ? 0 : vcpu_get_reg(vcpu, reg_id(reg, index), got);

	if (ret)
		return ret;
	if (reg->have)
		put_le(got, 8, get_le(got, 8) >> reg->step & (BIT_ULL(reg->have) - 1));
	memcpy(value, got, reg->bytes);
	return 0;
}

int arch_debug_set(struct vcpu *vcpu, const struct debug_reg *reg, u32 index, const u8 *value)
{
	u64 id = reg_id(reg, index), mask = (BIT_ULL(reg->have) - 1) << reg->step;
	u8 now[DEBUG_REG_MAX] __attribute__((aligned(8))) = { 0 };
	int ret = reg->where == ZERO || !reg->have ? 0 : vcpu_get_reg(vcpu, id, now);

	/* Zero stays what it is. */
	if (ret || reg->where == ZERO)
		return ret;
	if (reg->have)
		put_le(now, 8,
		       (get_le(now, 8) & ~mask) | (get_le(value, reg->bytes) << reg->step & mask));
	else
		memcpy(now, value, reg->bytes);
	return vcpu_set_reg(vcpu, id, now);
}

/* There are none: KVM keeps the triggers from its guests. */
int arch_debug_check(const struct vm *vm, const struct debug_point *points, u32 nr)
{
	return nr ? -ENOTSUP : 0;
}

/* A step is breakpoints in memory, which all vcpus meet. */
int arch_debug_apply(struct vcpu *vcpu, const struct debug_setup *setup)
{
	struct kvm_guest_debug dbg = { .control = setup->any_step ? KVM_GUESTDBG_ENABLE : 0 };
	int ret = vcpu_set_debug(vcpu, setup, &dbg);

	if (!ret)
		vcpu->arch->step = (struct riscv_step){ .wanted = setup->step };
	return ret;
}

void arch_debug_enter(struct vcpu *vcpu)
{
	riscv_step_begin(vcpu);
}

void arch_debug_leave(struct vcpu *vcpu)
{
	riscv_step_end(vcpu);
}

/* KVM has no other reason than a breakpoint. */
void arch_debug_event(struct vcpu *vcpu, struct debug_event *event)
{
	*event = (struct debug_event){
		.pc = riscv_get(vcpu, RISCV_CORE_REG(RISCV_CORE_PC)),
	};
	switch (riscv_step_met(vcpu, event->pc)) {
	case RISCV_MET_OTHER:
		/* Until that step is over: as if nothing had been. */
		vcpu->arch->met_stop = true;
		return;
	case RISCV_MET_OWN:
		riscv_step_end(vcpu);
		vcpu->arch->step.arrived = false;
		event->stop = DEBUG_STOP_STEP;
		return;
	case RISCV_MET_NONE:
		riscv_step_end(vcpu);
		event->stop = DEBUG_STOP_BREAK;
		return;
	}
}

/* KVM has no request for this. */
int arch_debug_reinject(struct vcpu *vcpu, const struct debug_event *event)
{
	struct riscv_step *step = &vcpu->arch->step;
	int ret;

	if (vcpu->arch->met_stop) {
		vcpu->arch->met_stop = false;
		return 0;
	}
	ret = riscv_enter_exception(vcpu, CAUSE_BREAKPOINT, event->pc);
	if (ret || !step->wanted)
		return ret;
	/* Which was the step. */
	step->arrived = true;
	step->pc = riscv_get(vcpu, RISCV_CORE_REG(RISCV_CORE_PC));
	riscv_step_begin(vcpu);
	return 0;
}
