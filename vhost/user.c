/* SPDX-License-Identifier: MIT */
/*
 * vhost-user, the front end's half (QEMU's docs/interop/vhost-user.rst): the table of a back end,
 * and how it is opened. What goes over the socket is user-wire.c's, the memory user-memory.c's.
 */
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/unix.h"
#include "user.h"

static int tell_state(struct vhost *v, u32 what, u32 index, u32 num)
{
	struct message m = {
		.request = what,
		.size = sizeof(m.p.state),
		.p.state = { .index = index, .num = num },
	};

	return vhost_user_tell(v, &m, NULL, 0);
}

static int tell_fd(struct vhost *v, u32 what, u16 ring, int fd)
{
	struct message m = { .request = what, .size = sizeof(u64), .p.number = ring };

	return vhost_user_tell(v, &m, &fd, 1);
}

/* The table */

static int user_set_features(struct vhost *v, u64 features)
{
	if (to_user(v)->protocol_offered)
		features |= BIT_ULL(F_PROTOCOL_FEATURES);
	return vhost_user_tell_number(v, SET_FEATURES, features);
}

static int user_start_ring(struct vhost *v, const struct vhost_ring *ring)
{
	struct message addr = {
		.request = SET_VRING_ADDR,
		.size = sizeof(addr.p.addr),
		.p.addr = {
			.index = ring->index,
			.desc_user_addr = (uintptr_t)ring->desc,
			.avail_user_addr = (uintptr_t)ring->avail,
			.used_user_addr = (uintptr_t)ring->used,
		},
	};
	int ret = tell_state(v, SET_VRING_NUM, ring->index, ring->size);

	if (!ret)
		ret = tell_state(v, SET_VRING_BASE, ring->index, ring->base);
	if (!ret)
		ret = vhost_user_tell(v, &addr, NULL, 0);
	if (!ret)
		ret = tell_fd(v, SET_VRING_CALL, ring->index, ring->call);
	/* "Ring states": from here on it runs. */
	if (!ret)
		ret = tell_fd(v, SET_VRING_KICK, ring->index, ring->kick);
	if (!ret && to_user(v)->protocol_offered)
		ret = tell_state(v, SET_VRING_ENABLE, ring->index, 1);
	return ret;
}

static int user_set_call(struct vhost *v, u16 ring, int fd)
{
	return tell_fd(v, SET_VRING_CALL, ring, fd);
}

static int user_stop_ring(struct vhost *v, u16 ring, u32 *base)
{
	struct message m = {
		.request = GET_VRING_BASE,
		.size = sizeof(m.p.state),
		.p.state.index = ring,
	};
	int ret = vhost_user_request(v, &m, NULL, 0);

	if (!ret)
		ret = vhost_user_answer(v, &m, sizeof(m.p.state));
	if (!ret && m.p.state.index != ring)
		return vhost_user_lose(v, -EPROTO, "stopped another ring than it was asked to");
	*base = ret ? 0 : m.p.state.num;
	return ret;
}

static int user_get_config(struct vhost *v, void *buf, u32 len)
{
	struct message m = { .request = GET_CONFIG, .p.config.size = len };
	u32 size = (u32)offsetof(union payload, config.bytes) + len;
	int ret;

	if (!(to_user(v)->protocol & BIT_ULL(P_CONFIG)) || len > MAX_CONFIG)
		return -ENOTSUP;
	m.size = size;
	ret = vhost_user_request(v, &m, NULL, 0);
	if (!ret)
		ret = vhost_user_answer(v, &m, size);
	if (!ret && (m.p.config.offset || m.p.config.size != len))
		return vhost_user_lose(v, -EPROTO,
				       "sent another part of its configuration than was asked");
	if (!ret)
		memcpy(buf, m.p.config.bytes, len);
	return ret;
}

