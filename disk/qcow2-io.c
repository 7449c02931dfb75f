/* SPDX-License-Identifier: MIT */
/* Requests of a qcow2 disk that may block, and flushes: on whatever thread calls. */
#include <stdlib.h>

#include "lkvm/util.h"
#include "qcow2-io.h"
#include "raw.h"

/* Flushing */

/* What was freed waits for those who may have seen it, from here on: no others will. */
static bool close_epoch(struct q2_image *img)
{
	struct q2_freed empty = img->closing;

	if (empty.nr || !img->freed.nr)
		return false;
	pthread_mutex_lock(&img->map);
	img->epoch = !img->epoch;
	pthread_mutex_unlock(&img->map);
	img->closing = img->freed;
	img->freed = empty;
	return true;
}

int q2_flush(struct q2_image *img)
{
	bool closed = false;
	int ret;

	pthread_mutex_lock(&img->meta);
	q2_release(img, false);
	ret = atomic_load(&img->damaged) ? -EIO : q2_write_tables(img);
	if (!ret)
		closed = close_epoch(img);
	pthread_mutex_unlock(&img->meta);
	if (!ret)
		ret = q2_sync(img);
	pthread_mutex_lock(&img->meta);
	/* Without a sync that was right it stays as it is, and takes no harm but room. */
	img->closing_written |= closed && !ret;
	q2_release(img, false);
	pthread_mutex_unlock(&img->meta);
	return ret;
}

/* Requests */

int q2_serve(struct disk *disk, void *room, const struct disk_request *req)
{
	struct qcow2_disk *d = to_qcow2(disk);
	struct q2_part p = { req->iov, (unsigned int)req->iovcnt, 0, req->len };
	int ret = -EOPNOTSUPP;

	switch (req->op) {
	case DISK_READ:
		return q2_read(d, room, 0, &p, req->offset);
	case DISK_WRITE:
		ret = q2_write(d, room, &p, req->offset);
		break;
	case DISK_DISCARD:
	case DISK_WRITE_ZEROES:
		ret = q2_zero(d, room, req);
		break;
	case DISK_FLUSH:
		return q2_flush(d->layers[0].image);
	case DISK_NR_OPS:
		break;
	}
	if (!ret && req->flags & DISK_FUA)
		ret = q2_flush(d->layers[0].image);
	return ret;
}

/* The layer that has the whole of a read, and where: without waiting. -EAGAIN: it is not so easy.
 */
static int find_now(struct qcow2_disk *d, const struct disk_request *req, struct disk **file,
		    u64 *host)
{
	for (unsigned int level = 0; level < d->nr_layers; level++) {
		const struct q2_layer *layer = &d->layers[level];
		struct q2_extent ext;

		if (!range_within(req->offset, req->len, 0, layer->size))
			return -EAGAIN;
		*file = layer->file;
		*host = req->offset;
		if (!layer->image)
			return 0;
		pthread_mutex_lock(&layer->image->map);
		q2_map(layer->image, req->offset, req->len, &ext);
		pthread_mutex_unlock(&layer->image->map);
		*file = layer->image->file;
		*host = ext.host;
		if (ext.len < req->len || (ext.kind != Q2_NONE && ext.kind != Q2_DATA))
			return -EAGAIN;
		if (ext.kind == Q2_DATA)
			return 0;
	}
	return -EAGAIN;
}

int q2_serve_now(struct disk *disk, const struct disk_request *req)
{
	struct disk_request raw = *req;
	struct disk *file;
	int ret;

	if (req->op == DISK_WRITE)
		return -EOPNOTSUPP;
	if (req->op != DISK_READ || !req->len)
		return -EAGAIN;
	ret = find_now(to_qcow2(disk), req, &file, &raw.offset);
	return ret ? ret : raw_serve_now(file, &raw);
}

int q2_room_create(struct disk *disk, void **out)
{
	struct qcow2_disk *d = to_qcow2(disk);
	struct q2_room *room = xcalloc(1, sizeof(*room));
	int ret = 0;

	for (; !ret && room->nr < d->nr_layers; room->nr += !ret) {
		const struct q2_layer *layer = &d->layers[room->nr];

		ret = raw_room_create(layer->image ? layer->image->file : layer->file,
				      &room->raw[room->nr]);
	}
	if (ret)
		q2_room_destroy(room);
	else
		*out = room;
	return ret;
}

void q2_room_destroy(void *opaque)
{
	struct q2_room *room = opaque;

	if (!room)
		return;
	for (unsigned int i = 0; i < room->nr; i++)
		raw_room_destroy(room->raw[i]);
	free(room->edge);
	free(room);
}
