/* SPDX-License-Identifier: MIT */
/* SBI calls that reach lkvm: what they do, what they answer, and what a hostile guest makes of
 * them.
 */
#include "capture.h"

#include <stdlib.h>

#include "../../../riscv/riscv.h"
#include "lkvm/arch.h"
#include "lkvm/console.h"
#include "lkvm/device.h"
#include "lkvm/hw.h"
#include "lkvm/vcpu.h"
#include "lkvm/vm.h"

#define RAM		     0x80000000UL
#define RAM_SIZE	     (64 * KiB)
#define DBCN		     0x4442434eUL
#define SUSP		     0x53555350UL
#define FAILED(error, value) ((s64)ret(0) == (error) && ret(1) == (value))

static struct rig {
	struct vm vm;
	struct vm_config cfg;
	struct arch_vm arch;
	struct vcpu vcpu, *list[1];
	struct arch_vcpu arch_vcpu;
	struct kvm_run run;
	struct console terminal;
	struct console_client client;
	struct console_firmware console;
	u8 *ram;
	char out[8192];
	size_t nr_out;
	u32 asked; /* for keys */
} * r;

static void term_write(struct console *con, const u8 *buf, size_t len)
{
	assert_true(r->nr_out + len < sizeof(r->out));
	memcpy(r->out + r->nr_out, buf, len);
	r->nr_out += len;
}

static void term_set_client(struct console *con, const struct console_client *client)
{
	r->client = *client;
}

static void term_input_ready(struct console *con)
{
	r->asked++;
}

static const struct console_ops term_ops = {
	.write = term_write,
	.set_client = term_set_client,
	.input_ready = term_input_ready,
};

static size_t no_room(void *opaque)
{
	return 0;
}

static bool asleep(void *opaque)
{
	return vm_is_asleep(opaque);
}

static void wake(void *opaque)
{
	vm_wake(opaque);
}

static void set_level(void *opaque, u32 gsi, bool level) {}
static const struct irq_chip_ops chip_ops = { .set_level = set_level };

static int setup(void **state)
{
	const struct console_client client = { .room = no_room };
	struct console_sleeper sleeper = { .asleep = asleep, .wake = wake };

	r = calloc(1, sizeof(*r));
	if (vm_init(&r->vm, &r->cfg) || irq_init(&r->vm.irqs, &chip_ops, NULL))
		return -1;
	r->ram = aligned_alloc(4 * KiB, RAM_SIZE);
	memset(r->ram, 0, RAM_SIZE);
	assert_int_equal(memory_add_borrowed(&r->vm.mem, RAM, RAM_SIZE, r->ram, MEM_RAM, "ram"), 0);
	r->vm.arch = &r->arch;
	r->vcpu = (struct vcpu){ .vm = &r->vm, .run = &r->run, .arch = &r->arch_vcpu };
	r->list[0] = &r->vcpu;
	r->vm.vcpus = r->list;
	r->vm.nr_vcpus = 1;
	r->terminal.ops = &term_ops;
	sleeper.opaque = &r->vm;
	console_firmware_init(&r->console, &r->terminal, &sleeper);
	r->console.con.ops->set_client(&r->console.con, &client);
	r->vm.firmware_console = &r->console;
	return 0;
}

static int teardown(void **state)
{
	r->vm.nr_vcpus = 0;
	r->vm.vcpus = NULL;
	vm_destroy(&r->vm);
	free(r->ram);
	free(r);
	return 0;
}

static unsigned long ret(int i)
{
	return r->run.riscv_sbi.ret[i];
}

static s64 call(unsigned long id, unsigned long function, unsigned long a0, unsigned long a1,
		unsigned long a2)
{
	const unsigned long args[6] = { a0, a1, a2, 4, 5, 6 };

	r->run.exit_reason = KVM_EXIT_RISCV_SBI;
	r->run.riscv_sbi.extension_id = id;
	r->run.riscv_sbi.function_id = function;
	memcpy(r->run.riscv_sbi.args, args, sizeof(args));
	/* As KVM leaves it. */
	r->run.riscv_sbi.ret[0] = (unsigned long)-2;
	r->run.riscv_sbi.ret[1] = 0;
	assert_int_equal(arch_vcpu_exit(&r->vcpu), 0);
	return (s64)ret(0);
}

/* The terminal as somebody types; returns how much of it was taken. */
static size_t type(const char *text)
{
	size_t done = 0;

	while (text[done]) {
		size_t room = r->client.room(r->client.opaque);

		if (!room)
			break;
		room = MIN(room, strlen(text + done));
		r->client.input(r->client.opaque, (const u8 *)text + done, room);
		done += room;
	}
	return done;
}

