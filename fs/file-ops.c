/* SPDX-License-Identifier: MIT */
/* Requests about open files (9P2000.L). Data goes straight between the client's buffers and the
 * host. */
#include <dirent.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "lkvm/util.h"
#include "p9.h"

#ifndef RWF_APPEND
#define RWF_APPEND 0x10
#endif

/* Flags of open in 9P2000.L, on every architecture (Linux's P9_DOTL_*). */
enum {
	OPEN_ACCESS = 0x3,
	OPEN_CREATE = 0x40,
	OPEN_EXCL = 0x80,
	OPEN_TRUNC = 0x200,
	OPEN_APPEND = 0x400,
	OPEN_DSYNC = 0x1000,
	OPEN_DIRECTORY = 0x10000,
	OPEN_NOFOLLOW = 0x20000,
	OPEN_SYNC = 0x100000,
};

/* At the end of the file, wherever that is by now. */
static ssize_t append(int fd, const struct iovec *iov, int count)
{
	/* Position and length are the kernel's own words, which not every C library has. */
	ssize_t n = syscall(SYS_pwritev2, fd, iov, count, 0L, 0L, RWF_APPEND);
	struct stat st;

	/* Before Linux 4.16: where it was a moment ago. */
	if (n < 0 && (errno == EOPNOTSUPP || errno == ENOSYS) && !fstat(fd, &st))
		n = pwritev(fd, iov, count, st.st_size);
	return n;
}

/* What the host makes of them. O_DIRECT is left out, for buffers of guests are not aligned, and
 * O_APPEND: see op_write. */
static int host_flags(u32 flags)
{
	int out = (int)(flags & OPEN_ACCESS);

	if (flags & OPEN_TRUNC)
		out |= O_TRUNC;
	if (flags & OPEN_DSYNC)
		out |= O_DSYNC;
	if ((flags & OPEN_SYNC) == OPEN_SYNC)
		out |= O_SYNC;
	if (flags & OPEN_DIRECTORY)
		out |= O_DIRECTORY;
	return out;
}

/* Was the call interrupted by a signal that does not mean this request? */
static bool again(const struct p9_op *op, ssize_t n)
{
	return n < 0 && errno == EINTR && !atomic_load(&op->req->canceled);
}

/* @fid, open as @fd (-1: its node's), takes the place of @old. */
static int opened(struct p9_op *op, struct p9_fid *old, struct p9_node *node, int fd, u32 flags,
		  const struct p9_qid *qid)
{
	struct p9_fid *fid = fid_new(op->fids, old->id, old->uid, node);
	int ret;

	if (!fid) {
		if (fd >= 0)
			close(fd);
		return -ENOMEM;
	}
	fid->kind = FID_OPEN;
	fid->fd = fd;
	/* It is the way to the file whatever becomes of its name. */
	pthread_mutex_lock(&op->fids->lock);
	node_use_locked(op->fids, node);
	pthread_mutex_unlock(&op->fids->lock);
	if (fd >= 0)
		atomic_fetch_add(&op->fids->nr_fds, 1);
	fid->writable = (flags & OPEN_ACCESS) != O_RDONLY;
	fid->append = flags & OPEN_APPEND;
	ret = fid_replace(op, old, fid);
	if (ret)
		return ret;
	p9_put_qid(&op->out, qid);
	/* As much at a time as a message holds. */
	p9_put(&op->out, 4, 0);
	return 0;
}

