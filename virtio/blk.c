/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk (VIRTIO 1.3, 5.2): a disk with one queue or several. A queue's loop takes requests
 * apart and checks them, the disk serves many at once, and each is answered when its result comes.
 *
 * From pop to push a request takes as much room as it needs: where its status goes, and the disk's
 * request with the list of its buffers. When the queue stops, what the host has not begun is
 * dropped, and what is under way is waited for; its result goes nowhere. When the queue is held,
 * what the host has not begun goes back into the ring. There, too, waits what a limit holds back.
 */
#include <stdio.h>
#include <stdlib.h>

#include "blk.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define CONFIG_LEN (offsetof(struct virtio_blk_config, unused1) + 3)

/* What a stop or a hold waits for has come back. */
static void check_idle(struct blk_queue *bq)
{
	if (!bq->idle_awaited || disk_queue_busy(bq->dq))
		return;
	bq->idle_awaited = false;
	virtio_queue_idle(&bq->blk->vdev, bq->index);
}

/* Requests that came back outside of a turn: other events may be on their way to the loop, so
 * nothing is waited for here. */
static void on_ended(void *opaque)
{
	struct blk_queue *bq = opaque;

	disk_queue_kick(bq->dq);
	virtio_signal(&bq->blk->vdev, bq->index);
	/* What the driver has offered before it notifies: the host need not wait for the last of
	 * it. */
	virtio_serve(&bq->blk->vdev, bq->index);
	/* Nothing here touches guest memory after this. */
	check_idle(bq);
}

/* The queues */

/* Serve one: false when the turn is over. *live: no timer is set for the next. */
static bool serve_next(struct blk_queue *bq, bool *live)
{
	struct virtio_device *vdev = &bq->blk->vdev;
	struct virtq_request req;
	u64 wait_ns = 0;

	if (virtio_pop(vdev, bq->index, &req, bq->room, ARRAY_SIZE(bq->room)) != 1)
		return false;
	switch (blk_serve(bq, &req, &wait_ns)) {
	case BLK_SERVED:
		return true;
	case BLK_UNANSWERABLE:
		virtio_broken(vdev, "a request has no header or no room for its status");
		return false;
	case BLK_TOO_SOON:
		virtio_unpop(vdev, bq->index, &req);
		event_timer_set(&bq->rate_timer, wait_ns);
		*live = false;
		return false;
	}
	return false;
}

static bool blk_run(struct virtio_device *vdev, u16 q)
{
	struct blk_queue *bq = &to_blk(vdev)->queues[q];
	bool live = true;

	bq->state = BLK_RUNNING;
	bq->dq->may_wait = true;
	while (serve_next(bq, &live))
		;
	disk_queue_kick(bq->dq);
	bq->dq->may_wait = false;
	return live;
}

static void on_rate_timer(void *opaque)
{
	struct blk_queue *bq = opaque;

	virtio_serve(&bq->blk->vdev, bq->index);
}

static void blk_started(struct virtio_device *vdev, u16 q)
{
	to_blk(vdev)->queues[q].state = BLK_RUNNING;
	/* 5.2.5.2: writeback is 0 where the driver could not flush. */
	virtio_lock(vdev);
	if (!virtio_has(vdev, VIRTIO_BLK_F_FLUSH))
		vdev->config[BLK_WCE] = 0;
	virtio_unlock(vdev);
}

static bool blk_stopped(struct virtio_device *vdev, u16 q)
{
	struct blk_queue *bq = &to_blk(vdev)->queues[q];

	bq->state = BLK_STOPPED;
	event_timer_set(&bq->rate_timer, 0);
	disk_queue_cancel(bq->dq);
	bq->idle_awaited = disk_queue_busy(bq->dq) > 0;
	return !bq->idle_awaited;
}

/* Give back to the ring what it gave last, as far as the host has not begun it: of the rest, the
 * first is waited for with what came after. */
static void give_back(struct blk_queue *bq)
{
	struct blk_request *r, *next, *rest = NULL;

	for (r = bq->canceled; r && r->number == bq->popped - 1; r = next) {
		struct virtq_request req = { .head = r->head };

		next = r->next;
		virtio_unpop(&bq->blk->vdev, bq->index, &req);
		bq->popped--;
		blk_request_free(r);
	}
	bq->canceled = NULL;
	for (; r; r = next) {
		next = r->next;
		r->next = rest;
		rest = r;
	}
	for (; rest; rest = next) {
		next = rest->next;
		disk_submit(bq->dq, &rest->disk);
	}
}

static void submit_flush(struct virtio_blk *blk);

