/* SPDX-License-Identifier: MIT */
/* net/user.c: frames on a stream of bytes, whole and in pieces; this test is passt. */
#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/net.h"
#include "lkvm/util.h"
#include "unit.h"

#define LONGEST 65535u

static struct net_backend *nb;
static int peer;
static u8 packet[NET_HDR_LEN + LONGEST + 1];

static int set_up(void **state)
{
	int fds[2];

	log_set_level(LOG_ERROR);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
			 0);
	peer = fds[1];
	return net_user_wrap(fds[0], &nb);
}

static int tear_down(void **state)
{
	nb->ops->close(nb);
	return close(peer);
}

static u8 pattern(u32 i, u8 seed)
{
	return (u8)(i * 167 + (i >> 8) * 13 + seed);
}

static void fill(u8 *frame, u32 len, u8 seed)
{
	for (u32 i = 0; i < len; i++)
		frame[i] = pattern(i, seed);
}

/* The packet of @len bytes of frame, in three pieces. */
static ssize_t send_packet(u32 len, u8 seed)
{
	struct iovec iov[3] = { { packet, 5 },
				{ packet + 5, 20 },
				{ packet + 25, NET_HDR_LEN + len - 25 } };

	fill(packet + NET_HDR_LEN, len, seed);
	return nb->ops->writev(&nb->pair[0], iov, 3);
}

/* What passt gets next: @len bytes, with their length in front. */
static void expect_frame(u32 len, u8 seed)
{
	__be32 be;
	u8 byte;

	assert_int_equal(recv(peer, &be, 4, MSG_WAITALL), 4);
	assert_int_equal(ntohl(be), len);
	for (u32 i = 0; i < len; i++) {
		assert_int_equal(recv(peer, &byte, 1, 0), 1);
		assert_int_equal(byte, pattern(i, seed));
	}
}

static void test_sends(void **state)
{
	u8 byte;

	assert_int_equal(send_packet(60, 1), NET_HDR_LEN + 60);
	assert_int_equal(send_packet(14, 2), NET_HDR_LEN + 14);
	expect_frame(60, 1);
	expect_frame(14, 2);
	assert_int_equal(send_packet(13, 3), -EMSGSIZE);
	assert_int_equal(send_packet(LONGEST + 1, 3), -EMSGSIZE);
	assert_int_equal(recv(peer, &byte, 1, 0), -1);
}

/* Read @n bytes of the stream into @stream. */
static void take(u8 *stream, size_t *at, size_t n)
{
	ssize_t got = recv(peer, stream + *at, n, 0);

	if (got > 0)
		*at += (size_t)got;
}

/* A reader who takes his time: what went in part goes on, and nothing is there twice. */
static void test_full(void **state)
{
	const u32 len = 60000;
	u8 *stream = calloc(64, LONGEST), seed = 0;
	size_t at = 0, read = 0;

	assert_non_null(stream);
	while (seed < 32) {
		ssize_t n = send_packet(len, seed);

		if (n == -EAGAIN) {
			take(stream, &at, 7777);
			continue;
		}
		assert_int_equal(n, NET_HDR_LEN + len);
		seed++;
	}
	while (at < (size_t)32 * (len + 4))
		take(stream, &at, LONGEST);
	for (seed = 0; seed < 32; seed++) {
		assert_int_equal(get_le(stream + read, 4), htonl(len));
		for (u32 i = 0; i < len; i++)
			assert_int_equal(stream[read + 4 + i], pattern(i, seed));
		read += len + 4;
	}
	free(stream);
}

/* One that went in part never comes again: the stream stays one of frames. */
static void test_abandoned(void **state)
{
	u8 *stream = calloc(64, LONGEST), seed = 0;
	size_t at = 0, read = 0;
	ssize_t n;

	assert_non_null(stream);
	while ((n = send_packet(50000, seed)) > 0)
		seed++;
	assert_int_equal(n, -EAGAIN);
	do {
		n = send_packet(100, 200);
		take(stream, &at, 40000);
	} while (n == -EAGAIN);
	assert_int_equal(n, NET_HDR_LEN + 100);
	for (size_t before = at + 1; before != at;) {
		before = at;
		take(stream, &at, LONGEST);
	}
	for (u8 i = 0; i <= seed && read < at; i++, read += 50004) {
		if (get_le(stream + read, 4) == htonl(100))
			break; /* nothing of the last one had gone */
		assert_int_equal(get_le(stream + read, 4), htonl(50000));
	}
	assert_int_equal(at - read, 104);
	assert_int_equal(get_le(stream + read, 4), htonl(100));
	for (u32 i = 0; i < 100; i++)
		assert_int_equal(stream[read + 4 + i], pattern(i, 200));
	free(stream);
}

/* Receive into many small pieces. */
static ssize_t receive(u32 room)
{
	struct iovec iov[64];
	u32 at = 0;
	int n = 0;

	memset(packet, 0xee, sizeof(packet));
	for (; at < room && n < 63; n++) {
		u32 len = n < 62 ? MIN(room - at, 7u + (u32)n * 40) : room - at;

		iov[n] = (struct iovec){ packet + at, len };
		at += len;
	}
	return nb->ops->readv(&nb->pair[0], iov, n);
}

