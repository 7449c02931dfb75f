/* SPDX-License-Identifier: MIT */
/*
 * Steps: where a hart goes from each kind of instruction, and what a step leaves behind: nothing.
 * The test is the hart, over a KVM that has registers; the code is the assembler's.
 */
#include "devvm.h"
#include "one_regs.h"

#include <sys/mman.h>

#include "../../../riscv/insn.h"
#include "lkvm/arch.h"
#include "lkvm/debug.h"
#include "lkvm/memory.h"
#include "lkvm/vcpu.h"

#define RAM_SIZE 0x10000
#define CODE	 (RISCV_RAM + 0x1000)
#define HANDLER	 (RISCV_RAM + 0x8000)
#define S_MODE	 1
#define SIE_ALL	 0x222ULL
#define C_EBREAK 0x9002

/* clang-format off */
/* A label for each. What branches go to is far on both sides. */
asm(".pushsection .rodata\n"
    ".option push\n"
    ".option arch, +zicsr\n"
    ".globl code_begin, code_end\n"
    "code_begin:\n"
    ".option norvc\n"
    "back: nop\n"
    "plain: add a0, a1, a2\n"
    "load: lw a0, 0(a1)\n"
    "beq_: beq a0, a1, far\n"
    "bne_: bne a0, a1, back\n"
    "blt_: blt a0, a1, far\n"
    "bge_: bge a0, a1, back\n"
    "bltu_: bltu a0, a1, far\n"
    "bgeu_: bgeu a0, a1, back\n"
    "jal_: jal ra, far\n"
    "jal_back: jal t0, back\n"
    "j_: j far\n"
    "jalr_: jalr ra, -8(a0)\n"
    "ret_: ret\n"
    "self: j self\n"
    "self_link: jal s1, self_link\n"
    "self_branch: beq zero, zero, self_branch\n"
    "ecall_: ecall\n"
    "ebreak_: ebreak\n"
    "sret_: sret\n"
    "wfi_: wfi\n"
    "csr_sie: csrrci a0, sie, 2\n"
    "csr_stopi: csrr a0, 0xdb0\n"
    "csr_satp: csrw satp, a0\n"
    "csr_other: csrrw tp, sscratch, tp\n"
    "lr_: lr.w a3, (a0)\n"
    "bne a3, a1, lr_end\n"
    "beq a3, a2, lr_inner\n"
    "addi a3, a3, 1\n"
    "lr_inner: beqz a4, far\n"
    "sc.w a4, a3, (a0)\n"
    "lr_next: bnez a4, lr_\n"
    "lr_end: nop\n"
    "lr_jump: lr.d a3, (a0)\n"
    "lr_jump_next: j far\n"
    "sc.d a4, a3, (a0)\n"
    ".option rvc\n"
    "c_plain: c.mv a0, a1\n"
    "c_add: c.add a0, a1\n"
    "c_j: c.j far\n"
    "c_j_back: c.j c_plain\n"
    "c_beqz: c.beqz a0, near\n"
    "c_bnez: c.bnez a0, c_plain\n"
    "c_jr: c.jr a0\n"
    "c_jalr: c.jalr a0\n"
    "c_ebreak: c.ebreak\n"
    "c_long: c.nop\n"
    "near: c.nop\n"
    ".option norvc\n"
    ".space 1000\n"
    "far: nop\n"
    "code_end:\n"
    ".option pop\n"
    ".popsection\n");
extern const u8 code_begin[], code_end[], back[], far[], near[];
extern const u8 plain[], load[], beq_[], bne_[], blt_[], bge_[], bltu_[], bgeu_[], jal_[],
	jal_back[], j_[], jalr_[], ret_[], self[], self_link[], self_branch[], ecall_[], ebreak_[],
	sret_[], wfi_[], csr_sie[], csr_stopi[], csr_satp[], csr_other[], lr_[], lr_next[], lr_end[],
	lr_jump[], lr_jump_next[], c_plain[], c_add[], c_j[], c_j_back[], c_beqz[], c_bnez[],
	c_jr[], c_jalr[], c_ebreak[], c_long[];
/* clang-format on */

static struct {
	struct devvm d;
	struct arch_vm arch_vm;
	struct arch_vcpu arch, other_arch;
	struct vcpu vcpu, other;
	u8 *ram;
} t;

