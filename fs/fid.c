/* SPDX-License-Identifier: MIT */
/*
 * What a client holds: fids in a table, and the files that they stand for, counted. Requests run on
 * several threads, so a fid that one of them uses lives on when another removes it.
 */
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
	if (!t->buckets)
		return -ENOMEM;
	t->nr_buckets = FIRST_BUCKETS;
	pthread_mutex_init(&t->lock, NULL);
	return 0;
}

/* Nodes */

bool fds_left(struct p9_op *op)
{
	if (atomic_load(&op->fids->nr_fds) < op->share->max_fds)
		return true;
	guest_warn("--9p %s: the guest holds %u files, all that it may; it gets an error for "
		   "others; raise 'ulimit -n'",
		   op->share->path, op->share->max_fds);
	return false;
}

int node_new(struct p9_op *op, int fd, struct stat *st, struct p9_node **out)
{
	struct p9_node *node = malloc(sizeof(*node));

	if (!node || fstat(fd, st)) {
		int ret = node ? -errno : -ENOMEM;

		free(node);
		close(fd);
		return ret;
	}
	atomic_init(&node->refs, 1);
	node->fd = fd;
	node->mode = st->st_mode & S_IFMT;
	node->dev = st->st_dev;
	node->ino = st->st_ino;
	atomic_fetch_add(&op->fids->nr_fds, 1);
	*out = node;
	return 0;
}

struct p9_node *node_get(struct p9_node *node)
{
	if (node)
		atomic_fetch_add(&node->refs, 1);
	return node;
}

void node_put(struct fid_table *t, struct p9_node *node)
{
	if (!node || atomic_fetch_sub(&node->refs, 1) != 1)
		return;
	close(node->fd);
	atomic_fetch_sub(&t->nr_fds, 1);
	free(node);
}

/* Fids */

struct p9_fid *fid_new(u32 id, u32 uid, struct p9_node *node, struct p9_node *parent,
		       const char *name)
{
	size_t len = strlen(name) + 1;
	struct p9_fid *fid = malloc(sizeof(*fid) + len);

	if (!fid)
		return NULL;
	memset(fid, 0, sizeof(*fid));
	fid->id = id;
	fid->uid = uid;
	fid->refs = 1;
	fid->fd = -1;
	fid->node = node_get(node);
	fid->parent = node_get(parent);
	pthread_mutex_init(&fid->lock, NULL);
	memcpy(fid->name, name, len);
	return fid;
}

static void fid_free(struct fid_table *t, struct p9_fid *fid)
{
	if (fid->fd >= 0) {
		close(fid->fd);
		atomic_fetch_sub(&t->nr_fds, 1);
	}
	if (fid->xattr)
		free(fid->xattr->value);
	free(fid->xattr);
	node_put(t, fid->node);
	node_put(t, fid->parent);
	pthread_mutex_destroy(&fid->lock);
	free(fid);
}

void fid_put(struct fid_table *t, struct p9_fid *fid)
{
	unsigned int left;

	pthread_mutex_lock(&t->lock);
	left = --fid->refs;
	pthread_mutex_unlock(&t->lock);
	if (!left)
		fid_free(t, fid);
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

struct p9_fid *fid_get(struct p9_op *op, u32 id)
{
	struct fid_table *t = op->fids;
	struct p9_fid *fid;

	pthread_mutex_lock(&t->lock);
	fid = *find(t, id);
	if (fid)
		fid->refs++;
	pthread_mutex_unlock(&t->lock);
	return fid;
}

int fid_add(struct p9_op *op, struct p9_fid *fid)
{
	/* Fids that stand for one file cost memory too. */
	u32 max = op->share->max_fds;
	struct fid_table *t = op->fids;
	struct p9_fid **p;
	int ret = 0;

	pthread_mutex_lock(&t->lock);
	grow(t);
	p = find(t, fid->id);
	if (*p || fid->id == P9_NO_FID || t->generation != op->generation) {
		ret = -EBADF;
	} else if (t->count >= max) {
		ret = -ENFILE;
	} else {
		*p = fid;
		fid->next = NULL;
		t->count++;
	}
	pthread_mutex_unlock(&t->lock);
	if (ret)
		fid_put(t, fid);
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
		fid_put(t, fid);
	return there ? 0 : -EBADF;
}

u32 fid_others(struct p9_op *op, const struct p9_fid *fid, struct p9_fid **out, u32 max)
{
	const struct p9_node *node = fid->node;
	struct fid_table *t = op->fids;
	u32 nr = 0;

	pthread_mutex_lock(&t->lock);
	for (u32 i = 0; i < t->nr_buckets; i++) {
		for (struct p9_fid *f = t->buckets[i]; f && nr < max; f = f->next) {
			if (f == fid || f->kind != FID_OPEN || f->node->ino != node->ino ||
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
		fid_put(t, all);
	}
}

void fids_destroy(struct fid_table *t)
{
	fids_clear(t);
	free(t->buckets);
	pthread_mutex_destroy(&t->lock);
}
