/* SPDX-License-Identifier: MIT */
/*
 * Guest ports behind unix sockets, by the convention that Firecracker's and cloud-hypervisor's
 * users know (see include/lkvm/vsock.h).
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lkvm/config.h"
#include "lkvm/unix.h"
#include "lkvm/util.h"
#include "lkvm/vsock.h"

/* "CONNECT 4294967295\r\n" and some blanks. */
#define LINE_MAX_LEN 32

struct vsock_unix {
	struct vsock_backend vb;
	struct unix_listener listener;
	char *path;
};

static struct vsock_unix *to_unix(struct vsock_backend *vb)
{
	return container_of(vb, struct vsock_unix, vb);
}

static int reach(struct vsock_backend *vb, u32 port)
{
	char path[128]; /* of a socket's name; config-vsock.c looks that it fits */

	snprintf(path, sizeof(path), "%s_%u", to_unix(vb)->path, port);
	return unix_connect(path);
}

static int take(struct vsock_backend *vb)
{
	return unix_accept(vb->listen_fd);
}

/* "CONNECT 1234", the way other programs read it: in either case, blanks anywhere. */
static int parse_connect(char *line, u32 *port)
{
	char *rest, *word = strtok_r(line, " \t\r", &rest);
	char *number = word ? strtok_r(NULL, " \t\r", &rest) : NULL;
	u64 value;

	if (!number || strcasecmp(word, "CONNECT") || strtok_r(NULL, " \t\r", &rest) ||
	    parse_u64(number, &value) || value > UINT32_MAX)
		return -EPROTO;
	*port = (u32)value;
	return 0;
}

/* What follows the line belongs to the guest, and stays in the socket. */
static int asked(struct vsock_backend *vb, int fd, u32 *port)
{
	char line[LINE_MAX_LEN + 1], *end;
	ssize_t n = recv(fd, line, LINE_MAX_LEN, MSG_PEEK);

	if (n < 0)
		return errno == EINTR ? -EAGAIN : -errno;
	if (!n)
		return -EPIPE;
	end = memchr(line, '\n', (size_t)n);
	if (!end)
		return n < LINE_MAX_LEN ? -EAGAIN : -EPROTO;
	n = recv(fd, line, (size_t)(end - line) + 1, 0);
	if (n != end - line + 1)
		return -EPROTO;
	*end = '\0';
	return parse_connect(line, port);
}

static int answer(struct vsock_backend *vb, int fd, u32 port)
{
	char line[LINE_MAX_LEN];
	int len = snprintf(line, sizeof(line), "OK %u\n", port);
	ssize_t n = send(fd, line, (size_t)len, MSG_NOSIGNAL);

	if (n < 0)
		return -errno;
	return n == len ? 0 : -EPIPE;
}

static void finish(struct vsock_backend *vb)
{
	unix_listener_forget(&to_unix(vb)->listener);
}

static void end(struct vsock_backend *vb)
{
	struct vsock_unix *vu = to_unix(vb);

	unix_listener_close(&vu->listener);
	free(vu->path);
	free(vu);
}

static const struct vsock_backend_ops unix_ops = {
	.connect = reach,
	.accept = take,
	.asked = asked,
	.answer = answer,
	.finish = finish,
	.close = end,
};

int vsock_unix_open(const struct vsock_config *cfg, struct vsock_backend **out)
{
	struct vsock_unix *vu = xcalloc(1, sizeof(*vu));
	int ret;

	vu->vb.ops = &unix_ops;
	vu->path = xstrdup(cfg->path);
	vu->vb.name = vu->path;
	ret = unix_listen(&vu->listener, vu->path, "--vsock");
	vu->vb.listen_fd = vu->listener.fd;
	if (ret) {
		end(&vu->vb);
		return ret;
	}
	*out = &vu->vb;
	return 0;
}
