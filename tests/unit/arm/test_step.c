/* SPDX-License-Identifier: MIT */
/*
 * What a step leaves behind of the interrupts that it kept away: nothing, whatever the instruction
 * did with PSTATE. The test is the processor, over a KVM that has registers.
 */
#include "devvm.h"
#include "fake_ioctl.h"

#include <sys/mman.h>

#include "../../../arm/arm.h"
#include "lkvm/debug.h"
#include "lkvm/vcpu.h"

#define RAM_SIZE 0x10000
#define CODE	 (ARM_RAM + 0x1000)
#define ROM	 0x2000000ULL
#define VBAR	 0xffff800080010800ULL
#define EL1H	 5ULL
#define EL1T	 4ULL
#define D	 BIT_ULL(9)
#define A	 BIT_ULL(8)
#define I	 BIT_ULL(7)
#define F	 BIT_ULL(6)
#define NZCV	 (9ULL << 28)
#define STEPPED	 0xca000022U /* ESR of a step from EL1 (D24.2.40) */
#define BRK_MET	 0xf2000000U

#define NOP		 0xd503201fU
#define ERET		 0xd69f03e0U
#define ERETAB		 0xd69f0fffU
#define SVC		 0xd4000001U
#define HVC		 0xd4000002U
#define SMC		 0xd4000003U
#define MRS_X5_DAIF	 0xd53b4225U
#define MRS_XZR_DAIF	 0xd53b423fU
#define MSR_DAIF_X5	 0xd51b4225U
#define MSR_DAIFSET(imm) (0xd50340dfU | (u32)(imm) << 8)
#define MSR_DAIFCLR(imm) (0xd50340ffU | (u32)(imm) << 8)

#define PC	ARM_CORE_REG(regs.pc)
#define PSTATE	ARM_CORE_REG(regs.pstate)
#define XREG(n) (ARM_CORE_REG(regs.regs[0]) + 2ULL * (n))

static struct {
	struct devvm d;
	struct arch_vcpu arch;
	struct vcpu vcpu, *list[1];
	struct kvm_run run;
	u64 ran_with; /* PSTATE in KVM_RUN */
	struct {
		u64 id, value;
	} regs[64];
	u32 nr_regs, sets;
	u32 mp_state;
	u8 *ram, *rom;
} t;

static u64 *reg(u64 id)
{
	for (u32 i = 0; i < t.nr_regs; i++)
		if (t.regs[i].id == id)
			return &t.regs[i].value;
	assert_true(t.nr_regs < ARRAY_SIZE(t.regs));
	t.regs[t.nr_regs].id = id;
	t.regs[t.nr_regs].value = 0;
	return &t.regs[t.nr_regs++].value;
}

static u64 el_reg(u32 el, enum arm_el_reg r)
{
	return *reg(arm_el_regs[el - 1][r].where);
}

static void set_el_reg(u32 el, enum arm_el_reg r, u64 value)
{
	*reg(arm_el_regs[el - 1][r].where) = value;
}

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	const struct kvm_one_reg *one;

	one = arg;
	switch (request) {
	case KVM_GET_ONE_REG:
		*(u64 *)(uintptr_t)one->addr = *reg(one->id);
		return 0;
	case KVM_SET_ONE_REG:
		*reg(one->id) = *(u64 *)(uintptr_t)one->addr;
		t.sets++;
		return 0;
	case KVM_GET_MP_STATE:
		((struct kvm_mp_state *)arg)->mp_state = t.mp_state;
		return 0;
	case KVM_SET_GUEST_DEBUG:
		return 0;
	case KVM_RUN:
		t.ran_with = *reg(PSTATE);
		vm_request_stop(&t.d.vm, VM_STOP_QUIT, 0, -1);
		errno = EINTR;
		return -1;
	}
	errno = ENOTTY;
	return -1;
}

