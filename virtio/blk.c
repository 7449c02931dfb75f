/* SPDX-License-Identifier: MIT */
/*
 * virtio-blk (VIRTIO 1.3, 5.2): a disk with one queue, served on an I/O thread of its own, one
 * request after the other.
 */
#include <linux/virtio_blk.h>
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/config.h"
#include "lkvm/disk.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "lkvm/virtio.h"

#define SECTOR	    512u
#define SECTOR_BITS 9
#define QUEUE_SIZE  256

/* Header and status take a descriptor each. */
#define SEG_MAX	     (QUEUE_SIZE - 2)
#define SIZE_MAX_SEG MiB
/* What a driver that keeps to seg_max and size_max can ask for at most. One that does not would
 * keep the I/O thread busy for minutes with a single request. */
#define MAX_REQUEST ((u64)SEG_MAX * SIZE_MAX_SEG)

/* Segments of one discard request; the range of each; what may have to be written as zeroes. */
#define MAX_DISCARD_SEGS    32
#define MAX_DISCARD_SECTORS (4 * GiB / SECTOR)
#define MAX_ZEROES_SECTORS  (64 * MiB / SECTOR)

/* Requests served before the driver hears of them and others get a turn with the lock. */
#define BATCH 32

#define CONFIG_LEN (offsetof(struct virtio_blk_config, unused1) + 3)

struct virtio_blk {
	struct virtio_device vdev;
	struct disk *disk;
	struct virtio_blk_config cfg; /* little-endian; wce is the only part that changes */
	char id[VIRTIO_BLK_ID_BYTES];
	struct virtq_chain chain;
	struct iovec data[VIRTQ_MAX_SEGS];
};

/* One request, checked: data[0..nr_data) is guest memory, len bytes in all. */
struct blk_request {
	u32 type;
	u64 sector;
	size_t out_len, in_len; /* of the data alone */
	int nr_data;
};

static struct virtio_blk *to_blk(struct virtio_device *vdev)
{
	return container_of(vdev, struct virtio_blk, vdev);
}

/* Host errors end as VIRTIO_BLK_S_IOERR in the guest, with a line for the user. */
static u8 status_of(struct virtio_blk *blk, int ret, const char *what, u64 sector)
{
	if (!ret)
		return VIRTIO_BLK_S_OK;
	if (ret == -EOPNOTSUPP)
		return VIRTIO_BLK_S_UNSUPP;
	guest_warn("%s: disk '%s': %s at sector %llu: %s; the guest gets an I/O error",
		   blk->vdev.name, blk->disk->path, what, sector, strerror(-ret));
	return VIRTIO_BLK_S_IOERR;
}

static u8 bad_request(struct virtio_blk *blk, const char *why)
{
	guest_warn("%s: refused a request: %s", blk->vdev.name, why);
	return VIRTIO_BLK_S_IOERR;
}

static bool in_disk(const struct virtio_blk *blk, u64 sector, u64 nr_sectors)
{
	return range_within(sector, nr_sectors, 0, blk->disk->size >> SECTOR_BITS);
}

/* 5.2.6.2: without FLUSH, or when the driver chose so, a write is on the medium when it ends. */
static bool writethrough(const struct virtio_blk *blk)
{
	const struct virtio_device *vdev = &blk->vdev;

	if (virtio_has(vdev, VIRTIO_BLK_F_CONFIG_WCE))
		return !blk->cfg.wce;
	return !virtio_has(vdev, VIRTIO_BLK_F_FLUSH);
}

static int sync_if_writethrough(struct virtio_blk *blk)
{
	return writethrough(blk) ? blk->disk->ops->flush(blk->disk) : 0;
}

