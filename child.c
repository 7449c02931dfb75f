/* SPDX-License-Identifier: MIT */
/* Programs that lkvm starts (see include/lkvm/child.h); pidfds: Linux 5.3, pidfd_open(2). */
#include "lkvm/child.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 /* of every architecture, as the next one; not in older headers */
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

#define FIRST_FD 3

/* In the new process, which has our memory until it runs the program: nothing of ours is changed,
 * and only system calls are made. */

struct birth {
	const struct child_spec *spec;
	pid_t parent;
	int null, said, failed; /* /dev/null, the pipes' ends for writing */
};

/* A handler of ours would run in our memory. */
static void reset_signals(void)
{
	struct sigaction none = { .sa_handler = SIG_DFL }, now;
	sigset_t empty;

	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (!sigaction(sig, NULL, &now) && now.sa_handler != SIG_DFL &&
		    now.sa_handler != SIG_IGN)
			sigaction(sig, &none, NULL);
	sigemptyset(&empty);
	sigprocmask(SIG_SETMASK, &empty, NULL);
}

/* Everything is moved out of the way first: one's target may be another's source. */
static int place_fds(const struct birth *b, int *failed)
{
	int end = FIRST_FD + (int)b->spec->nr_fds, from[8];
	int null = fcntl(b->null, F_DUPFD_CLOEXEC, end), said;

	*failed = fcntl(b->failed, F_DUPFD_CLOEXEC, end);
	said = fcntl(b->said, F_DUPFD_CLOEXEC, end);
	for (unsigned int i = 0; i < b->spec->nr_fds; i++) {
		from[i] = fcntl(b->spec->fds[i], F_DUPFD_CLOEXEC, end);
		if (from[i] < 0)
			return -errno;
	}
	if (null < 0 || *failed < 0 || said < 0 || dup2(null, 0) < 0 || dup2(said, 1) < 0 ||
	    dup2(said, 2) < 0)
		return -errno;
	for (unsigned int i = 0; i < b->spec->nr_fds; i++)
		if (dup2(from[i], FIRST_FD + (int)i) < 0)
			return -errno;
	/* All of ours close at exec; this is for what a library may have opened. */
	if (*failed > end)
		syscall(SYS_close_range, end, *failed - 1, 0);
	syscall(SYS_close_range, *failed + 1, ~0U, 0);
	return 0;
}

static void __noreturn be_born(const struct birth *b)
{
	int failed = b->failed, ret;

	reset_signals();
	setsid();
	ret = prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 ? -errno : 0;
	/* It is too late for that signal. */
	if (getppid() != b->parent)
		_exit(1);
	if (!ret)
		ret = place_fds(b, &failed);
	if (!ret) {
		execv(b->spec->argv[0], b->spec->argv);
		ret = -errno;
	}
	if (write(failed, &ret, sizeof(ret)) < 0)
		_exit(2);
	_exit(1);
}

/* Signals wait meanwhile: no handler may run there. */
static pid_t give_birth(const struct birth *b)
{
	sigset_t all, old;
	pid_t pid;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid = vfork(); /* NOLINT(clang-analyzer-security.insecureAPI.vfork): no copy of our memory
			*/
	if (!pid)
		be_born(b); /* NOLINT(clang-analyzer-unix.Vfork): system calls on its own copies */
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return pid < 0 ? -errno : pid;
}

/* What it says */

static void say(struct child *c)
{
	c->line[c->len] = '\0';
	if (c->len)
		warn("%s: %s", c->name, c->line);
	c->len = 0;
}

static void hear(struct child *c, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (text[i] != '\n')
			c->line[c->len++] = text[i];
		if (text[i] == '\n' || c->len == sizeof(c->line) - 1)
			say(c);
	}
}

/* A little at a time: other events have their turn. False: no more will come. */
static bool listen_once(struct child *c)
{
	char text[512];
	ssize_t n = read(c->said.fd, text, sizeof(text));

	if (n > 0)
		hear(c, text, (size_t)n);
	return n > 0 || (n < 0 && errno == EINTR);
}

static void on_said(void *opaque, u32 events)
{
	struct child *c = opaque;

	if (!listen_once(c) && events & EPOLLHUP)
		event_del(&c->said);
}

/* Its end */

static void release(struct child *c)
{
	/* What is still in the pipe; what its own children say later is nobody's. */
	for (unsigned int i = 0; i < 128 && listen_once(c); i++)
		;
	say(c);
	event_del(&c->said);
	event_del(&c->end);
	close(c->said.fd);
	close(c->end.fd);
	c->pid = 0;
}

static void forget(struct child *c)
{
	free((char *)c->name);
	c->name = NULL;
}

