/* SPDX-License-Identifier: MIT */
/*
 * Somebody else serves the queues of a virtio device: a process that is talked to over a unix
 * socket (vhost-user), or the kernel (vhost). What both do is one table. A back end knows rings,
 * memory and descriptors, and no device; virtio/vhost.c makes one of it for the guest.
 *
 * The functions are called by one thread at a time: at first the one that opens, then the loop of
 * the device. Each waits for an answer, but never longer than VHOST_PATIENCE_MS. The first that
 * fails prints why, and the back end is @gone: from then on all fail at once and silently.
 */
#ifndef LKVM_VHOST_H
#define LKVM_VHOST_H

#include "lkvm/memory.h"
#include "lkvm/types.h"

/* What a back end may take to give a ring back: its requests with the host end first. */
#define VHOST_PATIENCE_MS 30000

struct vhost;

/* Addresses are those of this process. */
struct vhost_ring {
	u16 index;
	u16 size;
	u32 base; /* where it goes on: of a split ring the next available entry */
	void *desc, *avail, *used;
	int kick, call; /* eventfds */
};

struct vhost_ops {
	/* Device and ring features that the driver accepted; while no ring runs. */
	int (*set_features)(struct vhost *v, u64 features);
	/* All RAM of @mem, each region behind a file (-ENOTSUP, printed, for others); while no ring
	 * runs. */
	int (*set_memory)(struct vhost *v, const struct guest_memory *mem);
	int (*start_ring)(struct vhost *v, const struct vhost_ring *ring);
	/* Another eventfd for the interrupts of a ring that runs. */
	int (*set_call)(struct vhost *v, u16 ring, int fd);
	/* When it returns 0 the ring is not touched any more, and all that was taken from it has
	 * been replied to; *base is where it goes on. */
	int (*stop_ring)(struct vhost *v, u16 ring, u32 *base);
	/* The first @len bytes of the device's configuration space. -ENOTSUP: it has none. */
	int (*get_config)(struct vhost *v, void *buf, u32 len);
	/* A part of it that the driver wrote. -ENOTSUP as above. May be NULL. */
	int (*set_config)(struct vhost *v, u32 offset, const void *buf, u32 len);
	/* v->channel is readable: take what is there. */
	void (*hear)(struct vhost *v);
	bool (*check)(struct vhost *v); /* vhost_check */
	void (*close)(struct vhost *v);
};

struct vhost {
	const struct vhost_ops *ops;
	const char *what; /* the option, for messages; owned */
	u64 features;	  /* that it offers, of the device and of rings */
	u16 max_queues;
	/* Readable when the back end has gone (or breaks the protocol), or can serve a ring no
	 * more; -1: never. vhost_check says why. */
	int fd;
	/* Readable when the back end has something to say, which ops->hear (if there is one) takes;
	 * any function that waits for an answer does, too. -1: never. */
	int channel;
	/* It said that the configuration space changed. Called within any of the functions, so it
	 * only takes note. While it is NULL @news is set instead. */
	void (*changed)(void *opaque);
	void *opaque;
	bool news;
	bool gone;
};

/*
 * vhost/user.c: the back end that listens at @path, or (@path NULL) at the other end of @fd, which
 * becomes its own. @what is for messages and copied. Prints; 0 or -errno; *out is the caller's
 * (ops->close).
 */
int vhost_user_open(const char *path, int fd, const char *what, struct vhost **out) __must_check;
/*
 * vhost/kernel.c: the host kernel's own, over @nr taps, one for each pair of rings (receive, send),
 * which are borrowed and outlive it; and sockets of the guest with the address @cid. Memory need
 * not be behind files. @what as above. Prints; 0 or -errno; *out is the caller's (ops->close).
 */
int vhost_net_open(const char *what, const int *taps, u16 nr, struct vhost **out) __must_check;
int vhost_vsock_open(const char *what, u64 cid, struct vhost **out) __must_check;

struct virtiofs_config;
struct event_loop;
struct child;

/* vhost/virtiofsd.c: where the program is, to be freed; NULL: nowhere. */
char *virtiofsd_find(void) __must_check;
/*
 * Start it for the directory @fc->dir; it takes a connection of vhost-user from @listener, which
 * stays the caller's. @what as above; @child as in child_start. Prints; 0 or -errno.
 */
int virtiofsd_start(const struct virtiofs_config *fc, const char *what, int listener,
		    struct event_loop *loop, struct child *child) __must_check;

/* v->fd is readable without an answer being due: the back end is @gone, or gives a ring up because
 * of what the driver did, and that is said. False: nothing is there after all. */
static inline bool vhost_check(struct vhost *v)
{
	return v->ops->check(v);
}

#endif
