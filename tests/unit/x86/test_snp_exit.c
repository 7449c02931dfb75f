/* SPDX-License-Identifier: MIT */
/* x86/snp-exit.c and snp-certs.c: what an SNP guest asks, the hostile kind of it, too. */
#include "fake_sev.h"

#include <fcntl.h>
#include <linux/kvm_para.h>
#include <sys/mman.h>
#include <unistd.h>

#define SHARED	0x100000ULL
#define PRIVATE 0x200000ULL
#define PAGE	4096ULL

static u8 table[PAGE * 2 + 100];
static int other_fd; /* the same file, opened by somebody else */

static struct lkvm_exit_snp_req_certs *request(void)
{
	return (void *)&run.hw;
}

static int open_again(int fd)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, O_RDWR);
}

/* Two certificates behind a table of three entries. */
static u64 make_table(void)
{
	u64 len = PAGE * 2 + 100;

	memset(table, 0x5a, sizeof(table));
	memset(table, 0, 72);
	table[0] = 1;
	put_le(table + 16, 4, 72);
	put_le(table + 20, 4, 100);
	table[24] = 2;
	put_le(table + 40, 4, 172);
	put_le(table + 44, 4, len - 172);
	return len;
}

static int setup(void **state)
{
	int fd = memfd_create("private", MFD_CLOEXEC);

	fake_setup(state);
	memory_destroy(&vm.mem);
	assert_int_equal(vm_init(&vm, &cfg), 0);
	vm.arch = &arch;
	vm.coco_opened = &files;
	vm.kvm.vm_fd = VM_FD;
	atomic_store(&vm.running, true);
	assert_int_equal(x86_snp_init(&vm), 0);
	assert_int_equal(ftruncate(fd, PAGE), 0);
	assert_int_equal(memory_add(&vm.mem, &(struct memory_desc){ .gpa = SHARED,
								    .size = 16 * PAGE,
								    .name = "shared" }),
			 0);
	assert_int_equal(memory_add(&vm.mem, &(struct memory_desc){ .gpa = PRIVATE,
								    .size = PAGE,
								    .private = true,
								    .private_fd = fd,
								    .name = "private" }),
			 0);
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	if (files.certs_fd >= 0)
		close(files.certs_fd);
	if (other_fd > 0)
		close(other_fd);
	other_fd = 0;
	x86_snp_ops(&cfg)->destroy(&vm);
	free(arch.cpuid);
	vm.kvm.vm_fd = -1;
	vm_destroy(&vm);
	return 0;
}

/* --snp-certs, of @len bytes of the table. */
static void give_file(u64 len)
{
	files.certs_fd = memfd_create("certs", MFD_CLOEXEC);
	assert_int_equal(pwrite(files.certs_fd, table, len, 0), (ssize_t)len);
	other_fd = open_again(files.certs_fd);
	assert_true(other_fd >= 0);
}

static u64 ask(u64 gpa, u64 npages)
{
	*request() = (struct lkvm_exit_snp_req_certs){ .gpa = gpa, .npages = npages, .ret = 77 };
	run.exit_reason = KVM_EXIT_SNP_REQ_CERTS;
	capture_begin();
	assert_int_equal(x86_snp_exit(&vcpu), 0);
	capture_end();
	assert_int_equal(run.immediate_exit, 0);
	return request()->ret;
}

/* Could somebody else replace the file now? */
static bool may_write(void)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	bool may = !fcntl(other_fd, F_OFD_SETLK, &lock);

	lock.l_type = F_UNLCK;
	if (may)
		assert_int_equal(fcntl(other_fd, F_OFD_SETLK, &lock), 0);
	return may;
}

static bool was_locked;

static void look_at_lock(void)
{
	was_locked = !may_write();
}

/* Until KVM has passed the request on the file is locked. */
static void test_certs(void **state)
{
	u8 got[sizeof(table)];

	give_file(make_table());
	fake.on_run = look_at_lock;
	was_locked = false;
	assert_int_equal(ask(SHARED + PAGE, 3), 0);
	assert_int_equal(fake.runs, 1);
	assert_true(was_locked);
	assert_true(may_write());
	assert_int_equal(memory_read(&vm.mem, SHARED + PAGE, got, sizeof(got)), 0);
	assert_memory_equal(got, table, sizeof(got));
	assert_string_equal(captured, "");
}

