/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that whoever started us left open. A lock, a pipe or a socket of a script would live
 * as long as the VM, and a guest that breaks out would find them. What an option names is kept: by
 * whatever name, /dev/fd/3 or <(...) of a shell, it is the same file.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/options.h"
#include "lkvm/util.h"

/* Since Linux 5.9; the same number everywhere. The C library's function may be missing. */
#ifndef SYS_close_range
#define SYS_close_range 436
#endif

/* Where descriptors are searched for one by one. */
#define MAX_NUMBER 4096

struct named {
	const struct option_set *set;
	const void *target;
	const char *extra;
	bool collected;
	struct stat *files;
	u32 nr;
};

static void add_file(struct named *n, const char *path)
{
	struct stat st;

	if (!path || stat(path, &st))
		return;
	n->files = xrealloc(n->files, (n->nr + (size_t)1) * sizeof(*n->files));
	n->files[n->nr++] = st;
}

/* Only when a descriptor is there to be judged: a name may be on slow storage. */
static void collect(struct named *n)
{
	n->collected = true;
	add_file(n, n->extra);
	for_each_option(c, n->set)
	{
		const char *path;

		if (!(c.opt->flags & OPT_PATH) || !option_is_here(&c))
			continue;
		for (u32 i = 0; (path = option_path(&c, n->target, i)); i++)
			add_file(n, path);
	}
}

/* By its number. */
static bool is_wanted(const struct named *n, int fd)
{
	for_each_option(c, n->set)
	{
		if (option_is_here(&c) && option_names_fd(&c, n->target, fd))
			return true;
	}
	return false;
}

static bool is_named(struct named *n, int fd)
{
	struct stat st;

	if (is_wanted(n, fd))
		return true;
	if (!n->collected)
		collect(n);
	if (fstat(fd, &st))
		return false;
	for (u32 i = 0; i < n->nr; i++) {
		if (n->files[i].st_dev == st.st_dev && n->files[i].st_ino == st.st_ino)
			return true;
	}
	return false;
}

/* What is closed at exec came after it: a library that was loaded in front has opened it. */
static void judge(struct named *n, int fd)
{
	int flags = fcntl(fd, F_GETFD);

	if (flags < 0 || (flags & FD_CLOEXEC))
		return;
	if (!is_named(n, fd))
		close(fd);
	else if (fcntl(fd, F_SETFD, flags | FD_CLOEXEC))
		debug("descriptor %d: cannot be marked close-on-exec: %s", fd, strerror(errno));
}

/* Since Linux 6.2 the size of the folder is how many are open, and the first three are. */
static bool nothing_else_open(void)
{
	struct stat st;

	return !stat("/proc/self/fd", &st) && st.st_size == STDERR_FILENO + 1;
}

/* All but those whose numbers are given. */
static void close_between(const struct named *n)
{
	unsigned int from = STDERR_FILENO + 1, fd;
	long ret = 0;

	for (fd = from; fd < MAX_NUMBER; fd++) {
		if (!is_wanted(n, (int)fd))
			continue;
		if (fd > from)
			ret |= syscall(SYS_close_range, from, fd - 1, 0);
		from = fd + 1;
	}
	if (ret | syscall(SYS_close_range, from, ~0U, 0))
		debug("descriptors of the caller stay open: neither /proc nor close_range");
}

void options_close_others(const struct option_set *set, const void *target, const char *extra)
{
	struct named n = { .set = set, .target = target, .extra = extra };
	struct dirent *entry;
	DIR *dir;

	if (nothing_else_open())
		return;
	dir = opendir("/proc/self/fd");
	/* Without /proc no name is a descriptor's. */
	if (!dir) {
		close_between(&n);
		return;
	}
	while ((entry = readdir(dir))) {
		u64 fd;

		if (!parse_u64(entry->d_name, &fd) && fd > STDERR_FILENO)
			judge(&n, (int)fd);
	}
	closedir(dir);
	free(n.files);
}
