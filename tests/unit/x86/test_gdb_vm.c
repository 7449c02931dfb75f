/* SPDX-License-Identifier: MIT */
/*
 * A VM as the target of a debugger, over a KVM that notes what it is told: breakpoints in guest
 * memory, what a vcpu's KVM_EXIT_DEBUG becomes, and that nothing is left of a debugger that goes.
 */
#include "devvm.h"
#include "fake_ioctl.h"

#include <sys/mman.h>

#include "../../../gdb-vm.h"
#include "lkvm/vcpu.h"

#define RAM   0x10000
#define VCPUS 2
#define HIGH  0xffff800000000000ULL /* the same memory once more */

static struct {
	struct devvm d;
	struct vcpu vcpus[VCPUS], *list[VCPUS];
	struct kvm_run runs[VCPUS];
	struct gdb_vm g;
	u8 *ram;
	struct kvm_guest_debug set[VCPUS]; /* by descriptor */
	unsigned int sets, injected;
	struct gdb_stop stop;
	unsigned int stops;
	bool no_debug;
} t;

static int kernel_ioctl(int fd, unsigned long request, void *arg)
{
	struct kvm_translation *tr;

	switch (request) {
	case KVM_CHECK_EXTENSION:
		if ((uintptr_t)arg == KVM_CAP_SET_GUEST_DEBUG)
			return !t.no_debug;
		return (uintptr_t)arg == KVM_CAP_SET_GUEST_DEBUG2 ? KVM_GUESTDBG_BLOCKIRQ : 0;
	case KVM_TRANSLATE:
		tr = arg;
		tr->physical_address = tr->linear_address & ~HIGH;
		tr->valid = tr->physical_address < RAM;
		return 0;
	case KVM_SET_GUEST_DEBUG:
		t.set[fd] = *(struct kvm_guest_debug *)arg;
		t.sets++;
		t.injected += (t.set[fd].control & KVM_GUESTDBG_INJECT_BP) ? 1 : 0;
		t.injected += (t.set[fd].control & KVM_GUESTDBG_INJECT_DB) ? 100 : 0;
		return 0;
	case KVM_KVMCLOCK_CTRL:
		return 0;
	}
	errno = ENOTTY;
	return -1;
}

static void on_stopped(void *opaque, const struct gdb_stop *stop)
{
	t.stop = *stop;
	t.stops++;
}

