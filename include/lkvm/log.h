/* SPDX-License-Identifier: MIT */
/*
 * One-line messages to standard error. The level is the program's only global.
 * The place that knows the object prints the message, once; callers pass the errno up.
 */
#ifndef LKVM_LOG_H
#define LKVM_LOG_H

#include "lkvm/types.h"

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
enum log_level log_get_level(void);
/* Their names, by position; NULL-terminated. */
extern const char *const log_level_names[];
/* "error", "warning", "info" or "debug" to a level; -EINVAL for any other word. */
int log_level_parse(const char *word, enum log_level *level);

/*
 * Prints "lkvm: error: ...\n" in one write; while the terminal is in raw mode the line ends in
 * CR LF (see log_set_raw_terminal). What a terminal would obey becomes '?' (text_mask). Keeps
 * errno. Safe from every thread.
 */
void log_print(enum log_level level, const char *fmt, ...) __printf(2, 3);
/* Told by the terminal code: from now on a newline needs a carriage return (where standard error is
 * a terminal). */
void log_set_raw_terminal(bool raw);

#define err(...)   log_print(LOG_ERROR, __VA_ARGS__)
#define warn(...)  log_print(LOG_WARNING, __VA_ARGS__)
#define info(...)  log_print(LOG_INFO, __VA_ARGS__)
#define debug(...) log_print(LOG_DEBUG, __VA_ARGS__)

/*
 * For everything that a guest can provoke. At most 10 lines in each 5 seconds per call site; before
 * the next one that passes a line says how many were omitted. And for warnings and information of
 * all sites together a budget in bytes, that is filled up over the day; beyond it only the first
 * line of a site in each hour passes, and a line says how many did not. What the host is to blame
 * for is an error, and passes.
 */
struct log_ratelimit {
	u64 window_start_ns;
	u64 first_ns;
	u32 printed;
	u32 suppressed;
};
void log_guest(struct log_ratelimit *rl, enum log_level level, const char *fmt, ...) __printf(3, 4);
#define guest_log(level, ...)                                \
	do {                                                 \
		static struct log_ratelimit rl_;             \
		if (level <= log_get_level())                \
			log_guest(&rl_, level, __VA_ARGS__); \
	} while (0)
#define guest_info(...)	 guest_log(LOG_INFO, __VA_ARGS__)
#define guest_warn(...)	 guest_log(LOG_WARNING, __VA_ARGS__)
#define guest_debug(...) guest_log(LOG_DEBUG, __VA_ARGS__)

/*
 * How far something is that may take long, said again and again: "reading", FILE, bytes done and in
 * all; without @all, which is 0 then, for how long. A terminal shows it from the second second on,
 * in one line that goes with the next message or at the end. Nothing is shown to what is no
 * terminal, with --loglevel warning, or while a guest has the terminal. For the main thread alone.
 */
void log_progress(const char *doing, const char *name, u64 done, u64 all);
void log_progress_end(void);

/* The budget as a thing of its own, for tests: a bucket of bytes. */
#define LOG_BUDGET	 MiB
#define LOG_BUDGET_AGAIN (64 * KiB)  /* spent: closed until it has so much again */
#define LOG_NS_PER_BYTE	 10299682ULL /* 8 MiB a day */
struct log_budget {
	u64 at_ns; /* up to when it was filled up; 0: it is new, and full */
	s64 left;
	u64 dropped; /* lines, since it was spent */
	bool spent;
};
enum log_verdict {
	LOG_PASS,
	LOG_NOW_SPENT, /* passes, as the last one */
	LOG_DROP,
	LOG_PASS_AGAIN, /* passes, as the first one after @dropped others */
};
/* May one more line pass at @now? Who prints it takes its length from @left. */
enum log_verdict log_budget_ask(struct log_budget *b, u64 now);

#endif
