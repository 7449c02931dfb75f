/* SPDX-License-Identifier: MIT */
/* Machines found by name, and asked over their control sockets (include/lkvm/control-client.h). */
#include "lkvm/control-client.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "lkvm/control.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* Of a reply; the server's replies are smaller. */
#define MAX_LINE (2 * CONTROL_MAX_REPLY)

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 /* of every architecture; not in older headers */
#endif
#define CONNECT_NS 5000000000ULL

/* Finding */

static bool is_socket_name(const char *name, size_t *len)
{
	size_t n = strlen(name), suffix = strlen(CONTROL_SUFFIX);

	if (*name == '.' || n <= suffix || strcmp(name + n - suffix, CONTROL_SUFFIX) != 0)
		return false;
	*len = n - suffix;
	return true;
}

/* A connection, or -errno; what was left behind is removed. */
static int try_connect(int folder_fd, const char *folder, const char *name)
{
	char *path = control_path(folder, name);
	int fd = unix_connect(path);

	if (fd == -ECONNREFUSED)
		control_clean(folder_fd, path);
	free(path);
	return fd;
}

/* Who waits to be taken are too many: a machine that is stopped, or very busy. */
static int connect_patiently(int folder_fd, const char *folder, const char *name)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	u64 deadline = now_ns() + CONNECT_NS;
	int fd;

	while ((fd = try_connect(folder_fd, folder, name)) == -EAGAIN && now_ns() < deadline)
		nanosleep(&pause, NULL);
	return fd;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void machine_names_add(struct machine_names *all, char *name)
{
	all->names = xrealloc(all->names, (all->nr + 1) * sizeof(*all->names));
	all->names[all->nr++] = name;
}

void machine_names_sort(struct machine_names *all)
{
	if (all->nr)
		qsort(all->names, all->nr, sizeof(*all->names), by_name);
}

static void read_names(int folder_fd, const char *folder, DIR *dir, struct machine_names *all)
{
	const struct dirent *entry;
	size_t len;

	while ((entry = readdir(dir))) {
		char *name;
		int fd;

		if (!is_socket_name(entry->d_name, &len))
			continue;
		name = xasprintf("%.*s", (int)len, entry->d_name);
		fd = try_connect(folder_fd, folder, name);
		if (fd >= 0)
			close(fd);
		/* Too many wait there: it runs. */
		if (fd < 0 && fd != -EAGAIN) {
			free(name);
			continue;
		}
		machine_names_add(all, name);
	}
	machine_names_sort(all);
}

/* -ENOENT: there is none, so that no machine runs. Prints what is wrong otherwise. */
static int open_folder(char **folder)
{
	const char *why;
	int fd;

	*folder = control_folder();
	fd = *folder ? control_folder_open(*folder, false, &why) : -ENOENT;
	if (fd < 0 && fd != -ENOENT)
		err("%s: cannot look for machines: %s", *folder, why);
	return fd;
}

int control_find_all(struct machine_names *all)
{
	char *folder;
	int fd = open_folder(&folder), copy;
	DIR *dir;

	*all = (struct machine_names){ 0 };
	if (fd >= 0) {
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		dir = copy < 0 ? NULL : fdopendir(copy);
		if (dir) {
			read_names(fd, folder, dir, all);
			closedir(dir);
		}
		close(fd);
	}
	free(folder);
	return fd >= 0 || fd == -ENOENT ? 0 : fd;
}

void machine_names_free(struct machine_names *all)
{
	for (u32 i = 0; i < all->nr; i++)
		free(all->names[i]);
	free(all->names);
	*all = (struct machine_names){ 0 };
}

/* Connecting */

static void not_found(const char *name)
{
	struct machine_names all;
	const char **words, *near;
	char *list;

	if (control_find_all(&all))
		return;
	words = xcalloc(all.nr + 1, sizeof(*words));
	for (u32 i = 0; i < all.nr; i++)
		words[i] = all.names[i];
	near = nearest_word(name, words);
	list = xstrdup("");
	for (u32 i = 0; i < all.nr && i < 8; i++)
		xappendf(&list, "%s%s", *list ? ", " : "", words[i]);
	if (near)
		err("%s: no machine of that name runs; did you mean '%s'?", name, near);
	else if (all.nr)
		err("%s: no machine of that name runs; there is: %s%s", name, list,
		    all.nr > 8 ? ", ..." : "");
	else
		err("%s: no machine runs, as far as lkvm can see in this session", name);
	free(list);
	free(words);
	machine_names_free(&all);
}

