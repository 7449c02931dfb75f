/* SPDX-License-Identifier: MIT */
/* Devices whose queues somebody else serves: what vhost.c and the files of the devices share. */
#ifndef LKVM_VIRTIO_VHOST_H
#define LKVM_VIRTIO_VHOST_H

#include "lkvm/vhost.h"
#include "lkvm/virtio.h"

struct vhost_rings;

/* A queue that may be given away; all but @call is the loop's. */
struct vhost_given {
	struct vhost_rings *rings;
	u16 index;
	bool runs;	   /* the back end has it */
	struct event call; /* what the back end writes to where no vector can be */
};

/*
 * The queues of a device that somebody else serves. A device may serve others of its queues itself:
 * then its struct virtio_ops has functions of its own, which call these for those that are given
 * away. All on one loop.
 */
struct vhost_rings {
	struct virtio_device *vdev;
	struct vhost *vhost;
	struct event end;	   /* vhost->fd, on the loop */
	struct event said;	   /* vhost->channel */
	struct vhost_given *given; /* for each queue of the device */
	u16 nr_given;
	u16 nr_running;
	bool finished; /* the process is about to end */
	/* The back end is gone, and may be alive: a notification that it reads is lost, so the
	 * rings are looked at every now and then. On the loop. */
	struct event_timer look;
	bool looking;
	struct event_post calls_post;
	/*
	 * Set after vhost_rings_init where there is one: the back end is gone, reply to @req by an
	 * error. False: nobody waits for it, nor for what comes after it in this queue. NULL: the
	 * device needs a reset then. On the loop.
	 */
	bool (*answer)(struct virtio_device *vdev, u16 q, const struct virtq_request *req);
	/* On the loop: the back end's configuration changed, or it is gone (vhost_rings_tell).
	 * NULL: of no interest. */
	void (*config_changed)(struct virtio_device *vdev);
	struct event_post news_post;
	struct event_post own_post; /* the device's own, taken back at its end */
};

/*
 * After virtio_init of @vdev, which has one loop and blocks: what @vhost does not know of rings is
 * not offered, and both are watched. Borrows both. 0 or -errno (printed; nothing is left).
 */
int vhost_rings_init(struct vhost_rings *r, struct virtio_device *vdev,
		     struct vhost *vhost) __must_check;
/* The configuration space is complete: from now on @config_changed is called, first for what was
 * said before. */
void vhost_rings_tell(struct vhost_rings *r, void (*config_changed)(struct virtio_device *vdev));
/* Watched no more (vhost_rings_detach), and the core has let go. */
void vhost_rings_fini(struct vhost_rings *r);

/* Of struct virtio_ops: queue_started, queue_run, queue_stopped and queue_held of a queue that is
 * given away. */
void vhost_rings_started(struct vhost_rings *r, u16 q);
bool vhost_rings_run(struct vhost_rings *r, u16 q);
bool vhost_rings_stopped(struct vhost_rings *r, u16 q);
/* interrupts_changed, watch, finish, detach. */
void vhost_rings_calls(struct vhost_rings *r);
int vhost_rings_watch(struct vhost_rings *r, bool on);
void vhost_rings_finish(struct vhost_rings *r);
void vhost_rings_detach(struct vhost_rings *r);

/* virtio/vhost-lost.c, for vhost.c: the back end is gone (and there is an answer). What it had of a
 * ring that has just come back, and queue_run. */
void vhost_rings_adopt(struct vhost_rings *r, u16 q);
bool vhost_rings_answer(struct vhost_rings *r, u16 q);

/* One all of whose queues are given away. */
struct vhost_device {
	struct virtio_device vdev;
	struct vhost_rings rings;
	u8 first_wce; /* vhost-blk.c: what a reset restores */
};

/* What a device's struct virtio_ops has in common with the others'. */
#define VHOST_DEVICE_OPS                                                                           \
	.nr_loops = 1, .blocks = true, .queue_started = vhost_device_started,                      \
	.queue_run = vhost_device_run, .queue_stopped = vhost_device_stopped,                      \
	.queue_held = vhost_device_stopped, .interrupts_changed = vhost_device_calls,              \
	.watch = vhost_device_watch, .finish = vhost_device_finish, .detach = vhost_device_detach, \
	.destroy = vhost_device_destroy

/*
 * As virtio_init, with loops of its own. Of @features, which are the device's own, those are
 * offered that @vhost offers; of the rings' too. Borrows @vhost. *out is the caller's until
 * virtio_attach.
 */
int vhost_device_new(struct vm *vm, struct vhost *vhost, const struct virtio_ops *ops,
		     const char *kind, u32 index, u64 features, u16 nr_queues, u16 queue_size,
		     struct vhost_device **out) __must_check;

void vhost_device_started(struct virtio_device *vdev, u16 q);
bool vhost_device_run(struct virtio_device *vdev, u16 q);
bool vhost_device_stopped(struct virtio_device *vdev, u16 q);
void vhost_device_calls(struct virtio_device *vdev);
int vhost_device_watch(struct virtio_device *vdev, bool on);
void vhost_device_finish(struct virtio_device *vdev);
void vhost_device_detach(struct virtio_device *vdev);
void vhost_device_destroy(struct virtio_device *vdev);

#endif
