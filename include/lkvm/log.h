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
 * CR LF (see log_set_raw_terminal). Control characters become '?'. Keeps errno. Safe from every
 * thread.
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
 * For everything that a guest can provoke: at most 10 lines in each 5 seconds per call site; before
 * the next one that passes a line says how many were omitted.
 */
struct log_ratelimit {
	u64 window_start_ns;
	u32 printed;
	u32 suppressed;
};
bool log_ratelimit_ok(struct log_ratelimit *rl);
#define guest_log(level, ...)                                           \
	do {                                                            \
		static struct log_ratelimit rl_;                        \
		if (level <= log_get_level() && log_ratelimit_ok(&rl_)) \
			log_print(level, __VA_ARGS__);                  \
	} while (0)
#define guest_warn(...)	 guest_log(LOG_WARNING, __VA_ARGS__)
#define guest_debug(...) guest_log(LOG_DEBUG, __VA_ARGS__)

#endif
