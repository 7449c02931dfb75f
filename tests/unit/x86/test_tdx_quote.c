/* SPDX-License-Identifier: MIT */
/* x86/tdx-quote.c: a guest as its driver uses it and as a hostile one does, and a service that
 * answers well, badly, slowly or not. One thread plays all; the clock is the test's. */
#include "capture.h"
#include "devvm.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../../x86/tdx-quote.h"
#include "../../../x86/tdx.h"
#include "../../../x86/x86.h"
#include "folder.h"
#include "lkvm/unix.h"
#include "lkvm/util.h"
#include "lkvm/vcpu.h"

#define BUF	  0x10000ULL
#define SIZE	  0x4000ULL
#define IN_FLIGHT 0xffffffffffffffffULL
#define ERROR	  0x8000000000000000ULL
#define NO_SERVER 0x8000000000000001ULL

static struct devvm d;
static struct vcpu vcpu;
static struct x86_tdx tdx;
static struct x86_tdx_quotes *q;
static struct unix_listener service;
static char folder[64], path[128], option[160];
static u64 clock_ns;
static struct {
	u64 addr;
	u32 data, count;
} msi;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	ts->tv_sec = (time_t)(clock_ns / 1000000000);
	ts->tv_nsec = (long)(clock_ns % 1000000000);
	return 0;
}

static void send_msi(void *opaque, u64 addr, u32 data, u32 devid)
{
	msi.addr = addr;
	msi.data = data;
	msi.count++;
}

static const struct irq_chip_ops chip = { .set_level = devvm_set_level, .send_msi = send_msi };

static int setup(void **state)
{
	devvm_init(&d);
	d.vm.irqs.ops = &chip;
	memset(&msi, 0, sizeof(msi));
	memset(&tdx, 0, sizeof(tdx));
	snprintf(folder, sizeof(folder), "/tmp/lkvm-quote-XXXXXX");
	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/qgs", folder);
	snprintf(option, sizeof(option), "unix:%s", path);
	assert_int_equal(unix_listen(&service, path, "test"), 0);
	d.cfg.cpus = 512;
	d.cfg.x86.tdx.on = true;
	d.cfg.x86.tdx.quote = option;
	d.vm.arch = xcalloc(1, sizeof(*d.vm.arch));
	d.vm.arch->tdx = &tdx;
	d.vm.arch->topology = x86_topology_of(&d.cfg);
	vcpu = (struct vcpu){ .vm = &d.vm, .id = 0x123, .fd = -1 };
	assert_int_equal(
		memory_add(&d.vm.mem,
			   &(struct memory_desc){ .gpa = BUF, .size = 0x100000, .name = "ram" }),
		0);
	assert_int_equal(x86_tdx_quote_create(&d.vm, &q), 0);
	assert_non_null(q);
	tdx.quotes = q;
	return 0;
}

static int teardown(void **state)
{
	vm_destroy_devices(&d.vm);
	assert_null(tdx.quotes);
	unix_listener_close(&service);
	free(d.vm.arch);
	d.vm.arch = NULL;
	vm_destroy(&d.vm);
	return remove_folder(folder);
}

/* The guest */

static u8 *ram(u64 gpa)
{
	u8 *p = memory_ptr(&d.vm.mem, gpa, 1);

	assert_non_null(p);
	return p;
}

static void set_header(u64 gpa, u64 version, u32 in_len)
{
	put_le(ram(gpa), 8, version);
	put_le(ram(gpa) + 8, 8, 0);
	put_le(ram(gpa) + 16, 4, in_len);
	put_le(ram(gpa) + 20, 4, 77);
}

static u64 status(u64 gpa)
{
	return get_le(ram(gpa) + 8, 8);
}

static u32 out_len(u64 gpa)
{
	return (u32)get_le(ram(gpa) + 20, 4);
}

static void ask_report(u64 gpa)
{
	set_header(gpa, 1, 1024);
	for (u32 i = 0; i < 1024; i++)
		ram(gpa)[24 + i] = (u8)(i * 3);
	assert_int_equal(x86_tdx_quote(q, gpa, SIZE), LKVM_TDVMCALL_SUCCESS);
	assert_int_equal(status(gpa), IN_FLIGHT);
	assert_int_equal(out_len(gpa), 0);
}