/* lopen: fid flags; qid iounit */
int op_lopen(struct p9_op *op)
{
	struct p9_fid *fid = fid_get(op, (u32)p9_get(&op->in, 4));
	u32 flags = (u32)p9_get(&op->in, 4);
	struct p9_qid qid;
	struct stat st;
	int ret = 0, fd;

	if (!fid)
		return -EBADF;
	if (op->in.bad || fid->kind != FID_PATH || (flags & OPEN_ACCESS) == OPEN_ACCESS)
		ret = -EINVAL;
	else if (op->share->readonly && flags & (OPEN_ACCESS | OPEN_TRUNC))
		ret = -EROFS;
	else if (!fds_left(op))
		ret = -ENFILE;
	if (ret)
		goto out;
	fd = share_reopen(fid->node, host_flags(flags));
	ret = fd < 0 ? fd : fstat(fd, &st) ? -errno : share_qid(op->share, &st, &qid);
	if (!ret)
		ret = opened(op, fid, fid->node, fd, flags, &qid);
	else if (fd >= 0)
		close(fd);
out:
	fid_put(op->fids, fid);
	return ret;
}

/* A file that is there already, of which anything may be known: as lopen does. */
static int open_existing(struct p9_op *op, const struct p9_fid *dir, const char *name, u32 flags,
			 struct stat *st, struct p9_node **node)
{
	int fd = share_lookup(op->share, dir->node, name), ret, open_fd;

	if (fd < 0)
		return fd;
	ret = node_new(op, fd, dir->node, name, st, node);
	if (ret)
		return ret;
	open_fd = share_reopen(*node, host_flags(flags));
	if (open_fd < 0 || fstat(open_fd, st)) {
		ret = open_fd < 0 ? open_fd : -errno;
		if (open_fd >= 0)
			close(open_fd);
		node_release(op->fids, *node);
		return ret;
	}
	return open_fd;
}

/* A new file: its node is the open descriptor. 0 or -errno. */
static int create_new(struct p9_op *op, const struct p9_fid *dir, const char *name, u32 flags,
		      u32 mode, u32 gid, struct stat *st, struct p9_node **node)
{
	int how = (host_flags(flags) & ~O_DIRECTORY) | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC |
		  O_NONBLOCK | O_NOCTTY;
	int fd = openat(dir->node->fd, name, how, mode & 07777), ret;

	if (fd < 0)
		return -errno;
	ret = node_new(op, fd, dir->node, name, st, node);
	if (ret)
		return ret;
	ret = p9_adopt(op, fd, dir->uid, gid, (mode_t)mode, st);
	if (ret)
		node_release(op->fids, *node);
	return ret;
}

/* lcreate: fid name flags mode gid; qid iounit. The fid of the directory becomes the file's. */
int op_lcreate(struct p9_op *op)
{
	struct p9_fid *dir = fid_get(op, (u32)p9_get(&op->in, 4));
	const char *name = p9_get_string(&op->in);
	u32 flags = (u32)p9_get(&op->in, 4), mode = (u32)p9_get(&op->in, 4);
	u32 gid = (u32)p9_get(&op->in, 4);
	struct p9_node *node = NULL;
	struct p9_qid qid;
	struct stat st;
	int ret, fd = -1;

	if (!dir)
		return -EBADF;
	if (op->in.bad || !p9_valid_name(name) || dir->kind != FID_PATH ||
	    (flags & OPEN_ACCESS) == OPEN_ACCESS)
		ret = -EINVAL;
	else if (!fds_left(op))
		ret = -ENFILE;
	else
		ret = create_new(op, dir, name, flags, mode, gid, &st, &node);
	if (ret == -EEXIST && !(flags & OPEN_EXCL)) {
		fd = open_existing(op, dir, name, flags, &st, &node);
		ret = fd < 0 ? fd : 0;
	}
	if (!ret) {
		ret = share_qid(op->share, &st, &qid);
		if (!ret)
			ret = opened(op, dir, node, fd, flags, &qid);
		else if (fd >= 0)
			close(fd);
		node_release(op->fids, node);
	}
	fid_put(op->fids, dir);
	return ret;
}

/* Data */

/* How many bytes of data may follow in the answer. */
static u32 room_for_data(const struct p9_op *op, u32 count)
{
	size_t room = MIN(op->req->in_len, (size_t)atomic_load(op->msize));

	return room < P9_READ_HEADER ? 0 : (u32)MIN((size_t)count, room - P9_READ_HEADER);
}