static u64 at(const u8 *label)
{
	return CODE + (u64)(label - code_begin);
}

static u8 *code(u64 gpa)
{
	return t.ram + (gpa - RISCV_RAM);
}

static bool stops(u64 gpa)
{
	return get_le(code(gpa), 2) == C_EBREAK;
}

static u64 *pc_reg(void)
{
	return core_reg(RISCV_CORE_PC);
}

static void applied(bool step, bool other_steps)
{
	const struct debug_setup mine = { .step = step, .any_step = step || other_steps };
	const struct debug_setup others = { .step = other_steps, .any_step = step || other_steps };

	assert_int_equal(arch_debug_apply(&t.vcpu, &mine), 0);
	assert_int_equal(arch_debug_apply(&t.other, &others), 0);
}

static int begin(void **state)
{
	memset(&t, 0, sizeof(t));
	memset(&regs, 0, sizeof(regs));
	devvm_init(&t.d);
	pthread_mutex_init(&t.arch_vm.stops.lock, NULL);
	t.d.vm.arch = &t.arch_vm;
	t.ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_int_equal(
		memory_add_borrowed(&t.d.vm.mem, RISCV_RAM, RAM_SIZE, t.ram, MEM_RAM, "ram"), 0);
	memcpy(code(CODE), code_begin, (size_t)(code_end - code_begin));
	t.vcpu = (struct vcpu){ .vm = &t.d.vm, .fd = -1, .arch = &t.arch };
	t.other = (struct vcpu){ .vm = &t.d.vm, .fd = -1, .arch = &t.other_arch };
	memory_add_reader(&t.d.vm.mem, &t.vcpu.reader);
	memory_add_reader(&t.d.vm.mem, &t.other.reader);
	*core_reg(RISCV_CORE_MODE) = S_MODE;
	*csr_reg(RISCV_CSR_STVEC) = HANDLER | 1; /* vectored: exceptions go to the first */
	*csr_reg(RISCV_CSR_SIE) = SIE_ALL;
	applied(true, false);
	return 0;
}

/* All is as it was. */
static int end(void **state)
{
	assert_memory_equal(code(CODE), code_begin, (size_t)(code_end - code_begin));
	assert_int_equal(get_le(code(HANDLER), 4), 0);
	assert_int_equal(*csr_reg(RISCV_CSR_SIE), SIE_ALL);
	assert_int_equal(t.arch_vm.stops.nr, 0);
	memory_remove_reader(&t.vcpu.reader);
	memory_remove_reader(&t.other.reader);
	t.d.vm.arch = NULL;
	vm_destroy(&t.d.vm);
	free(t.arch_vm.stops.list);
	munmap(t.ram, RAM_SIZE);
	return 0;
}

static u64 next_of(const u8 *label, u32 *link)
{
	struct riscv_next next;
	u32 c;

	assert_true(riscv_fetch(&t.vcpu, at(label), &c));
	riscv_insn_next(&t.vcpu, at(label), c, &next);
	if (link)
		*link = next.link;
	return next.pc;
}

static void set_a0_a1(s64 a0, s64 a1)
{
	*core_reg(10) = (u64)a0;
	*core_reg(11) = (u64)a1;
}

static void test_branches(void **state)
{
	set_a0_a1(5, 5);
	assert_int_equal(next_of(beq_, NULL), at(far));
	assert_int_equal(next_of(bne_, NULL), at(blt_));
	assert_int_equal(next_of(blt_, NULL), at(bge_));
	assert_int_equal(next_of(bge_, NULL), at(back));
	assert_int_equal(next_of(bltu_, NULL), at(bgeu_));
	assert_int_equal(next_of(bgeu_, NULL), at(back));
	set_a0_a1(-1, 1);
	assert_int_equal(next_of(beq_, NULL), at(bne_));
	assert_int_equal(next_of(bne_, NULL), at(back));
	assert_int_equal(next_of(blt_, NULL), at(far));
	assert_int_equal(next_of(bge_, NULL), at(bltu_));
	assert_int_equal(next_of(bltu_, NULL), at(bgeu_));
	assert_int_equal(next_of(bgeu_, NULL), at(back));
	set_a0_a1(1, -1);
	assert_int_equal(next_of(blt_, NULL), at(bge_));
	assert_int_equal(next_of(bltu_, NULL), at(far));
	assert_int_equal(next_of(bgeu_, NULL), at(jal_));
}

