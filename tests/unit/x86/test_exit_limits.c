/* SPDX-License-Identifier: MIT */
/* A guest that locks the bus waits, and one that lets no interrupt through is told of, or ended. */
#include "../fake_run.h"

#include "../../../x86/tuning.h"
#include "../../../x86/x86.h"

#define LIMIT	 10 /* a second: one at once, then one each 100 ms */
#define TOKEN_NS 100000000ULL

static struct arch_vm arch;
static struct vm_config cfg;
static u64 begin_ns;

/* The machine is there when its vcpu first runs. */
static void set_up(u32 limit)
{
	cfg.x86.tuning.bus_lock_limit = limit;
	fake.d.vm.cfg = &cfg;
	fake.d.vm.arch = &arch;
	x86_limits_init(&fake.d.vm);
	begin_ns = fake.clock_ns;
}

static int exit_for(u32 reason, u16 flags)
{
	fake.run.exit_reason = reason;
	fake.run.flags = flags;
	return 0;
}

static u64 taken_ns(void)
{
	return fake.clock_ns - begin_ns;
}

#define LOCKS 21

static int locks(unsigned int runs)
{
	if (runs == 1)
		set_up(LIMIT);
	/* Also beside an exit for something else. */
	return runs > LOCKS ? EIO
	       : runs % 2   ? exit_for(KVM_EXIT_X86_BUS_LOCK, KVM_RUN_X86_BUS_LOCK)
			    : exit_for(KVM_EXIT_INTR, KVM_RUN_X86_BUS_LOCK | KVM_RUN_X86_SMM);
}

static void waits(void **state)
{
	fake_run(locks, NULL);
	assert_true(taken_ns() >= (LOCKS - 1) * TOKEN_NS);
	assert_true(taken_ns() < (LOCKS + 1) * TOKEN_NS);
	/* In steps, between which a pause is seen. */
	assert_true(fake.pauses >= (LOCKS - 1) * TOKEN_NS / 10000000);
	assert_contains(captured,
			"warning: vcpu 0: the guest locks the bus more than 10 times a second");
	assert_true(exit_counted(&fake.vcpu.exits, KVM_EXIT_X86_BUS_LOCK) == LOCKS / 2 + 1);
}

static int no_locks(unsigned int runs)
{
	if (runs == 1)
		set_up(LIMIT);
	return runs > LOCKS ? EIO : exit_for(KVM_EXIT_INTR, runs % 2 ? KVM_RUN_X86_SMM : 0);
}

static int no_limit(unsigned int runs)
{
	if (runs == 1)
		set_up(0);
	return runs > LOCKS ? EIO : exit_for(KVM_EXIT_X86_BUS_LOCK, KVM_RUN_X86_BUS_LOCK);
}

static void does_not_wait(void **state)
{
	fake_run(no_locks, NULL);
	assert_int_equal(fake.pauses, 0);
	fake_run(no_limit, NULL);
	assert_int_equal(fake.pauses, 0);
}

static unsigned int pauses_while_pausing;

/* The VM is to pause: the vcpu comes at once, and pays later. */
static int pausing(unsigned int runs)
{
	if (runs == 1)
		set_up(LIMIT);
	if (runs == 5) {
		pauses_while_pausing = fake.pauses;
		begin_ns = fake.clock_ns;
	}
	atomic_store(&fake.d.vm.running, runs >= 5);
	return runs > 5 ? EIO : exit_for(KVM_EXIT_X86_BUS_LOCK, KVM_RUN_X86_BUS_LOCK);
}

static void a_pause_is_not_held_up(void **state)
{
	fake_run(pausing, NULL);
	assert_int_equal(pauses_while_pausing, 0);
	/* One was free, three are owed, and this one. */
	assert_true(taken_ns() >= 3 * TOKEN_NS && taken_ns() < 5 * TOKEN_NS);
}

static int notified(unsigned int runs)
{
	if (runs == 1)
		set_up(0);
	fake.run.notify.flags = 0;
	return runs > 3 ? EIO : exit_for(KVM_EXIT_NOTIFY, 0);
}

static void a_notify_exit_is_told(void **state)
{
	fake_run(notified, NULL);
	assert_int_equal(fake.runs, 4);
	assert_contains(captured, "warning: vcpu 0: the guest let no interrupt through");
	assert_true(exit_counted(&fake.vcpu.exits, KVM_EXIT_NOTIFY) == 3);
}

static int lost(unsigned int runs)
{
	if (runs == 1)
		set_up(0);
	fake.run.notify.flags = KVM_NOTIFY_CONTEXT_INVALID;
	return runs > 1 ? EINTR : exit_for(KVM_EXIT_NOTIFY, 0);
}

static void a_lost_state_ends_it(void **state)
{
	fake_run(lost, NULL);
	assert_true(fake.runs <= 2);
	assert_int_equal(fake.d.vm.stop, VM_STOP_KVM_ERROR);
	assert_one_line(captured);
	assert_contains(captured, "error: vcpu 0: the guest let no interrupt through");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(waits),
		cmocka_unit_test(does_not_wait),
		cmocka_unit_test(a_pause_is_not_held_up),
		cmocka_unit_test(a_notify_exit_is_told),
		cmocka_unit_test(a_lost_state_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
