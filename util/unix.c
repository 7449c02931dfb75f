/* SPDX-License-Identifier: MIT */
/*
 * Unix sockets by name (see include/lkvm/unix.h). A name outlives who made it: whether somebody
 * listens is found out by connecting.
 */
#include "lkvm/unix.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

#define BACKLOG 16

static int fill(struct sockaddr_un *addr, const char *path)
{
	size_t len = strlen(path);

	memset(addr, 0, sizeof(*addr));
	addr->sun_family = AF_UNIX;
	if (!len)
		return -ENOENT;
	if (len >= sizeof(addr->sun_path))
		return -ENAMETOOLONG;
	memcpy(addr->sun_path, path, len);
	return 0;
}

static int new_socket(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd < 0 ? -errno : fd;
}

int unix_connect(const char *path)
{
	struct sockaddr_un addr;
	int ret = fill(&addr, path), fd;

	if (ret)
		return ret;
	fd = new_socket();
	if (fd < 0)
		return fd;
	if (!connect(fd, (struct sockaddr *)&addr, sizeof(addr)))
		return fd;
	ret = -errno;
	close(fd);
	return ret;
}

int unix_accept(int fd)
{
	int got = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (got >= 0)
		return got;
	return errno == ECONNABORTED || errno == EINTR ? -EAGAIN : -errno;
}

/* The name is taken. 0: it was left behind, and is gone now. */
static int remove_stale(const char *path)
{
	struct stat st;
	int fd;

	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = unix_connect(path);
	if (fd >= 0)
		close(fd);
	if (fd >= 0 || fd == -EAGAIN)
		return -EADDRINUSE;
	if (fd != -ECONNREFUSED)
		return fd;
	return unlink(path) < 0 ? -errno : 0;
}

static int bind_and_listen(struct unix_listener *l)
{
	struct sockaddr_un addr;
	struct stat st;
	int ret = fill(&addr, l->path);

	if (ret)
		return ret;
	if (bind(l->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		ret = -errno;
		if (ret != -EADDRINUSE)
			return ret;
		ret = remove_stale(l->path);
		if (ret)
			return ret;
		if (bind(l->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
			return -errno;
	}
	if (lstat(l->path, &st) < 0)
		return -errno;
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	if (!listen(l->fd, BACKLOG))
		return 0;
	ret = -errno;
	unix_listener_forget(l);
	return ret;
}

const char *unix_reason(int ret)
{
	if (ret == -EADDRINUSE)
		return "another program listens there; name another file";
	if (ret == -EEXIST)
		return "it exists and is not a socket; name another file";
	if (ret == -ENAMETOOLONG)
		return "the name of a socket has 107 bytes at most";
	return strerror(-ret);
}

int unix_listen_quietly(struct unix_listener *l, const char *path)
{
	int ret;

	l->path = path;
	l->fd = new_socket();
	ret = l->fd < 0 ? l->fd : bind_and_listen(l);
	if (!ret)
		return 0;
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
	return ret;
}

int unix_listen(struct unix_listener *l, const char *path, const char *what)
{
	int ret = unix_listen_quietly(l, path);

	if (ret)
		err("%s: cannot listen on %s: %s%s", what, path, unix_reason(ret), limit_hint(ret));
	return ret;
}

void unix_listener_forget(const struct unix_listener *l)
{
	struct stat st;

	if (l->fd >= 0 && !lstat(l->path, &st) && st.st_dev == l->dev && st.st_ino == l->ino)
		unlink(l->path);
}

void unix_listener_close(struct unix_listener *l)
{
	if (l->fd < 0)
		return;
	unix_listener_forget(l);
	close(l->fd);
	l->fd = -1;
}
