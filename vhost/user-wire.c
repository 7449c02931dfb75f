/* SPDX-License-Identifier: MIT */
/*
 * Messages of vhost-user, with descriptors, over a unix stream socket. Who is at the other end is
 * not trusted: no length and no number of it is used before it was checked, and nothing that it
 * sends is taken but as the answer that is due.
 */
#include <poll.h>
#include <sys/socket.h>

#include "lkvm/log.h"
#include "user.h"

int vhost_user_lose(struct vhost *v, int error, const char *why)
{
	if (!v->gone)
		err("%s: the vhost-user back end %s", v->what, why);
	v->gone = true;
	/* One that is alive shall let go of the guest's memory. */
	shutdown(v->fd, SHUT_RDWR);
	return error;
}

const char *vhost_user_error(int error)
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

int vhost_user_listen(struct vhost *v)
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
	bool opening = to_user(v)->opening;

	for (;;) {
		u64 now = now_ns();
		int ms = now < until ? (int)((until - now) / 1000000) + 1 : 0, ret;

		if (opening)
			log_progress("waiting for", v->what, 0, 0);
		ret = poll(p, 2, opening ? MIN(ms, 200) : ms);
		if (ret < 0 && errno != EINTR)
			return -errno;
		if (ret > 0 && p[0].revents)
			return 0;
		ret = ret > 0 ? vhost_user_listen(v) : 0;
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

int vhost_user_request(struct vhost *v, struct message *m, const int *fds, u32 nr_fds)
{
	int ret;

	if (v->gone)
		return -EPIPE;
	m->flags |= FLAG_VERSION;
	ret = send_all(v, m, fds, nr_fds);
	return ret ? vhost_user_lose(v, ret, vhost_user_error(ret)) : 0;
}

/* The answer to @m, of exactly @size bytes, into @m. */
int vhost_user_answer(struct vhost *v, struct message *m, u32 size)
{
	u32 asked = m->request;
	u64 until = deadline();
	int ret = receive(v, m, HEADER, until);

	if (!ret && (m->request != asked || m->size != size ||
		     (m->flags & (FLAG_MASK | FLAG_REPLY)) != (FLAG_VERSION | FLAG_REPLY)))
		return vhost_user_lose(v, -EPROTO,
				       "sent what is not an answer to what it was asked");
	if (!ret)
		ret = receive(v, &m->p, size, until);
	return ret ? vhost_user_lose(v, ret, vhost_user_error(ret)) : 0;
}

/* A request that is not answered, unless both know REPLY_ACK. */
int vhost_user_tell(struct vhost *v, struct message *m, const int *fds, u32 nr_fds)
{
	bool ack = to_user(v)->protocol & BIT_ULL(P_REPLY_ACK);
	int ret;

	if (ack)
		m->flags |= FLAG_NEED_REPLY;
	ret = vhost_user_request(v, m, fds, nr_fds);
	if (ret || !ack)
		return ret;
	ret = vhost_user_answer(v, m, sizeof(m->p.number));
	if (!ret && m->p.number)
		return vhost_user_lose(v, -EIO, "refused a request");
	return ret;
}

int vhost_user_tell_number(struct vhost *v, u32 what, u64 number)
{
	struct message m = { .request = what, .size = sizeof(u64), .p.number = number };

	return vhost_user_tell(v, &m, NULL, 0);
}

int vhost_user_ask_number(struct vhost *v, u32 what, u64 *number)
{
	struct message m = { .request = what };
	int ret = vhost_user_request(v, &m, NULL, 0);

	if (!ret)
		ret = vhost_user_answer(v, &m, sizeof(u64));
	if (!ret)
		*number = m.p.number;
	return ret;
}
