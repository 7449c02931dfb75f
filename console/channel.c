/* SPDX-License-Identifier: MIT */
/*
 * What stands behind a port of virtio-console, but for lkvm's own terminal: a pseudo-terminal, a
 * terminal device, a file, two pipes, or whoever connects to a socket. Nothing here waits: a port
 * is served by the main loop. All descriptors are watched for edges, so one with nobody to read or
 * write costs nothing.
 */
#include "channel.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define READ_SIZE    4096
#define READ_ROUNDS  16 /* before other events have a turn */
#define WAIT_MS	     100
#define LAST_WAIT_MS 2000

static struct channel *to_channel(struct console *con)
{
	return container_of(con, struct channel, con);
}

/* Once, until it works again. */
static void tell_failure(struct channel *ch, const char *what, int error)
{
	if (!ch->failing)
		guest_warn("--port %s: cannot %s: %s", ch->cfg->name, what, strerror(error));
	ch->failing = true;
}

void channel_connected(struct channel *ch, bool on)
{
	if (ch->open == on)
		return;
	ch->open = on;
	ch->failing = false;
	if (ch->has_client && ch->client.connected)
		ch->client.connected(ch->client.opaque, on);
	/* What waits for room would wait for ever: there is nobody to make any. */
	if (!on && ch->refused && ch->has_client) {
		ch->refused = false;
		ch->client.writable(ch->client.opaque);
	}
	if (on)
		event_loop_post(ch->loop, &ch->resume);
}

/* Input */

/* False: no more now. */
static bool read_once(struct channel *ch)
{
	u8 buf[READ_SIZE];
	size_t room;
	ssize_t n;

	ch->starved = true;
	room = ch->has_client ? ch->client.room(ch->client.opaque) : 0;
	if (!room)
		return false;
	ch->starved = false;
	n = read(ch->in_fd, buf, MIN(room, sizeof(buf)));
	if (n > 0) {
		ch->client.input(ch->client.opaque, buf, (size_t)n);
		return true;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	ch->ops->ended(ch, n ? errno : 0);
	return false;
}

static void pump(struct channel *ch)
{
	for (int i = 0; i < READ_ROUNDS; i++)
		if (!ch->open || ch->in_fd < 0 || !read_once(ch))
			return;
	event_loop_post(ch->loop, &ch->resume);
}

static void on_resume(void *opaque)
{
	pump(opaque);
}

static void on_ready(void *opaque, u32 events)
{
	struct channel *ch = opaque;

	if (ch->ops->event)
		ch->ops->event(ch, events);
	if ((events & EPOLLOUT) && ch->refused && ch->has_client) {
		ch->refused = false;
		ch->client.writable(ch->client.opaque);
	}
	if (events & ~(u32)EPOLLOUT)
		pump(ch);
}

int channel_watch(struct channel *ch, int in_fd, int out_fd)
{
	int ret = 0;

	ch->in_fd = in_fd;
	ch->out_fd = out_fd;
	ch->in_ev = (struct event){
		.fd = in_fd, .events = EPOLLIN | EPOLLRDHUP | EPOLLET, .fn = on_ready, .opaque = ch
	};
	if (in_fd == out_fd)
		ch->in_ev.events |= EPOLLOUT;
	ch->out_ev = (struct event){
		.fd = out_fd, .events = EPOLLOUT | EPOLLET, .fn = on_ready, .opaque = ch
	};
	if (in_fd >= 0)
		ret = event_add(ch->loop, &ch->in_ev);
	if (!ret && out_fd != in_fd)
		ret = event_add(ch->loop, &ch->out_ev);
	/* A file takes all, always. */
	return ret == -EPERM ? 0 : ret;
}

void channel_unwatch(struct channel *ch)
{
	event_del(&ch->in_ev);
	event_del(&ch->out_ev);
	if (ch->in_fd >= 0)
		close(ch->in_fd);
	if (ch->out_fd >= 0 && ch->out_fd != ch->in_fd)
		close(ch->out_fd);
	ch->in_fd = ch->out_fd = -1;
}

/* Output */

static size_t channel_offer(struct console *con, const u8 *buf, size_t len)
{
	struct channel *ch = to_channel(con);
	size_t done = 0;

	while (done < len && ch->open) {
		ssize_t n = write(ch->out_fd, buf + done, len - done);

		if (n >= 0) {
			done += (size_t)n;
			ch->failing = false;
		} else if (errno == EAGAIN) {
			ch->refused = true;
			return done;
		} else if (errno != EINTR) {
			/* Space may come back; what there is no place for now is dropped. */
			if (errno != EPIPE && errno != ECONNRESET && errno != EIO)
				tell_failure(ch, "write", errno);
			return len;
		}
	}
	return len;
}

/* Last words, or a reader who took its time. */
static void channel_write(struct console *con, const u8 *buf, size_t len)
{
	struct channel *ch = to_channel(con);
	u64 last = now_ns();

	while (len && now_ns() - last < LAST_WAIT_MS * 1000000ULL) {
		struct pollfd pfd = { .fd = ch->out_fd, .events = POLLOUT };
		size_t n = channel_offer(con, buf, len);

		buf += n;
		len -= n;
		if (n)
			last = now_ns();
		else
			poll(&pfd, 1, WAIT_MS);
	}
	if (len)
		warn("--port %s: is not read; the last %zu bytes of guest output are dropped",
		     ch->cfg->name, len);
}

/* The rest of a console */

static void channel_set_client(struct console *con, const struct console_client *client)
{
	struct channel *ch = to_channel(con);

	ch->has_client = client;
	ch->refused = false;
	if (!client)
		return;
	ch->client = *client;
	if (client->connected)
		client->connected(client->opaque, ch->open);
	event_loop_post(ch->loop, &ch->resume);
}

static void channel_input_ready(struct console *con)
{
	struct channel *ch = to_channel(con);

	if (ch->starved)
		event_loop_post(ch->loop, &ch->resume);
}

static void channel_finish(struct console *con)
{
	struct channel *ch = to_channel(con);

	if (ch->ops->finish)
		ch->ops->finish(ch);
}

static void channel_destroy(struct console *con)
{
	struct channel *ch = to_channel(con);

	event_loop_unpost(ch->loop, &ch->resume);
	if (ch->ops && ch->ops->destroy)
		ch->ops->destroy(ch);
	channel_unwatch(ch);
	free(ch);
}

static const struct console_ops channel_console_ops = {
	.write = channel_write,
	.set_client = channel_set_client,
	.input_ready = channel_input_ready,
	.finish = channel_finish,
	.destroy = channel_destroy,
	.offer = channel_offer,
};

struct channel *channel_new(struct event_loop *loop, const struct port_config *cfg)
{
	struct channel *ch = xcalloc(1, sizeof(*ch));

	ch->con.ops = &channel_console_ops;
	ch->loop = loop;
	ch->cfg = cfg;
	ch->in_fd = ch->out_fd = -1;
	ch->resume = (struct event_post){ .fn = on_resume, .opaque = ch };
	return ch;
}
