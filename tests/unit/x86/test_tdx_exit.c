/* SPDX-License-Identifier: MIT */
/* x86/tdx-exit.c: what a trust domain asks of its VMM, and its last words. */
#include "capture.h"
#include "devvm.h"

#include <stdlib.h>

#include "../../../x86/tdx.h"
#include "../../../x86/x86.h"
#include "lkvm/coco.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"

static struct devvm d;
static struct vcpu vcpu;
static struct kvm_run run;
static struct x86_tdx tdx;

static int setup(void **state)
{
	devvm_init(&d);
	memset(&run, 0, sizeof(run));
	memset(&tdx, 0, sizeof(tdx));
	d.cfg.x86.tdx.on = true;
	d.vm.arch = xcalloc(1, sizeof(*d.vm.arch));
	d.vm.arch->tdx = &tdx;
	d.vm.coco = x86_tdx_ops(&d.cfg);
	vcpu = (struct vcpu){ .vm = &d.vm, .id = 3, .fd = -1, .run = &run };
	assert_int_equal(
		memory_add(&d.vm.mem,
			   &(struct memory_desc){ .gpa = 0x10000, .size = 0x10000, .name = "ram" }),
		0);
	return 0;
}

static int teardown(void **state)
{
	free(d.vm.arch);
	d.vm.arch = NULL;
	d.vm.coco = NULL;
	vm_destroy(&d.vm);
	return 0;
}

static struct lkvm_exit_tdx *call(u64 nr)
{
	struct lkvm_exit_tdx *c = (void *)&run.hw;

	run.exit_reason = KVM_EXIT_TDX;
	memset(c, 0, sizeof(*c));
	c->nr = nr;
	c->ret = 0x1234;
	return c;
}

/* Where KVM's structure has the fields (abi of Linux 7.3, kvm_run.tdx). */
static void test_offsets(void **state)
{
	const struct lkvm_exit_tdx *c = (const void *)&run.hw;
	const u8 *base = (const u8 *)&run;

	assert_int_equal((const u8 *)&c->flags - base, 32);
	assert_int_equal((const u8 *)&c->nr - base, 40);
	assert_int_equal((const u8 *)&c->ret - base, 48);
	assert_int_equal((const u8 *)&c->get_quote.gpa - base, 56);
	assert_int_equal((const u8 *)&c->get_quote.size - base, 64);
	assert_int_equal((const u8 *)&c->get_info.leaf - base, 56);
	assert_int_equal((const u8 *)&c->get_info.r11 - base, 64);
	assert_int_equal((const u8 *)&c->setup_event_notify.vector - base, 56);
}

static void test_info(void **state)
{
	struct lkvm_exit_tdx *c = call(LKVM_TDVMCALL_GET_INFO);

	tdx.user_info = LKVM_TDVMCALL_INFO_EVENT_NOTIFY | BIT_ULL(0);
	c->get_info.leaf = 1;
	assert_int_equal(x86_tdx_exit(&vcpu), 0);
	assert_int_equal(c->ret, LKVM_TDVMCALL_SUCCESS);
	assert_int_equal(c->get_info.r11, 0); /* without a service: nothing */
	tdx.quotes = (void *)&tdx;
	assert_int_equal(x86_tdx_exit(&vcpu), 0);
	assert_int_equal(c->get_info.r11, LKVM_TDVMCALL_INFO_EVENT_NOTIFY);
	tdx.user_info = 0;
	assert_int_equal(x86_tdx_exit(&vcpu), 0);
	assert_int_equal(c->get_info.r11, 0);
	c->get_info.leaf = 2;
	assert_int_equal(x86_tdx_exit(&vcpu), 0);
	assert_int_equal(c->ret, LKVM_TDVMCALL_INVALID_OPERAND);
}

static void test_no_service(void **state)
{
	static const u64 calls[] = { LKVM_TDVMCALL_GET_QUOTE, LKVM_TDVMCALL_SETUP_EVENT_NOTIFY,
				     0x10001, 0x20000, ~0ULL };

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		struct lkvm_exit_tdx *c = call(calls[i]);

		assert_int_equal(x86_tdx_exit(&vcpu), 0);
		assert_int_equal(c->ret, LKVM_TDVMCALL_UNSUPPORTED);
	}
}

