/* SPDX-License-Identifier: MIT */
/*
 * Limits of control groups (Linux Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst,
 * scheduler/sched-bwc.rst). /proc/self/cgroup names the group as it is seen from the namespace,
 * /proc/self/mountinfo what part of the tree is mounted where: in a container neither need be "/".
 */
#include "lkvm/cgroup.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/scan.h"
#include "lkvm/util.h"

/* What version 1 says for "no limit": LONG_MAX rounded down to pages. */
#define V1_UNLIMITED (1ULL << 62)

struct reader {
	const char *root;
	struct cgroup_limits *limits;
};

typedef void (*read_fn)(struct reader *r, const char *dir);

/* A hierarchy: whose line it is in /proc/self/cgroup, and what it says. */
struct hierarchy {
	const char *type, *controller; /* version 2 has no controller there */
	read_fn read;
};

/* The first line of @dir/@name. */
static bool read_line(const struct reader *r, const char *dir, const char *name, char *buf,
		      size_t len)
{
	char *path = xasprintf("%s%s/%s", r->root, dir, name);
	FILE *f = fopen(path, "re");
	bool ok = f && fgets(buf, (int)len, f);

	if (f)
		fclose(f);
	free(path);
	if (ok)
		buf[strcspn(buf, "\n")] = '\0';
	return ok;
}

static void limit_memory(struct reader *r, u64 bytes, const char *dir, const char *name)
{
	struct cgroup_limits *l = r->limits;

	if (bytes >= V1_UNLIMITED || (l->memory && l->memory <= bytes))
		return;
	l->memory = MAX(bytes, 1ULL);
	snprintf(l->memory_file, sizeof(l->memory_file), "%s/%s", dir, name);
}

static void memory_file(struct reader *r, const char *dir, const char *name)
{
	char line[64];
	u64 bytes;

	/* "max" is not a number. */
	if (read_line(r, dir, name, line, sizeof(line)) && !parse_u64(line, &bytes))
		limit_memory(r, bytes, dir, name);
}

static void limit_cpus(struct reader *r, u64 quota, u64 period)
{
	struct cgroup_limits *l = r->limits;
	u64 cpus = period ? (quota + period - 1) / period : UINT32_MAX;

	if (cpus < UINT32_MAX && (!l->cpus || cpus < l->cpus))
		l->cpus = (u32)MAX(cpus, 1ULL);
}

static void read_v2(struct reader *r, const char *dir)
{
	const char *s;
	u64 quota, period;
	char line[64];

	memory_file(r, dir, "memory.max");
	/* Beyond this one a guest crawls. */
	memory_file(r, dir, "memory.high");
	s = line;
	if (read_line(r, dir, "cpu.max", line, sizeof(line)) && scan_u64(&s, 10, &quota) &&
	    scan_u64(&s, 10, &period))
		limit_cpus(r, quota, period);
}

static void read_v1_memory(struct reader *r, const char *dir)
{
	char *path = xasprintf("%s%s/memory.stat", r->root, dir), line[128];
	FILE *f = fopen(path, "re");
	u64 bytes;

	memory_file(r, dir, "memory.limit_in_bytes");
	/* It knows of groups above those that are mounted here, too. */
	while (f && fgets(line, sizeof(line), f)) {
		const char *s = line;

		if (scan_text(&s, "hierarchical_memory_limit ") && scan_u64(&s, 10, &bytes))
			limit_memory(r, bytes, dir, "memory.stat");
	}
	if (f)
		fclose(f);
	free(path);
}

static void read_v1_cpu(struct reader *r, const char *dir)
{
	char quota_line[64], period_line[64];
	u64 quota, period;

	/* Without a quota it is -1. */
	if (read_line(r, dir, "cpu.cfs_quota_us", quota_line, sizeof(quota_line)) &&
	    read_line(r, dir, "cpu.cfs_period_us", period_line, sizeof(period_line)) &&
	    !parse_u64(quota_line, &quota) && !parse_u64(period_line, &period))
		limit_cpus(r, quota, period);
}

static const struct hierarchy hierarchies[] = {
	{ "cgroup2", "", read_v2 },
	{ "cgroup", "memory", read_v1_memory },
	{ "cgroup", "cpu", read_v1_cpu },
};

/* Is @word one of those in the comma-separated @list? */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word);

	for (;;) {
		size_t n = strcspn(list, ",\n");

		if (n == len && !memcmp(list, word, len))
			return true;
		if (list[n] != ',')
			return false;
		list += n + 1;
	}
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* The kernel writes blanks, tabs, line ends and backslashes as \ooo (proc_pid_mountinfo(5)). */
static void unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (*s == '\\' && is_octal(s[1]) && is_octal(s[2]) && is_octal(s[3])) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* Read the group @path, of a hierarchy whose group @top is mounted at @mount, and those above. */
static void walk(struct reader *r, read_fn fn, const char *mount, const char *top, const char *path)
{
	size_t len = strcmp(top, "/") ? strlen(top) : 0, fixed = strlen(mount);
	const char *rest = path + len;
	char *dir, *slash;

	/* A group beside the one that is mounted: what is here is all that can be seen. */
	if (strncmp(path, top, len) != 0 || (*rest && *rest != '/') || !strncmp(rest, "/..", 3))
		rest = "";
	dir = xasprintf("%s%s", mount, strcmp(rest, "/") ? rest : "");
	for (;;) {
		fn(r, dir);
		slash = strrchr(dir + fixed, '/');
		if (!slash)
			break;
		*slash = '\0';
	}
	free(dir);
}

/* Each mount of @h, one line of mountinfo: ID PARENT DEV TOP MOUNT OPTIONS ... - TYPE FROM OPTIONS
 */
static void read_mounts(struct reader *r, const struct hierarchy *h, const char *path)
{
	char *file = xasprintf("%s/proc/self/mountinfo", r->root), *line = NULL;
	FILE *f = fopen(file, "re");
	size_t size = 0;

	free(file);
	while (f && getline(&line, &size, f) >= 0) {
		char top[PATH_MAX], mount[PATH_MAX], type[32], options[512];
		const char *s = line, *tail = strstr(line, " - ");

		if (!tail || !scan_skip(&s, 3) || !scan_word(&s, top, sizeof(top)) ||
		    !scan_word(&s, mount, sizeof(mount)))
			continue;
		tail += 3;
		if (!scan_word(&tail, type, sizeof(type)) || !scan_skip(&tail, 1) ||
		    !scan_word(&tail, options, sizeof(options)) || strcmp(type, h->type) != 0 ||
		    (*h->controller && !has_word(options, h->controller)))
			continue;
		unescape(top);
		unescape(mount);
		walk(r, h->read, mount, top, path);
	}
	free(line);
	if (f)
		fclose(f);
}

/* One line of /proc/self/cgroup: "0::PATH", or "ID:CONTROLLERS:PATH" of version 1. */
static void read_group(struct reader *r, char *line)
{
	char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

	if (!path)
		return;
	*path++ = '\0';
	path[strcspn(path, "\n")] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(hierarchies); i++)
		if (has_word(list + 1, hierarchies[i].controller))
			read_mounts(r, &hierarchies[i], path);
}

void cgroup_read(const char *root, struct cgroup_limits *limits)
{
	struct reader r = { .root = root, .limits = limits };
	char *path = xasprintf("%s/proc/self/cgroup", root), *line = NULL;
	FILE *f = fopen(path, "re");
	size_t size = 0;

	memset(limits, 0, sizeof(*limits));
	free(path);
	while (f && getline(&line, &size, f) >= 0)
		read_group(&r, line);
	free(line);
	if (f)
		fclose(f);
}
