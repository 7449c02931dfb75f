/* SPDX-License-Identifier: MIT */
/*
 * A network without privileges: passt (passt(1)), a program that lkvm starts, makes sockets of the
 * host out of the guest's packets. Frames go over a stream socket, each behind its length as 32
 * bits, big-endian (as QEMU's -netdev stream sends them), without virtio's header.
 *
 * Frames are not copied: they go from the guest's buffers and into them. One that the socket takes
 * in part is offered again and goes on where it stopped; of one that comes in part the beginning is
 * kept here until the rest is there.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/if_ether.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lkvm/child.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/net.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

#define LEN_BYTES 4
/* passt's own limits (its ETH_MAX_MTU, less the padding that it wants). */
#define FRAME_MIN ((size_t)ETH_HLEN)
#define FRAME_MAX ((size_t)65535)
#define MTU	  65520
#define STOP_MS	  1000
#define READY_MS  10000

struct net_user {
	struct net_backend nb;
	struct child passt;
	size_t hdr_len; /* in front of the guest's packets: all zeroes, and not sent */
	/* Of the frame that is being sent: @out_len bytes with its length, @out_done of them went;
	 * 0: none. */
	size_t out_len, out_done;
	/* Of the frame that is being received: the bytes of its length that are here, those of
	 * itself, which lie in @kept. */
	size_t len_got, in_got;
	u8 len[LEN_BYTES];
	u8 kept[FRAME_MAX];
	struct iovec out_iov[IOV_MAX], in_iov[IOV_MAX]; /* the two directions have a thread each */
};

static struct net_user *to_user(struct net_queue *nq)
{
	return container_of(nq->nb, struct net_user, nb);
}

/* Sending */

