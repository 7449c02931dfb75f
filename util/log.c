/* SPDX-License-Identifier: MIT */
/* Messages to standard error, one write(2) each, and the rate limit for those a guest provokes. */
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/util.h"

#define LINE_ROOM	   512 /* longer lines go through malloc */
#define RATELIMIT_BURST	   10
#define RATELIMIT_WINDOW_S 5
#define STUCK_WAIT_MS	   1000

const char *const log_level_names[] = { "error", "warning", "info", "debug", NULL };

static atomic_int current_level = LOG_INFO;
static atomic_bool raw_terminal;

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
}

enum log_level log_get_level(void)
{
	return (enum log_level)atomic_load_explicit(&current_level, memory_order_relaxed);
}

int log_level_parse(const char *word, enum log_level *level)
{
	for (size_t i = 0; log_level_names[i]; i++) {
		if (!strcmp(word, log_level_names[i])) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

void log_set_raw_terminal(bool raw)
{
	/* A file or pipe needs no carriage return, whatever the terminal does. */
	atomic_store(&raw_terminal, raw && isatty(STDERR_FILENO));
}

/* File names and guest data may hold escape sequences: they must not reach the terminal. */
static void mask_control(char *s)
{
	for (; *s; s++) {
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			*s = '?';
	}
}

/*
 * Nobody may hang on a message because its reader is stuck: a signal would not end lkvm then. The
 * first line that cannot go out waits a second, those after it not at all until the reader moves
 * on.
 */
static bool writable(void)
{
	static atomic_bool stuck;
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };
	bool ready = poll(&p, 1, atomic_load(&stuck) ? 0 : STUCK_WAIT_MS) != 0;

	atomic_store(&stuck, !ready);
	return ready;
}

void log_print(enum log_level level, const char *fmt, ...)
{
	char line[LINE_ROOM], *buf = line;
	int saved_errno = errno;
	size_t cap = sizeof(line), prefix, len;
	const char *eol = atomic_load(&raw_terminal) ? "\r\n" : "\n";
	int ret __maybe_unused;
	va_list ap;
	int n;

	if (level > log_get_level())
		return;
	prefix = (size_t)snprintf(line, cap, "lkvm: %s: ", log_level_names[level]);
	va_start(ap, fmt);
	n = vsnprintf(line + prefix, cap - prefix, fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	len = prefix + (size_t)n;
	if (len + 3 > cap) {
		buf = malloc(len + 3);
		if (buf) {
			memcpy(buf, line, prefix);
			va_start(ap, fmt);
			vsnprintf(buf + prefix, len + 1 - prefix, fmt, ap);
			va_end(ap);
		} else {
			buf = line;
			len = cap - 3;
		}
	}
	buf[len] = '\0';
	mask_control(buf);
	len = (size_t)(stpcpy(buf + len, eol) - buf);
	/* When standard error fails nobody is left to tell. */
	ret = writable() ? write_full(STDERR_FILENO, buf, len) : 0;
	if (buf != line)
		free(buf);
	errno = saved_errno;
}

bool log_ratelimit_ok(struct log_ratelimit *rl)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	u64 now = now_ns();
	u32 missed = 0;
	bool ok;

	pthread_mutex_lock(&lock);
	if (!rl->window_start_ns ||
	    now - rl->window_start_ns >= RATELIMIT_WINDOW_S * 1000000000ULL) {
		rl->window_start_ns = now;
		rl->printed = 0;
	}
	ok = rl->printed < RATELIMIT_BURST;
	if (ok) {
		rl->printed++;
		missed = rl->suppressed;
		rl->suppressed = 0;
	} else if (rl->suppressed < UINT32_MAX) {
		rl->suppressed++;
	}
	pthread_mutex_unlock(&lock);
	if (missed)
		warn("%u messages like the next one were omitted", missed);
	return ok;
}