static bool user_check(struct vhost *v)
{
	struct pollfd p = { .fd = v->fd, .events = POLLIN };
	u8 byte;
	ssize_t n;

	if (v->gone)
		return true;
	if (poll(&p, 1, 0) <= 0)
		return false;
	n = recv(v->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return false;
	vhost_user_lose(v, -EPIPE,
			n > 0 ? "sent what it was not asked for" : "closed the connection");
	return true;
}

static int user_set_config(struct vhost *v, u32 offset, const void *buf, u32 len)
{
	struct message m = {
		.request = SET_CONFIG,
		.size = (u32)offsetof(union payload, config.bytes) + len,
		.p.config = { .offset = offset, .size = len },
	};

	if (!(to_user(v)->protocol & BIT_ULL(P_CONFIG)) || len > MAX_CONFIG)
		return -ENOTSUP;
	memcpy(m.p.config.bytes, buf, len);
	return vhost_user_tell(v, &m, NULL, 0);
}

static void user_hear(struct vhost *v)
{
	int ret = v->gone ? 0 : vhost_user_listen(v);

	/* With the end of this connection comes that of the other one. */
	if (ret)
		vhost_user_lose(v, ret, vhost_user_error(ret));
}

static void user_close(struct vhost *v)
{
	vhost_channel_close(&to_user(v)->channel);
	close(v->fd);
	free(to_user(v)->regions);
	free((char *)v->what);
	free(to_user(v));
}

static const struct vhost_ops user_ops = {
	.set_features = user_set_features,
	.set_memory = vhost_user_set_memory,
	.start_ring = user_start_ring,
	.set_call = user_set_call,
	.stop_ring = user_stop_ring,
	.get_config = user_get_config,
	.set_config = user_set_config,
	.hear = user_hear,
	.check = user_check,
	.close = user_close,
};

/* Opening */

/* Whoever can ask is given the way to. */
static int open_channel(struct vhost_user *u)
{
	struct message m = { .request = SET_BACKEND_REQ_FD };
	int theirs, ret;

	if (!(u->protocol & BIT_ULL(P_BACKEND_REQ)))
		return 0;
	ret = vhost_channel_open(&u->channel, &theirs);
	if (ret) {
		err("%s: cannot make a connection for its back end: %s", u->v.what, strerror(-ret));
		return ret;
	}
	ret = vhost_user_tell(&u->v, &m, &theirs, 1);
	close(theirs);
	u->v.channel = u->channel.fd;
	return ret;
}

static int negotiate(struct vhost_user *u)
{
	struct message owner = { .request = SET_OWNER };
	u64 offered = 0, queues = 0;
	int ret = vhost_user_ask_number(&u->v, GET_FEATURES, &u->v.features);

	if (!ret)
		ret = vhost_user_request(&u->v, &owner, NULL, 0);
	u->protocol_offered = u->v.features & BIT_ULL(F_PROTOCOL_FEATURES);
	u->v.max_queues = 1;
	if (ret || !u->protocol_offered)
		return ret;
	u->v.features &= ~BIT_ULL(F_PROTOCOL_FEATURES);
	ret = vhost_user_ask_number(&u->v, GET_PROTOCOL_FEATURES, &offered);
	if (!ret)
		ret = vhost_user_tell_number(&u->v, SET_PROTOCOL_FEATURES, offered & P_WANTED);
	if (ret)
		return ret;
	u->protocol = offered & P_WANTED;
	if (u->protocol & BIT_ULL(P_MQ))
		ret = vhost_user_ask_number(&u->v, GET_QUEUE_NUM, &queues);
	if (queues)
		u->v.max_queues = (u16)MIN(queues, (u64)0xffff);
	if (!ret)
		ret = vhost_user_count_slots(&u->v);
	return ret ? ret : open_channel(u);
}

int vhost_user_open(const char *path, int fd, const char *what, struct vhost **out)
{
	struct vhost_user *u;
	int ret;

	if (path) {
		fd = unix_connect(path);
		if (fd < 0) {
			err("%s: cannot connect: %s; start the program that serves it first", what,
			    strerror(-fd));
			return fd;
		}
	}
	u = xcalloc(1, sizeof(*u));
	u->v.ops = &user_ops;
	u->v.what = xstrdup(what);
	u->v.fd = fd;
	u->v.channel = u->channel.fd = -1;
	u->opening = true;
	ret = negotiate(u);
	u->opening = false;
	log_progress_end();
	if (!ret && !(u->v.features & BIT_ULL(VIRTIO_F_VERSION_1))) {
		err("%s: the back end is for legacy drivers only (no VERSION_1)", what);
		ret = -ENOTSUP;
	}
	if (ret) {
		user_close(&u->v);
		return ret;
	}
	*out = &u->v;
	return 0;
}
