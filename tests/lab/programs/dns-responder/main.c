/* SPDX-License-Identifier: MIT */
/*
 * A name server (RFC 1035) that knows one name: dns-responder ADDRESS NAME IP, on port 53 of
 * ADDRESS. NAME has the address IP; it has no other records, and no other name exists.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define HEADER 12

/* The name in the question, with dots; where it ends, or 0. */
static size_t read_name(const uint8_t *msg, size_t len, char *name, size_t size)
{
	size_t at = HEADER, done = 0;

	while (at < len && msg[at]) {
		size_t label = msg[at];

		if (label > 63 || at + label >= len || done + label + 1 >= size)
			return 0;
		if (done)
			name[done++] = '.';
		memcpy(name + done, msg + at + 1, label);
		done += label;
		at += label + 1;
	}
	name[done] = 0;
	return at + 1;
}

static size_t answer(uint8_t *msg, size_t len, const char *wanted, struct in_addr ip)
{
	/* The name of the question, type A, class IN, a minute, four bytes. */
	static const uint8_t record[] = { 0xc0, HEADER, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4 };
	char name[256];
	size_t end = read_name(msg, len, name, sizeof(name));
	bool known = !strcasecmp(name, wanted), is_a;

	if (!end || end + 4 > len)
		return 0;
	is_a = msg[end] == 0 && msg[end + 1] == 1;
	end += 4;
	msg[2] = 0x84 | (msg[2] & 1); /* a response, with authority */
	msg[3] = known ? 0 : 3;
	memset(msg + 6, 0, 6);
	if (known && is_a) {
		msg[7] = 1;
		memcpy(msg + end, record, sizeof(record));
		memcpy(msg + end + sizeof(record), &ip, 4);
		end += sizeof(record) + 4;
	}
	return end;
}

int main(int argc, char **argv)
{
	struct sockaddr_in own = { .sin_family = AF_INET, .sin_port = htons(53) }, peer;
	socklen_t peer_len = sizeof(peer);
	uint8_t msg[1024];
	struct in_addr ip;
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (argc != 4 || inet_pton(AF_INET, argv[1], &own.sin_addr) != 1 ||
	    inet_pton(AF_INET, argv[3], &ip) != 1)
		return 2;
	if (fd < 0 || bind(fd, (struct sockaddr *)&own, sizeof(own))) {
		perror("dns-responder");
		return 1;
	}
	for (;;) {
		ssize_t n = recvfrom(fd, msg, 512, 0, (struct sockaddr *)&peer, &peer_len);
		size_t len = n > HEADER ? answer(msg, (size_t)n, argv[2], ip) : 0;

		if (len)
			sendto(fd, msg, len, 0, (struct sockaddr *)&peer, peer_len);
	}
}
