/* SPDX-License-Identifier: MIT */
/*
 * Limits of control groups (Linux Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst,
 * scheduler/sched-bwc.rst). /proc/self/cgroup names the group as it is seen from the namespace,
 * /proc/self/mountinfo what part of the tree is mounted where: in a container neither need be "/".
 */
#include "lkvm/cgroup.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/scan.h"
#include "lkvm/util.h"

/* What version 1 says for "no limit": LONG_MAX rounded down to pages. */
#define V1_UNLIMITED (1ULL << 62)

#define FILE_ROOM 8192 /* memory.stat has the most */

enum { V2, V1_MEMORY, V1_CPU, NR_HIERARCHIES };

struct reader {
	const char *root;
	unsigned int what; /* CGROUP_* */
	struct cgroup_limits *limits;
	char *path[NR_HIERARCHIES]; /* of the group, as /proc/self/cgroup has it; NULL: not asked */
};

/* A hierarchy: whose line it is in /proc/self/cgroup, where it is mounted nearly everywhere, a file
 * that its groups have, and what it says. False: no group above can say more. */
struct hierarchy {
	const char *type, *controller; /* version 2 has no controller there */
	const char *mount, *file;
	bool (*read)(struct reader *r, const char *dir);
};

/* The text of @dir/@name in @buf, or NULL. */
static char *read_text(const struct reader *r, const char *dir, const char *name, char *buf,
		       size_t room)
{
	char *path = xasprintf("%s%s/%s", r->root, dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	ssize_t n = -1;

	free(path);
	if (fd < 0)
		return NULL;
	while (len < room - 1 && (n = read(fd, buf + len, room - 1 - len)) > 0) {
		len += (size_t)n;
		/* The kernel writes short ones in one piece. */
		if (len < 256 && buf[len - 1] == '\n')
			break;
	}
	close(fd);
	buf[len] = '\0';
	return len || !n ? buf : NULL;
}

static void limit_memory(struct reader *r, u64 bytes, const char *dir, const char *name)
{
	struct cgroup_limits *l = r->limits;

	if (bytes >= V1_UNLIMITED || (l->memory && l->memory <= bytes))
		return;
	l->memory = MAX(bytes, 1ULL);
	snprintf(l->memory_file, sizeof(l->memory_file), "%s/%s", dir, name);
}

/* A number and nothing else: "max" is none. */
static bool number_of(const struct reader *r, const char *dir, const char *name, u64 *value)
{
	char text[64];

	if (!read_text(r, dir, name, text, sizeof(text)))
		return false;
	text[strcspn(text, "\n")] = '\0';
	return !parse_u64(text, value);
}

static void memory_file(struct reader *r, const char *dir, const char *name)
{
	u64 bytes;

	if (number_of(r, dir, name, &bytes))
		limit_memory(r, bytes, dir, name);
}

static void limit_cpus(struct reader *r, u64 quota, u64 period)
{
	struct cgroup_limits *l = r->limits;
	u64 cpus = period ? (quota + period - 1) / period : UINT32_MAX;

	if (cpus < UINT32_MAX && (!l->cpus || cpus < l->cpus))
		l->cpus = (u32)MAX(cpus, 1ULL);
}

static bool read_v2(struct reader *r, const char *dir)
{
	char text[64];
	const char *s = text;
	u64 quota, period;

	/* A controller that version 1 has is not here. */
	if ((r->what & CGROUP_MEMORY) && !r->path[V1_MEMORY]) {
		memory_file(r, dir, "memory.max");
		/* Beyond this one a guest crawls. */
		memory_file(r, dir, "memory.high");
	}
	if ((r->what & CGROUP_CPUS) && !r->path[V1_CPU] &&
	    read_text(r, dir, "cpu.max", text, sizeof(text)) && scan_u64(&s, 10, &quota) &&
	    scan_u64(&s, 10, &period))
		limit_cpus(r, quota, period);
	return true;
}

static bool read_v1_memory(struct reader *r, const char *dir)
{
	static const char key[] = "hierarchical_memory_limit ";
	char stat[FILE_ROOM], *all = read_text(r, dir, "memory.stat", stat, sizeof(stat));
	char *line = all ? strstr(all, key) : NULL;
	u64 bytes = 0;

	/* It knows of all groups above, those too that are not mounted here. */
	if (line) {
		line += sizeof(key) - 1;
		line[strcspn(line, "\n")] = '\0';
		if (parse_u64(line, &bytes))
			line = NULL;
	}
	if (line && bytes >= V1_UNLIMITED)
		return false;
	memory_file(r, dir, "memory.limit_in_bytes");
	if (line)
		limit_memory(r, bytes, dir, "memory.stat");
	return !line;
}

static bool read_v1_cpu(struct reader *r, const char *dir)
{
	u64 quota, period;

	/* Without a quota it is -1. */
	if (number_of(r, dir, "cpu.cfs_quota_us", &quota) &&
	    number_of(r, dir, "cpu.cfs_period_us", &period))
		limit_cpus(r, quota, period);
	return true;
}

static const struct hierarchy hierarchies[NR_HIERARCHIES] = {
	[V2] = { "cgroup2", "", "/sys/fs/cgroup", "cgroup.controllers", read_v2 },
	[V1_MEMORY] = { "cgroup", "memory", "/sys/fs/cgroup/memory", "memory.stat",
			read_v1_memory },
	[V1_CPU] = { "cgroup", "cpu", "/sys/fs/cgroup/cpu", "cpu.cfs_quota_us", read_v1_cpu },
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
static void walk(struct reader *r, const struct hierarchy *h, const char *mount, const char *top,
		 const char *path)
{
	size_t len = strcmp(top, "/") ? strlen(top) : 0, fixed = strlen(mount);
	const char *rest = path + len;
	char *dir, *slash;

	/* A group beside the one that is mounted: what is here is all that can be seen. */
	if (strncmp(path, top, len) != 0 || (*rest && *rest != '/') || !strncmp(rest, "/..", 3))
		rest = "";
	dir = xasprintf("%s%s", mount, strcmp(rest, "/") ? rest : "");
	while (h->read(r, dir)) {
		slash = strrchr(dir + fixed, '/');
		if (!slash)
			break;
		*slash = '\0';
	}
	free(dir);
}

/* One line of mountinfo: ID PARENT DEV TOP MOUNT OPTIONS ... - TYPE FROM OPTIONS */
static void read_mount(struct reader *r, char *line, const bool wanted[NR_HIERARCHIES])
{
	char top[PATH_MAX], mount[PATH_MAX], type[32], options[512];
	const char *s = line, *tail = strstr(line, " - cgroup");

	if (!tail || !scan_skip(&s, 3) || !scan_word(&s, top, sizeof(top)) ||
	    !scan_word(&s, mount, sizeof(mount)) || !scan_skip(&tail, 1) ||
	    !scan_word(&tail, type, sizeof(type)) || !scan_skip(&tail, 1) ||
	    !scan_word(&tail, options, sizeof(options)))
		return;
	unescape(top);
	unescape(mount);
	for (size_t i = 0; i < NR_HIERARCHIES; i++) {
		const struct hierarchy *h = &hierarchies[i];

		if (wanted[i] && !strcmp(type, h->type) &&
		    (!*h->controller || has_word(options, h->controller)))
			walk(r, h, mount, top, r->path[i]);
	}
}

static void read_mounts(struct reader *r, const bool wanted[NR_HIERARCHIES])
{
	char *file = xasprintf("%s/proc/self/mountinfo", r->root), *line = NULL;
	FILE *f = fopen(file, "re");
	size_t size = 0;

	free(file);
	while (f && getline(&line, &size, f) >= 0)
		read_mount(r, line, wanted);
	free(line);
	if (f)
		fclose(f);
}

/* Where nearly everybody has it, the group is found without the list of mounts, which is long. */
static bool read_usual(struct reader *r, const struct hierarchy *h, const char *path)
{
	char *file = xasprintf("%s%s%s/%s", r->root, h->mount, path, h->file);
	bool found = strncmp(path, "/..", 3) != 0 && !access(file, F_OK);

	free(file);
	if (found)
		walk(r, h, h->mount, "/", path);
	return found;
}

/* One line of /proc/self/cgroup: "0::PATH", or "ID:CONTROLLERS:PATH" of version 1. */
static void note_group(struct reader *r, char *line)
{
	char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

	if (!path)
		return;
	*path++ = '\0';
	path[strcspn(path, "\n")] = '\0';
	for (size_t i = 0; i < NR_HIERARCHIES; i++)
		if (!r->path[i] && has_word(list + 1, hierarchies[i].controller))
			r->path[i] = xstrdup(path);
}

static bool is_asked(const struct reader *r, size_t i)
{
	const bool v1_memory = r->path[V1_MEMORY], v1_cpu = r->path[V1_CPU];

	switch (i) {
	case V1_MEMORY:
		return r->what & CGROUP_MEMORY;
	case V1_CPU:
		return r->what & CGROUP_CPUS;
	default:
		return ((r->what & CGROUP_MEMORY) && !v1_memory) ||
		       ((r->what & CGROUP_CPUS) && !v1_cpu);
	}
}

void cgroup_read(const char *root, unsigned int what, struct cgroup_limits *limits)
{
	struct reader r = { .root = root, .what = what, .limits = limits };
	char *path = xasprintf("%s/proc/self/cgroup", root), *line = NULL;
	FILE *f = what ? fopen(path, "re") : NULL;
	bool wanted[NR_HIERARCHIES], any = false;
	size_t size = 0;

	memset(limits, 0, sizeof(*limits));
	free(path);
	while (f && getline(&line, &size, f) >= 0)
		note_group(&r, line);
	free(line);
	if (f)
		fclose(f);
	for (size_t i = 0; i < NR_HIERARCHIES; i++) {
		wanted[i] =
			r.path[i] && is_asked(&r, i) && !read_usual(&r, &hierarchies[i], r.path[i]);
		any |= wanted[i];
	}
	if (any)
		read_mounts(&r, wanted);
	for (size_t i = 0; i < NR_HIERARCHIES; i++)
		free(r.path[i]);
}
