/* SPDX-License-Identifier: MIT */
/* util/iov.c and util/io.c: copies over borders, sub-lists, whole transfers. */
#include "capture.h"

#include <fcntl.h>
#include <stdlib.h>

#include "lkvm/util.h"

static char a[4], b[1], c[8];
/* An empty element must be stepped over. */
static struct iovec list[] = { { a, sizeof(a) }, { NULL, 0 }, { b, sizeof(b) }, { c, sizeof(c) } };
#define TOTAL 13

static int fill(void **state)
{
	memcpy(a, "abcd", 4);
	memcpy(b, "e", 1);
	memcpy(c, "fghijklm", 8);
	return 0;
}

static void test_len(void **state)
{
	assert_int_equal(iov_len(list, ARRAY_SIZE(list)), TOTAL);
	assert_int_equal(iov_len(NULL, 0), 0);
}

static void test_copy_out(void **state)
{
	char buf[32] = "";

	assert_int_equal(iov_to_buf(list, ARRAY_SIZE(list), 0, buf, sizeof(buf)), TOTAL);
	assert_memory_equal(buf, "abcdefghijklm", TOTAL);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(iov_to_buf(list, ARRAY_SIZE(list), 3, buf, 4), 4);
	assert_string_equal(buf, "defg");
	assert_int_equal(iov_to_buf(list, ARRAY_SIZE(list), TOTAL, buf, 4), 0);
	assert_int_equal(iov_to_buf(list, ARRAY_SIZE(list), SIZE_MAX, buf, 4), 0);
	assert_int_equal(iov_to_buf(list, ARRAY_SIZE(list), 12, buf, SIZE_MAX), 1);
	assert_int_equal(iov_to_buf(list, ARRAY_SIZE(list), 0, NULL, 0), 0);
	assert_int_equal(iov_from_buf(list, ARRAY_SIZE(list), 0, NULL, 0), 0);
}

static void test_copy_in(void **state)
{
	assert_int_equal(iov_from_buf(list, ARRAY_SIZE(list), 3, "XYZ", 3), 3);
	assert_memory_equal(a, "abcX", 4);
	assert_memory_equal(b, "Y", 1);
	assert_memory_equal(c, "Zghijklm", 8);
	assert_int_equal(iov_from_buf(list, ARRAY_SIZE(list), 11, "1234", 4), 2);
	assert_memory_equal(c, "Zghijk12", 8);
}

static void test_slice(void **state)
{
	struct iovec out[4];

	assert_int_equal(iov_slice(list, ARRAY_SIZE(list), 3, 3, out, 4), 3);
	assert_ptr_equal(out[0].iov_base, a + 3);
	assert_int_equal(out[0].iov_len, 1);
	assert_ptr_equal(out[1].iov_base, b);
	assert_ptr_equal(out[2].iov_base, c);
	assert_int_equal(out[2].iov_len, 1);
	assert_int_equal(iov_slice(list, ARRAY_SIZE(list), 0, TOTAL, out, 3), 3);
	assert_int_equal(iov_slice(list, ARRAY_SIZE(list), 3, 3, out, 2), -E2BIG);
	assert_int_equal(iov_slice(list, ARRAY_SIZE(list), 0, TOTAL + 1, out, 4), -EINVAL);
	assert_int_equal(iov_slice(list, ARRAY_SIZE(list), SIZE_MAX, 1, out, 4), -EINVAL);
	assert_int_equal(iov_slice(list, ARRAY_SIZE(list), 0, 0, out, 0), 0);
}

static void test_files(void **state)
{
	int fd = memfd_create("io", MFD_CLOEXEC);
	char buf[8] = "";

	assert_int_equal(write_full(fd, "0123456789", 10), 0);
	assert_int_equal(pwrite_full(fd, "AB", 2, 4), 0);
	assert_int_equal(pread_full(fd, buf, 6, 2), 0);
	assert_string_equal(buf, "23AB67");
	assert_int_equal(pread_full(fd, buf, 4, 8), -ENODATA);
	assert_int_equal(lseek(fd, 7, SEEK_SET), 7);
	assert_int_equal(read_full(fd, buf, 3), 0);
	assert_memory_equal(buf, "789", 3);
	assert_int_equal(read_full(fd, buf, 1), -ENODATA);
	close(fd);
	assert_int_equal(read_full(-1, buf, 1), -EBADF);
	assert_int_equal(write_full(-1, buf, 1), -EBADF);
	fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(write_full(fd, buf, 1), -ENOSPC);
	close(fd);
}

/* A pipe gives and takes its bytes in pieces. */
static void test_pipe(void **state)
{
	static u8 out[300000], in[300000];
	int fds[2];
	pid_t pid;

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (u8)(i * 7);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		_exit(write_full(fds[1], out, sizeof(out)) != 0);
	assert_int_equal(read_full(fds[0], in, sizeof(in)), 0);
	assert_memory_equal(in, out, sizeof(in));
	close(fds[0]);
	close(fds[1]);
}

static void test_clock(void **state)
{
	u64 before = now_ns();

	usleep(2000);
	assert_true(now_ns() - before >= 2000000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_len, fill),
		cmocka_unit_test_setup(test_copy_out, fill),
		cmocka_unit_test_setup(test_copy_in, fill),
		cmocka_unit_test_setup(test_slice, fill),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_pipe),
		cmocka_unit_test(test_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
