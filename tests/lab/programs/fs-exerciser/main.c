/* SPDX-License-Identifier: MIT */
/*
 * Tries what programs expect of a file system (POSIX.1-2017, Linux's manual pages), in an empty
 * directory of it: fs-exerciser DIRECTORY [seed=N] [ops=N] [entries=N] [without=NAME,...]. One line
 * for each check, "ok NAME", "skip NAME: why" or "not ok NAME: why"; exit status 1 when one failed.
 * It knows no file system; what one does not have is named after without=.
 */
#include <sys/wait.h>

#include "exerciser.h"

unsigned int ops = 2000, entries = 2000;
const char *without = "";
char why[256];
static unsigned int failed;
static uint64_t seed = 1;

uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

/* The first thing that is wrong in a check is said. */
void wrong(int line, const char *what)
{
	int error = errno;

	if (!*why)
		snprintf(why, sizeof(why), "line %d: %s (%s)", line, what, strerror(error));
}

/* Helpers */

int make(const char *name, const char *text)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

	if (fd >= 0 && write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		wrong(__LINE__, name);
	return fd;
}

void make_closed(const char *name, const char *text)
{
	int fd = make(name, text);

	MUST(fd >= 0 && !close(fd));
}

bool fd_is(int fd, const char *text)
{
	char buf[256] = "";

	return pread(fd, buf, sizeof(buf) - 1, 0) == (ssize_t)strlen(text) && !strcmp(buf, text);
}

bool file_is(const char *name, const char *text)
{
	int fd = open(name, O_RDONLY);
	bool is = fd >= 0 && fd_is(fd, text);

	if (fd >= 0)
		close(fd);
	return is;
}

struct stat stat_of(const char *name)
{
	struct stat st = { 0 };

	MUST(!lstat(name, &st));
	return st;
}

bool exists(const char *name)
{
	struct stat st;

	return !lstat(name, &st);
}

/* Run @fn in @n processes; true when all say so. */
bool in_processes(unsigned int n, bool (*fn)(unsigned int i))
{
	bool all = true;
	int status;

	for (unsigned int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(fn(i) ? 0 : 1);
		all = all && pid > 0;
	}
	while (wait(&status) > 0)
		all = all && WIFEXITED(status) && !WEXITSTATUS(status);
	return all;
}

static const struct {
	const char *name;
	void (*fn)(void);
} checks[] = {
	{ "create", check_create },
	{ "open-flags", check_open_flags },
	{ "append", check_append },
	{ "truncate", check_truncate },
	{ "sparse", check_sparse },
	{ "unlinked-open", check_unlinked_open },
	{ "unlinked-directory", check_unlinked_directory },
	{ "rename", check_rename },
	{ "rename-open", check_rename_open },
	{ "link", check_link },
	{ "symlink", check_symlink },
	{ "directory", check_directory },
	{ "deep", check_deep },
	{ "attributes", check_attributes },
	{ "chown", check_chown },
	{ "xattr", check_xattr },
	{ "special", check_special },
	{ "statfs", check_statfs },
	{ "readdir", check_readdir },
	{ "readdir-seek", check_readdir_seek },
	{ "inodes", check_inodes },
	{ "large", check_large },
	{ "mmap", check_mmap },
	{ "locks", check_locks },
	{ "flock", check_flock },
	{ "exclusive", check_exclusive },
	{ "concurrent", check_concurrent },
	{ "random", check_random },
};

/* Is @name in the list after without=? */
static bool is_left_out(const char *name)
{
	size_t len = strlen(name);

	for (const char *p = without; (p = strstr(p, name)); p += len)
		if ((p == without || p[-1] == ',') && (!p[len] || p[len] == ','))
			return true;
	return false;
}

static void run(unsigned int i, int dir)
{
	const char *name = checks[i].name;

	*why = '\0';
	if (is_left_out(name)) {
		printf("skip %s: not wanted\n", name);
		return;
	}
	if (fchdir(dir) || mkdir(name, 0755) || chdir(name))
		wrong(__LINE__, "cannot make a directory for it");
	else
		checks[i].fn();
	if (!*why) {
		printf("ok %s\n", name);
	} else if (!strncmp(why, "skip: ", 6)) {
		printf("skip %s: %s\n", name, why + 6);
	} else {
		printf("not ok %s: %s\n", name, why);
		failed++;
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int dir = argc > 1 ? open(argv[1], O_RDONLY | O_DIRECTORY) : -1;

	for (int i = 2; i < argc; i++) {
		char *value = strchr(argv[i], '=');

		if (value && !strncmp(argv[i], "seed=", 5))
			seed = strtoull(value + 1, NULL, 0);
		else if (value && !strncmp(argv[i], "ops=", 4))
			ops = (unsigned int)strtoul(value + 1, NULL, 0);
		else if (value && !strncmp(argv[i], "entries=", 8))
			entries = (unsigned int)strtoul(value + 1, NULL, 0);
		else if (value && !strncmp(argv[i], "without=", 8))
			without = value + 1;
		else
			dir = -1;
	}
	if (dir < 0 || !seed) {
		fprintf(stderr, "usage: fs-exerciser EMPTY-DIRECTORY [seed=N] [ops=N] [entries=N] "
				"[without=NAME,...]\n");
		return 2;
	}
	for (unsigned int i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		run(i, dir);
	printf("fs-exerciser: %zu checks, %u failed\n", sizeof(checks) / sizeof(checks[0]), failed);
	return failed ? 1 : 0;
}
