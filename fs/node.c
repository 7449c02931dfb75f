/* SPDX-License-Identifier: MIT */
/*
 * The files that fids stand for (struct p9_node). A client that caches names holds a fid for each,
 * a descriptor is held for those that were used last: under pressure the others give theirs back,
 * and it is opened again where the file was found, from the nearest directory above that has one.
 * What is found there must be the same file. So a node knows its directory and its name in it, and
 * follows what the client renames; one whose name the client took away keeps its descriptor.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "p9.h"

/* Nobody has a deeper tree; it ends what goes round. */
#define DEPTH_MAX 4096u

/* All here is under the table's lock, but for what says so. */

static struct p9_node **bucket(struct fid_table *t, u64 dir_ino, const char *name)
{
	u64 hash = dir_ino * 0x9e3779b97f4a7c15ULL;

	for (; *name; name++)
		hash = (hash ^ (u8)*name) * 0x100000001b3ULL;
	return &t->names[(hash >> 32) % P9_NAMES];
}

/* Those that were used last are the newest. */
static void list_newest(struct fid_table *t, struct p9_node *node)
{
	node->older = t->newest;
	if (t->newest)
		t->newest->newer = node;
	else
		t->oldest = node;
	t->newest = node;
	node->listed = true;
}

static void unlist(struct fid_table *t, struct p9_node *node)
{
	if (!node->listed)
		return;
	*(node->older ? &node->older->newer : &t->oldest) = node->newer;
	*(node->newer ? &node->newer->older : &t->newest) = node->older;
	node->older = node->newer = NULL;
	node->listed = false;
}

static void list_if_idle(struct fid_table *t, struct p9_node *node)
{
	if (!node->users && node->fd >= 0 && node->parent && !node->listed)
		list_newest(t, node);
}

static void put_name(struct fid_table *t, struct p9_node *node, struct p9_node *parent, char *name)
{
	struct p9_node **p = bucket(t, parent->ino, name);

	node->parent = parent;
	node->name = name;
	node->next_name = *p;
	*p = node;
}

static void unlink_name(struct fid_table *t, struct p9_node *node)
{
	struct p9_node **p;

	if (!node->parent)
		return;
	for (p = bucket(t, node->parent->ino, node->name); *p != node; p = &(*p)->next_name)
		;
	*p = node->next_name;
}

/* The last is gone: it goes to those that free_dead frees, and maybe what is above it. */
static void drop(struct fid_table *t, struct p9_node *node, struct p9_node **dead)
{
	while (node && !--node->refs) {
		struct p9_node *parent = node->parent;

		unlist(t, node);
		unlink_name(t, node);
		t->nr_nodes--;
		node->next_name = *dead;
		*dead = node;
		node = parent;
	}
}

/* Without the lock. */
static void free_dead(struct fid_table *t, struct p9_node *dead)
{
	struct p9_node *next;

	for (; dead; dead = next) {
		next = dead->next_name;
		if (dead->fd >= 0) {
			close(dead->fd);
			atomic_fetch_sub(&t->nr_fds, 1);
		}
		free(dead->name);
		free(dead);
	}
}

struct p9_node *node_get_locked(struct p9_node *node)
{
	node->refs++;
	return node;
}

bool node_use_locked(struct fid_table *t, struct p9_node *node)
{
	node->users++;
	unlist(t, node);
	return node->fd >= 0;
}

void node_unuse_locked(struct fid_table *t, struct p9_node *node)
{
	node->users--;
	list_if_idle(t, node);
}

/* What others call without the lock */

struct p9_node *node_get(struct fid_table *t, struct p9_node *node)
{
	pthread_mutex_lock(&t->lock);
	node_get_locked(node);
	pthread_mutex_unlock(&t->lock);
	return node;
}

void node_put(struct fid_table *t, struct p9_node *node)
{
	struct p9_node *dead = NULL;

	pthread_mutex_lock(&t->lock);
	drop(t, node, &dead);
	pthread_mutex_unlock(&t->lock);
	free_dead(t, dead);
}

void node_unuse(struct fid_table *t, struct p9_node *node)
{
	pthread_mutex_lock(&t->lock);
	node_unuse_locked(t, node);
	pthread_mutex_unlock(&t->lock);
}

void node_hold(struct fid_table *t, struct p9_node *node)
{
	pthread_mutex_lock(&t->lock);
	node_get_locked(node);
	node_use_locked(t, node);
	pthread_mutex_unlock(&t->lock);
}

void node_release(struct fid_table *t, struct p9_node *node)
{
	struct p9_node *dead = NULL;

	if (!node)
		return;
	pthread_mutex_lock(&t->lock);
	node_unuse_locked(t, node);
	drop(t, node, &dead);
	pthread_mutex_unlock(&t->lock);
	free_dead(t, dead);
}