static pid_t peer_pid(int fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) ? 0 : peer.pid;
}

int control_try(struct control_link *link, const char *name)
{
	char *folder;
	int folder_fd = open_folder(&folder);
	int fd = folder_fd < 0 ? folder_fd : connect_patiently(folder_fd, folder, name);

	*link = (struct control_link){ .fd = -1, .pidfd = -1 };
	if (folder_fd >= 0)
		close(folder_fd);
	free(folder);
	if (fd < 0)
		/* What is wrong with the folder was said. */
		return folder_fd < 0 && fd != -ENOENT ? -EPERM : fd;
	link->fd = fd;
	link->name = xstrdup(name);
	link->pid = peer_pid(fd);
	link->values = xcalloc(CONTROL_MAX_VALUES, sizeof(*link->values));
	return 0;
}

int control_connect(struct control_link *link, const char *name)
{
	int ret;

	/* As a name it would be a path. */
	if (strchr(name, '/') || *name == '.' || !*name) {
		err("%s: is not a machine's name; 'lkvm list' shows them", name);
		*link = (struct control_link){ .fd = -1, .pidfd = -1 };
		return -EINVAL;
	}
	ret = control_try(link, name);
	if (ret == -ENOENT || ret == -ECONNREFUSED)
		not_found(name);
	else if (ret == -EAGAIN)
		err("%s: does not answer; is its process stopped?", name);
	else if (ret && ret != -EPERM)
		err("%s: cannot connect: %s", name, strerror(-ret));
	return ret;
}

void control_hang_up(struct control_link *link)
{
	if (link->fd < 0)
		return;
	close(link->fd);
	if (link->pidfd >= 0)
		close(link->pidfd);
	free(link->name);
	free(link->buf);
	free(link->values);
	*link = (struct control_link){ .fd = -1, .pidfd = -1 };
}

/* Asking */

/* 0: ready; -ETIMEDOUT. */
static int wait_for(int fd, short events, u64 deadline)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	for (;;) {
		u64 now = deadline ? now_ns() : 0;
		u64 ms = deadline > now ? (deadline - now) / 1000000 + 1 : 0;
		int n = poll(&pfd, 1, deadline ? (int)MIN(ms, 1000000ULL) : -1);

		if (n > 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (!n && now_ns() >= deadline)
			return -ETIMEDOUT;
	}
}

