/* SPDX-License-Identifier: MIT */
/*
 * The program that serves directories by virtio-fs: the one in Rust (QEMU's older one has other
 * words). How it shuts itself in goes by what it is to share and who starts it.
 */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/child.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/vhost.h"

char *virtiofsd_find(void)
{
	static const char *const places[] = { "/usr/libexec", "/usr/lib/virtiofsd", NULL };

	return child_find("virtiofsd", places);
}

static bool is_root(const char *dir)
{
	struct stat a, b;

	return !stat(dir, &a) && !stat("/", &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/*
 * In namespaces the directory takes the root's place by pivot_root(2), which refuses the root
 * itself (EBUSY): there is nothing to be shut out from then. An ordinary user's namespace shows
 * the files of all others as nobody's, so it has none unless that was asked for.
 */
static const char *sandbox_of(const struct virtiofs_config *fc)
{
	bool whole = is_root(fc->dir);

	if (!geteuid())
		return whole ? "chroot" : "namespace";
	return fc->confined && !whole ? "namespace" : "none";
}

int virtiofsd_start(const struct virtiofs_config *fc, const char *what, int listener,
		    struct event_loop *loop, struct child *child)
{
	char *program = virtiofsd_find();
	const char *argv[16] = {
		program,	"--fd=3",
		"--shared-dir", fc->dir,
		"--cache",	fc->cache ? fc->cache : "auto",
		"--sandbox",	sandbox_of(fc),
		"--log-level",	fc->confined ? "error" : "warn",
	};
	struct child_spec spec = { .what = what, .fds = &listener, .nr_fds = 1 };
	size_t n = 10;
	int ret;

	if (!program) {
		err("%s: there is no virtiofsd in PATH or /usr/libexec; install the package "
		    "virtiofsd",
		    what);
		return -ENOENT;
	}
	/* What lkvm has raised already; root can do more. */
	if (geteuid())
		argv[n++] = "--rlimit-nofile=0";
	if (fc->readonly)
		argv[n++] = "--readonly";
	if (fc->flat)
		argv[n++] = "--no-announce-submounts";
	spec.argv = (char *const *)argv;
	ret = child_start(child, loop, &spec);
	free(program);
	return ret;
}
