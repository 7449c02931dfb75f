/* SPDX-License-Identifier: MIT */
/*
 * virtio-pmem (VIRTIO 1.3, 5.19): memory that is a file of the host's, and a queue of requests to
 * make it durable. Where the memory lies is in the configuration space. VIRTIO_PMEM_F_SHMEM_REGION
 * is not offered: a BAR could be moved away from under the data.
 *
 * One flush is with the host at a time. It answers the requests that came before it began; those
 * that come meanwhile wait for the next, all for the same one. So a flood costs no more than one
 * flush after the other, and replies come in the order of requests.
 */
#include <linux/virtio_pmem.h>
#include <stdlib.h>

#include "lkvm/disk.h"
#include "lkvm/log.h"
#include "lkvm/pmem.h"
#include "lkvm/util.h"
#include "lkvm/virtio.h"
#include "lkvm/vm.h"

#define QUEUE_SIZE 64
/* 5.19.7: what resp.ret says. */
#define RESP_OK	 0
#define RESP_EIO 1

enum pmem_state { PMEM_RUNNING, PMEM_HELD, PMEM_STOPPED };

struct pmem_request {
	u16 head;
	bool refused; /* it waits only for its turn */
	u8 *resp;     /* the first byte of the answer; the others are 0 already */
};

struct virtio_pmem {
	struct virtio_device vdev;
	struct pmem *pmem;
	/* The rest is the loop's. */
	struct disk_queue *dq; /* NULL: the guest cannot write */
	struct disk_request flush;
	enum pmem_state state;
	bool idle_awaited;
	bool told; /* that it fails */
	/* In the order in which they came: first those that the flush with the host answers. */
	struct pmem_request requests[QUEUE_SIZE];
	u16 nr, nr_begun;
	struct iovec iov[VIRTQ_MAX_SEGS];
};

static struct virtio_pmem *to_pmem(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_pmem, vdev);
}

static u8 status_of(struct virtio_pmem *vp, int ret)
{
	if (!ret)
		return RESP_OK;
	if (!vp->told)
		guest_warn("%s: %s: cannot flush: %s; the guest gets an I/O error", vp->vdev.name,
			   vp->pmem->what, strerror(-ret));
	vp->told = true;
	return RESP_EIO;
}

/* @ret: of the flush */
static void answer(struct virtio_pmem *vp, const struct pmem_request *r, int ret)
{
	u8 status = r->refused ? RESP_EIO : status_of(vp, ret);
	struct virtq_request req = { .head = r->head };

	virtio_push_status(&vp->vdev, 0, &req, sizeof(struct virtio_pmem_resp), r->resp, status);
}

static void on_flushed(struct disk_request *req, int ret);

/* All that wait are answered by one flush. */
static void begin_flush(struct virtio_pmem *vp)
{
	if (vp->nr_begun || !vp->nr)
		return;
	vp->nr_begun = vp->nr;
	vp->flush = (struct disk_request){ .op = DISK_FLUSH, .done = on_flushed };
	disk_submit(vp->dq, &vp->flush);
	disk_queue_kick(vp->dq);
}

static void on_flushed(struct disk_request *req, int ret)
{
	struct virtio_pmem *vp = container_of(req, struct virtio_pmem, flush);
	u16 nr = vp->nr_begun;

	vp->nr_begun = 0;
	/* Never begun, because of a stop or a hold, which sees to the requests. */
	if (ret == -ECANCELED)
		return;
	for (u16 i = 0; i < nr && vp->state != PMEM_STOPPED; i++)
		answer(vp, &vp->requests[i], ret);
	vp->nr = vp->state == PMEM_STOPPED ? 0 : (u16)(vp->nr - nr);
	memmove(vp->requests, vp->requests + nr, vp->nr * sizeof(vp->requests[0]));
	if (vp->state == PMEM_RUNNING)
		begin_flush(vp);
}

static void on_ended(void *opaque)
{
	struct virtio_pmem *vp = opaque;

	virtio_signal(&vp->vdev, 0);
	/* Nothing here touches guest memory after this. */
	if (!vp->idle_awaited || disk_queue_busy(vp->dq))
		return;
	vp->idle_awaited = false;
	virtio_queue_idle(&vp->vdev, 0);
}

/* Zero the answer but for its first byte, which is where? NULL: there is no room. */
static u8 *prepare_answer(const struct virtq_request *req)
{
	static const u8 zeroes[sizeof(struct virtio_pmem_resp)];

	if (req->in_len < sizeof(zeroes))
		return NULL;
	iov_from_buf(virtq_in(req), req->nr_in, 0, zeroes, sizeof(zeroes));
	return virtq_in(req)->iov_base;
}

/* False: it cannot be answered, and the device needs a reset. */
static bool serve(struct virtio_pmem *vp, const struct virtq_request *req)
{
	struct pmem_request *r = &vp->requests[vp->nr];
	struct virtio_pmem_req in;
	bool whole = req->out_len >= sizeof(in);

	*r = (struct pmem_request){ .head = req->head, .resp = prepare_answer(req) };
	if (!r->resp)
		return false;
	if (whole)
		iov_to_buf(virtq_out(req), req->nr_out, 0, &in, sizeof(in));
	r->refused = !whole || le32_to_cpu(in.type) != VIRTIO_PMEM_REQ_TYPE_FLUSH;
	if (r->refused)
		guest_warn("%s: refused a request: %s", vp->vdev.name,
			   whole ? "it is not a flush" : "it has no type");
	if (vp->dq)
		vp->nr++;
	else
		answer(vp, r, 0);
	return true;
}

