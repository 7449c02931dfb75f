/* SPDX-License-Identifier: MIT */
/*
 * virtio-vsock (VIRTIO 1.3, 5.10) that the host's kernel serves: packets between its AF_VSOCK
 * sockets and the guest's. The queue of events is ours: only we know of a machine that was loaded.
 */
#include <linux/virtio_vsock.h>
#include <stdlib.h>

#include "lkvm/util.h"
#include "vhost.h"

#ifndef VIRTIO_VSOCK_F_SEQPACKET
#define VIRTIO_VSOCK_F_STREAM	 0 /* 5.10.3 */
#define VIRTIO_VSOCK_F_SEQPACKET 1
#endif
#ifndef VIRTIO_VSOCK_F_STREAM
#define VIRTIO_VSOCK_F_STREAM 0
#endif

#define QUEUE_SIZE 256
enum { RX, TX, EVENT, NR_QUEUES };

/* vdev->own: a driver has started the device; what is loaded so had connections. */
#define OWN_DRIVEN BIT(0)

struct vhost_vsock {
	struct virtio_device vdev;
	struct vhost_rings rings;
	u64 cid;
	/* The loop's. */
	bool driven;	 /* since it was made, or its last reset */
	bool tell_reset; /* TRANSPORT_RESET is due */
};

static struct vhost_vsock *vsock_of(struct virtio_device *vdev)
{
	return container_of(vdev, struct vhost_vsock, vdev);
}

/* 5.10.6.7. False: wait for something else than a buffer. */
static bool event_run(struct vhost_vsock *vs)
{
	const struct virtio_vsock_event event = {
		.id = cpu_to_le32(VIRTIO_VSOCK_EVENT_TRANSPORT_RESET),
	};
	struct iovec iov[VIRTQ_MAX_SEGS];
	struct virtq_request req;

	if (!vs->tell_reset)
		return false;
	if (virtio_pop(&vs->vdev, EVENT, &req, iov, ARRAY_SIZE(iov)) != 1)
		return true;
	if (iov_from_buf(virtq_in(&req), req.nr_in, 0, &event, sizeof(event)) != sizeof(event)) {
		virtio_broken(&vs->vdev, "an event buffer is too short");
		return false;
	}
	vs->tell_reset = false;
	virtio_push(&vs->vdev, EVENT, &req, sizeof(event));
	return false;
}

static bool vsock_run(struct virtio_device *vdev, u16 q)
{
	struct vhost_vsock *vs = vsock_of(vdev);

	return q == EVENT ? event_run(vs) : vhost_rings_run(&vs->rings, q);
}

/* A driver that was loaded has connections that this kernel does not have, and maybe another
 * address. */
static void vsock_started(struct virtio_device *vdev, u16 q)
{
	struct vhost_vsock *vs = vsock_of(vdev);
	const __le64 cid = cpu_to_le64(vs->cid);

	if (vs->driven)
		return;
	vs->tell_reset = vdev->own & OWN_DRIVEN;
	vs->driven = true;
	vdev->own |= OWN_DRIVEN;
	virtio_lock(vdev);
	memcpy(vdev->config, &cid, sizeof(cid));
	virtio_unlock(vdev);
}

static bool vsock_stopped(struct virtio_device *vdev, u16 q)
{
	return q == EVENT || vhost_rings_stopped(&vsock_of(vdev)->rings, q);
}

static void vsock_reset(struct virtio_device *vdev)
{
	struct vhost_vsock *vs = vsock_of(vdev);

	vs->driven = false;
	vs->tell_reset = false;
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
	const __le64 guest_cid = cpu_to_le64(cid);
	/* The kernel does not speak of streams, and has them. */
	u64 features = BIT_ULL(VIRTIO_VSOCK_F_STREAM) |
		       (vhost->features & BIT_ULL(VIRTIO_VSOCK_F_SEQPACKET));
	int ret = virtio_init(&vs->vdev, vm, &vhost_vsock_ops, "virtio-vsock", 0, features,
			      NR_QUEUES, QUEUE_SIZE, NULL);

	vs->cid = cid;
	if (!ret) {
		ret = vhost_rings_init(&vs->rings, &vs->vdev, vhost);
		if (ret)
			virtio_fini(&vs->vdev);
	}
	if (ret) {
		free(vs);
		return ret;
	}
	memcpy(vs->vdev.config, &guest_cid, sizeof(guest_cid));
	*out = &vs->vdev;
	return 0;
}

int virtio_vhost_vsock_create(struct vm *vm, struct vhost *vhost, u64 cid)
{
	struct virtio_device *vdev;
	int ret = virtio_vhost_vsock_new(vm, vhost, cid, &vdev);

	return ret ? ret : virtio_attach_or_destroy(vdev);
}
