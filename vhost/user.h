/* SPDX-License-Identifier: MIT */
/* vhost-user: what vhost/user.c, user-wire.c (messages over the socket) and user-memory.c share. */
#ifndef LKVM_VHOST_USER_H
#define LKVM_VHOST_USER_H

#include <linux/vhost_types.h>
#include <sys/types.h>

#include "channel.h"
#include "lkvm/util.h"
#include "lkvm/vhost.h"

/* "Front-end message types" */
enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
	SET_BACKEND_REQ_FD = 21,
	GET_CONFIG = 24,
	SET_CONFIG = 25,
	GET_MAX_MEM_SLOTS = 36,
	ADD_MEM_REG = 37,
	REM_MEM_REG = 38,
};

#define F_PROTOCOL_FEATURES 30 /* among the device's features */
/* "Protocol features" */
#define P_MQ	      0
#define P_REPLY_ACK   3
#define P_BACKEND_REQ 5
#define P_CONFIG      9
#define P_MEM_SLOTS   15
#define P_WANTED                                                                             \
	(BIT_ULL(P_MQ) | BIT_ULL(P_REPLY_ACK) | BIT_ULL(P_BACKEND_REQ) | BIT_ULL(P_CONFIG) | \
	 BIT_ULL(P_MEM_SLOTS))

#define MAX_REGIONS 8u	 /* "A memory regions description" */
#define MAX_CONFIG  256u /* "Virtio device config space" */

struct region {
	u64 gpa, size, user, offset;
};

union payload {
	u64 number;
	struct vhost_vring_state state;
	struct vhost_vring_addr addr;
	struct {
		u32 count, padding;
		struct region regions[MAX_REGIONS];
	} memory;
	struct {
		u64 padding;
		struct region region;
	} slot;
	struct {
		u32 offset, size, flags;
		u8 bytes[MAX_CONFIG];
	} config;
};

struct message {
	u32 request, flags, size;
	union payload p;
} __attribute__((packed));

#define HEADER offsetof(struct message, p)

/* What the back end was told of. */
struct user_region {
	struct region r;
	dev_t dev;
	ino_t ino;
	int fd; /* until the call returns for which the list is made */
};

struct vhost_user {
	struct vhost v;
	struct vhost_channel channel;
	u64 protocol; /* features that both have */
	bool protocol_offered;
	bool opening; /* by the main thread, which may say that it waits */
	u32 slots;    /* for regions, at most; 0: it takes them by the table alone */
	struct user_region *regions;
	u32 nr_regions;
};

static inline struct vhost_user *to_user(struct vhost *v)
{
	return container_of(v, struct vhost_user, v);
}

/* user-wire.c: all return 0, or -errno when the back end is gone: then that was said. */

/* Say so, once. @error. */
int vhost_user_lose(struct vhost *v, int error, const char *why);
/* Take what came on the channel. */
int vhost_user_listen(struct vhost *v) __must_check;
/* What it is for a message: "closed the connection". */
const char *vhost_user_error(int error);
/* Send @m; with REPLY_ACK wait until it is done (tell). */
int vhost_user_request(struct vhost *v, struct message *m, const int *fds, u32 nr_fds) __must_check;
int vhost_user_tell(struct vhost *v, struct message *m, const int *fds, u32 nr_fds) __must_check;
/* The answer to @m, of exactly @size bytes, into @m. */
int vhost_user_answer(struct vhost *v, struct message *m, u32 size) __must_check;
/* A request without a payload that is answered by a number; and one whose payload is a number. */
int vhost_user_ask_number(struct vhost *v, u32 what, u64 *number) __must_check;
int vhost_user_tell_number(struct vhost *v, u32 what, u64 number) __must_check;

/* user-memory.c */

/* How many regions does it take, and how? Once. */
int vhost_user_count_slots(struct vhost *v) __must_check;
int vhost_user_set_memory(struct vhost *v, const struct guest_memory *mem) __must_check;

#endif