static void work(void)
{
	while (event_loop_drain(&d.vm.loop))
		;
}

/* The service */

static int accept_one(void)
{
	int fd;

	work();
	fd = unix_accept(service.fd);
	assert_true(fd >= 0);
	return fd;
}

static u8 got[2048];

static u32 receive(int fd)
{
	ssize_t n;

	work();
	n = recv(fd, got, sizeof(got), 0);
	assert_true(n > 0);
	return (u32)n;
}

static void answer(int fd, const void *bytes, size_t len)
{
	assert_int_equal(send(fd, bytes, len, MSG_NOSIGNAL), (ssize_t)len);
	work();
}

static u8 reply[0x30000];

/* As Intel's has it; returns its length. */
static u32 make_reply(u32 type, u32 error, u32 id_len, u32 quote_len)
{
	u32 len = 24 + id_len + quote_len;

	memset(reply, 0, sizeof(reply));
	reply[0] = (u8)(len >> 24);
	reply[1] = (u8)(len >> 16);
	reply[2] = (u8)(len >> 8);
	reply[3] = (u8)len;
	put_le(reply + 4, 2, 1);
	put_le(reply + 8, 4, type);
	put_le(reply + 12, 4, len);
	put_le(reply + 16, 4, error);
	put_le(reply + 20, 4, id_len);
	put_le(reply + 24, 4, quote_len);
	for (u32 i = 0; i < quote_len; i++)
		reply[28 + id_len + i] = (u8)(i * 5 + 1);
	return len + 4;
}

static void assert_quote(u64 gpa, u32 len)
{
	assert_int_equal(status(gpa), 0);
	assert_int_equal(out_len(gpa), len);
	for (u32 i = 0; i < len; i++)
		assert_int_equal(ram(gpa)[24 + i], (u8)(i * 5 + 1));
}

static void test_report(void **state)
{
	int fd;

	ask_report(BUF);
	fd = accept_one();
	assert_int_equal(receive(fd), 4 + 24 + 1024);
	assert_memory_equal(got, "\0\0\4\x18\1\0\1\0\0\0\0\0\x18\4\0\0\0\0\0\0\0\4\0\0\0\0\0\0",
			    28);
	for (u32 i = 0; i < 1024; i++)
		assert_int_equal(got[28 + i], (u8)(i * 3));
	assert_int_equal(status(BUF), IN_FLIGHT);
	answer(fd, reply, make_reply(1, 0, 16, 5000));
	assert_quote(BUF, 5000);
	assert_int_equal(msi.count, 0);
	close(fd);
}

/* Byte by byte, several at once, and the last is the first that has its quote. */
static void test_pieces(void **state)
{
	int a, b;
	u32 len;

	ask_report(BUF);
	a = accept_one();
	receive(a);
	ask_report(BUF + SIZE);
	b = accept_one();
	receive(b);
	answer(b, reply, make_reply(1, 0, 0, 10));
	assert_quote(BUF + SIZE, 10);
	len = make_reply(1, 0, 3, 70);
	for (u32 i = 0; i < len; i++) {
		assert_int_equal(status(BUF), IN_FLIGHT);
		answer(a, reply + i, 1);
	}
	assert_quote(BUF, 70);
	close(a);
	close(b);
}

/* A guest that speaks the service's language gets its answer as it is. */
static void test_own_message(void **state)
{
	u32 len;
	int fd;

	set_header(BUF, 1, 8);
	memcpy(ram(BUF) + 24, "\0\0\0\4abcd", 8);
	assert_int_equal(x86_tdx_quote(q, BUF, SIZE), LKVM_TDVMCALL_SUCCESS);
	fd = accept_one();
	assert_int_equal(receive(fd), 8);
	assert_memory_equal(got, "\0\0\0\4abcd", 8);
	len = make_reply(3, 1, 0, 100);
	answer(fd, reply, len);
	assert_int_equal(status(BUF), 0);
	assert_int_equal(out_len(BUF), len);
	assert_memory_equal(ram(BUF) + 24, reply, len);
	close(fd);
}

