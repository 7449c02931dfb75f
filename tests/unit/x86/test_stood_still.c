/* SPDX-License-Identifier: MIT */
/* A guest whose processor stood still hears of it before it runs again, and only then. */
#include "../fake_run.h"

static unsigned int told_before; /* when KVM_RUN was called the second time */

static int second(void)
{
	told_before = fake.told;
	return EIO;
}

static int stopped(unsigned int runs)
{
	return runs == 1 ? EINTR : second();
}

/* Somebody wants the vcpu to come out (arm/psci.c): the processor did not stand still. */
static int kicked(unsigned int runs)
{
	fake.run.immediate_exit = runs == 1;
	return stopped(runs);
}

static void a_thread_that_was_stopped(void **state)
{
	fake_run(stopped, NULL);
	assert_int_equal(told_before, 1);
	fake_run(kicked, NULL);
	assert_int_equal(told_before, 0);
}

static u64 takes_ns;

static int handle(struct vcpu *vcpu)
{
	fake.clock_ns += takes_ns;
	return 0;
}

static const struct coco_ops coco = { .exit = handle };

static int needs_a_handler(unsigned int runs)
{
	if (runs > 1)
		return second();
	fake.run.exit_reason = KVM_EXIT_MEMORY_FAULT;
	return EFAULT;
}

static void a_handler_that_waits(void **state)
{
	takes_ns = 1100000000;
	fake_run(needs_a_handler, &coco);
	assert_int_equal(told_before, 1);
	takes_ns = 900000000;
	fake_run(needs_a_handler, &coco);
	assert_int_equal(told_before, 0);
}

/* The main thread was told that the process goes on. */
static int continued(unsigned int runs)
{
	if (runs > 1)
		return second();
	vm_stood_still(&fake.d.vm);
	return needs_a_handler(runs);
}

static void a_process_that_was_stopped(void **state)
{
	takes_ns = 0;
	fake_run(continued, &coco);
	assert_int_equal(told_before, 1);
	assert_int_equal(fake.told, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_that_was_stopped),
		cmocka_unit_test(a_handler_that_waits),
		cmocka_unit_test(a_process_that_was_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
