/* SPDX-License-Identifier: MIT */
/*
 * One command from its start to its end: its output to lkvm, lkvm's input and signals to it, and
 * children of others that ended. When the command ends, so does all that it left behind: then its
 * pipes have an end too, and no output is missed.
 */
#include <asm/signal.h>
#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/signalfd.h>
#include <linux/wait.h>

#include "init.h"
#include "lkvm/guest-link.h"

/* glibc's SIGRTMIN + 4, which asks systemd to power off. */
#define SIG_POWEROFF 38
/* What is read at once is one message, and that one buffer of the port's driver. */
#define CHUNK (LINK_MAX - sizeof(struct link_head))
/* Room is told of when there is that much more of it: lkvm has the rest of it meanwhile. */
#define GRANT_STEP (LINK_STDIN_ROOM / 4)

static struct {
	struct child child;
	bool ended; /* the command, and all others with it */
	u32 status;
	u32 window[LINK_NR_STREAMS]; /* what lkvm takes of each */
	int signals;

	/* Standard input on its way: a ring. */
	u8 input[LINK_STDIN_ROOM];
	size_t input_at, input_len;
	size_t input_owed; /* was taken, and lkvm was not told that there is room for more */
	bool input_ended;
} s;

static void open_signals(void)
{
	const u64 mask = 1ULL << (SIGCHLD - 1) | 1ULL << (SIGUSR1 - 1) | 1ULL << (SIGUSR2 - 1) |
			 1ULL << (SIGTERM - 1) | 1ULL << (SIG_POWEROFF - 1);

	sys(rt_sigprocmask, SIG_BLOCK, &mask, NULL, sizeof(mask));
	s.signals = (int)sys(signalfd4, -1, &mask, sizeof(mask), SFD_CLOEXEC | SFD_NONBLOCK);
}

static void close_stream(int i)
{
	if (s.child.fds[i] >= 0)
		sys(close, s.child.fds[i]);
	s.child.fds[i] = -1;
}

/* The end of the command */

static u32 status_of(int wait_status)
{
	int sig = wait_status & 0x7f;

	return sig ? STATUS_SIGNAL(sig) : (u32)(wait_status >> 8 & 0xff);
}

/* All others end now, and what they had open is closed. */
static void end_all(u32 status)
{
	long ret;

	s.ended = true;
	s.status = status;
	sys(kill, -1, SIGKILL);
	do {
		ret = sys(wait4, -1, NULL, 0, NULL);
	} while (ret != -ECHILD);
	if (s.child.slave >= 0)
		sys(close, s.child.slave);
	s.child.slave = -1;
	close_stream(LINK_STDIN);
}

static void reap(void)
{
	int status;
	long pid;

	while (!s.ended && (pid = sys(wait4, -1, &status, WNOHANG, NULL)) > 0)
		if (pid == s.child.pid)
			end_all(status_of(status));
}

static void on_signals(void)
{
	struct signalfd_siginfo info;

	while (!s.ended && sys(read, s.signals, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGCHLD)
			reap();
		else /* `poweroff` and its like speak to process 1 */
			end_all(0);
	}
}

/* Output */

static void on_output(int i)
{
	static u8 buf[CHUNK];
	size_t room = s.window[i] < CHUNK ? s.window[i] : CHUNK;
	long n = sys(read, s.child.fds[i], buf, room);

	if (n > 0) {
		s.window[i] -= (u32)n;
		link_send(LINK_DATA, (u8)i, buf, (size_t)n);
	} else if (n != -EAGAIN && n != -EINTR) {
		/* EIO: nobody has the terminal open any more. */
		if (i != LINK_TERMINAL)
			link_send(LINK_EOF, (u8)i, NULL, 0);
		close_stream(i);
	}
}

/* Input */

static int input_fd(void)
{
	return s.child.fds[s.child.slave >= 0 ? LINK_TERMINAL : LINK_STDIN];
}

static void grant_input(size_t bytes)
{
	struct link_window window;

	s.input_owed += bytes;
	if (s.input_owed < GRANT_STEP)
		return;
	window.bytes = (u32)s.input_owed;
	s.input_owed = 0;
	link_send(LINK_WINDOW, LINK_STDIN, &window, sizeof(window));
}

static void take_input(const u8 *data, size_t len)
{
	if (len > sizeof(s.input) - s.input_len)
		end(STATUS_FAILED, "lkvm sent more input than there was room for");
	for (size_t i = 0; i < len; i++)
		s.input[(s.input_at + s.input_len++) % sizeof(s.input)] = data[i];
}

/* The command reads no more: lkvm is not asked for any. */
static void drop_input(void)
{
	s.input_len = 0;
	if (s.child.slave < 0)
		close_stream(LINK_STDIN);
}

static void feed_input(void)
{
	size_t first = sizeof(s.input) - s.input_at, done = 0;

	while (s.input_len) {
		size_t chunk = s.input_len < first ? s.input_len : first;
		long n = sys(write, input_fd(), s.input + s.input_at, chunk);

		if (n == -EAGAIN || n == -EINTR)
			break;
		if (n <= 0) {
			drop_input();
			return;
		}
		s.input_at = (s.input_at + (size_t)n) % sizeof(s.input);
		s.input_len -= (size_t)n;
		first = sizeof(s.input) - s.input_at;
		done += (size_t)n;
	}
	if (done)
		grant_input(done);
	if (!s.input_len && s.input_ended)
		drop_input();
}