static void test_notify(void **state)
{
	int fd;

	assert_int_equal(x86_tdx_quote_notify(q, &vcpu, 31), LKVM_TDVMCALL_INVALID_OPERAND);
	assert_int_equal(x86_tdx_quote_notify(q, &vcpu, 256), LKVM_TDVMCALL_INVALID_OPERAND);
	assert_int_equal(x86_tdx_quote_notify(q, &vcpu, ~0ULL), LKVM_TDVMCALL_INVALID_OPERAND);
	assert_int_equal(x86_tdx_quote_notify(q, &vcpu, 0xe1), LKVM_TDVMCALL_SUCCESS);
	ask_report(BUF);
	fd = accept_one();
	receive(fd);
	assert_int_equal(msi.count, 0);
	answer(fd, reply, make_reply(1, 0, 0, 10));
	assert_int_equal(msi.count, 1);
	assert_int_equal(msi.data, 0xe1);
	/* APIC id 0x123: bits 7:0, and 14:8 where KVM_FEATURE_MSI_EXT_DEST_ID has them. */
	assert_int_equal(msi.addr, 0xfee23000 | 1 << 5);
	close(fd);
}

/* Each refusal leaves the guest's memory alone. */
static void test_hostile(void **state)
{
	static const struct {
		u64 gpa, size, ret;
	} calls[] = {
		{ BUF + 1, SIZE, LKVM_TDVMCALL_ALIGN_ERROR },
		{ BUF, SIZE + 1, LKVM_TDVMCALL_ALIGN_ERROR },
		{ BUF, 0, LKVM_TDVMCALL_INVALID_OPERAND },
		{ BUF, 0x21000, LKVM_TDVMCALL_INVALID_OPERAND },
		{ BUF, 0xfffffffffffff000, LKVM_TDVMCALL_INVALID_OPERAND },
		{ 0xfffffffffffff000, 0x1000, LKVM_TDVMCALL_INVALID_OPERAND },
		{ 0xfffffffffffff000, 0x2000, LKVM_TDVMCALL_INVALID_OPERAND },
		{ 0, SIZE, LKVM_TDVMCALL_INVALID_OPERAND },
		{ BUF + 0xff000, 0x2000, LKVM_TDVMCALL_INVALID_OPERAND },
		{ BUF - 0x1000, SIZE, LKVM_TDVMCALL_INVALID_OPERAND },
	};
	static const struct {
		u64 version;
		u32 in_len;
	} headers[] = { { 0, 1024 }, { 2, 1024 },	    { 1ULL << 32 | 1, 1024 },
			{ 1, 0 },    { 1, (u32)SIZE - 23 }, { 1, 0xffffffff } };

	set_header(BUF, 1, 1024);
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		assert_int_equal(x86_tdx_quote(q, calls[i].gpa, calls[i].size), calls[i].ret);
	for (size_t i = 0; i < ARRAY_SIZE(headers); i++) {
		set_header(BUF, headers[i].version, headers[i].in_len);
		assert_int_equal(x86_tdx_quote(q, BUF, SIZE), LKVM_TDVMCALL_INVALID_OPERAND);
		assert_int_equal(status(BUF), 0);
		assert_int_equal(out_len(BUF), 77);
	}
	work();
	assert_int_equal(unix_accept(service.fd), -EAGAIN);
	/* As much as fits. */
	set_header(BUF, 1, (u32)SIZE - 24);
	assert_int_equal(x86_tdx_quote(q, BUF, SIZE), LKVM_TDVMCALL_SUCCESS);
}

static void test_many(void **state)
{
	for (u32 i = 0; i < 16; i++)
		ask_report(BUF + i * SIZE);
	set_header(BUF + 16 * SIZE, 1, 1024);
	assert_int_equal(x86_tdx_quote(q, BUF + 16 * SIZE, SIZE), LKVM_TDVMCALL_RETRY);
	work();
	assert_int_equal(x86_tdx_quote(q, BUF + 16 * SIZE, SIZE), LKVM_TDVMCALL_RETRY);
	/* One has its answer: there is room again. */
	close(accept_one());
	capture_begin();
	work();
	capture_end();
	ask_report(BUF + 16 * SIZE);
}