static int read_xattr(struct p9_op *op, const struct p9_fid *fid, u64 offset, u32 count)
{
	const struct p9_xattr *x = fid->xattr;

	if (offset > x->size)
		offset = x->size;
	count = (u32)MIN((u64)count, x->size - offset);
	iov_from_buf(op->req->in, op->req->nr_in, P9_READ_HEADER, x->value + offset, count);
	return (int)count;
}

/* read: fid offset count; count data */
int op_read(struct p9_op *op)
{
	struct p9_fid *fid = fid_get(op, (u32)p9_get(&op->in, 4));
	u64 offset = p9_get(&op->in, 8);
	u32 count = room_for_data(op, (u32)p9_get(&op->in, 4));
	ssize_t n = -1;
	int nr;

	if (!fid)
		return -EBADF;
	errno = fid->kind == FID_PATH ? EBADF : EINVAL;
	if (!op->in.bad && fid->kind == FID_XATTR_READ) {
		n = read_xattr(op, fid, offset, count);
	} else if (!op->in.bad && fid->kind == FID_OPEN && offset <= INT64_MAX) {
		nr = iov_slice(op->req->in, op->req->nr_in, P9_READ_HEADER, count, op->iov,
			       P9_MAX_SEGS);
		do
			n = preadv(fid_fd(fid), op->iov, nr, (off_t)offset);
		while (again(op, n));
	}
	fid_put(op->fids, fid);
	if (n < 0)
		return -errno;
	p9_put(&op->out, 4, (u64)n);
	op->data_len = (u32)n;
	return 0;
}

static ssize_t write_xattr(struct p9_op *op, struct p9_fid *fid, u64 offset, u32 count)
{
	struct p9_xattr *x = fid->xattr;
	ssize_t n = -1;

	errno = ENOSPC;
	pthread_mutex_lock(&fid->lock);
	/* In order: what is not written is not sent either. */
	if (offset == x->done && count <= x->size - x->done) {
		iov_to_buf(op->req->out, op->req->nr_out, 23, x->value + offset, count);
		x->done += count;
		n = count;
	}
	pthread_mutex_unlock(&fid->lock);
	return n;
}

/*
 * A client that caches writes its pages where they belong, also of a file that was opened to
 * append: with O_APPEND the host would put them at the end. What begins at the end or beyond is
 * appended, wherever the end is by then.
 */
static bool appends(const struct p9_fid *fid, u64 offset)
{
	struct stat st;

	return fid->append && !fstat(fid_fd(fid), &st) && offset >= (u64)st.st_size;
}

/* write: fid offset count data; count */
int op_write(struct p9_op *op)
{
	struct p9_fid *fid = fid_get(op, (u32)p9_get(&op->in, 4));
	u64 offset = p9_get(&op->in, 8);
	u32 count = (u32)p9_get(&op->in, 4);
	ssize_t n = -1;
	int nr;

	if (!fid)
		return -EBADF;
	nr = iov_slice(op->req->out, op->req->nr_out, 23, count, op->iov, P9_MAX_SEGS);
	errno = fid->kind == FID_PATH ? EBADF : EINVAL;
	if (!op->in.bad && nr >= 0 && fid->kind == FID_XATTR_WRITE) {
		n = write_xattr(op, fid, offset, count);
	} else if (!op->in.bad && nr >= 0 && fid->kind == FID_OPEN && offset <= INT64_MAX) {
		bool at_end = appends(fid, offset);
		int fd = fid_fd(fid);

		do
			n = at_end ? append(fd, op->iov, nr)
				   : pwritev(fd, op->iov, nr, (off_t)offset);
		while (again(op, n));
	}
	fid_put(op->fids, fid);
	if (n < 0)
		return -errno;
	p9_put(&op->out, 4, (u64)n);
	return 0;
}

