/* SPDX-License-Identifier: MIT */
/* PSCI in lkvm, over vcpus that are only noted down. */
#include "capture.h"

#include <linux/psci.h>
#include <stdlib.h>

#include "../../../arm/arm.h"
#include "../../../arm/psci.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define NR    3
#define C(id) ((id) | 1U << 30)

struct rig {
	struct vm vm;
	struct vm_config cfg;
	struct arch_vm arch;
	struct vcpu vcpu[NR], *list[NR];
	struct arch_vcpu arch_vcpu[NR];
	struct kvm_run run[NR];
	u64 args[3];
	u64 result;
	bool answered;
	u32 mp_state[NR];
	int started, fail;
	u64 entry, context;
	bool stale;
};

static struct rig *rig_of(const struct vcpu *vcpu)
{
	return container_of(vcpu->vm, struct rig, vm);
}

static int get_args(struct vcpu *vcpu, u64 args[3])
{
	memcpy(args, rig_of(vcpu)->args, sizeof(rig_of(vcpu)->args));
	return 0;
}

static int set_result(struct vcpu *vcpu, u64 x0)
{
	rig_of(vcpu)->result = x0;
	rig_of(vcpu)->answered = true;
	return 0;
}

static int set_mp_state(struct vcpu *vcpu, u32 mp)
{
	rig_of(vcpu)->mp_state[vcpu->id] = mp;
	return rig_of(vcpu)->fail;
}

static int start(struct vcpu *vcpu, u64 entry, u64 context, bool stale)
{
	struct rig *r = rig_of(vcpu);

	r->started = (int)vcpu->id;
	r->entry = entry;
	r->context = context;
	r->stale = stale;
	return r->fail;
}

static const struct arm_psci_ops ops = { get_args, set_result, set_mp_state, start };

static int setup(void **state)
{
	static const u64 mpidr[NR] = { 0x80000000, 0x80000001, 0x80000100 };
	struct rig *r = calloc(1, sizeof(*r));

	if (vm_init(&r->vm, &r->cfg))
		return -1;
	r->vm.arch = &r->arch;
	for (u32 i = 0; i < NR; i++) {
		r->arch_vcpu[i].mpidr = mpidr[i];
		r->vcpu[i] = (struct vcpu){
			.vm = &r->vm, .id = i, .run = &r->run[i], .arch = &r->arch_vcpu[i]
		};
		r->list[i] = &r->vcpu[i];
	}
	r->vm.vcpus = r->list;
	r->vm.nr_vcpus = NR;
	r->arch.psci = arm_psci_new(NR, &ops);
	r->started = -1;
	*state = r;
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	arm_psci_destroy(&r->vm);
	r->vm.nr_vcpus = 0;
	r->vm.vcpus = NULL;
	vm_destroy(&r->vm);
	free(r);
	return 0;
}

static s64 call_on(struct rig *r, u32 cpu, u32 id, u64 a, u64 b, u64 c)
{
	r->args[0] = a;
	r->args[1] = b;
	r->args[2] = c;
	r->run[cpu].hypercall.nr = id;
	r->answered = false;
	assert_int_equal(arm_psci_call(&r->vcpu[cpu]), 0);
	return r->answered ? (s64)r->result : INT64_MIN;
}

static s64 call(struct rig *r, u32 id, u64 a, u64 b, u64 c)
{
	return call_on(r, 0, id, a, b, c);
}

static void test_what_there_is(void **state)
{
	static const u32 there[] = { 0, 1, 2, 3, 4, 6, 8, 9, 0xa, 0x12 };
	struct rig *r = *state;

	assert_int_equal(call(r, PSCI_0_2_FN_PSCI_VERSION, 0, 0, 0), 0x10001);
	assert_int_equal(call(r, PSCI_0_2_FN_MIGRATE_INFO_TYPE, 0, 0, 0), 2);
	for (u32 n = 0; n < 0x20; n++) {
		bool known = false;

		for (size_t i = 0; i < ARRAY_SIZE(there); i++)
			known |= there[i] == n;
		assert_int_equal(call(r, PSCI_1_0_FN_PSCI_FEATURES, 0x84000000 | n, 0, 0),
				 known ? 0 : PSCI_RET_NOT_SUPPORTED);
	}
	assert_int_equal(call(r, PSCI_1_0_FN_PSCI_FEATURES, 0x80000000, 0, 0), 0);
	assert_int_equal(call(r, PSCI_1_0_FN_PSCI_FEATURES, 0xc4000003, 0, 0), 0);
	assert_int_equal(call(r, PSCI_1_0_FN_PSCI_FEATURES, 0xc4000002, 0, 0),
			 PSCI_RET_NOT_SUPPORTED);
	/* What is not there is left to the caller, which says so to the guest. */
	r->run[0].hypercall.nr = 0x8400001f;
	assert_int_equal(arm_psci_call(&r->vcpu[0]), -ENOTSUP);
	r->run[0].hypercall.nr = C(PSCI_0_2_FN_CPU_OFF);
	assert_int_equal(arm_psci_call(&r->vcpu[0]), -ENOTSUP);
	/* No 64-bit calls from an AArch32 guest. */
	r->cfg.arm.aarch32 = true;
	r->run[0].hypercall.nr = C(PSCI_0_2_FN_CPU_ON);
	assert_int_equal(arm_psci_call(&r->vcpu[0]), -ENOTSUP);
}