static void test_certs_room(void **state)
{
	give_file(make_table());
	assert_int_equal(ask(SHARED, 2), ENOSPC);
	assert_int_equal(request()->npages, 3);
	assert_int_equal(ask(SHARED, 0), ENOSPC);
	assert_int_equal(request()->npages, 3);
}

/* Where a hostile guest points. */
static void test_certs_place(void **state)
{
	static const u64 bad[] = {
		PRIVATE, SHARED + 14 * PAGE, SHARED - PAGE, 0xfee00000, ~0ULL << 12,
		~0ULL,	 SHARED + 16 * PAGE, 1ULL << 63
	};

	give_file(make_table());
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(ask(bad[i], ~0ULL), EIO);
	assert_int_equal(ask(SHARED, ~0ULL), 0);
}

static void test_certs_busy(void **state)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	give_file(make_table());
	assert_int_equal(fcntl(other_fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(ask(SHARED, 3), EAGAIN);
	assert_int_equal(fake.runs, 0);
	lock.l_type = F_UNLCK;
	assert_int_equal(fcntl(other_fd, F_OFD_SETLK, &lock), 0);
	assert_int_equal(ask(SHARED, 3), 0);
}

/* It is another file by now. */
static void test_certs_changed(void **state)
{
	give_file(make_table());
	assert_int_equal(ftruncate(files.certs_fd, 30), 0);
	assert_int_equal(ask(SHARED, 3), EIO);
	assert_contains(captured, "no table of certificates any more");
	assert_int_equal(ftruncate(files.certs_fd, (off_t)SNP_CERTS_MAX + 1), 0);
	assert_int_equal(ask(SHARED, 3), EIO);
	assert_true(may_write());
}

/* A pause that began meanwhile is not lost. */
static void stop_running(void)
{
	atomic_store(&vm.running, false);
}

static void test_certs_pause(void **state)
{
	give_file(make_table());
	fake.on_run = stop_running;
	*request() = (struct lkvm_exit_snp_req_certs){ .gpa = SHARED, .npages = 3 };
	run.exit_reason = KVM_EXIT_SNP_REQ_CERTS;
	assert_int_equal(x86_snp_exit(&vcpu), 0);
	assert_int_equal(run.immediate_exit, 1);
}

/* Without --snp-certs: an empty table, so often as the limit lets. */
static void test_limit(void **state)
{
	static const u8 empty[24];
	u8 got[24];

	x86_snp_throttle_init(&arch.snp->throttle, 1000000000, 2);
	memset(got, 1, sizeof(got));
	assert_int_equal(memory_write(&vm.mem, SHARED, got, sizeof(got)), 0);
	assert_int_equal(ask(SHARED, 1), 0);
	assert_int_equal(memory_read(&vm.mem, SHARED, got, sizeof(got)), 0);
	assert_memory_equal(got, empty, sizeof(got));
	assert_int_equal(ask(SHARED, 1), 0);
	assert_int_equal(ask(SHARED, 1), EAGAIN);
	assert_int_equal(ask(SHARED, 0), EAGAIN);
	assert_int_equal(fake.runs, 0);
}

#define MS 1000000ULL
static void test_throttle(void **state)
{
	struct x86_snp_throttle t = { 0 };
	u64 now = 5000 * MS;

	/* No limit. */
	for (u32 i = 0; i < 100; i++)
		assert_true(x86_snp_throttle_take(&t, now));
	x86_snp_throttle_init(&t, 2000, 2);
	assert_true(x86_snp_throttle_take(&t, now));
	assert_true(x86_snp_throttle_take(&t, now));
	assert_false(x86_snp_throttle_take(&t, now));
	assert_false(x86_snp_throttle_take(&t, now + 999 * MS));
	assert_true(x86_snp_throttle_take(&t, now + 1000 * MS));
	assert_false(x86_snp_throttle_take(&t, now + 1000 * MS));
	/* A long pause saves no more than the burst. */
	now += 100000 * MS;
	assert_true(x86_snp_throttle_take(&t, now));
	assert_true(x86_snp_throttle_take(&t, now));
	assert_false(x86_snp_throttle_take(&t, now));
	/* The extremes. */
	x86_snp_throttle_init(&t, 1, 1000000000);
	assert_true(x86_snp_throttle_take(&t, now));
	x86_snp_throttle_init(&t, 1000000000, 1);
	assert_true(x86_snp_throttle_take(&t, now));
	assert_false(x86_snp_throttle_take(&t, now + 999999999 * MS));
	assert_true(x86_snp_throttle_take(&t, now + 1000000000 * MS));
}

static void test_table(void **state)
{
	u64 len = make_table();

	assert_null(x86_snp_certs_wrong(table, len));
	assert_non_null(x86_snp_certs_wrong(table, len - 1));
	assert_non_null(x86_snp_certs_wrong(table, 71));
	assert_non_null(x86_snp_certs_wrong(table, 0));
	put_le(table + 16, 4, 71); /* in the table */
	assert_contains(x86_snp_certs_wrong(table, len), "lies in the table");
	put_le(table + 16, 4, 0xfffffff0);
	assert_contains(x86_snp_certs_wrong(table, len), "beyond the end");
	put_le(table + 16, 4, 72);
	put_le(table + 20, 4, 0xffffffff);
	assert_non_null(x86_snp_certs_wrong(table, len));
	/* An empty one is fine. */
	memset(table, 0, 24);
	assert_null(x86_snp_certs_wrong(table, 24));
}

static enum vm_stop term(u32 type, u64 data, s32 *who)
{
	enum vm_stop stop;

	vm_clear_stop(&vm, VM_STOP_TERMINATED);
	run.exit_reason = KVM_EXIT_SYSTEM_EVENT;
	run.system_event.type = type;
	run.system_event.ndata = 1;
	run.system_event.data[0] = data;
	capture_begin();
	if (x86_snp_exit(&vcpu))
		fputs("not one\n", stderr);
	capture_end();
	assert_one_line(captured);
	stop = vm_stop_reason(&vm, NULL, who);
	return stop;
}

static void test_term(void **state)
{
	static const struct {
		u64 data;
		const char *text;
	} cases[] = {
		{ 0x100, "without saying why (reason 0 of set 0)" },
		{ 0x10100, "does not speak its version of the GHCB" },
		{ 0x21100, "PVALIDATE failed" },
		{ 0x51100, "CPUID was asked of the host" },
		{ 0xc1100, "Secure AVIC" },
		{ 0xd1100, "reason 13 of set 1" },
		{ 0xffff100, "reason 255 of set 15" },
		/* The GHCB's address: no reason is in it. */
		{ 0x12345000, "without a reason" },
	};
	s32 who;

	vcpu.id = 3;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(term(6, cases[i].data, &who), VM_STOP_TERMINATED);
		assert_int_equal(who, 3);
		assert_contains(captured, "vcpu 3: the guest ended itself");
		assert_contains(captured, cases[i].text);
	}
	assert_int_equal(term(9, 0, &who), VM_STOP_NONE);
	assert_contains(captured, "not one");
}

