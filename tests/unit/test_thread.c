/* SPDX-License-Identifier: MIT */
/* Threads that cannot be started: which limit it was. */
#include "unit.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lkvm/thread.h"
#include "lkvm/util.h"

static void *nothing(void *opaque)
{
	return opaque;
}

/* What this process has of its address space, in bytes. */
static u64 size_now(void)
{
	unsigned long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%lu", &pages) != 1)
		_exit(90);
	fclose(f);
	return (u64)pages * (u64)sysconf(_SC_PAGESIZE);
}

/* In a child: the room for a stack grows by a page until a thread starts. Its status: how many
 * tries were refused. */
static void grow_until_started(void)
{
	u64 size = size_now();
	u64 page = (u64)sysconf(_SC_PAGESIZE);
	unsigned int refused = 0;
	pthread_t thread;
	int ret;

	for (u64 room = 256 * KiB;; room += page) {
		struct rlimit limit = { size + room, RLIM_INFINITY };

		if (setrlimit(RLIMIT_AS, &limit) < 0 || room > 4 * MiB)
			_exit(91);
		ret = thread_start(&thread, THREAD_WORKER, nothing, NULL);
		if (!ret)
			break;
		if (ret != -ENOMEM)
			_exit(ret == -EAGAIN ? 92 : 93);
		refused++;
	}
	pthread_join(thread, NULL);
	_exit(refused ? 0 : 94);
}

static void test_no_room_for_stack_is_told_as_memory(void **state)
{
	int status;
	pid_t pid;

	(void)state;
#ifdef __SANITIZE_ADDRESS__
	skip(); /* it maps what it likes with each thread, and ends where it cannot */
#endif
	pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		grow_until_started();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	/* An emulator of processes does not know this limit. */
	if (WEXITSTATUS(status) == 94)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_room_for_stack_is_told_as_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
