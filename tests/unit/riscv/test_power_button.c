/* SPDX-License-Identifier: MIT */
/* The power button: it wakes a guest that sleeps, and there is none for who is awake. */
#include "devvm.h"

#include "lkvm/arch.h"
#include "lkvm/machine.h"
#include "lkvm/vcpu.h"

static void test_button(void **state)
{
	static struct machine m;
	static struct kvm_run run;
	const struct vm_config cfg = { 0 };
	struct vcpu vcpu = { .vm = &m.vm, .run = &run }, *list = &vcpu;

	assert_int_equal(vm_init(&m.vm, &cfg), 0);
	m.vm.vcpus = &list;
	m.vm.nr_vcpus = 1;
	assert_int_equal(machine_press_button(&m), -ENOTSUP);
	vm_sleep(&vcpu);
	/* Who asks a guest to end does not wait for one that sleeps. */
	assert_int_equal(machine_power_button(&m), -ENOTSUP);
	assert_true(vm_is_asleep(&m.vm));
	assert_int_equal(machine_press_button(&m), 0);
	assert_false(vm_is_asleep(&m.vm));
	m.vm.nr_vcpus = 0;
	m.vm.vcpus = NULL;
	vm_destroy(&m.vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_button) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
