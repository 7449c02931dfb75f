/* SPDX-License-Identifier: MIT */
/* The link with lkvm (include/lkvm/guest-link.h): a port of virtio-console, found by its name. */
#include "lkvm/guest-link.h"

#include <linux/fcntl.h>
#include <linux/poll.h>
#include <linux/time_types.h>

#include "init.h"
#include "lkvm/guest-init.h"

/* The driver makes ports some time after it was loaded: looked for that often. */
#define PORTS	"/sys/class/virtio-ports"
#define TRY_MS	5
#define TRIES	12000
#define IN_SIZE (2 * (LINK_MAX + sizeof(struct link_head)))

static int fd = -1;
static u8 in[IN_SIZE];
static size_t in_at, in_len;

static void pause_ms(u32 ms)
{
	struct __kernel_timespec ts = { .tv_nsec = ms * 1000000LL };

	sys(ppoll, NULL, 0, &ts, NULL);
}

/* Wait until @events are possible. */
static void wait_for(short events)
{
	struct pollfd pfd = { .fd = fd, .events = events };

	sys(ppoll, &pfd, 1, NULL, NULL);
	/* The kernel says so while the host's side is not there, and at once. */
	if ((pfd.revents & POLLHUP) && !(pfd.revents & events))
		pause_ms(TRY_MS);
}

/* The entries of a directory, as getdents64(2) has them. */
struct entry {
	u64 ino;
	__s64 off;
	__u16 len;
	u8 type;
	char name[];
};

static bool has_name(const char *port)
{
	char path[128], name[64];
	long file, n;

	format(path, sizeof(path), PORTS "/%s/name", port);
	file = sys(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
	if (file < 0)
		return false;
	n = sys(read, file, name, sizeof(name) - 1);
	sys(close, file);
	if (n <= 0)
		return false;
	name[name[n - 1] == '\n' ? n - 1 : n] = '\0';
	return equal(name, LINK_PORT);
}

/* The port's device; false: it is not there yet. */
static bool find_port(int dir, char *path, size_t size)
{
	static u8 list[4096] __attribute__((aligned(8)));
	long n;

	sys(lseek, dir, 0, 0 /* SEEK_SET */);
	while ((n = sys(getdents64, dir, list, sizeof(list))) > 0) {
		for (long at = 0; at < n;) {
			const struct entry *e = (const void *)(list + at);

			at += e->len;
			if (e->name[0] == '.' || !has_name(e->name))
				continue;
			format(path, size, "/dev/%s", e->name);
			return true;
		}
	}
	return false;
}

static long open_port(void)
{
	long dir = sys(openat, AT_FDCWD, PORTS, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret = -ENODEV;
	char path[128];

	if (dir < 0)
		return dir;
	for (u32 i = 0; i < TRIES; i++) {
		if (find_port((int)dir, path, sizeof(path)))
			ret = sys(openat, AT_FDCWD, path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
		if (ret >= 0)
			break;
		pause_ms(TRY_MS);
	}
	sys(close, dir);
	return ret;
}

bool link_open(void)
{
	const char *given = conf_get(INIT_CONF_LINK, 0);
	const struct link_hello hello = { LINK_VERSION };

	/* Whoever tries this program without a machine hands a socket over, or a number of none. */
	fd = given ? (int)to_number(given) : (int)open_port();
	if (given && sys(fcntl, fd, F_SETFD, FD_CLOEXEC) < 0)
		fd = -1;
	if (fd < 0)
		return false;
	sys(fcntl, fd, F_SETFL, O_RDWR | O_NONBLOCK);
	link_send(LINK_HELLO, 0, &hello, sizeof(hello));
	return true;
}

bool link_is_open(void)
{
	return fd >= 0;
}

int link_fd(void)
{
	return fd;
}

static void give_up(void)
{
	sys(close, fd);
	fd = -1;
}

static void write_all(const void *data, size_t len)
{
	const u8 *p = data;

	while (len && fd >= 0) {
		long n = sys(write, fd, p, len);

		if (n == -EAGAIN) {
			wait_for(POLLOUT);
		} else if (n < 0 && n != -EINTR) {
			/* Nobody is there to be told. */
			give_up();
		} else if (n > 0) {
			p += n;
			len -= (size_t)n;
		}
	}
}

void link_send(u8 type, u8 stream, const void *data, size_t len)
{
	/* One write: to the port it is one buffer. */
	static u8 out[sizeof(struct link_head) + LINK_MAX];
	struct link_head head = { .len = (u32)len, .type = type, .stream = stream };

	memcpy(out, &head, sizeof(head));
	memcpy(out + sizeof(head), data, len);
	write_all(out, sizeof(head) + len);
}

bool link_read(void)
{
	long n;

	memmove(in, in + in_at, in_len);
	in_at = 0;
	n = fd < 0 ? 0 : sys(read, fd, in + in_len, IN_SIZE - in_len);
	if (n > 0)
		in_len += (size_t)n;
	return n > 0 || n == -EAGAIN || n == -EINTR;
}

bool link_next(struct link_head *head, const u8 **data)
{
	if (in_len < sizeof(*head))
		return false;
	memcpy(head, in + in_at, sizeof(*head));
	if (head->len > LINK_MAX) {
		say("lkvm sent what this init does not understand");
		in_len = 0;
		give_up();
		return false;
	}
	if (in_len < sizeof(*head) + head->len)
		return false;
	*data = in + in_at + sizeof(*head);
	in_at += sizeof(*head) + head->len;
	in_len -= sizeof(*head) + head->len;
	return true;
}

bool link_wait(struct link_head *head, const u8 **data)
{
	while (!link_next(head, data)) {
		wait_for(POLLIN);
		/* A port reads as ended while the host has not opened its side yet. */
		if (!link_read() && (fd < 0 || conf_get(INIT_CONF_LINK, 0)))
			return false;
	}
	return true;
}