static bool pmem_run(struct virtio_device *vdev, u16 q)
{
	struct virtio_pmem *vp = to_pmem(vdev);
	struct virtq_request req;

	vp->state = PMEM_RUNNING;
	/* As many as the queue has entries can be under way, so there is a place for each. */
	while (virtio_pop(vdev, q, &req, vp->iov, ARRAY_SIZE(vp->iov)) == 1) {
		if (serve(vp, &req))
			continue;
		virtio_broken(vdev, "a request has no room for its answer");
		break;
	}
	if (vp->dq)
		begin_flush(vp);
	return true;
}

static bool pmem_stopped(struct virtio_device *vdev, u16 q)
{
	struct virtio_pmem *vp = to_pmem(vdev);

	vp->state = PMEM_STOPPED;
	if (!vp->dq)
		return true;
	disk_queue_cancel(vp->dq);
	vp->idle_awaited = disk_queue_busy(vp->dq) > 0;
	if (!vp->idle_awaited)
		vp->nr = 0;
	return !vp->idle_awaited;
}

static bool pmem_held(struct virtio_device *vdev, u16 q)
{
	struct virtio_pmem *vp = to_pmem(vdev);

	if (!vp->dq)
		return true;
	/* After NEEDS_RESET nothing goes back. */
	if (vp->state == PMEM_RUNNING)
		vp->state = PMEM_HELD;
	disk_queue_cancel(vp->dq);
	while (vp->nr > vp->nr_begun) {
		struct virtq_request req = { .head = vp->requests[--vp->nr].head };

		virtio_unpop(vdev, q, &req);
	}
	vp->idle_awaited = disk_queue_busy(vp->dq) > 0;
	return !vp->idle_awaited;
}

static void pmem_reset(struct virtio_device *vdev)
{
	to_pmem(vdev)->told = false;
}

static void close_queue(void *opaque)
{
	struct virtio_pmem *vp = opaque;

	disk_queue_close(vp->dq);
	vp->dq = NULL;
}

static void pmem_finish(struct virtio_device *vdev)
{
	struct virtio_pmem *vp = to_pmem(vdev);

	if (vp->dq)
		disk_queue_finish(vp->dq);
}

static void pmem_detach(struct virtio_device *vdev)
{
	struct virtio_pmem *vp = to_pmem(vdev);

	/* Without one where virtio_init failed. */
	if (vp->dq)
		event_call_sync(vdev->queues[0].loop, close_queue, vp);
}

/* The machine that was saved had the same memory at the same place. */
static bool pmem_remembered_ok(const struct virtio_device *vdev)
{
	struct virtio_pmem_config cfg;
	const struct memory_region *r;

	memcpy(&cfg, vdev->config, sizeof(cfg));
	r = memory_find(&vdev->vm->mem, le64_to_cpu(cfg.start));
	return r && r->gpa == le64_to_cpu(cfg.start) && r->size == le64_to_cpu(cfg.size) &&
	       (r->kind == MEM_PMEM || r->kind == MEM_PMEM_RO);
}

static void pmem_destroy(struct virtio_device *vdev)
{
	free(to_pmem(vdev));
}

static const struct virtio_ops pmem_ops = {
	.id = VIRTIO_ID_PMEM,
	.pci_class = 0x0580, /* memory controller, other */
	.in_order = true,
	.config_len = sizeof(struct virtio_pmem_config),
	.queue_run = pmem_run,
	.queue_stopped = pmem_stopped,
	.queue_held = pmem_held,
	.reset = pmem_reset,
	.remembered_ok = pmem_remembered_ok,
	.finish = pmem_finish,
	.detach = pmem_detach,
	.destroy = pmem_destroy,
};

static int open_queue(struct virtio_pmem *vp)
{
	int ret;

	if (!vp->pmem->disk)
		return 0;
	ret = disk_queue_open(vp->pmem->disk, vp->vdev.queues[0].loop, 1, &vp->dq);
	if (ret)
		return ret;
	vp->dq->ended = on_ended;
	vp->dq->opaque = vp;
	return 0;
}

int virtio_pmem_new(struct vm *vm, struct pmem *pmem, u32 index, struct virtio_device **out)
{
	struct virtio_pmem *vp = xcalloc(1, sizeof(*vp));
	struct virtio_pmem_config cfg = {
		.start = cpu_to_le64(pmem->gpa),
		.size = cpu_to_le64(pmem->size),
	};
	int ret;

	vp->pmem = pmem;
	ret = virtio_init(&vp->vdev, vm, &pmem_ops, "virtio-pmem", index, 0, 1, QUEUE_SIZE, NULL);
	if (ret)
		goto fail;
	memcpy(vp->vdev.config, &cfg, sizeof(cfg));
	ret = open_queue(vp);
	if (ret) {
		virtio_fini(&vp->vdev);
		goto fail;
	}
	*out = &vp->vdev;
	return 0;
fail:
	free(vp);
	return ret;
}

int virtio_pmem_create(struct vm *vm, struct pmem *pmem, u32 index)
{
	struct virtio_device *vdev;
	int ret = virtio_pmem_new(vm, pmem, index, &vdev);

	return ret ? ret : virtio_attach_or_destroy(vdev);
}
