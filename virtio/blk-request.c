/* SPDX-License-Identifier: MIT */
/* Requests of virtio-blk (VIRTIO 1.3, 5.2.6) on their way to the disk and back. */
#include <stdlib.h>

#include "blk.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* What a driver that keeps to seg_max and size_max can ask for at most. One that does not would
 * keep the host busy for minutes with a single request. */
#define MAX_REQUEST ((u64)BLK_SEG_MAX * BLK_SIZE_MAX_SEG)

/* Instead of a status: the answer comes later. */
#define UNDER_WAY (-1)

/* A request just popped, as the driver meant it. Header and status are not part of the data. */
struct parsed {
	struct virtq_request req;
	u8 *status; /* in guest memory */
	u32 type;
	u64 sector;
	size_t out_len, in_len;
	u32 written; /* bytes, as the driver is told */
};

/* Answers */

/* Host errors end as VIRTIO_BLK_S_IOERR in the guest, with a line for the user. */
u8 blk_status_of(struct virtio_blk *blk, int ret, const struct disk_request *req)
{
	static const char *const words[DISK_NR_OPS] = {
		[DISK_READ] = "read",
		[DISK_WRITE] = "write",
		[DISK_FLUSH] = "flush",
		[DISK_DISCARD] = "discard",
		[DISK_WRITE_ZEROES] = "write zeroes",
	};

	if (!ret)
		return VIRTIO_BLK_S_OK;
	if (ret == -EOPNOTSUPP)
		return VIRTIO_BLK_S_UNSUPP;
	if (!(req->flags & DISK_TOLD))
		guest_warn("%s: --disk %s: cannot %s at sector %llu: %s; the guest gets an I/O "
			   "error",
			   blk->vdev.name, blk->disk->path, words[req->op],
			   req->offset >> BLK_SECTOR_BITS, strerror(-ret));
	return VIRTIO_BLK_S_IOERR;
}

static u8 bad_request(struct virtio_blk *blk, const char *why)
{
	guest_warn("%s: refused a request: %s", blk->vdev.name, why);
	return VIRTIO_BLK_S_IOERR;
}

static void answer(struct virtio_blk *blk, u16 head, u8 *where, u8 status, u32 written)
{
	struct virtq_request req = { .head = head };

	virtio_push_status(&blk->vdev, 0, &req, written, where, status);
}

static int submit_next_range(struct blk_request *r);

static void on_done(struct disk_request *req, int ret)
{
	struct blk_request *r = container_of(req, struct blk_request, disk);
	struct virtio_blk *blk = r->blk;
	int status = VIRTIO_BLK_S_OK;

	if (blk->state == BLK_HELD && ret == -ECANCELED) {
		r->next = blk->canceled;
		blk->canceled = r;
		return;
	}
	if (blk->state != BLK_STOPPED) {
		status = blk_status_of(blk, ret, req);
		if (!status)
			status = submit_next_range(r);
		if (status >= 0)
			answer(blk, r->head, r->status, (u8)status, r->written);
	}
	if (status >= 0)
		free(r);
}

/* Requests */

static bool in_disk(const struct virtio_blk *blk, u64 sector, u64 nr_sectors)
{
	return range_within(sector, nr_sectors, 0, blk->disk->size >> BLK_SECTOR_BITS);
}

/* 5.2.6.2: without FLUSH, or when the driver chose so, a write is on the medium when it ends. */
bool blk_writethrough(struct virtio_blk *blk)
{
	struct virtio_device *vdev = &blk->vdev;
	bool through;

	virtio_lock(vdev);
	if (virtio_has(vdev, VIRTIO_BLK_F_CONFIG_WCE))
		through = !vdev->config[BLK_WCE];
	else
		through = !virtio_has(vdev, VIRTIO_BLK_F_FLUSH);
	virtio_unlock(vdev);
	return through;
}

/* NULL: the host is short of memory. Room for @nr buffers or ranges. */
static struct blk_request *new_request(struct virtio_blk *blk, const struct parsed *p,
				       enum disk_op op, size_t nr)
{
	struct blk_request *r = malloc(sizeof(*r) + nr * sizeof(r->data[0]));

