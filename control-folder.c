/* SPDX-License-Identifier: MIT */
/*
 * Where control sockets are, and who may have a name. A socket in the folder that refuses a
 * connection was left behind. Names come and go under a lock of the folder, so that nobody sees one
 * that is bound and does not listen yet, and nobody removes what another has just made.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/control.h"
#include "lkvm/util.h"

#define FOLDER_MODE 0700

char *control_folder(void)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char *user, *folder;
	struct stat st;

	/* XDG Base Directory Specification: relative paths are invalid and ignored. */
	if (runtime && *runtime == '/')
		return xasprintf("%s/lkvm", runtime);
	if (!geteuid())
		return xstrdup("/run/lkvm");
	user = xasprintf("/run/user/%u", geteuid());
	folder = stat(user, &st) || st.st_uid != geteuid() ? NULL : xasprintf("%s/lkvm", user);
	free(user);
	return folder;
}

char *control_path(const char *folder, const char *name)
{
	return xasprintf("%s/%s" CONTROL_SUFFIX, folder, name);
}

/* Where root makes a folder among another user's, that user has none. */
static int make_folder(const char *folder, const char **why)
{
	char *parent = xstrdup(folder), *slash = strrchr(parent, '/');
	struct stat st;
	int ret = 0;

	*slash = '\0';
	if (stat(slash == parent ? "/" : parent, &st)) {
		ret = -errno;
		*why = strerror(-ret);
	} else if (st.st_uid != geteuid()) {
		ret = -EPERM;
		*why = "the folder above it is another user's; set XDG_RUNTIME_DIR to one of yours";
	} else if (mkdir(folder, FOLDER_MODE) && errno != EEXIST) {
		ret = -errno;
		*why = strerror(-ret);
	}
	free(parent);
	return ret;
}

static int open_folder(const char *folder)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int control_folder_open(const char *folder, bool make, const char **why)
{
	int fd = open_folder(folder), ret;
	struct stat st;

	if (fd == -ENOENT && make) {
		ret = make_folder(folder, why);
		if (ret)
			return ret;
		fd = open_folder(folder);
	}
	if (fd < 0) {
		*why = strerror(-fd);
		return fd;
	}
	/* Root may look at anybody's, and has its own where it runs machines. */
	if (!fstat(fd, &st) && (st.st_uid == geteuid() || (!make && !geteuid())) &&
	    !(st.st_mode & 077))
		return fd;
	close(fd);
	*why = "it must be yours with mode 0700; chmod it, or set XDG_RUNTIME_DIR to another "
	       "folder";
	return -EPERM;
}

/* Closing it gives it back. A file system without such locks has none to wait for. */
static void lock(int folder_fd)
{
	while (flock(folder_fd, LOCK_EX) && errno == EINTR)
		;
}

int control_listen(int folder_fd, struct unix_listener *l, const char *path)
{
	lock(folder_fd);
	return unix_listen_quietly(l, path);
}

void control_clean(int folder_fd, const char *path)
{
	int fd;

	lock(folder_fd);
	fd = unix_connect(path);
	if (fd >= 0)
		close(fd);
	else if (fd == -ECONNREFUSED)
		unlink(path);
	flock(folder_fd, LOCK_UN);
}
