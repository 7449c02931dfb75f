/* SPDX-License-Identifier: MIT */
/*
 * Channels that are terminals: a device, or a pseudo-terminal that is made here, to which somebody
 * is connected while its other side is open. The kernel tells when that side is closed, but not
 * when it is opened; inotify does.
 */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "channel.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "tty.h"

static int cannot(const struct channel *ch, const char *what, int error)
{
	err("--port %s: cannot %s: %s%s", ch->cfg->name, what, strerror(error), limit_hint(-error));
	return -error;
}

static int make_raw(int fd, struct termios *saved)
{
	struct termios raw;

	if (tcgetattr(fd, saved) < 0)
		return -errno;
	raw = *saved;
	cfmakeraw(&raw);
	return tcsetattr(fd, TCSANOW, &raw) < 0 ? -errno : 0;
}

/* A terminal device */

static void tty_ended(struct channel *ch, int error)
{
	guest_warn("--port %s: %s hung up", ch->cfg->name, ch->cfg->path);
	channel_connected(ch, false);
}

static void tty_finish(struct channel *ch)
{
	if (ch->in_fd >= 0)
		tcsetattr(ch->in_fd, TCSANOW, &ch->saved);
}

static const struct channel_ops tty_ops = {
	.ended = tty_ended,
	.finish = tty_finish,
	.destroy = tty_finish,
};

static void tell_tty_size(struct channel *ch)
{
	u16 cols, rows;

	if (ch->has_client && ch->client.resized && tty_size(ch->in_fd, &cols, &rows))
		ch->client.resized(ch->client.opaque, cols, rows);
}

int channel_open_tty(struct channel *ch)
{
	const char *path = ch->cfg->path;
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), ret;

	if (fd < 0) {
		ret = -errno;
		err("--port %s: cannot open %s: %s%s", ch->cfg->name, path, strerror(-ret),
		    limit_hint(ret));
		return ret;
	}
	ret = make_raw(fd, &ch->saved);
	if (ret) {
		close(fd);
		if (ret != -ENOTTY)
			return cannot(ch, "set raw mode", -ret);
		err("--port %s: %s is not a terminal; use file= or pipe=", ch->cfg->name, path);
		return ret;
	}
	ch->ops = &tty_ops;
	ch->open = true;
	ret = channel_watch(ch, fd, fd);
	return ret ? cannot(ch, "watch the terminal", -ret) : 0;
}

/* A pseudo-terminal */

/* Whether the other side is open is told by the lack of a hang-up. */
static void look_at_other_side(struct channel *ch)
{
	struct pollfd pfd = { .fd = ch->in_fd };
	bool open = poll(&pfd, 1, 0) >= 0 && !(pfd.revents & POLLHUP);

	channel_connected(ch, open);
	if (open)
		tell_tty_size(ch);
}

static void pty_ended(struct channel *ch, int error)
{
	look_at_other_side(ch);
}

static void pty_event(struct channel *ch, u32 events)
{
	if (events & EPOLLHUP)
		look_at_other_side(ch);
}

static void on_opens(void *opaque, u32 events)
{
	struct channel *ch = opaque;
	char news[4096] __attribute__((aligned(8)));

	while (read(ch->opens_ev.fd, news, sizeof(news)) > 0)
		;
	look_at_other_side(ch);
}

static void pty_finish(struct channel *ch)
{
	if (ch->linked)
		unlink(ch->cfg->path);
	ch->linked = false;
}

static void pty_destroy(struct channel *ch)
{
	if (ch->opens_ev.fn) {
		event_del(&ch->opens_ev);
		close(ch->opens_ev.fd);
	}
	pty_finish(ch);
}

static const struct channel_ops pty_ops = {
	.ended = pty_ended,
	.event = pty_event,
	.finish = pty_finish,
	.destroy = pty_destroy,
};

/* Be told when @name is opened; and once it was, the kernel tells when it is closed. */
static int watch_opens(struct channel *ch, const char *name)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), slave, ret;

	if (fd < 0)
		return -errno;
	ch->opens_ev = (struct event){ .fd = fd, .events = EPOLLIN, .fn = on_opens, .opaque = ch };
	if (inotify_add_watch(fd, name, IN_OPEN | IN_CLOSE) < 0)
		return -errno;
	slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return -errno;
	ret = make_raw(slave, &ch->saved);
	close(slave);
	return ret ? ret : event_add(ch->loop, &ch->opens_ev);
}

/* A name that stays the same: it replaces nothing but a link. */
static int link_name(struct channel *ch, const char *name)
{
	const char *link = ch->cfg->path;
	char old[64];

	if (!link)
		return 0;
	if (readlink(link, old, sizeof(old)) > 0)
		unlink(link);
	ch->linked = !symlink(name, link);
	if (ch->linked)
		return 0;
	err("--port %s: cannot make the link %s: %s", ch->cfg->name, link, strerror(errno));
	return -errno;
}

int channel_open_pty(struct channel *ch)
{
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), ret;
	char name[64];

	if (fd < 0)
		return cannot(ch, "make a pseudo-terminal", errno);
	if (grantpt(fd) < 0 || unlockpt(fd) < 0 || ptsname_r(fd, name, sizeof(name)) ||
	    fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0) {
		ret = cannot(ch, "make a pseudo-terminal", errno);
		close(fd);
		return ret;
	}
	ret = watch_opens(ch, name);
	if (!ret)
		ret = channel_watch(ch, fd, fd);
	ch->ops = &pty_ops;
	if (ret) {
		if (ch->in_fd < 0)
			close(fd);
		return cannot(ch, "watch the pseudo-terminal", -ret);
	}
	ret = link_name(ch, name);
	if (ret)
		return ret;
	info("--port %s: %s", ch->cfg->name, name);
	return 0;
}