static void describe(int status, char *text, size_t len)
{
	if (WIFSIGNALED(status))
		snprintf(text, len, "signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(text, len, "exit status %d", WEXITSTATUS(status));
}

/* 0 where somebody else took its status (SIGCHLD was ignored when lkvm started). */
static int reap(struct child *c)
{
	int status = 0;

	while (waitpid(c->pid, &status, 0) < 0)
		if (errno != EINTR)
			return 0;
	return status;
}

static void on_end(void *opaque, u32 events)
{
	struct child *c = opaque;
	char text[64];
	int status = reap(c);

	release(c);
	describe(status, text, sizeof(text));
	debug("%s ended: %s", c->name, text);
	forget(c);
	if (c->ended)
		c->ended(c->opaque, status, text);
}

static bool ends_within(struct child *c, int ms)
{
	struct pollfd p = { .fd = c->end.fd, .events = POLLIN };
	u64 until = now_ns() + (u64)ms * 1000000;
	int ret;

	do {
		u64 now = now_ns();

		ret = poll(&p, 1, now < until ? (int)((until - now) / 1000000) + 1 : 0);
	} while (ret < 0 && errno == EINTR);
	return ret > 0;
}

void child_stop(struct child *c, unsigned int patience_ms)
{
	if (!c->pid)
		return;
	kill(c->pid, SIGTERM);
	if (!ends_within(c, (int)patience_ms)) {
		debug("%s does not end by SIGTERM", c->name);
		kill(c->pid, SIGKILL);
	}
	reap(c);
	release(c);
	forget(c);
}

/* Its start */

char *child_find(const char *name, const char *const *more)
{
	const char *path = getenv("PATH");

	if (strchr(name, '/'))
		return access(name, X_OK) ? NULL : xstrdup(name);
	while (path && *path) {
		size_t len = strcspn(path, ":");
		char *file = xasprintf("%.*s/%s", (int)len, path, name);

		if (len && !access(file, X_OK))
			return file;
		free(file);
		path += len + (path[len] == ':');
	}
	for (; more && *more; more++) {
		char *file = xasprintf("%s/%s", *more, name);

		if (!access(file, X_OK))
			return file;
		free(file);
	}
	return NULL;
}

/* 0, or why the program does not run. The end of the file: it does. */
static int await_exec(int fd)
{
	int ret = 0;
	ssize_t n;

	do
		n = read(fd, &ret, sizeof(ret));
	while (n < 0 && errno == EINTR);
	return n == sizeof(ret) ? ret : 0;
}

static int run(struct child *c, const struct child_spec *spec, int said)
{
	struct birth b = { .spec = spec, .parent = getpid(), .said = said };
	int failed[2] = { -1, -1 }, ret;

	b.null = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (b.null < 0 || pipe2(failed, O_CLOEXEC) < 0) {
		ret = -errno;
		goto out;
	}
	b.failed = failed[1];
	ret = give_birth(&b);
	close(failed[1]);
	if (ret > 0) {
		c->pid = ret;
		ret = await_exec(failed[0]);
		if (ret)
			reap(c);
	}
	close(failed[0]);
out:
	if (b.null >= 0)
		close(b.null);
	return ret;
}

/* It runs: @c watches it. */
static int watch(struct child *c, struct event_loop *loop, int said)
{
	int ret;

	c->end = (struct event){ .events = EPOLLIN, .fn = on_end, .opaque = c };
	c->said = (struct event){ .fd = said, .events = EPOLLIN, .fn = on_said, .opaque = c };
	c->end.fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
	if (c->end.fd < 0)
		return -errno;
	ret = event_add(loop, &c->said);
	if (!ret)
		ret = event_add(loop, &c->end);
	if (ret) {
		event_del(&c->said);
		close(c->end.fd);
	}
	return ret;
}

int child_start(struct child *c, struct event_loop *loop, const struct child_spec *spec)
{
	const char *slash = strrchr(spec->argv[0], '/');
	int said[2], ret = spec->nr_fds > 8 ? -E2BIG : 0;

	memset(c, 0, sizeof(*c));
	c->ended = spec->ended;
	c->opaque = spec->opaque;
	if (ret || pipe2(said, O_CLOEXEC) < 0) {
		ret = ret ? ret : -errno;
		goto fail;
	}
	fcntl(said[0], F_SETFL, O_NONBLOCK);
	ret = run(c, spec, said[1]);
	close(said[1]);
	if (!ret) {
		ret = watch(c, loop, said[0]);
		if (ret) {
			kill(c->pid, SIGKILL);
			reap(c);
		}
	}
	if (!ret) {
		c->name = xstrdup(slash ? slash + 1 : spec->argv[0]);
		return 0;
	}
	c->pid = 0;
	close(said[0]);
fail:
	err("%s: cannot start '%s': %s%s%s", spec->what, spec->argv[0], strerror(-ret),
	    limit_hint(ret), spec->hint && ret == -ENOENT ? spec->hint : "");
	return ret;
}
