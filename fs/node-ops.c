/* SPDX-License-Identifier: MIT */
/* Requests about files by name, and about their attributes (9P2000.L). */
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "p9.h"

/* The fid whose number is next; NULL: there is none. */
static struct p9_fid *next_fid(struct p9_op *op)
{
	return fid_get(op, (u32)p9_get(&op->in, 4));
}

static int put_qid(struct p9_op *op, const struct stat *st)
{
	struct p9_qid qid;
	int ret = share_qid(op->share, st, &qid);

	if (!ret)
		p9_put_qid(&op->out, &qid);
	return ret;
}

/* Looking up */

static int lookup(struct p9_op *op, struct p9_node *dir, const char *name, struct stat *st,
		  struct p9_node **out)
{
	int fd;

	if (!fds_left(op))
		return -ENFILE;
	fd = share_lookup(op->share, dir, name);
	if (fd == -EMFILE || fd == -ENFILE)
		guest_warn("--9p %s: cannot hold another file: %s%s; the guest gets an error",
			   op->share->path, strerror(-fd), limit_hint(fd));
	if (fd < 0)
		return fd;
	/* Where ".." leads to was not found by a name. */
	return node_new(op, fd, strcmp(name, "..") ? dir : NULL, name, st, out);
}

/* From *@node, which is held and released, along the elements of @path, which is taken apart. */
static int follow(struct p9_op *op, struct p9_node **node, char *path, struct stat *st)
{
	char *save = NULL;

	for (char *name = strtok_r(path, "/", &save); name; name = strtok_r(NULL, "/", &save)) {
		struct p9_node *next = NULL;
		int ret = lookup(op, *node, name, st, &next);

		if (ret)
			return ret;
		node_release(op->fids, *node);
		*node = next;
	}
	return 0;
}