static u8 *map(void)
{
	return mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static int begin(void **state)
{
	const struct debug_setup setup = { .step = true };

	memset(&t, 0, sizeof(t));
	devvm_init(&t.d);
	t.ram = map();
	t.rom = map();
	assert_int_equal(memory_add_borrowed(&t.d.vm.mem, ARM_RAM, RAM_SIZE, t.ram, MEM_RAM, "ram"),
			 0);
	assert_int_equal(memory_add_borrowed(&t.d.vm.mem, ROM, RAM_SIZE, t.rom, MEM_ROM, "rom"), 0);
	t.vcpu = (struct vcpu){ .vm = &t.d.vm, .fd = -1, .run = &t.run, .arch = &t.arch };
	memory_add_reader(&t.d.vm.mem, &t.vcpu.reader);
	set_el_reg(1, ARM_EL_VBAR, VBAR);
	set_el_reg(2, ARM_EL_VBAR, VBAR);
	assert_int_equal(arch_debug_apply(&t.vcpu, &setup), 0);
	return 0;
}

static int end(void **state)
{
	memory_remove_reader(&t.vcpu.reader);
	vm_destroy(&t.d.vm);
	munmap(t.ram, RAM_SIZE);
	munmap(t.rom, RAM_SIZE);
	return 0;
}

/* The vcpu leaves the gate for @insn. */
static void starts(u32 insn, u64 pstate)
{
	put_le(t.ram + (CODE - ARM_RAM), 4, insn);
	*reg(PC) = CODE;
	*reg(PSTATE) = pstate;
	arch_debug_enter(&t.vcpu);
	assert_int_equal(*reg(PSTATE), pstate | I | F);
}

/* The processor comes to @pc with @pstate, and KVM says that. */
static void steps_to(u64 pc, u64 pstate)
{
	struct debug_event event;

	*reg(PC) = pc;
	*reg(PSTATE) = pstate;
	t.run.debug.arch.hsr = STEPPED;
	arch_debug_event(&t.vcpu, &event);
	assert_int_equal(event.stop, DEBUG_STOP_STEP);
	assert_int_equal(event.pc, pc);
	arch_debug_leave(&t.vcpu);
}

/* An exception: to the vector at @offset, which comes back to @elr with what PSTATE was. */
static void takes(u32 el, u64 offset, u64 elr, u64 spsr)
{
	set_el_reg(el, ARM_EL_ELR, elr);
	set_el_reg(el, ARM_EL_SPSR, spsr);
	steps_to(VBAR + offset, D | A | I | F | (el == 2 ? 9 : EL1H));
	assert_int_equal(*reg(PSTATE), D | A | I | F | (el == 2 ? 9 : EL1H));
}

static void plain(void **state)
{
	starts(NOP, NZCV | EL1H);
	steps_to(CODE + 4, NZCV | I | F | EL1H);
	assert_int_equal(*reg(PSTATE), NZCV | EL1H);
	/* What the guest had masked stays so. */
	starts(NOP, I | A | EL1H);
	steps_to(CODE + 400, I | F | A | EL1H);
	assert_int_equal(*reg(PSTATE), I | A | EL1H);
	/* A branch to itself. */
	starts(0x14000000, EL1H);
	steps_to(CODE, I | F | EL1H);
	assert_int_equal(*reg(PSTATE), EL1H);
	/* User space. */
	starts(NOP, 0);
	steps_to(CODE + 4, I | F);
	assert_int_equal(*reg(PSTATE), 0);
}

static void nothing_to_do(void **state)
{
	const struct debug_setup none = { 0 };

	*reg(PC) = CODE;
	*reg(PSTATE) = I | F | EL1H;
	arch_debug_enter(&t.vcpu);
	steps_to(CODE + 4, EL1H); /* MSR DAIFClr, say */
	assert_int_equal(*reg(PSTATE), EL1H);
	assert_int_equal(t.sets, 0);
	/* One that PSCI has switched off begins with new registers. */
	t.mp_state = KVM_MP_STATE_STOPPED;
	arch_debug_enter(&t.vcpu);
	assert_int_equal(t.sets, 0);
	t.mp_state = KVM_MP_STATE_RUNNABLE;
	/* A kernel of AArch32. */
	t.d.cfg.arm.aarch32 = true;
	*reg(PSTATE) = PSTATE_AARCH32 | 3;
	arch_debug_enter(&t.vcpu);
	assert_int_equal(t.sets, 0);
	/* No step. */
	t.d.cfg.arm.aarch32 = false;
	assert_int_equal(arch_debug_apply(&t.vcpu, &none), 0);
	*reg(PSTATE) = EL1H;
	arch_debug_enter(&t.vcpu);
	arch_debug_leave(&t.vcpu);
	assert_int_equal(t.sets, 0);
}

static void the_instruction_masks(void **state)
{
	/* I alone: F is not the guest's. */
	starts(MSR_DAIFSET(2), EL1H);
	steps_to(CODE + 4, I | F | EL1H);
	assert_int_equal(*reg(PSTATE), I | EL1H);
	starts(MSR_DAIFSET(0xf), EL1H);
	steps_to(CODE + 4, D | A | I | F | EL1H);
	assert_int_equal(*reg(PSTATE), D | A | I | F | EL1H);
	starts(MSR_DAIFSET(8), EL1H);
	steps_to(CODE + 4, D | I | F | EL1H);
	assert_int_equal(*reg(PSTATE), D | EL1H);
	starts(MSR_DAIF_X5, EL1H);
	steps_to(CODE + 4, I | EL1H);
	assert_int_equal(*reg(PSTATE), I | EL1H);
	/* Trapped, in user space: it has not run. */
	starts(MSR_DAIFSET(2), 0);
	takes(1, 0x400, CODE, I | F);
	assert_int_equal(el_reg(1, ARM_EL_SPSR), 0);
	starts(MSR_DAIF_X5, 0);
	takes(1, 0x400, CODE, I | F);
	assert_int_equal(el_reg(1, ARM_EL_SPSR), 0);
}

static void the_instruction_unmasks(void **state)
{
	starts(MSR_DAIFCLR(2), I | EL1H);
	steps_to(CODE + 4, F | EL1H);
	assert_int_equal(*reg(PSTATE), EL1H);
	starts(MSR_DAIFCLR(1), F | EL1H);
	steps_to(CODE + 4, I | EL1H);
	assert_int_equal(*reg(PSTATE), EL1H);
	/* What waited comes between that and the end of the step. */
	starts(MSR_DAIFCLR(2), I | EL1H);
	takes(1, 0x280, CODE + 4, F | EL1H);
	assert_int_equal(el_reg(1, ARM_EL_SPSR), EL1H);
	starts(MSR_DAIF_X5, I | EL1H);
	takes(1, 0x280, CODE + 4, F | EL1H);
	assert_int_equal(el_reg(1, ARM_EL_SPSR), F | EL1H);
}

static void the_instruction_reads(void **state)
{
	starts(MRS_X5_DAIF, A | F | EL1H);
	*reg(XREG(5)) = A | I | F;
	steps_to(CODE + 4, A | I | F | EL1H);
	assert_int_equal(*reg(XREG(5)), A | F);
	assert_int_equal(*reg(PSTATE), A | F | EL1H);
	starts(MRS_XZR_DAIF, EL1H);
	*reg(ARM_CORE_REG(regs.sp)) = I | F;
	steps_to(CODE + 4, I | F | EL1H);
	assert_int_equal(*reg(ARM_CORE_REG(regs.sp)), I | F);
	assert_int_equal(*reg(PSTATE), EL1H);
	/* Not from user space. */
	starts(MRS_X5_DAIF, 0);
	*reg(XREG(5)) = I | F;
	takes(1, 0x400, CODE, I | F);
	assert_int_equal(*reg(XREG(5)), I | F);
	assert_int_equal(el_reg(1, ARM_EL_SPSR), 0);
}

static void returns(void **state)
{
	static const u32 insns[] = { ERET, ERETAB };

	for (u32 i = 0; i < ARRAY_SIZE(insns); i++) {
		starts(insns[i], I | EL1H);
		steps_to(0x400000, NZCV);
		assert_int_equal(*reg(PSTATE), NZCV);
		starts(insns[i], EL1H);
		steps_to(CODE + 0x40, A | I | F | EL1H);
		assert_int_equal(*reg(PSTATE), A | I | F | EL1H);
		/* To itself. */
		starts(insns[i], EL1H);
		steps_to(CODE, I | EL1H);
		assert_int_equal(*reg(PSTATE), I | EL1H);
	}
}

static void exceptions(void **state)
{
	starts(SVC, NZCV);
	takes(1, 0x400, CODE + 4, NZCV | I | F);
	assert_int_equal(el_reg(1, ARM_EL_SPSR), NZCV);
	/* A fault in the kernel, on either stack; one of AArch32. */
	starts(NOP, F | EL1H);
	takes(1, 0x200, CODE, I | F | EL1H);
	assert_int_equal(el_reg(1, ARM_EL_SPSR), F | EL1H);
	starts(NOP, EL1T);
	takes(1, 0, CODE, I | F | EL1T);
	assert_int_equal(el_reg(1, ARM_EL_SPSR), EL1T);
	starts(NOP, PSTATE_AARCH32);
	takes(1, 0x600, CODE + 2, PSTATE_AARCH32 | I | F);
	assert_int_equal(el_reg(1, ARM_EL_SPSR), PSTATE_AARCH32);
	/* To EL2. */
	starts(HVC, EL1H);
	takes(2, 0x400, CODE + 4, I | F | EL1H);
	assert_int_equal(el_reg(2, ARM_EL_SPSR), EL1H);
	/* A branch to such a place is none. */
	set_el_reg(1, ARM_EL_ELR, CODE - 0x100);
	set_el_reg(1, ARM_EL_SPSR, I | F);
	starts(NOP, D | A | EL1H);
	steps_to(VBAR + 0x200, D | A | I | F | EL1H);
	assert_int_equal(*reg(PSTATE), D | A | EL1H);
	assert_int_equal(el_reg(1, ARM_EL_SPSR), I | F);
}

/* PSCI's: it comes back, or is switched off and on. */
static void calls(void **state)
{
	static const u32 insns[] = { HVC, SMC };

	for (u32 i = 0; i < ARRAY_SIZE(insns); i++) {
		starts(insns[i], EL1H);
		steps_to(CODE + 4, I | F | EL1H);
		assert_int_equal(*reg(PSTATE), EL1H);
		starts(insns[i], EL1H);
		steps_to(ARM_RAM + 4, D | A | I | F | EL1H);
		assert_int_equal(*reg(PSTATE), D | A | I | F | EL1H);
	}
}

/* Another vcpu stops the machine, or `lkvm pause`: before the instruction, or just behind it. */
static void a_pause_comes_between(void **state)
{
	static const u32 insns[] = { NOP, MSR_DAIFSET(2), MSR_DAIF_X5, ERET, HVC, MRS_X5_DAIF };

	for (u32 i = 0; i < ARRAY_SIZE(insns); i++) {
		starts(insns[i], EL1H);
		*reg(XREG(5)) = I | F;
		arch_debug_leave(&t.vcpu);
		assert_int_equal(*reg(PSTATE), EL1H);
		assert_int_equal(*reg(XREG(5)), I | F);
		arch_debug_leave(&t.vcpu);
		assert_int_equal(*reg(PSTATE), EL1H);
	}
	starts(MSR_DAIFSET(2), EL1H);
	*reg(PC) = CODE + 4;
	arch_debug_leave(&t.vcpu);
	assert_int_equal(*reg(PSTATE), I | EL1H);
	/* It goes on without the step being said. */
	*reg(PSTATE) = EL1H;
	arch_debug_enter(&t.vcpu);
	assert_int_equal(*reg(PSTATE), I | F | EL1H);
	arch_debug_leave(&t.vcpu);
	assert_int_equal(*reg(PSTATE), EL1H);
}

/* A breakpoint instruction of the guest's own, in a step: its handler gets what the guest had. */
static void a_breakpoint_of_the_guests(void **state)
{
	struct debug_event event;

	starts(0xd4200000, NZCV | EL1H);
	t.run.debug.arch.hsr = BRK_MET;
	arch_debug_event(&t.vcpu, &event);
	assert_int_equal(event.stop, DEBUG_STOP_BREAK);
	assert_int_equal(*reg(PSTATE), NZCV | EL1H);
	assert_int_equal(arch_debug_reinject(&t.vcpu, &event), 0);
	assert_int_equal(el_reg(1, ARM_EL_SPSR), NZCV | EL1H);
	assert_int_equal(*reg(PC), VBAR + 0x200);
	/* The step ends behind it. */
	steps_to(VBAR + 0x204, *reg(PSTATE));
	assert_int_equal(el_reg(1, ARM_EL_SPSR), NZCV | EL1H);
	assert_int_equal(*reg(PSTATE) & (D | A | I | F), D | A | I | F);
}

/* The instruction may lie in the flash, or nowhere. */
static void where_code_is(void **state)
{
	put_le(t.rom, 4, MSR_DAIFSET(2));
	*reg(PC) = ROM;
	*reg(PSTATE) = EL1H;
	arch_debug_enter(&t.vcpu);
	steps_to(ROM + 4, I | F | EL1H);
	assert_int_equal(*reg(PSTATE), I | EL1H);
	*reg(PC) = ROM + RAM_SIZE;
	*reg(PSTATE) = EL1H;
	arch_debug_enter(&t.vcpu);
	set_el_reg(1, ARM_EL_ELR, ROM + RAM_SIZE);
	set_el_reg(1, ARM_EL_SPSR, I | F | EL1H);
	steps_to(VBAR + 0x200, D | A | I | F | EL1H);
	assert_int_equal(el_reg(1, ARM_EL_SPSR), EL1H);
}

/* From the gate to the gate. */
static void on_its_thread(void **state)
{
	t.list[0] = &t.vcpu;
	t.d.vm.vcpus = t.list;
	t.d.vm.nr_vcpus = 1;
	*reg(PC) = CODE;
	*reg(PSTATE) = EL1H;
	assert_int_equal(vm_start_vcpus(&t.d.vm), 0);
	vm_resume(&t.d.vm);
	event_loop_run(&t.d.vm.loop);
	vm_pause(&t.d.vm);
	assert_int_equal(t.ran_with, I | F | EL1H);
	assert_int_equal(*reg(PSTATE), EL1H);
	vm_stop_vcpus(&t.d.vm);
	t.d.vm.nr_vcpus = 0;
	t.d.vm.vcpus = NULL;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(plain, begin, end),
		cmocka_unit_test_setup_teardown(nothing_to_do, begin, end),
		cmocka_unit_test_setup_teardown(the_instruction_masks, begin, end),
		cmocka_unit_test_setup_teardown(the_instruction_unmasks, begin, end),
		cmocka_unit_test_setup_teardown(the_instruction_reads, begin, end),
		cmocka_unit_test_setup_teardown(returns, begin, end),
		cmocka_unit_test_setup_teardown(exceptions, begin, end),
		cmocka_unit_test_setup_teardown(calls, begin, end),
		cmocka_unit_test_setup_teardown(a_pause_comes_between, begin, end),
		cmocka_unit_test_setup_teardown(a_breakpoint_of_the_guests, begin, end),
		cmocka_unit_test_setup_teardown(where_code_is, begin, end),
		cmocka_unit_test_setup_teardown(on_its_thread, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
