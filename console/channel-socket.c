/* SPDX-License-Identifier: MIT */
/* Channels that are sockets: one connection at a time; the next is accepted when that has ended. */
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "channel.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

/* Until somebody is asked to come again where the host lacked what a connection needs. */
#define RETRY_NS 100000000ULL

/* The listener stays in the loop, so that listening again cannot fail. */
static void listen_again(void *opaque)
{
	struct channel *ch = opaque;

	event_mod(&ch->accept_ev, EPOLLIN);
}

static void hang_up(struct channel *ch)
{
	channel_unwatch(ch);
	channel_connected(ch, false);
	listen_again(ch);
}

/* Who has said all may still listen: such a connection ends when that does, too. */
static void socket_ended(struct channel *ch, int error)
{
	struct pollfd pfd = { .fd = ch->in_fd };

	if (error || poll(&pfd, 1, 0) < 0 || (pfd.revents & (POLLHUP | POLLERR)))
		hang_up(ch);
}

/* Who came waits, and the loop would turn round and round. */
static void cannot_take(struct channel *ch, int error)
{
	guest_warn("--port %s: cannot take a connection, which waits: %s%s", ch->cfg->name,
		   strerror(error), limit_hint(-error));
	event_mod(&ch->accept_ev, 0);
	event_timer_set(&ch->accept_retry, RETRY_NS);
}

static void on_accept(void *opaque, u32 events)
{
	struct channel *ch = opaque;
	int fd = unix_accept(ch->listener.fd), ret;

	if (fd < 0) {
		if (fd != -EAGAIN)
			cannot_take(ch, -fd);
		return;
	}
	event_mod(&ch->accept_ev, 0);
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
	event_timer_destroy(&ch->accept_retry);
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
	event_timer_init(&ch->accept_retry, ch->loop, listen_again, ch);
	ret = event_add(ch->loop, &ch->accept_ev);
	if (ret)
		err("--port %s: cannot watch the socket: %s%s", ch->cfg->name, strerror(-ret),
		    limit_hint(ret));
	return ret;
}
