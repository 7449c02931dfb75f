/* SPDX-License-Identifier: MIT */
/* Token buckets (see include/lkvm/rate.h). */
#include "lkvm/rate.h"

#define SECOND 1000000000ULL
/* More than anybody waits, and sums of it do not overflow. */
#define LONGEST (1ULL << 60)

static void bucket_init(struct rate_bucket *b, u64 per_second, u64 burst)
{
	u64 least = MAX(per_second / 100, 1ULL);
	unsigned __int128 ns;

	*b = (struct rate_bucket){ .per_second = per_second };
	if (!per_second)
		return;
	burst = burst ? burst : per_second / 10;
	burst = MAX(burst, least);
	ns = (unsigned __int128)burst * SECOND / per_second;
	b->token_ns = SECOND / per_second;
	b->burst_ns = ns > LONGEST ? LONGEST : (u64)ns;
}

void rate_init(struct rate_limit *limit, const struct rate_config *cfg)
{
	pthread_mutex_init(&limit->lock, NULL);
	bucket_init(&limit->bytes, cfg->bytes, cfg->bytes_burst);
	bucket_init(&limit->ops, cfg->ops, cfg->ops_burst);
}

/* How long until there is a token. */
static u64 bucket_wait(const struct rate_bucket *b, u64 now)
{
	u64 missing_ns = b->full_ns > now ? b->full_ns - now : 0;

	missing_ns += b->token_ns;
	return b->per_second && missing_ns > b->burst_ns ? missing_ns - b->burst_ns : 0;
}

static void bucket_take(struct rate_bucket *b, u64 tokens, u64 now)
{
	unsigned __int128 all;

	if (!b->per_second)
		return;
	if (b->full_ns < now) {
		b->full_ns = now;
		b->rest = 0;
	}
	all = (unsigned __int128)tokens * SECOND + b->rest;
	if (all / b->per_second > LONGEST) {
		b->full_ns += LONGEST;
		return;
	}
	b->full_ns += (u64)(all / b->per_second);
	b->rest = (u64)(all % b->per_second);
}

u64 rate_take(struct rate_limit *limit, u64 bytes, u64 ops, u64 now_ns)
{
	u64 wait;

	if (!rate_limited(limit))
		return 0;
	pthread_mutex_lock(&limit->lock);
	wait = MAX(bucket_wait(&limit->bytes, now_ns), bucket_wait(&limit->ops, now_ns));
	if (!wait) {
		bucket_take(&limit->bytes, bytes, now_ns);
		bucket_take(&limit->ops, ops, now_ns);
	}
	pthread_mutex_unlock(&limit->lock);
	return wait;
}
