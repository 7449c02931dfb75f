/* SPDX-License-Identifier: MIT */
/* fs/: a guest that looks around makes no automounter of the host mount anything (a home of
 * another machine may hang). */
#include "p9_client.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "lkvm/util.h"

#define CHILD(condition)                 \
	do {                             \
		if (!(condition))        \
			return __LINE__; \
	} while (0)

/* Everything that a guest does to show a directory, and what is in it. */
static int look_around(int asked)
{
	struct pollfd request = { .fd = asked, .events = POLLIN };

	CHILD(!p9_walk(2, "auto"));
	CHILD(!p9_call(P9_TGETATTR, "dq", 2, 0x7ffULL));
	CHILD(!p9_walk(3, "other"));
	CHILD(!p9_call(P9_TWALK, "ddw", 1, 4, 0));
	CHILD(!p9_call(P9_TLOPEN, "dd", 4, O_RDONLY | O_DIRECTORY));
	CHILD(!p9_call(P9_TREADDIR, "dqd", 4, 0ULL, 4096));
	/* In it: whatever is said of it, nothing is mounted. */
	(void)!p9_call(P9_TXATTRWALK, "dds", 2, 5, "user.x");
	(void)!p9_call(P9_TWALK, "ddws", 2, 6, 1, "inside");
	(void)!p9_call(P9_TLOPEN, "dd", 2, O_RDONLY | O_DIRECTORY);
	(void)!p9_call(P9_TREADDIR, "dqd", 2, 0ULL, 4096);
	CHILD(!poll(&request, 1, 0));
	return 0;
}

/*
 * A mount point of autofs (Linux Documentation/filesystems/autofs.rst): whoever goes into it waits
 * until the daemon, which reads the pipe, has mounted something. The daemon's process group may go
 * in freely, so it is another one than ours.
 */
static int with_automount(void)
{
	int ends[2], line;
	struct pollfd request = { .events = POLLIN };
	char options[64];
	pid_t daemon;

	if (pipe(ends) || unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL))
		return -1;
	daemon = fork();
	if (!daemon) {
		/* The test would wait without end. */
		request.fd = ends[0];
		poll(&request, 1, -1);
		kill(getppid(), SIGKILL);
		_exit(0);
	}
	if (daemon < 0 || setpgid(daemon, daemon))
		return -1;
	p9_begin(false, 0);
	p9_mount();
	CHILD(!mkdir(p9_path("auto"), 0755) && !mkdir(p9_path("other"), 0755));
	snprintf(options, sizeof(options), "fd=%d,pgrp=%d,minproto=5,maxproto=5,direct", ends[1],
		 daemon);
	line = mount("auto", p9_path("auto"), "autofs", 0, options) ? -1 : look_around(ends[0]);
	kill(daemon, SIGKILL);
	waitpid(daemon, NULL, 0);
	close(ends[0]);
	p9_reset(p9c.p9);
	umount2(p9_path("auto"), MNT_DETACH);
	p9_end();
	return line;
}

static void test_automount(void **state)
{
	int line = p9_in_child(with_automount);

	if (line < 0)
		skip();
	assert_int_equal(line, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_automount),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
