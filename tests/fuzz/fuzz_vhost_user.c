/* SPDX-License-Identifier: MIT */
/*
 * vhost/user.c: whatever a back end sends, as the stream of bytes that waits in the socket. The
 * front end opens it, asks for configurations of any length, starts rings and takes them back. The
 * second half of the bytes comes by the connection for what a back end says by itself as well.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "lkvm/vhost.h"

/* The end of the second connection that the back end was given, or -1. */
static int given_fd(int from)
{
	char control[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))), byte;
	int fd = -1;

	for (;;) {
		struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = control,
				      .msg_controllen = sizeof(control) };
		struct cmsghdr *c;

		if (recvmsg(from, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) <= 0)
			return fd;
		c = CMSG_FIRSTHDR(&msg);
		if (!c || c->cmsg_len != CMSG_LEN(sizeof(int)))
			continue;
		if (fd >= 0)
			close(fd);
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	}
}

static void count(void *opaque)
{
	++*(u64 *)opaque;
}

static void say(struct vhost *v, int from, const u8 *p, size_t size)
{
	int fd = v->channel < 0 ? -1 : given_fd(from);
	u64 changes = 0;

	if (fd < 0)
		return;
	fz_check(write(fd, p, size) == (ssize_t)size);
	shutdown(fd, SHUT_WR);
	v->changed = count;
	v->opaque = &changes;
	/* Each call takes a byte at least, until there is no more. */
	for (size_t i = 0; i <= 2 * size + 2 && !v->gone; i++)
		v->ops->hear(v);
	v->changed = NULL;
	fz_check(v->gone && changes <= size / 12);
	close(fd);
}

static void use(struct vhost *v, struct guest_memory *mem, u8 *ram)
{
	struct vhost_ring ring = { .index = 1,
				   .size = 8,
				   .desc = ram,
				   .avail = ram,
				   .used = ram,
				   .kick = v->fd,
				   .call = v->fd };
	u8 config[64 + 8];
	u32 base = 42;
	int ret;

	memset(config, 0x5a, sizeof(config));
	ret = v->ops->get_config(v, config, 64);
	for (int i = 0; i < 8; i++)
		fz_check(config[64 + i] == 0x5a);
	fz_check(!ret || config[0] == 0x5a);
	fz_check(v->ops->get_config(v, config, 100000) < 0);
	ret = v->ops->set_features(v, v->features);
	ret = ret ? ret : v->ops->set_memory(v, mem);
	ret = ret ? ret : v->ops->start_ring(v, &ring);
	ret = ret ? ret : v->ops->set_call(v, 1, v->fd);
	ret = ret ? ret : v->ops->stop_ring(v, 1, &base);
	/* Whoever failed is gone for good. */
	fz_check(!ret == !v->gone);
	vhost_check(v);
	if (v->gone)
		fz_check(v->ops->stop_ring(v, 1, &base) < 0);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fz f = fz_begin(data, size);
	struct guest_memory mem;
	struct vhost *v;
	int fds[2];

	if (size > 4096 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds))
		return 0;
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	fz_check(write(fds[1], f.p, size) == (ssize_t)size);
	/* It hears, and says nothing more. */
	shutdown(fds[1], SHUT_WR);
	memory_init(&mem);
	fz_check(!memory_add(
		&mem, &(struct memory_desc){
			      .gpa = 0, .size = 4096, .backing = MEM_MEMFD, .name = "ram" }));
	if (!vhost_user_open(NULL, fds[0], "fuzz", &v)) {
		fz_check(v->features & BIT_ULL(32) && v->max_queues);
		if (size & 1)
			say(v, fds[1], data + size / 2, size - size / 2);
		use(v, &mem, memory_find(&mem, 0)->hva);
		v->ops->close(v);
	}
	memory_destroy(&mem);
	close(fds[1]);
	return 0;
}
