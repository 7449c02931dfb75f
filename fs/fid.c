/* SPDX-License-Identifier: MIT */
/*
 * What a client holds: fids in a table. Requests run on several threads, so a fid that one of them
 * uses lives on when another removes it.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "p9.h"

#define FIRST_BUCKETS 64u
#define MAX_BUCKETS   65536u

int fids_init(struct fid_table *t)
{
	t->buckets = calloc(FIRST_BUCKETS, sizeof(struct p9_fid *));
	t->names = calloc(P9_NAMES, sizeof(struct p9_node *));
	if (!t->buckets || !t->names) {
		free(t->buckets);
		free(t->names);
		t->buckets = NULL;
		return -ENOMEM;
	}
	t->nr_buckets = FIRST_BUCKETS;
	pthread_mutex_init(&t->lock, NULL);
	pthread_rwlock_init(&t->moving, NULL);
	return 0;
}

struct p9_fid *fid_new(struct fid_table *t, u32 id, u32 uid, struct p9_node *node)
{
	struct p9_fid *fid = calloc(1, sizeof(*fid));

	if (!fid)
		return NULL;
	fid->id = id;
	fid->uid = uid;
	fid->refs = 1;
	fid->fd = -1;
	fid->node = node_get(t, node);
	pthread_mutex_init(&fid->lock, NULL);
	return fid;
}

void xattr_free(struct fid_table *t, struct p9_xattr *x)
{
	if (!x)
		return;
	atomic_fetch_sub(&t->value_bytes, x->room);
	free(x->value);
	free(x);
}

static void fid_free(struct fid_table *t, struct p9_fid *fid)
{
	if (fid->fd >= 0) {
		close(fid->fd);
		atomic_fetch_sub(&t->nr_fds, 1);
	}
	xattr_free(t, fid->xattr);
	if (fid->kind == FID_OPEN)
		node_unuse(t, fid->node);
	node_put(t, fid->node);
	pthread_mutex_destroy(&fid->lock);
	free(fid);
}

static void put(struct fid_table *t, struct p9_fid *fid, bool used)
{
	unsigned int left;

	pthread_mutex_lock(&t->lock);
	left = --fid->refs;
	if (used)
		node_unuse_locked(t, fid->node);
	pthread_mutex_unlock(&t->lock);
	if (!left)
		fid_free(t, fid);
}

void fid_put(struct fid_table *t, struct p9_fid *fid)
{
	put(t, fid, true);
}

void fid_drop(struct fid_table *t, struct p9_fid *fid)
{
	put(t, fid, false);
}

/* Under the lock: the link that points to it, or to the end of its chain. */
static struct p9_fid **find(struct fid_table *t, u32 id)
{
	struct p9_fid **p = &t->buckets[id & (t->nr_buckets - 1)];

	while (*p && (*p)->id != id)
		p = &(*p)->next;
	return p;
}

/* Under the lock. Without memory the chains become longer. */
static void grow(struct fid_table *t)
{
	u32 nr = t->nr_buckets * 2;
	struct p9_fid **buckets;

	if (t->count < t->nr_buckets || nr > MAX_BUCKETS)
		return;
	buckets = calloc(nr, sizeof(struct p9_fid *));
	if (!buckets)
		return;
	for (u32 i = 0; i < t->nr_buckets; i++) {
		struct p9_fid *fid, *next;

		for (fid = t->buckets[i]; fid; fid = next) {
			next = fid->next;
			fid->next = buckets[fid->id & (nr - 1)];
			buckets[fid->id & (nr - 1)] = fid;
		}
	}
	free(t->buckets);
	t->buckets = buckets;
	t->nr_buckets = nr;
}

int fid_add(struct p9_op *op, struct p9_fid *fid)
{
	struct fid_table *t = op->fids;
	struct p9_fid **p;
	int ret = 0;

	pthread_mutex_lock(&t->lock);
	grow(t);
	p = find(t, fid->id);
	if (*p || fid->id == P9_NO_FID || t->generation != op->generation) {
		ret = -EBADF;
	} else if (t->count >= op->share->max_fids) {
		ret = -ENFILE;
	} else {
		*p = fid;
		fid->next = NULL;
		t->count++;
	}
	pthread_mutex_unlock(&t->lock);
	if (ret)
		fid_drop(t, fid);
	return ret;
}

