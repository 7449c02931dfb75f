/* SPDX-License-Identifier: MIT */
/*
 * Opens what a disk option names, or an image as its backing file, and locks it as QEMU does, so
 * that two programs do not write one image: see disk_file_lock. Locks are of the open file
 * description (fcntl(2), F_OFD_SETLK): they end with the last copy of the descriptor, however the
 * process dies.
 */
#include "file.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "lkvm/access.h"
#include "lkvm/log.h"
#include "lkvm/scan.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

static const char *option(const struct disk_file *f)
{
	return f->option ? f->option : "--disk";
}

/* Does process @pid have the file of @st open? */
static bool process_has_open(const char *pid, const struct stat *st)
{
	char dir_path[64], link[512];
	struct dirent *de;
	bool found = false;
	DIR *dir;

	snprintf(dir_path, sizeof(dir_path), "/proc/%.20s/fd", pid);
	dir = opendir(dir_path);
	if (!dir)
		return false;
	while (!found && (de = readdir(dir))) {
		struct stat other;

		snprintf(link, sizeof(link), "%s/%.300s", dir_path, de->d_name);
		found = !stat(link, &other) && other.st_dev == st->st_dev &&
			other.st_ino == st->st_ino;
	}
	closedir(dir);
	return found;
}

static void process_name(const char *pid, char *buf, size_t len)
{
	char path[64];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	f = fopen(path, "re");
	if (!f || !fgets(buf, (int)len, f))
		snprintf(buf, len, "?");
	buf[strcspn(buf, "\n")] = '\0';
	if (f)
		fclose(f);
}

/* An OFD lock does not say whose it is, so look for another process that has the file open. */
static void say_locked(const struct disk_file *f)
{
	DIR *proc = opendir("/proc");
	struct dirent *de;
	char name[32];

	while (proc && (de = readdir(proc))) {
		if (de->d_name[0] < '1' || de->d_name[0] > '9' ||
		    strtol(de->d_name, NULL, 10) == getpid() ||
		    !process_has_open(de->d_name, &f->st))
			continue;
		process_name(de->d_name, name, sizeof(name));
		err("%s %s: locked by process %s (%s); stop it, or give both 'ro'", option(f),
		    f->shown, de->d_name, name);
		closedir(proc);
		return;
	}
	if (proc)
		closedir(proc);
	err("%s %s: locked; is it named twice, or in use by a VM of another user?", option(f),
	    f->shown);
}

/*
 * QEMU's bytes (its block/file-posix.c): byte 100+N is locked, shared, by who needs permission N,
 * byte 200+N by who does not want others to have it. Who took his looks whether the opposite bytes
 * are taken. All read consistent data and let nobody else write or resize; who writes does both.
 * Byte 0 is libvirt's, and is in the whole that other VMMs lock, exclusively to write: so is it
 * here, and of two that start at once the first one wins.
 */
enum { PERM_READ, PERM_WRITE, PERM_RESIZE = 3 };
#define LOCK_PERM(n)	(100 + (n))
#define LOCK_UNSHARE(n) (200 + (n))

static int take_bytes(int fd, const u8 *bytes, size_t nr)
{
	int ret = 0;

	for (size_t i = 0; !ret && i < nr; i++)
		ret = lock_byte(fd, bytes[i], false);
	return ret;
}

static bool any_taken(int fd, const u8 *bytes, size_t nr)
{
	for (size_t i = 0; i < nr; i++)
		if (lock_is_taken(fd, bytes[i]))
			return true;
	return false;
}

int disk_file_lock(int fd, bool write)
{
	static const u8 unshared[] = { LOCK_UNSHARE(PERM_WRITE), LOCK_UNSHARE(PERM_RESIZE) };
	static const u8 wanted[] = { LOCK_PERM(PERM_READ), LOCK_PERM(PERM_WRITE),
				     LOCK_PERM(PERM_RESIZE) };
	static const u8 opposed[] = { LOCK_PERM(PERM_WRITE), LOCK_PERM(PERM_RESIZE),
				      LOCK_UNSHARE(PERM_READ), LOCK_UNSHARE(PERM_WRITE),
				      LOCK_UNSHARE(PERM_RESIZE) };
	int ret = lock_byte(fd, 0, write);

	if (!ret)
		ret = take_bytes(fd, unshared, ARRAY_SIZE(unshared));
	if (!ret)
		ret = take_bytes(fd, wanted, write ? 3 : 1);
	if (!ret && any_taken(fd, opposed, write ? 5 : 3))
		ret = -EBUSY;
	return ret;
}

static int lock_disk(const struct disk_file *f)
{
	int ret = disk_file_lock(f->fd, !f->readonly);

	if (ret == -EBUSY) {
		say_locked(f);
		return ret;
	}
	/* Small kernels and some network file systems have none. */
	if (ret)
		debug("%s %s: there are no file locks (%s); another VM could use it too", option(f),
		      f->shown, strerror(-ret));
	return 0;
}

