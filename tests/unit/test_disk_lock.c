/* SPDX-License-Identifier: MIT */
/* disk/file.c: the locks against those that QEMU, libvirt and VMMs that lock whole files take. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "../../disk/file.h"
#include "lkvm/util.h"
#include "unit.h"

static char path[] = "/var/tmp/lkvm-test-lock.XXXXXX";

static int open_again(void)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* The bytes that a QEMU has locked, shared; it ends with 0. */
static const u8 qemu_writer[] = { 100, 101, 103, 201, 203, 0 };
static const u8 qemu_reader[] = { 100, 201, 203, 0 };
static const u8 qemu_forced[] = { 100, 0 }; /* qemu-img info -U */
static const u8 *const qemu[] = { qemu_writer, qemu_reader, qemu_forced };

static int take(const u8 *bytes)
{
	int fd = open_again();

	for (; *bytes; bytes++)
		assert_int_equal(lock_byte(fd, *bytes, false), 0);
	return fd;
}

/* QEMU's look: whoever has N refuses who does not share N, and the other way around. */
static bool qemu_would_refuse(const u8 *bytes)
{
	int fd = open_again();
	bool refuse = false;

	for (; *bytes; bytes++)
		refuse |= lock_is_taken(fd, *bytes < 200 ? *bytes + 100 : *bytes - 100);
	close(fd);
	return refuse;
}

static void test_against_qemu(void **state)
{
	static const bool stands[3][2] = {
		/* lkvm reads, lkvm writes */
		{ true, true },
		{ false, true },
		{ false, false },
	};

	for (unsigned int q = 0; q < 3; q++) {
		for (unsigned int write = 0; write < 2; write++) {
			int ours = open_again(), theirs = take(qemu[q]);

			assert_int_equal(disk_file_lock(ours, write),
					 stands[q][write] ? -EBUSY : 0);
			close(ours);
			close(theirs);
			ours = open_again();
			assert_int_equal(disk_file_lock(ours, write), 0);
			assert_int_equal(qemu_would_refuse(qemu[q]), stands[q][write]);
			close(ours);
		}
	}
}

static void test_against_whole_file(void **state)
{
	for (unsigned int write = 0; write < 2; write++) {
		int ours = open_again(), theirs = open_again();

		assert_int_equal(lock_file(theirs, true), 0);
		assert_int_equal(disk_file_lock(ours, write), -EBUSY);
		close(theirs);
		theirs = open_again();
		assert_int_equal(disk_file_lock(ours, write), 0);
		assert_int_equal(lock_file(theirs, true), -EBUSY);
		assert_int_equal(lock_file(theirs, false), write ? -EBUSY : 0);
		close(ours);
		close(theirs);
	}
}

static void test_among_ourselves(void **state)
{
	int a = open_again(), b = open_again();

	assert_int_equal(disk_file_lock(a, false), 0);
	assert_int_equal(disk_file_lock(b, false), 0);
	close(b);
	b = open_again();
	assert_int_equal(disk_file_lock(b, true), -EBUSY);
	close(a);
	close(b);
	a = open_again();
	b = open_again();
	assert_int_equal(disk_file_lock(a, true), 0);
	assert_int_equal(disk_file_lock(b, true), -EBUSY);
	assert_int_equal(disk_file_lock(b, false), -EBUSY);
	close(a);
	close(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_against_qemu),
		cmocka_unit_test(test_against_whole_file),
		cmocka_unit_test(test_among_ourselves),
	};
	int fd = mkstemp(path), ret;

	if (fd < 0)
		return 1;
	close(fd);
	ret = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(path);
	return ret;
}
