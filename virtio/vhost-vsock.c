/* SPDX-License-Identifier: MIT */
/*
 * virtio-vsock (VIRTIO 1.3, 5.10) that the host's kernel serves: packets between its AF_VSOCK
 * sockets and the guest's. The queue of events is ours: only we know of a machine that was loaded.
 */
#include <stdlib.h>

#include "lkvm/util.h"
#include "vhost.h"
#include "vsock-event.h"

#define QUEUE_SIZE 256

struct vhost_vsock {
	struct virtio_device vdev;
	struct vhost_rings rings;
	struct vsock_events events;
};

static struct vhost_vsock *vsock_of(struct virtio_device *vdev)
{
	return container_of(vdev, struct vhost_vsock, vdev);
}

static bool vsock_run(struct virtio_device *vdev, u16 q)
{
	struct vhost_vsock *vs = vsock_of(vdev);

	return q == VSOCK_EVENT ? vsock_events_run(vdev, &vs->events)
				: vhost_rings_run(&vs->rings, q);
}

static void vsock_started(struct virtio_device *vdev, u16 q)
{
	vsock_events_started(vdev, &vsock_of(vdev)->events);
}

static bool vsock_stopped(struct virtio_device *vdev, u16 q)
{
	return q == VSOCK_EVENT || vhost_rings_stopped(&vsock_of(vdev)->rings, q);
}

static void vsock_reset(struct virtio_device *vdev)
{
	vsock_events_reset(&vsock_of(vdev)->events);
}

static void vsock_calls(struct virtio_device *vdev)
{
	vhost_rings_calls(&vsock_of(vdev)->rings);
}

static int vsock_watch(struct virtio_device *vdev, bool on)
{
	return vhost_rings_watch(&vsock_of(vdev)->rings, on);
}

static void vsock_finish(struct virtio_device *vdev)
{
	vhost_rings_finish(&vsock_of(vdev)->rings);
}

static void vsock_detach(struct virtio_device *vdev)
{
	vhost_rings_detach(&vsock_of(vdev)->rings);
}

static void vsock_destroy(struct virtio_device *vdev)
{
	vhost_rings_fini(&vsock_of(vdev)->rings);
	free(vsock_of(vdev));
}

static const struct virtio_ops vhost_vsock_ops = {
	.id = VIRTIO_ID_VSOCK,
	.pci_class = 0x0780, /* communication controller, other */
	.nr_loops = 1,
	.blocks = true,
	.config_len = sizeof(struct virtio_vsock_config),
	.queue_started = vsock_started,
	.queue_run = vsock_run,
	.queue_stopped = vsock_stopped,
	.queue_held = vsock_stopped,
	.reset = vsock_reset,
	.interrupts_changed = vsock_calls,
	.watch = vsock_watch,
	.finish = vsock_finish,
	.detach = vsock_detach,
	.destroy = vsock_destroy,
};

int virtio_vhost_vsock_new(struct vm *vm, struct vhost *vhost, u64 cid, struct virtio_device **out)
{
	struct vhost_vsock *vs = xcalloc(1, sizeof(*vs));
	/* The kernel does not speak of streams, and has them. */
	u64 features = BIT_ULL(VIRTIO_VSOCK_F_STREAM) |
		       (vhost->features & BIT_ULL(VIRTIO_VSOCK_F_SEQPACKET));
	int ret = virtio_init(&vs->vdev, vm, &vhost_vsock_ops, "virtio-vsock", 0, features,
			      VSOCK_QUEUES, QUEUE_SIZE, NULL);

	if (!ret) {
		ret = vhost_rings_init(&vs->rings, &vs->vdev, vhost);
		if (ret)
			virtio_fini(&vs->vdev);
	}
	if (ret) {
		free(vs);
		return ret;
	}
	vsock_events_init(&vs->vdev, &vs->events, cid);
	*out = &vs->vdev;
	return 0;
}

int virtio_vhost_vsock_create(struct vm *vm, struct vhost *vhost, u64 cid)
{
	struct virtio_device *vdev;
	int ret = virtio_vhost_vsock_new(vm, vhost, cid, &vdev);

	return ret ? ret : virtio_attach_or_destroy(vdev);
}
