/* SPDX-License-Identifier: MIT */
/* Messages to standard error, one write(2) each, and the limits of those that a guest provokes. */
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
#define PROGRESS_AFTER_NS  1000000000ULL
#define PROGRESS_EACH_NS   200000000ULL
#define ERASE		   "\r\033[K" /* ECMA-48, EL */
/* The line that tells of omitted ones, about. */
#define OMITTED_LEN 64

const char *const log_level_names[] = { "error", "warning", "info", "debug", NULL };

static atomic_int current_level = LOG_INFO;
static atomic_bool raw_terminal;
static atomic_bool progress_shown;

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
	log_progress_end();
	/* A file or pipe needs no carriage return, whatever the terminal does. */
	atomic_store(&raw_terminal, raw && isatty(STDERR_FILENO));
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

/* Does standard error go to somebody who looks at it, and understands escape sequences? */
static bool is_lively(void)
{
	const char *term = getenv("TERM");

	return term && *term && strcmp(term, "dumb") != 0 && isatty(STDERR_FILENO);
}

/* "lkvm: error: " with the word in colour where that is wanted (https://no-color.org). */
static size_t print_prefix(char *line, size_t cap, enum log_level level)
{
	static const char *const colours[] = { "1;31", "1;35" }; /* by enum log_level */
	const char *none = getenv("NO_COLOR");
	const char *erase = atomic_exchange(&progress_shown, false) ? ERASE : "";

	if ((size_t)level < ARRAY_SIZE(colours) && !(none && *none) && is_lively())
		return (size_t)snprintf(line, cap, "%slkvm: \033[%sm%s:\033[0m ", erase,
					colours[level], log_level_names[level]);
	return (size_t)snprintf(line, cap, "%slkvm: %s: ", erase, log_level_names[level]);
}

/* One line; the bytes of it. */
static size_t __printf(2, 0) print_line(enum log_level level, const char *fmt, va_list ap)
{
	char line[LINE_ROOM], *buf = line;
	size_t cap = sizeof(line), prefix, len;
	const char *eol = atomic_load(&raw_terminal) ? "\r\n" : "\n";
	int ret __maybe_unused;
	va_list again;
	int n;

	prefix = print_prefix(line, cap, level);
	va_copy(again, ap);
	n = vsnprintf(line + prefix, cap - prefix, fmt, ap);
	if (n < 0)
		n = 0;
	len = prefix + (size_t)n;
	if (len + 3 > cap) {
		buf = malloc(len + 3);
		if (buf) {
			memcpy(buf, line, prefix);
			vsnprintf(buf + prefix, len + 1 - prefix, fmt, again);
		} else {
			buf = line;
			len = cap - 3;
		}
	}
	va_end(again);
	buf[len] = '\0';
	len = prefix + text_mask(buf + prefix);
	len = (size_t)(stpcpy(buf + len, eol) - buf);
	/* When standard error fails nobody is left to tell. */
	ret = writable() ? write_full(STDERR_FILENO, buf, len) : 0;
	if (buf != line)
		free(buf);
	return len;
}

void log_print(enum log_level level, const char *fmt, ...)
{
	int saved_errno = errno;
	va_list ap;

	if (level > log_get_level())
		return;
	va_start(ap, fmt);
	print_line(level, fmt, ap);
	va_end(ap);
	errno = saved_errno;
}

/* Of what takes long */

static u64 progress_since, progress_last;

void log_progress(const char *doing, const char *name, u64 done, u64 all)
{
	u64 now = now_ns();
	char line[LINE_ROOM], how_far[32];
	int ret __maybe_unused;

	if (!progress_since)
		progress_since = now;
	if (now - progress_since < PROGRESS_AFTER_NS || now - progress_last < PROGRESS_EACH_NS ||
	    atomic_load(&raw_terminal) || log_get_level() < LOG_INFO || !is_lively())
		return;
	progress_last = now;
	if (all)
		snprintf(how_far, sizeof(how_far), "%llu %%", MIN(done, all) * 100 / all);
	else
		snprintf(how_far, sizeof(how_far), "%llu s", (now - progress_since) / 1000000000);
	/* A line that went on in the next could not be erased. */
	snprintf(line, sizeof(line), ERASE "lkvm: %s %.48s: %s", doing, name, how_far);
	text_mask(line + strlen(ERASE));
	atomic_store(&progress_shown, true);
	ret = write_full(STDERR_FILENO, line, strlen(line));
}

