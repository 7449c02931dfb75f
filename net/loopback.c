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
	struct net_backend nb; /* packets go into its room_fd and come out of its poll_fd */
};

static struct loopback *to_loopback(struct net_backend *nb)
{
	return container_of(nb, struct loopback, nb);
}

static ssize_t loopback_readv(struct net_queue *nq, const struct iovec *iov, int count)
{
	ssize_t n;

	do {
		n = readv(nq->poll_fd, iov, count);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t loopback_writev(struct net_queue *nq, const struct iovec *iov, int count)
{
	ssize_t n;

	do {
		n = writev(nq->room_fd, iov, count);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static void loopback_close(struct net_backend *nb)
{
	close(nb->pair[0].poll_fd);
	close(nb->pair[0].room_fd);
	free(to_loopback(nb));
}

static const struct net_backend_ops loopback_ops = {
	.readv = loopback_readv,
	.writev = loopback_writev,
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
	lo->nb.nr_pairs = 1;
	lo->nb.pair[0].nb = &lo->nb;
	lo->nb.pair[0].poll_fd = fds[0];
	lo->nb.pair[0].room_fd = fds[1];
	*out = &lo->nb;
	return 0;
}
