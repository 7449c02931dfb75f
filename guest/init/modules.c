/* SPDX-License-Identifier: MIT */
/* Kernel modules, in the order in which lkvm lists them (include/lkvm/guest-init.h). */
#include <linux/fcntl.h>
#include <linux/module.h>

#include "init.h"
#include "lkvm/guest-init.h"

static char hint[160];

static const char *base_name(const char *path)
{
	const char *base = path;

	for (; *path; path++)
		if (*path == '/')
			base = path + 1;
	return base;
}

/* 0 or a negative errno. */
static long load(const char *path)
{
	bool packed = ends(path, ".xz") || ends(path, ".gz") || ends(path, ".zst");
	long fd = sys(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC), ret;

	if (fd < 0)
		return fd;
	ret = sys(finit_module, fd, "", packed ? MODULE_INIT_COMPRESSED_FILE : 0);
	sys(close, fd);
	return ret == -EEXIST || ret == -ENODEV ? 0 : ret;
}

void modules_load(void)
{
	size_t len;
	char *p = map_file(GUEST_INIT_MODULES, &len), *last = p + len;

	while (p && p < last) {
		char *line = p;
		long ret;

		while (p < last && *p != '\n')
			p++;
		/* Without its end it would be no string. */
		if (p == last)
			break;
		*p++ = '\0';
		ret = *line ? load(line) : 0;
		if (!ret)
			continue;
		say("cannot load the module %s: %s", base_name(line), error_text(-ret));
		if (!*hint)
			format(hint, sizeof(hint), "; its module %s could not be loaded: %s",
			       base_name(line), error_text(-ret));
	}
}

const char *modules_hint(void)
{
	return hint;
}
