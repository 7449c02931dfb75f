/* SPDX-License-Identifier: MIT */
/* Channels that are files: output into one, or two pipes. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "channel.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

static void file_ended(struct channel *ch, int error)
{
	/* A pipe is open for writing here too, so it has no end: something is wrong with it. */
	if (error)
		guest_warn("--port %s: cannot read: %s", ch->cfg->name, strerror(error));
}

static const struct channel_ops file_ops = { .ended = file_ended };

static int cannot_open(const struct channel *ch, const char *path, int error)
{
	err("--port %s: cannot open %s: %s%s", ch->cfg->name, path, strerror(error),
	    limit_hint(-error));
	return -error;
}

int channel_open_file(struct channel *ch)
{
	const char *path = ch->cfg->path;
	int ret, fd;

	ch->ops = &file_ops;
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
	if (fd < 0)
		return cannot_open(ch, path, errno);
	ch->open = true;
	ret = channel_watch(ch, -1, fd);
	return ret ? cannot_open(ch, path, -ret) : 0;
}

/* Open for both: then a pipe whose other side comes and goes is as good as one that is there. */
static int open_pipe(const struct channel *ch, const char *end)
{
	char *path = xasprintf("%s.%s", ch->cfg->path, end);
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int ret = fd;

	if (fd < 0) {
		ret = cannot_open(ch, path, errno);
		if (ret == -ENOENT)
			info("two pipes are needed: mkfifo %s.in %s.out", ch->cfg->path,
			     ch->cfg->path);
	} else if (fstat(fd, &st) < 0 || !S_ISFIFO(st.st_mode)) {
		err("--port %s: %s is not a pipe; make one with mkfifo", ch->cfg->name, path);
		close(fd);
		ret = -EINVAL;
	}
	free(path);
	return ret;
}

int channel_open_pipe(struct channel *ch)
{
	int in, out, ret;

	ch->ops = &file_ops;
	in = open_pipe(ch, "in");
	if (in < 0)
		return in;
	out = open_pipe(ch, "out");
	if (out < 0) {
		close(in);
		return out;
	}
	ch->open = true;
	ret = channel_watch(ch, in, out);
	return ret ? cannot_open(ch, ch->cfg->path, -ret) : 0;
}
