/* SPDX-License-Identifier: MIT */
/*
 * flood INTERFACE BYTES FRAMES: sends so many frames of so many bytes in each millisecond, for the
 * bench of a network card that receives: more than it can take, and no more than leaves it a
 * processor. What is longer than an Ethernet frame is TCP's, and goes as a whole to an interface
 * that takes it so. Ends when its standard input does.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <linux/virtio_net.h>
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
#define MAX_FRAME 1514
#define MAX_BYTES 65535
#define ETHER	  14
#define IP	  20
#define TCP	  20

/* Instead of the experimental protocol's. */
static void make_tcp(unsigned char *frame, size_t bytes, struct virtio_net_hdr *hdr)
{
	unsigned char *ip = frame + ETHER;

	frame[12] = 0x08;
	frame[13] = 0x00;
	ip[0] = 0x45;
	ip[2] = (unsigned char)((bytes - ETHER) >> 8);
	ip[3] = (unsigned char)(bytes - ETHER);
	ip[9] = 6;
	ip[IP + 12] = 0x50;
	hdr->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	hdr->gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	hdr->hdr_len = ETHER + IP + TCP;
	hdr->gso_size = MAX_FRAME - ETHER - IP - TCP;
	hdr->csum_start = ETHER + IP;
	hdr->csum_offset = 16;
}

int main(int argc, char **argv)
{
	static unsigned char frame[MAX_BYTES] = { 0xff, 0xff, 0xff,	  0xff,	       0xff,
						  0xff, 2,    0,	  0,	       0,
						  0,	1,    PROTO >> 8, PROTO & 0xff };
	static struct mmsghdr messages[MAX_BURST];
	struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_protocol = htons(PROTO) };
	struct pollfd input = { .fd = 0, .events = POLLIN };
	struct virtio_net_hdr hdr = { 0 };
	struct iovec parts[2] = { { &hdr, sizeof(hdr) }, { .iov_base = frame } };
	int fd, burst, one = 1;
	char byte;

	if (argc != 4) {
		fprintf(stderr, "usage: flood INTERFACE BYTES FRAMES\n");
		return 2;
	}
	parts[1].iov_len = strtoul(argv[2], NULL, 10);
	burst = atoi(argv[3]);
	to.sll_ifindex = (int)if_nametoindex(argv[1]);
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) ||
	    parts[1].iov_len > MAX_BYTES ||
	    setsockopt(fd, SOL_PACKET, PACKET_VNET_HDR, &one, sizeof(one)) || burst > MAX_BURST) {
		perror(argv[1]);
		return 1;
	}
	if (parts[1].iov_len > MAX_FRAME) {
		make_tcp(frame, parts[1].iov_len, &hdr);
		to.sll_protocol = htons(0x0800);
		if (bind(fd, (struct sockaddr *)&to, sizeof(to))) {
			perror(argv[1]);
			return 1;
		}
	}
	for (int i = 0; i < burst; i++)
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = parts, .msg_iovlen = 2 };
	for (;;) {
		struct timespec pause = { 0, 1000000 };

		/* What the interface does not take is lost, as it is on a wire. */
		sendmmsg(fd, messages, (unsigned int)burst, MSG_DONTWAIT);
		if (poll(&input, 1, 0) > 0 && read(0, &byte, 1) <= 0)
			return 0;
		nanosleep(&pause, NULL);
	}
}
