/* SPDX-License-Identifier: MIT */
/* Which vcpus wait for good: those that are off. An interrupt ends WFI even where it is masked. */
#include "fake_ioctl.h"

#include "lkvm/arch.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

static struct kvm_mp_state mp;

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	errno = ENOTTY;
	if (request != KVM_GET_MP_STATE)
		return -1;
	*(struct kvm_mp_state *)arg = mp;
	return 0;
}

static void states(void **state)
{
	struct vm vm = { 0 };
	struct vcpu vcpu = { .vm = &vm, .fd = -1 };

	mp.mp_state = KVM_MP_STATE_RUNNABLE;
	assert_false(arch_vcpu_halted(&vcpu));
	mp.mp_state = KVM_MP_STATE_SUSPENDED;
	assert_false(arch_vcpu_halted(&vcpu));
	mp.mp_state = KVM_MP_STATE_STOPPED;
	assert_true(arch_vcpu_halted(&vcpu));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(states) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
