/* SPDX-License-Identifier: MIT */
/*
 * Random reads, writes, zeroes and discards of a disk (a block device or a file) beside a model in
 * memory: blk-exerciser DISK [seed=N] [ops=N] [threads=N] [keep]. Each thread has a part of the
 * disk, and a CPU where there are several; the same seed makes the same operations. The disk is
 * written first, read back as a whole at the end, and last left full of what `keep` of another run
 * with the same words finds there: then nothing is written, and what is there must be what that run
 * left. One line, "ok ..." or "not ok ...", and the exit status.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SECTOR	    512u
#define MAX_LEN	    (256u * 1024)
#define MAX_PART    (16u << 20)
#define MAX_THREADS 16

static uint64_t seed = 1;
static unsigned int ops = 2000, threads = 1, sector = SECTOR;
static bool keep, is_device, no_discard;

struct part {
	pthread_t thread;
	unsigned int number;
	int fd;
	uint64_t start, len, random;
	uint8_t *model, *buf;
	char why[200];
};

static uint64_t rnd(struct part *p, uint64_t below)
{
	p->random ^= p->random << 13;
	p->random ^= p->random >> 7;
	p->random ^= p->random << 17;
	return p->random % below;
}

static bool fail(struct part *p, const char *what, uint64_t at, size_t len)
{
	if (!p->why[0])
		snprintf(p->why, sizeof(p->why), "thread %u: %s of %zu at %llu: %s", p->number,
			 what, len, (unsigned long long)(p->start + at), strerror(errno));
	return false;
}

static bool compare(struct part *p, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (p->buf[i] == p->model[at + i])
			continue;
		snprintf(p->why, sizeof(p->why),
			 "thread %u: byte %llu is %02x, not %02x, in a read of %zu at %llu",
			 p->number, (unsigned long long)(p->start + at + i), p->buf[i],
			 p->model[at + i], len, (unsigned long long)(p->start + at));
		return false;
	}
	return true;
}

/* In one to eight buffers, whose borders are sectors. */
static int scatter(struct part *p, size_t len, struct iovec *iov)
{
	size_t left = len, done = 0;
	int n = 0;

	while (left) {
		size_t some = n == 7 ? left : (1 + rnd(p, left / sector)) * sector;

		iov[n++] = (struct iovec){ p->buf + done, some };
		done += some;
		left -= some;
	}
	return n;
}

static bool read_some(struct part *p, uint64_t at, size_t len)
{
	struct iovec iov[8];
	int n = scatter(p, len, iov);

	memset(p->buf, 0xaa, len);
	if (preadv(p->fd, iov, n, (off_t)(p->start + at)) != (ssize_t)len)
		return fail(p, "read", at, len);
	return compare(p, at, len);
}

/* Into the buffer and the model. */
static void make_data(struct part *p, uint64_t at, size_t len)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t x = rnd(p, UINT64_MAX);

		memcpy(p->buf + i, &x, 8);
	}
	memcpy(p->model + at, p->buf, len);
}

static bool write_some(struct part *p, uint64_t at, size_t len)
{
	struct iovec iov[8];
	int n = scatter(p, len, iov);

	make_data(p, at, len);
	if (pwritev(p->fd, iov, n, (off_t)(p->start + at)) != (ssize_t)len)
		return fail(p, "write", at, len);
	return true;
}

static bool zero_some(struct part *p, uint64_t at, size_t len)
{
	uint64_t range[2] = { p->start + at, len };
	int ret;

	memset(p->model + at, 0, len);
	if (is_device)
		ret = ioctl(p->fd, BLKZEROOUT, range);
	else
		ret = fallocate(p->fd, FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, (off_t)range[0],
				(off_t)len);
	return ret ? fail(p, "zeroes", at, len) : true;
}

/* What is there afterwards nobody knows: it is written again. */
static bool discard_some(struct part *p, uint64_t at, size_t len)
{
	uint64_t range[2] = { p->start + at, len };

	if (is_device && !no_discard && ioctl(p->fd, BLKDISCARD, range)) {
		if (errno != EOPNOTSUPP)
			return fail(p, "discard", at, len);
		no_discard = true;
	}
	return write_some(p, at, len);
}

static bool step(struct part *p)
{
	size_t most = rnd(p, 4) ? 16 * 1024 : MAX_LEN;
	size_t len = (1 + rnd(p, most / sector)) * sector;
	uint64_t at = rnd(p, (p->len - len) / sector + 1) * sector;

	switch (rnd(p, 16)) {
	case 0:
		return zero_some(p, at, len);
	case 1:
		return discard_some(p, at, len);
	case 2:
		return fsync(p->fd) ? fail(p, "flush", 0, 0) : true;
	case 3 ... 8:
		return write_some(p, at, len);
	default:
		return read_some(p, at, len);
	}
}

