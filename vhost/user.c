/* SPDX-License-Identifier: MIT */
/*
 * vhost-user, the front end's half (QEMU's docs/interop/vhost-user.rst): messages with descriptors
 * over a unix stream socket. Who is at the other end is not trusted: no length and no number of it
 * is used before it was checked, and nothing that it sends is taken but as the answer that is due.
 */
#include <linux/vhost_types.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "channel.h"
#include "lkvm/log.h"
#include "lkvm/unix.h"
#include "lkvm/util.h"
#include "lkvm/vhost.h"

/* "Front-end message types" */
enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
	SET_BACKEND_REQ_FD = 21,
	GET_CONFIG = 24,
	SET_CONFIG = 25,
};

#define F_PROTOCOL_FEATURES 30 /* among the device's features */
/* "Protocol features" */
#define P_MQ	      0
#define P_REPLY_ACK   3
#define P_BACKEND_REQ 5
#define P_CONFIG      9
#define P_WANTED      (BIT_ULL(P_MQ) | BIT_ULL(P_REPLY_ACK) | BIT_ULL(P_BACKEND_REQ) | BIT_ULL(P_CONFIG))

#define MAX_REGIONS 8u	 /* "A memory regions description" */
#define MAX_CONFIG  256u /* "Virtio device config space" */

struct region {
	u64 gpa, size, user, offset;
};

union payload {
	u64 number;
	struct vhost_vring_state state;
	struct vhost_vring_addr addr;
	struct {
		u32 count, padding;
		struct region regions[MAX_REGIONS];
	} memory;
	struct {
		u32 offset, size, flags;
		u8 bytes[MAX_CONFIG];
	} config;
};

struct message {
	u32 request, flags, size;
	union payload p;
} __attribute__((packed));

#define HEADER offsetof(struct message, p)

struct vhost_user {
	struct vhost v;
	struct vhost_channel channel;
	u64 protocol; /* features that both have */
	bool protocol_offered;
};

static struct vhost_user *to_user(struct vhost *v)
{
	return container_of(v, struct vhost_user, v);
}

/* The socket */

static int lose(struct vhost *v, int error, const char *why)
{
	if (!v->gone)
		err("%s: the vhost-user back end %s", v->what, why);
	v->gone = true;
	/* One that is alive shall let go of the guest's memory. */
	shutdown(v->fd, SHUT_RDWR);
	return error;
}

static const char *of_error(int error)
{
	switch (error) {
	case -EPIPE:
	case -ECONNRESET:
	case -ENODATA:
		return "closed the connection";
	case -ETIMEDOUT:
		return "does not answer";
	case -EPROTO:
		return "sent what is not a message";
	default:
		return strerror(-error);
	}
}

/* What the back end says by itself. -errno: its connection for that is of no use any more. */
static int listen_to(struct vhost *v)
{
	int ret = vhost_channel_hear(&to_user(v)->channel);

	if (ret > 0 && v->changed)
		v->changed(v->opaque);
	else if (ret > 0)
		v->news = true;
	return MIN(ret, 0);
}

/* Meanwhile it may wait for a reply on its own connection, before it goes on with ours. */
static int await(struct vhost *v, short what, u64 until)
{
	struct pollfd p[] = {
		{ .fd = v->fd, .events = what },
		{ .fd = v->channel, .events = POLLIN },
	};

	for (;;) {
		u64 now = now_ns();
		int ret = poll(p, 2, now < until ? (int)((until - now) / 1000000) + 1 : 0);

		if (ret < 0 && errno != EINTR)
			return -errno;
		if (ret > 0 && p[0].revents)
			return 0;
		ret = ret > 0 ? listen_to(v) : 0;
		if (ret)
			return ret;
		if (now >= until)
			return -ETIMEDOUT;
	}
}

static u64 deadline(void)
{
	return now_ns() + VHOST_PATIENCE_MS * 1000000ULL;
}

