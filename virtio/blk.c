/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk (VIRTIO 1.3, 5.2): a disk with one queue. The queue's loop takes requests apart and
 * checks them, the disk serves many at once, and each is answered when its result comes.
 *
 * From pop to push a request takes as much room as it needs: where its status goes, and the disk's
 * request with the list of its buffers. When the queue stops, what the host has not begun is
 * dropped, and what is under way is waited for; its result goes nowhere. When the queue is held,
 * what the host has not begun goes back into the ring.
 */
#include <stdio.h>
#include <stdlib.h>

#include "blk.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define CONFIG_LEN (offsetof(struct virtio_blk_config, unused1) + 3)

/* What a stop or a hold waits for has come back. */
static void check_idle(struct virtio_blk *blk)
{
	if (!blk->idle_awaited || disk_queue_busy(blk->dq))
		return;
	blk->idle_awaited = false;
	virtio_queue_idle(&blk->vdev, 0);
}

/* Requests that came back outside of a turn: other events may be on their way to the loop, so
 * nothing is waited for here. */
static void on_ended(void *opaque)
{
	struct virtio_blk *blk = opaque;

	disk_queue_kick(blk->dq);
	virtio_signal(&blk->vdev, 0);
	/* Nothing here touches guest memory after this. */
	check_idle(blk);
}

/* The queue */

static bool blk_run(struct virtio_device *vdev, u16 q)
{
	struct virtio_blk *blk = to_blk(vdev);
	struct virtq_request req;

	blk->state = BLK_RUNNING;
	blk->dq->may_wait = true;
	while (virtio_pop(vdev, q, &req, blk->room, ARRAY_SIZE(blk->room)) == 1) {
		blk->popped++;
		if (!blk_serve(blk, &req)) {
			virtio_broken(vdev, "a request has no header or no room for its status");
			break;
		}
	}
	disk_queue_kick(blk->dq);
	blk->dq->may_wait = false;
	return true;
}

static void blk_started(struct virtio_device *vdev, u16 q)
{
	to_blk(vdev)->state = BLK_RUNNING;
}

static bool blk_stopped(struct virtio_device *vdev, u16 q)
{
	struct virtio_blk *blk = to_blk(vdev);

	blk->state = BLK_STOPPED;
	disk_queue_cancel(blk->dq);
	blk->idle_awaited = disk_queue_busy(blk->dq) > 0;
	return !blk->idle_awaited;
}

/* Give back to the ring what it gave last, as far as the host has not begun it: of the rest, the
 * first is waited for with what came after. */
static void give_back(struct virtio_blk *blk)
{
	struct blk_request *r, *next, *rest = NULL;

	for (r = blk->canceled; r && r->number == blk->popped - 1; r = next) {
		struct virtq_request req = { .head = r->head };

		next = r->next;
		virtio_unpop(&blk->vdev, 0, &req);
		blk->popped--;
		free(r);
	}
	blk->canceled = NULL;
	for (; r; r = next) {
		next = r->next;
		r->next = rest;
		rest = r;
	}
	for (; rest; rest = next) {
		next = rest->next;
		disk_submit(blk->dq, &rest->disk);
	}
}

static void submit_flush(struct virtio_blk *blk);

static bool blk_held(struct virtio_device *vdev, u16 q)
{
	struct virtio_blk *blk = to_blk(vdev);

	/* After NEEDS_RESET nothing goes back. */
	if (blk->state == BLK_RUNNING)
		blk->state = BLK_HELD;
	disk_queue_cancel(blk->dq);
	give_back(blk);
	if (blk->flush_wanted)
		submit_flush(blk);
	disk_queue_kick(blk->dq);
	blk->idle_awaited = disk_queue_busy(blk->dq) > 0;
	return !blk->idle_awaited;
}

/* The write cache: what was written before the driver turned it off must not stay in it. */

static void on_flushed(struct disk_request *req, int ret)
{
	struct virtio_blk *blk = container_of(req, struct virtio_blk, flush);

	blk->flushing = false;
	if (ret == -ECANCELED)
		blk->flush_wanted = blk->state == BLK_HELD;
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
	disk_submit(blk->dq, &blk->flush);
}

static void on_flush_post(void *opaque)
{
	struct virtio_blk *blk = opaque;

	submit_flush(blk);
	disk_queue_kick(blk->dq);
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
	vdev->config[BLK_WCE] = 1;
}

/* Making and ending */

static void close_queue(void *opaque)
{
	struct virtio_blk *blk = opaque;

	event_loop_unpost(blk->vdev.queues[0].loop, &blk->flush_post);
	disk_queue_close(blk->dq);
	blk->dq = NULL;
}

static void blk_finish(struct virtio_device *vdev)
{
	disk_queue_finish(to_blk(vdev)->dq);
}

static void blk_detach(struct virtio_device *vdev)
{
	/* Without one where virtio_init failed. */
	if (to_blk(vdev)->dq)
		event_call_sync(vdev->queues[0].loop, close_queue, to_blk(vdev));
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
	.finish = blk_finish,
	.detach = blk_detach,
	.destroy = blk_destroy,
};

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
	cfg->wce = 1;
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

static int open_queue(struct virtio_blk *blk)
{
	int ret = disk_queue_open(blk->disk, blk->vdev.queues[0].loop, BLK_QUEUE_SIZE, &blk->dq);

	if (ret)
		return ret;
	blk->dq->ended = on_ended;
	blk->dq->opaque = blk;
	return 0;
}

int virtio_blk_new(struct vm *vm, struct disk *disk, u32 index, struct virtio_device **out)
{
	struct virtio_blk *blk = xcalloc(1, sizeof(*blk));
	struct virtio_blk_config cfg = { 0 };
	int ret;

	blk->disk = disk;
	blk->flush_post = (struct event_post){ .fn = on_flush_post, .opaque = blk };
	/* Guests show it as the serial number: stable, and it tells nothing about the host. */
	snprintf(blk->id, sizeof(blk->id), "lkvm-disk%u", index);
	ret = virtio_init(&blk->vdev, vm, &blk_ops, "virtio-blk", index, fill_config(disk, &cfg), 1,
			  BLK_QUEUE_SIZE, NULL);
	if (ret)
		goto fail;
	memcpy(blk->vdev.config, &cfg, CONFIG_LEN);
	ret = open_queue(blk);
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
	int ret;

	ret = virtio_blk_new(vm, disk, index, &vdev);
	if (ret)
		return ret;
	ret = virtio_attach(vdev);
	if (ret) {
		virtio_fini(vdev);
		blk_destroy(vdev);
	}
	return ret;
}