static void test_write(void **state)
{
	strcpy((char *)r->ram + 0x100, "Hello");
	assert_int_equal(call(DBCN, 0, 5, RAM + 0x100, 0), 0);
	assert_int_equal(ret(1), 5);
	assert_string_equal(r->out, "Hello");
	/* Nothing is something that can be written. */
	assert_int_equal(call(DBCN, 0, 0, RAM, 0), 0);
	assert_int_equal(ret(1), 0);
	/* To the last byte. */
	r->ram[RAM_SIZE - 1] = '!';
	assert_int_equal(call(DBCN, 0, 1, RAM + RAM_SIZE - 1, 0), 0);
	assert_int_equal(ret(1), 1);
	assert_string_equal(r->out, "Hello!");
}

/* A part of it, and the caller goes on from there. */
static void test_write_much(void **state)
{
	unsigned long done = 0, calls = 0;

	for (u32 i = 0; i < 5000; i++)
		r->ram[i] = (u8)('a' + i % 26);
	while (done < 5000) {
		assert_int_equal(call(DBCN, 0, 5000 - done, RAM + done, 0), 0);
		assert_in_range(ret(1), 1, 5000 - done);
		done += ret(1);
		calls++;
	}
	assert_int_equal(r->nr_out, 5000);
	assert_memory_equal(r->out, r->ram, 5000);
	assert_in_range(calls, 2, 20);
	/* All of it has to be there. */
	call(DBCN, 0, RAM_SIZE + 1, RAM, 0);
	assert_true(FAILED(-3, 0));
}

static const unsigned long bad_buffers[][3] = {
	{ 1, 0, 0 },
	{ 1, RAM - 1, 0 },
	{ 2, RAM - 1, 0 },
	{ 1, RAM + RAM_SIZE, 0 },
	{ 2, RAM + RAM_SIZE - 1, 0 },
	{ 1, ~0UL, 0 },
	{ ~0UL, RAM, 0 },
	{ ~0UL, ~0UL, 0 },
	{ 0UL - RAM, RAM, 0 },
	{ 0UL - RAM + 1, RAM, 0 },
	{ 1UL << 63, 1UL << 63, 0 },
	{ RAM_SIZE, RAM + 1, 0 },
	/* What is above the address counts. */
	{ 1, RAM, 1 },
	{ 0, RAM, 1 },
	{ 1, RAM, ~0UL },
};

static void test_bad_buffers(void **state)
{
	call(DBCN, 1, 4, RAM, 0);
	assert_int_equal(type("key"), 3);
	for (size_t i = 0; i < ARRAY_SIZE(bad_buffers); i++)
		for (unsigned long function = 0; function < 2; function++) {
			call(DBCN, function, bad_buffers[i][0], bad_buffers[i][1],
			     bad_buffers[i][2]);
			if (!FAILED(-3, 0))
				fail_msg("buffer %zu, function %lu: %ld, %lu", i, function,
					 (long)ret(0), ret(1));
		}
	assert_int_equal(r->nr_out, 0);
	for (u32 i = 0; i < RAM_SIZE; i++)
		assert_int_equal(r->ram[i], 0);
	/* No key was lost in it. */
	assert_int_equal(call(DBCN, 1, 9, RAM, 0), 0);
	assert_int_equal(ret(1), 3);
	assert_memory_equal(r->ram, "key", 4);
}

static void test_read(void **state)
{
	assert_int_equal(call(DBCN, 1, 16, RAM + 8, 0), 0);
	assert_int_equal(ret(1), 0);
	assert_int_equal(type("ab"), 2);
	assert_int_equal(call(DBCN, 1, 0, RAM + 8, 0), 0);
	assert_int_equal(ret(1), 0);
	assert_int_equal(call(DBCN, 1, 1, RAM + 8, 0), 0);
	assert_int_equal(ret(1), 1);
	assert_memory_equal(r->ram + 8, "a\0", 2);
	assert_int_equal(call(DBCN, 1, RAM_SIZE, RAM, 0), 0);
	assert_int_equal(ret(1), 1);
	assert_int_equal(r->ram[0], 'b');
	/* No more than was asked for in vain is taken from the terminal. */
	assert_int_equal(type("c"), 1);
	assert_int_equal(call(DBCN, 1, 1, RAM, 0), 0);
	assert_int_equal(ret(1), 1);
	assert_int_equal(call(DBCN, 1, 1, RAM, 0), 0);
	assert_int_equal(ret(1), 0);
}

static void test_write_byte(void **state)
{
	assert_int_equal(call(DBCN, 2, 0xffffffffffffff41, 7, 7), 0);
	assert_int_equal(ret(1), 0);
	assert_string_equal(r->out, "A");
}

