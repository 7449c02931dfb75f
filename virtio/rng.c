/* SPDX-License-Identifier: MIT */
/*
 * virtio-rng, the entropy device (VIRTIO 1.3, 5.4): random bytes of the host's kernel. Served by
 * the main loop, in pieces that keep nobody waiting. What is beyond the limit that the user asked
 * for stays in the ring until a timer says that it may begin.
 */
#include <stdlib.h>
#include <sys/random.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/rate.h"
#include "lkvm/util.h"
#include "lkvm/virtio.h"
#include "lkvm/vm.h"

#define QUEUE_SIZE 64
/* A buffer may be filled in part (5.4.6.2): no request takes longer than this many bytes do. */
#define MAX_BYTES 4096u

struct virtio_rng {
	struct virtio_device vdev;
	struct rate_limit limit;
	struct event_timer later;
	struct iovec iov[VIRTQ_MAX_SEGS];
};

static struct virtio_rng *to_rng(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_rng, vdev);
}

/* Straight into the guest's buffers; the bytes written. */
static u32 fill(struct virtio_rng *rng, const struct virtq_request *req)
{
	u32 done = 0;

	for (unsigned int i = 0; i < req->nr_in && done < MAX_BYTES; i++) {
		const struct iovec *iov = &virtq_in(req)[i];
		size_t want = MIN(iov->iov_len, (size_t)(MAX_BYTES - done));
		ssize_t n;

		do {
			n = getrandom(iov->iov_base, want, 0);
		} while (n < 0 && errno == EINTR);
		if (n < 0) {
			guest_warn("%s: getrandom: %s", rng->vdev.name, strerror(errno));
			break;
		}
		done += (u32)n;
		if ((size_t)n < want)
			break;
	}
	return done;
}

static bool rng_run(struct virtio_device *vdev, u16 q)
{
	struct virtio_rng *rng = to_rng(vdev);
	struct virtq_request req;

	while (virtio_pop(vdev, q, &req, rng->iov, ARRAY_SIZE(rng->iov)) == 1) {
		u64 wait_ns = 0;

		if (rate_limited(&rng->limit))
			wait_ns = rate_take(&rng->limit, MIN(req.in_len, (size_t)MAX_BYTES), 1,
					    now_ns());
		if (wait_ns) {
			virtio_unpop(vdev, q, &req);
			event_timer_set(&rng->later, wait_ns);
			return false;
		}
		virtio_push(vdev, q, &req, fill(rng, &req));
	}
	return true;
}

/* A device that is paused looks again when it goes on. */
static void on_later(void *opaque)
{
	struct virtio_rng *rng = opaque;

	virtio_serve(&rng->vdev, 0);
}

static void unwatch(void *opaque)
{
	event_timer_destroy(opaque);
}

static int rng_watch(struct virtio_device *vdev, bool on)
{
	struct virtio_rng *rng = to_rng(vdev);

	if (on)
		event_timer_init(&rng->later, vdev->queues[0].loop, on_later, rng);
	else if (rng->later.loop)
		event_call_sync(rng->later.loop, unwatch, &rng->later);
	return 0;
}

static void rng_detach(struct virtio_device *vdev)
{
	int ret __maybe_unused = rng_watch(vdev, false);
}

static void rng_destroy(struct virtio_device *vdev)
{
	pthread_mutex_destroy(&to_rng(vdev)->limit.lock);
	free(to_rng(vdev));
}

static const struct virtio_ops rng_ops = {
	.id = VIRTIO_ID_RNG,
	.pci_class = 0x00ff, /* unclassified, other */
	.in_order = true,
	.queue_run = rng_run,
	.watch = rng_watch,
	.detach = rng_detach,
	.destroy = rng_destroy,
};

int virtio_rng_new(struct vm *vm, struct virtio_device **out)
{
	struct virtio_rng *rng = xcalloc(1, sizeof(*rng));
	int ret;

	ret = virtio_init(&rng->vdev, vm, &rng_ops, "virtio-rng", 0, 0, 1, QUEUE_SIZE, &vm->loop);
	if (ret) {
		free(rng);
		return ret;
	}
	rate_init(&rng->limit, &vm->cfg->rng_limit);
	*out = &rng->vdev;
	return rng_watch(&rng->vdev, true);
}

int virtio_rng_create(struct vm *vm)
{
	struct virtio_device *vdev;
	int ret = virtio_rng_new(vm, &vdev);

	return ret ? ret : virtio_attach_or_destroy(vdev);
}
