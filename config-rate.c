/* SPDX-License-Identifier: MIT */
/* rate= and ops= of devices: limits of bytes and operations per second (see config-items.h). */
#include <stdlib.h>

#include "config-items.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* Less is a slip: a number without its unit. */
#define MIN_BYTES KiB

/* "10M:64M" to the rate and its burst. */
static int parse_pair(const char *text, bool size, u64 *rate, u64 *burst)
{
	char *copy = xstrdup(text), *colon = strchr(copy, ':');
	int ret;

	*burst = 0;
	if (colon)
		*colon++ = '\0';
	ret = size ? parse_size(copy, 1, rate) : parse_u64(copy, rate);
	if (!ret && colon)
		ret = size ? parse_size(colon, 1, burst) : parse_u64(colon, burst);
	/* A burst of nothing would let nothing begin. */
	if (!ret && colon && !*burst)
		ret = -EINVAL;
	free(copy);
	return ret;
}

int config_rate_item(const char *shown, struct rate_config *rate, const char *prefix,
		     const char *item)
{
	size_t len = strlen(prefix);
	u64 per_second, burst;
	const char *value;
	bool size;

	if (strncmp(item, prefix, len))
		return 0;
	size = !strncmp(item + len, "rate=", 5);
	if (!size && strncmp(item + len, "ops=", 4) != 0)
		return 0;
	value = strchr(item, '=') + 1;
	if (parse_pair(value, size, &per_second, &burst) || per_second < (size ? MIN_BYTES : 1)) {
		err("%s: %s: %s; omit it for no limit", shown, item,
		    size ? "must be SIZE[:BURST] with at least 1K (bytes) per second, like 50M"
			 : "must be N[:BURST], with N at least 1");
		return -EINVAL;
	}
	*(size ? &rate->bytes : &rate->ops) = per_second;
	*(size ? &rate->bytes_burst : &rate->ops_burst) = burst;
	return 1;
}

void config_add_rate(char **text, const struct rate_config *rate, const char *prefix)
{
	char bytes[32], burst[32];

	if (rate->bytes)
		xappendf(text, rate->bytes_burst ? ",%srate=%s:%s" : ",%srate=%s", prefix,
			 format_size(rate->bytes, bytes, sizeof(bytes)),
			 format_size(rate->bytes_burst, burst, sizeof(burst)));
	if (rate->ops)
		xappendf(text, rate->ops_burst ? ",%sops=%llu:%llu" : ",%sops=%llu", prefix,
			 rate->ops, rate->ops_burst);
}