/* What does not depend on the size of a sector, which the host of a guest may see otherwise. */
static bool fill_all(struct part *p, bool on_disk)
{
	uint64_t before = p->random;
	bool ok = true;

	p->random = seed * 2654435761u + p->number + 1;
	for (uint64_t at = 0; at < p->len && ok; at += MAX_LEN) {
		make_data(p, at, MAX_LEN);
		if (on_disk && pwrite(p->fd, p->buf, MAX_LEN, (off_t)(p->start + at)) != MAX_LEN)
			ok = fail(p, "write", at, MAX_LEN);
	}
	p->random = before;
	return ok;
}

static bool check_all(struct part *p)
{
	bool ok = true;

	for (uint64_t at = 0; at < p->len && ok; at += MAX_LEN)
		ok = read_some(p, at, MAX_LEN);
	return ok;
}

static void *work(void *arg)
{
	struct part *p = arg;
	bool ok = true;
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(p->number % (unsigned int)sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set);
	if (keep) {
		fill_all(p, false);
		ok = check_all(p);
	} else {
		ok = fill_all(p, true);
		for (unsigned int i = 0; i < ops && ok; i++)
			ok = step(p);
		ok = ok && check_all(p) && fill_all(p, true);
		if (ok && fsync(p->fd))
			fail(p, "flush", 0, 0);
	}
	return NULL;
}

static uint64_t size_of(int fd)
{
	struct stat st;
	uint64_t size = 0;

	if (fstat(fd, &st))
		return 0;
	is_device = S_ISBLK(st.st_mode);
	if (!is_device)
		return (uint64_t)st.st_size;
	if (ioctl(fd, BLKSSZGET, &sector) || ioctl(fd, BLKGETSIZE64, &size))
		return 0;
	return size;
}

static int prepare(struct part *p, unsigned int number, const char *path, uint64_t len)
{
	/* Past the page cache, so that each operation reaches the disk; a tmpfs may have none. */
	p->fd = open(path, O_RDWR | O_DIRECT);
	if (p->fd < 0)
		p->fd = open(path, O_RDWR);
	p->number = number;
	p->len = len;
	p->start = number * len;
	p->random = seed * 88172645463325252ULL + number + 1;
	p->model = malloc(len);
	p->buf = aligned_alloc(4096, MAX_LEN);
	return p->fd < 0 || !p->model || !p->buf;
}

int main(int argc, char **argv)
{
	static struct part parts[MAX_THREADS];
	uint64_t len;
	int fd;

	for (int i = 2; i < argc; i++) {
		if (!strncmp(argv[i], "seed=", 5))
			seed = strtoull(argv[i] + 5, NULL, 10);
		else if (!strncmp(argv[i], "ops=", 4))
			ops = (unsigned int)atoi(argv[i] + 4);
		else if (!strncmp(argv[i], "threads=", 8))
			threads = (unsigned int)atoi(argv[i] + 8);
		else if (!strcmp(argv[i], "keep"))
			keep = true;
		else
			return 2;
	}
	fd = argc > 1 ? open(argv[1], O_RDONLY) : -1;
	len = fd < 0 ? 0 : size_of(fd);
	if (!threads || threads > MAX_THREADS || len / threads < MAX_LEN) {
		printf("not ok %s: cannot be opened, or is too small\n", argc > 1 ? argv[1] : "");
		return 2;
	}
	len = len / threads / MAX_LEN * MAX_LEN;
	len = len < MAX_PART ? len : MAX_PART;
	for (unsigned int i = 0; i < threads; i++) {
		if (prepare(&parts[i], i, argv[1], len) ||
		    pthread_create(&parts[i].thread, NULL, work, &parts[i])) {
			printf("not ok %s: %s\n", argv[1], strerror(errno));
			return 2;
		}
	}
	for (unsigned int i = 0; i < threads; i++)
		pthread_join(parts[i].thread, NULL);
	for (unsigned int i = 0; i < threads; i++) {
		if (parts[i].why[0]) {
			printf("not ok %s: %s\n", argv[1], parts[i].why);
			return 1;
		}
	}
	printf("ok %s: %u threads, %u operations each, seed %llu%s\n", argv[1], threads, ops,
	       (unsigned long long)seed, keep ? ", kept" : "");
	return 0;
}
