/* SPDX-License-Identifier: MIT */
/* What each kind of exit costs: minimum, median and 99th percentile of samples, as a table or JSON.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/arch.h"
#include "lkvm/selftest.h"

void exits_begin(struct exits_table *t, const struct selftest_options *o)
{
	*t = (struct exits_table){ .json = o->json };
	if (t->json) {
		printf("{\"version\":1,\"architecture\":");
		print_json_string(arch_platform.name);
		printf(",\"kinds\":[");
		return;
	}
	printf("%-10s %7s %10s %10s %10s %12s %12s %12s\n", "exit", "rounds", "min ns", "median ns",
	       "99% ns", "min cycles", "median", "99%");
}

static int compare(const void *a, const void *b)
{
	u32 x = *(const u32 *)a, y = *(const u32 *)b;

	return x < y ? -1 : x > y;
}

static u64 to_ns(const struct exits_table *t, u32 cycles)
{
	return t->khz ? ((u64)cycles * 1000000 + t->khz / 2) / t->khz : 0;
}

void exits_row(struct exits_table *t, const char *name, u32 *samples, u32 n)
{
	u32 min, median, p99;

	qsort(samples, n, sizeof(*samples), compare);
	min = samples[0];
	median = samples[n / 2];
	p99 = samples[(u64)n * 99 / 100];
	if (t->json) {
		printf("%s\n{\"name\":\"%s\",\"rounds\":%u,"
		       "\"cycles\":{\"min\":%u,\"median\":%u,\"p99\":%u}",
		       t->any ? "," : "", name, n, min, median, p99);
		if (t->khz)
			printf(",\"ns\":{\"min\":%llu,\"median\":%llu,\"p99\":%llu}", to_ns(t, min),
			       to_ns(t, median), to_ns(t, p99));
		printf("}");
	} else {
		printf("%-10s %7u %10llu %10llu %10llu %12u %12u %12u\n", name, n, to_ns(t, min),
		       to_ns(t, median), to_ns(t, p99), min, median, p99);
	}
	t->any = true;
	fflush(stdout);
}

void exits_skipped(struct exits_table *t, const char *name, const char *why)
{
	if (t->json) {
		printf("%s\n{\"name\":", t->any ? "," : "");
		print_json_string(name);
		printf(",\"skipped\":");
		print_json_string(why);
		printf("}");
	} else {
		printf("%-10s       - %s\n", name, why);
	}
	t->any = true;
	fflush(stdout);
}

void exits_end(struct exits_table *t)
{
	if (t->json)
		printf("],\n\"clock_khz\":%u}\n", t->khz);
	else if (t->khz)
		printf("A clock of %u.%03u MHz; 'nothing' is what two readings of it take.\n",
		       t->khz / 1000, t->khz % 1000);
}
