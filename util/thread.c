/* SPDX-License-Identifier: MIT */
/* Starting threads (see include/lkvm/thread.h). */
#include "lkvm/thread.h"

#include <sys/mman.h>

/* pthread_create says EAGAIN for both: too many threads, and no address space for another stack. */
static bool has_room_for_stack(void)
{
	pthread_attr_t attr;
	size_t size = 0;
	void *p;

	if (pthread_attr_init(&attr))
		return false;
	pthread_attr_getstacksize(&attr, &size);
	pthread_attr_destroy(&attr);
	p = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return false;
	munmap(p, size);
	return true;
}

int thread_start(pthread_t *out, enum thread_role role, const char *name, void *(*fn)(void *opaque),
		 void *opaque)
{
	/* A fault on a blocked signal would end the process without restoring the terminal. */
	static const int crashes[] = { SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGTRAP, SIGSYS };
	char short_name[16];
	sigset_t mask, old;
	int ret;

	sigfillset(&mask);
	for (size_t i = 0; i < ARRAY_SIZE(crashes); i++)
		sigdelset(&mask, crashes[i]);
	if (role == THREAD_VCPU)
		sigdelset(&mask, THREAD_KICK_SIGNAL);
	pthread_sigmask(SIG_SETMASK, &mask, &old);
	ret = pthread_create(out, NULL, fn, opaque);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (ret)
		return ret == EAGAIN && !has_room_for_stack() ? -ENOMEM : -ret;
	strncpy(short_name, name, sizeof(short_name) - 1);
	short_name[sizeof(short_name) - 1] = '\0';
	pthread_setname_np(*out, short_name);
	return 0;
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