static u8 do_rw(struct virtio_blk *blk, const struct blk_request *req)
{
	bool write = req->type == VIRTIO_BLK_T_OUT;
	size_t len = write ? req->out_len : req->in_len;
	struct disk *disk = blk->disk;
	u64 offset = req->sector << SECTOR_BITS;
	int ret;

	if (write && disk->readonly)
		return bad_request(blk, "a write to a read-only disk");
	if (write ? req->in_len : req->out_len)
		return bad_request(blk, "data in both directions");
	if (len % SECTOR)
		return bad_request(blk, "a length that is no multiple of 512");
	if (req->nr_data > SEG_MAX || len > MAX_REQUEST)
		return bad_request(blk, "more segments or bytes than seg_max and size_max allow");
	if (!in_disk(blk, req->sector, len >> SECTOR_BITS))
		return bad_request(blk, "beyond the end of the disk");
	if (!write) {
		ret = disk->ops->readv(disk, blk->data, req->nr_data, offset);
		return status_of(blk, ret, "cannot read", req->sector);
	}
	ret = disk->ops->writev(disk, blk->data, req->nr_data, offset);
	if (!ret)
		ret = sync_if_writethrough(blk);
	return status_of(blk, ret, "cannot write", req->sector);
}

static u8 do_flush(struct virtio_blk *blk)
{
	if (blk->disk->readonly)
		return VIRTIO_BLK_S_OK;
	return status_of(blk, blk->disk->ops->flush(blk->disk), "cannot flush", 0);
}

static u8 do_get_id(struct virtio_blk *blk, const struct blk_request *req)
{
	if (req->out_len)
		return bad_request(blk, "data in both directions");
	iov_from_buf(blk->data, (unsigned int)req->nr_data, 0, blk->id,
		     MIN(req->in_len, sizeof(blk->id)));
	return VIRTIO_BLK_S_OK;
}

/* One checked segment of a discard or write-zeroes request (5.2.6.1). */
static u8 do_range(struct virtio_blk *blk, bool zeroes,
		   const struct virtio_blk_discard_write_zeroes *seg)
{
	u64 sector = le64_to_cpu(seg->sector);
	u32 nr = le32_to_cpu(seg->num_sectors), flags = le32_to_cpu(seg->flags);
	struct disk *disk = blk->disk;
	u64 offset = sector << SECTOR_BITS, len = (u64)nr << SECTOR_BITS;
	int ret;

	/* The unmap bit belongs to write-zeroes; unknown bits: VIRTIO_BLK_S_UNSUPP (5.2.6.2). */
	if (flags & ~(zeroes ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0u))
		return VIRTIO_BLK_S_UNSUPP;
	if (nr > (zeroes ? MAX_ZEROES_SECTORS : MAX_DISCARD_SECTORS))
		return bad_request(blk, "a range longer than the limit");
	if (!in_disk(blk, sector, nr))
		return bad_request(blk, "a range beyond the end of the disk");
	if (!nr)
		return VIRTIO_BLK_S_OK;
	if (!zeroes)
		return status_of(blk, disk->ops->discard(disk, offset, len), "cannot discard",
				 sector);
	ret = disk->ops->write_zeroes(disk, offset, len,
				      flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP);
	if (!ret)
		ret = sync_if_writethrough(blk);
	return status_of(blk, ret, "cannot write zeroes", sector);
}

static u8 do_ranges(struct virtio_blk *blk, const struct blk_request *req)
{
	struct virtio_blk_discard_write_zeroes segs[MAX_DISCARD_SEGS];
	bool zeroes = req->type == VIRTIO_BLK_T_WRITE_ZEROES;
	size_t max = zeroes ? sizeof(segs[0]) : sizeof(segs);
	u8 status = VIRTIO_BLK_S_OK;

	if (!virtio_has(&blk->vdev, zeroes ? VIRTIO_BLK_F_WRITE_ZEROES : VIRTIO_BLK_F_DISCARD))
		return VIRTIO_BLK_S_UNSUPP;
	if (blk->disk->readonly)
		return bad_request(blk, "a change to a read-only disk");
	if (req->in_len || !req->out_len || req->out_len % sizeof(segs[0]) || req->out_len > max)
		return bad_request(blk, "a list of ranges of the wrong length");
	/* One copy: what is checked is what is done. */
	iov_to_buf(blk->data, (unsigned int)req->nr_data, 0, segs, req->out_len);
	for (size_t i = 0; i < req->out_len / sizeof(segs[0]) && !status; i++)
		status = do_range(blk, zeroes, &segs[i]);
	return status;
}

