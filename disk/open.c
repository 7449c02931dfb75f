/* SPDX-License-Identifier: MIT */
/*
 * Opens what a disk option names and locks it. The lock is an open file description lock over the
 * whole file (fcntl(2), F_OFD_SETLK): it ends with the last copy of the descriptor, however the
 * process dies, and meets the locks that other VMMs take.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/disk.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
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
	struct flock lock = {
		.l_type = cfg->readonly ? F_RDLCK : F_WRLCK,
		.l_whence = SEEK_SET,
	};

	if (!fcntl(fd, F_OFD_SETLK, &lock))
		return 0;
	if (errno == EAGAIN || errno == EACCES) {
		say_locked(cfg->path, st);
		return -EBUSY;
	}
	/* Some network file systems have no locks: the user's images are the user's business. */
	warn("--disk %s: cannot lock it (%s); do not start another VM on it", cfg->path,
	     strerror(errno));
	return 0;
}

static const char *open_hint(const struct disk_config *cfg, int error)
{
	switch (error) {
	case ENOENT:
		return "; make one with: truncate -s 1G FILE";
	case EACCES:
	case EPERM:
	case EROFS:
		return cfg->readonly ? "" : "; add ',ro' if reading it is enough";
	case EBUSY:
		return "; the host has it mounted or uses it otherwise; add ',ro' to only read it";
	case EINVAL:
		return cfg->direct ? "; does its file system know O_DIRECT? omit 'direct'" : "";
	default:
		return limit_hint(error);
	}
}

static int open_file(const struct disk_config *cfg, struct stat *st)
{
	int flags = O_CLOEXEC | (cfg->readonly ? O_RDONLY : O_RDWR) | (cfg->direct ? O_DIRECT : 0);
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
	if (S_ISREG(st->st_mode) || S_ISBLK(st->st_mode))
		return fd;
	err("--disk %s: changed while it was opened", cfg->path);
	close(fd);
	return -EINVAL;
failed:
	ret = -errno;
	err("--disk %s: cannot open: %s%s", cfg->path, strerror(-ret), open_hint(cfg, -ret));
	return ret;
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
		ret = raw_disk_create(cfg, fd, &st, out);
	if (ret)
		close(fd);
	return ret;
}
