/* SPDX-License-Identifier: MIT */
/* `lkvm stat --exits`: a table of exits and of the devices that they were for, once or again and
 * again. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "builtin-stat.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define FIRST_WIDTH  28
#define NUMBER_WIDTH 12

/* Something that is counted: a reason, or a device's reads and writes. */
struct row {
	char *name;
	u64 reads, writes; /* a reason has the first alone */
	u64 before;	   /* both, when it was shown last */
	u64 *of_vcpu;
};

struct rows {
	struct row *list;
	u32 nr;
};

struct view {
	struct rows exits, devices;
	u32 nr_vcpus;
	u64 uptime_ms, before_ms; /* before_ms 0: this is the first */
	char state[24];
};

static struct row *row_named(struct rows *rows, const char *name, u32 nr_vcpus)
{
	struct row *r;

	for (u32 i = 0; i < rows->nr; i++)
		if (!strcmp(rows->list[i].name, name))
			return &rows->list[i];
	rows->list = xrealloc(rows->list, (rows->nr + 1) * sizeof(*rows->list));
	r = &rows->list[rows->nr++];
	*r = (struct row){ .name = xstrdup(name), .of_vcpu = xcalloc(nr_vcpus + 1, sizeof(u64)) };
	return r;
}

static void begin_rows(struct rows *rows)
{
	for (u32 i = 0; i < rows->nr; i++) {
		rows->list[i].before = rows->list[i].reads + rows->list[i].writes;
		rows->list[i].reads = rows->list[i].writes = 0;
	}
}

static void free_rows(struct rows *rows)
{
	for (u32 i = 0; i < rows->nr; i++) {
		free(rows->list[i].name);
		free(rows->list[i].of_vcpu);
	}
	free(rows->list);
}

static u32 nr_of(const struct json *array)
{
	return array && array->type == JSON_ARRAY ? array->nr : 0;
}

static void take_vcpu(struct view *v, const struct json *vcpu, u32 id)
{
	const struct json *name = vcpu + 1;

	if (vcpu->type != JSON_OBJECT)
		return;
	for (u32 i = 0; i < vcpu->nr; i++, name = json_next(name + 1)) {
		struct row *r = row_named(&v->exits, name->text, v->nr_vcpus);

		r->of_vcpu[id] = json_number(name + 1, 0);
		r->reads += r->of_vcpu[id];
	}
}

static void take(struct view *v, const struct json *result)
{
	const struct json *vcpus = json_member(result, "vcpus");
	const struct json *devices = json_member(result, "devices"), *item;

	/* A machine does not change their number. */
	if (!v->nr_vcpus)
		v->nr_vcpus = nr_of(vcpus);
	v->before_ms = v->uptime_ms;
	v->uptime_ms = json_number(json_member(result, "uptime_ms"), 0);
	snprintf(v->state, sizeof(v->state), "%s",
		 json_text(json_member(result, "state"), "running"));
	begin_rows(&v->exits);
	begin_rows(&v->devices);
	item = vcpus;
	for (u32 i = 0; i < MIN(nr_of(vcpus), v->nr_vcpus); i++) {
		item = i ? json_next(item) : json_first(vcpus);
		take_vcpu(v, item, i);
	}
	item = devices;
	for (u32 i = 0; i < nr_of(devices); i++) {
		const char *name;
		struct row *r;

		item = i ? json_next(item) : json_first(devices);
		name = json_text(json_member(item, "name"), "?");
		/* It may have ports and memory. */
		r = row_named(&v->devices, name, v->nr_vcpus);
		r->reads += json_number(json_member(item, "reads"), 0);
		r->writes += json_number(json_member(item, "writes"), 0);
	}
}

/* Showing */

static u64 total(const struct row *r)
{
	return r->reads + r->writes;
}

/* What came since it was shown last, else ever: the most first. */
static int compare(const void *a, const void *b)
{
	const struct row *x = a, *y = b;
	u64 nx = total(x) - x->before, ny = total(y) - y->before;

	if (nx != ny)
		return nx < ny ? 1 : -1;
	if (total(x) != total(y))
		return total(x) < total(y) ? 1 : -1;
	return strcmp(x->name, y->name);
}

