/* SPDX-License-Identifier: MIT */
/* The power button: it wakes a guest that sleeps, and there is none for who is awake. */
#include "devvm.h"

#include "../../../gdb-vm.h"
#include "lkvm/arch.h"
#include "lkvm/machine.h"
#include "lkvm/vcpu.h"

static struct machine m;

static void monitor(const char *command, const char *says)
{
	bool physical;
	char *text = gdb_monitor(&m.vm, 0, command, &physical);

	assert_non_null(strstr(text, says));
	free(text);
}

static void test_button(void **state)
{
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
	monitor("power-button", "no power button");
	/* KVM would let it go on where it slept, whatever was reset meanwhile. */
	vm_sleep(&vcpu);
	monitor("reset", "cannot be reset");
	monitor("power-button", "");
	assert_false(vm_is_asleep(&m.vm));
	monitor("reset", "cannot be reset");
	assert_int_equal(vm_stop_reason(&m.vm, NULL, NULL), VM_STOP_NONE);
	m.vm.running = true;
	assert_true(vm_vcpu_gate(&m.vm, &vcpu));
	monitor("reset", "the guest is reset");
	assert_int_equal(vm_stop_reason(&m.vm, NULL, NULL), VM_STOP_RESET);
	m.vm.nr_vcpus = 0;
	m.vm.vcpus = NULL;
	vm_destroy(&m.vm);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_button) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
