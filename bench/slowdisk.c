/* SPDX-License-Identifier: MIT */
/*
 * slowdisk FOLDER MICROSECONDS MIB: mounts a file system with one file, FOLDER/disk, whose every
 * read and write takes that long, any number at once: a disk with latency for the bench, on any
 * machine with FUSE (Linux include/uapi/linux/fuse.h). It holds nothing: reads give zeros. Says
 * "ready"; unmounts and ends when its standard input does. Status 77: this machine lets nobody
 * mount it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define FILE_NODE   2
#define MAX_WRITE   (128 * 1024)
#define MAX_WAITING 1024 /* more are read late, so they would only take longer */
#define CANNOT	    77

/* They all take as long, so the first that came is the first to be answered. */
static struct waiting {
	uint64_t unique, due_ns;
	uint32_t bytes;
	int is_write;
} waiting[MAX_WAITING];
static unsigned int first, nr_waiting;

static uint64_t latency_ns, disk_size;
static int fuse;

static uint64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void reply(uint64_t unique, int error, const void *data, size_t len)
{
	struct fuse_out_header out = { (uint32_t)(sizeof(out) + len), error, unique };
	struct iovec iov[2] = { { &out, sizeof(out) }, { (void *)data, len } };

	if (writev(fuse, iov, 2) < 0 && errno != ENOENT)
		perror("slowdisk: reply");
}

static struct fuse_attr attr_of(uint64_t node)
{
	struct fuse_attr attr = { .ino = node, .nlink = 1, .blksize = 4096 };

	attr.mode = node == FILE_NODE ? S_IFREG | 0600 : S_IFDIR | 0700;
	attr.size = node == FILE_NODE ? disk_size : 0;
	return attr;
}

static void on_init(const struct fuse_in_header *in, const struct fuse_init_in *init)
{
	struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION,
				     .minor = FUSE_KERNEL_MINOR_VERSION };

	out.flags = FUSE_ASYNC_READ | FUSE_ASYNC_DIO | FUSE_BIG_WRITES;
	out.flags &= init->flags;
	out.max_readahead = init->max_readahead;
	out.max_write = MAX_WRITE;
	/* Direct requests of io_uring and aio count as background ones. */
	out.max_background = MAX_WAITING;
	out.congestion_threshold = MAX_WAITING;
	out.time_gran = 1;
	reply(in->unique, 0, &out, sizeof(out));
}

static void on_lookup(const struct fuse_in_header *in, const char *name)
{
	struct fuse_entry_out out = { .nodeid = FILE_NODE,
				      .entry_valid = 3600,
				      .attr_valid = 3600 };

	out.attr = attr_of(FILE_NODE);
	if (strcmp(name, "disk"))
		reply(in->unique, -ENOENT, NULL, 0);
	else
		reply(in->unique, 0, &out, sizeof(out));
}

static void delay(const struct fuse_in_header *in, uint32_t bytes, int is_write)
{
	struct waiting *w = &waiting[(first + nr_waiting++) % MAX_WAITING];

	*w = (struct waiting){ in->unique, now_ns() + latency_ns, bytes, is_write };
}

static void answer_due(void)
{
	static const char zeros[MAX_WRITE];

	while (nr_waiting && waiting[first].due_ns <= now_ns()) {
		const struct waiting *w = &waiting[first];
		struct fuse_write_out written = { .size = w->bytes };

		if (w->is_write)
			reply(w->unique, 0, &written, sizeof(written));
		else
			reply(w->unique, 0, zeros, w->bytes < MAX_WRITE ? w->bytes : MAX_WRITE);
		first = (first + 1) % MAX_WAITING;
		nr_waiting--;
	}
}

static void on_request(const struct fuse_in_header *in)
{
	const void *body = in + 1;
	struct fuse_attr_out attr = { .attr_valid = 3600, .attr = attr_of(in->nodeid) };
	struct fuse_open_out open = { .open_flags =
					      FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES };

	switch (in->opcode) {
	case FUSE_INIT:
		on_init(in, body);
		break;
	case FUSE_LOOKUP:
		on_lookup(in, body);
		break;
	case FUSE_GETATTR:
	case FUSE_SETATTR:
		reply(in->unique, 0, &attr, sizeof(attr));
		break;
	case FUSE_OPEN:
		reply(in->unique, 0, &open, sizeof(open));
		break;
	case FUSE_READ:
		delay(in, ((const struct fuse_read_in *)body)->size, 0);
		break;
	case FUSE_WRITE:
		delay(in, ((const struct fuse_write_in *)body)->size, 1);
		break;
	case FUSE_FLUSH:
	case FUSE_RELEASE:
	case FUSE_FSYNC:
		reply(in->unique, 0, NULL, 0);
		break;
	case FUSE_FORGET:
	case FUSE_BATCH_FORGET:
	case FUSE_INTERRUPT:
		break; /* these have no answer */
	default:
		reply(in->unique, -ENOSYS, NULL, 0);
	}
}

static void serve(void)
{
	static char buf[MAX_WRITE + 4096] __attribute__((aligned(8)));
	struct pollfd fds[2] = { { .fd = fuse, .events = POLLIN }, { .fd = 0, .events = POLLIN } };

	for (;;) {
		uint64_t now = now_ns(), left;
		struct timespec wait;
		char byte;

		left = nr_waiting && waiting[first].due_ns > now ? waiting[first].due_ns - now : 0;
		wait = (struct timespec){ (time_t)(left / 1000000000), (long)(left % 1000000000) };
		fds[0].events = nr_waiting < MAX_WAITING ? POLLIN : 0;
		if (ppoll(fds, 2, nr_waiting ? &wait : NULL, NULL) < 0)
			return;
		answer_due();
		if (fds[0].revents & POLLIN && read(fuse, buf, sizeof(buf)) > 0)
			on_request((const void *)buf);
		if (fds[0].revents & POLLERR || (fds[1].revents && read(0, &byte, 1) <= 0))
			return;
	}
}

int main(int argc, char **argv)
{
	char options[80];

	if (argc != 4) {
		fprintf(stderr, "usage: slowdisk FOLDER MICROSECONDS MIB\n");
		return 2;
	}
	latency_ns = strtoull(argv[2], NULL, 10) * 1000;
	disk_size = strtoull(argv[3], NULL, 10) << 20;
	fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	snprintf(options, sizeof(options), "fd=%d,rootmode=40000,user_id=%u,group_id=%u", fuse,
		 getuid(), getgid());
	if (fuse < 0 || mount("slowdisk", argv[1], "fuse", MS_NOSUID | MS_NODEV, options)) {
		printf("cannot mount by FUSE: %s\n", strerror(errno));
		return CANNOT;
	}
	puts("ready");
	fflush(stdout);
	serve();
	umount2(argv[1], MNT_DETACH);
	return 0;
}
