/* SPDX-License-Identifier: MIT */
/*
 * The second connection of vhost-user, on which the back end asks (QEMU's
 * docs/interop/vhost-user.rst, "Back-end communication"). All that is of use here is that the
 * device's configuration changed; whatever else is asked for is refused. Nobody waits for the back
 * end: a message may come in pieces, and who does not take a reply is cut off.
 */
#include "channel.h"

#include <sys/socket.h>
#include <unistd.h>

#include "lkvm/util.h"

/* "Back-end message types" */
#define CONFIG_CHANGE_MSG 2

int vhost_channel_open(struct vhost_channel *c, int *theirs)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	c->fd = fds[0];
	c->have = 0;
	*theirs = fds[1];
	return 0;
}

void vhost_channel_close(struct vhost_channel *c)
{
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
}

/* As much of @len bytes as there is; descriptors that come along are dropped: no room for them. */
static int take(struct vhost_channel *c, void *to, u32 len)
{
	ssize_t n = recv(c->fd, to, len, MSG_DONTWAIT);

	if (!n)
		return -ENODATA;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	c->have += (u32)n;
	return 0;
}

static int reply(struct vhost_channel *c, u64 error)
{
	struct {
		struct vhost_header head;
		u64 error;
	} __attribute__((packed)) m = {
		.head = { c->head.request, FLAG_VERSION | FLAG_REPLY, sizeof(error) },
		.error = error,
	};
	ssize_t n = send(c->fd, &m, sizeof(m), MSG_NOSIGNAL | MSG_DONTWAIT);

	if (n < 0)
		return -errno;
	return n == (ssize_t)sizeof(m) ? 0 : -EPROTO;
}

int vhost_channel_hear(struct vhost_channel *c)
{
	u32 head = sizeof(c->head);
	bool changed;
	int ret = 0;

	if (c->have < head)
		ret = take(c, (u8 *)&c->head + c->have, head - c->have);
	if (ret || c->have < head)
		return ret;
	if ((c->head.flags & (FLAG_MASK | FLAG_REPLY)) != FLAG_VERSION ||
	    c->head.size > sizeof(c->rest))
		return -EPROTO;
	if (c->have < head + c->head.size)
		ret = take(c, c->rest + c->have - head, head + c->head.size - c->have);
	if (ret || c->have < head + c->head.size)
		return ret;
	c->have = 0;
	changed = c->head.request == CONFIG_CHANGE_MSG && !c->head.size;
	if (c->head.flags & FLAG_NEED_REPLY)
		ret = reply(c, !changed);
	return ret ? ret : changed;
}