static void test_jumps(void **state)
{
	u32 link;

	assert_int_equal(next_of(plain, &link), at(load));
	assert_int_equal(link, 0);
	assert_int_equal(next_of(load, NULL), at(beq_));
	assert_int_equal(next_of(jal_, &link), at(far));
	assert_int_equal(link, 1);
	assert_int_equal(next_of(jal_back, &link), at(back));
	assert_int_equal(link, 5);
	assert_int_equal(next_of(j_, &link), at(far));
	assert_int_equal(link, 0);
	*core_reg(10) = 0xffffffff80000011ULL;
	assert_int_equal(next_of(jalr_, &link), 0xffffffff80000008ULL);
	assert_int_equal(link, 1);
	*core_reg(1) = CODE + 0x44;
	assert_int_equal(next_of(ret_, &link), CODE + 0x44);
	assert_int_equal(link, 0);
}

static void test_compressed(void **state)
{
	u32 link;

	assert_int_equal(next_of(c_plain, NULL), at(c_add));
	assert_int_equal(next_of(c_add, NULL), at(c_j));
	assert_int_equal(next_of(c_j, &link), at(far));
	assert_int_equal(link, 0);
	assert_int_equal(next_of(c_j_back, NULL), at(c_plain));
	set_a0_a1(0, 0);
	assert_int_equal(next_of(c_beqz, NULL), at(near));
	assert_int_equal(next_of(c_bnez, NULL), at(c_jr));
	set_a0_a1(1LL << 40, 0);
	assert_int_equal(next_of(c_beqz, NULL), at(c_bnez));
	assert_int_equal(next_of(c_bnez, NULL), at(c_plain));
	*core_reg(10) = CODE + 0x33;
	assert_int_equal(next_of(c_jr, &link), CODE + 0x32);
	assert_int_equal(link, 0);
	assert_int_equal(next_of(c_jalr, &link), CODE + 0x32);
	assert_int_equal(link, 1);
	assert_int_equal(next_of(c_ebreak, &link), at(c_long));
	assert_int_equal(link, 0);
}

static void is_next(const u8 *label, bool waits, bool sees, bool leaves)
{
	struct riscv_next next;
	u32 c;

	assert_true(riscv_fetch(&t.vcpu, at(label), &c));
	riscv_insn_next(&t.vcpu, at(label), c, &next);
	assert_int_equal(next.waits, waits);
	assert_int_equal(next.sees_interrupts, sees);
	assert_int_equal(next.leaves, leaves);
}

static void test_system(void **state)
{
	*csr_reg(RISCV_CSR_SEPC) = CODE + 0x21;
	assert_int_equal(next_of(sret_, NULL), CODE + 0x20);
	assert_int_equal(next_of(ecall_, NULL), at(ebreak_));
	is_next(wfi_, true, false, false);
	is_next(csr_sie, false, true, false);
	is_next(csr_stopi, false, true, false);
	is_next(csr_other, false, false, false);
	/* HSM: stop, status, suspend; system suspend; DBCN. */
	*core_reg(17) = 0x48534d;
	*core_reg(16) = 1;
	is_next(ecall_, false, false, true);
	*core_reg(16) = 2;
	is_next(ecall_, false, false, false);
	*core_reg(16) = 3;
	is_next(ecall_, false, false, true);
	*core_reg(17) = 0x53555350;
	*core_reg(16) = 0;
	is_next(ecall_, false, false, true);
	*core_reg(17) = 0x4442434e;
	is_next(ecall_, false, false, false);
	/* A program's are exceptions. */
	*core_reg(RISCV_CORE_MODE) = 0;
	*core_reg(17) = 0x53555350;
	is_next(ecall_, false, false, false);
	is_next(wfi_, false, false, false);
	assert_int_equal(next_of(sret_, NULL), at(wfi_));
}