static void assert_fails(const void *bytes, size_t len, const char *part)
{
	int fd;

	ask_report(BUF);
	fd = accept_one();
	receive(fd);
	capture_begin();
	if (len)
		answer(fd, bytes, len);
	close(fd);
	work();
	capture_end();
	assert_int_equal(status(BUF), ERROR);
	assert_int_equal(out_len(BUF), 0);
	if (part) {
		assert_one_line(captured);
		assert_contains(captured, part);
	}
}

static void test_bad_answers(void **state)
{
	u32 len = make_reply(1, 0, 0, 10);

	/* What guests can provoke is not said for ever: not each is looked at. */
	assert_fails(reply, 0, "ends the connection");
	assert_fails(reply, len - 1, "ends the connection");
	assert_fails("\0\0\0\0", 4, "too long");
	assert_fails("\xff\xff\xff\xff", 4, "too long");
	assert_fails("\0\2\0\0", 4, NULL);
	assert_fails(reply, make_reply(0, 0, 0, 10), NULL);
	assert_fails(reply, make_reply(1, 3, 0, 10), NULL);
	assert_fails(reply, make_reply(1, 0, 0, 0), NULL);
	assert_fails(reply, make_reply(1, 0, 0, (u32)SIZE - 23), NULL);
	len = make_reply(1, 0, 16, 10);
	put_le(reply + 20, 4, 0xfffffff0);
	assert_fails(reply, len, NULL);
	len = make_reply(1, 0, 16, 10);
	put_le(reply + 24, 4, 11);
	assert_fails(reply, len, NULL);
	len = make_reply(1, 0, 16, 10);
	put_le(reply + 12, 4, len);
	assert_fails(reply, len, NULL);
	len = make_reply(1, 0, 16, 10);
	reply[4] = 2;
	assert_fails(reply, len, NULL);
	assert_fails("\0\0\0\5hello", 9, NULL);
}

static void test_silence(void **state)
{
	int fd;

	ask_report(BUF);
	fd = accept_one();
	receive(fd);
	clock_ns += 59000000000ULL;
	work();
	assert_int_equal(status(BUF), IN_FLIGHT);
	clock_ns += 2000000000ULL;
	capture_begin();
	work();
	capture_end();
	assert_int_equal(status(BUF), ERROR);
	close(fd);
}

static void test_nobody(void **state)
{
	unix_listener_close(&service);
	ask_report(BUF);
	capture_begin();
	work();
	capture_end();
	assert_int_equal(status(BUF), NO_SERVER);
}

/* A paused guest's memory stays as it is; what came meanwhile comes then. */
static void test_paused(void **state)
{
	int fd;

	ask_report(BUF);
	fd = accept_one();
	receive(fd);
	vm_quiesce_devices(&d.vm);
	answer(fd, reply, make_reply(1, 0, 0, 10));
	assert_int_equal(status(BUF), IN_FLIGHT);
	vm_resume_devices(&d.vm);
	assert_quote(BUF, 10);
	close(fd);
}

/* A reset forgets all, at any moment. */
static void test_reset(void **state)
{
	int fd;

	assert_int_equal(x86_tdx_quote_notify(q, &vcpu, 0xe1), LKVM_TDVMCALL_SUCCESS);
	ask_report(BUF);
	vm_reset_devices(&d.vm);
	work();
	assert_int_equal(unix_accept(service.fd), -EAGAIN);
	ask_report(BUF);
	fd = accept_one();
	receive(fd);
	vm_reset_devices(&d.vm);
	assert_int_equal(recv(fd, got, 1, 0), 0);
	work();
	assert_int_equal(status(BUF), IN_FLIGHT);
	assert_int_equal(msi.count, 0);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_report, setup, teardown),
		cmocka_unit_test_setup_teardown(test_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_own_message, setup, teardown),
		cmocka_unit_test_setup_teardown(test_notify, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hostile, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silence, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nobody, setup, teardown),
		cmocka_unit_test_setup_teardown(test_paused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reset, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