static int begin(void **state)
{
	memset(&t, 0, sizeof(t));
	devvm_init(&t.d);
	t.ram = mmap(NULL, RAM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	for (u32 i = 0; i < RAM; i++)
		t.ram[i] = (u8)(i * 7);
	assert_int_equal(memory_add_borrowed(&t.d.vm.mem, 0, RAM, t.ram, MEM_RAM, "ram"), 0);
	for (u32 i = 0; i < VCPUS; i++) {
		t.vcpus[i] =
			(struct vcpu){ .vm = &t.d.vm, .id = i, .fd = (int)i, .run = &t.runs[i] };
		t.list[i] = &t.vcpus[i];
	}
	t.d.vm.vcpus = t.list;
	t.d.vm.nr_vcpus = VCPUS;
	t.g = (struct gdb_vm){ .vm = &t.d.vm, .stopped = on_stopped };
	gdb_vm_init(&t.g);
	vm_resume(&t.d.vm);
	gdb_vm_attach(&t.g);
	assert_false(t.d.vm.running);
	return 0;
}

static int end(void **state)
{
	gdb_vm_detach(&t.g);
	assert_true(t.d.vm.running);
	for (u32 i = 0; i < RAM; i++)
		assert_int_equal(t.ram[i], (u8)(i * 7));
	for (u32 i = 0; i < VCPUS; i++)
		assert_int_equal(t.set[i].control, 0);
	gdb_vm_destroy(&t.g);
	vm_pause(&t.d.vm);
	t.d.vm.nr_vcpus = 0;
	t.d.vm.vcpus = NULL;
	vm_destroy(&t.d.vm);
	munmap(t.ram, RAM);
	return 0;
}

static int put(u32 kind, u64 addr, u64 len)
{
	const char *why = NULL;

	return gdb_vm_ops.point(&t.g, 0, kind, addr, len, true, &why);
}

static int take(u32 kind, u64 addr, u64 len)
{
	const char *why = NULL;

	return gdb_vm_ops.point(&t.g, 0, kind, addr, len, false, &why);
}

static void go(enum gdb_action first, enum gdb_action second)
{
	const char *why = NULL;
	const u8 actions[VCPUS] = { (u8)first, (u8)second };

	assert_int_equal(gdb_vm_ops.resume(&t.g, actions, &why), 0);
}

static u8 seen(u64 addr)
{
	u8 byte = 0;

	assert_int_equal(gdb_vm_ops.read(&t.g, 0, false, addr, &byte, 1), 1);
	return byte;
}

/* The vcpu meets something. */
static void meets(u32 vcpu, u32 exception, u64 pc, u64 dr6)
{
	t.runs[vcpu].exit_reason = KVM_EXIT_DEBUG;
	t.runs[vcpu].debug.arch =
		(struct kvm_debug_exit_arch){ .exception = exception, .pc = pc, .dr6 = dr6 };
	assert_int_equal(t.d.vm.debug_exit(&t.vcpus[vcpu]), 0);
}

static void told(u32 vcpu, enum debug_stop why)
{
	event_loop_drain(&t.d.vm.loop);
	assert_int_equal(t.stops, 1);
	assert_int_equal(t.stop.vcpu, vcpu);
	assert_int_equal(t.stop.why, why);
	assert_false(t.d.vm.running);
	t.stops = 0;
}

static void breakpoint(void **state)
{
	u8 byte = 0x55;

	assert_int_equal(put(0, 0x100, 1), 0);
	assert_int_equal(put(0, HIGH | 0x100, 1), 0);
	assert_int_equal(put(0, 0x101, 1), 0);
	assert_int_equal(put(0, 0x100, 1), 0);
	assert_int_equal(put(0, RAM, 1), -EFAULT);
	assert_int_equal(t.ram[0x100], 0xcc);
	assert_int_equal(seen(0x100), 0);
	/* What is written below it comes back. */
	assert_int_equal(gdb_vm_ops.write(&t.g, 0, false, 0x100, &byte, 1), 0);
	assert_int_equal(t.ram[0x100], 0xcc);
	assert_int_equal(seen(HIGH | 0x100), 0x55);
	byte = 0;
	assert_int_equal(gdb_vm_ops.write(&t.g, 0, true, 0x100, &byte, 1), 0);
	go(GDB_CONTINUE, GDB_CONTINUE);
	assert_true(t.d.vm.running);
	for (u32 i = 0; i < VCPUS; i++)
		assert_int_equal(t.set[i].control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_SW_BP);
	meets(1, 3, HIGH | 0x100, 0);
	assert_false(t.d.vm.running);
	told(1, DEBUG_STOP_BREAK);
	/* One place, two names: the instruction stays as long as one is left. */
	assert_int_equal(take(0, 0x100, 1), 0);
	assert_int_equal(t.ram[0x100], 0xcc);
	assert_int_equal(take(0, HIGH | 0x100, 1), 0);
	assert_int_equal(t.ram[0x100], 0);
	assert_int_equal(take(0, 0x100, 1), 0);
	/* By another address of its page. */
	go(GDB_CONTINUE, GDB_CONTINUE);
	meets(0, 3, HIGH | 0x101, 0);
	told(0, DEBUG_STOP_BREAK);
	assert_int_equal(t.injected, 0);
}

/* What is the guest's it gets, and runs on. */
static void guests_own(void **state)
{
	assert_int_equal(put(0, 0x100, 1), 0);
	assert_int_equal(put(DEBUG_EXEC, 0x200, 1), 0);
	go(GDB_CONTINUE, GDB_CONTINUE);
	meets(0, 3, 0x300, 0);
	assert_true(t.d.vm.running);
	assert_int_equal(t.injected, 1);
	meets(0, 1, 0x300, BIT(14)); /* its own trap flag */
	assert_true(t.d.vm.running);
	assert_int_equal(t.injected, 101);
	event_loop_drain(&t.d.vm.loop);
	assert_int_equal(t.stops, 0);
}

static void stepping(void **state)
{
	go(GDB_STEP, GDB_STAY);
	assert_int_equal(t.set[0].control,
			 KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_SINGLESTEP | KVM_GUESTDBG_BLOCKIRQ);
	assert_int_equal(t.set[1].control, 0);
	assert_false(t.vcpus[0].kept_back);
	assert_true(t.vcpus[1].kept_back);
	meets(0, 1, 0x300, BIT(14));
	told(0, DEBUG_STOP_STEP);
	go(GDB_CONTINUE, GDB_CONTINUE);
	assert_false(t.vcpus[1].kept_back);
	assert_int_equal(t.set[0].control, 0);
	/* A word that comes late, when the debugger has heard it otherwise. */
	gdb_vm_ops.interrupt(&t.g);
	assert_int_equal(t.stop.signal, GDB_SIGINT);
	t.stops = 0;
	go(GDB_CONTINUE, GDB_CONTINUE);
	event_loop_post(&t.d.vm.loop, &t.g.post);
	event_loop_drain(&t.d.vm.loop);
	assert_int_equal(t.stops, 0);
	assert_true(t.d.vm.running);
}

static void watching(void **state)
{
	assert_int_equal(put(DEBUG_WRITE, 0x1004, 12), 0); /* 4 and 8 bytes */
	assert_int_equal(put(DEBUG_ACCESS, 0x2001, 1), 0);
	assert_int_equal(put(DEBUG_WRITE, 0x3001, 3), -ENOSPC);
	assert_int_equal(put(DEBUG_WRITE, 0x3000, 64), -EINVAL);
	assert_int_equal(put(DEBUG_READ, 0x3000, 1), -ENOTSUP);
	go(GDB_CONTINUE, GDB_CONTINUE);
	assert_int_equal(t.set[1].arch.debugreg[0], 0x1004);
	assert_int_equal(t.set[1].arch.debugreg[1], 0x1008);
	assert_int_equal(t.set[1].arch.debugreg[2], 0x2001);
	/* G0 to G2, GE and the fixed bit; writes of 4 and 8 bytes, accesses of one. */
	assert_int_equal(t.set[1].arch.debugreg[7], 0x39d062a);
	meets(1, 1, 0x400, BIT(1));
	/* Both at once: the second is told when the first was heard. */
	meets(0, 1, 0x500, BIT(2));
	told(1, DEBUG_STOP_WATCH);
	assert_int_equal(t.stop.addr, 0x1008);
	assert_int_equal(t.stop.kind, DEBUG_WRITE);
	go(GDB_CONTINUE, GDB_CONTINUE);
	told(0, DEBUG_STOP_WATCH);
	assert_int_equal(t.stop.addr, 0x2001);
	assert_int_equal(t.stop.kind, DEBUG_ACCESS);
}

/* New contents: what was replaced is not put back over them. */
static void rebooted(void **state)
{
	assert_int_equal(put(0, 0x100, 1), 0);
	assert_int_equal(put(DEBUG_EXEC, 0x200, 1), 0);
	go(GDB_CONTINUE, GDB_CONTINUE);
	vm_pause(&t.d.vm);
	t.ram[0x100] = 0x77;
	gdb_vm_rebooted(&t.g);
	told(0, DEBUG_STOP_NONE);
	assert_int_equal(t.ram[0x100], 0x77);
	assert_int_equal(seen(0x100), 0x77);
	assert_int_equal(take(0, 0x100, 1), 0);
	assert_int_equal(t.ram[0x100], 0x77);
	go(GDB_CONTINUE, GDB_CONTINUE);
	assert_int_equal(t.set[0].control, KVM_GUESTDBG_ENABLE | KVM_GUESTDBG_USE_HW_BP);
	t.ram[0x100] = 0;
}

/* It goes while a vcpu has just stopped for it. */
static void gone(void **state)
{
	assert_int_equal(put(0, 0x100, 1), 0);
	go(GDB_CONTINUE, GDB_STAY);
	meets(0, 3, 0x100, 0);
	gdb_vm_detach(&t.g);
	assert_true(t.d.vm.running);
	assert_false(t.vcpus[1].kept_back);
	event_loop_drain(&t.d.vm.loop);
	assert_int_equal(t.stops, 0);
	assert_true(t.d.vm.running);
	assert_int_equal(t.d.vm.debug_exit(&t.vcpus[0]), -ENOTSUP);
}

static void no_debug(void **state)
{
	const char *why = NULL;

	t.no_debug = true;
	assert_int_equal(gdb_vm_ops.point(&t.g, 0, 0, 0x100, 1, true, &why), -ENOTSUP);
	assert_string_equal(why, "this host's KVM cannot debug guests");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(breakpoint, begin, end),
		cmocka_unit_test_setup_teardown(guests_own, begin, end),
		cmocka_unit_test_setup_teardown(stepping, begin, end),
		cmocka_unit_test_setup_teardown(watching, begin, end),
		cmocka_unit_test_setup_teardown(rebooted, begin, end),
		cmocka_unit_test_setup_teardown(gone, begin, end),
		cmocka_unit_test_setup_teardown(no_debug, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
