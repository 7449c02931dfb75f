/* SPDX-License-Identifier: MIT */
/* Reads of a qcow2 disk through its layers, in place and without a copy where nothing is packed. */
#include <stdlib.h>

#include "lkvm/util.h"
#include "qcow2-io.h"
#include "raw.h"

/* Entries of a list that go to the raw disk at once, where it is a part of the guest's. */
#define PART 64

static void part_zero(const struct q2_part *p)
{
	size_t at = p->at, left = (size_t)p->len;

	for (unsigned int i = 0; left && i < p->iovcnt; i++) {
		size_t n = p->iov[i].iov_len;

		if (at >= n) {
			at -= n;
			continue;
		}
		n = MIN(n - at, left);
		memset((u8 *)p->iov[i].iov_base + at, 0, n);
		left -= n;
		at = 0;
	}
}

/* The first entries of it, as many as there is room for. */
static int part_head(const struct q2_part *p, struct iovec out[PART])
{
	size_t at = p->at, left = (size_t)p->len;
	int n = 0;

	for (unsigned int i = 0; left && n < PART && i < p->iovcnt; i++) {
		size_t len = p->iov[i].iov_len;

		if (at >= len) {
			at -= len;
			continue;
		}
		len = MIN(len - at, left);
		out[n].iov_base = (u8 *)p->iov[i].iov_base + at;
		out[n++].iov_len = len;
		left -= len;
		at = 0;
	}
	return n;
}

/* The raw disks below */

int q2_raw_io(struct q2_room *room, unsigned int level, struct disk *file, enum disk_op op,
	      const struct q2_part *p, u64 offset)
{
	struct iovec few[PART];
	u64 done = 0;

	while (done < p->len) {
		struct disk_request req = { .op = op, .iov = few, .offset = offset + done };
		struct q2_part rest = q2_part_at(p, done, p->len - done);
		int ret;

		if (!rest.at && rest.len == iov_len(rest.iov, rest.iovcnt)) {
			req.iov = rest.iov;
			req.iovcnt = (int)rest.iovcnt;
			req.len = rest.len;
		} else {
			req.iovcnt = part_head(&rest, few);
			req.len = iov_len(few, (unsigned int)req.iovcnt);
		}
		ret = raw_serve(file, room->raw[level], &req);
		if (ret)
			return ret;
		done += req.len;
	}
	return 0;
}

/* Of the image's file, whose end nobody may have written yet: zeroes after it. */
static int read_data(struct qcow2_disk *d, struct q2_room *room, unsigned int level,
		     const struct q2_part *p, u64 host)
{
	struct q2_image *img = d->layers[level].image;
	u64 end = img->file_end, have = host < end ? MIN(p->len, end - host) : 0;
	struct q2_part zeroes = q2_part_at(p, have, p->len - have);
	struct q2_part data = q2_part_at(p, 0, have);
	u8 *bytes;
	int ret;

	part_zero(&zeroes);
	if (!have)
		return 0;
	/* The last block of a file that ends inside it, which O_DIRECT cannot read. */
	if (have == p->len || !to_raw(img->file)->offset_align)
		return q2_raw_io(room, level, img->file, DISK_READ, &data, host);
	bytes = malloc((size_t)have);
	if (!bytes)
		return -ENOMEM;
	ret = q2_read_file(img, bytes, (size_t)have, host);
	if (!ret)
		iov_from_buf(p->iov, p->iovcnt, p->at, bytes, (size_t)have);
	free(bytes);
	return ret;
}

/* Reading */

static int read_extent(struct qcow2_disk *d, struct q2_room *room, unsigned int level,
		       const struct q2_extent *ext, const struct q2_part *p, u64 offset)
{
	struct q2_image *img = d->layers[level].image;

	switch (ext->kind) {
	case Q2_NONE:
		return q2_read(d, room, level + 1, p, offset);
	case Q2_DATA:
		return read_data(d, room, level, p, ext->host);
	case Q2_PACKED:
		return q2_unpack(img, ext->entry, offset & (img->cluster - 1), p->len, p->iov,
				 p->iovcnt, p->at);
	default:
		part_zero(p);
		return 0;
	}
}

int q2_read(struct qcow2_disk *d, struct q2_room *room, unsigned int level, const struct q2_part *p,
	    u64 offset)
{
	const struct q2_layer *layer = &d->layers[level];
	u64 size = level < d->nr_layers ? layer->size : 0;
	u64 have = offset < size ? MIN(p->len, size - offset) : 0;
	struct q2_part zeroes = q2_part_at(p, have, p->len - have);

	part_zero(&zeroes);
	if (have && !layer->image) {
		struct q2_part data = q2_part_at(p, 0, have);

		return q2_raw_io(room, level, layer->file, DISK_READ, &data, offset);
	}
	for (u64 done = 0; done < have;) {
		struct q2_extent ext;
		struct q2_part here;
		unsigned int epoch;
		int ret = q2_lookup(layer->image, offset + done, have - done, &ext, &epoch);

		if (ret)
			return ret;
		here = q2_part_at(p, done, ext.len);
		ret = read_extent(d, room, level, &ext, &here, offset + done);
		q2_leave(layer->image, epoch);
		if (ret)
			return ret;
		done += ext.len;
	}
	return 0;
}
