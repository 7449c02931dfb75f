/* SPDX-License-Identifier: MIT */
/* Sets of addresses as sorted ranges (see model.h). */
#include <stdlib.h>

#include "model.h"

static void append(struct model_set *set, u64 start, u64 end)
{
	struct model_range *last = set->n ? &set->ranges[set->n - 1] : NULL;

	if (start >= end)
		return;
	if (last && last->end == start) {
		last->end = end;
		return;
	}
	set->ranges = realloc(set->ranges, (set->n + 1) * sizeof(*set->ranges));
	if (!set->ranges)
		abort();
	set->ranges[set->n++] = (struct model_range){ start, end };
}

/* A new list from the old one: what lies before, the range itself if it is wanted, what lies
 * behind. */
static void change(struct model_set *set, u64 start, u64 end, bool add)
{
	struct model_set old = *set;
	size_t i;

	if (start >= end)
		return;
	*set = (struct model_set){ 0 };
	for (i = 0; i < old.n && old.ranges[i].start < start; i++)
		append(set, old.ranges[i].start,
		       old.ranges[i].end < start ? old.ranges[i].end : start);
	if (add)
		append(set, start, end);
	for (i = 0; i < old.n; i++)
		append(set, old.ranges[i].start > end ? old.ranges[i].start : end,
		       old.ranges[i].end);
	free(old.ranges);
}

void model_set_add(struct model_set *set, u64 start, u64 end)
{
	change(set, start, end, true);
}

void model_set_remove(struct model_set *set, u64 start, u64 end)
{
	change(set, start, end, false);
}

bool model_set_has(const struct model_set *set, u64 at)
{
	return model_set_has_any(set, at, at + 1);
}

bool model_set_has_all(const struct model_set *set, u64 start, u64 end)
{
	for (size_t i = 0; i < set->n; i++)
		if (set->ranges[i].start <= start && end <= set->ranges[i].end)
			return true;
	return start >= end;
}

bool model_set_has_any(const struct model_set *set, u64 start, u64 end)
{
	for (size_t i = 0; i < set->n && start < end; i++)
		if (set->ranges[i].start < end && start < set->ranges[i].end)
			return true;
	return false;
}

void model_set_free(struct model_set *set)
{
	free(set->ranges);
	*set = (struct model_set){ 0 };
}
