/* SPDX-License-Identifier: MIT */
/*
 * A trace of what a VM does (`--trace exits,virtio,irq=FILE`): a line of text for each event, with
 * the seconds since lkvm began to make the machine. Any thread writes; lines are whole and in the
 * order in which they were written. They are gathered, so a program that follows the file sees
 * them up to 100 ms late, and later ones only as further come.
 *
 * Where there is no trace an event costs the look at a pointer.
 */
#ifndef LKVM_TRACE_H
#define LKVM_TRACE_H

#include "lkvm/config.h"
#include "lkvm/types.h"

struct trace;

/* Open the file that @tc names; its times count from @start_ns (now_ns()). Prints; *out is NULL on
 * failure. */
int trace_open(const struct trace_config *tc, u64 start_ns, struct trace **out) __must_check;
/* Write what was gathered. */
void trace_flush(struct trace *t);
/* Flush it, close it, free it; NULL is fine. Nobody traces any more. */
void trace_close(struct trace *t);

/* Is anybody interested in events of @kind (TRACE_EXITS...)? @t may be NULL. */
bool trace_wants_kind(const struct trace *t, u32 kind);
static inline bool trace_wants(const struct trace *t, u32 kind)
{
	return __builtin_expect(!!t, 0) && trace_wants_kind(t, kind);
}

/* One line, without its end; at most some 200 bytes, what is longer is cut. A file that cannot be
 * written to is told of once, and the trace ends. */
void trace_line(struct trace *t, const char *format, ...) __printf(2, 3);

#endif
