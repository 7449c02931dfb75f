/* SPDX-License-Identifier: MIT */
/* What a vhost-user back end says by itself: vhost/channel.c, and the header of all messages. */
#ifndef LKVM_VHOST_CHANNEL_H
#define LKVM_VHOST_CHANNEL_H

#include "lkvm/types.h"

/* "Header": version 1, an answer, one is wanted (with REPLY_ACK) */
#define FLAG_VERSION	0x1u
#define FLAG_MASK	0x3u
#define FLAG_REPLY	0x4u
#define FLAG_NEED_REPLY 0x8u

struct vhost_header {
	u32 request, flags, size;
};

struct vhost_channel {
	int fd; /* -1: there is none */
	u32 have;
	struct vhost_header head;
	u8 rest[256]; /* no message that is known has more */
};

/* A connection: one end is ours, *theirs the caller's. 0 or -errno. */
int vhost_channel_open(struct vhost_channel *c, int *theirs) __must_check;
/*
 * Take what has come, at most one message, and reply where one is wanted. 1: the device's
 * configuration changed; 0: nothing of interest; or -errno: the connection is of no use any more
 * (-EPROTO: what came is no message).
 */
int vhost_channel_hear(struct vhost_channel *c) __must_check;
void vhost_channel_close(struct vhost_channel *c);

#endif
