/* SPDX-License-Identifier: MIT */
/*
 * A disk whose format was found out by its contents keeps it: the guest could write the header of
 * another format to a raw disk, and the next start would take the disk for that. Such a write is
 * refused. The sectors where headers stand are copied first, since what the guest's memory holds
 * may change between a look and the write.
 */
#include <stdlib.h>

#include "lkvm/disk.h"
#include "lkvm/log.h"
#include "lkvm/magic.h"
#include "lkvm/util.h"

#define SECTOR 512u

/* All headers stand in the first sector or the last (util/magic.c). */
enum { FIRST, LAST, NR_SECTORS };

struct guarded {
	struct disk_request inner;
	struct disk_request *outer;
	u64 size;		 /* of the disk */
	u8 *sectors[NR_SECTORS]; /* NULL: not written */
	struct iovec iov[];
};

/* What the file will have there, as far as the request says; for magic_find. */
static int written(void *opaque, u64 offset, void *buf, u64 len)
{
	const struct guarded *g = opaque;

	for (unsigned int i = 0; i < NR_SECTORS; i++) {
		u64 at = i == FIRST ? 0 : g->size - SECTOR;

		if (g->sectors[i] && range_within(offset, len, at, SECTOR)) {
			memcpy(buf, g->sectors[i] + (offset - at), len);
			return 0;
		}
	}
	return -ENODATA;
}

static const struct file_magic *looks_like(struct guarded *g)
{
	const struct file_magic *m = magic_find(g, g->size, written);

	return m && (m->kind == MAGIC_DISK || m->kind == MAGIC_PACKED) ? m : NULL;
}

static void on_done(struct disk_request *inner, int ret)
{
	struct guarded *g = container_of(inner, struct guarded, inner);
	struct disk_request *outer = g->outer;

	free(g->sectors[FIRST]);
	free(g->sectors[LAST]);
	free(g);
	outer->done(outer, ret);
}

/* The next @len bytes of the request, as the guest has them, or out of @copy. */
static int add(struct guarded *g, u64 *done, u64 len, u8 *copy)
{
	struct disk_request *req = &g->inner, *outer = g->outer;
	int n = 1;

	if (copy) {
		iov_to_buf(outer->iov, (unsigned int)outer->iovcnt, (size_t)*done, copy,
			   (size_t)len);
		g->iov[req->iovcnt] = (struct iovec){ copy, (size_t)len };
	} else {
		n = iov_slice(outer->iov, (unsigned int)outer->iovcnt, (size_t)*done, (size_t)len,
			      g->iov + req->iovcnt, (unsigned int)outer->iovcnt);
	}
	*done += len;
	if (n > 0)
		req->iovcnt += n;
	return n < 0 ? n : 0;
}

static int build(struct guarded *g, bool first, bool last)
{
	u64 done = 0, len = g->outer->len;
	int ret = 0;

	g->sectors[FIRST] = first ? aligned_alloc(4096, 4096) : NULL;
	g->sectors[LAST] = last ? aligned_alloc(4096, 4096) : NULL;
	if ((first && !g->sectors[FIRST]) || (last && !g->sectors[LAST]))
		return -ENOMEM;
	if (first)
		ret = add(g, &done, SECTOR, g->sectors[FIRST]);
	if (!ret && len - done > (last ? SECTOR : 0))
		ret = add(g, &done, len - done - (last ? SECTOR : 0), NULL);
	if (!ret && last)
		ret = add(g, &done, SECTOR, g->sectors[LAST]);
	return ret;
}

static int refused(struct disk_queue *dq, struct disk_request *req, const struct file_magic *m)
{
	guest_warn("--disk %s: refused a write that makes it look like %s, which the next start "
		   "would take it for; add ',format=raw' to permit it",
		   dq->disk->path, m->name);
	req->flags |= DISK_TOLD;
	return -EPERM;
}

void disk_guard_submit(struct disk_queue *dq, struct disk_request *req)
{
	u64 size = dq->disk->size;
	bool first = req->offset < SECTOR && req->len >= SECTOR;
	bool last = req->offset + req->len == size && req->offset <= size - SECTOR &&
		    !(first && size == SECTOR);
	const struct file_magic *m;
	struct guarded *g;
	int ret;

	if (!first && !last) {
		dq->ops->submit(dq, req);
		return;
	}
	g = calloc(1, sizeof(*g) + ((size_t)req->iovcnt + 2) * sizeof(g->iov[0]));
	if (!g) {
		disk_request_done(dq, req, -ENOMEM);
		return;
	}
	g->outer = req;
	g->size = size;
	g->inner = *req;
	g->inner.iov = g->iov;
	g->inner.iovcnt = 0;
	g->inner.done = on_done;
	ret = build(g, first, last);
	m = ret ? NULL : looks_like(g);
	if (m)
		ret = refused(dq, req, m);
	if (ret)
		disk_request_done(dq, &g->inner, ret);
	else
		dq->ops->submit(dq, &g->inner);
}
