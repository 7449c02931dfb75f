/* SPDX-License-Identifier: MIT */
/*
 * modules.dep has a line for each module, "PATH: PATH...", and modules.builtin a path for each that
 * is in the kernel (depmod(8), Linux Documentation/kbuild/kbuild.rst). A module is called what its
 * file is called, with no difference between '-' and '_'.
 */
#include "modules.h"

#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "file.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define LIST_MAX (64 * MiB) /* a distribution's with all modules has 1 MiB */

static bool has_file(const char *dir, const char *name)
{
	char *path = xasprintf("%s/%s", dir, name);
	bool there = !access(path, R_OK);

	free(path);
	return there;
}

bool modules_are_in(const char *dir)
{
	return has_file(dir, "modules.dep") || has_file(dir, "modules.builtin");
}

/* A list that is missing is empty. */
static int read_list(const char *dir, const char *name, char **text)
{
	char *path = xasprintf("%s/%s", dir, name);
	size_t len;
	u8 *data;
	int ret = file_read(path, LIST_MAX, &data, &len);

	if (!ret)
		*text = (char *)data;
	else if (ret == -ENOENT)
		ret = 0;
	else
		err("--modules %s: cannot read: %s", path, strerror(-ret));
	free(path);
	return ret;
}

int modules_open(struct modules *m, const char *dir)
{
	int ret;

	memset(m, 0, sizeof(*m));
	if (!dir)
		return 0;
	m->dir = xstrdup(dir);
	ret = read_list(dir, "modules.dep", &m->dep);
	return ret ? ret : read_list(dir, "modules.builtin", &m->builtin);
}

void modules_close(struct modules *m)
{
	free(m->dir);
	free(m->dep);
	free(m->builtin);
	memset(m, 0, sizeof(*m));
}

/* The path that begins at @line: what is before ':' or blanks. */
static struct module_path path_at(const char *line)
{
	return (struct module_path){ line, strcspn(line, ": \t\n") };
}

static const char *next_line(const char *line)
{
	const char *end = strchr(line, '\n');

	return end ? end + 1 : NULL;
}

static char fold(char c)
{
	return c == '-' ? '_' : c;
}

/* Is it the file of the module @name: DIRS/NAME.ko, or that with the name of a packer after it? */
static bool is_called(const struct module_path *p, const char *name)
{
	const char *file = memrchr(p->path, '/', p->len);
	size_t len, name_len = strlen(name);

	file = file ? file + 1 : p->path;
	len = p->len - (size_t)(file - p->path);
	if (len < name_len + 3 || memcmp(file + name_len, ".ko", 3) != 0 ||
	    (len > name_len + 3 && file[name_len + 3] != '.'))
		return false;
	for (size_t i = 0; i < name_len; i++)
		if (fold(file[i]) != fold(name[i]))
			return false;
	return true;
}

static const char *find_name(const char *list, const char *name)
{
	for (const char *line = list; line && *line; line = next_line(line)) {
		struct module_path p = path_at(line);

		if (is_called(&p, name))
			return line;
	}
	return NULL;
}

static bool is_same(const struct module_path *a, const struct module_path *b)
{
	return a->len == b->len && !memcmp(a->path, b->path, a->len);
}

static const char *find_path(const char *list, const struct module_path *p)
{
	for (const char *line = list; line && *line; line = next_line(line)) {
		struct module_path here = path_at(line);

		if (is_same(&here, p))
			return line;
	}
	return NULL;
}

/* A list of nothing is one that somebody left out: every kernel has something built in. */
bool modules_know(const struct modules *m)
{
	return m->builtin && *m->builtin;
}

bool modules_have(const struct modules *m, const char *name)
{
	return !modules_know(m) || find_name(m->builtin, name) || find_name(m->dep, name);
}

/* Does it stay in the directory? */
static bool is_below(const struct module_path *p)
{
	size_t part = 0;

	for (size_t i = 0; i <= p->len; i++) {
		const char *start = p->path + i - part;

		if (i < p->len && p->path[i] != '/') {
			part++;
			continue;
		}
		if (!part || (part == 1 && *start == '.') || (part == 2 && !memcmp(start, "..", 2)))
			return false;
		part = 0;
	}
	return p->len < PATH_MAX;
}

static bool is_seen(const struct modules *m, const struct module_path *p)
{
	for (u32 i = 0; i < m->nr_seen; i++)
		if (is_same(&m->seen[i], p))
			return true;
	return false;
}

static int add(struct modules *m, struct module_path p, const char *line);

/* The words after ':' in @line, which is NULL for a module without one: it depends on nothing. */
static int add_needed(struct modules *m, const char *line)
{
	const char *word = line ? line + path_at(line).len : "";
	int ret = 0;

	word += *word == ':';
	while (!ret && *(word += strspn(word, " \t")) && *word != '\n') {
		struct module_path p = path_at(word);

		if (!is_seen(m, &p))
			ret = add(m, p, find_path(m->dep, &p));
		word += p.len ? p.len : 1;
	}
	return ret;
}

/* Whose dependencies are under way is seen already: a circle ends there. */
static int add(struct modules *m, struct module_path p, const char *line)
{
	u16 index = (u16)m->nr_seen;
	int ret;

	if (!is_below(&p)) {
		err("--modules %s: modules.dep has a path that leads out of there: %.*s; run "
		    "depmod "
		    "again",
		    m->dir, (int)MIN(p.len, (size_t)100), p.path);
		return -EINVAL;
	}
	if (m->nr_seen == MODULES_MAX) {
		err("--modules %s: more than %u modules depend on each other; run depmod again",
		    m->dir, MODULES_MAX);
		return -E2BIG;
	}
	m->seen[m->nr_seen++] = p;
	ret = add_needed(m, line);
	if (!ret)
		m->order[m->nr_order++] = index;
	return ret;
}

int modules_want(struct modules *m, const char *name)
{
	const char *line = m->dir && !find_name(m->builtin, name) ? find_name(m->dep, name) : NULL;
	struct module_path p;

	if (!line)
		return 0;
	p = path_at(line);
	return is_seen(m, &p) ? 0 : add(m, p, line);
}
