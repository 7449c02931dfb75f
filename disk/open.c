/* SPDX-License-Identifier: MIT */
/*
 * Opens what a disk option names and locks it. The lock is an open file description lock over the
 * whole file (fcntl(2), F_OFD_SETLK): it ends with the last copy of the descriptor, however the
 * process dies, and meets the locks that other VMMs take.
 */
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "format.h"
#include "lkvm/access.h"
#include "lkvm/config.h"
#include "lkvm/disk.h"
#include "lkvm/log.h"
#include "lkvm/scan.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"
#include "raw.h"

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
static void say_locked(const char *path, const struct stat *st)
{
	DIR *proc = opendir("/proc");
	struct dirent *de;
	char name[32];

	while (proc && (de = readdir(proc))) {
		if (de->d_name[0] < '1' || de->d_name[0] > '9' ||
		    strtol(de->d_name, NULL, 10) == getpid() || !process_has_open(de->d_name, st))
			continue;
		process_name(de->d_name, name, sizeof(name));
		err("--disk %s: locked by process %s (%s); stop it, or give both 'ro'", path,
		    de->d_name, name);
		closedir(proc);
		return;
	}
	if (proc)
		closedir(proc);
	err("--disk %s: locked; is it named twice, or in use by a VM of another user?", path);
}

static int lock_disk(const struct disk_config *cfg, int fd, const struct stat *st)
{
	int ret = lock_file(fd, !cfg->readonly);

	if (ret == -EBUSY) {
		say_locked(cfg->path, st);
		return ret;
	}
	/* Small kernels and some network file systems have none. */
	if (ret)
		debug("--disk %s: there are no file locks (%s); another VM could use it too",
		      cfg->path, strerror(-ret));
	return 0;
}

#define MAY_READ "; add ',ro' if reading it is enough"

/* No permission: say what stands in the way, and whether reading would be permitted. */
static const char *permission_hint(const struct disk_config *cfg, int error, char *buf, size_t len)
{
	int want = cfg->readonly ? R_OK : R_OK | W_OK;
	char why[ACCESS_WHY_LEN];

	snprintf(buf, len, "; %s%s", access_why("", NULL, cfg->path, want, error, why, sizeof(why)),
		 !cfg->readonly && !access(cfg->path, R_OK) ? MAY_READ : "");
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

static const char *open_hint(const struct disk_config *cfg, int error, char *buf, size_t len)
{
	switch (error) {
	case ENOENT:
		return missing_hint(cfg->path);
	case EACCES:
	case EPERM:
		return permission_hint(cfg, error, buf, len);
	case EROFS:
		return cfg->readonly ? "" : MAY_READ;
	case ENXIO:
	case ENODEV:
		return "; no device is behind this node: is it plugged in, and its driver loaded?";
	case EBUSY:
		return "; the host has it mounted or uses it otherwise; add ',ro' to only read it";
	case EINVAL:
		return cfg->direct ? "; does its file system know O_DIRECT? omit 'direct'" : "";
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

static int open_file(const struct disk_config *cfg, struct stat *st)
{
	int flags = O_CLOEXEC | (cfg->readonly ? O_RDONLY : O_RDWR) | (cfg->direct ? O_DIRECT : 0);
	char hint[ACCESS_WHY_LEN + 64];
	int fd, ret;

	/* Look before opening: opening a FIFO or a tape has effects of its own. */
	if (stat(cfg->path, st) < 0)
		goto failed;
	if (S_ISDIR(st->st_mode)) {
		err("--disk %s: is a directory; a disk is a raw image file or a block device",
		    cfg->path);
		return -EISDIR;
	}
	if (!S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode)) {
		err("--disk %s: is neither a regular file nor a block device", cfg->path);
		return -EINVAL;
	}
	/* A block device that the host has mounted must not be written behind its back: O_EXCL
	 * without O_CREAT (open(2)). */
	if (S_ISBLK(st->st_mode) && !cfg->readonly)
		flags |= O_EXCL;
	fd = open(cfg->path, flags | O_NONBLOCK);
	if (fd < 0)
		goto failed;
	if (fstat(fd, st) < 0) {
		ret = -errno;
		close(fd);
		errno = -ret;
		goto failed;
	}
	if (!(S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))) {
		err("--disk %s: changed while it was opened", cfg->path);
		close(fd);
		return -EINVAL;
	}
	if (cfg->readonly || !S_ISBLK(st->st_mode) || !is_write_protected(fd, st->st_rdev))
		return fd;
	close(fd);
	errno = EROFS;
failed:
	ret = -errno;
	err("--disk %s: cannot open: %s%s", cfg->path, strerror(-ret),
	    open_hint(cfg, -ret, hint, sizeof(hint)));
	return ret;
}

/* Of a block device, too. Where it cannot be had, only what is at the beginning is found. */
static u64 file_size(int fd, const struct stat *st)
{
	off_t end = S_ISREG(st->st_mode) ? st->st_size : lseek(fd, 0, SEEK_END);

	return end < 0 ? 4096 : (u64)end;
}

int disk_open(const struct disk_config *cfg, struct disk **out)
{
	struct stat st;
	int fd, ret;

	fd = open_file(cfg, &st);
	if (fd < 0)
		return fd;
	ret = lock_disk(cfg, fd, &st);
	if (!ret)
		ret = disk_check_format(cfg, fd, file_size(fd, &st));
	if (!ret)
		ret = raw_disk_create(cfg, fd, &st, out);
	if (ret)
		close(fd);
	return ret;
}
