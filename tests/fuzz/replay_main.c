/* SPDX-License-Identifier: MIT */
/*
 * Runs one fuzz target over files, where there is no libFuzzer: tests/fuzz/replay.t uses it, and it
 * is how a finding is looked at with a debugger. usage: fuzz-NAME FILE|DIRECTORY...
 * With FUZZ_RANDOM=N in the environment, also N variants of each file: for machines that libFuzzer
 * does not know.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"

/* No input may keep lkvm busy for so long. */
#define SECONDS 600
#define MAX_LEN (MiB)

static int out = -1; /* what was standard output */
static unsigned int runs;

/* The same variants every time. */
static void vary(u8 *buf, size_t len)
{
	static u64 seed = 1;
	const char *n = getenv("FUZZ_RANDOM");

	for (long i = n ? atol(n) : 0; i > 0 && len; i--) {
		for (int k = 0; k < 3; k++) {
			seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
			buf[(seed >> 40) % len] = (u8)(seed >> 32);
		}
		alarm(SECONDS);
		LLVMFuzzerTestOneInput(buf, len);
		runs++;
	}
}

static bool replay_file(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_CLOEXEC);
	u8 *buf = malloc(MAX_LEN), *exact;
	ssize_t n = fd < 0 ? -1 : read(fd, buf, MAX_LEN);

	if (fd >= 0)
		close(fd);
	if (n < 0) {
		dprintf(out, "# %s: %s\n", name, strerror(errno));
		free(buf);
		return false;
	}
	/* No byte more than the input has, for AddressSanitizer's sake. */
	exact = malloc((size_t)n + !n);
	memcpy(exact, buf, (size_t)n);
	free(buf);
	dprintf(out, "# %s\n", name);
	alarm(SECONDS);
	LLVMFuzzerTestOneInput(exact, (size_t)n);
	runs++;
	vary(exact, (size_t)n);
	alarm(0);
	free(exact);
	return true;
}

static bool replay(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *de;
	bool ok = true;

	if (!dir)
		return replay_file(AT_FDCWD, path);
	while ((de = readdir(dir)))
		if (de->d_name[0] != '.')
			ok &= replay_file(dirfd(dir), de->d_name);
	closedir(dir);
	return ok;
}

int main(int argc, char **argv)
{
	bool ok = true;
	int null;

	/* What lkvm prints for thousands of broken guests interests nobody; a finding does. */
	out = dup(STDOUT_FILENO);
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (out < 0 || null < 0 || dup2(null, STDOUT_FILENO) < 0)
		return 2;
	for (int i = 1; i < argc; i++)
		ok &= replay(argv[i]);
	dprintf(out, "# %u inputs\n", runs);
	return ok && runs ? 0 : 1;
}