/* A second's, of what came in the time between. */
static void print_rate(const struct view *v, u64 came)
{
	u64 ms = v->uptime_ms - v->before_ms;

	if (v->before_ms && ms)
		printf("%*llu", NUMBER_WIDTH, came * 1000 / ms);
}

static void print_exits(struct view *v, u32 columns)
{
	u32 shown = MIN(v->nr_vcpus, columns);

	printf("%-*s%*s", FIRST_WIDTH, "EXITS", NUMBER_WIDTH, "TOTAL");
	if (v->before_ms)
		printf("%*s", NUMBER_WIDTH, "A SECOND");
	for (u32 i = 0; i < shown && v->nr_vcpus > 1; i++)
		printf("%*s%-4u", NUMBER_WIDTH - 4, "VCPU", i);
	putchar('\n');
	for (u32 i = 0; i < v->exits.nr; i++) {
		const struct row *r = &v->exits.list[i];

		printf("%-*s%*llu", FIRST_WIDTH, r->name, NUMBER_WIDTH, total(r));
		print_rate(v, total(r) - r->before);
		for (u32 k = 0; k < shown && v->nr_vcpus > 1; k++)
			printf("%*llu", NUMBER_WIDTH, r->of_vcpu[k]);
		putchar('\n');
	}
}

static void print_devices(struct view *v, u32 max)
{
	printf("\n%-*s%*s%*s", FIRST_WIDTH, "DEVICES", NUMBER_WIDTH, "READS", NUMBER_WIDTH,
	       "WRITES");
	if (v->before_ms)
		printf("%*s", NUMBER_WIDTH, "A SECOND");
	putchar('\n');
	for (u32 i = 0; i < MIN(v->devices.nr, max); i++) {
		const struct row *r = &v->devices.list[i];

		printf("%-*s%*llu%*llu", FIRST_WIDTH, r->name, NUMBER_WIDTH, r->reads, NUMBER_WIDTH,
		       r->writes);
		print_rate(v, total(r) - r->before);
		putchar('\n');
	}
}

static void show(struct view *v, const char *name, bool live)
{
	struct winsize size = { .ws_row = UINT16_MAX, .ws_col = UINT16_MAX };
	u32 lines, columns;
	u64 all = 0;

	if (live && (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || !size.ws_row || !size.ws_col))
		size = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	qsort(v->exits.list, v->exits.nr, sizeof(struct row), compare);
	qsort(v->devices.list, v->devices.nr, sizeof(struct row), compare);
	for (u32 i = 0; i < v->exits.nr; i++)
		all += total(&v->exits.list[i]);
	if (live)
		fputs("\033[H\033[J", stdout);
	printf("%s: %s, up %llu.%01llu s, %u vcpus, %llu exits to lkvm\n\n", name, v->state,
	       v->uptime_ms / 1000, v->uptime_ms % 1000 / 100, v->nr_vcpus, all);
	lines = v->exits.nr + 6;
	columns = (size.ws_col - MIN((u32)size.ws_col, (u32)(FIRST_WIDTH + 2 * NUMBER_WIDTH))) /
		  NUMBER_WIDTH;
	print_exits(v, columns);
	if (lines < size.ws_row)
		print_devices(v, size.ws_row - lines);
	fflush(stdout);
}

int stat_show_exits(struct control_link *link, u32 seconds)
{
	const struct timespec pause = { .tv_sec = seconds };
	struct view view = { 0 };
	bool live = seconds && isatty(STDOUT_FILENO);
	int ret;

	for (;;) {
		const struct json *result;

		ret = control_ask(link, "exits", NULL, &result);
		if (ret)
			break;
		take(&view, result);
		show(&view, link->name, live);
		if (!seconds || ferror(stdout))
			break;
		nanosleep(&pause, NULL);
	}
	free_rows(&view.exits);
	free_rows(&view.devices);
	return ret;
}
