/* SPDX-License-Identifier: MIT */
/*
 * Between lkvm's standard streams and its init (console/guest-command.c) with no machine between
 * them: the port is socket FD. `command FD`; ends with the status that init tells. For command.t.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "lkvm/console.h"
#include "lkvm/guest-command.h"
#include "lkvm/log.h"
#include "lkvm/signals.h"
#include "lkvm/util.h"

/* What the virtio device would be: of its buffers there are as many as the socket takes. */
static struct {
	struct event_loop loop;
	struct console *term, *port;
	struct guest_command *command;
	struct event ev, signals;
	int fd, status;
	bool full;
} t;

static size_t port_room(void *opaque)
{
	return t.full ? 0 : 4096;
}

/* The socket's buffer is large: it takes a message, or is gone. */
static void port_input(void *opaque, const u8 *buf, size_t len)
{
	while (len) {
		ssize_t n = write(t.fd, buf, len);

		if (n > 0) {
			buf += n;
			len -= (size_t)n;
		} else if (n < 0 && errno == EAGAIN) {
			t.full = true;
			event_mod(&t.ev, EPOLLIN | EPOLLOUT);
			/* What is left is waited for; the next has to wait. */
			usleep(1000);
		} else {
			return;
		}
	}
}

static void on_socket(void *opaque, u32 events)
{
	u8 buf[16384];
	ssize_t n;

	if (t.full && (events & EPOLLOUT)) {
		t.full = false;
		event_mod(&t.ev, EPOLLIN);
		t.port->ops->input_ready(t.port);
	}
	if (!(events & ~(u32)EPOLLOUT))
		return;
	n = read(t.fd, buf, sizeof(buf));
	if (n > 0)
		(void)console_offer(t.port, buf, (size_t)n);
	else if (n == 0 || errno != EAGAIN)
		event_loop_stop(&t.loop);
}

static void on_ended(void *opaque, int status)
{
	t.status = status;
	event_loop_stop(&t.loop);
}

static void on_signal(void *opaque, u32 events)
{
	struct signalfd_siginfo info;

	if (read(t.signals.fd, &info, sizeof(info)) == sizeof(info) &&
	    !guest_command_signal(t.command, (int)info.ssi_signo))
		event_loop_stop(&t.loop);
}

static int watch(struct event *ev, int fd, void (*fn)(void *opaque, u32 events))
{
	*ev = (struct event){ .fd = fd, .events = EPOLLIN, .fn = fn };
	return event_add(&t.loop, ev);
}

int main(int argc, char **argv)
{
	const struct console_client client = { .room = port_room, .input = port_input };
	const struct term_hooks hooks = { 0 };
	sigset_t set;

	if (argc != 2)
		return 2;
	t.fd = atoi(argv[1]);
	t.status = -1;
	signals_init();
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (fcntl(t.fd, F_SETFL, O_NONBLOCK) < 0 || event_loop_init(&t.loop, "command") ||
	    term_create(&t.loop, &hooks, &t.term) ||
	    guest_command_create(&t.loop, t.term, on_ended, NULL, &t.command) ||
	    watch(&t.ev, t.fd, on_socket) ||
	    watch(&t.signals, signalfd(-1, &set, SFD_CLOEXEC), on_signal)) {
		perror("command");
		return 2;
	}
	t.port = guest_command_port(t.command);
	t.port->ops->set_client(t.port, &client);
	term_start(t.term);
	event_loop_run(&t.loop);
	guest_command_destroy(t.command);
	t.term->ops->set_client(t.term, NULL);
	t.term->ops->destroy(t.term);
	event_del(&t.ev);
	event_del(&t.signals);
	event_loop_destroy(&t.loop);
	return t.status < 0 ? 1 : t.status;
}