static ssize_t send_iov(int fd, struct iovec *iov, size_t count)
{
	const struct msghdr msg = { .msg_iov = iov, .msg_iovlen = count };
	ssize_t n;

	do {
		n = sendmsg(fd, &msg, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0)
		return n;
	return errno == ECONNRESET ? -EPIPE : -errno;
}

/*
 * The driver that offered the frame in part was reset, and another one comes: the rest is zeroes,
 * and passt drops it for its checksums.
 */
static int end_other_frame(struct net_user *user)
{
	static u8 zeroes[4096];

	while (user->out_done < user->out_len) {
		struct iovec iov = { zeroes, MIN(user->out_len - user->out_done, sizeof(zeroes)) };
		ssize_t n = send_iov(user->nb.pair[0].room_fd, &iov, 1);

		if (n < 0)
			return (int)n;
		user->out_done += (size_t)n;
	}
	user->out_len = user->out_done = 0;
	return 0;
}

static ssize_t user_writev(struct net_queue *nq, const struct iovec *iov, int count)
{
	struct net_user *user = to_user(nq);
	const size_t total = iov_len(iov, (unsigned int)count), frame = total - user->hdr_len;
	size_t skip, nr = 0;
	__be32 len = htonl((u32)frame);
	ssize_t n;
	int parts;

	/* passt gives up on all that came with a frame of another length. */
	if (total < user->hdr_len + FRAME_MIN || frame > FRAME_MAX)
		return -EMSGSIZE;
	if (user->out_done && user->out_len != frame + LEN_BYTES) {
		int ret = end_other_frame(user);

		if (ret)
			return ret;
	}
	if (user->out_done < LEN_BYTES)
		user->out_iov[nr++] =
			(struct iovec){ (u8 *)&len + user->out_done, LEN_BYTES - user->out_done };
	skip = user->out_done > LEN_BYTES ? user->out_done - LEN_BYTES : 0;
	parts = iov_slice(iov, (unsigned int)count, user->hdr_len + skip, frame - skip,
			  user->out_iov + nr, (unsigned int)(IOV_MAX - nr));
	if (parts < 0)
		return -EMSGSIZE;
	n = send_iov(nq->room_fd, user->out_iov, nr + (size_t)parts);
	if (n < 0)
		return n;
	user->out_len = frame + LEN_BYTES;
	user->out_done += (size_t)n;
	/* The device keeps the frame, and brings it again when there is room. */
	if (user->out_done < user->out_len)
		return -EAGAIN;
	user->out_len = user->out_done = 0;
	return (ssize_t)total;
}

/* Receiving */

static ssize_t receive(int fd, struct iovec *iov, int count)
{
	ssize_t n;

	do {
		n = readv(fd, iov, count);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return n;
	return !n || errno == ECONNRESET ? -EPIPE : -errno;
}

static size_t length(const struct net_user *user)
{
	__be32 len;

	memcpy(&len, user->len, LEN_BYTES);
	return ntohl(len);
}

/* The length of the frame that comes next: 0 or -errno. */
static int read_length(struct net_queue *nq)
{
	struct net_user *user = to_user(nq);

	while (user->len_got < LEN_BYTES) {
		struct iovec iov = { user->len + user->len_got, LEN_BYTES - user->len_got };
		ssize_t n = receive(nq->poll_fd, &iov, 1);

		if (n < 0)
			return (int)n;
		user->len_got += (size_t)n;
	}
	if (length(user) >= FRAME_MIN && length(user) <= FRAME_MAX)
		return 0;
	guest_warn("--network mode=user: passt sent a frame of %zu bytes, which is not one",
		   length(user));
	return -EPIPE;
}

/*
 * Read the rest of the frame of @len bytes into @user->in_iov, which has @parts entries and
 * room for one more: the length of the next one may come with it. True: the frame is complete.
 */
static ssize_t read_rest(struct net_queue *nq, size_t rest, int parts)
{
	struct net_user *user = to_user(nq);
	ssize_t n;

	user->in_iov[parts] = (struct iovec){ user->len, LEN_BYTES };
	n = receive(nq->poll_fd, user->in_iov, parts + 1);
	if (n >= (ssize_t)rest) {
		user->len_got = (size_t)n - rest;
		n = (ssize_t)rest;
	}
	return n;
}

static ssize_t user_readv(struct net_queue *nq, const struct iovec *iov, int count)
{
	static const u8 header[NET_HDR_LEN_HASH];
	struct net_user *user = to_user(nq);
	int parts, ret = read_length(nq);
	size_t len;
	ssize_t n;

	if (ret)
		return ret;
	len = length(user);
	parts = iov_slice(iov, (unsigned int)count, user->hdr_len, len, user->in_iov, IOV_MAX - 1);
	if (!user->in_got && parts > 0) {
		n = read_rest(nq, len, parts);
		if (n < 0)
			return n;
		if ((size_t)n == len)
			goto complete;
		/* The buffers may be others the next time. */
		user->in_got =
			iov_to_buf(iov, (unsigned int)count, user->hdr_len, user->kept, (size_t)n);
	}
	while (user->in_got < len) {
		user->in_iov[0] = (struct iovec){ user->kept + user->in_got, len - user->in_got };
		n = read_rest(nq, len - user->in_got, 1);
		if (n < 0)
			return n;
		user->in_got += (size_t)n;
	}
	user->in_got = 0;
	/* More than there is room for is cut off, as a tap does it. */
	iov_from_buf(iov, (unsigned int)count, user->hdr_len, user->kept, len);
complete:
	iov_from_buf(iov, (unsigned int)count, 0, header, user->hdr_len);
	return (ssize_t)(user->hdr_len + len);
}

/* Drivers of the time before VIRTIO 1.0 have 10 bytes. */
static int user_set_hdr_len(struct net_backend *nb, unsigned int len)
{
	container_of(nb, struct net_user, nb)->hdr_len = len;
	return 0;
}

static void user_close(struct net_backend *nb)
{
	struct net_user *user = container_of(nb, struct net_user, nb);

	/* It ends by itself when this is closed. */
	if (nb->pair[0].poll_fd >= 0)
		close(nb->pair[0].poll_fd);
	if (nb->pair[0].room_fd >= 0)
		close(nb->pair[0].room_fd);
	child_stop(&user->passt, STOP_MS);
	free(user);
}

static const struct net_backend_ops user_ops = {
	.readv = user_readv,
	.writev = user_writev,
	.set_hdr_len = user_set_hdr_len,
	.close = user_close,
};

int net_user_wrap(int fd, struct net_backend **out)
{
	int room = fcntl(fd, F_DUPFD_CLOEXEC, 0), ret = -errno;
	struct net_user *user;

	if (room < 0) {
		err("--network mode=user: %s%s", strerror(-ret), limit_hint(ret));
		close(fd);
		return ret;
	}
	user = xcalloc(1, sizeof(*user));
	user->nb.ops = &user_ops;
	user->hdr_len = NET_HDR_LEN;
	user->nb.name = "passt";
	user->nb.nr_pairs = 1;
	user->nb.mtu = MTU;
	user->nb.pair[0] = (struct net_queue){ &user->nb, fd, room };
	*out = &user->nb;
	return 0;
}

/* Starting it */

struct words {
	char *argv[64];
	unsigned int nr;
};

/* Takes @value (NULL: the option has none). */
static void add(struct words *w, const char *option, char *value)
{
	w->argv[w->nr++] = xstrdup(option);
	if (value)
		w->argv[w->nr++] = value;
}

static char *ip_text(u32 ip)
{
	return xasprintf("%u.%u.%u.%u", ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255);
}

static void add_addresses(struct words *w, const struct net_config *cfg)
{
	const u8 *m = cfg->user.host_mac;

	if (cfg->user.guest_ip) {
		add(w, "--address", ip_text(cfg->user.guest_ip));
		add(w, "--netmask", xasprintf("%u", cfg->host_prefix));
		add(w, "--gateway", ip_text(cfg->host_ip));
	}
	if (cfg->mtu)
		add(w, "--mtu", xasprintf("%u", cfg->mtu));
	if (cfg->user.has_host_mac)
		add(w, "--mac-addr",
		    xasprintf("%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]));
}

static void add_forwards(struct words *w, const struct net_user_config *cfg)
{
	for (u32 i = 0; i < cfg->nr_forwards; i++) {
		const struct net_forward *f = &cfg->forwards[i];

		add(w, f->udp ? "--udp-ports" : "--tcp-ports",
		    xasprintf("%s%s%u:%u", f->addr, *f->addr ? "/" : "", f->host_port,
			      f->guest_port));
	}
}

static int start_passt(struct net_user *user, struct event_loop *loop, const struct net_config *cfg,
		       int fd)
{
	char *path = child_find("passt", NULL);
	struct words w = { 0 };
	const struct child_spec spec = {
		.what = "--network mode=user",
		.argv = w.argv,
		.fds = &fd,
		.nr_fds = 1,
	};
	int ret;

	if (!path) {
		err("--network mode=user: there is no passt, which does the work; install the "
		    "package passt, or use mode=tap");
		return -ENOENT;
	}
	add(&w, path, NULL);
	add(&w, "--foreground", NULL);
	add(&w, "--quiet", NULL);
	add(&w, "--fd", xstrdup("3"));
	/* It does so by itself, and makes a line of it. */
	if (!geteuid())
		add(&w, "--runas", xstrdup("65534:65534"));
	add_addresses(&w, cfg);
	add_forwards(&w, &cfg->user);
	ret = child_start(&user->passt, loop, &spec);
	while (w.nr)
		free(w.argv[--w.nr]);
	free(path);
	return ret;
}

/*
 * Wait until it serves: a frame that means nothing is taken by then. Else it has said why it ended.
 */
static int wait_ready(int fd)
{
	u8 frame[LEN_BYTES + 60] = { [3] = 60 };
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int queued = 1;

	memset(frame + LEN_BYTES, 0xff, ETH_ALEN);
	frame[LEN_BYTES + ETH_ALEN] = 2;
	put_le(frame + LEN_BYTES + 2L * ETH_ALEN, 2, htons(ETH_P_802_EX1));
	if (send(fd, frame, sizeof(frame), MSG_NOSIGNAL) != sizeof(frame))
		return -EPIPE;
	for (unsigned int ms = 0; ms < READY_MS && queued; ms++) {
		if (poll(&p, 1, 1) > 0 && p.revents & (POLLHUP | POLLERR))
			break;
		if (ioctl(fd, SIOCOUTQ, &queued) < 0)
			queued = 0;
		log_progress("waiting for", "passt", 0, 0);
	}
	log_progress_end();
	if (queued && p.revents & (POLLHUP | POLLERR))
		return -EPIPE;
	if (queued)
		warn("--network mode=user: passt is slow; the guest starts without waiting for it");
	return 0;
}

int net_user_open(const struct net_config *cfg, struct event_loop *loop, struct net_backend **out)
{
	struct net_backend *nb;
	int fds[2], ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0) {
		ret = -errno;
		err("--network mode=user: %s%s", strerror(-ret), limit_hint(ret));
		return ret;
	}
	ret = net_user_wrap(fds[0], &nb);
	if (ret) {
		close(fds[1]);
		return ret;
	}
	/* passt waits for the rest of a frame that went or came in part: its end must let it. */
	fcntl(fds[1], F_SETFL, 0);
	ret = start_passt(container_of(nb, struct net_user, nb), loop, cfg, fds[1]);
	close(fds[1]);
	if (ret)
		goto fail;
	ret = wait_ready(fds[0]);
	if (ret)
		goto ended;
	if (cfg->mtu)
		nb->mtu = cfg->mtu;
	nb->rx_rate = cfg->rx_rate;
	nb->tx_rate = cfg->tx_rate;
	*out = nb;
	return 0;
ended:
	/* After what it said itself. */
	user_close(nb);
	err("--network mode=user: passt has ended; the guest would have no network");
	return ret;
fail:
	user_close(nb);
	return ret;
}
