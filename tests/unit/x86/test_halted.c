/* SPDX-License-Identifier: MIT */
/* Which vcpus wait for good, over a KVM that answers as told. */
#include "fake_ioctl.h"

#include "lkvm/arch.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

static struct kvm_mp_state mp;
static struct kvm_regs regs;
static struct kvm_vcpu_events events;
static u16 nested; /* flags; ~0: KVM has no nested guests */

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	switch (request) {
	case KVM_GET_MP_STATE:
		*(struct kvm_mp_state *)arg = mp;
		return 0;
	case KVM_GET_REGS:
		*(struct kvm_regs *)arg = regs;
		return 0;
	case KVM_GET_VCPU_EVENTS:
		*(struct kvm_vcpu_events *)arg = events;
		return 0;
	case KVM_GET_NESTED_STATE:
		((struct kvm_nested_state *)arg)->flags = nested;
		return 0;
	case KVM_CHECK_EXTENSION:
		return nested == 0xffff ? 0 : (int)sizeof(struct kvm_nested_state);
	}
	errno = ENOTTY;
	return -1;
}

static bool halted(void)
{
	static struct vm vm;
	struct vcpu vcpu = { .vm = &vm, .fd = -1 };

	return arch_vcpu_halted(&vcpu);
}

static int setup(void **state)
{
	mp.mp_state = KVM_MP_STATE_HALTED;
	regs = (struct kvm_regs){ .rflags = 2 };
	events = (struct kvm_vcpu_events){ 0 };
	nested = 0xffff;
	return 0;
}

static void with_interrupts_off(void **state)
{
	assert_true(halted());
	nested = 0;
	assert_true(halted());
	regs.rflags |= 1 << 9;
	assert_false(halted());
}

static void something_comes(void **state)
{
	u8 *const bits[] = { &events.nmi.pending, &events.nmi.injected, &events.smi.pending };

	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		setup(NULL);
		*bits[i] = 1;
		assert_false(halted());
	}
}

/* The interrupt flag of a guest's guest does not keep its hypervisor's interrupts away. */
static void in_a_nested_guest(void **state)
{
	nested = KVM_STATE_NESTED_GUEST_MODE;
	assert_false(halted());
}

static void other_states(void **state)
{
	regs.rflags |= 1 << 9;
	mp.mp_state = KVM_MP_STATE_UNINITIALIZED;
	assert_true(halted());
	mp.mp_state = KVM_MP_STATE_INIT_RECEIVED;
	assert_true(halted());
	regs.rflags = 2;
	mp.mp_state = KVM_MP_STATE_RUNNABLE;
	assert_false(halted());
	mp.mp_state = KVM_MP_STATE_SIPI_RECEIVED;
	assert_false(halted());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(with_interrupts_off, setup),
		cmocka_unit_test_setup(something_comes, setup),
		cmocka_unit_test_setup(in_a_nested_guest, setup),
		cmocka_unit_test_setup(other_states, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
