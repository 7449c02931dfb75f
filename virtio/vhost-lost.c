/* SPDX-License-Identifier: MIT */
/*
 * The rings of a back end that is gone. The device takes them back and serves them from then on, by
 * errors: first what the back end had taken and not returned, then whatever comes, also after a
 * reset. NEEDS_RESET (2.1.2) alone would not do: drivers do not heed it, and wait for their
 * requests for ever. So it is said only where requests are lost of which nothing is known.
 */
#include "queue.h"
#include "vhost.h"

static void adopt(struct virtio_queue *q, struct vhost_rings *r)
{
	struct iovec iov[VIRTQ_MAX_SEGS];
	u16 heads[VIRTQ_MAX_SIZE];
	struct virtq_request req;
	bool all;
	int n = virtq_find_lost(&q->vq, heads, &all);

	for (int i = 0; i < n; i++) {
		all = all && !virtq_adopt(&q->vq, heads[i], &req, iov);
		if (q->vq.broken || !r->answer(r->vdev, q->vq.index, &req))
			break;
	}
	virtio_signal(r->vdev, q->vq.index);
	if (all)
		return;
	lock(r->vdev);
	virtio_set_needs_reset(r->vdev);
	unlock(r->vdev);
}

void vhost_rings_adopt(struct vhost_rings *r, u16 i)
{
	struct virtio_queue *q = &r->vdev->queues[i];
	bool wanted;

	lock(r->vdev);
	wanted = q->started && !q->stopping;
	unlock(r->vdev);
	if (wanted)
		adopt(q, r);
}

bool vhost_rings_answer(struct vhost_rings *r, u16 i)
{
	struct iovec iov[VIRTQ_MAX_SEGS];
	struct virtq_request req;

	while (virtio_pop(r->vdev, i, &req, iov, VIRTQ_MAX_SEGS) == 1) {
		if (r->answer(r->vdev, i, &req))
			continue;
		virtio_unpop(r->vdev, i, &req);
		return false;
	}
	return true;
}