#define MAY_READ "; add ',ro' if reading it is enough"

/* No permission: say what stands in the way, and whether reading would be permitted. */
static const char *permission_hint(const struct disk_file *f, int error, char *buf, size_t len)
{
	int want = f->readonly ? R_OK : R_OK | W_OK;
	char why[ACCESS_WHY_LEN];

	snprintf(buf, len, "; %s%s", access_why("", NULL, f->path, want, error, why, sizeof(why)),
		 !f->readonly && !access(f->path, R_OK) ? MAY_READ : "");
	return buf;
}

static const char *missing_hint(const char *path)
{
	struct stat st;

	if (!lstat(path, &st))
		return "; it is a symbolic link to a file that is not there";
	if (!strncmp(path, "/dev/", 5))
		return "; is its driver loaded? In a container, pass it in: --device";
	return "; make one with: truncate -s 1G FILE";
}

static const char *open_hint(const struct disk_file *f, int error, char *buf, size_t len)
{
	switch (error) {
	case ENOENT:
		return missing_hint(f->path);
	case EACCES:
	case EPERM:
		return permission_hint(f, error, buf, len);
	case EROFS:
		return f->readonly ? "" : MAY_READ;
	case ENXIO:
	case ENODEV:
		return "; no device is behind this node: is it plugged in, and its driver loaded?";
	case EBUSY:
		return "; the host has it mounted or uses it otherwise; add ',ro' to only read it";
	case EINVAL:
		return f->direct ? "; does its file system know O_DIRECT? omit 'direct'" : "";
	default:
		return limit_hint(error);
	}
}

/*
 * A write-protected block device opens for writing all the same, and then refuses every write. Of a
 * partition, old kernels know its own switch but not its disk's.
 */
static bool is_write_protected(int fd, dev_t dev)
{
	char path[64];
	int ro = 0;
	s64 number;

	if (!ioctl(fd, BLKROGET, &ro) && ro)
		return true;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/partition", major(dev), minor(dev));
	if (access(path, F_OK))
		return false;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/../ro", major(dev), minor(dev));
	return !read_number(path, &number) && number;
}

static int open_fd(struct disk_file *f)
{
	int flags = O_CLOEXEC | (f->readonly ? O_RDONLY : O_RDWR) | (f->direct ? O_DIRECT : 0);

	/* A block device that the host has mounted must not be written behind its back: O_EXCL
	 * without O_CREAT (open(2)). */
	if (S_ISBLK(f->st.st_mode) && !f->readonly)
		flags |= O_EXCL;
	f->fd = open(f->path, flags | O_NONBLOCK);
	if (f->fd < 0)
		return -errno;
	if (fstat(f->fd, &f->st) < 0)
		return -errno;
	if (!f->readonly && S_ISBLK(f->st.st_mode) && is_write_protected(f->fd, f->st.st_rdev))
		return -EROFS;
	return 0;
}

/* Look before opening: opening a FIFO or a tape has effects of its own. */
static int check_kind(const struct disk_file *f, const char *otherwise)
{
	if (S_ISREG(f->st.st_mode) || S_ISBLK(f->st.st_mode))
		return 0;
	if (S_ISDIR(f->st.st_mode)) {
		err("%s %s: is a directory; it must be a file or a block device", option(f),
		    f->shown);
		return -EISDIR;
	}
	err("%s %s: %s", option(f), f->shown, otherwise);
	return -EINVAL;
}

/* Of a block device, too. Where it cannot be had, only what is at the beginning is found. */
static u64 file_size(const struct disk_file *f)
{
	off_t end = S_ISREG(f->st.st_mode) ? f->st.st_size : lseek(f->fd, 0, SEEK_END);

	return end < 0 ? 4096 : (u64)end;
}

int disk_file_open(struct disk_file *f)
{
	char hint[ACCESS_WHY_LEN + 64];
	int ret;

	f->fd = -1;
	ret = stat(f->path, &f->st) < 0 ? -errno : 0;
	if (!ret) {
		ret = check_kind(f, "is neither a regular file nor a block device");
		if (ret)
			return ret;
		ret = open_fd(f);
	}
	if (ret) {
		err("%s %s: cannot open: %s%s", option(f), f->shown, strerror(-ret),
		    open_hint(f, -ret, hint, sizeof(hint)));
		goto fail;
	}
	ret = check_kind(f, "changed while it was opened");
	if (!ret)
		ret = lock_disk(f);
	if (ret)
		goto fail;
	f->size = file_size(f);
	return 0;
fail:
	if (f->fd >= 0)
		close(f->fd);
	f->fd = -1;
	return ret;
}
