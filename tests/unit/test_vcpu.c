/* SPDX-License-Identifier: MIT */
/* What vcpu.c makes of a KVM_RUN that fails: at once, for a while, for ever. */
#include "fake_run.h"

static int asked, handled;

static unsigned int lines(const char *text)
{
	unsigned int n = 0;

	for (; *text; text++)
		n += *text == '\n';
	return n;
}

static void assert_kvm_error(const char *text)
{
	assert_int_equal(fake.d.vm.stop, VM_STOP_KVM_ERROR);
	assert_int_equal(fake.d.vm.stop_vcpu, 0);
	assert_contains(captured, text);
	/* Registers are for --loglevel debug. */
	assert_int_equal(lines(captured), 1);
}

static int memory_fault(unsigned int runs)
{
	fake.run.exit_reason = KVM_EXIT_MEMORY_FAULT;
	return EFAULT;
}

/* The guest makes pages its own some times. */
static int convert(struct vcpu *vcpu)
{
	return ++asked <= handled ? 0 : -ENOTSUP;
}

static const struct coco_ops coco = { .exit = convert };

/* KVM says it with an error; it is an exit of a confidential guest before it is one. */
static void test_memory_fault(void **state)
{
	fake_run(memory_fault, NULL);
	assert_kvm_error("cannot back guest memory at");
	assert_int_equal(fake.runs, 1);
	asked = 0;
	handled = 3;
	fake_run(memory_fault, &coco);
	assert_kvm_error("cannot back guest memory at");
	assert_int_equal(asked, 4);
	assert_int_equal(fake.runs, 4);
}

static int always;

static int fail_always(unsigned int runs)
{
	return always;
}

static void every_error_ends(void **state)
{
	for (always = 1; always <= EHWPOISON; always++) {
		unsigned int tries = 1;

		if (always == EAGAIN || always == ENOMEM)
			tries = 101;
		else if (always == EINTR)
			tries = 1000001;
		fake_run(fail_always, NULL);
		assert_kvm_error(strerror(always));
		assert_int_equal(fake.runs, tries);
		if (tries == 101) {
			assert_contains(captured, "KVM_RUN keeps failing: ");
			assert_int_equal(fake.pauses, 99);
		} else {
			assert_int_equal(fake.pauses, 0);
		}
	}
}

static int failures;

/* What a kind of guest says to one errno. */
static int say_why(struct vcpu *vcpu, int error)
{
	failures++;
	if (error != ENXIO)
		return -ENOTSUP;
	err("the firmware refuses it");
	return 0;
}

static const struct coco_ops explains = { .run_failed = say_why };

static bool never(struct vcpu *vcpu)
{
	return false;
}

static const struct coco_ops ends = { .may_retry = never };

/* What passes for others; but a signal is none. */
static void a_kind_may_know_better(void **state)
{
	static const int errors[] = { EAGAIN, ENOMEM };

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		always = errors[i];
		fake_run(fail_always, &ends);
		assert_kvm_error("KVM_RUN failed");
		assert_int_equal(fake.runs, 1);
	}
	always = EINTR;
	fake_run(fail_always, &ends);
	assert_int_equal(fake.runs, 1000001);
}

static void a_kind_may_know_why(void **state)
{
	always = ENXIO;
	fake_run(fail_always, &explains);
	assert_kvm_error("the firmware refuses it");
	assert_int_equal(failures, 1);
	always = EIO;
	fake_run(fail_always, &explains);
	assert_kvm_error("KVM_RUN failed: Input/output error");
	/* What passes is not asked about. */
	always = ENOMEM;
	failures = 0;
	fake_run(fail_always, &explains);
	assert_int_equal(failures, 1);
	assert_int_equal(fake.runs, 101);
}

static void the_remedy_is_said(void **state)
{
	always = EAGAIN;
	fake_run(fail_always, NULL);
	assert_kvm_error("pids.max");
	always = ENOMEM;
	fake_run(fail_always, NULL);
	assert_kvm_error("too little memory");
}

/* Each time for a while, but not on end: what fails last is something else. */
static int comes_back(unsigned int runs)
{
	if (runs == 300)
		return EIO;
	if (runs % 80)
		return runs < 160 ? EAGAIN : ENOMEM;
	return memory_fault(runs);
}

static void what_comes_back_is_waited_for(void **state)
{
	asked = 0;
	handled = 100;
	fake_run(comes_back, &coco);
	assert_int_equal(fake.runs, 300);
	assert_kvm_error("KVM_RUN failed: Input/output error");
}

/* A processor that waits inside KVM does not spin. */
static int woken_now_and_then(unsigned int runs)
{
	fake.clock_ns += 200000000;
	return runs < 500 ? EAGAIN : EIO;
}

static int woken_at_once(unsigned int runs)
{
	return runs < 500 ? EAGAIN : EIO;
}

static void a_processor_that_was_not_started(void **state)
{
	fake_run(woken_now_and_then, NULL);
	assert_int_equal(fake.runs, 500);
	fake.mp_state = KVM_MP_STATE_UNINITIALIZED;
	fake_run(woken_at_once, NULL);
	assert_int_equal(fake.runs, 500);
	assert_true(fake.pauses > 400);
	fake.mp_state = KVM_MP_STATE_RUNNABLE;
	fake_run(woken_at_once, NULL);
	assert_int_equal(fake.runs, 101);
}

/* Faults of memory come with an error, signals too; what KVM cannot do is no exit. */
static int every_kind(unsigned int runs)
{
	switch (runs) {
	case 1:
	case 2:
		return EINTR;
	case 3:
		return EAGAIN;
	case 4:
		fake.run.exit_reason = KVM_EXIT_MMIO;
		return 0;
	case 5:
		return memory_fault(runs);
	case 6:
		/* Of a KVM that is newer than lkvm: the end. */
		fake.run.exit_reason = 1000;
		return 0;
	default:
		return EIO;
	}
}