/* The descriptors go with the first byte. */
static int send_all(struct vhost *v, const struct message *m, const int *fds, u32 nr_fds)
{
	char control[CMSG_SPACE(MAX_REGIONS * sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = { .iov_base = (void *)m, .iov_len = HEADER + m->size };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	u64 until = deadline();

	if (nr_fds) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		memset(control, 0, sizeof(control));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(nr_fds * sizeof(int));
		memcpy(CMSG_DATA(c), fds, nr_fds * sizeof(int));
		msg.msg_control = control;
		msg.msg_controllen = CMSG_SPACE(nr_fds * sizeof(int));
	}
	while (iov.iov_len) {
		ssize_t n = sendmsg(v->fd, &msg, MSG_NOSIGNAL);
		int ret;

		if (n > 0) {
			iov.iov_base = (u8 *)iov.iov_base + n;
			iov.iov_len -= (size_t)n;
			msg.msg_control = NULL;
			msg.msg_controllen = 0;
		} else if (n < 0 && errno == EAGAIN) {
			ret = await(v, POLLOUT, until);
			if (ret)
				return ret;
		} else if (n < 0 && errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

/* Descriptors that nobody asked for are dropped by the kernel: there is no room for them. */
static int receive(struct vhost *v, void *buf, size_t len, u64 until)
{
	while (len) {
		ssize_t n = recv(v->fd, buf, len, 0);
		int ret;

		if (n > 0) {
			buf = (u8 *)buf + n;
			len -= (size_t)n;
		} else if (!n) {
			return -ENODATA;
		} else if (errno == EAGAIN) {
			ret = await(v, POLLIN, until);
			if (ret)
				return ret;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

static int request(struct vhost *v, struct message *m, const int *fds, u32 nr_fds)
{
	int ret;

	if (v->gone)
		return -EPIPE;
	m->flags |= FLAG_VERSION;
	ret = send_all(v, m, fds, nr_fds);
	return ret ? lose(v, ret, of_error(ret)) : 0;
}

/* The answer to @m, of exactly @size bytes, into @m. */
static int answer(struct vhost *v, struct message *m, u32 size)
{
	u32 asked = m->request;
	u64 until = deadline();
	int ret = receive(v, m, HEADER, until);

	if (!ret && (m->request != asked || m->size != size ||
		     (m->flags & (FLAG_MASK | FLAG_REPLY)) != (FLAG_VERSION | FLAG_REPLY)))
		return lose(v, -EPROTO, "sent what is not an answer to what it was asked");
	if (!ret)
		ret = receive(v, &m->p, size, until);
	return ret ? lose(v, ret, of_error(ret)) : 0;
}

/* A request that is not answered, unless both know REPLY_ACK. */
static int tell(struct vhost *v, struct message *m, const int *fds, u32 nr_fds)
{
	bool ack = to_user(v)->protocol & BIT_ULL(P_REPLY_ACK);
	int ret;

	if (ack)
		m->flags |= FLAG_NEED_REPLY;
	ret = request(v, m, fds, nr_fds);
	if (ret || !ack)
		return ret;
	ret = answer(v, m, sizeof(m->p.number));
	if (!ret && m->p.number)
		return lose(v, -EIO, "refused a request");
	return ret;
}

static int tell_number(struct vhost *v, u32 what, u64 number)
{
	struct message m = { .request = what, .size = sizeof(u64), .p.number = number };

	return tell(v, &m, NULL, 0);
}

static int ask_number(struct vhost *v, u32 what, u64 *number)
{
	struct message m = { .request = what };
	int ret = request(v, &m, NULL, 0);

	if (!ret)
		ret = answer(v, &m, sizeof(u64));
	if (!ret)
		*number = m.p.number;
	return ret;
}

static int tell_state(struct vhost *v, u32 what, u32 index, u32 num)
{
	struct message m = {
		.request = what,
		.size = sizeof(m.p.state),
		.p.state = { .index = index, .num = num },
	};

	return tell(v, &m, NULL, 0);
}

static int tell_fd(struct vhost *v, u32 what, u16 ring, int fd)
{
	struct message m = { .request = what, .size = sizeof(u64), .p.number = ring };

	return tell(v, &m, &fd, 1);
}

/* The table */

static int user_set_features(struct vhost *v, u64 features)
{
	if (to_user(v)->protocol_offered)
		features |= BIT_ULL(F_PROTOCOL_FEATURES);
	return tell_number(v, SET_FEATURES, features);
}

static int user_set_memory(struct vhost *v, const struct guest_memory *mem)
{
	struct message m = { .request = SET_MEM_TABLE };
	const struct memory_region *r;
	int fds[MAX_REGIONS];
	u32 n = 0;

	memory_for_each(mem, r) {
		if (!memory_is_writable(r->kind))
			continue;
		if (r->fd < 0 || n == MAX_REGIONS)
			return lose(v, -ENOTSUP, "cannot be given this guest's memory");
		m.p.memory.regions[n] = (struct region){
			.gpa = r->gpa,
			.size = r->size,
			.user = (uintptr_t)r->hva,
			.offset = r->offset,
		};
		fds[n++] = r->fd;
	}
	m.p.memory.count = n;
	m.size = (u32)(offsetof(union payload, memory.regions) + n * sizeof(struct region));
	return tell(v, &m, fds, n);
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
		ret = tell(v, &addr, NULL, 0);
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
	int ret = request(v, &m, NULL, 0);

	if (!ret)
		ret = answer(v, &m, sizeof(m.p.state));
	if (!ret && m.p.state.index != ring)
		return lose(v, -EPROTO, "stopped another ring than it was asked to");
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
	ret = request(v, &m, NULL, 0);
	if (!ret)
		ret = answer(v, &m, size);
	if (!ret && (m.p.config.offset || m.p.config.size != len))
		return lose(v, -EPROTO, "sent another part of its configuration than was asked");
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
	lose(v, -EPIPE, n > 0 ? "sent what it was not asked for" : "closed the connection");
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
	return tell(v, &m, NULL, 0);
}

static void user_hear(struct vhost *v)
{
	int ret = v->gone ? 0 : listen_to(v);

	/* With the end of this connection comes that of the other one. */
	if (ret)
		lose(v, ret, of_error(ret));
}

static void user_close(struct vhost *v)
{
	vhost_channel_close(&to_user(v)->channel);
	close(v->fd);
	free((char *)v->what);
	free(to_user(v));
}

static const struct vhost_ops user_ops = {
	.set_features = user_set_features,
	.set_memory = user_set_memory,
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
	ret = tell(&u->v, &m, &theirs, 1);
	close(theirs);
	u->v.channel = u->channel.fd;
	return ret;
}

static int negotiate(struct vhost_user *u)
{
	struct message owner = { .request = SET_OWNER };
	u64 offered = 0, queues = 0;
	int ret = ask_number(&u->v, GET_FEATURES, &u->v.features);

	if (!ret)
		ret = request(&u->v, &owner, NULL, 0);
	u->protocol_offered = u->v.features & BIT_ULL(F_PROTOCOL_FEATURES);
	u->v.max_queues = 1;
	if (ret || !u->protocol_offered)
		return ret;
	u->v.features &= ~BIT_ULL(F_PROTOCOL_FEATURES);
	ret = ask_number(&u->v, GET_PROTOCOL_FEATURES, &offered);
	if (!ret)
		ret = tell_number(&u->v, SET_PROTOCOL_FEATURES, offered & P_WANTED);
	if (ret)
		return ret;
	u->protocol = offered & P_WANTED;
	if (u->protocol & BIT_ULL(P_MQ))
		ret = ask_number(&u->v, GET_QUEUE_NUM, &queues);
	if (queues)
		u->v.max_queues = (u16)MIN(queues, (u64)0xffff);
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
	ret = negotiate(u);
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