static void test_page_states(void **state)
{
	run.exit_reason = KVM_EXIT_HYPERCALL;
	run.hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	run.hypercall.args[0] = PRIVATE;
	run.hypercall.args[1] = 1;
	run.hypercall.ret = 77;
	assert_int_equal(x86_snp_exit(&vcpu), 0);
	assert_int_equal(run.hypercall.ret, 0);
	assert_non_null(memory_ptr(&vm.mem, PRIVATE, PAGE));
	run.exit_reason = KVM_EXIT_MEMORY_FAULT;
	memcpy(&run.hw,
	       &(struct lkvm_exit_memory_fault){ KVM_MEMORY_EXIT_FLAG_PRIVATE, PRIVATE, PAGE },
	       sizeof(struct lkvm_exit_memory_fault));
	assert_int_equal(x86_snp_exit(&vcpu), 0);
	assert_null(memory_ptr(&vm.mem, PRIVATE, PAGE));
	run.exit_reason = KVM_EXIT_SHUTDOWN;
	assert_int_equal(x86_snp_exit(&vcpu), -ENOTSUP);
}

int main(void)
{
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_certs),      TEST(test_certs_room),	 TEST(test_certs_place),
		TEST(test_certs_busy), TEST(test_certs_changed), TEST(test_certs_pause),
		TEST(test_limit),      TEST(test_throttle),	 TEST(test_table),
		TEST(test_term),       TEST(test_page_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
