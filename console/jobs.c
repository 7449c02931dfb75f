/* SPDX-License-Identifier: MIT */
/* Job control (POSIX.1-2017, 11.1.4 "Terminal Access Control", XCU 2.11); see jobs.h. */
#include "jobs.h"

#include <sys/signalfd.h>
#include <unistd.h>

#include "lkvm/util.h"

static void on_signal(void *opaque, u32 events)
{
	struct jobs *jobs = opaque;
	struct signalfd_siginfo info;

	if (read(jobs->ev.fd, &info, sizeof(info)) == sizeof(info))
		jobs->fn(jobs->opaque, (int)info.ssi_signo);
}

int jobs_init(struct jobs *jobs, struct event_loop *loop, void (*fn)(void *opaque, int sig),
	      void *opaque)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, now;
	int ret;

	jobs->fn = fn;
	jobs->opaque = opaque;
	sigemptyset(&ignore.sa_mask);
	sigemptyset(&jobs->blocked);
	sigemptyset(&jobs->signals);
	sigaddset(&jobs->signals, SIGCONT);
	sigaddset(&jobs->signals, SIGWINCH);
	/* Ignored when lkvm started, it stays so. The others do nothing by default. */
	if (!sigaction(SIGTSTP, NULL, &now) && now.sa_handler != SIG_IGN)
		sigaddset(&jobs->signals, SIGTSTP);
	jobs->ev = (struct event){
		.fd = signalfd(-1, &jobs->signals, SFD_CLOEXEC | SFD_NONBLOCK),
		.events = EPOLLIN,
		.fn = on_signal,
		.opaque = jobs,
	};
	if (jobs->ev.fd < 0)
		return -errno;
	ret = event_add(loop, &jobs->ev);
	if (ret) {
		close(jobs->ev.fd);
		return ret;
	}
	sigaction(SIGTTIN, &ignore, &jobs->old_ttin);
	sigaction(SIGTTOU, &ignore, &jobs->old_ttou);
	return 0;
}

void jobs_destroy(struct jobs *jobs)
{
	event_del(&jobs->ev);
	close(jobs->ev.fd);
	sigaction(SIGTTIN, &jobs->old_ttin, NULL);
	sigaction(SIGTTOU, &jobs->old_ttou, NULL);
	jobs_end(jobs);
}

void jobs_begin(struct jobs *jobs)
{
	static const int signals[] = { SIGTSTP, SIGCONT, SIGWINCH };
	sigset_t old;

	pthread_sigmask(SIG_BLOCK, &jobs->signals, &old);
	sigemptyset(&jobs->blocked);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		if (sigismember(&jobs->signals, signals[i]) && !sigismember(&old, signals[i]))
			sigaddset(&jobs->blocked, signals[i]);
}

void jobs_end(struct jobs *jobs)
{
	pthread_sigmask(SIG_UNBLOCK, &jobs->blocked, NULL);
	sigemptyset(&jobs->blocked);
}

void jobs_suspend(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	raise(SIGTSTP);
	pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
}