static u8 do_request(struct virtio_blk *blk, const struct blk_request *req)
{
	switch (req->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		return do_rw(blk, req);
	case VIRTIO_BLK_T_FLUSH:
		return do_flush(blk);
	case VIRTIO_BLK_T_GET_ID:
		return do_get_id(blk, req);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return do_ranges(blk, req);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/*
 * Take header and data apart however the driver cut them into buffers (2.7.4): the first 16
 * readable bytes are the header, the last writable byte is the status. False: there is no room to
 * answer, or nothing to answer to.
 */
static bool parse(struct virtio_blk *blk, struct blk_request *req)
{
	struct virtq_chain *c = &blk->chain;
	struct virtio_blk_outhdr hdr;
	bool in;

	if (c->in_len < 1 ||
	    iov_to_buf(virtq_out(c), c->nr_out, 0, &hdr, sizeof(hdr)) != sizeof(hdr))
		return false;
	req->type = le32_to_cpu(hdr.type);
	req->sector = le64_to_cpu(hdr.sector);
	req->out_len = c->out_len - sizeof(hdr);
	req->in_len = c->in_len - 1;
	in = req->in_len > 0;
	if (in)
		req->nr_data =
			iov_slice(virtq_in(c), c->nr_in, 0, req->in_len, blk->data, VIRTQ_MAX_SEGS);
	else
		req->nr_data = iov_slice(virtq_out(c), c->nr_out, sizeof(hdr), req->out_len,
					 blk->data, VIRTQ_MAX_SEGS);
	return req->nr_data >= 0;
}

static void serve(struct virtio_blk *blk)
{
	struct virtq_chain *c = &blk->chain;
	struct blk_request req;
	u8 status;

	if (!parse(blk, &req)) {
		virtio_broken(&blk->vdev, "a request has no header or no room for its status");
		return;
	}
	status = do_request(blk, &req);
	iov_from_buf(virtq_in(c), c->nr_in, req.in_len, &status, 1);
	virtio_push(&blk->vdev, 0, c->head, (u32)MIN(c->in_len, (size_t)UINT32_MAX));
}

static void blk_notify(struct virtio_device *vdev, u16 q)
{
	struct virtio_blk *blk = to_blk(vdev);
	struct virtqueue *vq = &vdev->queues[q].vq;
	unsigned int budget = BATCH;

	do {
		virtq_disable_notify(vq);
		while (budget && virtio_pop(vdev, q, &blk->chain) == 1) {
			serve(blk);
			budget--;
		}
	} while (budget && virtio_live(vdev) && virtq_enable_notify(vq));
	virtio_signal(vdev, q);
	if (!budget)
		virtio_kick(vdev, q);
}

static void blk_config_read(struct virtio_device *vdev, u32 offset, void *buf, u32 len)
{
	memcpy(buf, (u8 *)&to_blk(vdev)->cfg + offset, len);
}

static void blk_config_write(struct virtio_device *vdev, u32 offset, const void *buf, u32 len)
{
	struct virtio_blk *blk = to_blk(vdev);

	if (offset != offsetof(struct virtio_blk_config, wce) || len != 1 ||
	    !virtio_has(vdev, VIRTIO_BLK_F_CONFIG_WCE))
		return;
	blk->cfg.wce = *(const u8 *)buf & 1;
	/* What was written so far must not stay behind in the cache. */
	if (!blk->cfg.wce)
		status_of(blk, blk->disk->ops->flush(blk->disk), "cannot flush", 0);
}

static void blk_reset(struct virtio_device *vdev)
{
	to_blk(vdev)->cfg.wce = 1;
}

static void blk_destroy(struct virtio_device *vdev)
{
	free(to_blk(vdev));
}

static const struct virtio_ops blk_ops = {
	.id = VIRTIO_ID_BLOCK,
	.pci_class = 0x0180, /* mass storage, other */
	.config_len = CONFIG_LEN,
	.config_read = blk_config_read,
	.config_write = blk_config_write,
	.notify = blk_notify,
	.reset = blk_reset,
	.destroy = blk_destroy,
};

static u64 fill_config(struct virtio_blk *blk)
{
	struct virtio_blk_config *cfg = &blk->cfg;
	struct disk *disk = blk->disk;
	u64 features = BIT_ULL(VIRTIO_BLK_F_SEG_MAX) | BIT_ULL(VIRTIO_BLK_F_SIZE_MAX) |
		       BIT_ULL(VIRTIO_BLK_F_BLK_SIZE) | BIT_ULL(VIRTIO_BLK_F_TOPOLOGY) |
		       BIT_ULL(VIRTIO_BLK_F_FLUSH);

	cfg->capacity = cpu_to_le64(disk->size >> SECTOR_BITS);
	cfg->size_max = cpu_to_le32(SIZE_MAX_SEG);
	cfg->seg_max = cpu_to_le32(SEG_MAX);
	cfg->blk_size = cpu_to_le32(disk->block_size);
	/* Both powers of two, phys_block the greater (disk.h). */
	cfg->physical_block_exp =
		(u8)(__builtin_ctz(disk->phys_block) - __builtin_ctz(disk->block_size));
	cfg->min_io_size = cpu_to_le16((u16)(1u << cfg->physical_block_exp));
	cfg->wce = 1;
	if (disk->readonly)
		return features | BIT_ULL(VIRTIO_BLK_F_RO);
	features |= BIT_ULL(VIRTIO_BLK_F_CONFIG_WCE) | BIT_ULL(VIRTIO_BLK_F_WRITE_ZEROES);
	cfg->max_write_zeroes_sectors = cpu_to_le32(MAX_ZEROES_SECTORS);
	cfg->max_write_zeroes_seg = cpu_to_le32(1);
	cfg->write_zeroes_may_unmap = disk->min_discard != 0;
	if (disk->min_discard) {
		features |= BIT_ULL(VIRTIO_BLK_F_DISCARD);
		cfg->max_discard_sectors = cpu_to_le32(MAX_DISCARD_SECTORS);
		cfg->max_discard_seg = cpu_to_le32(MAX_DISCARD_SEGS);
		cfg->discard_sector_alignment =
			cpu_to_le32(MAX(disk->min_discard, disk->block_size) >> SECTOR_BITS);
	}
	return features;
}

int virtio_blk_new(struct vm *vm, struct disk *disk, u32 index, struct virtio_device **out)
{
	struct virtio_blk *blk = xcalloc(1, sizeof(*blk));
	int ret;

	blk->disk = disk;
	/* Guests show it as the serial number: stable, and it tells nothing about the host. */
	snprintf(blk->id, sizeof(blk->id), "lkvm-disk%u", index);
	ret = virtio_init(&blk->vdev, vm, &blk_ops, "virtio-blk", index, fill_config(blk), 1,
			  QUEUE_SIZE, NULL);
	if (ret) {
		free(blk);
		return ret;
	}
	*out = &blk->vdev;
	return 0;
}

int virtio_blk_create(struct vm *vm, struct disk *disk, u32 index)
{
	struct virtio_device *vdev;
	int ret = virtio_blk_new(vm, disk, index, &vdev);

	if (ret)
		return ret;
	ret = virtio_attach(vdev);
	if (ret) {
		virtio_fini(vdev);
		blk_destroy(vdev);
	}
	return ret;
}
