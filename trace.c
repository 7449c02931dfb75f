/* SPDX-License-Identifier: MIT */
/* The file of a trace; see include/lkvm/trace.h. */
#include "lkvm/trace.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/thread.h"
#include "lkvm/util.h"

#define BUF_SIZE      (64 * KiB)
#define LINE_SIZE     256
#define FLUSH_WAIT_NS 100000000ULL

struct trace {
	u32 what;
	int fd; /* -1: it ended */
	char *path;
	u64 start_ns;
	pthread_mutex_t lock;
	u64 flushed_ns;
	size_t len;
	char buf[BUF_SIZE];
};

int trace_open(const struct trace_config *tc, u64 start_ns, struct trace **out)
{
	struct trace *t;
	int fd = open(tc->file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	*out = NULL;
	if (fd < 0) {
		int ret = -errno;

		err("--trace %s: cannot open: %s%s", tc->file, strerror(-ret), limit_hint(ret));
		return ret;
	}
	t = xcalloc(1, sizeof(*t));
	t->what = tc->what;
	t->fd = fd;
	t->path = xstrdup(tc->file);
	t->start_ns = start_ns;
	pthread_mutex_init(&t->lock, NULL);
	*out = t;
	return 0;
}

/* Under the lock. */
static void flush(struct trace *t, u64 now)
{
	int ret = t->len && t->fd >= 0 ? write_full(t->fd, t->buf, t->len) : 0;

	t->len = 0;
	t->flushed_ns = now;
	if (!ret)
		return;
	err("--trace %s: cannot write: %s; the trace ends here", t->path, strerror(-ret));
	close(t->fd);
	t->fd = -1;
}

void trace_flush(struct trace *t)
{
	if (!t)
		return;
	pthread_mutex_lock(&t->lock);
	flush(t, now_ns());
	pthread_mutex_unlock(&t->lock);
}

void trace_close(struct trace *t)
{
	if (!t)
		return;
	trace_flush(t);
	if (t->fd >= 0)
		close(t->fd);
	pthread_mutex_destroy(&t->lock);
	free(t->path);
	free(t);
}

bool trace_wants_kind(const struct trace *t, u32 kind)
{
	return t->what & kind;
}

void trace_line(struct trace *t, const char *format, ...)
{
	va_list ap;
	u64 now, since;
	char *line;
	int n;

	pthread_mutex_lock(&t->lock);
	/* Under the lock, so that times do not go back in the file. */
	now = now_ns();
	since = now - t->start_ns;
	line = t->buf + t->len;
	n = snprintf(line, LINE_SIZE, "%llu.%09llu ", since / 1000000000, since % 1000000000);
	va_start(ap, format);
	n += vsnprintf(line + n, (size_t)(LINE_SIZE - n), format, ap);
	va_end(ap);
	n = MIN(n, LINE_SIZE - 1);
	line[n] = '\n';
	t->len += (size_t)n + 1;
	if (t->len > sizeof(t->buf) - LINE_SIZE || now - t->flushed_ns > FLUSH_WAIT_NS)
		flush(t, now);
	pthread_mutex_unlock(&t->lock);
}
