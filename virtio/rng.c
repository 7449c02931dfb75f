/* SPDX-License-Identifier: MIT */
/*
 * virtio-rng, the entropy device (VIRTIO 1.3, 5.4): random bytes of the host's kernel. Served by
 * the main loop, in pieces that keep nobody waiting.
 */
#include <stdlib.h>
#include <sys/random.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/virtio.h"
#include "lkvm/vm.h"

#define QUEUE_SIZE 64
/* A buffer may be filled in part (5.4.6.2): no request takes longer than this many bytes do. */
#define MAX_BYTES 4096u

struct virtio_rng {
	struct virtio_device vdev;
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

	while (virtio_pop(vdev, q, &req, rng->iov, ARRAY_SIZE(rng->iov)) == 1)
		virtio_push(vdev, q, &req, fill(rng, &req));
	return true;
}

static void rng_destroy(struct virtio_device *vdev)
{
	free(to_rng(vdev));
}

static const struct virtio_ops rng_ops = {
	.id = VIRTIO_ID_RNG,
	.pci_class = 0x00ff, /* unclassified, other */
	.in_order = true,
	.queue_run = rng_run,
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
	*out = &rng->vdev;
	return 0;
}

int virtio_rng_create(struct vm *vm)
{
	struct virtio_device *vdev;
	int ret;

	ret = virtio_rng_new(vm, &vdev);
	if (ret)
		return ret;
	ret = virtio_attach(vdev);
	if (ret) {
		virtio_fini(vdev);
		rng_destroy(vdev);
	}
	return ret;
}
