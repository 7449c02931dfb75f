/* SPDX-License-Identifier: MIT */
/* Which vcpus wait for good: those that are off. An interrupt ends WFI even where it is masked. */
#include "unit.h"

#include <stdarg.h>
#include <sys/ioctl.h>

#include "lkvm/arch.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

static struct kvm_mp_state mp;

/* In place of the C library's. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;

	errno = ENOTTY;
	if (request != KVM_GET_MP_STATE)
		return -1;
	va_start(ap, request);
	*va_arg(ap, struct kvm_mp_state *) = mp;
	va_end(ap);
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