static bool blk_held(struct virtio_device *vdev, u16 q)
{
	struct virtio_blk *blk = to_blk(vdev);
	struct blk_queue *bq = &blk->queues[q];

	/* After NEEDS_RESET nothing goes back. */
	if (bq->state == BLK_RUNNING)
		bq->state = BLK_HELD;
	event_timer_set(&bq->rate_timer, 0);
	disk_queue_cancel(bq->dq);
	give_back(bq);
	if (!q && blk->flush_wanted)
		submit_flush(blk);
	disk_queue_kick(bq->dq);
	bq->idle_awaited = disk_queue_busy(bq->dq) > 0;
	return !bq->idle_awaited;
}

/* The write cache: what was written before the driver turned it off must not stay in it. */

static void on_flushed(struct disk_request *req, int ret)
{
	struct virtio_blk *blk = container_of(req, struct virtio_blk, flush);

	blk->flushing = false;
	if (ret == -ECANCELED)
		blk->flush_wanted = blk->queues[0].state == BLK_HELD;
	else
		blk_status_of(blk, ret, req);
	if (blk->flush_wanted && ret != -ECANCELED)
		submit_flush(blk);
}

static void submit_flush(struct virtio_blk *blk)
{
	blk->flush_wanted = blk->flushing;
	if (blk->flushing)
		return;
	blk->flushing = true;
	blk->flush = (struct disk_request){ .op = DISK_FLUSH, .done = on_flushed };
	disk_submit(blk->queues[0].dq, &blk->flush);
}

static void on_flush_post(void *opaque)
{
	struct virtio_blk *blk = opaque;

	submit_flush(blk);
	disk_queue_kick(blk->queues[0].dq);
}

static void blk_config_written(struct virtio_device *vdev, u32 offset, u32 len)
{
	bool negotiated;

	if (!ranges_overlap(offset, len, BLK_WCE, 1))
		return;
	/* Another vcpu may be resetting the device. */
	virtio_lock(vdev);
	negotiated = virtio_has(vdev, VIRTIO_BLK_F_CONFIG_WCE);
	virtio_unlock(vdev);
	if (negotiated && !virtio_config_byte(vdev, BLK_WCE))
		event_loop_post(vdev->queues[0].loop, &to_blk(vdev)->flush_post);
}

static void blk_reset(struct virtio_device *vdev)
{
	vdev->config[BLK_WCE] = !to_blk(vdev)->disk->writethrough;
	atomic_store(&to_blk(vdev)->told, 0);
}

/* Making and ending */

static void close_queue(void *opaque)
{
	struct blk_queue *bq = opaque;
	struct virtio_blk *blk = bq->blk;

	if (!bq->index)
		event_loop_unpost(blk->vdev.queues[0].loop, &blk->flush_post);
	event_timer_destroy(&bq->rate_timer);
	disk_queue_close(bq->dq);
	bq->dq = NULL;
	blk_free_spare(bq);
}

static int blk_watch(struct virtio_device *vdev, bool on)
{
	struct virtio_blk *blk = to_blk(vdev);

	for (u16 i = 0; i < blk->nr_queues; i++) {
		struct blk_queue *bq = &blk->queues[i];

		if (on)
			event_timer_init(&bq->rate_timer, vdev->queues[i].loop, on_rate_timer, bq);
		else
			event_timer_destroy(&bq->rate_timer);
	}
	return 0;
}

static void blk_finish(struct virtio_device *vdev)
{
	struct virtio_blk *blk = to_blk(vdev);

	for (u16 i = 0; i < blk->nr_queues; i++)
		disk_queue_finish(blk->queues[i].dq);
}

static void blk_detach(struct virtio_device *vdev)
{
	struct virtio_blk *blk = to_blk(vdev);

	/* Without one where virtio_init failed. */
	for (u16 i = 0; i < blk->nr_queues; i++)
		if (blk->queues[i].dq)
			event_call_sync(vdev->queues[i].loop, close_queue, &blk->queues[i]);
}

static void blk_destroy(struct virtio_device *vdev)
{
	free(to_blk(vdev));
}

static const u8 config_mask[CONFIG_LEN] = { [BLK_WCE] = 1 };

static const struct virtio_ops blk_ops = {
	.id = VIRTIO_ID_BLOCK,
	.pci_class = 0x0180, /* mass storage, other */
	.blocks = true,
	.config_len = CONFIG_LEN,
	.config_mask = config_mask,
	.config_written = blk_config_written,
	.queue_started = blk_started,
	.queue_run = blk_run,
	.queue_stopped = blk_stopped,
	.queue_held = blk_held,
	.reset = blk_reset,
	.watch = blk_watch,
	.finish = blk_finish,
	.detach = blk_detach,
	.destroy = blk_destroy,
};

static u16 queues_of(const struct disk *disk)
{
	return MAX(disk->queues, (u16)1);
}

