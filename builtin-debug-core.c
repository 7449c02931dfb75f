/* SPDX-License-Identifier: MIT */
/*
 * `lkvm debug --core`: the machine sends a core file's bytes, and this process writes them. The
 * file gets its name when it is complete, where the file system can do that; elsewhere the name is
 * taken away by whatever ends it too soon.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "builtin-debug.h"
#include "lkvm/log.h"
#include "lkvm/signals.h"
#include "lkvm/util.h"

/* It holds all that the guest knows. */
#define MODE 0600

struct core_file {
	const char *path;
	int fd;
	bool named; /* by now */
};

/* For a signal that ends this process: a handler can be given nothing. */
static const char *half_made;

static void forget(void)
{
	if (half_made)
		unlink(half_made);
}

static sigset_t ending_signals(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	return set;
}

static void guard_name(const char *path)
{
	sigset_t ending = ending_signals();

	half_made = path;
	signals_forget(path ? &ending : NULL, path ? forget : NULL);
}

static int say(const struct core_file *f, const char *what, int ret)
{
	err("--core %s: cannot %s: %s%s", f->path, what, strerror(-ret),
	    ret == -EEXIST ? "; name another file, or remove it" : "");
	return ret;
}

/* The file's folder, to be freed. */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? xasprintf("%.*s", (int)(slash - path + 1), path) : xstrdup(".");
}

/* From the moment when the name is there it is guarded. */
static int open_named(struct core_file *f)
{
	sigset_t ending = ending_signals(), before;
	int ret = 0;

	pthread_sigmask(SIG_BLOCK, &ending, &before);
	f->fd = open(f->path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, MODE);
	if (f->fd < 0) {
		ret = -errno;
	} else {
		f->named = true;
		guard_name(f->path);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return ret ? say(f, "create", ret) : 0;
}

static int open_file(struct core_file *f)
{
	struct stat st;
	char *folder;

	f->fd = -1;
	/* The machine need not be held for this. */
	if (f->path[strlen(f->path) - 1] == '/')
		return say(f, "write", -EISDIR);
	if (lstat(f->path, &st) == 0)
		return say(f, "write", -EEXIST);
	folder = folder_of(f->path);
	f->fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, MODE);
	free(folder);
	if (f->fd >= 0)
		return 0;
	return open_named(f);
}

static int give_name(const struct core_file *f)
{
	char from[32];

	if (f->named)
		return 0;
	snprintf(from, sizeof(from), "/proc/self/fd/%d", f->fd);
	if (!linkat(AT_FDCWD, from, AT_FDCWD, f->path, AT_SYMLINK_FOLLOW))
		return 0;
	return say(f, "create", -errno);
}

static int write_at(const struct core_file *f, const struct control_bytes *data)
{
	size_t done = 0;

	while (done < data->len) {
		ssize_t n = pwrite(f->fd, data->bytes + done, data->len - done,
				   (off_t)(data->offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return say(f, "write", n ? -errno : -ENOSPC);
		done += (size_t)n;
	}
	return 0;
}

static int receive(struct control_link *link, const struct core_file *f, u64 memory)
{
	const struct json *result;
	struct control_bytes data;
	u64 left_out;
	int ret;

	while ((ret = control_receive_data(link, &data, &result)) > 0) {
		ret = write_at(f, &data);
		if (ret)
			break;
		log_progress("dumping", link->name, MIN(data.offset, memory), memory);
	}
	log_progress_end();
	if (!ret && ftruncate(f->fd, (off_t)json_number(json_member(result, "size"), 0)) < 0)
		ret = say(f, "write", -errno);
	if (ret)
		return ret;
	left_out = json_number(json_member(result, "left_out"), 0);
	if (left_out)
		warn("%s: the kernel maps more pieces of memory than a core file shows; gdb does "
		     "not find %llu small ones",
		     link->name, left_out);
	return 0;
}

int debug_write_core(struct control_link *link, const char *path)
{
	struct core_file f = { .path = path };
	const struct json *result;
	u64 memory;
	int ret;

	/* A file that may not become so large is an error as others are. */
	signals_init();
	ret = open_file(&f);
	if (!ret)
		ret = control_ask(link, "info", NULL, &result);
	memory = ret ? 0 : json_number(json_member(result, "memory"), 0);
	if (!ret)
		ret = control_send(link, "dump", NULL);
	if (!ret)
		ret = receive(link, &f, memory);
	if (!ret)
		ret = give_name(&f);
	/* Some file systems find out only now that there is no room. */
	if (f.fd >= 0 && close(f.fd) < 0 && !ret)
		ret = say(&f, "write", -errno);
	if (ret)
		forget();
	guard_name(NULL);
	return ret;
}