static void exits_are_counted(void **state)
{
	const struct exit_counts *c = &fake.vcpu.exits;
	u64 all = 0;

	asked = 0;
	handled = 1;
	fake_run(every_kind, &coco);
	assert_int_equal(exit_counted(c, KVM_EXIT_INTR), 2);
	assert_int_equal(exit_counted(c, KVM_EXIT_MMIO), 1);
	assert_int_equal(exit_counted(c, KVM_EXIT_MEMORY_FAULT), 1);
	assert_int_equal(exit_counted(c, exit_slot(1000)), 1);
	for (u32 i = 0; i < EXIT_REASONS; i++)
		all += exit_counted(c, i);
	assert_int_equal(all, 5);
	assert_contains(captured, "unsupported exit reason 1000 (other)");
	assert_string_equal(exit_name(KVM_EXIT_MMIO), "mmio");
	assert_string_equal(exit_name(EXIT_OTHER), "other");
}

/* An end does not wait for it. */
static int stopped_meanwhile(unsigned int runs)
{
	if (runs == 10)
		vm_request_stop(&fake.d.vm, VM_STOP_QUIT, 0, -1);
	return always;
}

static void an_end_while_it_fails(void **state)
{
	static const int errors[] = { EINTR, EAGAIN, ENOMEM };

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		always = errors[i];
		fake_run(stopped_meanwhile, NULL);
		assert_int_equal(fake.d.vm.stop, VM_STOP_QUIT);
		assert_int_equal(fake.runs, 10);
		assert_string_equal(captured, "");
	}
}

/* The guest sleeps at its first exit; the main loop sees it parked, pauses and resumes, wakes it.
 */
static struct event_post look;
static unsigned int looks, slept_at;
static atomic_int told_of_sleep;

static void on_look(void *opaque)
{
	struct vm *vm = &fake.d.vm;

	pthread_mutex_lock(&vm->lock);
	if (!vm->nr_parked) {
		pthread_mutex_unlock(&vm->lock);
		event_loop_post(&vm->loop, &look);
		return;
	}
	pthread_mutex_unlock(&vm->lock);
	slept_at = fake.runs;
	assert_true(vm_is_asleep(vm));
	vm_pause(vm);
	vm_resume(vm);
	assert_true(vm_is_asleep(vm));
	if (++looks < 100) {
		event_loop_post(&vm->loop, &look);
		return;
	}
	assert_int_equal(fake.runs, slept_at);
	assert_true(vm_wake(vm));
	assert_false(vm_wake(vm));
	assert_false(vm_is_asleep(vm));
}

static void on_slept(struct vm *vm)
{
	atomic_fetch_add(&told_of_sleep, 1);
}

static int go_to_sleep(struct vcpu *vcpu)
{
	vcpu->vm->slept = on_slept;
	look = (struct event_post){ .fn = on_look };
	vm_sleep(vcpu);
	event_loop_post(&vcpu->vm->loop, &look);
	return 0;
}

static int sleeping(unsigned int runs)
{
	fake.run.exit_reason = KVM_EXIT_HYPERCALL;
	if (runs == 1)
		return 0;
	/* The exit is completed first, and only then it waits. */
	if (runs == 2)
		return fake.run.immediate_exit ? EINTR : EIO;
	return fake.run.immediate_exit ? EIO : EFAULT;
}

static void a_guest_sleeps(void **state)
{
	const struct coco_ops sleeps = { .exit = go_to_sleep };

	looks = 0;
	fake_run(sleeping, &sleeps);
	assert_int_equal(looks, 100);
	assert_int_equal(slept_at, 2);
	assert_int_equal(told_of_sleep, 2);
	assert_int_equal(fake.runs, 3);
	assert_contains(captured, "KVM_RUN failed: Bad address");
}

/* What wakes it may come before it lies down. */
static int wake_at_once(struct vcpu *vcpu)
{
	vm_sleep(vcpu);
	assert_true(vm_wake(vcpu->vm));
	return 0;
}

static void it_wakes_at_once(void **state)
{
	const struct coco_ops sleeps = { .exit = wake_at_once };

	fake_run(sleeping, &sleeps);
	assert_int_equal(fake.runs, 3);
	assert_contains(captured, "KVM_RUN failed: Bad address");
}

/* An end is for those that sleep, too. */
static int sleep_and_end(struct vcpu *vcpu)
{
	vm_sleep(vcpu);
	vm_request_stop(vcpu->vm, VM_STOP_QUIT, 0, -1);
	return 0;
}

static void an_end_of_sleep(void **state)
{
	const struct coco_ops sleeps = { .exit = sleep_and_end };

	fake_run(sleeping, &sleeps);
	assert_int_equal(fake.runs, 2);
	assert_string_equal(captured, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_fault),
		cmocka_unit_test(every_error_ends),
		cmocka_unit_test(a_kind_may_know_why),
		cmocka_unit_test(a_kind_may_know_better),
		cmocka_unit_test(the_remedy_is_said),
		cmocka_unit_test(what_comes_back_is_waited_for),
		cmocka_unit_test(a_processor_that_was_not_started),
		cmocka_unit_test(exits_are_counted),
		cmocka_unit_test(an_end_while_it_fails),
		cmocka_unit_test(a_guest_sleeps),
		cmocka_unit_test(it_wakes_at_once),
		cmocka_unit_test(an_end_of_sleep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
