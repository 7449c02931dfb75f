/* SPDX-License-Identifier: MIT */
/*
 * One connection between a host and its guest, over AF_VSOCK or over the unix sockets of a VMM that
 * serves vsock by itself: standard input goes into it, what comes out of it goes to standard
 * output. The end of the one is told to the other side; the end of the other side ends it. Status
 * 1, and a line, when the connection broke. Who only listens needs an input that never ends.
 *
 *	vsock listen PORT [WORD...]	wait for one
 *	vsock connect CID PORT [WORD...]
 *	vsock to-guest PATH PORT	"CONNECT PORT" at the unix socket PATH
 *	vsock from-guest PATH		wait for one at the unix socket PATH (which names the port)
 *
 * Words: echo (what comes is sent back, instead of standard input and output), seqpacket, retry
 * (again until somebody listens), many=N (take N connections, each by a process), ready=FILE (make
 * it when we listen, or are connected), limit=N (read N bytes, then end), cid (print our own
 * address first).
 */
/* Older headers of the kernel want it first. */
#include <sys/socket.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/vm_sockets.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static bool echo, retry;
static int type = SOCK_STREAM;
static const char *ready;
static unsigned int many = 1;
static unsigned long long limit = ~0ULL;
static char data[64 * 1024];

static int fail(const char *what)
{
	fprintf(stderr, "vsock: %s: %s\n", what, strerror(errno));
	return 1;
}

static bool write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0)
			return false;
		buf += n;
		len -= (size_t)n;
	}
	return true;
}

static void say_ready(void)
{
	int fd = ready ? open(ready, O_CREAT | O_WRONLY | O_CLOEXEC, 0666) : -1;

	if (fd >= 0)
		close(fd);
}

/* From the connection. 1: there is more. */
static int take(int fd)
{
	ssize_t n = read(fd, data, sizeof(data));

	if (n < 0)
		return -1;
	if (!n || (unsigned long long)n > limit)
		return 0;
	limit -= (unsigned long long)n;
	if (!write_all(echo ? fd : STDOUT_FILENO, data, (size_t)n))
		return -1;
	return limit ? 1 : 0;
}

/* From standard input, which may end first. */
static int give(int fd)
{
	ssize_t n = read(STDIN_FILENO, data, sizeof(data));

	if (n <= 0) {
		shutdown(fd, SHUT_WR);
		return 0;
	}
	return write_all(fd, data, (size_t)n) ? 1 : -1;
}

static int relay(int fd)
{
	struct pollfd p[] = { { .fd = fd, .events = POLLIN },
			      { .fd = echo ? -1 : STDIN_FILENO, .events = POLLIN } };
	int more = 1;

	say_ready();
	while (more > 0) {
		if (poll(p, 2, -1) < 0)
			return fail("poll");
		if (p[1].revents) {
			more = give(fd);
			if (!more)
				p[1].fd = -1;
			more = more < 0 ? -1 : 1;
		}
		if (more > 0 && p[0].revents)
			more = take(fd);
	}
	if (more < 0)
		return fail("the connection");
	close(fd);
	return 0;
}

static int serve(int family, const void *addr, socklen_t len)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0), conn, status, bad = 0;

	if (fd < 0)
		return fail("socket");
	if (bind(fd, addr, len) < 0 || listen(fd, 8 + (int)many) < 0)
		return fail("listen");
	say_ready();
	for (unsigned int i = 0; i < many; i++) {
		conn = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (conn < 0)
			return fail("accept");
		/* The last one is ours. */
		if (i + 1 < many && fork()) {
			close(conn);
			continue;
		}
		close(fd);
		bad = relay(conn);
		break;
	}
	while (wait(&status) > 0)
		bad |= status != 0;
	return bad;
}

static int reach(int family, const void *addr, socklen_t len)
{
	int fd;

	for (;;) {
		fd = socket(family, type | SOCK_CLOEXEC, 0);
		if (fd >= 0 && !connect(fd, addr, len))
			return fd;
		if (!retry) {
			fail("connect");
			return -1;
		}
		if (fd >= 0)
			close(fd);
		usleep(100000);
	}
}

static int to_guest(const struct sockaddr_un *un, const char *port)
{
	char line[64];
	size_t len = 0;
	int fd = reach(AF_UNIX, un, sizeof(*un));

	if (fd < 0)
		return 1;
	snprintf(line, sizeof(line), "CONNECT %s\n", port);
	if (!write_all(fd, line, strlen(line)))
		return fail("CONNECT");
	/* "OK NUMBER", and not a byte more. */
	do {
		if (len == sizeof(line) - 1 || read(fd, line + len, 1) != 1) {
			fprintf(stderr, "vsock: the guest did not take the connection\n");
			return 1;
		}
	} while (line[len++] != '\n');
	return strncmp(line, "OK ", 3) ? 1 : relay(fd);
}

static void print_cid(void)
{
	unsigned int cid = 0;
	int fd = open("/dev/vsock", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, IOCTL_VM_SOCKETS_GET_LOCAL_CID, &cid) < 0)
		fail("/dev/vsock");
	else
		printf("%u\n", cid);
	fflush(stdout);
	if (fd >= 0)
		close(fd);
}

static void word(const char *w)
{
	if (!strcmp(w, "echo"))
		echo = true;
	else if (!strcmp(w, "retry"))
		retry = true;
	else if (!strcmp(w, "seqpacket"))
		type = SOCK_SEQPACKET;
	else if (!strcmp(w, "cid"))
		print_cid();
	else if (!strncmp(w, "ready=", 6))
		ready = w + 6;
	else if (!strncmp(w, "many=", 5))
		many = (unsigned int)strtoul(w + 5, NULL, 0);
	else if (!strncmp(w, "limit=", 6))
		limit = strtoull(w + 6, NULL, 0);
}

int main(int argc, char **argv)
{
	struct sockaddr_vm vm = { .svm_family = AF_VSOCK, .svm_cid = VMADDR_CID_ANY };
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd;

	for (int i = 1; i < argc; i++)
		word(argv[i]);
	if (argc > 2)
		snprintf(un.sun_path, sizeof(un.sun_path), "%s", argv[2]);
	if (argc > 2 && !strcmp(argv[1], "listen")) {
		vm.svm_port = (unsigned int)strtoul(argv[2], NULL, 0);
		return serve(AF_VSOCK, &vm, sizeof(vm));
	}
	if (argc > 3 && !strcmp(argv[1], "connect")) {
		vm.svm_cid = (unsigned int)strtoul(argv[2], NULL, 0);
		vm.svm_port = (unsigned int)strtoul(argv[3], NULL, 0);
		fd = reach(AF_VSOCK, &vm, sizeof(vm));
		return fd < 0 ? 1 : relay(fd);
	}
	if (argc > 3 && !strcmp(argv[1], "to-guest"))
		return to_guest(&un, argv[3]);
	if (argc > 2 && !strcmp(argv[1], "from-guest"))
		return serve(AF_UNIX, &un, sizeof(un));
	fprintf(stderr,
		"vsock: listen PORT, connect CID PORT, to-guest PATH PORT or from-guest PATH\n");
	return 2;
}
