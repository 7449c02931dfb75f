/* SPDX-License-Identifier: MIT */
/*
 * What a program needs is what its loader says (`ld.so --list`, of glibc and musl alike, which does
 * not run it): so every rule of where libraries lie is followed. A script needs its interpreter.
 */
#include "closure.h"

#include <elf.h>
#include <limits.h>
#include <stdlib.h>
#include <unistd.h>

#include "../config-items.h"
#include "cpio.h"
#include "file.h"
#include "lkvm/child.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define FILE_MAX  (512 * MiB)
#define LIST_MAX  (64 * KiB) /* of a loader */
#define PATHS_MAX 1024
#define DEPTH_MAX 8 /* interpreters of scripts, and loaders */

/* True: it is new. */
static bool is_new(struct closure *cl, const char *path)
{
	for (u32 i = 0; i < cl->nr_paths; i++)
		if (!strcmp(cl->paths[i], path))
			return false;
	cl->paths = config_grow(cl->paths, &cl->nr_paths, sizeof(*cl->paths));
	cl->paths[cl->nr_paths - 1] = xstrdup(path);
	return true;
}

void closure_free(struct closure *cl)
{
	for (u32 i = 0; i < cl->nr_paths; i++)
		free(cl->paths[i]);
	free(cl->paths);
	*cl = (struct closure){ 0 };
}

void closure_add_dir(struct closure *cl, const char *path)
{
	char *copy = xstrdup(path);

	for (char *p = copy + 1; *copy == '/' && *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (p[-1] != '/' && is_new(cl, copy))
			cpio_dir(cl->cpio, copy, 0755);
		*p = '/';
	}
	if (copy[1] && is_new(cl, copy))
		cpio_dir(cl->cpio, copy, 0755);
	free(copy);
}

static void add_dirs_above(struct closure *cl, const char *path)
{
	char *dir = xasprintf("%.*s", (int)(strrchr(path, '/') - path), path);

	if (*dir)
		closure_add_dir(cl, dir);
	free(dir);
}

static int add_path(struct closure *cl, const char *path, u32 depth) __must_check;

/* Each word of the loader's list that is a path. */
static int add_listed(struct closure *cl, char *list, u32 depth)
{
	int ret = 0;

	for (char *save = NULL, *w = strtok_r(list, " \t\n", &save); w && !ret;
	     w = strtok_r(NULL, " \t\n", &save))
		if (*w == '/')
			ret = add_path(cl, w, depth);
	return ret;
}

static int add_needed(struct closure *cl, const char *path, const char *loader, u32 depth)
{
	char *argv[] = { (char *)loader, (char[]){ "--list" }, (char *)path, NULL };
	size_t len;
	u8 *list;
	int ret = add_path(cl, loader, depth);

	if (ret)
		return ret;
	ret = file_read_output(argv, "/dev/null", LIST_MAX, &list, &len);
	if (ret) {
		err("%s: its loader %s does not say what it needs: %s", path, loader,
		    strerror(-ret));
		return ret;
	}
	ret = add_listed(cl, (char *)list, depth);
	free(list);
	return ret;
}

/* The loader's path in a 64-bit program, in @data, which a NUL follows; NULL: it needs none. */
static const char *find_loader(const u8 *data, size_t len)
{
	Elf64_Ehdr e;
	Elf64_Phdr ph;

	if (len < sizeof(e) || memcmp(data, ELFMAG, SELFMAG) != 0 || data[EI_CLASS] != ELFCLASS64)
		return NULL;
	memcpy(&e, data, sizeof(e));
	for (u32 i = 0; i < e.e_phnum; i++) {
		u64 at = e.e_phoff + (u64)i * sizeof(ph);

		if (!range_within(at, sizeof(ph), 0, len))
			return NULL;
		memcpy(&ph, data + at, sizeof(ph));
		if (ph.p_type != PT_INTERP)
			continue;
		if (!ph.p_filesz || !range_within(ph.p_offset, ph.p_filesz, 0, len) ||
		    data[ph.p_offset] != '/' || data[ph.p_offset + ph.p_filesz - 1])
			return NULL;
		return (const char *)data + ph.p_offset;
	}
	return NULL;
}

/* "#!INTERPRETER ARGUMENT": with env(1), what that starts too. */
static int add_interpreter(struct closure *cl, u8 *script, u32 depth)
{
	char *line = (char *)script + 2, *save = NULL, *word, *program;
	int ret;

	line[strcspn(line, "\n")] = '\0';
	word = strtok_r(line, " \t", &save);
	if (!word || *word != '/')
		return 0;
	ret = add_path(cl, word, depth);
	program = strtok_r(NULL, " \t", &save);
	if (ret || !program || *program == '-' || strcmp(strrchr(word, '/'), "/env") != 0)
		return ret;
	program = child_find(program, NULL);
	if (program)
		ret = add_path(cl, program, depth);
	free(program);
	return ret;
}

static int add_path(struct closure *cl, const char *path, u32 depth)
{
	const char *loader;
	size_t len;
	u8 *data;
	int ret;

	if (cl->nr_paths >= PATHS_MAX || depth > DEPTH_MAX || strlen(path) >= PATH_MAX) {
		err("%.100s: too much is needed to run it in the guest; use a kernel with 9P",
		    path);
		return -E2BIG;
	}
	add_dirs_above(cl, path);
	if (!is_new(cl, path))
		return 0;
	ret = file_read(path, FILE_MAX, &data, &len);
	if (ret) {
		err("%s: cannot read, and the guest needs it: %s", path, strerror(-ret));
		return ret;
	}
	cpio_file(cl->cpio, path, 0755, data, len);
	loader = find_loader(data, len);
	if (loader)
		ret = add_needed(cl, path, loader, depth + 1);
	else if (len > 2 && !memcmp(data, "#!", 2))
		ret = add_interpreter(cl, data, depth + 1);
	free(data);
	return ret;
}

int closure_add_program(struct closure *cl, const char *name)
{
	char *path = child_find(name, NULL), *cwd = getcwd(NULL, 0), *full;
	int ret;

	if (!path) {
		err("the command '%s': is not on this host, from which the guest gets it", name);
		free(cwd);
		return -ENOENT;
	}
	full = *path == '/' || !cwd ? xstrdup(path) : xasprintf("%s/%s", cwd, path);
	ret = add_path(cl, full, 0);
	free(full);
	free(path);
	free(cwd);
	return ret;
}

int closure_add_shell(struct closure *cl)
{
	char *busybox = child_find("busybox", NULL);
	int ret;

	if (!busybox)
		return closure_add_program(cl, "/bin/sh");
	ret = add_path(cl, busybox, 0);
	closure_add_dir(cl, "/bin");
	if (!ret && is_new(cl, "/bin/sh"))
		cpio_symlink(cl->cpio, "/bin/sh", busybox);
	free(busybox);
	return ret;
}