static void test_cpu_on(void **state)
{
	const u32 on = C(PSCI_0_2_FN_CPU_ON);
	struct rig *r = *state;

	assert_int_equal(call(r, on, 0, 0x80000000, 0), PSCI_RET_ALREADY_ON);
	assert_int_equal(call(r, on, 2, 0x80000000, 0), PSCI_RET_INVALID_PARAMS);
	/* MPIDR_EL1 as it is read has bit 31 set; a target has not. */
	assert_int_equal(call(r, on, 0x80000001, 0x80000000, 0), PSCI_RET_INVALID_PARAMS);
	assert_int_equal(call(r, on, 0x100000001, 0x80000000, 0), PSCI_RET_INVALID_PARAMS);
	assert_int_equal(call(r, on, ~0ULL, 0x80000000, 0), PSCI_RET_INVALID_PARAMS);
	assert_int_equal(call(r, on, 1, 0x80000002, 0), PSCI_RET_INVALID_ADDRESS);
	assert_int_equal(r->started, -1);
	assert_int_equal(call(r, on, 0x100, 0x180001000, 0x123456789), 0);
	assert_int_equal(r->started, 2);
	assert_true(r->entry == 0x180001000 && r->context == 0x123456789 && !r->stale);
	assert_int_equal(call(r, on, 0x100, 0x180001000, 0), PSCI_RET_ALREADY_ON);
	/* The 32-bit call has 32-bit arguments. */
	assert_int_equal(call(r, PSCI_0_2_FN_CPU_ON, 0xff00000001, 0x180001000, ~0ULL), 0);
	assert_int_equal(r->started, 1);
	assert_true(r->entry == 0x80001000 && r->context == 0xffffffff);
}

static void test_cpu_on_fails(void **state)
{
	struct rig *r = *state;

	r->fail = -EIO;
	capture_begin();
	assert_int_equal(call(r, C(PSCI_0_2_FN_CPU_ON), 1, 0x80000000, 0),
			 PSCI_RET_INTERNAL_FAILURE);
	assert_contains(capture_end(), "CPU_ON of vcpu 1");
	assert_int_equal(call(r, C(PSCI_0_2_FN_AFFINITY_INFO), 1, 0, 0), 1);
	/* Again, from a state of which nothing is known. */
	r->fail = 0;
	assert_int_equal(call(r, C(PSCI_0_2_FN_CPU_ON), 1, 0x80000000, 0), 0);
	assert_true(r->stale);
}

static void test_off_and_on(void **state)
{
	struct rig *r = *state;

	assert_int_equal(call(r, C(PSCI_0_2_FN_CPU_ON), 1, 0x80000000, 0), 0);
	assert_int_equal(call_on(r, 1, PSCI_0_2_FN_CPU_OFF, 0, 0, 0), INT64_MIN);
	assert_int_equal(r->mp_state[1], KVM_MP_STATE_STOPPED);
	assert_int_equal(call(r, C(PSCI_0_2_FN_AFFINITY_INFO), 1, 0, 0), 1);
	assert_int_equal(call(r, C(PSCI_0_2_FN_CPU_ON), 1, 0x80000000, 0), 0);
	assert_true(r->stale);
	/* One that cannot be stopped stays on. */
	r->fail = -EIO;
	assert_int_equal(call_on(r, 1, PSCI_0_2_FN_CPU_OFF, 0, 0, 0), PSCI_RET_DENIED);
	assert_int_equal(call(r, C(PSCI_0_2_FN_AFFINITY_INFO), 1, 0, 0), 0);

	arm_psci_reset(&r->vm);
	r->fail = 0;
	assert_int_equal(call(r, C(PSCI_0_2_FN_AFFINITY_INFO), 1, 0, 0), 1);
	assert_int_equal(call(r, C(PSCI_0_2_FN_CPU_ON), 1, 0x80000000, 0), 0);
	assert_false(r->stale);
}