static void test_sequence(void **state)
{
	u64 ends[4];
	u32 c;

	assert_true(riscv_fetch(&t.vcpu, at(lr_), &c));
	assert_int_equal(riscv_sequence(&t.vcpu, at(lr_), c, ends, 4), 3);
	assert_int_equal(ends[0], at(lr_next));
	assert_int_equal(ends[1], at(lr_end));
	assert_int_equal(ends[2], at(far));
	assert_int_equal(riscv_sequence(&t.vcpu, at(lr_), c, ends, 3), 0);
	assert_true(riscv_fetch(&t.vcpu, at(lr_jump), &c));
	assert_int_equal(riscv_sequence(&t.vcpu, at(lr_jump), c, ends, 4), 0);
	/* Without an end, and at the end of memory. */
	memcpy(code(RISCV_RAM + 0x2000), lr_, 4);
	assert_true(riscv_fetch(&t.vcpu, RISCV_RAM + 0x2000, &c));
	for (u32 i = 0; i < 32; i++)
		memcpy(code(RISCV_RAM + 0x2004 + i * 4), plain, 4);
	assert_int_equal(riscv_sequence(&t.vcpu, RISCV_RAM + 0x2000, c, ends, 4), 0);
	assert_int_equal(riscv_sequence(&t.vcpu, RISCV_RAM + RAM_SIZE - 4, c, ends, 4), 0);
	/* Half of an instruction is none. */
	memcpy(code(RISCV_RAM + RAM_SIZE - 2), plain, 2);
	assert_false(riscv_fetch(&t.vcpu, RISCV_RAM + RAM_SIZE - 2, &c));
}

/* The vcpu leaves the gate. */
static void starts(u64 pc)
{
	*pc_reg() = pc;
	arch_debug_enter(&t.vcpu);
}

/* The hart meets a breakpoint at @pc, and KVM says that. */
static void meets(struct vcpu *vcpu, u64 pc, enum debug_stop stop)
{
	struct debug_event event;

	*pc_reg() = pc;
	arch_debug_event(vcpu, &event);
	assert_int_equal(event.stop, stop);
	assert_int_equal(event.pc, pc);
}

static void test_plain(void **state)
{
	starts(at(plain));
	assert_false(stops(at(plain)));
	assert_true(stops(at(load)));
	assert_true(stops(HANDLER));
	assert_int_equal(*csr_reg(RISCV_CSR_SIE), 0);
	meets(&t.vcpu, at(load), DEBUG_STOP_STEP);
	assert_false(stops(at(load)));
	arch_debug_leave(&t.vcpu);
	/* An exception. */
	applied(true, false);
	starts(at(load));
	meets(&t.vcpu, HANDLER, DEBUG_STOP_STEP);
	arch_debug_leave(&t.vcpu);
	/* Of the handler's first instruction there is one place. */
	applied(true, false);
	starts(HANDLER);
	assert_false(stops(HANDLER));
	assert_true(stops(HANDLER + 2));
	meets(&t.vcpu, HANDLER + 2, DEBUG_STOP_STEP);
	arch_debug_leave(&t.vcpu);
	/* No step. */
	applied(false, false);
	assert_int_equal(regs.debug.control, 0);
	starts(at(plain));
	assert_int_equal(t.arch_vm.stops.nr, 0);
	arch_debug_leave(&t.vcpu);
}

/* A pause comes before the instruction, or between it and the breakpoint. */
static void test_pause(void **state)
{
	starts(at(plain));
	arch_debug_leave(&t.vcpu);
	assert_false(stops(at(load)));
	assert_int_equal(*csr_reg(RISCV_CSR_SIE), SIE_ALL);
	starts(at(plain));
	*pc_reg() = at(load);
	arch_debug_leave(&t.vcpu);
	assert_int_equal(*csr_reg(RISCV_CSR_SIE), SIE_ALL);
	arch_debug_enter(&t.vcpu);
	assert_true(stops(at(load)));
	assert_int_equal(*csr_reg(RISCV_CSR_SIE), 0);
	arch_debug_leave(&t.vcpu);
	arch_debug_enter(&t.vcpu);
	meets(&t.vcpu, at(load), DEBUG_STOP_STEP);
	arch_debug_leave(&t.vcpu);
	/* The next step goes on from there. */
	applied(true, false);
	starts(at(load));
	assert_false(stops(at(load)));
	arch_debug_leave(&t.vcpu);
}

