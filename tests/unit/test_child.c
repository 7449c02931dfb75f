/* SPDX-License-Identifier: MIT */
/* child.c: programs that run, say something, end by themselves, do not want to, or are not
 * there. */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"
#include "lkvm/child.h"
#include "lkvm/util.h"
#include "unit.h"

static struct event_loop loop;
static char ended_text[64];
static int ended_status;
static unsigned int ends;

static void on_ended(void *opaque, int status, const char *text)
{
	assert_ptr_equal(opaque, &loop);
	ended_status = status;
	snprintf(ended_text, sizeof(ended_text), "%s", text);
	ends++;
	event_loop_stop(&loop);
}

static int set_up(void **state)
{
	int fd = (int)syscall(434 /* pidfd_open */, getpid(), 0);

	if (fd < 0) {
		print_message(
			"skipped: no pidfd_open here (an emulator, or a kernel before 5.3)\n");
		exit(0);
	}
	close(fd);
	/* Kept for test_descriptors. */
	assert_int_equal(dup2(STDERR_FILENO, 3), 3);
	assert_int_equal(dup2(STDERR_FILENO, 4), 4);
	return event_loop_init(&loop, "test");
}

static int tear_down(void **state)
{
	event_loop_destroy(&loop);
	/* Nobody is left, not even a zombie. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	return 0;
}

static int start(struct child *c, const char *script, const int *fds, unsigned int nr_fds)
{
	char *argv[] = { (char *)"/bin/sh", (char *)"-c", (char *)script, NULL };
	struct child_spec spec = {
		.what = "--test",
		.argv = argv,
		.fds = fds,
		.nr_fds = nr_fds,
		.ended = on_ended,
		.opaque = &loop,
	};

	ends = 0;
	return child_start(c, &loop, &spec);
}

/* Until ended() was called. */
static const char *run_to_end(void)
{
	capture_begin();
	event_loop_rearm(&loop);
	event_loop_run(&loop);
	return capture_end();
}

static void test_says_and_ends(void **state)
{
	struct child c;
	const char *said;

	assert_int_equal(start(&c, "echo one; printf 'two\\033[1m' >&2; exit 7", NULL, 0), 0);
	assert_string_equal(c.name, "sh");
	said = run_to_end();
	assert_contains(said, "sh: one\n");
	assert_contains(said, "sh: two?[1m\n");
	assert_int_equal(ends, 1);
	assert_true(WIFEXITED(ended_status));
	assert_string_equal(ended_text, "exit status 7");
	assert_int_equal(c.pid, 0);
	child_stop(&c, 0);
}

static void test_long_line(void **state)
{
	struct child c;
	const char *said;

	assert_int_equal(start(&c, "printf '%0600d\\n' 0", NULL, 0), 0);
	said = run_to_end();
	assert_contains(said, "sh: 000");
	assert_true(strlen(said) > 600);
}

static void test_killed(void **state)
{
	struct child c;

	assert_int_equal(start(&c, "kill -9 $$", NULL, 0), 0);
	run_to_end();
	assert_contains(ended_text, "signal 9 (");
}

/* Two are given in the order in which their numbers would overwrite each other. */
static void test_descriptors(void **state)
{
	struct child c;
	const char *said;
	int a[2], b[2], fds[2];
	char *script;

	assert_int_equal(pipe(a), 0);
	assert_int_equal(pipe(b), 0);
	/* One that anybody inherits, but for ours. */
	assert_true(fcntl(a[0], F_DUPFD, 50) >= 50);
	assert_int_equal(dup2(b[0], 3), 3);
	assert_int_equal(dup2(a[0], 4), 4);
	assert_int_equal(write(a[1], "first\n", 6), 6);
	assert_int_equal(write(b[1], "second\n", 7), 7);
	fds[0] = 4;
	fds[1] = 3;
	script = xasprintf("read x <&3; read y <&4; echo $x $y; read z || echo null; "
			   "for i in /proc/self/fd/*; do case $i in */[0-4]) ;; *) [ -e $i ] && "
			   "echo open $i;; esac; done; exit 0");
	assert_int_equal(start(&c, script, fds, 2), 0);
	said = run_to_end();
	assert_contains(said, "first second");
	assert_contains(said, "null");
	assert_lacks(said, "/fd/50");
	free(script);
	close(50);
	close(a[0]);
	close(a[1]);
	close(b[0]);
	close(b[1]);
}

/* Its signals are as in any program, although this thread blocks all. */
static void test_signals(void **state)
{
	struct child c;
	sigset_t all, old;
	int ret;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	ret = start(&c, "exec grep SigBlk /proc/self/status", NULL, 0);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	assert_int_equal(ret, 0);
	assert_contains(run_to_end(), "SigBlk:?0000000000000000");
}

static void test_stopped(void **state)
{
	struct child c;

	assert_int_equal(start(&c, "exec sleep 1000", NULL, 0), 0);
	child_stop(&c, hang_seconds() * 1000);
	assert_int_equal(ends, 0);
	assert_int_equal(c.pid, 0);
}

static void test_stubborn(void **state)
{
	struct child c;
	char byte;
	int ready[2];

	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	assert_int_equal(start(&c, "trap '' TERM; echo >&3; exec sleep 1000", &ready[1], 1), 0);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	child_stop(&c, 1);
	assert_int_equal(ends, 0);
	close(ready[0]);
	close(ready[1]);
}

static void test_missing(void **state)
{
	char *argv[] = { (char *)"/nonexistent/passt", NULL };
	struct child_spec spec = { .what = "--network x",
				   .argv = argv,
				   .hint = "; install the package passt" };
	struct child c;
	const char *said;

	capture_begin();
	assert_int_equal(child_start(&c, &loop, &spec), -ENOENT);
	said = capture_end();
	assert_one_line(said);
	assert_contains(said, "--network x: cannot start '/nonexistent/passt': No such file or "
			      "directory; install the package passt\n");
	argv[0] = (char *)"/";
	capture_begin();
	assert_int_equal(child_start(&c, &loop, &spec), -EACCES);
	assert_lacks(capture_end(), "install");
	child_stop(&c, 0);
}

static void test_find(void **state)
{
	static const char *const more[] = { "/nonexistent", "/bin", NULL };
	char *old = xstrdup(getenv("PATH")), *file;

	setenv("PATH", ":/nonexistent:/usr/bin", 1);
	file = child_find("sh", NULL);
	assert_string_equal(file, "/usr/bin/sh");
	free(file);
	setenv("PATH", "/nonexistent", 1);
	assert_null(child_find("sh", NULL));
	file = child_find("sh", more);
	assert_string_equal(file, "/bin/sh");
	free(file);
	assert_null(child_find("./sh", more));
	setenv("PATH", old, 1);
	free(old);
}

/* Who starts it is killed: then it goes, too. */
static void test_parent_killed(void **state)
{
	int alive[2], up[2];
	struct pollfd p;
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(alive, O_CLOEXEC), 0);
	assert_int_equal(pipe2(up, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		struct child c;

		if (start(&c, "echo >&4; exec sleep 1000", (int[]){ alive[1], up[1] }, 2))
			_exit(1);
		pause();
		_exit(1);
	}
	close(alive[1]);
	assert_int_equal(read(up[0], &byte, 1), 1);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	p = (struct pollfd){ .fd = alive[0], .events = POLLIN };
	assert_int_equal(poll(&p, 1, (int)hang_seconds() * 1000), 1);
	assert_int_equal(p.revents, POLLHUP);
	close(alive[0]);
	close(up[0]);
	close(up[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_says_and_ends), cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_killed),	      cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_signals),	      cmocka_unit_test(test_stopped),
		cmocka_unit_test(test_stubborn),      cmocka_unit_test(test_missing),
		cmocka_unit_test(test_find),	      cmocka_unit_test(test_parent_killed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
