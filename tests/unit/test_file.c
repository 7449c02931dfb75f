/* SPDX-License-Identifier: MIT */
/* util/file.c */
#include "unit.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/signals.h"
#include "lkvm/util.h"

static char dir[] = "/tmp/lkvm-file-XXXXXX";
static char path[64];

static u32 count_files(void)
{
	DIR *d = opendir(dir);
	u32 n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n - 2; /* . and .. */
}

static void assert_file(const char *text)
{
	char buf[64] = { 0 };
	FILE *f = fopen(path, "r");

	assert_non_null(f);
	assert_int_equal(fread(buf, 1, sizeof(buf) - 1, f), strlen(text));
	assert_string_equal(buf, text);
	fclose(f);
	assert_int_equal(count_files(), 1);
}

static void test_write(void **state)
{
	struct stat st;

	umask(027);
	assert_int_equal(write_file(path, "first", 5), 0);
	assert_file("first");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(write_file(path, "2nd", 3), 0);
	assert_file("2nd");
	umask(022);
}

/* What was there stays, and nothing else does. */
static void test_failure(void **state)
{
	struct rlimit old, small = { 2, 2 };
	static char much[64];
	int ret;

	assert_int_equal(write_file(path, "good", 4), 0);
	signals_init();
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	small.rlim_max = old.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	ret = write_file(path, much, sizeof(much));
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
	assert_int_equal(ret, -EFBIG);
	assert_file("good");
	assert_int_equal(write_file("/tmp/lkvm-no-such-folder/x", "a", 1), -ENOENT);
	assert_int_equal(write_file(dir, "a", 1), -EISDIR);
}

/* Not replaced by a file. */
static void test_device(void **state)
{
	char *link = xasprintf("%s/link", dir);
	struct stat st;

	assert_int_equal(write_file(path, "longer text", 11), 0);
	assert_int_equal(symlink(path, link), 0);
	assert_int_equal(write_file(link, "text", 4), 0);
	assert_int_equal(lstat(link, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	unlink(link);
	free(link);
	assert_file("text");

	assert_int_equal(write_file("/dev/null", "text", 4), 0);
	assert_int_equal(stat("/dev/null", &st), 0);
	assert_true(S_ISCHR(st.st_mode));
	assert_int_equal(write_file("/dev/full", "text", 4), -ENOSPC);
}

static int setup(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/file", dir);
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_failure),
		cmocka_unit_test(test_device),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