void log_progress_end(void)
{
	int ret __maybe_unused;

	progress_since = progress_last = 0;
	if (atomic_exchange(&progress_shown, false))
		ret = write_full(STDERR_FILENO, ERASE, strlen(ERASE));
}

/* Of each call site */

static pthread_mutex_t limits_lock = PTHREAD_MUTEX_INITIALIZER;

/* May this site say something? @missed: lines that it could not say before. */
static bool site_may(struct log_ratelimit *rl, u32 *missed)
{
	u64 now = now_ns();

	if (!rl->window_start_ns ||
	    now - rl->window_start_ns >= RATELIMIT_WINDOW_S * 1000000000ULL) {
		rl->window_start_ns = now;
		rl->printed = 0;
	}
	if (rl->printed >= RATELIMIT_BURST) {
		if (rl->suppressed < UINT32_MAX)
			rl->suppressed++;
		return false;
	}
	rl->printed++;
	*missed = rl->suppressed;
	rl->suppressed = 0;
	return true;
}

/* Of all together */

static void fill_up(struct log_budget *b, u64 now)
{
	u64 more;

	if (!b->at_ns) {
		b->at_ns = now;
		b->left = (s64)LOG_BUDGET;
	}
	/* Read before another thread's. */
	now = MAX(now, b->at_ns);
	more = MIN((now - b->at_ns) / LOG_NS_PER_BYTE, LOG_BUDGET);
	b->at_ns = more == LOG_BUDGET ? now : b->at_ns + more * LOG_NS_PER_BYTE;
	b->left = MIN(b->left + (s64)more, (s64)LOG_BUDGET);
}

enum log_verdict log_budget_ask(struct log_budget *b, u64 now)
{
	fill_up(b, now);
	if (!b->spent) {
		b->spent = b->left <= 0;
		return b->spent ? LOG_NOW_SPENT : LOG_PASS;
	}
	/* Not a line at a time: a gap, and then enough for something readable. */
	if (b->left < (s64)LOG_BUDGET_AGAIN) {
		b->dropped++;
		return LOG_DROP;
	}
	b->spent = false;
	return LOG_PASS_AGAIN;
}

static struct log_budget budget;

/*
 * Is there a byte left for one more line of the guest's, after @missed others of its site? Says so
 * when that changes.
 */
static bool all_may(struct log_ratelimit *rl, u32 missed)
{
	enum log_verdict verdict;
	u64 dropped = 0, now;
	bool first;

	pthread_mutex_lock(&limits_lock);
	now = now_ns();
	verdict = log_budget_ask(&budget, now);
	if (verdict == LOG_PASS_AGAIN) {
		dropped = budget.dropped;
		budget.dropped = 0;
	}
	/* A flood of one kind must not hide that there is another. */
	first = !rl->first_ns || now - rl->first_ns >= 3600 * 1000000000ULL;
	if (first)
		rl->first_ns = now;
	if (verdict == LOG_DROP)
		budget.dropped += first ? (u64)-1 : missed;
	pthread_mutex_unlock(&limits_lock);
	if (verdict == LOG_NOW_SPENT)
		warn("the guest caused more than %llu KiB of messages; of those to come, most are "
		     "omitted",
		     LOG_BUDGET / KiB);
	if (dropped)
		warn("%llu messages that the guest caused were omitted", dropped);
	return verdict != LOG_DROP || first;
}

static void spend(size_t bytes)
{
	pthread_mutex_lock(&limits_lock);
	budget.left -= (s64)bytes;
	pthread_mutex_unlock(&limits_lock);
}

void log_guest(struct log_ratelimit *rl, enum log_level level, const char *fmt, ...)
{
	/* Errors are the host's, and who wants to debug wants to see. */
	bool counts = level == LOG_WARNING || level == LOG_INFO;
	int saved_errno = errno;
	u32 missed = 0;
	va_list ap;
	size_t len;
	bool ok;

	if (level > log_get_level())
		return;
	pthread_mutex_lock(&limits_lock);
	ok = site_may(rl, &missed);
	pthread_mutex_unlock(&limits_lock);
	if (!ok || (counts && !all_may(rl, missed)))
		goto out;
	if (missed)
		warn("%u messages like the next one were omitted", missed);
	va_start(ap, fmt);
	len = print_line(level, fmt, ap);
	va_end(ap);
	if (counts)
		spend(len + (missed ? OMITTED_LEN : 0));
out:
	errno = saved_errno;
}
