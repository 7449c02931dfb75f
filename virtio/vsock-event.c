/* SPDX-License-Identifier: MIT */
/* The event queue of virtio-vsock; see vsock-event.h. */
#include "vsock-event.h"

#include "lkvm/util.h"

/* vdev->own: a driver has started the device; what is loaded so had connections. */
#define OWN_DRIVEN BIT(0)

static void set_address(struct virtio_device *vdev, u64 cid)
{
	const __le64 guest_cid = cpu_to_le64(cid);

	memcpy(vdev->config, &guest_cid, sizeof(guest_cid));
}

void vsock_events_init(struct virtio_device *vdev, struct vsock_events *e, u64 cid)
{
	*e = (struct vsock_events){ .cid = cid };
	set_address(vdev, cid);
}

void vsock_events_started(struct virtio_device *vdev, struct vsock_events *e)
{
	if (e->driven)
		return;
	e->tell_reset = vdev->own & OWN_DRIVEN;
	e->driven = true;
	vdev->own |= OWN_DRIVEN;
	virtio_lock(vdev);
	set_address(vdev, e->cid);
	virtio_unlock(vdev);
}

/* False: wait for something else than a buffer. */
bool vsock_events_run(struct virtio_device *vdev, struct vsock_events *e)
{
	const struct virtio_vsock_event event = {
		.id = cpu_to_le32(VIRTIO_VSOCK_EVENT_TRANSPORT_RESET),
	};
	struct iovec iov[VIRTQ_MAX_SEGS];
	struct virtq_request req;

	if (!e->tell_reset)
		return false;
	if (virtio_pop(vdev, VSOCK_EVENT, &req, iov, ARRAY_SIZE(iov)) != 1)
		return true;
	if (iov_from_buf(virtq_in(&req), req.nr_in, 0, &event, sizeof(event)) != sizeof(event)) {
		virtio_broken(vdev, "an event buffer is too short");
		return false;
	}
	e->tell_reset = false;
	virtio_push(vdev, VSOCK_EVENT, &req, sizeof(event));
	return false;
}

void vsock_events_reset(struct vsock_events *e)
{
	e->driven = false;
	e->tell_reset = false;
}
