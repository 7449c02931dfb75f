/* SPDX-License-Identifier: MIT */
/* arm/realm-exit.c: what a realm wants of its memory, hostile wishes, why it cannot run. */
#include "fake_realm.h"

#include <kvm-compat.h>

#define RAM_END (ARM_RAM + FAKE_RAM_SIZE)
#define PRIVATE KVM_MEMORY_EXIT_FLAG_PRIVATE

static struct kvm_run run;

static int setup(void **state)
{
	memset(&cfg, 0, sizeof(cfg));
	memset(&run, 0, sizeof(run));
	cfg.arm.realm.on = true;
	fake_version("v14");
	assert_int_equal(fake_begin(), 0);
	vcpus[0].run = vcpus[1].run = &run;
	return 0;
}

static int teardown(void **state)
{
	memset(&plan, 0, sizeof(plan));
	fake_end();
	return 0;
}

static int fault(u64 gpa, u64 size, u64 flags)
{
	const struct lkvm_exit_memory_fault f = { .flags = flags, .gpa = gpa, .size = size };
	int ret;

	run.exit_reason = KVM_EXIT_MEMORY_FAULT;
	memcpy(&run.hw, &f, sizeof(f));
	capture_begin();
	ret = arm_realm_exit(&vcpus[0]);
	capture_end();
	assert_int_equal(ret, 0);
	return (int)vm_stop_reason(&vm, NULL, NULL);
}

static bool is_shared(u64 gpa, u64 len)
{
	return memory_ptr(&vm.mem, gpa, len);
}

/* Both ways, and the copy that nobody uses is given back. */
static void test_conversions(void **state)
{
	const struct memory_region *r = memory_find(&vm.mem, ARM_RAM);
	u8 byte = 0x55;

	assert_int_equal(pwrite(r->private_fd, &byte, 1, 0x3000), 1);
	assert_int_equal(fault(ARM_RAM + 0x3000, 0x2000, 0), VM_STOP_NONE);
	assert_true(is_shared(ARM_RAM + 0x3000, 0x2000));
	assert_false(is_shared(ARM_RAM + 0x2000, 0x1000));
	assert_int_equal(pread(r->private_fd, &byte, 1, 0x3000), 1);
	assert_int_equal(byte, 0);
	memset(memory_ptr(&vm.mem, ARM_RAM + 0x3000, 0x2000), 0x77, 0x2000);
	assert_int_equal(fault(ARM_RAM + 0x4000, 0x1000, PRIVATE), VM_STOP_NONE);
	assert_true(is_shared(ARM_RAM + 0x3000, 0x1000));
	assert_false(is_shared(ARM_RAM + 0x4000, 0x1000));
	assert_int_equal(((u8 *)r->hva)[0x4000], 0);
	assert_int_equal(((u8 *)r->hva)[0x3000], 0x77);
	/* A page of a wrong kind of access, with any address in it. */
	assert_int_equal(fault(ARM_RAM + 0x6123, 0x10, 0), VM_STOP_NONE);
	assert_true(is_shared(ARM_RAM + 0x6000, 0x1000));
	assert_false(is_shared(ARM_RAM + 0x7000, 0x1000));
	assert_int_equal(fault(ARM_RAM + 0x7fff, 2, 0), VM_STOP_NONE);
	assert_true(is_shared(ARM_RAM + 0x6000, 0x3000));
	/* All of it. */
	assert_int_equal(fault(ARM_RAM, FAKE_RAM_SIZE, 0), VM_STOP_NONE);
	assert_true(is_shared(ARM_RAM, FAKE_RAM_SIZE));
	assert_int_equal(fault(ARM_RAM, FAKE_RAM_SIZE, PRIVATE), VM_STOP_NONE);
	assert_false(is_shared(ARM_RAM, 1));
	assert_string_equal(captured, "");
}

