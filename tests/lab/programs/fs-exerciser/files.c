/* SPDX-License-Identifier: MIT */
/* Open files: flags, contents, mappings, random operations beside a model. */
#include <sys/mman.h>

#include "exerciser.h"

/* Files */

void check_create(void)
{
	char name[300];
	int fd;

	umask(0);
	fd = open("new", O_RDWR | O_CREAT | O_EXCL, 0640);
	NEED(fd >= 0);
	MUST((stat_of("new").st_mode & 07777) == 0640 && stat_of("new").st_size == 0);
	MUST(S_ISREG(stat_of("new").st_mode) && stat_of("new").st_nlink == 1);
	MUST(stat_of("new").st_uid == geteuid());
	FAILS(open("new", O_RDWR | O_CREAT | O_EXCL, 0640), EEXIST);
	FAILS(open("none", O_RDONLY), ENOENT);
	FAILS(open("new/below", O_RDONLY), ENOTDIR);
	FAILS(open("none/below", O_WRONLY | O_CREAT, 0644), ENOENT);
	MUST(!symlink("nowhere", "dangling"));
	FAILS(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0644), EEXIST);
	MUST(write(fd, "x", 1) == 1 && !close(fd));
	memset(name, 'n', sizeof(name));
	name[255] = '\0';
	make_closed(name, "long");
	MUST(file_is(name, "long") && !unlink(name));
	name[255] = 'n';
	name[256] = '\0';
	FAILS(open(name, O_WRONLY | O_CREAT, 0644), ENAMETOOLONG);
	umask(022);
	MUST((fd = open("masked", O_RDWR | O_CREAT, 0666)) >= 0 && !close(fd));
	MUST((stat_of("masked").st_mode & 07777) == 0644);
}

