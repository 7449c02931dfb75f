/* SPDX-License-Identifier: MIT */
/*
 * News of an interface's link (rtnetlink(7), RTMGRP_LINK): whether it is up and has a carrier. A
 * filter in the kernel leaves out what concerns others, so nothing wakes us for them.
 */
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "tun.h"

#ifndef IFF_LOWER_UP
#define IFF_LOWER_UP 0x10000 /* linux/if.h, which <net/if.h> excludes */
#endif

/* What all messages about links begin with. */
struct link_message {
	struct nlmsghdr head;
	struct ifinfomsg link;
};

/* Messages about links come alone. */
static int filter(int fd, int index)
{
	struct sock_filter code[] = {
		/* Words of the message are read as big-endian ones. */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct link_message, link.ifi_index)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl((u32)index), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, ~0U),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog program = { .len = ARRAY_SIZE(code), .filter = code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) ? -errno : 0;
}

/* The answer comes among the news. */
static int ask(int fd, int index)
{
	const struct link_message msg = {
		.head = { .nlmsg_len = sizeof(msg),
			  .nlmsg_type = RTM_GETLINK,
			  .nlmsg_flags = NLM_F_REQUEST },
		.link.ifi_index = index,
	};

	return send(fd, &msg, sizeof(msg), MSG_NOSIGNAL) == sizeof(msg) ? 0 : -errno;
}

int news_open(const char *name, int *index)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	const struct sockaddr_nl us = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE), ret;

	if (fd < 0) {
		ret = -errno;
		goto fail;
	}
	*index = (int)if_nametoindex(name);
	ret = *index ? filter(fd, *index) : -ENODEV;
	if (!ret && bind(fd, (const struct sockaddr *)&us, sizeof(us)))
		ret = -errno;
	if (!ret && connect(fd, (const struct sockaddr *)&kernel, sizeof(kernel)))
		ret = -errno;
	if (!ret)
		ret = ask(fd, *index);
	if (!ret)
		return fd;
	close(fd);
fail:
	debug("net: '%s': no news of its link: %s; what sending says is all that is known", name,
	      strerror(-ret));
	return ret;
}

int news_read(int fd, int index)
{
	int ret = -EAGAIN;

	for (;;) {
		struct link_message msg;
		/* The rest of the message is of no interest. */
		ssize_t n = recv(fd, &msg, sizeof(msg), MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		/* There was more than the socket holds: how is it now? */
		if (n < 0 && errno == ENOBUFS && !ask(fd, index))
			continue;
		if (n < 0 && errno != EAGAIN)
			return -errno;
		if (n < 0)
			return ret;
		/* Bridges tell of their ports the same way, which is of another family. */
		if (n < (ssize_t)sizeof(msg) || msg.link.ifi_index != index ||
		    msg.link.ifi_family != AF_UNSPEC)
			continue;
		if (msg.head.nlmsg_type == RTM_NEWLINK)
			ret = !!(msg.link.ifi_flags & IFF_LOWER_UP);
		/* It was removed, or has moved to another namespace, where it may be well. */
		else if (msg.head.nlmsg_type == RTM_DELLINK)
			return -ENODEV;
	}
}
