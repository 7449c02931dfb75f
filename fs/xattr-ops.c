/* SPDX-License-Identifier: MIT */
/*
 * Extended attributes (9P2000.L): a fid stands for the bytes of one, or for the list of all. What
 * is written becomes the file's when the fid is clunked.
 */
#include <linux/limits.h>
#include <stdlib.h>
#include <sys/xattr.h>

#include "lkvm/util.h"
#include "p9.h"

/* All values that a client holds at once; one has up to 64 KiB. */
#define VALUES_MAX (16U * MiB)

static struct p9_xattr *new_value(struct fid_table *t, size_t size)
{
	struct p9_xattr *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->size = x->room = (u32)size;
	if (atomic_fetch_add(&t->value_bytes, x->room) <= VALUES_MAX - x->room)
		x->value = malloc(size ? size : 1);
	if (x->value)
		return x;
	xattr_free(t, x);
	return NULL;
}

/* Of the file itself, through its descriptor; @size 0 asks for the length. */
static ssize_t read_value(const struct p9_fid *fid, const char *name, void *to, size_t size)
{
	struct fd_path path = fd_path(fid->node->fd);

	return *name ? getxattr(path.text, name, to, size) : listxattr(path.text, to, size);
}

/* It may grow while we ask. */
static int load_value(struct fid_table *t, const struct p9_fid *fid, const char *name,
		      struct p9_xattr **out)
{
	for (;;) {
		ssize_t n = read_value(fid, name, NULL, 0);
		struct p9_xattr *x;
		int error;

		if (n < 0)
			return -errno;
		x = new_value(t, (size_t)n);
		if (!x)
			return -ENOMEM;
		n = n ? read_value(fid, name, x->value, (size_t)n) : 0;
		if (n >= 0) {
			x->size = (u32)n;
			*out = x;
			return 0;
		}
		error = errno;
		xattr_free(t, x);
		if (error != ERANGE)
			return -error;
	}
}

/* xattrwalk: fid newfid name; size */
int op_xattrwalk(struct p9_op *op)
{
	struct p9_fid *from = fid_get(op, (u32)p9_get(&op->in, 4)), *fid;
	u32 id = (u32)p9_get(&op->in, 4), size;
	const char *name = p9_get_string(&op->in);
	struct p9_xattr *x = NULL;
	int ret;

	if (!from)
		return -EBADF;
	ret = op->in.bad ? -EINVAL : load_value(op->fids, from, name, &x);
	if (ret)
		goto out;
	size = x->size;
	fid = fid_new(op->fids, id, from->uid, from->node);
	if (!fid) {
		xattr_free(op->fids, x);
		ret = -ENOMEM;
		goto out;
	}
	fid->kind = FID_XATTR_READ;
	fid->xattr = x;
	ret = id == from->id ? fid_replace(op, from, fid) : fid_add(op, fid);
	if (!ret)
		p9_put(&op->out, 8, size);
out:
	fid_put(op->fids, from);
	return ret;
}

/* xattrcreate: fid name attr_size flags */
int op_xattrcreate(struct p9_op *op)
{
	struct p9_fid *from = fid_get(op, (u32)p9_get(&op->in, 4)), *fid;
	const char *name = p9_get_string(&op->in);
	u64 size = p9_get(&op->in, 8);
	u32 flags = (u32)p9_get(&op->in, 4);
	int ret = -EINVAL;

	if (!from)
		return -EBADF;
	if (op->in.bad || !*name || flags & ~(u32)(XATTR_CREATE | XATTR_REPLACE) ||
	    from->kind != FID_PATH)
		goto out;
	ret = size > XATTR_SIZE_MAX ? -E2BIG : strlen(name) > XATTR_NAME_MAX ? -ERANGE : 0;
	if (ret)
		goto out;
	ret = -ENOMEM;
	fid = fid_new(op->fids, from->id, from->uid, from->node);
	if (!fid)
		goto out;
	fid->xattr = new_value(op->fids, size);
	if (!fid->xattr) {
		fid_drop(op->fids, fid);
		goto out;
	}
	fid->kind = FID_XATTR_WRITE;
	fid->xattr->flags = flags;
	memcpy(fid->xattr->name, name, strlen(name) + 1);
	ret = fid_replace(op, from, fid);
out:
	fid_put(op->fids, from);
	return ret;
}

static int store(const struct p9_fid *fid)
{
	struct fd_path path = fd_path(fid->node->fd);
	const struct p9_xattr *x = fid->xattr;

	/* Linux removes one by replacing it with nothing. */
	if (!x->size && x->flags == XATTR_REPLACE)
		return removexattr(path.text, x->name) ? -errno : 0;
	if (x->done != x->size)
		return -EINVAL;
	return setxattr(path.text, x->name, x->value, x->size, (int)x->flags) ? -errno : 0;
}

int xattr_store(struct p9_op *op, struct p9_fid *fid)
{
	int ret = fid_use(op, fid);

	if (ret)
		return ret;
	ret = store(fid);
	node_unuse(op->fids, fid->node);
	return ret;
}