static int send_all(struct control_link *link, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = send(link->fd, buf, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EAGAIN && !wait_for(link->fd, POLLOUT, 0))
			continue;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

int control_send(struct control_link *link, const char *command, const char *args)
{
	struct json_out out = { .max = CONTROL_MAX_LINE };
	int ret = -E2BIG;

	json_open(&out, NULL, '{');
	json_put_u64(&out, "lkvm", CONTROL_VERSION);
	json_put_u64(&out, "id", ++link->id);
	json_put_text(&out, "command", command);
	if (args)
		json_put_raw(&out, "arguments", args, strlen(args));
	json_close(&out, '}');
	json_put_bytes(&out, "\n", 1);
	if (!out.failed)
		ret = send_all(link, out.buf, out.len);
	json_out_free(&out);
	/* It may have said why before it closed: control_receive knows. */
	if (ret && ret != -EPIPE)
		err("%s: cannot ask: %s", link->name, strerror(-ret));
	return ret == -EPIPE ? 0 : ret;
}

/* More of the reply. 0, -ECONNRESET at the end, other -errno. */
static int read_more(struct control_link *link, u64 deadline)
{
	ssize_t n;
	int ret;

	if (link->len == link->size) {
		if (link->size >= MAX_LINE)
			return -EMSGSIZE;
		link->size = link->size ? 2 * link->size : CONTROL_MAX_LINE;
		link->buf = xrealloc(link->buf, link->size);
	}
	ret = wait_for(link->fd, POLLIN, deadline);
	if (ret)
		return ret;
	n = recv(link->fd, link->buf + link->len, link->size - link->len, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (!n)
		return -ECONNRESET;
	link->len += (size_t)n;
	return 0;
}

int control_receive_line(struct control_link *link, u64 deadline, char **line, size_t *len)
{
	char *end;
	int ret;

	while (!link->len || !(end = memchr(link->buf, '\n', link->len))) {
		ret = read_more(link, deadline);
		if (ret == -ECONNRESET)
			err("%s: the machine ended before it answered", link->name);
		else if (ret && ret != -ETIMEDOUT)
			err("%s: cannot read the answer: %s", link->name, strerror(-ret));
		if (ret)
			return ret;
	}
	*line = link->buf;
	*len = (size_t)(end - link->buf);
	return 0;
}

static int said_error(struct control_link *link, const struct json *error)
{
	err("%s: %s", link->name, json_text(json_member(error, "text"), "unknown error"));
	return -EREMOTEIO;
}

int control_receive(struct control_link *link, u64 deadline, const struct json **result)
{
	const struct json *error;
	size_t len;
	char *line;
	int ret;

	*result = NULL;
	ret = control_receive_line(link, deadline, &line, &len);
	if (ret)
		return ret;
	ret = json_parse(line, len, link->values, CONTROL_MAX_VALUES);
	/* One reply is awaited at a time: what follows it is nobody's. */
	link->len = 0;
	*result = ret ? NULL : json_member(link->values, "result");
	error = ret ? NULL : json_member(link->values, "error");
	if (error)
		return said_error(link, error);
	if (*result)
		return 0;
	err("%s: its answer is not what lkvm expects; is it another version's?", link->name);
	return -EPROTO;
}

/* What follows begins where the buffer does. */
static void drop_used(struct control_link *link)
{
	link->len -= link->used;
	memmove(link->buf, link->buf + link->used, link->len);
	link->used = 0;
}

/* One more line, behind what was used. */
static int next_line(struct control_link *link, size_t *len)
{
	char *line;

	drop_used(link);
	return control_receive_line(link, 0, &line, len);
}

int control_receive_data(struct control_link *link, struct control_bytes *data,
			 const struct json **result)
{
	const struct json *values = link->values, *head;
	size_t len;
	int ret = next_line(link, &len);

	if (ret)
		return ret;
	/* Reading it changes it; a reply is read elsewhere. */
	if (!memmem(link->buf, len, "\"data\":{", 8))
		return control_receive(link, 0, result);
	ret = json_parse(link->buf, len, link->values, CONTROL_MAX_VALUES);
	head = ret ? NULL : json_member(values, "data");
	data->offset = json_number(json_member(head, "offset"), UINT64_MAX);
	data->len = (size_t)json_number(json_member(head, "length"), SIZE_MAX);
	if (data->len > CONTROL_MAX_REPLY || data->offset > INT64_MAX - CONTROL_MAX_REPLY) {
		err("%s: its answer is not what lkvm expects; is it another version's?",
		    link->name);
		return -EPROTO;
	}
	link->used = len + 1 + data->len;
	while (!ret && link->len < link->used)
		ret = read_more(link, 0);
	data->bytes = link->buf + len + 1;
	if (ret)
		err("%s: cannot read the answer: %s", link->name, strerror(-ret));
	return ret ? ret : 1;
}

int control_receive_event(struct control_link *link, char **line, size_t *len)
{
	char *end;
	int ret;

	drop_used(link);
	while (!(end = memchr(link->buf, '\n', link->len))) {
		ret = read_more(link, 0);
		if (ret == -ECONNRESET)
			return 0;
		if (ret) {
			err("%s: cannot read events: %s", link->name, strerror(-ret));
			return ret;
		}
	}
	*line = link->buf;
	*len = (size_t)(end - link->buf);
	link->used = *len + 1;
	return 1;
}

int control_ask(struct control_link *link, const char *command, const char *args,
		const struct json **result)
{
	int ret = control_send(link, command, args);

	return ret ? ret : control_receive(link, 0, result);
}

void control_watch_end(struct control_link *link)
{
	if (link->pid > 0)
		link->pidfd = (int)syscall(SYS_pidfd_open, link->pid, 0);
}

static void await_process(const struct control_link *link)
{
	int ret;

	while ((ret = wait_for(link->pidfd, POLLIN, now_ns() + 200000000)) == -ETIMEDOUT)
		log_progress("waiting for", link->name, 0, 0);
	log_progress_end();
	if (ret)
		debug("%s: cannot wait for its process", link->name);
}

void control_await_end(struct control_link *link)
{
	/* Somebody else's namespace of processes, or an old kernel. */
	if (link->pidfd < 0)
		while (!read_more(link, 0))
			link->len = 0;
	else
		await_process(link);
}