static void test_to_itself(void **state)
{
	starts(at(self));
	assert_true(stops(at(self)));
	meets(&t.vcpu, at(self), DEBUG_STOP_STEP);
	arch_debug_leave(&t.vcpu);
	applied(true, false);
	starts(at(self_link));
	assert_int_equal(*core_reg(9), at(self_branch));
	meets(&t.vcpu, at(self_link), DEBUG_STOP_STEP);
	arch_debug_leave(&t.vcpu);
	applied(true, false);
	starts(at(self_branch));
	meets(&t.vcpu, at(self_branch), DEBUG_STOP_STEP);
	arch_debug_leave(&t.vcpu);
}

static void test_interrupts(void **state)
{
	/* Nothing would wake it. */
	starts(at(wfi_));
	assert_int_equal(*pc_reg(), at(csr_sie));
	meets(&t.vcpu, at(csr_sie), DEBUG_STOP_STEP);
	arch_debug_leave(&t.vcpu);
	/* What has to do with sie has the guest's own. */
	applied(true, false);
	starts(at(csr_sie));
	assert_int_equal(*csr_reg(RISCV_CSR_SIE), SIE_ALL);
	*csr_reg(RISCV_CSR_SIE) = 0x20;
	meets(&t.vcpu, at(csr_stopi), DEBUG_STOP_STEP);
	arch_debug_leave(&t.vcpu);
	assert_int_equal(*csr_reg(RISCV_CSR_SIE), 0x20);
	*csr_reg(RISCV_CSR_SIE) = SIE_ALL;
}

/* Translation goes on: what follows is where the new tables say. */
static void test_satp(void **state)
{
	const u64 root = RISCV_RAM + 0x4000, va = 0xffffffc000000000ULL;

	put_le(code(root) + 0x100 * 8, 8, RISCV_RAM >> 2 | 0xcf);
	*core_reg(10) = 8ULL << 60 | root >> 12;
	*csr_reg(RISCV_CSR_STVEC) = va + 0x8000;
	starts(at(csr_satp));
	assert_true(stops(HANDLER));
	/* It is in no program's power. */
	arch_debug_leave(&t.vcpu);
	*core_reg(RISCV_CORE_MODE) = 0;
	starts(at(csr_satp));
	assert_false(stops(HANDLER));
	arch_debug_leave(&t.vcpu);
	*core_reg(RISCV_CORE_MODE) = S_MODE;
	starts(at(csr_satp));
	*csr_reg(RISCV_CSR_SATP) = *core_reg(10);
	meets(&t.vcpu, va + 0x8000, DEBUG_STOP_STEP);
	arch_debug_leave(&t.vcpu);
	/* Where what follows is mapped as it was. */
	applied(true, false);
	put_le(code(root) + 2 * 8, 8, RISCV_RAM >> 2 | 0xcf);
	*csr_reg(RISCV_CSR_SATP) = 0;
	starts(at(csr_satp));
	*csr_reg(RISCV_CSR_SATP) = *core_reg(10);
	meets(&t.vcpu, at(csr_other), DEBUG_STOP_STEP);
	arch_debug_leave(&t.vcpu);
}

static void test_lr(void **state)
{
	starts(at(lr_));
	assert_false(stops(at(lr_) + 4));
	assert_true(stops(at(lr_next)));
	assert_true(stops(at(lr_end)));
	assert_true(stops(at(far)));
	meets(&t.vcpu, at(lr_end), DEBUG_STOP_STEP);
	arch_debug_leave(&t.vcpu);
}

/* Stopped, it does not step; nor does one that stops itself. */
static void test_stopped(void **state)
{
	regs.mp_state = KVM_MP_STATE_STOPPED;
	starts(at(plain));
	assert_int_equal(t.arch_vm.stops.nr, 0);
	arch_debug_leave(&t.vcpu);
	regs.mp_state = KVM_MP_STATE_RUNNABLE;
	*core_reg(17) = 0x48534d;
	*core_reg(16) = 1;
	starts(at(ecall_));
	assert_int_equal(t.arch_vm.stops.nr, 0);
	arch_debug_leave(&t.vcpu);
}

