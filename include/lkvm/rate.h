/* SPDX-License-Identifier: MIT */
/*
 * Limits of bytes and of operations per second: token buckets. A bucket of @burst tokens fills at
 * the rate; what begins takes its tokens, and may begin while one token is there. So a
 * request that is larger than the bucket passes too, and what comes after it waits for what it
 * took: on average the rate is kept exactly, and nobody's large requests are starved by small ones.
 *
 * A limit has no timer. Who must wait keeps the request where it is, asks its loop for a timer
 * (include/lkvm/event.h), and tries again.
 */
#ifndef LKVM_RATE_H
#define LKVM_RATE_H

#include <pthread.h>

#include "lkvm/types.h"

/* What the user asked for; 0: no limit. A burst of 0: what a tenth of a second gives. */
struct rate_config {
	u64 bytes, bytes_burst; /* bytes per second, bytes */
	u64 ops, ops_burst;	/* operations per second, operations */
};

/* The time at which the bucket will be full says how full it is. */
struct rate_bucket {
	u64 per_second; /* 0: no limit */
	u64 burst_ns;	/* in which an empty bucket becomes full */
	u64 token_ns;	/* in which it gets one */
	u64 full_ns;
	u64 rest; /* less than a nanosecond, in parts of per_second */
};

struct rate_limit {
	pthread_mutex_t lock; /* several queues of a device share its limit */
	struct rate_bucket bytes, ops;
};

/* Full buckets. A burst that is less than what a hundredth of a second gives is made that: timers
 * come late by a part of that, and the rate would not be reached. */
void rate_init(struct rate_limit *limit, const struct rate_config *cfg);

static inline bool rate_limited(const struct rate_limit *limit)
{
	return limit->bytes.per_second || limit->ops.per_second;
}

/*
 * May something of @bytes bytes and @ops operations begin at @now_ns (of now_ns())? 0: yes, and
 * their tokens are taken. Else nothing is taken: how many nanoseconds to wait before the next try,
 * at least 1. Any thread.
 */
u64 rate_take(struct rate_limit *limit, u64 bytes, u64 ops, u64 now_ns) __must_check;

#endif
