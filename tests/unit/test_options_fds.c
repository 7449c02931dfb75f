/* SPDX-License-Identifier: MIT */
/* util/options-fds.c: which descriptors of whoever started us stay open. */
#include "capture.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lkvm/options.h"
#include "lkvm/util.h"

static bool no_proc;

/* In front of the C library's. */
DIR *opendir(const char *name)
{
	int fd = no_proc ? -1 : open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? NULL : fdopendir(fd);
}

struct target {
	char *file, *word, *elsewhere;
};
#define MEMBER(m) .offset = offsetof(struct target, m)
static const struct option_spec rows[] = {
	{ .type = OPT_STRING, .name = "file", .arg = "FILE", .flags = OPT_PATH, MEMBER(file) },
	{ .type = OPT_STRING, .name = "word", .arg = "WORD", MEMBER(word) },
	OPT_END,
};
static const struct option_spec rows_elsewhere[] = {
	{ .type = OPT_STRING,
	  .name = "elsewhere",
	  .arg = "FILE",
	  .flags = OPT_PATH,
	  MEMBER(elsewhere) },
	OPT_END,
};
static const u32 here = OPT_ARCH_X86;
static const struct option_source sources[] = {
	{ .rows = rows },
	{ .rows = rows_elsewhere, .archs = OPT_ARCH_ARM64 },
	{ 0 },
};
static const struct option_set set = { .sources = sources, .here = &here };

static char *name_of(int fd, const char *dir)
{
	return xasprintf("%s/%d", dir, fd);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

/* Is it open, and closed at exec? */
static bool is_kept(int fd)
{
	return is_open(fd) && (fcntl(fd, F_GETFD) & FD_CLOEXEC);
}

/* The test's own descriptors are not for it to close. */
static void in_child(void (*test)(void))
{
	pid_t pid = fork();
	int status = 0;

	assert_true(pid >= 0);
	if (!pid) {
		test();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define CHECK(x)                                                   \
	do {                                                       \
		if (!(x)) {                                        \
			dprintf(2, "line %d: %s\n", __LINE__, #x); \
			_exit(1);                                  \
		}                                                  \
	} while (0)

static void nothing_named(void)
{
	struct target t = { .word = (char *)"/dev/null" };
	int null = open("/dev/null", O_RDWR), far = fcntl(null, F_DUPFD, 200), ends[2];

	int ours = open("/dev/null", O_RDWR | O_CLOEXEC);

	CHECK(null > 2 && far >= 200 && !pipe(ends) && ours > 2);
	options_close_others(&set, &t, NULL);
	/* Nobody left that one open for us. */
	CHECK(is_kept(ours));
	CHECK(!is_open(null) && !is_open(far) && !is_open(ends[0]) && !is_open(ends[1]));
	CHECK(is_open(0) && is_open(1) && is_open(2));
}

static void some_named(void)
{
	int ends[2], other[2], file = memfd_create("file", 0), image = memfd_create("image", 0);
	int disk = memfd_create("disk", 0), same = dup(file);
	struct target t;

	CHECK(!pipe(ends) && !pipe(other) && file > 2 && image > 2 && disk > 2 && same > 2);
	t = (struct target){
		.file = name_of(file, "/dev/fd"),
		.word = name_of(other[0], "/dev/fd"),
		.elsewhere = name_of(disk, "/dev/fd"),
	};
	options_close_others(&set, &t, name_of(ends[0], "/proc/self/fd"));
	/* Both ends are one file; and so is what was duplicated. */
	CHECK(is_kept(ends[0]) && is_kept(ends[1]) && is_kept(file) && is_kept(same));
	CHECK(!is_open(other[0]) && !is_open(other[1]) && !is_open(image) && !is_open(disk));
}

/* A name that leads to the descriptor in a roundabout way. */
static void named_by_a_link(void)
{
	char dir[] = "/tmp/lkvm-fds-XXXXXX", *link;
	int file = memfd_create("file", 0), other = memfd_create("other", 0);
	struct target t = { 0 };

	CHECK(mkdtemp(dir));
	link = xasprintf("%s/link", dir);
	CHECK(!symlink(name_of(file, "/dev/fd"), link));
	t.file = link;
	options_close_others(&set, &t, "nosuch");
	unlink(link);
	rmdir(dir);
	CHECK(is_kept(file) && !is_open(other));
}

static void without_proc(void)
{
	struct target t = { .file = (char *)"/dev/null" };
	int null = open("/dev/null", O_RDWR);

	no_proc = true;
	options_close_others(&set, &t, NULL);
	/* An old kernel has no close_range: then they stay. */
	CHECK(!is_open(null) || errno == ENOSYS);
	CHECK(is_open(2));
}

static void test_nothing_named(void **state)
{
	in_child(nothing_named);
}

static void test_some_named(void **state)
{
	in_child(some_named);
}

static void test_named_by_a_link(void **state)
{
	in_child(named_by_a_link);
}

static void test_without_proc(void **state)
{
	in_child(without_proc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_named),
		cmocka_unit_test(test_some_named),
		cmocka_unit_test(test_named_by_a_link),
		cmocka_unit_test(test_without_proc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
