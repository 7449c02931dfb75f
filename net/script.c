/* SPDX-License-Identifier: MIT */
/* script= and downscript=: the user's own programs that set up an interface and take it down. */
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "tun.h"

int script_run(const char *option, const char *path, const char *name)
{
	char *const argv[] = { (char *)path, (char *)name, NULL };
	posix_spawnattr_t attr;
	sigset_t none;
	int status, ret;
	pid_t pid = -1;

	/* It begins as a program of a shell does: what is blocked for the sake of vcpus is not. */
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	/* Where vfork is emulated by fork, posix_spawn does not hear that there is no program. */
	ret = access(path, X_OK) ? -errno : -posix_spawn(&pid, path, NULL, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	if (ret) {
		err("--network %s=%s: cannot run it: %s", option, path, strerror(-ret));
		return ret;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (WIFSIGNALED(status))
		err("--network %s=%s: was ended by signal %d", option, path, WTERMSIG(status));
	else
		err("--network %s=%s: failed with status %d", option, path, WEXITSTATUS(status));
	return -ECANCELED;
}