	if (!r) {
		guest_warn("%s: no memory for a request of %zu buffers", blk->vdev.name, nr);
		return NULL;
	}
	memset(r, 0, sizeof(*r));
	r->blk = blk;
	r->head = p->req.head;
	r->status = p->status;
	r->written = p->written;
	r->number = blk->popped - 1;
	r->disk.op = op;
	r->disk.done = on_done;
	return r;
}

static int submit(struct blk_request *r)
{
	disk_submit(r->blk->dq, &r->disk);
	return UNDER_WAY;
}

static const char *why_not_rw(struct virtio_blk *blk, const struct parsed *p, bool write)
{
	size_t len = write ? p->out_len : p->in_len;

	if (write && blk->disk->readonly)
		return "a write to a read-only disk";
	if (write ? p->in_len : p->out_len)
		return "data in both directions";
	if (len % BLK_SECTOR)
		return "a length that is not a multiple of 512";
	if (len > MAX_REQUEST)
		return "more bytes than seg_max and size_max allow";
	if (!in_disk(blk, p->sector, len >> BLK_SECTOR_BITS))
		return "beyond the end of the disk";
	return NULL;
}

static int do_rw(struct virtio_blk *blk, struct parsed *p)
{
	bool write = p->type == VIRTIO_BLK_T_OUT;
	unsigned int nr = write ? p->req.nr_out : p->req.nr_in;
	const char *why = why_not_rw(blk, p, write);
	struct blk_request *r;

	if (why)
		return bad_request(blk, why);
	nr = MIN(nr, (unsigned int)BLK_SEG_MAX);
	r = new_request(blk, p, write ? DISK_WRITE : DISK_READ, nr);
	if (!r)
		return VIRTIO_BLK_S_IOERR;
	r->disk.offset = p->sector << BLK_SECTOR_BITS;
	r->disk.len = write ? p->out_len : p->in_len;
	if (write)
		r->disk.iovcnt =
			iov_slice(virtq_out(&p->req), p->req.nr_out,
				  sizeof(struct virtio_blk_outhdr), p->out_len, r->data, nr);
	else
		r->disk.iovcnt =
			iov_slice(virtq_in(&p->req), p->req.nr_in, 0, p->in_len, r->data, nr);
	if (r->disk.iovcnt < 0) {
		free(r);
		return bad_request(blk, "more segments than seg_max allows");
	}
	r->disk.iov = r->data;
	if (write && blk_writethrough(blk))
		r->disk.flags = DISK_FUA;
	return submit(r);
}

static int do_flush(struct virtio_blk *blk, const struct parsed *p)
{
	struct blk_request *r;

	if (blk->disk->readonly)
		return VIRTIO_BLK_S_OK;
	r = new_request(blk, p, DISK_FLUSH, 0);
	return r ? submit(r) : VIRTIO_BLK_S_IOERR;
}

static int do_get_id(struct virtio_blk *blk, const struct parsed *p)
{
	if (p->out_len)
		return bad_request(blk, "data in both directions");
	iov_from_buf(virtq_in(&p->req), p->req.nr_in, 0, blk->id, MIN(p->in_len, sizeof(blk->id)));
	return VIRTIO_BLK_S_OK;
}

/* Check one segment of a discard or write-zeroes request (5.2.6.1): a status, or UNDER_WAY. */
static int submit_range(struct blk_request *r, const struct virtio_blk_discard_write_zeroes *seg)
{
	u64 sector = le64_to_cpu(seg->sector);
	u32 nr = le32_to_cpu(seg->num_sectors), flags = le32_to_cpu(seg->flags);
	bool zeroes = r->disk.op == DISK_WRITE_ZEROES;
	struct virtio_blk *blk = r->blk;

	/* The unmap bit belongs to write-zeroes; unknown bits: VIRTIO_BLK_S_UNSUPP (5.2.6.2). */
	if (flags & ~(zeroes ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0u))
		return VIRTIO_BLK_S_UNSUPP;
	if (nr > (zeroes ? BLK_MAX_ZEROES_SECTORS : BLK_MAX_DISCARD_SECTORS))
		return bad_request(blk, "a range longer than the limit");
	if (!in_disk(blk, sector, nr))
		return bad_request(blk, "a range beyond the end of the disk");
	if (!nr)
		return VIRTIO_BLK_S_OK;
	r->disk.offset = sector << BLK_SECTOR_BITS;
	r->disk.len = (u64)nr << BLK_SECTOR_BITS;
	r->disk.flags = 0;
	if (flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP)
		r->disk.flags |= DISK_MAY_UNMAP;
	if (zeroes && blk_writethrough(blk))
		r->disk.flags |= DISK_FUA;
	return submit(r);
}

