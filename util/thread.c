/* SPDX-License-Identifier: MIT */
/* Starting threads (see include/lkvm/thread.h). */
#include "lkvm/thread.h"

#include <sys/mman.h>
#include <sys/prctl.h>

/* Many times what any thread here needs, and what the user's 'ulimit -s' says does not matter. With
 * room for what sanitizers add to each frame. */
#define STACK_SIZE (512 * KiB)

/* What C libraries map with a stack: a guard below it, their own data of a thread. */
#define STACK_EXTRA (64 * KiB)

/* pthread_create says EAGAIN for both: too many threads, and no address space for another stack. */
static bool has_room_for_stack(void)
{
	size_t size = STACK_SIZE + STACK_EXTRA;
	void *p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		return false;
	munmap(p, size);
	return true;
}

static int create(pthread_t *out, void *(*fn)(void *opaque), void *opaque)
{
	pthread_attr_t attr;
	int ret = pthread_attr_init(&attr);

	if (ret)
		return ret;
	ret = pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (!ret)
		ret = pthread_create(out, &attr, fn, opaque);
	pthread_attr_destroy(&attr);
	return ret;
}

int thread_start(pthread_t *out, enum thread_role role, void *(*fn)(void *opaque), void *opaque)
{
	/* A fault on a blocked signal would end the process without restoring the terminal. */
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTRAP, SIGSYS };
	sigset_t mask, old;
	int ret;

	sigfillset(&mask);
	for (size_t i = 0; i < ARRAY_SIZE(crashes); i++)
		sigdelset(&mask, crashes[i]);
	if (role == THREAD_VCPU)
		sigdelset(&mask, THREAD_KICK_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	ret = create(out, fn, opaque);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret == EAGAIN && !has_room_for_stack() ? -ENOMEM : -ret;
}

void thread_name(const char *name)
{
	/* Of another thread it would be a file in /proc that is opened, written and closed. */
	prctl(PR_SET_NAME, name);
}

const char *limit_hint(int error)
{
	switch (error < 0 ? -error : error) {
	case EAGAIN:
		return "; no more threads: raise the cgroup's pids.max or 'ulimit -u'";
	case EMFILE:
		return "; raise 'ulimit -n'";
	case ENFILE:
		return "; raise the host's fs.file-max";
	case ENOMEM:
		return "; too little memory, or a limit of it ('ulimit -v')";
	default:
		return "";
	}
}