/* The descriptor that was not used for the longest time is given back. False: all are in use. */
static bool evict(struct fid_table *t)
{
	struct p9_node *node;
	int fd = -1;

	pthread_mutex_lock(&t->lock);
	node = t->oldest;
	if (node) {
		unlist(t, node);
		fd = node->fd;
		node->fd = -1;
	}
	pthread_mutex_unlock(&t->lock);
	if (fd < 0)
		return false;
	close(fd);
	atomic_fetch_sub(&t->nr_fds, 1);
	return true;
}

bool fds_left(struct p9_op *op)
{
	while (atomic_load(&op->fids->nr_fds) >= op->share->max_fds) {
		if (evict(op->fids))
			continue;
		guest_warn(
			"--9p %s: the guest's open files take %u descriptors, all that they may; "
			"it gets an error for others; raise 'ulimit -n'",
			op->share->path, op->share->max_fds);
		return false;
	}
	return true;
}

/* Enter it where it was found; @parent NULL: that is not known. */
static int enter(struct p9_op *op, struct p9_node *node, struct p9_node *parent, char *name)
{
	struct fid_table *t = op->fids;
	bool full;

	pthread_mutex_lock(&t->lock);
	full = t->nr_nodes >= op->share->max_fids;
	if (!full)
		t->nr_nodes++;
	if (!full && parent)
		put_name(t, node, node_get_locked(parent), name);
	pthread_mutex_unlock(&t->lock);
	return full ? -ENFILE : 0;
}

int node_new(struct p9_op *op, int fd, struct p9_node *parent, const char *name, struct stat *st,
	     struct p9_node **out)
{
	struct p9_node *node = calloc(1, sizeof(*node));
	char *copy = parent ? strdup(name) : NULL;
	int ret = !node || (parent && !copy) ? -ENOMEM : fstat(fd, st) ? -errno : 0;

	if (!ret) {
		*node = (struct p9_node){ .refs = 1, .users = 1, .fd = fd };
		node->mode = st->st_mode & S_IFMT;
		node->dev = st->st_dev;
		node->ino = st->st_ino;
		ret = enter(op, node, parent, copy);
	}
	if (ret) {
		free(node);
		free(copy);
		close(fd);
		return ret;
	}
	atomic_fetch_add(&op->fids->nr_fds, 1);
	*out = node;
	return 0;
}

/* Opening again */

/* The first on the way down to @node that has no descriptor while its directory has one. Both are
 * held, *name is the caller's. -EALREADY: @node has one. */
static int first_missing(struct fid_table *t, struct p9_node *node, struct p9_node **out,
			 struct p9_node **parent, char **name)
{
	u32 depth = 0;
	int ret = 0;

	pthread_mutex_lock(&t->lock);
	if (node->fd >= 0)
		ret = -EALREADY;
	while (!ret && node->parent && node->parent->fd < 0 && depth++ < DEPTH_MAX)
		node = node->parent;
	if (!ret && (!node->parent || node->parent->fd < 0))
		ret = -ESTALE;
	if (!ret) {
		*name = strdup(node->name);
		ret = *name ? 0 : -ENOMEM;
	}
	if (!ret) {
		*out = node_get_locked(node);
		*parent = node_get_locked(node->parent);
		node_use_locked(t, node);
		node_use_locked(t, node->parent);
	}
	pthread_mutex_unlock(&t->lock);
	return ret;
}

static bool is_same(const struct p9_node *node, int fd)
{
	struct stat st;

	return !fstat(fd, &st) && st.st_dev == node->dev && st.st_ino == node->ino &&
	       (st.st_mode & S_IFMT) == node->mode;
}

void node_give_fd(struct fid_table *t, struct p9_node *node, int fd)
{
	pthread_mutex_lock(&t->lock);
	/* Another thread may have been as fast. */
	if (node->fd < 0) {
		node->fd = fd;
		fd = -1;
		atomic_fetch_add(&t->nr_fds, 1);
	}
	pthread_mutex_unlock(&t->lock);
	if (fd >= 0)
		close(fd);
}

static int open_again(struct p9_op *op, struct p9_node *node, const struct p9_node *parent,
		      const char *name)
{
	int fd;

	if (!fds_left(op))
		return -ENFILE;
	fd = share_lookup(op->share, parent, name);
	if (fd < 0)
		return fd == -ENOENT || fd == -ENOTDIR ? -ESTALE : fd;
	if (!is_same(node, fd)) {
		close(fd);
		return -ESTALE;
	}
	node_give_fd(op->fids, node, fd);
	return 0;
}