/* Another vcpu meets them: it goes on when the step is over. */
static void test_others(void **state)
{
	struct debug_event event;

	assert_int_equal(regs.debug.control, KVM_GUESTDBG_ENABLE);
	starts(at(plain));
	meets(&t.other, at(load), DEBUG_STOP_NONE);
	event = (struct debug_event){ .pc = at(load) };
	assert_int_equal(arch_debug_reinject(&t.other, &event), 0);
	assert_int_equal(*csr_reg(RISCV_CSR_SCAUSE), 0);
	assert_true(stops(at(load)));
	meets(&t.vcpu, at(load), DEBUG_STOP_STEP);
	/* It met it, and was late to tell. */
	meets(&t.other, at(load), DEBUG_STOP_NONE);
	assert_int_equal(arch_debug_reinject(&t.other, &event), 0);
	assert_int_equal(*csr_reg(RISCV_CSR_SCAUSE), 0);
	arch_debug_leave(&t.vcpu);
	/* Both step, to the same place; the second one begins where the first one ends. */
	applied(true, true);
	starts(at(plain));
	arch_debug_enter(&t.other);
	meets(&t.vcpu, at(load), DEBUG_STOP_STEP);
	assert_true(stops(at(load)));
	meets(&t.other, at(load), DEBUG_STOP_STEP);
	assert_false(stops(at(load)));
	arch_debug_leave(&t.vcpu);
	arch_debug_leave(&t.other);
}

/* The guest's own breakpoint is an exception of the guest's, and the step ends in its handler. */
static void test_own(void **state)
{
	struct debug_event event = { .pc = at(ebreak_) };

	*csr_reg(RISCV_CSR_SSTATUS) = 0x200000002; /* SIE and others */
	starts(at(ebreak_));
	meets(&t.vcpu, at(ebreak_), DEBUG_STOP_BREAK);
	assert_int_equal(arch_debug_reinject(&t.vcpu, &event), 0);
	assert_int_equal(*pc_reg(), HANDLER);
	assert_int_equal(*csr_reg(RISCV_CSR_SEPC), at(ebreak_));
	assert_int_equal(*csr_reg(RISCV_CSR_SCAUSE), 3);
	assert_int_equal(*csr_reg(RISCV_CSR_STVAL), at(ebreak_));
	assert_int_equal(*csr_reg(RISCV_CSR_SSTATUS), 0x200000120); /* SPP, SPIE */
	assert_int_equal(*core_reg(RISCV_CORE_MODE), S_MODE);
	assert_true(stops(HANDLER));
	meets(&t.vcpu, HANDLER, DEBUG_STOP_STEP);
	arch_debug_leave(&t.vcpu);
	/* A program's, with interrupts off and without a step. */
	applied(false, false);
	*core_reg(RISCV_CORE_MODE) = 0;
	*csr_reg(RISCV_CSR_SSTATUS) = 0x120;
	event.pc = at(c_ebreak);
	meets(&t.vcpu, at(c_ebreak), DEBUG_STOP_BREAK);
	assert_int_equal(arch_debug_reinject(&t.vcpu, &event), 0);
	assert_int_equal(*csr_reg(RISCV_CSR_SSTATUS), 0);
	assert_int_equal(*core_reg(RISCV_CORE_MODE), S_MODE);
	assert_int_equal(*pc_reg(), HANDLER);
}

/* The guest changes the code behind the instruction: that stays. */
static void test_overwritten(void **state)
{
	starts(at(plain));
	put_le(code(at(load)), 2, 0x4501);
	arch_debug_leave(&t.vcpu);
	assert_int_equal(get_le(code(at(load)), 2), 0x4501);
	memcpy(code(at(load)), load, 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_branches, begin, end),
		cmocka_unit_test_setup_teardown(test_jumps, begin, end),
		cmocka_unit_test_setup_teardown(test_compressed, begin, end),
		cmocka_unit_test_setup_teardown(test_system, begin, end),
		cmocka_unit_test_setup_teardown(test_sequence, begin, end),
		cmocka_unit_test_setup_teardown(test_plain, begin, end),
		cmocka_unit_test_setup_teardown(test_pause, begin, end),
		cmocka_unit_test_setup_teardown(test_to_itself, begin, end),
		cmocka_unit_test_setup_teardown(test_interrupts, begin, end),
		cmocka_unit_test_setup_teardown(test_satp, begin, end),
		cmocka_unit_test_setup_teardown(test_lr, begin, end),
		cmocka_unit_test_setup_teardown(test_stopped, begin, end),
		cmocka_unit_test_setup_teardown(test_others, begin, end),
		cmocka_unit_test_setup_teardown(test_own, begin, end),
		cmocka_unit_test_setup_teardown(test_overwritten, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
