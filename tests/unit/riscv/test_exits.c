/* SPDX-License-Identifier: MIT */
/* Exits of which riscv64 has its own opinion, by way of vcpu.c: it is asked before all others. */
#include "../fake_run.h"

static unsigned long reason;

/* SBI's SRST, as KVM passes it on. Stopped, the vcpu is to come back once more. */
static int shut_down(unsigned int runs)
{
	fake.run.exit_reason = KVM_EXIT_SYSTEM_EVENT;
	fake.run.system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
	fake.run.system_event.ndata = 1;
	fake.run.system_event.data[0] = reason;
	return runs > 1 ? EINTR : 0;
}

static void test_shutdown(void **state)
{
	reason = 0;
	fake_run(shut_down, NULL);
	assert_int_equal(fake.d.vm.stop, VM_STOP_POWEROFF);
	/* A failure of the system. */
	reason = 1;
	fake_run(shut_down, NULL);
	assert_int_equal(fake.d.vm.stop, VM_STOP_PANIC);
	assert_string_equal(captured, "");
}

static int not_entered(unsigned int runs)
{
	fake.run.exit_reason = KVM_EXIT_FAIL_ENTRY;
	fake.run.fail_entry.hardware_entry_failure_reason = reason;
	fake.run.fail_entry.cpu = 3;
	return runs > 1 ? EINTR : 0;
}

static void test_failed_entry(void **state)
{
	reason = KVM_EXIT_FAIL_ENTRY_NO_VSFILE;
	fake_run(not_entered, NULL);
	assert_int_equal(fake.d.vm.stop, VM_STOP_ENTRY_FAILED);
	assert_contains(captured, "no free guest interrupt file on the host's CPU 3");
	assert_one_line(captured);
	reason = 2;
	fake_run(not_entered, NULL);
	assert_int_equal(fake.d.vm.stop, VM_STOP_ENTRY_FAILED);
	assert_contains(captured, "hardware reason 0x2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shutdown),
		cmocka_unit_test(test_failed_entry),
	};

	log_set_level(LOG_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