static void test_affinity(void **state)
{
	const u32 info = C(PSCI_0_2_FN_AFFINITY_INFO);
	struct rig *r = *state;

	assert_int_equal(call(r, info, 0, 0, 0), 0);
	assert_int_equal(call(r, info, 1, 0, 0), 1);
	assert_int_equal(call(r, info, 2, 0, 0), PSCI_RET_INVALID_PARAMS);
	/* The cluster of vcpu 0 is on, that of vcpu 2 off. */
	assert_int_equal(call(r, info, 1, 1, 0), 0);
	assert_int_equal(call(r, info, 0x100, 1, 0), 1);
	assert_int_equal(call(r, info, 0x1ff, 2, 0), 0);
	assert_int_equal(call(r, info, 0x100000000, 2, 0), PSCI_RET_INVALID_PARAMS);
	assert_int_equal(call(r, info, 0, 3, 0), 0);
	assert_int_equal(call(r, info, 0, 4, 0), PSCI_RET_INVALID_PARAMS);
	assert_int_equal(call(r, info, 0, ~0ULL, 0), PSCI_RET_INVALID_PARAMS);
	assert_int_equal(call(r, info, 0x80000000, 3, 0), PSCI_RET_INVALID_PARAMS);
}

static void test_suspend(void **state)
{
	struct rig *r = *state;

	assert_int_equal(call(r, C(PSCI_0_2_FN_CPU_SUSPEND), ~0ULL, ~0ULL, ~0ULL), 0);
	assert_int_equal(r->mp_state[0], KVM_MP_STATE_SUSPENDED);
	r->run[0].system_event.type = KVM_SYSTEM_EVENT_WAKEUP;
	assert_int_equal(arm_psci_event(&r->vcpu[0]), 0);
	assert_int_equal(r->mp_state[0], KVM_MP_STATE_RUNNABLE);
	r->run[0].system_event.type = KVM_SYSTEM_EVENT_SUSPEND;
	assert_int_equal(arm_psci_event(&r->vcpu[0]), -ENOTSUP);
	r->fail = -EIO;
	assert_int_equal(call(r, PSCI_0_2_FN_CPU_SUSPEND, 0, 0, 0), PSCI_RET_DENIED);
}

static void ends_with(struct rig *r, u32 id, u64 type, enum vm_stop stop)
{
	vm_clear_stop(&r->vm, r->vm.stop);
	atomic_store(&r->vm.running, true);
	call(r, id, type, 0, 0);
	assert_int_equal(r->vm.stop, stop);
	assert_int_equal(atomic_load(&r->vm.running), stop == VM_STOP_NONE);
}

static void test_system(void **state)
{
	struct rig *r = *state;

	ends_with(r, PSCI_0_2_FN_SYSTEM_OFF, 0, VM_STOP_POWEROFF);
	ends_with(r, PSCI_0_2_FN_SYSTEM_RESET, 0, VM_STOP_RESET);
	ends_with(r, PSCI_1_1_FN_SYSTEM_RESET2, 0, VM_STOP_RESET);
	ends_with(r, C(PSCI_1_1_FN_SYSTEM_RESET2), 0x80000000, VM_STOP_RESET);
	ends_with(r, C(PSCI_1_1_FN_SYSTEM_RESET2), 1, VM_STOP_NONE);
	assert_int_equal((s64)r->result, PSCI_RET_INVALID_PARAMS);
}

static void test_in_the_kernel(void **state)
{
	struct rig *r = *state;

	arm_psci_destroy(&r->vm);
	arm_psci_reset(&r->vm);
	r->run[0].hypercall.nr = PSCI_0_2_FN_PSCI_VERSION;
	assert_int_equal(arm_psci_call(&r->vcpu[0]), -ENOTSUP);
	r->run[0].system_event.type = KVM_SYSTEM_EVENT_WAKEUP;
	assert_int_equal(arm_psci_event(&r->vcpu[0]), -ENOTSUP);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_what_there_is), T(test_cpu_on),	T(test_cpu_on_fails), T(test_off_and_on),
		T(test_affinity),      T(test_suspend), T(test_system),	      T(test_in_the_kernel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
