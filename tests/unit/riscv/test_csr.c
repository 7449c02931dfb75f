/* SPDX-License-Identifier: MIT */
/* Accesses of CSRs: entropy, and the exception for all others, over a KVM of a few registers. */
#include "capture.h"
#include "fake_ioctl.h"

#include <sys/random.h>

#include "../../../riscv/riscv.h"
#include "lkvm/arch.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define SEED	     0x015
#define RD	     10 /* the register that the guest's instruction writes */
#define NR_CORE	     33
#define NR_CSR	     11
#define CSR_OF(name) csr[KVM_REG_RISCV_CSR_REG(name)]
#define MODE	     core[RISCV_CORE_MODE]

static u64 core[NR_CORE], csr[NR_CSR];
static struct kvm_run run;
static struct vm vm;
static struct vcpu vcpu;
static int fail_set; /* KVM_SET_ONE_REG from this one on; 0: none */
static bool entered, no_entropy, stop_meanwhile;
static u32 runs;

static u64 *reg_of(u64 id)
{
	u64 index = id & 0xffff;

	if ((id & KVM_REG_RISCV_TYPE_MASK) == KVM_REG_RISCV_CORE && index < NR_CORE)
		return &core[index];
	if ((id & KVM_REG_RISCV_TYPE_MASK) == KVM_REG_RISCV_CSR && index < NR_CSR)
		return &csr[index];
	fail_msg("register 0x%llx", id);
	return NULL;
}

static int run_vcpu(void)
{
	runs++;
	core[RD] = run.riscv_csr.ret_value;
	core[0] += 4;
	entered = !run.immediate_exit;
	if (stop_meanwhile)
		atomic_store(&vm.running, false);
	errno = EINTR;
	return -1;
}

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	struct kvm_one_reg *reg = arg;

	switch (request) {
	case KVM_RUN:
		return run_vcpu();
	case KVM_GET_ONE_REG:
		*(u64 *)(uintptr_t)reg->addr = *reg_of(reg->id);
		return 0;
	case KVM_SET_ONE_REG:
		errno = EBUSY;
		if (fail_set && !--fail_set)
			return -1;
		*reg_of(reg->id) = *(u64 *)(uintptr_t)reg->addr;
		return 0;
	}
	errno = ENOTTY;
	return -1;
}

ssize_t getrandom(void *buf, size_t len, unsigned int flags)
{
	if (no_entropy) {
		errno = EAGAIN;
		return -1;
	}
	memset(buf, 0xa5, len);
	return (ssize_t)len;
}

static int setup(void **state)
{
	for (u32 i = 0; i < NR_CORE; i++)
		core[i] = 0x1000 + i;
	for (u32 i = 0; i < NR_CSR; i++)
		csr[i] = 0x2000 + i;
	core[0] = 0x80001000;
	MODE = KVM_RISCV_MODE_S;
	CSR_OF(stvec) = 0x80200001;
	CSR_OF(sstatus) = 0x8000000200006002; /* SIE, and bits that stay */
	run = (struct kvm_run){ .exit_reason = KVM_EXIT_RISCV_CSR };
	run.riscv_csr.csr_num = SEED;
	run.riscv_csr.write_mask = ~0UL;
	vm = (struct vm){ 0 };
	atomic_store(&vm.running, true);
	vcpu = (struct vcpu){ .vm = &vm, .run = &run, .fd = -1 };
	fail_set = 0;
	entered = no_entropy = stop_meanwhile = false;
	runs = 0;
	return 0;
}

static void test_seed(void **state)
{
	assert_int_equal(arch_vcpu_exit(&vcpu), 0);
	assert_int_equal(run.riscv_csr.ret_value, 0x8000a5a5);
	no_entropy = true;
	assert_int_equal(arch_vcpu_exit(&vcpu), 0);
	assert_int_equal(run.riscv_csr.ret_value, 0x40000000);
	/* KVM completes it. */
	assert_int_equal(runs, 0);
	assert_int_equal(core[0], 0x80001000);
}

static void assert_exception(u64 status)
{
	assert_int_equal(arch_vcpu_exit(&vcpu), 0);
	assert_int_equal(runs, 1);
	assert_false(entered);
	assert_int_equal(core[0], 0x80200000);
	for (u32 i = 1; i < RISCV_CORE_MODE; i++)
		assert_int_equal(core[i], 0x1000 + i);
	assert_int_equal(MODE, KVM_RISCV_MODE_S);
	assert_int_equal(CSR_OF(sepc), 0x80001000);
	assert_int_equal(CSR_OF(scause), 2);
	assert_int_equal(CSR_OF(stval), 0);
	assert_true(CSR_OF(sstatus) == status);
	assert_int_equal(run.immediate_exit, 0);
}

static void test_other_register(void **state)
{
	run.riscv_csr.csr_num = 0x15c; /* stopei */
	assert_exception(0x8000000200006120);
}

static void test_read_only(void **state)
{
	run.riscv_csr.write_mask = 0;
	CSR_OF(sstatus) = 0x8000000200006020; /* SPIE, which is lost */
	assert_exception(0x8000000200006100);
}

static void test_user(void **state)
{
	MODE = KVM_RISCV_MODE_U;
	CSR_OF(sstatus) |= 0x100;
	assert_exception(0x8000000200006020);
}

/* Whoever pauses the VM meanwhile finds it out of KVM_RUN soon. */
static void test_pause_meanwhile(void **state)
{
	run.riscv_csr.csr_num = 0x15c;
	stop_meanwhile = true;
	assert_int_equal(arch_vcpu_exit(&vcpu), 0);
	assert_int_equal(run.immediate_exit, 1);
}

static void test_registers_fail(void **state)
{
	for (int i = 1; i <= 38; i++) {
		setup(NULL);
		fail_set = i;
		run.riscv_csr.csr_num = 0x15c;
		capture_begin();
		assert_int_equal(arch_vcpu_exit(&vcpu), -ENOTSUP);
		assert_contains(capture_end(), "vcpu 0: cannot give the guest an exception: Device "
					       "or resource busy");
	}
}

#define T(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_seed), T(test_other_register),  T(test_read_only),
		T(test_user), T(test_pause_meanwhile), T(test_registers_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
