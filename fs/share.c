/* SPDX-License-Identifier: MIT */
/*
 * A directory of the host and how anything below it is reached: one name at a time from a directory
 * that is held by a descriptor, never followed, so no link and no rename leads outside. Descriptors
 * are O_PATH: looking a file up opens nothing. What is opened for use is opened through the
 * descriptor, when it is known to be a regular file or a directory: no device, no pipe.
 */
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "p9.h"

#define LOOKUP_FLAGS (O_PATH | O_NOFOLLOW | O_CLOEXEC)
/* Of what the process may have: the rest is for the other devices. */
#define FDS_FOR_SHARES(limit) ((limit) / 4 * 3)
/* Each costs kernel memory that no limit counts but this one; and fids, some hundred bytes of ours.
 */
#define FDS_MAX	 262144u
#define FIDS_MAX 524288u
/* Nobody has a deeper one; it ends what goes round. */
#define DEPTH_MAX 4096

bool p9_valid_name(const char *name)
{
	return *name && strcmp(name, ".") && strcmp(name, "..") && !strchr(name, '/');
}

struct fd_path fd_path(int fd)
{
	struct fd_path path;

	snprintf(path.text, sizeof(path.text), "/proc/self/fd/%d", fd);
	return path;
}

static int open_beneath(const struct share *share, int dir, const char *name)
{
	struct open_how how = {
		.flags = LOOKUP_FLAGS,
		.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
	};
	int fd;

	do {
		/* Without openat2 (5.6) the same holds of one name that is neither ".." nor has a
		 * slash in it. */
		if (share->no_openat2)
			fd = openat(dir, name, LOOKUP_FLAGS);
		else
			fd = (int)syscall(SYS_openat2, dir, name, &how, sizeof(how));
		/* -EAGAIN: something was renamed meanwhile (openat2(2)). */
	} while (fd < 0 && errno == EAGAIN);
	return fd < 0 ? -errno : fd;
}

static bool is_root(const struct share *share, u64 dev, u64 ino)
{
	return dev == share->root_dev && ino == share->root_ino;
}

/* Does the way up from @fd, which is closed, lead to the root? Somebody on the host may have moved
 * it elsewhere. */
static bool is_beneath(const struct share *share, int fd)
{
	u64 dev = 0, ino = 0;

	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		struct stat st;
		int up;

		/* What is its own parent is the host's root. */
		if (fstat(fd, &st) || (st.st_dev == dev && st.st_ino == ino))
			break;
		if (is_root(share, st.st_dev, st.st_ino)) {
			close(fd);
			return true;
		}
		dev = st.st_dev;
		ino = st.st_ino;
		up = openat(fd, "..", LOOKUP_FLAGS);
		close(fd);
		fd = up;
		if (fd < 0)
			return false;
	}
	close(fd);
	return false;
}

static int lookup_parent(const struct share *share, const struct p9_node *dir)
{
	int fd, copy;

	if (is_root(share, dir->dev, dir->ino)) {
		fd = fcntl(share->root, F_DUPFD_CLOEXEC, 0);
		return fd < 0 ? -errno : fd;
	}
	fd = openat(dir->fd, "..", LOOKUP_FLAGS);
	if (fd < 0)
		return -errno;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy >= 0 && is_beneath(share, copy))
		return fd;
	close(fd);
	return -ENOENT;
}

int share_lookup(const struct share *share, const struct p9_node *dir, const char *name)
{
	if (!strcmp(name, ".."))
		return S_ISDIR(dir->mode) ? lookup_parent(share, dir) : -ENOTDIR;
	if (!p9_valid_name(name))
		return -ENOENT;
	return open_beneath(share, dir->fd, name);
}