/* attach: fid afid uname aname n_uname; qid. The client may begin at a directory below. */
int op_attach(struct p9_op *op)
{
	u32 id = (u32)p9_get(&op->in, 4), auth = (u32)p9_get(&op->in, 4), uid;
	struct p9_node *node = NULL;
	struct p9_fid *fid;
	struct stat st;
	char *path;
	int ret, fd;

	p9_get_string(&op->in);
	/* It lies in our copy of the message. */
	path = (char *)p9_get_string(&op->in);
	uid = (u32)p9_get(&op->in, 4);
	if (op->in.bad || auth != P9_NO_FID)
		return -EINVAL;
	if (!fds_left(op))
		return -ENFILE;
	fd = fcntl(op->share->root, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	ret = node_new(op, fd, NULL, NULL, &st, &node);
	if (ret)
		return ret;
	ret = follow(op, &node, path, &st);
	if (!ret)
		ret = put_qid(op, &st);
	if (!ret) {
		fid = fid_new(op->fids, id, uid, node);
		ret = fid ? fid_add(op, fid) : -ENOMEM;
	}
	node_release(op->fids, node);
	return ret;
}

/* From *@node, which is held, as far as it goes: only where the first name is not found it is an
 * error. */
static int walk_names(struct p9_op *op, struct p9_node **node, const char *const *names, u32 nr,
		      u32 *done)
{
	for (*done = 0; *done < nr; ++*done) {
		struct p9_node *next = NULL;
		struct stat st;
		int ret = lookup(op, *node, names[*done], &st, &next);

		if (!ret)
			ret = put_qid(op, &st);
		if (ret) {
			node_release(op->fids, next);
			return *done ? 0 : ret;
		}
		node_release(op->fids, *node);
		*node = next;
	}
	return 0;
}

static int walk_ends(struct p9_op *op, struct p9_fid *from, u32 id, struct p9_node *node)
{
	struct p9_fid *fid = fid_new(op->fids, id, from->uid, node);

	if (!fid)
		return -ENOMEM;
	return id == from->id ? fid_replace(op, from, fid) : fid_add(op, fid);
}

/* walk: fid newfid nwname name...; nwqid qid... */
int op_walk(struct p9_op *op)
{
	struct p9_fid *from = next_fid(op);
	u32 id = (u32)p9_get(&op->in, 4), nr = (u32)p9_get(&op->in, 2);
	const char *names[P9_MAX_WALK];
	u8 *count = op->out.p;
	struct p9_node *node;
	int ret = from ? 0 : -EBADF;
	u32 done;

	if (!ret && (op->in.bad || nr > P9_MAX_WALK))
		ret = -EINVAL;
	for (u32 i = 0; i < nr && !ret; i++) {
		names[i] = p9_get_string(&op->in);
		ret = op->in.bad ? -EINVAL : 0;
	}
	if (!ret && (from->kind == FID_XATTR_READ || from->kind == FID_XATTR_WRITE ||
		     (from->kind == FID_OPEN && id == from->id)))
		ret = -EINVAL;
	if (ret)
		goto out;
	node = from->node;
	node_hold(op->fids, node);
	p9_put(&op->out, 2, 0);
	ret = walk_names(op, &node, names, nr, &done);
	put_le(count, 2, done);
	if (!ret && done == nr)
		ret = walk_ends(op, from, id, node);
	node_release(op->fids, node);
out:
	if (from)
		fid_put(op->fids, from);
	return ret;
}

/* Attributes */

#define GETATTR_BASIC 0x7ffu

static void put_time(struct p9_out *out, struct timespec t)
{
	p9_put(out, 8, (u64)t.tv_sec);
	p9_put(out, 8, (u64)t.tv_nsec);
}

/* getattr: fid request_mask; valid qid mode uid gid nlink rdev size blksize blocks, times of
 * access, change of contents, change of state and birth, gen data_version. */
int op_getattr(struct p9_op *op)
{
	struct p9_fid *fid = next_fid(op);
	struct p9_out *out = &op->out;
	struct stat st;
	int ret;

	if (!fid)
		return -EBADF;
	ret = fstat(fid_fd(fid), &st) ? -errno : 0;
	fid_put(op->fids, fid);
	if (ret)
		return ret;
	p9_put(out, 8, GETATTR_BASIC);
	ret = put_qid(op, &st);
	p9_put(out, 4, st.st_mode);
	p9_put(out, 4, st.st_uid);
	p9_put(out, 4, st.st_gid);
	p9_put(out, 8, st.st_nlink);
	p9_put(out, 8, st.st_rdev);
	p9_put(out, 8, (u64)st.st_size);
	p9_put(out, 8, (u64)st.st_blksize);
	p9_put(out, 8, (u64)st.st_blocks);
	put_time(out, st.st_atim);
	put_time(out, st.st_mtim);
	put_time(out, st.st_ctim);
	put_time(out, (struct timespec){ 0 });
	p9_put(out, 8, 0);
	p9_put(out, 8, 0);
	return ret;
}

enum {
	SET_MODE = 0x1,
	SET_UID = 0x2,
	SET_GID = 0x4,
	SET_SIZE = 0x8,
	SET_ATIME = 0x10,
	SET_MTIME = 0x20,
	SET_CTIME = 0x40,
	SET_ATIME_TO = 0x80, /* not now, but to the time that is given */
	SET_MTIME_TO = 0x100,
};

struct attributes {
	u32 valid, mode, uid, gid;
	u64 size;
	struct timespec times[2];
};

static struct timespec get_time(struct p9_in *in, bool set, bool given)
{
	struct timespec t = { .tv_sec = (time_t)p9_get(in, 8), .tv_nsec = (long)p9_get(in, 8) };

	/* What utimensat takes for orders must not come in as a time. */
	if (set && given && (t.tv_nsec < 0 || t.tv_nsec > 999999999))
		in->bad = true;
	if (!set || !given)
		t.tv_nsec = set ? UTIME_NOW : UTIME_OMIT;
	return t;
}

static int set_size(const struct p9_fid *fid, u64 size)
{
	int ret;

	if (size > INT64_MAX)
		return -EINVAL;
	/* A file that was opened for writing can be shortened whatever its mode is now. */
	if (fid->kind == FID_OPEN && fid->writable)
		ret = ftruncate(fid_fd(fid), (off_t)size);
	else if (S_ISREG(fid->node->mode))
		ret = truncate(fd_path(fid->node->fd).text, (off_t)size);
	else
		return S_ISDIR(fid->node->mode) ? -EISDIR : -EINVAL;
	return ret ? -errno : 0;
}

/* The owner first, for that takes set-user-ID bits away; times last, for all else changes them. */
static int set_attributes(const struct p9_fid *fid, const struct attributes *a)
{
	uid_t uid = a->valid & SET_UID ? a->uid : (uid_t)-1;
	gid_t gid = a->valid & SET_GID ? a->gid : (gid_t)-1;
	int fd = fid->node->fd;
	int ret = 0;

	/* Of nobody it sets nothing but the time of the change. */
	if (a->valid & (SET_UID | SET_GID) || a->valid == SET_CTIME)
		ret = fchownat(fd, "", uid, gid, AT_EMPTY_PATH);
	if (!ret && a->valid & SET_MODE)
		ret = fchmodat(AT_FDCWD, fd_path(fd).text, a->mode & 07777, 0);
	if (ret)
		return -errno;
	if (a->valid & SET_SIZE)
		ret = set_size(fid, a->size);
	if (!ret && a->valid & (SET_ATIME | SET_MTIME))
		ret = utimensat(AT_FDCWD, fd_path(fd).text, a->times, 0) ? -errno : 0;
	return ret;
}

/* setattr: fid valid mode uid gid size atime mtime */
int op_setattr(struct p9_op *op)
{
	struct p9_fid *fid = next_fid(op);
	struct attributes a;
	int ret;

	if (!fid)
		return -EBADF;
	a.valid = (u32)p9_get(&op->in, 4);
	a.mode = (u32)p9_get(&op->in, 4);
	a.uid = (u32)p9_get(&op->in, 4);
	a.gid = (u32)p9_get(&op->in, 4);
	a.size = p9_get(&op->in, 8);
	a.times[0] = get_time(&op->in, a.valid & SET_ATIME, a.valid & SET_ATIME_TO);
	a.times[1] = get_time(&op->in, a.valid & SET_MTIME, a.valid & SET_MTIME_TO);
	ret = op->in.bad ? -EINVAL : set_attributes(fid, &a);
	fid_put(op->fids, fid);
	return ret;
}

/* statfs: fid; type bsize blocks bfree bavail files ffree fsid namelen */
int op_statfs(struct p9_op *op)
{
	struct p9_fid *fid = next_fid(op);
	struct p9_out *out = &op->out;
	struct statfs s;
	int ret;

	if (!fid)
		return -EBADF;
	ret = fstatfs(fid->node->fd, &s) ? -errno : 0;
	fid_put(op->fids, fid);
	if (ret)
		return ret;
	/* Not the host's: who asks wants to know what works in the guest. */
	p9_put(out, 4, V9FS_MAGIC);
	p9_put(out, 4, (u64)s.f_bsize);
	p9_put(out, 8, s.f_blocks);
	p9_put(out, 8, s.f_bfree);
	p9_put(out, 8, s.f_bavail);
	p9_put(out, 8, s.f_files);
	p9_put(out, 8, s.f_ffree);
	p9_put(out, 8, 0);
	p9_put(out, 4, (u64)s.f_namelen);
	return 0;
}

/* readlink: fid; target */
int op_readlink(struct p9_op *op)
{
	struct p9_fid *fid = next_fid(op);
	char target[PATH_MAX];
	ssize_t n = -1;

	if (!fid)
		return -EBADF;
	errno = EINVAL;
	if (S_ISLNK(fid->node->mode))
		n = readlinkat(fid->node->fd, "", target, sizeof(target));
	fid_put(op->fids, fid);
	if (n < 0)
		return -errno;
	p9_put_string(&op->out, target, (size_t)n);
	return 0;
}

/* Making */

int p9_adopt(struct p9_op *op, int fd, u32 uid, u32 gid, mode_t mode, struct stat *st)
{
	/* Set-group-ID comes from the directory, too. */
	mode_t want = (mode & 07777) | (st->st_mode & S_ISGID);
	bool chowns = op->share->chowns && ((uid != P9_NO_FID && uid != st->st_uid) ||
					    (gid != P9_NO_FID && gid != st->st_gid));

	/* In a user namespace not every user exists. */
	if (chowns && fchownat(fd, "", uid, gid, AT_EMPTY_PATH) && errno != EINVAL &&
	    errno != EPERM)
		return -errno;
	if (chowns && fstat(fd, st))
		return -errno;
	/* The client has applied its user's umask; ours may be stricter. */
	if (S_ISLNK(st->st_mode) || (st->st_mode & 07777) == want)
		return 0;
	if (fchmodat(AT_FDCWD, fd_path(fd).text, want, 0) || fstat(fd, st))
		return -errno;
	return 0;
}

/* The answer to what was just made in the directory: its qid. */
static int made(struct p9_op *op, const struct p9_fid *dir, const char *name, mode_t mode, u32 gid)
{
	struct p9_node *node;
	struct stat st;
	int ret = lookup(op, dir->node, name, &st, &node);

	if (ret)
		return ret;
	/* Somebody on the host may have put another there: what is not ours is given to nobody.
	 * Where the file system maps owners (NFS, vfat), neither is what we made. */
	if ((st.st_mode & S_IFMT) != (mode & S_IFMT))
		ret = -ESTALE;
	else if (st.st_uid == geteuid())
		ret = p9_adopt(op, node->fd, dir->uid, gid, mode, &st);
	if (!ret)
		ret = put_qid(op, &st);
	node_release(op->fids, node);
	return ret;
}

/* symlink: fid name target gid; qid */
int op_symlink(struct p9_op *op)
{
	struct p9_fid *dir = next_fid(op);
	const char *name = p9_get_string(&op->in), *target = p9_get_string(&op->in);
	u32 gid = (u32)p9_get(&op->in, 4);
	int ret = -EINVAL;

	if (!dir)
		return -EBADF;
	if (!op->in.bad && p9_valid_name(name))
		ret = symlinkat(target, dir->node->fd, name) ? -errno : 0;
	if (!ret)
		ret = made(op, dir, name, S_IFLNK | 0777, gid);
	fid_put(op->fids, dir);
	return ret;
}

/* mknod: fid name mode major minor gid; qid */
int op_mknod(struct p9_op *op)
{
	struct p9_fid *dir = next_fid(op);
	const char *name = p9_get_string(&op->in);
	mode_t mode = (mode_t)p9_get(&op->in, 4);
	u32 major = (u32)p9_get(&op->in, 4), minor = (u32)p9_get(&op->in, 4);
	u32 gid = (u32)p9_get(&op->in, 4);
	int ret = -EINVAL;

	if (!dir)
		return -EBADF;
	/* None stands for a regular file (mknod(2)). */
	if (!(mode & S_IFMT))
		mode |= S_IFREG;
	if (!op->in.bad && p9_valid_name(name))
		ret = mknodat(dir->node->fd, name, mode, makedev(major, minor)) ? -errno : 0;
	if (!ret)
		ret = made(op, dir, name, mode, gid);
	fid_put(op->fids, dir);
	return ret;
}

/* mkdir: fid name mode gid; qid */
int op_mkdir(struct p9_op *op)
{
	struct p9_fid *dir = next_fid(op);
	const char *name = p9_get_string(&op->in);
	mode_t mode = (mode_t)p9_get(&op->in, 4);
	u32 gid = (u32)p9_get(&op->in, 4);
	int ret = -EINVAL;

	if (!dir)
		return -EBADF;
	if (!op->in.bad && p9_valid_name(name))
		ret = mkdirat(dir->node->fd, name, mode & 07777) ? -errno : 0;
	if (!ret)
		ret = made(op, dir, name, S_IFDIR | (mode & 07777), gid);
	fid_put(op->fids, dir);
	return ret;
}

/* link: dfid fid name */
int op_link(struct p9_op *op)
{
	struct p9_fid *dir = next_fid(op), *fid = next_fid(op);
	const char *name = p9_get_string(&op->in);
	int ret = -EINVAL;

	if (!dir || !fid)
		ret = -EBADF;
	else if (!op->in.bad && p9_valid_name(name))
		ret = linkat(AT_FDCWD, fd_path(fid->node->fd).text, dir->node->fd, name,
			     AT_SYMLINK_FOLLOW)
			      ? -errno
			      : 0;
	if (dir)
		fid_put(op->fids, dir);
	if (fid)
		fid_put(op->fids, fid);
	return ret;
}

/* Moving and removing */

/* The place where the file that @fid holds is still: *dir is held, *name the caller's. */
static int still_there(struct p9_op *op, const struct p9_fid *fid, struct p9_node **dir,
		       char **name)
{
	struct stat st;
	int ret = node_place(op, fid->node, dir, name);

	if (ret)
		return ret;
	if (fstatat((*dir)->fd, *name, &st, AT_SYMLINK_NOFOLLOW))
		ret = -errno;
	else if (st.st_dev != fid->node->dev || st.st_ino != fid->node->ino)
		ret = -ENOENT;
	if (!ret)
		return 0;
	node_release(op->fids, *dir);
	free(*name);
	return ret;
}

/* rename: fid dfid name. Older than renameat: the file is where its fid found it. */
int op_rename(struct p9_op *op)
{
	struct p9_fid *fid = next_fid(op), *dir = next_fid(op);
	const char *name = p9_get_string(&op->in);
	struct p9_node *from;
	int ret = -EINVAL;
	char *old_name;

	if (!dir || !fid)
		ret = -EBADF;
	else if (!op->in.bad && p9_valid_name(name))
		ret = still_there(op, fid, &from, &old_name);
	if (!ret) {
		ret = node_rename(op, from, old_name, dir->node, name);
		node_release(op->fids, from);
		free(old_name);
	}
	if (dir)
		fid_put(op->fids, dir);
	if (fid)
		fid_put(op->fids, fid);
	return ret;
}

/* renameat: olddirfid oldname newdirfid newname */
int op_renameat(struct p9_op *op)
{
	struct p9_fid *from = next_fid(op), *to;
	const char *old_name = p9_get_string(&op->in), *new_name;
	int ret = -EINVAL;

	to = next_fid(op);
	new_name = p9_get_string(&op->in);
	if (!from || !to)
		ret = -EBADF;
	else if (!op->in.bad && p9_valid_name(old_name) && p9_valid_name(new_name))
		ret = node_rename(op, from->node, old_name, to->node, new_name);
	if (from)
		fid_put(op->fids, from);
	if (to)
		fid_put(op->fids, to);
	return ret;
}

/* unlinkat: dirfd name flags, whose one is that of unlinkat(2) */
int op_unlinkat(struct p9_op *op)
{
	struct p9_fid *dir = next_fid(op);
	const char *name = p9_get_string(&op->in);
	u32 flags = (u32)p9_get(&op->in, 4);
	int ret = -EINVAL;

	if (!dir)
		return -EBADF;
	if (!op->in.bad && p9_valid_name(name) && !(flags & ~0x200u))
		ret = unlinkat(dir->node->fd, name, flags ? AT_REMOVEDIR : 0) ? -errno : 0;
	if (!ret)
		nodes_unlinked(op->fids, dir->node, name);
	fid_put(op->fids, dir);
	return ret;
}

/* remove: fid, which is clunked in any case. Older than unlinkat. */
int op_remove(struct p9_op *op)
{
	struct p9_fid *fid = fid_remove(op, (u32)p9_get(&op->in, 4));
	struct p9_node *dir;
	char *name;
	int ret;

	if (!fid)
		return -EBADF;
	ret = op->share->readonly ? -EROFS : still_there(op, fid, &dir, &name);
	if (!ret) {
		ret = unlinkat(dir->fd, name, S_ISDIR(fid->node->mode) ? AT_REMOVEDIR : 0) ? -errno
											   : 0;
		if (!ret)
			nodes_unlinked(op->fids, dir, name);
		node_release(op->fids, dir);
		free(name);
	}
	fid_drop(op->fids, fid);
	return ret;
}