void check_open_flags(void)
{
	int fd;

	make_closed("file", "0123456789");
	MUST(!mkdir("dir", 0755) && !symlink("file", "link"));
	FAILS(open("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
	FAILS(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
	FAILS(open("dir", O_WRONLY), EISDIR);
	MUST((fd = open("dir", O_RDONLY | O_DIRECTORY)) >= 0);
	FAILS(read(fd, &fd, 1), EISDIR);
	MUST(!fsync(fd) && !close(fd));
	MUST((fd = open("file", O_RDONLY)) >= 0);
	FAILS(write(fd, "x", 1), EBADF);
	MUST(!close(fd));
	MUST((fd = open("file", O_WRONLY)) >= 0);
	FAILS(read(fd, &(char){ 0 }, 1), EBADF);
	MUST(!close(fd));
	MUST(file_is("link", "0123456789"));
	MUST((fd = open("link", O_RDWR | O_TRUNC)) >= 0 && !close(fd));
	MUST(stat_of("file").st_size == 0);
}

void check_append(void)
{
	int a, b;

	make_closed("log", "start ");
	a = open("log", O_WRONLY | O_APPEND);
	b = open("log", O_WRONLY | O_APPEND);
	NEED(a >= 0 && b >= 0);
	MUST(write(a, "one ", 4) == 4 && write(b, "two ", 4) == 4 && write(a, "three", 5) == 5);
	MUST(!close(a) && !close(b));
	MUST(file_is("log", "start one two three"));
}

void check_truncate(void)
{
	char buf[32];
	int fd = make("file", "0123456789");

	NEED(fd >= 0);
	MUST(!ftruncate(fd, 4) && fd_is(fd, "0123"));
	MUST(!truncate("file", 20) && stat_of("file").st_size == 20);
	memset(buf, 'x', sizeof(buf));
	MUST(pread(fd, buf, sizeof(buf), 0) == 20 && !memcmp(buf, "0123\0\0\0\0\0\0\0\0", 12));
	MUST(pread(fd, buf, sizeof(buf), 20) == 0);
	FAILS(truncate("file", -1), EINVAL);
	FAILS(truncate("none", 0), ENOENT);
	MUST(!mkdir("dir", 0755));
	FAILS(truncate("dir", 0), EISDIR);
	MUST(!close(fd));
}

void check_sparse(void)
{
	int fd = make("file", "");
	char buf[4096];
	off_t far = 3LL << 30;

	NEED(fd >= 0);
	MUST(pwrite(fd, "end", 3, far) == 3 && stat_of("file").st_size == far + 3);
	MUST(!fsync(fd) && stat_of("file").st_blocks < 10000);
	memset(buf, 'x', sizeof(buf));
	MUST(pread(fd, buf, sizeof(buf), 1 << 20) == sizeof(buf));
	for (size_t i = 0; i < sizeof(buf); i++)
		NEED(!buf[i]);
	MUST(pread(fd, buf, sizeof(buf), far) == 3 && !memcmp(buf, "end", 3));
	MUST(lseek(fd, 0, SEEK_END) == far + 3 && !close(fd));
}

void check_unlinked_open(void)
{
	struct stat st;
	int fd = make("file", "still here");

	NEED(fd >= 0);
	MUST(!unlink("file") && !exists("file"));
	MUST(fd_is(fd, "still here"));
	MUST(!fstat(fd, &st) && st.st_size == 10);
	MUST(pwrite(fd, "and now!!!", 10, 10) == 10 && fd_is(fd, "still hereand now!!!"));
	MUST(!ftruncate(fd, 5) && fd_is(fd, "still"));
	MUST(!fchmod(fd, 0600) && !fstat(fd, &st) && (st.st_mode & 0777) == 0600);
	MUST(!fsync(fd));
	make_closed("file", "another");
	MUST(fd_is(fd, "still") && file_is("file", "another"));
	MUST(!close(fd));
}

void check_unlinked_directory(void)
{
	int fd;

	MUST(!mkdir("dir", 0755));
	fd = open("dir", O_RDONLY | O_DIRECTORY);
	NEED(fd >= 0);
	MUST(!rmdir("dir"));
	FAILS(openat(fd, "new", O_WRONLY | O_CREAT, 0644), ENOENT);
	MUST(!close(fd));
}

/* Data */

void check_large(void)
{
	enum { PIECE = 65536 - 17, PIECES = 128 };
	unsigned char *buf = malloc(PIECE);
	int fd = make("file", "");

	NEED(fd >= 0 && buf);
	for (unsigned int i = 0; i < PIECES; i++) {
		memset(buf, (int)(i * 7 + 1), PIECE);
		NEED(write(fd, buf, PIECE) == PIECE);
	}
	MUST(!fsync(fd) && !close(fd));
	MUST(stat_of("file").st_size == (off_t)PIECE * PIECES);
	fd = open("file", O_RDONLY);
	NEED(fd >= 0);
	for (unsigned int i = 0; i < PIECES; i++) {
		NEED(pread(fd, buf, PIECE, (off_t)i * PIECE) == PIECE);
		for (unsigned int k = 0; k < PIECE; k++)
			NEED(buf[k] == (unsigned char)(i * 7 + 1));
	}
	free(buf);
	MUST(!close(fd));
}

void check_mmap(void)
{
	int fd = make("file", "");
	char *p, back[8] = "";

	NEED(fd >= 0);
	MUST(!ftruncate(fd, 20000));
	p = mmap(NULL, 20000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	NEED(p != MAP_FAILED);
	MUST(!p[0] && !p[19999]);
	memcpy(p + 8190, "across", 6);
	MUST(!msync(p, 20000, MS_SYNC));
	MUST(pread(fd, back, 6, 8190) == 6 && !strcmp(back, "across"));
	MUST(pwrite(fd, "write", 5, 100) == 5 && !memcmp(p + 100, "write", 5));
	MUST(!munmap(p, 20000) && !close(fd));
	fd = open("file", O_RDONLY);
	NEED(fd >= 0);
	p = mmap(NULL, 20000, PROT_READ, MAP_PRIVATE, fd, 0);
	NEED(p != MAP_FAILED);
	MUST(!memcmp(p + 8190, "across", 6) && !memcmp(p + 100, "write", 5));
	MUST(!munmap(p, 20000) && !close(fd));
}

/* Random operations on a file beside a model of it in memory (as the well-known fsx does). */

#define MODEL_SIZE (256 * 1024)

struct model {
	int fd;
	size_t size;
	bool mapped; /* may be written through a mapping */
	unsigned char bytes[MODEL_SIZE];
};

static void random_write(struct model *m, unsigned char *buf)
{
	size_t at = rnd(MODEL_SIZE), len = 1 + rnd(MODEL_SIZE - at);

	len = len > 70000 ? 70000 : len;
	for (size_t i = 0; i < len; i++)
		buf[i] = (unsigned char)rnd(256);
	MUST(pwrite(m->fd, buf, len, (off_t)at) == (ssize_t)len);
	if (at > m->size)
		memset(m->bytes + m->size, 0, at - m->size);
	memcpy(m->bytes + at, buf, len);
	m->size = at + len > m->size ? at + len : m->size;
}

static void random_read(struct model *m, unsigned char *buf)
{
	size_t at = rnd(MODEL_SIZE), len = 1 + rnd(70000);
	size_t want = at >= m->size ? 0 : m->size - at < len ? m->size - at : len;

	MUST(pread(m->fd, buf, len, (off_t)at) == (ssize_t)want);
	MUST(!memcmp(buf, m->bytes + at, want));
}

static void random_truncate(struct model *m)
{
	size_t size = rnd(MODEL_SIZE);

	MUST(!ftruncate(m->fd, (off_t)size));
	if (size > m->size)
		memset(m->bytes + m->size, 0, size - m->size);
	m->size = size;
}

static void random_map(struct model *m)
{
	unsigned char *p;
	size_t at, len;

	if (!m->size || !m->mapped)
		return;
	p = mmap(NULL, m->size, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, 0);
	NEED(p != MAP_FAILED);
	at = rnd(m->size);
	len = 1 + rnd(m->size - at);
	MUST(!memcmp(p + at, m->bytes + at, len));
	for (size_t i = at; i < at + len; i++)
		m->bytes[i] = p[i] = (unsigned char)rnd(256);
	MUST(!munmap(p, m->size));
}

static void random_reopen(struct model *m)
{
	MUST(!fsync(m->fd) && !close(m->fd));
	m->fd = open("file", O_RDWR);
	MUST(m->fd >= 0 && stat_of("file").st_size == (off_t)m->size);
}

void check_random(void)
{
	static unsigned char buf[70000];
	static struct model m;

	m.fd = make("file", "");
	m.mapped = !strstr(without, "mmap");
	NEED(m.fd >= 0);
	for (unsigned int i = 0; i < ops && !*why; i++) {
		switch (rnd(16)) {
		case 0:
			random_truncate(&m);
			break;
		case 1:
			random_map(&m);
			break;
		case 2:
			random_reopen(&m);
			break;
		case 3:
			MUST(stat_of("file").st_size == (off_t)m.size);
			break;
		case 4 ... 8:
			random_write(&m, buf);
			break;
		default:
			random_read(&m, buf);
		}
		if (*why)
			printf("# at operation %u\n", i);
	}
	MUST(!close(m.fd));
}