/* Messages */

static void on_host_signal(u32 number)
{
	if (!number || number > 31 || s.ended)
		return;
	sys(kill, -s.child.pid, number);
	/* A shell on a terminal obeys the end of the line, not the wish to end. */
	if (s.child.slave >= 0 && (number == SIGTERM || number == SIGHUP)) {
		sys(kill, -s.child.pid, SIGHUP);
		sys(kill, -s.child.pid, SIGCONT);
	}
}

static u32 first_u32(const struct link_head *head, const u8 *data)
{
	u32 value = 0;

	if (head->len >= sizeof(value))
		memcpy(&value, data, sizeof(value));
	return value;
}

static void on_message(const struct link_head *head, const u8 *data)
{
	u32 value = first_u32(head, data);
	u8 i = head->stream;

	if (i >= LINK_NR_STREAMS)
		return;
	switch (head->type) {
	case LINK_DATA:
		if (input_fd() >= 0)
			take_input(data, head->len);
		break;
	case LINK_EOF:
		s.input_ended = true;
		break;
	case LINK_WINDOW:
		s.window[i] += value;
		break;
	case LINK_CLOSED:
		/* Of the terminal: it hangs up, as a window that is closed. */
		if (i != LINK_STDIN)
			close_stream(i);
		break;
	case LINK_SIGNAL:
		on_host_signal(value);
		break;
	case LINK_SIZE:
		if (s.child.slave >= 0)
			set_size(s.child.slave, value & 0xffff, value >> 16);
		break;
	}
}

static void take_messages(void)
{
	struct link_head head;
	const u8 *data;

	while (link_next(&head, &data))
		on_message(&head, data);
	if (!s.ended && input_fd() >= 0)
		feed_input();
}

static void on_link(void)
{
	bool there = link_read();

	take_messages();
	if (!there && !s.ended)
		end_all(STATUS_FAILED);
}

/* The loop */

enum { POLL_LINK = LINK_NR_STREAMS, POLL_SIGNALS, NR_POLLS };

static bool output_left(void)
{
	for (int i = LINK_STDOUT; i < LINK_NR_STREAMS; i++)
		if (s.child.fds[i] >= 0)
			return true;
	return false;
}

/* Which of the streams are of interest: a hang-up would be told of all others again and again. */
static void choose(struct pollfd polls[NR_POLLS])
{
	for (int i = 0; i < LINK_NR_STREAMS; i++) {
		bool input = s.input_len && s.child.fds[i] == input_fd();
		bool output = i != LINK_STDIN && s.window[i];

		polls[i] = (struct pollfd){
			.fd = input || output ? s.child.fds[i] : -1,
			.events = (short)((input ? POLLOUT : 0) | (output ? POLLIN : 0)),
		};
	}
	polls[POLL_LINK] = (struct pollfd){ .fd = link_fd(), .events = POLLIN };
	polls[POLL_SIGNALS] = (struct pollfd){ .fd = s.ended ? -1 : s.signals, .events = POLLIN };
}

static void turn(void)
{
	struct pollfd polls[NR_POLLS];

	/* Without lkvm there is nobody to run for. */
	if (!link_is_open()) {
		end_all(STATUS_FAILED);
		return;
	}
	choose(polls);
	if (sys(ppoll, polls, NR_POLLS, NULL, NULL) <= 0)
		return;
	if (polls[POLL_LINK].revents)
		on_link();
	for (int i = LINK_STDOUT; i < LINK_NR_STREAMS; i++)
		if ((polls[i].revents & ~POLLOUT) && s.window[i] && s.child.fds[i] >= 0)
			on_output(i);
	if (!s.ended && s.input_len && input_fd() >= 0)
		feed_input();
	if (polls[POLL_SIGNALS].revents)
		on_signals();
}

static struct link_start take_start(void)
{
	struct link_start start = { 0 };
	struct link_head head;
	const u8 *data;

	do {
		if (!link_wait(&head, &data))
			end(STATUS_FAILED, NULL);
	} while (head.type != LINK_START || head.len < sizeof(start));
	memcpy(&start, data, sizeof(start));
	if (start.version != LINK_VERSION)
		end(STATUS_FAILED, "this init is another lkvm's");
	return start;
}

u32 session_run(char **command)
{
	struct link_start start = take_start();

	open_signals();
	spawn(&s.child, command, &start);
	link_send(LINK_RUNNING, 0, NULL, 0);
	grant_input(sizeof(s.input));
	/* What came with the first answer. */
	take_messages();
	while (!s.ended || (link_is_open() && output_left()))
		turn();
	return s.status;
}

u32 session_on_console(char **command)
{
	struct pollfd poll;

	open_signals();
	s.child = (struct child){ .fds = { -1, -1, -1, -1 }, .slave = -1 };
	s.child.pid = spawn_on_console(command);
	while (!s.ended) {
		poll = (struct pollfd){ .fd = s.signals, .events = POLLIN };
		sys(ppoll, &poll, 1, NULL, NULL);
		on_signals();
	}
	return s.status;
}
