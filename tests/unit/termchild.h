/* SPDX-License-Identifier: MIT */
/*
 * For tests of the console on standard input and output: it runs in a process of its own, with the
 * standard streams that the test wants.
 */
#ifndef TEST_TERMCHILD_H
#define TEST_TERMCHILD_H

#include "unit.h"
#include "waits.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lkvm/console.h"
#include "lkvm/signals.h"
#include "lkvm/util.h"

/* The process under test: a console, and a device that reports what it gets. */

struct guest {
	struct event_loop loop;
	struct console *con;
	size_t room;  /* what the device takes now */
	size_t batch; /* refilled to this every millisecond; 0: never */
	struct event_timer refill, end;
	unsigned int ticks; /* until the end */
	atomic_bool paused;
	pthread_mutex_t lock;
};

enum {
	REPORT = 9,
	KEPT = 10, /* what a test puts there stays open in its child */
};

static inline void report(const void *data, size_t len)
{
	if (write_full(REPORT, data, len))
		_exit(99);
}

static inline size_t guest_room(void *opaque)
{
	struct guest *g = opaque;

	return g->room;
}

static inline void guest_input(void *opaque, const u8 *buf, size_t len)
{
	struct guest *g = opaque;

	if (len > g->room)
		_exit(98);
	g->room -= len;
	report(buf, len);
}

static inline void guest_resized(void *opaque, u16 cols, u16 rows)
{
	char text[32];

	report(text, (size_t)snprintf(text, sizeof(text), "<%ux%u>", cols, rows));
}

static inline void on_refill(void *opaque)
{
	struct guest *g = opaque;

	g->room = g->batch;
	g->con->ops->input_ready(g->con);
	event_timer_set(&g->refill, 1000000);
}

#define TICK_MS 10

static inline void on_end(void *opaque)
{
	struct guest *g = opaque;

	if (g->ticks) {
		g->ticks--;
		event_timer_set(&g->end, TICK_MS * 1000000ULL);
		return;
	}
	report("<end>", 5);
	event_loop_stop(&g->loop);
}

static inline void on_quit(void *opaque)
{
	struct guest *g = opaque;

	report("<quit>", 6);
	event_loop_stop(&g->loop);
}

static inline void on_power(void *opaque)
{
	report("<power>", 7);
}

static inline bool guest_paused(void *opaque)
{
	struct guest *g = opaque;

	return atomic_load(&g->paused) || atomic_load(&g->loop.stop);
}

static inline void guest_open(struct guest *g, size_t batch)
{
	const struct term_hooks hooks = {
		.quit = on_quit,
		.power_button = on_power,
		.wanted = guest_paused,
		.opaque = g,
	};
	const struct console_client client = {
		.room = guest_room,
		.input = guest_input,
		.resized = guest_resized,
		.opaque = g,
	};

	atomic_init(&g->paused, false);
	g->room = g->batch = batch;
	g->ticks = 0;
	if (event_loop_init(&g->loop, "main") || term_create(&g->loop, &hooks, &g->con))
		_exit(97);
	event_timer_init(&g->refill, &g->loop, on_refill, g);
	event_timer_init(&g->end, &g->loop, on_end, g);
	term_start(g->con);
	g->con->ops->set_client(g->con, &client);
	if (batch)
		event_timer_set(&g->refill, 1000000);
}

static inline void guest_print(struct guest *g, const char *text)
{
	g->con->ops->write(g->con, (const u8 *)text, strlen(text));
}

/*
 * For as many ticks as make @ms, so that a loop that lost the CPU meanwhile gets to all that waits
 * for it. 0: until somebody stops the loop.
 */
static inline void guest_run(struct guest *g, unsigned int ms)
{
	g->ticks = ms / TICK_MS;
	event_timer_set(&g->end, ms ? 1 : 0);
	event_loop_run(&g->loop);
}

static inline void guest_close(struct guest *g)
{
	g->con->ops->set_client(g->con, NULL);
	g->con->ops->destroy(g->con);
	event_timer_destroy(&g->end);
	event_timer_destroy(&g->refill);
	event_loop_destroy(&g->loop);
}

static unsigned int waits_before;

/* This process, not its parent before, has waited at most @max times. */
static inline void assert_waits(unsigned int max)
{
	unsigned int n = nr_waits() - waits_before;

	if (n > max) {
		dprintf(STDERR_FILENO, "# %u waits, maximum %u\n", n, max);
		_exit(3);
	}
}

/* The tests' side */

struct child {
	pid_t pid;
	int report;
};

/* Run @fn with these standard streams (-1: closed); they are closed here afterwards. */
static inline struct child start(void (*fn)(void), int in, int out, int error)
{
	struct rlimit no_core = { 0 };
	struct child c;
	int pipefd[2];

	assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
	c.report = pipefd[0];
	c.pid = fork();
	assert_true(c.pid >= 0);
	if (!c.pid) {
		int fds[3] = { in, out, error };

		waits_before = nr_waits();
		alarm(hang_seconds());
		setrlimit(RLIMIT_CORE, &no_core);
		/* A shell's background job inherits these ignored. */
		signal(SIGINT, SIG_DFL);
		signal(SIGQUIT, SIG_DFL);
		signals_init();
		for (int i = 0; i < 3; i++)
			if (fds[i] >= 0)
				fds[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 20);
		dup2(pipefd[1], REPORT);
		for (int i = 0; i < 3; i++) {
			if (fds[i] >= 0)
				dup2(fds[i], i);
			else
				close(i);
		}
		close_range(3, REPORT - 1, 0);
		close_range(KEPT + 1, ~0U, 0);
		fn();
		_exit(0);
	}
	close(pipefd[1]);
	return c;
}

/* Read from @fd until @want has come; returns all up to its end. */
static inline const char *expect(int fd, const char *want)
{
	static char text[8192];
	size_t len = 0;

	memset(text, 0, sizeof(text));
	while (!strstr(text, want) && len < sizeof(text) - 1) {
		struct pollfd pfd = { .fd = fd, .events = POLLIN };
		ssize_t n;

		if (poll(&pfd, 1, (int)hang_seconds() * 1000) <= 0)
			fail_msg("waiting for '%s', got '%s'", want, text);
		/* No byte more: what comes after is the next one's. */
		n = read(fd, text + len, 1);
		if (n <= 0)
			fail_msg("end while waiting for '%s', got '%s'", want, text);
		len += (size_t)n;
	}
	return text;
}

static inline int finish(struct child *c)
{
	int status;

	assert_int_equal(waitpid(c->pid, &status, 0), c->pid);
	close(c->report);
	return status;
}

static inline void assert_ends_well(struct child *c)
{
	int status = finish(c);

	if (!WIFEXITED(status) || WEXITSTATUS(status))
		fail_msg("the process ended with status 0x%x", status);
}

static inline void send_text(int fd, const char *text)
{
	assert_int_equal(write_full(fd, text, strlen(text)), 0);
}

static inline void make_pipe(int fds[2])
{
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
}

static inline int open_null(void)
{
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

#endif