/* Each directory on the way stays open until what is next below it is. */
static int open_way(struct p9_op *op, struct p9_node *node)
{
	struct p9_node *above = NULL, *next, *parent;
	char *name;
	int ret;

	while (!(ret = first_missing(op->fids, node, &next, &parent, &name))) {
		ret = open_again(op, next, parent, name);
		free(name);
		node_release(op->fids, parent);
		node_release(op->fids, above);
		above = next;
		if (ret)
			break;
	}
	node_release(op->fids, above);
	return ret == -EALREADY ? 0 : ret;
}

int node_reopen(struct p9_op *op, struct p9_node *node)
{
	int ret = open_way(op, node);

	if (ret != -ESTALE)
		return ret;
	/* Another request may be moving what is on the way: the host has the new name already, the
	 * node not yet. */
	pthread_rwlock_rdlock(&op->fids->moving);
	ret = open_way(op, node);
	pthread_rwlock_unlock(&op->fids->moving);
	return ret;
}

int node_use(struct p9_op *op, struct p9_node *node)
{
	struct fid_table *t = op->fids;
	bool there;
	int ret;

	pthread_mutex_lock(&t->lock);
	there = node_use_locked(t, node);
	pthread_mutex_unlock(&t->lock);
	ret = there ? 0 : node_reopen(op, node);
	if (ret)
		node_unuse(t, node);
	return ret;
}

/* Names */

int node_place(struct p9_op *op, struct p9_node *node, struct p9_node **parent, char **name)
{
	struct fid_table *t = op->fids;
	int ret = -EBUSY;

	pthread_mutex_lock(&t->lock);
	if (node->parent) {
		*name = strdup(node->name);
		ret = *name ? 0 : -ENOMEM;
	}
	if (!ret)
		*parent = node_get_locked(node->parent);
	pthread_mutex_unlock(&t->lock);
	if (ret)
		return ret;
	ret = node_use(op, *parent);
	if (ret) {
		node_put(t, *parent);
		free(*name);
	}
	return ret;
}

/* Does the way up from @from lead to @node? */
static bool is_above(const struct p9_node *node, const struct p9_node *from)
{
	for (u32 depth = 0; from && depth < DEPTH_MAX; depth++, from = from->parent)
		if (from == node)
			return true;
	return from;
}

/* From its old place, where its name was taken out, to @name in @dir (NULL: nobody knows where). */
static void move(struct fid_table *t, struct p9_node *node, struct p9_node *dir, const char *name,
		 struct p9_node **dead)
{
	struct p9_node *old = node->parent;
	char *copy = dir && !is_above(node, dir) ? strdup(name) : NULL;

	unlist(t, node);
	free(node->name);
	node->name = NULL;
	node->parent = NULL;
	if (copy)
		put_name(t, node, node_get_locked(dir), copy);
	list_if_idle(t, node);
	drop(t, old, dead);
}

/* All that were found as @name in @dir. */
static void move_all(struct fid_table *t, const struct p9_node *dir, const char *name,
		     struct p9_node *to, const char *new_name, struct p9_node **dead)
{
	struct p9_node **p = bucket(t, dir->ino, name), *list = NULL, *node;

	while ((node = *p)) {
		if (node->parent->dev != dir->dev || node->parent->ino != dir->ino ||
		    strcmp(node->name, name)) {
			p = &node->next_name;
			continue;
		}
		*p = node->next_name;
		/* One may be the last that holds another. */
		node->next_name = list;
		list = node_get_locked(node);
	}
	while ((node = list)) {
		list = node->next_name;
		move(t, node, to, new_name, dead);
		drop(t, node, dead);
	}
}

void nodes_unlinked(struct fid_table *t, const struct p9_node *dir, const char *name)
{
	struct p9_node *dead = NULL;

	pthread_mutex_lock(&t->lock);
	move_all(t, dir, name, NULL, NULL, &dead);
	pthread_mutex_unlock(&t->lock);
	free_dead(t, dead);
}

static void nodes_renamed(struct fid_table *t, const struct p9_node *from, const char *name,
			  struct p9_node *to, const char *new_name)
{
	struct p9_node *dead = NULL;

	pthread_mutex_lock(&t->lock);
	/* What was there lost its name. To itself nothing is renamed. */
	if (from->dev != to->dev || from->ino != to->ino || strcmp(name, new_name)) {
		move_all(t, to, new_name, NULL, NULL, &dead);
		move_all(t, from, name, to, new_name, &dead);
	}
	pthread_mutex_unlock(&t->lock);
	free_dead(t, dead);
}

int node_rename(struct p9_op *op, const struct p9_node *from, const char *name, struct p9_node *to,
		const char *new_name)
{
	int ret;

	pthread_rwlock_wrlock(&op->fids->moving);
	ret = renameat(from->fd, name, to->fd, new_name) ? -errno : 0;
	if (!ret)
		nodes_renamed(op->fids, from, name, to, new_name);
	pthread_rwlock_unlock(&op->fids->moving);
	return ret;
}
