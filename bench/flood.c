/* SPDX-License-Identifier: MIT */
/*
 * flood INTERFACE BYTES FRAMES: sends so many frames of so many bytes in each millisecond, for the
 * bench of a network card that receives: more than it can take, and no more than leaves it a
 * processor. Ends when its standard input does.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PROTO	  0x88b5 /* IEEE 802 local experimental 1 */
#define MAX_BURST 1000
#define MAX_BYTES 1514

int main(int argc, char **argv)
{
	static unsigned char frame[MAX_BYTES] = { 0xff, 0xff, 0xff,	  0xff,	       0xff,
						  0xff, 2,    0,	  0,	       0,
						  0,	1,    PROTO >> 8, PROTO & 0xff };
	static struct mmsghdr messages[MAX_BURST];
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(PROTO) };
	struct pollfd input = { .fd = 0, .events = POLLIN };
	struct iovec part = { .iov_base = frame };
	int fd, burst;
	char byte;

	if (argc != 4) {
		fprintf(stderr, "usage: flood INTERFACE BYTES FRAMES\n");
		return 2;
	}
	part.iov_len = strtoul(argv[2], NULL, 10);
	burst = atoi(argv[3]);
	to.sll_ifindex = (int)if_nametoindex(argv[1]);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) || part.iov_len > MAX_BYTES ||
	    burst > MAX_BURST) {
		perror(argv[1]);
		return 1;
	}
	for (int i = 0; i < burst; i++)
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &part, .msg_iovlen = 1 };
	for (;;) {
		struct timespec pause = { 0, 1000000 };

		/* What the interface does not take is lost, as it is on a wire. */
		sendmmsg(fd, messages, (unsigned int)burst, MSG_DONTWAIT);
		if (poll(&input, 1, 0) > 0 && read(0, &byte, 1) <= 0)
			return 0;
		nanosleep(&pause, NULL);
	}
}