static void expect_packet(u32 len, u8 seed)
{
	assert_int_equal(receive(sizeof(packet)), NET_HDR_LEN + len);
	for (u32 i = 0; i < NET_HDR_LEN; i++)
		assert_int_equal(packet[i], 0);
	for (u32 i = 0; i < len; i++)
		assert_int_equal(packet[NET_HDR_LEN + i], pattern(i, seed));
}

static u8 frames[3 * (LONGEST + 4)];

static size_t put_frame(size_t at, u32 len, u8 seed)
{
	__be32 be = htonl(len);

	memcpy(frames + at, &be, 4);
	fill(frames + at + 4, len, seed);
	return at + 4 + len;
}

static void test_receives(void **state)
{
	size_t len = put_frame(0, 60, 1);

	assert_int_equal(receive(2000), -EAGAIN);
	len = put_frame(len, 1514, 2);
	len = put_frame(len, 14, 3);
	assert_int_equal(write(peer, frames, len), len);
	expect_packet(60, 1);
	expect_packet(1514, 2);
	expect_packet(14, 3);
	assert_int_equal(receive(2000), -EAGAIN);
}

/* Cut everywhere, into two pieces and into single bytes. */
static void test_pieces(void **state)
{
	size_t len = put_frame(0, 61, 1);

	len = put_frame(len, 33, 2);
	for (size_t cut = 1; cut < len; cut++) {
		assert_int_equal(write(peer, frames, cut), cut);
		if (cut < 65)
			assert_int_equal(receive(2000), -EAGAIN);
		else
			expect_packet(61, 1);
		assert_int_equal(write(peer, frames + cut, len - cut), len - cut);
		if (cut < 65)
			expect_packet(61, 1);
		expect_packet(33, 2);
		assert_int_equal(receive(2000), -EAGAIN);
	}
	for (size_t i = 0; i < len; i++) {
		assert_int_equal(write(peer, frames + i, 1), 1);
		if (i == 64)
			expect_packet(61, 1);
		else if (i == len - 1)
			expect_packet(33, 2);
		else
			assert_int_equal(receive(2000), -EAGAIN);
	}
}

static void test_long(void **state)
{
	size_t len = put_frame(0, LONGEST, 1), sent = 0;
	ssize_t n = -EAGAIN;

	while (n == -EAGAIN) {
		if (sent < len)
			sent += (size_t)MAX(write(peer, frames + sent, len - sent), 0);
		n = receive(sizeof(packet));
	}
	assert_int_equal(n, NET_HDR_LEN + LONGEST);
	for (u32 i = 0; i < LONGEST; i++)
		assert_int_equal(packet[NET_HDR_LEN + i], pattern(i, 1));
	/* For little room it is cut off, and the next one is whole. */
	len = put_frame(0, 500, 2);
	len = put_frame(len, 60, 3);
	assert_int_equal(write(peer, frames, len), len);
	assert_int_equal(receive(100), NET_HDR_LEN + 500);
	assert_int_equal(packet[NET_HDR_LEN + 50], pattern(50, 2));
	assert_int_equal(packet[100], 0xee);
	expect_packet(60, 3);
}

/* A driver of the time before VIRTIO 1.0 has a shorter header. */
static void test_short_header(void **state)
{
	struct iovec iov = { packet, 10 + 60 };
	size_t len = put_frame(0, 61, 1);

	assert_int_equal(nb->ops->set_hdr_len(nb, 10), 0);
	memset(packet, 0, 10);
	fill(packet + 10, 60, 4);
	assert_int_equal(nb->ops->writev(&nb->pair[0], &iov, 1), 10 + 60);
	expect_frame(60, 4);
	iov.iov_len = 10 + 13;
	assert_int_equal(nb->ops->writev(&nb->pair[0], &iov, 1), -EMSGSIZE);
	/* Whole, and in two pieces. */
	len = put_frame(len, 62, 2);
	for (u32 i = 0; i < 2; i++) {
		size_t at = i ? len / 2 + 20 : 0, end = i ? len : len / 2 + 20;

		assert_int_equal(write(peer, frames + at, end - at), end - at);
		assert_int_equal(receive(2000), 10 + 61 + i);
		for (u32 k = 0; k < 61 + i; k++)
			assert_int_equal(packet[10 + k], pattern(k, (u8)(1 + i)));
		if (!i)
			assert_int_equal(receive(2000), -EAGAIN);
	}
}

static void test_no_frames(void **state)
{
	static const u32 wrong[] = { 0, 13, LONGEST + 1, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		__be32 be = htonl(wrong[i]);

		assert_int_equal(write(peer, &be, 4), 4);
		assert_int_equal(receive(2000), -EPIPE);
		assert_int_equal(receive(2000), -EPIPE);
		tear_down(NULL);
		assert_int_equal(set_up(NULL), 0);
	}
}

/* It ended: in the middle of a frame, too. */
static void test_ended(void **state)
{
	size_t len = put_frame(0, 60, 1);

	assert_int_equal(write(peer, frames, len + 2), len + 2);
	shutdown(peer, SHUT_RDWR);
	expect_packet(60, 1);
	assert_int_equal(receive(2000), -EPIPE);
	assert_int_equal(send_packet(60, 1), -EPIPE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sends, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_full, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_abandoned, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_receives, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_pieces, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_short_header, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_frames, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_ended, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
