/* SPDX-License-Identifier: MIT */
/* Resetting a vcpu, by a KVM that can and by one that cannot; and which vcpus wait for good. */
#include "capture.h"
#include "fake_ioctl.h"

#include <stdlib.h>

#include "../../../riscv/riscv.h"
#include "lkvm/arch.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define TIMER(name) RISCV_TIMER_REG(KVM_REG_RISCV_TIMER_REG(name))
#define PC	    RISCV_CORE_REG(RISCV_CORE_PC)
#define A0	    RISCV_CORE_REG(RISCV_CORE_A0)
#define A1	    RISCV_CORE_REG(RISCV_CORE_A1)
#define MODE	    RISCV_CORE_REG(RISCV_CORE_MODE)
#define SATP	    RISCV_CSR_REG(KVM_REG_RISCV_CSR_REG(satp))
#define STA	    RISCV_REG(KVM_REG_RISCV_SBI_STATE, 0)
#define ISA	    RISCV_CONFIG_REG(0)

static const struct reg {
	u64 id, first, used;
} regs[] = {
	{ ISA, 0x112d, 0x112d },
	{ PC, 0, 0x80204000 },
	{ A0, 0, 55 },
	{ A1, 0, 56 },
	{ MODE, 1, 0 },
	{ SATP, 0, 0x8000000000080000 },
	{ TIMER(frequency), 10000000, 10000000 },
	{ TIMER(time), 5, 1000 },
	{ TIMER(compare), ~0ULL, 2000 },
	{ TIMER(state), 0, 1 },
	{ STA, ~0ULL, 0x90000000 },
};

static struct vcpu_of_kvm {
	u64 value[ARRAY_SIZE(regs)];
	u32 mp_state, resets;
} kvm[2];
static struct vm vm;
static struct arch_vm arch;
static struct vcpu vcpus[2], *list[2] = { &vcpus[0], &vcpus[1] };
static struct arch_vcpu arch_vcpus[2];
static bool can_reset;

static u64 *value_of(struct vcpu_of_kvm *v, u64 id)
{
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		if (regs[i].id == id)
			return &v->value[i];
	fail_msg("register 0x%llx", id);
	return NULL;
}

static void fill(struct vcpu_of_kvm *v, bool used)
{
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++)
		v->value[i] = used ? regs[i].used : regs[i].first;
}

static int list_regs(struct kvm_reg_list *out)
{
	bool fits = out->n >= ARRAY_SIZE(regs);

	out->n = ARRAY_SIZE(regs);
	for (size_t i = 0; fits && i < ARRAY_SIZE(regs); i++)
		out->reg[i] = regs[i].id;
	errno = E2BIG;
	return fits ? 0 : -1;
}

static int set_reg(struct vcpu_of_kvm *v, const struct kvm_one_reg *reg)
{
	u64 *at = value_of(v, reg->id), value = *(u64 *)(uintptr_t)reg->addr;

	/* What KVM does not let anybody change, once the vcpu has run. */
	if (reg->id == ISA || reg->id == TIMER(frequency) || reg->id == TIMER(time))
		fail_msg("register 0x%llx was written", reg->id);
	errno = EINVAL;
	/* A timer that is off cannot be switched off. */
	if (reg->id == TIMER(state) && !value && !*at)
		return -1;
	*at = value;
	return 0;
}

static int set_mp_state(struct vcpu_of_kvm *v, u32 state)
{
	errno = EINVAL;
	if (state == KVM_MP_STATE_INIT_RECEIVED) {
		if (!can_reset)
			return -1;
		fill(v, false);
		v->resets++;
		return 0;
	}
	v->mp_state = state;
	return 0;
}

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	struct vcpu_of_kvm *v = &kvm[fd];
	const struct kvm_one_reg *reg = arg;

	switch (request) {
	case KVM_GET_MP_STATE:
		((struct kvm_mp_state *)arg)->mp_state = v->mp_state;
		return 0;
	case KVM_SET_MP_STATE:
		return set_mp_state(v, ((struct kvm_mp_state *)arg)->mp_state);
	case KVM_GET_REG_LIST:
		return list_regs(arg);
	case KVM_GET_ONE_REG:
		*(u64 *)(uintptr_t)reg->addr = *value_of(v, reg->id);
		return 0;
	case KVM_SET_ONE_REG:
		return set_reg(v, reg);
	}
	errno = ENOTTY;
	return -1;
}