int share_reopen(const struct p9_node *node, int flags)
{
	int fd;

	if (S_ISLNK(node->mode))
		return -ELOOP;
	if (!S_ISREG(node->mode) && !S_ISDIR(node->mode))
		return -ENXIO;
	fd = open(fd_path(node->fd).text, flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/*
 * Inode numbers are unique in one file system, and several may be mounted below the root. The upper
 * 16 bits of the client's number say which: one value for each pair of device and upper bits that
 * was met, 0 for the root's, so that most numbers are the host's.
 */
u64 share_inode(struct share *share, u64 dev, u64 ino)
{
	u64 high = ino >> 48, hash = (dev * 0x9e3779b97f4a7c15ULL + high) >> 20;
	u64 path = 0;

	if (dev == share->root_dev && !high)
		return ino ? ino : 1;
	pthread_mutex_lock(&share->lock);
	for (u32 i = 0; i < SHARE_PREFIXES; i++) {
		u32 at = (u32)(hash + i) % SHARE_PREFIXES;
		struct device_prefix *p = &share->prefixes[at];

		if (!p->used && share->nr_prefixes == SHARE_PREFIXES / 4 * 3)
			break;
		if (!p->used) {
			*p = (struct device_prefix){ .dev = dev, .high = high, .used = true };
			share->numbers[at] = (u16)++share->nr_prefixes;
		}
		if (p->dev != dev || p->high != high)
			continue;
		path = (u64)share->numbers[at] << 48 | (ino & ((1ULL << 48) - 1));
		break;
	}
	pthread_mutex_unlock(&share->lock);
	if (!path)
		guest_warn("--9p %s: more than %u file systems are mounted below it; the guest "
			   "does not see the others",
			   share->path, SHARE_PREFIXES / 4 * 3);
	return path;
}

int share_qid(struct share *share, const struct stat *st, struct p9_qid *qid)
{
	u32 version = (u32)st->st_mtim.tv_sec << 8 ^ (u32)st->st_mtim.tv_nsec;

	qid->type = S_ISDIR(st->st_mode) ? P9_QT_DIR : S_ISLNK(st->st_mode) ? P9_QT_SYMLINK : 0;
	/* Linux does not cache a file of version 0. */
	qid->version = version ? version : 1;
	qid->path = share_inode(share, st->st_dev, st->st_ino);
	return qid->path ? 0 : -ENFILE;
}

const char *share_path(const struct share *share)
{
	return share->path;
}

const char *share_tag(const struct share *share)
{
	return share->tag;
}

static int check_root(struct share *share)
{
	struct fd_path proc = fd_path(share->root);
	struct rlimit limit;
	struct stat st;
	int fd;

	if (fstat(share->root, &st))
		return -errno;
	share->root_dev = st.st_dev;
	share->root_ino = st.st_ino;
	fd = open(proc.text, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && errno == ENOENT) {
		err("--9p %s: cannot be shared without /proc; mount it", share->path);
		return -ENOENT;
	}
	if (fd < 0)
		return -errno;
	close(fd);
	fd = open_beneath(share, share->root, ".");
	share->no_openat2 = fd == -ENOSYS || fd == -EPERM;
	if (fd >= 0)
		close(fd);
	if (getrlimit(RLIMIT_NOFILE, &limit))
		return -errno;
	share->max_fids = FIDS_MAX;
	share->max_fds = (u32)MIN(FDS_FOR_SHARES((u64)limit.rlim_cur), (u64)FDS_MAX);
	return 0;
}

struct share *share_stub(const struct share_config *cfg)
{
	struct share *share = xcalloc(1, sizeof(*share));

	share->path = xstrdup(cfg->path);
	share->tag = xstrdup(cfg->tag);
	share->readonly = cfg->readonly;
	share->root = -1;
	pthread_mutex_init(&share->lock, NULL);
	return share;
}

int share_open(const struct share_config *cfg, u32 nr_shares, struct share **out)
{
	struct share *share = share_stub(cfg);
	int ret;

	share->chowns = geteuid() == 0;
	share->root = open(cfg->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (share->root < 0 && errno == ENOTDIR) {
		err("--9p %s: is not a directory; a file is given to a guest as a --disk",
		    cfg->path);
		ret = -ENOTDIR;
		goto fail;
	}
	ret = share->root < 0 ? -errno : check_root(share);
	if (ret) {
		if (ret != -ENOENT || share->root < 0)
			err("--9p %s: cannot open: %s%s", cfg->path, strerror(-ret),
			    limit_hint(ret));
		goto fail;
	}
	share->max_fds /= nr_shares ? nr_shares : 1;
	*out = share;
	return 0;
fail:
	share_close(share);
	return ret;
}

void share_close(struct share *share)
{
	if (share->root >= 0)
		close(share->root);
	pthread_mutex_destroy(&share->lock);
	free(share->path);
	free(share->tag);
	free(share);
}