static void test_others(void **state)
{
	run.exit_reason = KVM_EXIT_HLT;
	assert_int_equal(x86_tdx_exit(&vcpu), -ENOTSUP);
	run.exit_reason = KVM_EXIT_SYSTEM_EVENT;
	run.system_event.type = KVM_SYSTEM_EVENT_TDX_FATAL;
	run.system_event.ndata = 3;
	assert_int_equal(x86_tdx_exit(&vcpu), -ENOTSUP);
	run.system_event.ndata = 16;
	run.system_event.type = KVM_SYSTEM_EVENT_WAKEUP;
	assert_int_equal(x86_tdx_exit(&vcpu), -ENOTSUP);
	/* A hypercall and a fault are coco.c's: there is no private memory here. */
	capture_begin();
	run.exit_reason = KVM_EXIT_HYPERCALL;
	run.hypercall.nr = 12;
	run.hypercall.args[0] = 0x10000;
	run.hypercall.args[1] = 1;
	assert_int_equal(x86_tdx_exit(&vcpu), 0);
	assert_int_equal(run.hypercall.ret, EINVAL);
	run.exit_reason = KVM_EXIT_MEMORY_FAULT;
	assert_int_equal(x86_tdx_exit(&vcpu), -ENOTSUP);
	capture_end();
}

/* R14, R15, RBX, RDI, RSI, R8, R9, RDX in KVM's numbers. */
static const u8 order[8] = { 14, 15, 3, 7, 6, 8, 9, 2 };

static const char *last_words(const char *text, u64 r12, u64 r13)
{
	__u64 *data = (void *)run.system_event.data;
	u8 words[64] = { 0 };
	s32 who;

	memcpy(words, text, MIN(strlen(text), sizeof(words)));
	memset(data, 0xff, 16 * sizeof(*data));
	for (int i = 0; i < 8; i++)
		data[order[i]] = get_le(words + 8 * (size_t)i, 8);
	data[12] = r12;
	data[13] = r13;
	run.exit_reason = KVM_EXIT_SYSTEM_EVENT;
	run.system_event.type = KVM_SYSTEM_EVENT_TDX_FATAL;
	run.system_event.ndata = 16;
	capture_begin();
	assert_int_equal(x86_tdx_exit(&vcpu), 0);
	capture_end();
	assert_one_line(captured);
	assert_int_equal(vm_stop_reason(&d.vm, NULL, &who), VM_STOP_TERMINATED);
	assert_int_equal(who, 3);
	return captured;
}

static void test_fatal(void **state)
{
	static const char full[] =
		"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.,";

	assert_contains(last_words("TD misconfiguration: SEPT_VE_DISABLE", 0, 0),
			"vcpu 3: the trust domain ends: error 0x0: TD misconfiguration: "
			"SEPT_VE_DISABLE\n");
	assert_contains(last_words(full, 0x123, 0), full);
	assert_contains(captured, "error 0x123: ");
	/* Without words, and with some that are for nobody's terminal. */
	assert_contains(last_words("", 7, 0), "ends: error 0x7\n");
	assert_contains(last_words("a\033[2J\nb\x80", 7, 0), ": a.[2J.b.\n");
}

static void test_fatal_page(void **state)
{
	u8 page[300];

	memset(page, 'x', sizeof(page));
	memcpy(page, " and more", 9);
	page[9] = '\0';
	assert_int_equal(memory_write(&d.vm.mem, 0x11000, page, sizeof(page)), 0);
	/* With the bit by which it is shared, and without. */
	assert_contains(last_words("some", BIT_ULL(63) | 5, 0x11000 | BIT_ULL(47)),
			"error 0x5: some and more\n");
	assert_contains(last_words("some", BIT_ULL(63) | 5, 0x11000), "some and more\n");
	assert_contains(last_words("some", 5, 0x11000), ": some\n");
	/* Nothing there; it reaches beyond; without an end. */
	assert_contains(last_words("some", BIT_ULL(63), 0x20000), ": some\n");
	assert_contains(last_words("some", BIT_ULL(63), ~0ULL), ": some\n");
	memset(page, 'x', sizeof(page));
	assert_int_equal(memory_write(&d.vm.mem, 0x11000, page, sizeof(page)), 0);
	last_words("", BIT_ULL(63), 0x11000);
	assert_true(strlen(captured) < 350);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_offsets, setup, teardown),
		cmocka_unit_test_setup_teardown(test_info, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_service, setup, teardown),
		cmocka_unit_test_setup_teardown(test_others, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fatal, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fatal_page, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