static int setup(void **state)
{
	static const struct boot_start entry = {
		.regs = { { "pc", 0x80200000 }, { "a0", 0 }, { "a1", 0x8fe00000 } },
		.nr_regs = 3,
	};

	memset(arch_vcpus, 0, sizeof(arch_vcpus));
	arch = (struct arch_vm){ .entry = entry };
	vm = (struct vm){ .arch = &arch, .vcpus = list, .nr_vcpus = 2 };
	pthread_mutex_init(&vm.lock, NULL);
	for (u32 i = 0; i < 2; i++) {
		vcpus[i] =
			(struct vcpu){ .vm = &vm, .id = i, .fd = (int)i, .arch = &arch_vcpus[i] };
		kvm[i] = (struct vcpu_of_kvm){ .mp_state = i ? KVM_MP_STATE_STOPPED
							     : KVM_MP_STATE_RUNNABLE };
		fill(&kvm[i], false);
	}
	can_reset = arch.mp_state_reset = false;
	return 0;
}

static int teardown(void **state)
{
	for (u32 i = 0; i < 2; i++)
		reg_set_free(&arch_vcpus[i].first);
	return 0;
}

static void reset_both(void)
{
	for (u32 i = 0; i < 2; i++)
		assert_int_equal(arch_vcpu_reset(&vcpus[i]), 0);
}

static void assert_begins(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(regs); i++) {
		u64 id = regs[i].id, want = regs[i].first;

		if (id == PC)
			want = 0x80200000;
		else if (id == A1)
			want = 0x8fe00000;
		else if (id == TIMER(time))
			continue;
		if (kvm[0].value[i] != want)
			fail_msg("register 0x%llx: 0x%llx, not 0x%llx", id, kvm[0].value[i], want);
	}
	assert_int_equal(kvm[0].mp_state, KVM_MP_STATE_RUNNABLE);
	assert_int_equal(kvm[1].mp_state, KVM_MP_STATE_STOPPED);
}

/* SRST has stopped all. */
static void use(void)
{
	for (u32 i = 0; i < 2; i++) {
		fill(&kvm[i], true);
		kvm[i].mp_state = KVM_MP_STATE_STOPPED;
	}
}

static void test_by_kvm(void **state)
{
	can_reset = arch.mp_state_reset = true;
	reset_both();
	assert_begins();
	use();
	reset_both();
	assert_begins();
	assert_int_equal(kvm[1].resets, 2);
	assert_int_equal(*value_of(&kvm[1], SATP), 0);
}

static void test_by_registers(void **state)
{
	reset_both();
	assert_begins();
	use();
	reset_both();
	assert_begins();
	/* It had not run: nothing of the second time is of the first. */
	use();
	kvm[0].value[4] = 1;
	reset_both();
	assert_begins();
	assert_int_equal(*value_of(&kvm[1], SATP), 0);
}

static void test_failures(void **state)
{
	arch.mp_state_reset = true;
	capture_begin();
	assert_int_equal(arch_vcpu_reset(&vcpus[1]), -EINVAL);
	assert_contains(capture_end(), "vcpu 1: KVM_SET_MP_STATE 2: Invalid argument");
	vcpus[0].asleep = true;
	arch_vcpus[0].resume_pending = true;
	capture_begin();
	assert_int_equal(arch_vcpu_reset(&vcpus[0]), -EBUSY);
	assert_contains(capture_end(), "vcpu 0: the guest sleeps");
	/* Woken, it is to go on first. */
	vcpus[0].woken = true;
	capture_begin();
	assert_int_equal(arch_vcpu_reset(&vcpus[0]), -EBUSY);
	assert_contains(capture_end(), "vcpu 0: the guest sleeps");
}

/* One that was loaded asleep is like any other. */
static void test_loaded_asleep(void **state)
{
	can_reset = arch.mp_state_reset = true;
	vcpus[0].asleep = true;
	reset_both();
	assert_false(vcpus[0].asleep);
	assert_begins();
}

static void test_resume(void **state)
{
	can_reset = arch.mp_state_reset = true;
	use();
	vcpus[1].asleep = true;
	arch_vcpus[1].resume_pc = 0x80300000;
	arch_vcpus[1].resume_opaque = 7;
	assert_int_equal(riscv_vcpu_set_resume(&vcpus[1]), 0);
	assert_int_equal(*value_of(&kvm[1], PC), 0x80300000);
	assert_int_equal(*value_of(&kvm[1], A0), 1);
	assert_int_equal(*value_of(&kvm[1], A1), 7);
	assert_int_equal(*value_of(&kvm[1], SATP), 0);
}

static void test_halted(void **state)
{
	assert_false(arch_vcpu_halted(&vcpus[0]));
	assert_true(arch_vcpu_halted(&vcpus[1]));
	assert_int_equal(arch_vcpu_nmi(&vcpus[0]), -ENOTSUP);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_by_kvm),	       T(test_by_registers), T(test_failures),
		T(test_loaded_asleep), T(test_resume),	     T(test_halted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