static void test_legacy(void **state)
{
	assert_int_equal(call(1, 9, 'B', 77, 0), 0);
	assert_string_equal(r->out, "B");
	/* Only a0 is an answer. */
	assert_int_equal(ret(1), 77);
	assert_int_equal(call(2, 0, 0, 78, 0), -1);
	assert_int_equal(ret(1), 78);
	assert_int_equal(type("\xff"), 1);
	assert_int_equal(call(2, 0, 0, 0, 0), 0xff);
	assert_int_equal(call(2, 0, 0, 0, 0), -1);
}

static void test_without_console(void **state)
{
	r->vm.firmware_console = NULL;
	assert_int_equal(call(DBCN, 0, 5, RAM, 0), 0);
	assert_int_equal(ret(1), 5);
	assert_int_equal(call(DBCN, 1, 5, RAM, 0), 0);
	assert_int_equal(ret(1), 0);
	assert_int_equal(call(DBCN, 2, 'x', 0, 0), 0);
	assert_int_equal(call(2, 0, 0, 0, 0), -1);
	assert_int_equal(r->nr_out, 0);
}

static void test_unknown(void **state)
{
	/* Experimental, vendor's, MPXY, two that are KVM's, one beyond all. */
	static const unsigned long ids[] = { 0x08000000, 0x09000000, 0x4d505859, 0x10,
					     0x54494d45, ~0UL,	     0,		 DBCN | 1UL << 32 };

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		call(ids[i], 0, 1, RAM, 0);
		assert_int_equal((s64)ret(0), -2);
	}
	for (unsigned long function = 3; function; function <<= 1) {
		call(DBCN, function, 1, RAM, 0);
		assert_true(FAILED(-2, 0));
		call(SUSP, function, 0, RAM, 0);
		assert_true(FAILED(-2, 0));
	}
	call(DBCN, 1UL << 32, 1, RAM, 0);
	assert_true(FAILED(-2, 0));
	assert_false(vm_is_asleep(&r->vm));
	assert_int_equal(r->nr_out, 0);
}

static void test_suspend(void **state)
{
	assert_int_equal(call(SUSP, 0, 0, RAM + 0x1000, 42), 0);
	assert_true(vm_is_asleep(&r->vm));
	assert_true(r->arch_vcpu.resume_pc == RAM + 0x1000);
	assert_int_equal(r->arch_vcpu.resume_opaque, 42);
	/* Its exit is to be completed, without entering the guest. */
	assert_int_equal(r->run.immediate_exit, 1);
	/* Where the serial port had no room for keys, nobody would ask for one. */
	assert_int_equal(r->asked, 1);
	assert_int_equal(type("ab"), 1);
	assert_false(vm_is_asleep(&r->vm));
}

/* An alarm that rings already wakes it at once; one that does not, lets it sleep. */
static void test_suspend_and_alarm(void **state)
{
	static const u32 words[][2] = { { 0x0c, 0 }, { 0x08, 1 }, { 0x10, 1 } };
	const struct arch_place place = { .base = 0x1000, .size = 0x1000, .gsi = 2 };

	assert_int_equal(goldfish_rtc_create(&r->vm, &place, &r->arch.rtc), 0);
	call(SUSP, 0, 0, RAM, 0);
	assert_true(vm_is_asleep(&r->vm));
	vm_wake(&r->vm);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		bus_write(&r->vm.mmio, 0x1000 + words[i][0], &words[i][1], 4);
	call(SUSP, 0, 0, RAM, 0);
	assert_false(vm_is_asleep(&r->vm));
}

/* SRST has been to KVM; the reason is what makes a difference. */
static void test_reasons(void **state)
{
	r->run.exit_reason = KVM_EXIT_SYSTEM_EVENT;
	r->run.system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
	r->run.system_event.ndata = 1;
	assert_int_equal(arch_vcpu_exit(&r->vcpu), -ENOTSUP);
	r->run.system_event.data[0] = 0xe0000001;
	assert_int_equal(arch_vcpu_exit(&r->vcpu), -ENOTSUP);
	r->run.system_event.data[0] = 1;
	r->run.system_event.ndata = 0;
	assert_int_equal(arch_vcpu_exit(&r->vcpu), -ENOTSUP);
	r->run.system_event.ndata = 1;
	r->run.system_event.type = KVM_SYSTEM_EVENT_RESET;
	assert_int_equal(arch_vcpu_exit(&r->vcpu), -ENOTSUP);
	assert_int_equal(r->vm.stop, VM_STOP_NONE);
	r->run.system_event.type = KVM_SYSTEM_EVENT_SHUTDOWN;
	assert_int_equal(arch_vcpu_exit(&r->vcpu), 0);
	assert_int_equal(r->vm.stop, VM_STOP_PANIC);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_write),	 T(test_write_much),	    T(test_bad_buffers),
		T(test_read),	 T(test_write_byte),	    T(test_legacy),
		T(test_unknown), T(test_without_console),   T(test_suspend),
		T(test_reasons), T(test_suspend_and_alarm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
