/* SPDX-License-Identifier: MIT */
/*
 * net/user.c against a passt that sends anything, in any pieces: a second reader of the same stream
 * says what the card must get, and the stream that passt gets is one of whole frames.
 */
#include <arpa/inet.h>
#include <net/ethernet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "lkvm/net.h"
#include "lkvm/util.h"

#define MAX_OPS 256
#define ROOM	(256 * KiB) /* of the stream; a socket holds less */
#define LONGEST 65535u
#define PIECES	8

static struct net_backend *nb;
static int peer;
static bool gone;  /* passt sends no more */
static bool ended; /* the card was told so */
/* What passt sent and the card did not get yet. */
static u8 *sent;
static size_t sent_len;
/* Of what the card sent: bytes of the frame that passt has still to read; those of its length. */
static size_t left;
static u32 len_read, len_got;
static u8 bytes[NET_HDR_LEN + LONGEST + 2];

static void send_bytes(const u8 *p, size_t len)
{
	ssize_t n = sent_len + len <= ROOM ? send(peer, p, len, MSG_NOSIGNAL) : 0;

	if (gone || n <= 0)
		return;
	memcpy(sent + sent_len, p, (size_t)n);
	sent_len += (size_t)n;
}

static void send_frame(struct fz *f)
{
	u8 how = fz_u8(f);
	u32 len = how & 1 ? fz_u16(f) : fz_u8(f), say = how & 2 ? fz_u32(f) : len, cut;
	__be32 be = htonl(say);

	memcpy(bytes, &be, 4);
	for (u32 i = 0; i < len; i++)
		bytes[4 + i] = (u8)(i * 7 + how);
	/* The first part alone, and maybe never the rest. */
	cut = how & 4 ? fz_u16(f) % (len + 5) : len + 4;
	send_bytes(bytes, cut);
	if (!(how & 8))
		send_bytes(bytes + cut, len + 4 - cut);
}

/* Buffers as a driver gives them, each an allocation of its own; how many bytes they hold. */
static size_t make_iov(struct fz *f, struct iovec iov[PIECES], int *count)
{
	size_t total = 0;

	*count = 1 + fz_u8(f) % PIECES;
	for (int i = 0; i < *count; i++) {
		u8 how = fz_u8(f);
		size_t len = how & 0x80 ? (size_t)how << 8 | fz_u8(f) : how;

		/* The device's buffers hold a header, in any pieces. */
		if (i + 1 == *count && total + len < NET_HDR_LEN)
			len = NET_HDR_LEN;
		len += !len;
		iov[i] = (struct iovec){ malloc(len), len };
		fz_check(iov[i].iov_base);
		memset(iov[i].iov_base, 0xee, len);
		total += len;
	}
	return total;
}

static void free_iov(struct iovec *iov, int count)
{
	for (int i = 0; i < count; i++)
		free(iov[i].iov_base);
}

/* The length of the frame at the beginning of @sent; 0: it is not whole. */
static size_t first_frame(bool *bad)
{
	__be32 be;

	*bad = false;
	if (sent_len < 4)
		return 0;
	memcpy(&be, sent, 4);
	*bad = ntohl(be) < ETHER_HDR_LEN || ntohl(be) > LONGEST;
	return !*bad && sent_len >= 4 + (size_t)ntohl(be) ? ntohl(be) : 0;
}

static void check_frame(const struct iovec *iov, int count, size_t room, size_t len)
{
	static const u8 header[NET_HDR_LEN];
	size_t got = iov_to_buf(iov, (unsigned int)count, 0, bytes, sizeof(bytes));

	fz_check(got >= NET_HDR_LEN && !memcmp(bytes, header, NET_HDR_LEN));
	fz_check(!memcmp(bytes + NET_HDR_LEN, sent + 4, MIN(len, room - NET_HDR_LEN)));
	sent_len -= 4 + len;
	memmove(sent, sent + 4 + len, sent_len);
}

static void card_reads(struct fz *f)
{
	struct iovec iov[PIECES];
	int count;
	size_t room = make_iov(f, iov, &count), len;
	bool bad;
	ssize_t n;

	len = first_frame(&bad);
	n = nb->ops->readv(&nb->pair[0], iov, count);
	if (len) {
		fz_check(n == (ssize_t)(NET_HDR_LEN + len));
		check_frame(iov, count, room, len);
	} else {
		fz_check(n == (bad || gone ? -EPIPE : -EAGAIN));
		/* The device reads no more of it. */
		ended = n == -EPIPE;
	}
	free_iov(iov, count);
}

/* The whole packet, or the beginning of one that the device brings again or forgets. */
static void card_sends(struct fz *f)
{
	struct iovec iov[PIECES];
	int count;
	size_t total = make_iov(f, iov, &count), frame = total - NET_HDR_LEN;
	u8 tries = fz_u8(f) % 4;
	ssize_t n;

	do {
		n = nb->ops->writev(&nb->pair[0], iov, count);
	} while (n == -EAGAIN && tries--);
	fz_check(n == (ssize_t)total || n == -EAGAIN || n == -EMSGSIZE || n == -EPIPE);
	fz_check((n == -EMSGSIZE) == (frame < ETHER_HDR_LEN || frame > LONGEST));
	free_iov(iov, count);
}

/* passt reads some, and looks at the lengths of the frames. */
static void peer_reads(size_t want)
{
	ssize_t n = recv(peer, bytes, MIN(want, sizeof(bytes)), 0);

	for (ssize_t i = 0; i < n; i++) {
		if (left) {
			left--;
			continue;
		}
		len_read = len_read << 8 | bytes[i];
		if (++len_got < 4)
			continue;
		fz_check(len_read >= ETHER_HDR_LEN && len_read <= LONGEST);
		left = len_read;
		len_read = 0;
		len_got = 0;
	}
}

static void step(struct fz *f)
{
	u8 op = fz_u8(f), raw[64];
	size_t len;
	const u8 *p;

	switch (op % 8) {
	case 0:
	case 1:
		send_frame(f);
		break;
	case 2:
	case 3:
	case 4:
		card_reads(f);
		break;
	case 5:
		card_sends(f);
		break;
	case 6:
		peer_reads(op & 0x80 ? fz_u16(f) : fz_u8(f));
		break;
	case 7:
		if (op == 0xff) {
			gone = !shutdown(peer, SHUT_WR);
			break;
		}
		p = fz_bytes(f, op / 8, &len);
		memcpy(raw, p, len);
		send_bytes(raw, len);
		break;
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	int fds[2];

	if (!sent)
		sent = malloc(ROOM);
	fz_check(sent);
	sent_len = left = 0;
	len_got = len_read = 0;
	ended = gone = false;
	fz_check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds));
	peer = fds[1];
	fz_check(!net_user_wrap(fds[0], &nb));
	for (int i = 0; i < MAX_OPS && fz_more(&f) && !ended; i++)
		step(&f);
	nb->ops->close(nb);
	close(peer);
	return 0;
}