/* Ranges are served one after the other. Without any left (or of none): done. */
static int submit_next_range(struct blk_request *r)
{
	int status = VIRTIO_BLK_S_OK;

	while (status == VIRTIO_BLK_S_OK && r->seg < r->nr_segs)
		status = submit_range(r, &r->segs[r->seg++]);
	return status;
}

static int do_ranges(struct virtio_blk *blk, const struct parsed *p)
{
	bool zeroes = p->type == VIRTIO_BLK_T_WRITE_ZEROES;
	size_t size = sizeof(struct virtio_blk_discard_write_zeroes);
	size_t nr = p->out_len / size, max = zeroes ? 1 : BLK_MAX_DISCARD_SEGS;
	struct blk_request *r;
	int status;

	if (!virtio_has(&blk->vdev, zeroes ? VIRTIO_BLK_F_WRITE_ZEROES : VIRTIO_BLK_F_DISCARD))
		return VIRTIO_BLK_S_UNSUPP;
	if (blk->disk->readonly)
		return bad_request(blk, "a change to a read-only disk");
	if (p->in_len || !nr || p->out_len % size || nr > max)
		return bad_request(blk, "a list of ranges of the wrong length");
	r = new_request(blk, p, zeroes ? DISK_WRITE_ZEROES : DISK_DISCARD, nr);
	if (!r)
		return VIRTIO_BLK_S_IOERR;
	/* One copy: what is checked is what is done. */
	iov_to_buf(virtq_out(&p->req), p->req.nr_out, sizeof(struct virtio_blk_outhdr), r->segs,
		   p->out_len);
	r->nr_segs = (u16)nr;
	status = submit_next_range(r);
	if (status >= 0)
		free(r);
	return status;
}

static int do_request(struct virtio_blk *blk, struct parsed *p)
{
	switch (p->type) {
	case VIRTIO_BLK_T_IN:
	case VIRTIO_BLK_T_OUT:
		return do_rw(blk, p);
	case VIRTIO_BLK_T_FLUSH:
		return do_flush(blk, p);
	case VIRTIO_BLK_T_GET_ID:
		return do_get_id(blk, p);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		return do_ranges(blk, p);
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
}

/*
 * Take header and data apart however the driver cut them into buffers (2.7.4): the first 16
 * readable bytes are the header, the last writable byte is the status. No buffer is empty. False:
 * there is no room to answer, or nothing to answer to.
 */
static bool parse(struct parsed *p)
{
	struct virtio_blk_outhdr hdr;
	const struct iovec *last;

	if (p->req.in_len < 1 ||
	    iov_to_buf(virtq_out(&p->req), p->req.nr_out, 0, &hdr, sizeof(hdr)) != sizeof(hdr))
		return false;
	last = virtq_in(&p->req) + p->req.nr_in - 1;
	p->status = (u8 *)last->iov_base + last->iov_len - 1;
	p->type = le32_to_cpu(hdr.type);
	p->sector = le64_to_cpu(hdr.sector);
	p->out_len = p->req.out_len - sizeof(hdr);
	p->in_len = p->req.in_len - 1;
	p->written = (u32)MIN(p->req.in_len, (size_t)UINT32_MAX);
	return true;
}

bool blk_serve(struct virtio_blk *blk, const struct virtq_request *req)
{
	struct parsed p = { .req = *req };
	int status;

	if (!parse(&p))
		return false;
	status = do_request(blk, &p);
	if (status >= 0)
		answer(blk, req->head, p.status, (u8)status, p.written);
	return true;
}