static u64 fill_config(const struct disk *disk, struct virtio_blk_config *cfg)
{
	u64 features = BIT_ULL(VIRTIO_BLK_F_SEG_MAX) | BIT_ULL(VIRTIO_BLK_F_SIZE_MAX) |
		       BIT_ULL(VIRTIO_BLK_F_BLK_SIZE) | BIT_ULL(VIRTIO_BLK_F_TOPOLOGY) |
		       BIT_ULL(VIRTIO_BLK_F_FLUSH);

	cfg->capacity = cpu_to_le64(disk->size >> BLK_SECTOR_BITS);
	cfg->size_max = cpu_to_le32(BLK_SIZE_MAX_SEG);
	cfg->seg_max = cpu_to_le32(BLK_SEG_MAX);
	cfg->blk_size = cpu_to_le32(disk->block_size);
	/* Both powers of two, phys_block the greater (disk.h). */
	cfg->physical_block_exp =
		(u8)(__builtin_ctz(disk->phys_block) - __builtin_ctz(disk->block_size));
	cfg->min_io_size = cpu_to_le16((u16)(1u << cfg->physical_block_exp));
	cfg->wce = !disk->writethrough;
	cfg->num_queues = cpu_to_le16(queues_of(disk));
	if (queues_of(disk) > 1)
		features |= BIT_ULL(VIRTIO_BLK_F_MQ);
	if (disk->readonly)
		return features | BIT_ULL(VIRTIO_BLK_F_RO);
	features |= BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE) | BIT_ULL(VIRTIO_BLK_F_WRITE_ZEROES);
	cfg->max_write_zeroes_sectors = cpu_to_le32(BLK_MAX_ZEROES_SECTORS);
	cfg->max_write_zeroes_seg = cpu_to_le32(1);
	cfg->write_zeroes_may_unmap = disk->min_discard != 0;
	if (disk->min_discard) {
		features |= BIT_ULL(VIRTIO_BLK_F_DISCARD);
		cfg->max_discard_sectors = cpu_to_le32(BLK_MAX_DISCARD_SECTORS);
		cfg->max_discard_seg = cpu_to_le32(BLK_MAX_DISCARD_SEGS);
		cfg->discard_sector_alignment =
			cpu_to_le32(MAX(disk->min_discard, disk->block_size) >> BLK_SECTOR_BITS);
	}
	return features;
}

static int open_queue(struct virtio_blk *blk, u16 index)
{
	struct event_loop *loop = blk->vdev.queues[index].loop;
	struct blk_queue *bq = &blk->queues[index];
	int ret = disk_queue_open(blk->disk, loop, BLK_QUEUE_SIZE, &bq->dq);

	if (ret)
		return ret;
	bq->dq->ended = on_ended;
	bq->dq->opaque = bq;
	event_timer_init(&bq->rate_timer, loop, on_rate_timer, bq);
	return 0;
}

int virtio_blk_new(struct vm *vm, struct disk *disk, u32 index, struct virtio_device **out)
{
	u16 nr = queues_of(disk);
	struct virtio_blk *blk = xcalloc(1, sizeof(*blk) + nr * sizeof(blk->queues[0]));
	struct virtio_blk_config cfg = { 0 };
	int ret;

	blk->disk = disk;
	blk->nr_queues = nr;
	for (u16 i = 0; i < nr; i++) {
		blk->queues[i].blk = blk;
		blk->queues[i].index = i;
	}
	blk->flush_post = (struct event_post){ .fn = on_flush_post, .opaque = blk };
	/* Guests show it as the serial number: stable, and it tells nothing about the host. */
	snprintf(blk->id, sizeof(blk->id), "lkvm-disk%u", index);
	if (disk->serial) /* which may have no room for a 0: 5.2.6 */
		memcpy(blk->id, disk->serial, MIN(strlen(disk->serial) + 1, sizeof(blk->id)));
	ret = virtio_init(&blk->vdev, vm, &blk_ops, "virtio-blk", index, fill_config(disk, &cfg),
			  nr, BLK_QUEUE_SIZE, NULL);
	if (ret)
		goto fail;
	memcpy(blk->vdev.config, &cfg, CONFIG_LEN);
	for (u16 i = 0; i < nr && !ret; i++)
		ret = open_queue(blk, i);
	if (ret) {
		virtio_fini(&blk->vdev);
		goto fail;
	}
	*out = &blk->vdev;
	return 0;
fail:
	free(blk);
	return ret;
}

int virtio_blk_create(struct vm *vm, struct disk *disk, u32 index)
{
	struct virtio_device *vdev;
	int ret = virtio_blk_new(vm, disk, index, &vdev);

	return ret ? ret : virtio_attach_or_destroy(vdev);
}
