/* SPDX-License-Identifier: MIT */
/* Starting threads (see include/lkvm/thread.h). */
#include "lkvm/thread.h"

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
		return -ret;
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
		return "; too many open files: raise 'ulimit -n'";
	case ENFILE:
		return "; too many open files on this host: raise fs.file-max";
	case ENOMEM:
		return "; too little memory, or a limit of it ('ulimit -v')";
	default:
		return "";
	}
}
