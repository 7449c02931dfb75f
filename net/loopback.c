/* SPDX-License-Identifier: MIT */
/*
 * A network that gives back what it gets, for `lkvm selftest`: a pair of datagram sockets keeps the
 * boundaries of packets (unix(7)).
 */
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/net.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

struct loopback {
	struct net_backend nb; /* packets go into room_fd and come out of poll_fd */
};

static struct loopback *to_loopback(struct net_backend *nb)
{
	return container_of(nb, struct loopback, nb);
}

static ssize_t loopback_readv(struct net_backend *nb, const struct iovec *iov, int count)
{
	ssize_t n;

	do {
		n = readv(nb->poll_fd, iov, count);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t loopback_writev(struct net_backend *nb, const struct iovec *iov, int count)
{
	ssize_t n;

	do {
		n = writev(nb->room_fd, iov, count);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static int loopback_set_offloads(struct net_backend *nb, u32 tun_f)
{
	return tun_f ? -EINVAL : 0;
}

static void loopback_close(struct net_backend *nb)
{
	close(nb->poll_fd);
	close(nb->room_fd);
	free(to_loopback(nb));
}

static const struct net_backend_ops loopback_ops = {
	.readv = loopback_readv,
	.writev = loopback_writev,
	.set_offloads = loopback_set_offloads,
	.close = loopback_close,
};

int net_loopback_open(struct net_backend **out)
{
	struct loopback *lo;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0) {
		int ret = -errno;

		err("--network: cannot make a loopback: %s%s", strerror(-ret), limit_hint(ret));
		return ret;
	}
	lo = xcalloc(1, sizeof(*lo));
	lo->nb.ops = &loopback_ops;
	lo->nb.name = "loopback";
	lo->nb.poll_fd = fds[0];
	lo->nb.room_fd = fds[1];
	*out = &lo->nb;
	return 0;
}
