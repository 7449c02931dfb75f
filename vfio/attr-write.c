/* SPDX-License-Identifier: MIT */
/* What changes the host: a line into a file of sysfs, and modprobe(8). */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lkvm/child.h"
#include "lkvm/event.h"
#include "lkvm/util.h"
#include "lkvm/vfio-bind.h"

/* In one write, as the kernel takes it. */
int vfio_host_write(void *opaque, const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), ret = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, strlen(text));
	if (n < 0)
		ret = -errno;
	close(fd);
	return ret;
}

struct loading {
	struct event_loop loop;
	int status;
};

static void on_end(void *opaque, int status, const char *text)
{
	struct loading *l = opaque;

	l->status = status;
	event_loop_stop(&l->loop);
}

int vfio_host_load(void *opaque, const char *module)
{
	static const char *const more[] = { "/sbin", "/usr/sbin", NULL };
	char *program = child_find("modprobe", more), *copy = xstrdup(module);
	/* -q: that there is no such module is said by the caller. */
	char *argv[] = { program, (char[]){ "-q" }, (char[]){ "--" }, copy, NULL };
	struct loading l = { .status = -1 };
	const struct child_spec spec = {
		.what = "vfio", .argv = argv, .ended = on_end, .opaque = &l
	};
	struct child child;
	int ret = program ? event_loop_init(&l.loop, "modprobe") : -ENOENT;

	if (!ret) {
		ret = child_start(&child, &l.loop, &spec);
		if (!ret)
			event_loop_run(&l.loop);
		event_loop_destroy(&l.loop);
	}
	if (!ret && l.status)
		ret = -ENODEV;
	free(copy);
	free(program);
	return ret;
}