/* fsync: fid datasync */
int op_fsync(struct p9_op *op)
{
	struct p9_fid *fid = fid_get(op, (u32)p9_get(&op->in, 4));
	/* Older clients do not say it. */
	bool data = op->in.p < op->in.end && p9_get(&op->in, 4);
	int ret = -EBADF;

	if (!fid)
		return ret;
	if (fid->kind == FID_OPEN) {
		do
			ret = data ? fdatasync(fid_fd(fid)) : fsync(fid_fd(fid));
		while (again(op, ret));
		ret = ret ? -errno : 0;
	}
	fid_put(op->fids, fid);
	return ret;
}

/* Directories */

/* As the kernel writes it: getdents64(2). */
struct entry {
	u64 ino;
	u64 next; /* the position after it */
	u16 len;
	u8 type;
	char name[];
};

/* False: there is no room for it. */
static bool put_entry(struct p9_op *op, const struct entry *e, const struct stat *dir, u32 count)
{
	bool up = !strcmp(e->name, "..");
	struct p9_qid qid = { .version = 1 };
	size_t len = strlen(e->name);

	if (op->data_len + 24 + len > count)
		return false;
	if (e->type == DT_DIR)
		qid.type = P9_QT_DIR;
	else if (e->type == DT_LNK)
		qid.type = P9_QT_SYMLINK;
	/* What is above the root is nothing of the client's. */
	if (up && dir->st_dev == op->share->root_dev && dir->st_ino == op->share->root_ino)
		qid.path = share_inode(op->share, dir->st_dev, dir->st_ino);
	else
		qid.path = share_inode(op->share, dir->st_dev, e->ino);
	p9_put_qid(&op->out, &qid);
	p9_put(&op->out, 8, e->next);
	p9_put(&op->out, 1, e->type);
	p9_put_string(&op->out, e->name, len);
	op->data_len += 24 + (u32)len;
	return true;
}

/* Under the fid's lock: the entries after @offset, as many as there is room for. */
static int read_entries(struct p9_op *op, struct p9_fid *fid, u64 offset, u32 count)
{
	int fd = fid_fd(fid);
	struct stat st;
	long n;

	if (fstat(fd, &st))
		return -errno;
	if (offset != fid->position && lseek(fd, (off_t)offset, SEEK_SET) < 0)
		return -errno;
	fid->position = UINT64_MAX;
	n = syscall(SYS_getdents64, fd, op->dents, sizeof(op->dents));
	if (n < 0)
		return -errno;
	for (long at = 0; at < n;) {
		const struct entry *e = (const struct entry *)(op->dents + at);

		if (!put_entry(op, e, &st, count))
			return op->data_len ? 0 : -EINVAL;
		offset = e->next;
		at += e->len;
	}
	/* The host stands there. */
	fid->position = offset;
	return 0;
}

/* readdir: fid offset count; count data, whose entries are: qid offset type name */
int op_readdir(struct p9_op *op)
{
	struct p9_fid *fid = fid_get(op, (u32)p9_get(&op->in, 4));
	u64 offset = p9_get(&op->in, 8);
	u32 count = room_for_data(op, (u32)p9_get(&op->in, 4));
	u8 *length = op->out.p;
	int ret = -EBADF;

	if (!fid)
		return ret;
	p9_put(&op->out, 4, 0);
	count = (u32)MIN((size_t)count, (size_t)(op->out.end - op->out.p));
	if (op->in.bad) {
		ret = -EINVAL;
	} else if (fid->kind == FID_OPEN) {
		pthread_mutex_lock(&fid->lock);
		ret = S_ISDIR(fid->node->mode) ? read_entries(op, fid, offset, count) : -ENOTDIR;
		pthread_mutex_unlock(&fid->lock);
	}
	put_le(length, 4, op->data_len);
	/* It is in the answer. */
	op->data_len = 0;
	fid_put(op->fids, fid);
	return ret;
}
