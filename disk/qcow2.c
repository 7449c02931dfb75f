/* SPDX-License-Identifier: MIT */
/*
 * qcow2 disks: a queue of requests over two others. What lies in one piece in the guest's own image
 * goes to the queue of the raw disk that the image is, at another offset and without a copy. The
 * rest goes to workers: what needs tables, allocates, is packed or in a backing file. Writes that
 * allocate wait for each other (@meta), so the loop's thread does them while they are quick.
 */
#include "qcow2.h"

#include <stdlib.h>

#include "lkvm/event.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "threads.h"

static const struct disk_blocking_ops blocking_ops = {
	.room_create = q2_room_create,
	.room_destroy = q2_room_destroy,
	.serve = q2_serve,
	.serve_now = q2_serve_now,
	.one_by_one = true,
};

/* A request of one of the two queues, for one of ours. */
struct q2_request {
	struct disk_request inner;
	struct disk_request *outer;
	struct q2_queue *q;
	struct q2_request *next; /* of those that are free */
	bool counted, extra;
	unsigned int epoch;
};

struct q2_queue {
	struct disk_queue dq;
	struct disk_queue *data, *tables;
	struct q2_request *requests, *free;
	bool finished;
};

static struct q2_queue *to_queue(struct disk_queue *dq)
{
	return container_of(dq, struct q2_queue, dq);
}

static struct q2_image *top_image(const struct q2_queue *q)
{
	return to_qcow2(q->dq.disk)->layers[0].image;
}

static struct q2_request *take_request(struct q2_queue *q)
{
	struct q2_request *r = q->free;

	if (r) {
		q->free = r->next;
		return r;
	}
	/* More than the caller said: that is his to pay. */
	r = calloc(1, sizeof(*r));
	if (r) {
		r->q = q;
		r->extra = true;
	}
	return r;
}

static void on_done(struct disk_request *inner, int ret)
{
	struct q2_request *r = container_of(inner, struct q2_request, inner);
	struct disk_request *outer = r->outer;
	struct q2_queue *q = r->q;

	if (r->counted)
		q2_leave(top_image(q), r->epoch);
	if (r->extra) {
		free(r);
	} else {
		r->next = q->free;
		q->free = r;
	}
	disk_request_done(&q->dq, outer, ret);
}

/* Where a request lies in one piece that needs nothing else. */
static bool lies_in_one(struct q2_queue *q, struct q2_request *r)
{
	struct disk_request *req = &r->inner;
	struct q2_image *img = top_image(q);
	struct q2_extent ext;
	bool fits;

	r->counted = false;
	if ((req->op != DISK_READ && req->op != DISK_WRITE) || req->flags || !req->len)
		return false;
	if (req->op == DISK_WRITE && (!atomic_load(&img->changing) || atomic_load(&img->damaged)))
		return false;
	pthread_mutex_lock(&img->map);
	q2_map(img, req->offset, req->len, &ext);
	fits = ext.kind == Q2_DATA && ext.len == req->len && ext.host + ext.len <= img->file_end &&
	       (req->op == DISK_READ || ext.copied);
	if (fits)
		r->epoch = q2_enter(img);
	pthread_mutex_unlock(&img->map);
	r->counted = fits;
	if (fits)
		req->offset = ext.host;
	return fits;
}

static void q2_submit(struct disk_queue *dq, struct disk_request *req)
{
	struct q2_queue *q = to_queue(dq);
	struct q2_request *r = take_request(q);
	struct disk_queue *to;

	if (!r) {
		disk_request_done(dq, req, -ENOMEM);
		return;
	}
	r->outer = req;
	r->inner = *req;
	r->inner.done = on_done;
	to = lies_in_one(q, r) ? q->data : q->tables;
	to->may_wait = dq->may_wait;
	disk_submit(to, &r->inner);
}

static void q2_kick(struct disk_queue *dq)
{
	struct q2_queue *q = to_queue(dq);

	q->data->may_wait = q->tables->may_wait = dq->may_wait;
	disk_queue_kick(q->data);
	disk_queue_kick(q->tables);
}

static void q2_cancel(struct disk_queue *dq)
{
	disk_queue_cancel(to_queue(dq)->data);
	disk_queue_cancel(to_queue(dq)->tables);
}

/* Requests of a queue that came back while nobody asked. */
static void on_ended(void *opaque)
{
	struct q2_queue *q = opaque;

	if (q->dq.ended)
		q->dq.ended(q->dq.opaque);
}

