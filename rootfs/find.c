/* SPDX-License-Identifier: MIT */
/*
 * The modules are looked for where --modules says, else: in the directory that is to be the root;
 * beside the kernel (Fedora has it among them; a package that was unpacked has boot/ and
 * lib/modules/); where distributions install them.
 */
#include "find.h"

#include <stdlib.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "modules.h"

/* NixOS has the last two. */
static const char *const places[] = {
	"/lib/modules",
	"/usr/lib/modules",
	"/run/booted-system/kernel-modules/lib/modules",
	"/run/current-system/kernel-modules/lib/modules",
	NULL,
};

/* @path if modules are there, else NULL; takes it. */
static char *try(char *path)
{
	if (modules_are_in(path))
		return path;
	free(path);
	return NULL;
}

/* In @dir, or where modules of @release are in a tree that begins there. */
static char *try_tree(const char *dir, const char *release)
{
	static const char *const below[] = { "lib/modules/", "usr/lib/modules/", "modules/", "",
					     NULL };
	char *found = NULL;

	for (size_t i = 0; below[i] && *release && !found; i++)
		found = try(xasprintf("%s/%s%s", dir, below[i], release));
	return found;
}

static char *try_kernel(const char *kernel, const char *release)
{
	const char *slash = strrchr(kernel, '/');
	char *dir = slash ? xasprintf("%.*s", (int)(slash - kernel), kernel) : xstrdup(".");
	char *found = try(xstrdup(dir)), *above = xasprintf("%s/..", dir);

	if (!found)
		found = try_tree(dir, release);
	if (!found)
		found = try_tree(above, release);
	free(above);
	free(dir);
	return found;
}

int find_modules(const struct vm_config *cfg, const char *release, char **dir)
{
	const char *named = cfg->root.modules;

	*dir = NULL;
	if (named) {
		*dir = try(xstrdup(named));
		if (!*dir)
			*dir = try_tree(named, release);
		if (*dir)
			return 0;
		err("--modules %s: has neither modules.dep nor lib/modules/%s; name the directory "
		    "that 'make modules_install' or the kernel's package filled",
		    named, *release ? release : "RELEASE");
		return -ENOENT;
	}
	if (cfg->root.dir)
		*dir = try_tree(cfg->root.dir, release);
	if (!*dir)
		*dir = try_kernel(cfg->kernel, release);
	for (size_t i = 0; places[i] && *release && !*dir; i++)
		*dir = try(xasprintf("%s/%s", places[i], release));
	return 0;
}