int fid_replace(struct p9_op *op, struct p9_fid *old, struct p9_fid *fid)
{
	struct fid_table *t = op->fids;
	struct p9_fid **p;
	bool there;

	pthread_mutex_lock(&t->lock);
	p = find(t, old->id);
	there = *p == old;
	if (there) {
		fid->next = old->next;
		*p = fid;
		/* The table's; the caller has another. */
		old->refs--;
	}
	pthread_mutex_unlock(&t->lock);
	if (!there)
		fid_drop(t, fid);
	return there ? 0 : -EBADF;
}

u32 fid_others(struct p9_op *op, const struct p9_node *node, const struct p9_fid *but,
	       struct p9_fid **out, u32 max)
{
	struct fid_table *t = op->fids;
	u32 nr = 0;

	pthread_mutex_lock(&t->lock);
	for (u32 i = 0; i < t->nr_buckets; i++) {
		for (struct p9_fid *f = t->buckets[i]; f && nr < max; f = f->next) {
			if (f == but || f->kind != FID_OPEN || f->node->ino != node->ino ||
			    f->node->dev != node->dev)
				continue;
			f->refs++;
			out[nr++] = f;
		}
	}
	pthread_mutex_unlock(&t->lock);
	return nr;
}

struct p9_fid *fid_remove(struct p9_op *op, u32 id)
{
	struct fid_table *t = op->fids;
	struct p9_fid **p, *fid;

	pthread_mutex_lock(&t->lock);
	p = find(t, id);
	fid = *p;
	if (fid) {
		*p = fid->next;
		t->count--;
	}
	pthread_mutex_unlock(&t->lock);
	return fid;
}

/* Its name is gone, but the client may have it open. */
static int open_as_other(struct p9_op *op, struct p9_node *node)
{
	struct p9_fid *other;
	int fd;

	if (!fid_others(op, node, NULL, &other, 1))
		return -ESTALE;
	if (!fds_left(op)) {
		fid_drop(op->fids, other);
		return -ENFILE;
	}
	fd = open(fd_path(fid_fd(other)).text, O_PATH | O_CLOEXEC);
	fid_drop(op->fids, other);
	if (fd < 0)
		return -errno;
	node_give_fd(op->fids, node, fd);
	return 0;
}

static int reopen(struct p9_op *op, const struct p9_fid *fid)
{
	int ret = node_reopen(op, fid->node);

	return ret == -ESTALE ? open_as_other(op, fid->node) : ret;
}

int fid_use(struct p9_op *op, struct p9_fid *fid)
{
	struct fid_table *t = op->fids;
	bool there;
	int ret;

	pthread_mutex_lock(&t->lock);
	there = node_use_locked(t, fid->node);
	pthread_mutex_unlock(&t->lock);
	ret = there ? 0 : reopen(op, fid);
	if (ret)
		node_unuse(t, fid->node);
	return ret;
}

struct p9_fid *fid_get(struct p9_op *op, u32 id)
{
	struct fid_table *t = op->fids;
	struct p9_fid *fid;
	bool there = true;
	int ret;

	pthread_mutex_lock(&t->lock);
	fid = *find(t, id);
	if (fid) {
		fid->refs++;
		there = node_use_locked(t, fid->node);
	}
	pthread_mutex_unlock(&t->lock);
	if (there)
		return fid;
	ret = reopen(op, fid);
	if (!ret)
		return fid;
	fid_put(t, fid);
	op->lost = ret;
	return NULL;
}

void fids_clear(struct fid_table *t)
{
	struct p9_fid *all = NULL, *next;

	pthread_mutex_lock(&t->lock);
	for (u32 i = 0; i < t->nr_buckets; i++) {
		for (struct p9_fid *fid = t->buckets[i]; fid; fid = next) {
			next = fid->next;
			fid->next = all;
			all = fid;
		}
		t->buckets[i] = NULL;
	}
	t->count = 0;
	t->generation++;
	pthread_mutex_unlock(&t->lock);
	for (; all; all = next) {
		next = all->next;
		fid_drop(t, all);
	}
}

void fids_destroy(struct fid_table *t)
{
	fids_clear(t);
	free(t->buckets);
	free(t->names);
	pthread_rwlock_destroy(&t->moving);
	pthread_mutex_destroy(&t->lock);
}
