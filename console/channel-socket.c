/* SPDX-License-Identifier: MIT */
/* Channels that are sockets: one connection at a time; the next is accepted when that has ended. */
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

static int listen_on(struct channel *ch)
{
	return event_add(ch->loop, &ch->accept_ev);
}

static void hang_up(struct channel *ch)
{
	channel_unwatch(ch);
	channel_connected(ch, false);
	if (listen_on(ch))
		guest_warn("--port %s: takes no more connections", ch->cfg->name);
}

/* Who has said all may still listen: such a connection ends when that does, too. */
static void socket_ended(struct channel *ch, int error)
{
	struct pollfd pfd = { .fd = ch->in_fd };

	if (error || poll(&pfd, 1, 0) < 0 || (pfd.revents & (POLLHUP | POLLERR)))
		hang_up(ch);
}

static void on_accept(void *opaque, u32 events)
{
	struct channel *ch = opaque;
	int fd = accept4(ch->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK), ret;

	if (fd < 0) {
		/* Who wanted to come has gone; or there is no descriptor, and the loop would turn
		 * round and round. */
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM) {
			guest_warn("--port %s: cannot take a connection: %s%s", ch->cfg->name,
				   strerror(errno), limit_hint(-errno));
			event_del(&ch->accept_ev);
		}
		return;
	}
	event_del(&ch->accept_ev);
	ret = channel_watch(ch, fd, fd);
	if (!ret) {
		channel_connected(ch, true);
		return;
	}
	guest_warn("--port %s: cannot watch a connection: %s", ch->cfg->name, strerror(-ret));
	hang_up(ch);
}

static void socket_finish(struct channel *ch)
{
	unix_listener_forget(&ch->listener);
}

static void socket_destroy(struct channel *ch)
{
	event_del(&ch->accept_ev);
	unix_listener_close(&ch->listener);
}

static const struct channel_ops socket_ops = {
	.ended = socket_ended,
	.finish = socket_finish,
	.destroy = socket_destroy,
};

int channel_open_socket(struct channel *ch)
{
	char *what = xasprintf("--port %s", ch->cfg->name);
	int ret = unix_listen(&ch->listener, ch->cfg->path, what);

	free(what);
	if (ret)
		return ret;
	ch->ops = &socket_ops;
	ch->accept_ev = (struct event){
		.fd = ch->listener.fd, .events = EPOLLIN, .fn = on_accept, .opaque = ch
	};
	ret = listen_on(ch);
	if (ret)
		err("--port %s: cannot watch the socket: %s%s", ch->cfg->name, strerror(-ret),
		    limit_hint(ret));
	return ret;
}