static void test_hostile(void **state)
{
	static const struct {
		u64 gpa, size;
		const char *says;
	} bad[] = {
		{ RAM_END, 0x1000, "where it has none" },
		{ RAM_END - 0x1000, 0x2000, "where it has none" },
		{ ARM_RAM - 0x1000, 0x2000, "where it has none" },
		{ ARM_UART, 0x1000, "where it has none" },
		{ 0, 1ULL << 32, "where it has none" },
		{ RAM_END, 0, "where it has none" },
		{ 0xffffffff, 2, "beyond its addresses" },
		{ 1ULL << 32, 0x1000, "beyond its addresses" },
		{ (1ULL << 32) | ARM_RAM, 0x1000, "beyond its addresses" },
		{ ARM_RAM, ~0ULL, "beyond its addresses" },
		{ ~0ULL, 1, "beyond its addresses" },
		{ ~0ULL, ~0ULL, "beyond its addresses" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		bool beyond = strstr(bad[i].says, "beyond");

		for (int way = 0; way < 2; way++) {
			vm_clear_stop(&vm, VM_STOP_KVM_ERROR);
			/* To share what is not there is fine. */
			if (!way && !beyond)
				continue;
			assert_int_equal(fault(bad[i].gpa, bad[i].size, way ? PRIVATE : 0),
					 VM_STOP_KVM_ERROR);
			assert_contains(captured, bad[i].says);
			assert_one_line(captured);
		}
	}
	assert_false(is_shared(ARM_RAM, 1));
	assert_false(is_shared(RAM_END - 1, 1));
}

/* What lies in such a range is shared, the rest is nothing. */
static void test_around_memory(void **state)
{
	assert_int_equal(fault(ARM_UART, 0x1000, 0), VM_STOP_NONE);
	assert_int_equal(fault(RAM_END - 0x1000, 0x3000, 0), VM_STOP_NONE);
	assert_true(is_shared(RAM_END - 0x1000, 0x1000));
	assert_false(is_shared(RAM_END - 0x2000, 0x1000));
	assert_int_equal(fault(ARM_RAM - 0x5000, 0x6000, 0), VM_STOP_NONE);
	assert_true(is_shared(ARM_RAM, 0x1000));
	assert_int_equal(fault(0, 1ULL << 32, 0), VM_STOP_NONE);
	assert_true(is_shared(ARM_RAM, FAKE_RAM_SIZE));
	assert_string_equal(captured, "");
	/* But not for ever. */
	for (int i = 0; i < 50; i++)
		assert_int_equal(fault(ARM_UART, 0x1000, 0), VM_STOP_NONE);
	for (int i = 0; i < 100; i++)
		fault(ARM_UART, 0x1000, 0);
	assert_int_equal(vm_stop_reason(&vm, NULL, NULL), VM_STOP_KVM_ERROR);
}

/* A guest may ask for the same a few times; a fault that comes back for ever ends. */
static void test_without_end(void **state)
{
	int n = 0;

	for (int i = 0; i < 1000; i++) {
		assert_int_equal(fault(ARM_RAM, 0x1000, i % 2 ? PRIVATE : 0), VM_STOP_NONE);
		assert_int_equal(fault(ARM_RAM, 0x1000, i % 2 ? PRIVATE : 0), VM_STOP_NONE);
	}
	while (fault(ARM_RAM, 0x1000, PRIVATE) == VM_STOP_NONE)
		assert_true(++n < 1000);
	assert_contains(captured, "without end");
	assert_in_range(n, 10, 200);
}

static void test_others(void **state)
{
	run.exit_reason = KVM_EXIT_UNKNOWN;
	assert_int_equal(arm_realm_exit(&vcpus[0]), 0);
	assert_int_equal(vm_stop_reason(&vm, NULL, NULL), VM_STOP_NONE);
	run.exit_reason = KVM_EXIT_INTERNAL_ERROR;
	assert_int_equal(arm_realm_exit(&vcpus[0]), -ENOTSUP);
	run.exit_reason = KVM_EXIT_HYPERCALL;
	assert_int_equal(arm_realm_exit(&vcpus[0]), -ENOTSUP);
}

static int run_failed(struct vcpu *vcpu, int error)
{
	int ret;

	capture_begin();
	ret = arm_realm_run_failed(vcpu, error);
	capture_end();
	return ret;
}

/* Every vcpu meets it, one says it. */
static void test_run_failed(void **state)
{
	assert_int_equal(run_failed(&vcpus[0], ENXIO), 0);
	assert_contains(captured, "vcpu 0: KVM_RUN: No such device or address: the RMM refuses");
	assert_contains(captured, "make the realm");
	assert_one_line(captured);
	assert_int_equal(run_failed(&vcpus[1], ENXIO), 0);
	assert_string_equal(captured, "");
	vm.arch->realm->failed_said = false;
	assert_int_equal(run_failed(&vcpus[0], EINVAL), 0);
	assert_contains(captured, "beyond its half of the addresses");
	vm.arch->realm->failed_said = false;
	assert_int_equal(run_failed(&vcpus[0], EIO), -ENOTSUP);
	assert_string_equal(captured, "");
}

/* Until somebody was inside. */
static void test_first_run(void **state)
{
	assert_false(arm_realm_may_retry(&vcpus[0]));
	exit_count(&vcpus[1].exits, KVM_EXIT_MMIO);
	assert_true(arm_realm_may_retry(&vcpus[0]));
	vcpus[1].exits.n[KVM_EXIT_MMIO] = 0;
	exit_count(&vcpus[0].exits, KVM_EXIT_INTR);
	assert_true(arm_realm_may_retry(&vcpus[0]));
	/* An explicit realm is active before it runs. */
	vcpus[0].exits.n[KVM_EXIT_INTR] = 0;
	vm.arch->realm->found.abi = arm_realm_abi_of(REALM_ABI_V10);
	assert_true(arm_realm_may_retry(&vcpus[0]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_conversions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_around_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_run_failed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_first_run, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