/* The tables, and what nobody sees any more. */
static void write_out(struct qcow2_disk *d)
{
	struct q2_image *img = d->layers[0].image;
	int ret = 0;

	if (d->disk.readonly || !atomic_load(&img->changing))
		return;
	/* Twice: what was freed last, and what waited already. */
	for (unsigned int i = 0; !ret && i < 2; i++) {
		ret = q2_flush(img);
		pthread_mutex_lock(&img->meta);
		q2_release(img, d->nr_finished == d->nr_queues);
		pthread_mutex_unlock(&img->meta);
	}
	pthread_mutex_lock(&img->meta);
	if (!ret)
		ret = q2_write_tables(img);
	pthread_mutex_unlock(&img->meta);
	if (ret && !atomic_load(&img->damaged))
		err("--disk %s: cannot write its tables: %s; what the guest wrote since its last "
		    "flush is lost",
		    d->disk.path, strerror(-ret));
}

static void q2_finish(struct disk_queue *dq)
{
	struct qcow2_disk *d = to_qcow2(dq->disk);
	struct q2_queue *q = to_queue(dq);
	struct q2_image *img = top_image(q);

	disk_queue_finish(q->data);
	disk_queue_finish(q->tables);
	pthread_mutex_lock(&img->meta);
	d->nr_finished += !q->finished;
	q->finished = true;
	pthread_mutex_unlock(&img->meta);
	write_out(d);
}

static void q2_close_queue(struct disk_queue *dq)
{
	struct qcow2_disk *d = to_qcow2(dq->disk);
	struct q2_queue *q = to_queue(dq);
	struct q2_image *img = d->layers[0].image;

	if (q->data)
		disk_queue_close(q->data);
	if (q->tables)
		disk_queue_close(q->tables);
	pthread_mutex_lock(&img->meta);
	d->nr_finished -= q->finished;
	d->nr_queues--;
	pthread_mutex_unlock(&img->meta);
	free(q->requests);
	free(q);
}

static const struct disk_queue_ops queue_ops = {
	.submit = q2_submit,
	.kick = q2_kick,
	.cancel = q2_cancel,
	.finish = q2_finish,
	.close = q2_close_queue,
};

static int q2_queue_open(struct disk *disk, struct event_loop *loop, unsigned int depth,
			 struct disk_queue **out)
{
	struct qcow2_disk *d = to_qcow2(disk);
	struct q2_queue *q = xcalloc(1, sizeof(*q));
	int ret;

	q->dq.ops = &queue_ops;
	q->dq.disk = disk;
	d->nr_queues++;
	q->requests = xcalloc(depth, sizeof(*q->requests));
	for (unsigned int i = 0; i < depth; i++) {
		q->requests[i].q = q;
		q->requests[i].next = q->free;
		q->free = &q->requests[i];
	}
	ret = disk_queue_open(d->layers[0].image->file, loop, depth, &q->data);
	if (!ret)
		ret = disk_threads_open(disk, &blocking_ops, loop, depth, &q->tables);
	if (ret) {
		q2_close_queue(&q->dq);
		return ret;
	}
	q->data->ended = q->tables->ended = on_ended;
	q->data->opaque = q->tables->opaque = q;
	*out = &q->dq;
	return 0;
}

void q2_layer_close(struct q2_layer *layer)
{
	if (layer->image)
		q2_image_close(layer->image);
	else if (layer->file)
		disk_close(layer->file);
	free(layer->shown);
}

static void q2_close(struct disk *disk)
{
	struct qcow2_disk *d = to_qcow2(disk);

	write_out(d);
	for (unsigned int i = 0; i < d->nr_layers; i++)
		q2_layer_close(&d->layers[i]);
	free(d);
}

static const struct disk_ops qcow2_ops = {
	.queue_open = q2_queue_open,
	.close = q2_close,
};

int qcow2_disk_create(const char *path, bool readonly, const struct q2_layer *layers,
		      unsigned int nr, struct disk **out)
{
	const struct q2_image *img = layers[0].image;
	struct qcow2_disk *d = xcalloc(1, sizeof(*d));
	u64 odd = img->size % 512;

	d->disk.ops = &qcow2_ops;
	d->disk.path = path;
	d->disk.readonly = readonly;
	d->disk.block_size = 512;
	d->disk.phys_block = img->file->phys_block;
	d->disk.min_discard = readonly ? 0 : img->cluster;
	d->disk.size = img->size - odd;
	if (odd)
		warn("--disk %s: %llu bytes is not a multiple of 512; the guest does not see the "
		     "last %llu",
		     path, img->size, odd);
	d->nr_layers = nr;
	memcpy(d->layers, layers, nr * sizeof(layers[0]));
	*out = &d->disk;
	return 0;
}
