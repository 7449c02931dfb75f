/* SPDX-License-Identifier: MIT */
/* Devices whose queues somebody else serves: what vhost.c and the files of the devices share. */
#ifndef LKVM_VIRTIO_VHOST_H
#define LKVM_VIRTIO_VHOST_H

#include "lkvm/vhost.h"
#include "lkvm/virtio.h"

struct vhost_device {
	struct virtio_device vdev;
	struct vhost *vhost;
	struct event end;   /* vhost->fd, on the loop */
	struct event *call; /* for each queue: what the back end writes to where no vector can be */
	bool *runs;	    /* for each queue: the back end has it. The loop's */
	u16 nr_running;
	bool finished; /* the process is about to end */
	struct event_post calls_post;
};

/* What a device's struct virtio_ops has in common with the others'. */
#define VHOST_DEVICE_OPS                                                           \
	.nr_loops = 1, .blocks = true, .queue_run = vhost_device_run,              \
	.queue_stopped = vhost_device_stopped, .queue_held = vhost_device_stopped, \
	.interrupts_changed = vhost_device_calls, .watch = vhost_device_watch,     \
	.finish = vhost_device_finish, .detach = vhost_device_detach,              \
	.destroy = vhost_device_destroy

/*
 * As virtio_init, with loops of its own. Of @features, which are the device's own, those are
 * offered that @vhost offers; of the rings' too. Borrows @vhost. *out is the caller's until
 * virtio_attach.
 */
int vhost_device_new(struct vm *vm, struct vhost *vhost, const struct virtio_ops *ops,
		     const char *kind, u32 index, u64 features, u16 nr_queues, u16 queue_size,
		     struct vhost_device **out) __must_check;
/* virtio_attach; on failure it is gone. */
int vhost_device_attach(struct virtio_device *vdev) __must_check;

bool vhost_device_run(struct virtio_device *vdev, u16 q);
bool vhost_device_stopped(struct virtio_device *vdev, u16 q);
void vhost_device_calls(struct virtio_device *vdev);
int vhost_device_watch(struct virtio_device *vdev, bool on);
void vhost_device_finish(struct virtio_device *vdev);
void vhost_device_detach(struct virtio_device *vdev);
void vhost_device_destroy(struct virtio_device *vdev);

#endif
