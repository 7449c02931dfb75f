/* SPDX-License-Identifier: MIT */
/*
 * Tries what programs expect of a file system (POSIX.1-2017, Linux's manual pages), in an empty
 * directory of it: fs-exerciser DIRECTORY [seed=N] [ops=N] [entries=N] [without=NAME,...]. One line
 * for each check, "ok NAME", "skip NAME: why" or "not ok NAME: why"; exit status 1 when one failed.
 * It knows no file system; what one does not have is named after without=.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define NSEC 1000000000L

static unsigned int ops = 2000, entries = 2000, failed;
static uint64_t seed = 1;
static const char *without = "";
static char why[256];

static uint64_t rnd(uint64_t below)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % below;
}

/* The first thing that is wrong in a check is said. */
static void wrong(int line, const char *what)
{
	int error = errno;

	if (!*why)
		snprintf(why, sizeof(why), "line %d: %s (%s)", line, what, strerror(error));
}

#define MUST(condition)                              \
	do {                                         \
		if (!(condition))                    \
			wrong(__LINE__, #condition); \
	} while (0)
#define NEED(condition)                              \
	do {                                         \
		if (!(condition)) {                  \
			wrong(__LINE__, #condition); \
			return;                      \
		}                                    \
	} while (0)
/* The call fails, with that error. */
#define FAILS(call, error)                                     \
	do {                                                   \
		errno = 0;                                     \
		if ((call) != -1 || errno != (error))          \
			wrong(__LINE__, #call " not " #error); \
	} while (0)

/* Helpers */

static int make(const char *name, const char *text)
{
	int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0644);

	if (fd >= 0 && write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		wrong(__LINE__, name);
	return fd;
}

static void make_closed(const char *name, const char *text)
{
	int fd = make(name, text);

	MUST(fd >= 0 && !close(fd));
}

static bool fd_is(int fd, const char *text)
{
	char buf[256] = "";

	return pread(fd, buf, sizeof(buf) - 1, 0) == (ssize_t)strlen(text) && !strcmp(buf, text);
}

static bool file_is(const char *name, const char *text)
{
	int fd = open(name, O_RDONLY);
	bool is = fd >= 0 && fd_is(fd, text);

	if (fd >= 0)
		close(fd);
	return is;
}

static struct stat stat_of(const char *name)
{
	struct stat st = { 0 };

	MUST(!lstat(name, &st));
	return st;
}

static bool exists(const char *name)
{
	struct stat st;

	return !lstat(name, &st);
}

/* Run @fn in @n processes; true when all say so. */
static bool in_processes(unsigned int n, bool (*fn)(unsigned int i))
{
	bool all = true;
	int status;

	for (unsigned int i = 0; i < n; i++) {
		pid_t pid = fork();

		if (!pid)
			_exit(fn(i) ? 0 : 1);
		all = all && pid > 0;
	}
	while (wait(&status) > 0)
		all = all && WIFEXITED(status) && !WEXITSTATUS(status);
	return all;
}

/* Files */

static void check_create(void)
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

static void check_open_flags(void)
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

static void check_append(void)
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

static void check_truncate(void)
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

static void check_sparse(void)
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

static void check_unlinked_open(void)
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

static void check_unlinked_directory(void)
{
	int fd;

	MUST(!mkdir("dir", 0755));
	fd = open("dir", O_RDONLY | O_DIRECTORY);
	NEED(fd >= 0);
	MUST(!rmdir("dir"));
	FAILS(openat(fd, "new", O_WRONLY | O_CREAT, 0644), ENOENT);
	MUST(!close(fd));
}

/* Names */

static void check_rename(void)
{
	struct stat before, after;

	make_closed("a", "a");
	make_closed("b", "b");
	before = stat_of("a");
	MUST(!rename("a", "b") && !exists("a") && file_is("b", "a"));
	after = stat_of("b");
	MUST(before.st_ino == after.st_ino);
	MUST(!rename("b", "b") && file_is("b", "a"));
	FAILS(rename("none", "c"), ENOENT);
	MUST(!mkdir("dir", 0755) && !mkdir("dir/sub", 0755) && !mkdir("empty", 0755));
	FAILS(rename("dir", "dir/sub/inside"), EINVAL);
	FAILS(rename("b", "dir"), EISDIR);
	FAILS(rename("dir", "b"), ENOTDIR);
	errno = 0;
	MUST(rename("empty", "dir") == -1 && (errno == ENOTEMPTY || errno == EEXIST));
	MUST(!rename("dir", "empty") && exists("empty/sub") && !exists("dir"));
	MUST(!rename("b", "empty/sub/b") && file_is("empty/sub/b", "a"));
	MUST(!symlink("empty", "link") && !rename("link", "moved"));
	MUST(S_ISLNK(stat_of("moved").st_mode));
}

static void check_rename_open(void)
{
	int old = make("target", "old"), fd = make("source", "new"), below;

	NEED(old >= 0 && fd >= 0);
	MUST(!rename("source", "target"));
	MUST(fd_is(old, "old") && fd_is(fd, "new") && file_is("target", "new"));
	MUST(pwrite(fd, "NEW", 3, 0) == 3 && pwrite(old, "OLD", 3, 0) == 3);
	MUST(file_is("target", "NEW") && fd_is(old, "OLD"));
	MUST(!close(old) && !close(fd));
	/* A file that is open below a directory that moves. */
	MUST(!mkdir("dir", 0755) && !mkdir("dir/sub", 0755));
	below = make("dir/sub/file", "below");
	NEED(below >= 0);
	MUST(!rename("dir", "moved") && fd_is(below, "below"));
	MUST(pwrite(below, "BELOW", 5, 0) == 5 && file_is("moved/sub/file", "BELOW"));
	MUST(!close(below));
}

static void check_link(void)
{
	make_closed("a", "text");
	MUST(!link("a", "b") && stat_of("a").st_nlink == 2);
	MUST(stat_of("a").st_ino == stat_of("b").st_ino && file_is("b", "text"));
	FAILS(link("a", "b"), EEXIST);
	FAILS(link("none", "c"), ENOENT);
	MUST(!mkdir("dir", 0755));
	FAILS(link("dir", "other"), EPERM);
	MUST(!link("a", "dir/c") && !unlink("a") && !unlink("b"));
	MUST(file_is("dir/c", "text") && stat_of("dir/c").st_nlink == 1);
}

static void check_symlink(void)
{
	char target[4096], back[4096];

	make_closed("file", "text");
	MUST(!symlink("file", "link") && file_is("link", "text"));
	MUST(readlink("link", back, sizeof(back)) == 4 && !memcmp(back, "file", 4));
	MUST(S_ISLNK(stat_of("link").st_mode) && stat_of("link").st_size == 4);
	FAILS(symlink("file", "link"), EEXIST);
	FAILS(readlink("file", back, sizeof(back)), EINVAL);
	MUST(!symlink("loop", "loop"));
	FAILS(open("loop", O_RDONLY), ELOOP);
	MUST(!symlink("none", "dangling"));
	FAILS(open("dangling", O_RDONLY), ENOENT);
	memset(target, 'l', sizeof(target));
	target[1000] = '\0';
	MUST(!symlink(target, "long") && readlink("long", back, sizeof(back)) == 1000);
	MUST(!memcmp(target, back, 1000) && !unlink("link") && exists("file"));
	MUST(!mkdir("dir", 0755) && !symlink("..", "dir/up") && file_is("dir/up/file", "text"));
}

static void check_directory(void)
{
	umask(022);
	MUST(!mkdir("dir", 0777) && (stat_of("dir").st_mode & 07777) == 0755);
	FAILS(mkdir("dir", 0755), EEXIST);
	FAILS(mkdir("none/dir", 0755), ENOENT);
	make_closed("dir/file", "");
	errno = 0;
	MUST(rmdir("dir") == -1 && (errno == ENOTEMPTY || errno == EEXIST));
	FAILS(rmdir("dir/file"), ENOTDIR);
	FAILS(rmdir("none"), ENOENT);
	errno = 0;
	MUST(unlink("dir") == -1 && (errno == EISDIR || errno == EPERM));
	MUST(!unlink("dir/file") && !rmdir("dir") && !exists("dir"));
	FAILS(unlink("none"), ENOENT);
}

static void check_deep(void)
{
	char path[64 * 6 + 16] = "";
	int fd, up;

	for (unsigned int i = 0; i < 64; i++) {
		snprintf(path + strlen(path), 6, "d%03u/", i);
		NEED(!mkdir(path, 0755));
	}
	fd = open(path, O_RDONLY | O_DIRECTORY);
	NEED(fd >= 0);
	for (unsigned int i = 64; i > 0; i--) {
		up = openat(fd, "..", O_RDONLY | O_DIRECTORY);
		NEED(up >= 0);
		close(fd);
		fd = up;
	}
	MUST(!faccessat(fd, "d000", F_OK, 0));
	/* And what is renamed meanwhile is still found from below. */
	close(fd);
	fd = open("d000/d001/d002", O_RDONLY | O_DIRECTORY);
	NEED(fd >= 0);
	MUST(!rename("d000/d001", "moved") && !faccessat(fd, "../../moved", F_OK, 0));
	close(fd);
}

/* Attributes */

static bool same_time(struct timespec t, long sec, long nsec)
{
	/* Some have coarser clocks: 100 ns, or seconds. */
	return t.tv_sec == sec &&
	       (t.tv_nsec == nsec || t.tv_nsec == nsec / 100 * 100 || !t.tv_nsec);
}

static void check_attributes(void)
{
	struct timespec times[2] = { { 1000000000, 123456789 }, { 1200000000, NSEC - 1 } };
	struct stat st;
	int fd = make("file", "text");

	NEED(fd >= 0);
	MUST(!chmod("file", 0604) && (stat_of("file").st_mode & 07777) == 0604);
	MUST(!fchmod(fd, 04750) && (stat_of("file").st_mode & 07777) == 04750);
	FAILS(chmod("none", 0644), ENOENT);
	MUST(!utimensat(AT_FDCWD, "file", times, 0));
	st = stat_of("file");
	MUST(same_time(st.st_atim, 1000000000, 123456789));
	MUST(same_time(st.st_mtim, 1200000000, NSEC - 1));
	times[0].tv_nsec = UTIME_OMIT;
	times[1].tv_sec = 1300000000;
	MUST(!futimens(fd, times));
	st = stat_of("file");
	MUST(st.st_atim.tv_sec == 1000000000 && st.st_mtim.tv_sec == 1300000000);
	times[0].tv_nsec = UTIME_NOW;
	times[1].tv_nsec = UTIME_OMIT;
	MUST(!futimens(fd, times) && stat_of("file").st_atim.tv_sec > 1400000000);
	MUST(stat_of("file").st_mtim.tv_sec == 1300000000);
	MUST(pwrite(fd, "T", 1, 0) == 1 && !fsync(fd));
	MUST(stat_of("file").st_mtim.tv_sec > 1400000000);
	MUST(!mkdir("dir", 0755) && !chmod("dir", 01777));
	MUST((stat_of("dir").st_mode & 07777) == 01777 && !close(fd));
}

static void check_chown(void)
{
	if (geteuid()) {
		snprintf(why, sizeof(why), "skip: not root");
		return;
	}
	make_closed("file", "");
	MUST(!chown("file", 1234, 5678));
	MUST(stat_of("file").st_uid == 1234 && stat_of("file").st_gid == 5678);
	MUST(!chown("file", (uid_t)-1, 77) && stat_of("file").st_uid == 1234);
	MUST(stat_of("file").st_gid == 77);
	MUST(!symlink("none", "link") && !lchown("link", 12, 34));
	MUST(stat_of("link").st_uid == 12 && stat_of("link").st_gid == 34);
}

static void check_xattr(void)
{
	char value[4000], back[4096];
	ssize_t n;

	make_closed("file", "");
	if (setxattr("file", "user.colour", "red", 3, 0) && errno == EOPNOTSUPP) {
		snprintf(why, sizeof(why), "skip: no extended attributes");
		return;
	}
	MUST(getxattr("file", "user.colour", back, sizeof(back)) == 3 && !memcmp(back, "red", 3));
	MUST(getxattr("file", "user.colour", NULL, 0) == 3);
	FAILS(getxattr("file", "user.colour", back, 2), ERANGE);
	FAILS(getxattr("file", "user.none", back, sizeof(back)), ENODATA);
	FAILS(setxattr("file", "user.colour", "x", 1, XATTR_CREATE), EEXIST);
	FAILS(setxattr("file", "user.none", "x", 1, XATTR_REPLACE), ENODATA);
	MUST(!setxattr("file", "user.empty", "", 0, XATTR_CREATE));
	MUST(getxattr("file", "user.empty", back, sizeof(back)) == 0);
	memset(value, 'v', sizeof(value));
	if (!setxattr("file", "user.large", value, sizeof(value), 0))
		MUST(getxattr("file", "user.large", back, sizeof(back)) == sizeof(value) &&
		     !memcmp(value, back, sizeof(value)) && !removexattr("file", "user.large"));
	else
		MUST(errno == ENOSPC || errno == E2BIG);
	n = listxattr("file", back, sizeof(back));
	MUST(n >= 23 && memmem(back, (size_t)n, "user.colour", 12) &&
	     memmem(back, (size_t)n, "user.empty", 11));
	MUST(!removexattr("file", "user.colour"));
	FAILS(removexattr("file", "user.colour"), ENODATA);
	MUST(!setxattr("file", "user.empty", "now", 3, XATTR_REPLACE));
	MUST(getxattr("file", "user.empty", back, sizeof(back)) == 3);
	MUST(!mkdir("dir", 0755) && !setxattr("dir", "user.dir", "yes", 3, 0));
	MUST(getxattr("dir", "user.dir", back, sizeof(back)) == 3);
}

static void check_special(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX, .sun_path = "socket" };
	int fd, s = socket(AF_UNIX, SOCK_STREAM, 0);

	MUST(!mkfifo("fifo", 0644) && S_ISFIFO(stat_of("fifo").st_mode));
	fd = open("fifo", O_RDWR);
	NEED(fd >= 0);
	MUST(write(fd, "through", 7) == 7 && read(fd, addr.sun_path + 10, 7) == 7 && !close(fd));
	MUST(s >= 0 && !bind(s, (struct sockaddr *)&addr, sizeof(addr)));
	MUST(S_ISSOCK(stat_of("socket").st_mode) && !close(s));
	MUST(!rename("fifo", "moved") && !unlink("moved") && !unlink("socket"));
}

static void check_statfs(void)
{
	struct statfs s;
	int fd = make("file", "");

	NEED(fd >= 0);
	MUST(!statfs(".", &s) && s.f_bsize > 0 && s.f_namelen >= 255);
	MUST(s.f_bavail <= s.f_blocks && s.f_bfree <= s.f_blocks);
	MUST(!fstatfs(fd, &s) && s.f_bsize > 0 && !close(fd));
}

/* Directories with many entries */

static void make_entries(unsigned int from, unsigned int to)
{
	char name[64];

	for (unsigned int i = from; i < to; i++) {
		snprintf(name, sizeof(name), "entry-with-a-name-%05u", i);
		make_closed(name, "");
	}
}

/* How often each of the entries was seen. */
static void count_entries(DIR *dir, unsigned char *seen)
{
	struct dirent *e;
	unsigned int i;

	while ((e = readdir(dir)))
		if (sscanf(e->d_name, "entry-with-a-name-%u", &i) == 1 && i < 2 * entries)
			seen[i]++;
}

static void check_readdir(void)
{
	unsigned char *seen = calloc(2 * entries, 1);
	unsigned int bad = 0, dots = 0;
	struct dirent *e;
	char name[64];
	DIR *dir;

	make_entries(0, entries);
	dir = opendir(".");
	NEED(dir && seen);
	count_entries(dir, seen);
	for (unsigned int i = 0; i < entries; i++)
		bad += seen[i] != 1;
	MUST(!bad);
	/* Others come and go while it is read: what is there all the time is seen once. */
	memset(seen, 0, 2 * entries);
	rewinddir(dir);
	for (unsigned int n = 0; n < entries / 4 && (e = readdir(dir)); n++) {
		unsigned int i;

		dots += e->d_name[0] == '.';
		if (sscanf(e->d_name, "entry-with-a-name-%u", &i) == 1 && i < 2 * entries)
			seen[i]++;
	}
	for (unsigned int i = 1; i < entries; i += 2) {
		snprintf(name, sizeof(name), "entry-with-a-name-%05u", i);
		MUST(!unlink(name));
	}
	make_entries(entries, entries + entries / 4);
	count_entries(dir, seen);
	for (unsigned int i = 0; i < entries; i += 2)
		bad += seen[i] != 1;
	for (unsigned int i = 0; i < 2 * entries; i++)
		bad += seen[i] > 1;
	MUST(!bad);
	MUST(dots <= 2);
	closedir(dir);
	free(seen);
}

static void check_readdir_seek(void)
{
	unsigned int n = 0;
	struct dirent *e;
	char name[300];
	long where;
	DIR *dir;

	make_entries(0, 300);
	dir = opendir(".");
	NEED(dir);
	while (n++ < 100)
		NEED(readdir(dir));
	where = telldir(dir);
	NEED((e = readdir(dir)));
	snprintf(name, sizeof(name), "%s", e->d_name);
	while (readdir(dir))
		n++;
	seekdir(dir, where);
	NEED((e = readdir(dir)));
	MUST(!strcmp(name, e->d_name));
	closedir(dir);
}

static void check_inodes(void)
{
	struct dirent *e;
	ino_t inodes[8];
	unsigned int n = 0;
	DIR *dir;

	make_closed("file", "");
	MUST(!mkdir("dir", 0755) && !symlink("file", "link") && !mkfifo("fifo", 0644));
	dir = opendir(".");
	NEED(dir);
	while ((e = readdir(dir)) && n < 8) {
		struct stat st;

		if (!strcmp(e->d_name, "..") || !strcmp(e->d_name, "."))
			continue;
		st = stat_of(e->d_name);
		MUST(e->d_type == DT_UNKNOWN || (mode_t)DTTOIF(e->d_type) == (st.st_mode & S_IFMT));
		for (unsigned int i = 0; i < n; i++)
			MUST(inodes[i] != st.st_ino);
		inodes[n++] = st.st_ino;
	}
	MUST(n == 4);
	closedir(dir);
}

/* Data */

static void check_large(void)
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

static void check_mmap(void)
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

/* Locks */

static int lock_how(int fd, int cmd, short type, off_t start, off_t len)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };

	return fcntl(fd, cmd, &l);
}

static bool lock_child(unsigned int i)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 1 };
	int fd = open("file", O_RDWR);
	bool ok;

	ok = fd >= 0 && lock_how(fd, F_SETLK, F_WRLCK, 5, 10) == -1 &&
	     (errno == EAGAIN || errno == EACCES);
	ok = ok && !fcntl(fd, F_GETLK, &l) && l.l_type == F_WRLCK && l.l_pid == getppid();
	ok = ok && !lock_how(fd, F_SETLK, F_WRLCK, 100, 10);
	ok = ok && !lock_how(fd, F_SETLK, F_RDLCK, 100, 10);
	return ok && !close(fd);
}

static bool unlocked_child(unsigned int i)
{
	int fd = open("file", O_RDWR);

	return fd >= 0 && !lock_how(fd, F_SETLK, F_WRLCK, 0, 0) && !close(fd);
}

static bool counting_child(unsigned int i)
{
	int fd = open("counter", O_RDWR);
	bool ok = fd >= 0;

	for (int n = 0; ok && n < 50; n++) {
		unsigned int value = 0;

		ok = !lock_how(fd, F_SETLKW, F_WRLCK, 0, 4) && pread(fd, &value, 4, 0) == 4;
		value++;
		ok = ok && pwrite(fd, &value, 4, 0) == 4 && !lock_how(fd, F_SETLK, F_UNLCK, 0, 4);
	}
	return ok && !close(fd);
}

static void check_locks(void)
{
	unsigned int value = 0;
	int fd = make("file", "text"), counter = make("counter", "");

	NEED(fd >= 0 && counter >= 0);
	MUST(!lock_how(fd, F_SETLK, F_WRLCK, 0, 20));
	MUST(in_processes(1, lock_child));
	MUST(!lock_how(fd, F_SETLK, F_UNLCK, 0, 20) && in_processes(1, unlocked_child));
	MUST(!lock_how(fd, F_SETLK, F_WRLCK, 0, 0) && !close(fd));
	MUST(in_processes(1, unlocked_child));
	/* Four that wait for each other. */
	MUST(pwrite(counter, &value, 4, 0) == 4 && in_processes(4, counting_child));
	MUST(pread(counter, &value, 4, 0) == 4 && value == 200 && !close(counter));
}

static bool flock_child(unsigned int i)
{
	int fd = open("file", O_RDONLY);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK && !close(fd);
}

static void check_flock(void)
{
	int fd = make("file", "text");

	NEED(fd >= 0);
	MUST(!flock(fd, LOCK_EX) && in_processes(1, flock_child));
	MUST(!flock(fd, LOCK_SH) && in_processes(1, flock_child));
	MUST(!flock(fd, LOCK_UN) && !close(fd));
}

/* Several at once */

#define RACE_FILES 50

static bool exclusive_child(unsigned int i)
{
	char name[32], mine[32];

	for (unsigned int n = 0; n < RACE_FILES; n++) {
		int fd;

		snprintf(name, sizeof(name), "once-%u", n);
		fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (fd < 0 && errno != EEXIST)
			return false;
		if (fd < 0)
			continue;
		close(fd);
		snprintf(mine, sizeof(mine), "won-%u-%u", n, i);
		fd = open(mine, O_WRONLY | O_CREAT | O_EXCL, 0644);
		if (fd < 0)
			return false;
		close(fd);
	}
	return true;
}

static void check_exclusive(void)
{
	char name[32];

	MUST(in_processes(4, exclusive_child));
	for (unsigned int n = 0; n < RACE_FILES; n++) {
		unsigned int winners = 0;

		for (unsigned int i = 0; i < 4; i++) {
			snprintf(name, sizeof(name), "won-%u-%u", n, i);
			winners += exists(name);
		}
		NEED(winners == 1);
	}
}

static bool writing_child(unsigned int i)
{
	int fd = open("file", O_RDWR);
	char buf[4096], back[4096];
	bool ok = fd >= 0;

	for (unsigned int n = 0; ok && n < 40; n++) {
		off_t at = (off_t)(n * 4 + i) * 4096;

		memset(buf, (int)('a' + i + n % 20), sizeof(buf));
		ok = pwrite(fd, buf, sizeof(buf), at) == sizeof(buf) &&
		     pread(fd, back, sizeof(back), at) == sizeof(back) &&
		     !memcmp(buf, back, sizeof(buf));
	}
	return ok && !close(fd);
}

static void check_concurrent(void)
{
	char buf[4096];
	int fd;

	make_closed("file", "");
	MUST(in_processes(4, writing_child));
	fd = open("file", O_RDONLY);
	NEED(fd >= 0);
	for (unsigned int n = 0; n < 160; n++) {
		NEED(pread(fd, buf, sizeof(buf), (off_t)n * 4096) == sizeof(buf));
		for (unsigned int k = 0; k < sizeof(buf); k++)
			NEED(buf[k] == (char)('a' + n % 4 + n / 4 % 20));
	}
	MUST(!close(fd));
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

static void check_random(void)
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

static const struct {
	const char *name;
	void (*fn)(void);
} checks[] = {
	{ "create", check_create },
	{ "open-flags", check_open_flags },
	{ "append", check_append },
	{ "truncate", check_truncate },
	{ "sparse", check_sparse },
	{ "unlinked-open", check_unlinked_open },
	{ "unlinked-directory", check_unlinked_directory },
	{ "rename", check_rename },
	{ "rename-open", check_rename_open },
	{ "link", check_link },
	{ "symlink", check_symlink },
	{ "directory", check_directory },
	{ "deep", check_deep },
	{ "attributes", check_attributes },
	{ "chown", check_chown },
	{ "xattr", check_xattr },
	{ "special", check_special },
	{ "statfs", check_statfs },
	{ "readdir", check_readdir },
	{ "readdir-seek", check_readdir_seek },
	{ "inodes", check_inodes },
	{ "large", check_large },
	{ "mmap", check_mmap },
	{ "locks", check_locks },
	{ "flock", check_flock },
	{ "exclusive", check_exclusive },
	{ "concurrent", check_concurrent },
	{ "random", check_random },
};

/* Is @name in the list after without=? */
static bool is_left_out(const char *name)
{
	size_t len = strlen(name);

	for (const char *p = without; (p = strstr(p, name)); p += len)
		if ((p == without || p[-1] == ',') && (!p[len] || p[len] == ','))
			return true;
	return false;
}

static void run(unsigned int i, int dir)
{
	const char *name = checks[i].name;

	*why = '\0';
	if (is_left_out(name)) {
		printf("skip %s: not wanted\n", name);
		return;
	}
	if (fchdir(dir) || mkdir(name, 0755) || chdir(name))
		wrong(__LINE__, "cannot make a directory for it");
	else
		checks[i].fn();
	if (!*why) {
		printf("ok %s\n", name);
	} else if (!strncmp(why, "skip: ", 6)) {
		printf("skip %s: %s\n", name, why + 6);
	} else {
		printf("not ok %s: %s\n", name, why);
		failed++;
	}
	fflush(stdout);
}

int main(int argc, char **argv)
{
	int dir = argc > 1 ? open(argv[1], O_RDONLY | O_DIRECTORY) : -1;

	for (int i = 2; i < argc; i++) {
		char *value = strchr(argv[i], '=');

		if (value && !strncmp(argv[i], "seed=", 5))
			seed = strtoull(value + 1, NULL, 0);
		else if (value && !strncmp(argv[i], "ops=", 4))
			ops = (unsigned int)strtoul(value + 1, NULL, 0);
		else if (value && !strncmp(argv[i], "entries=", 8))
			entries = (unsigned int)strtoul(value + 1, NULL, 0);
		else if (value && !strncmp(argv[i], "without=", 8))
			without = value + 1;
		else
			dir = -1;
	}
	if (dir < 0 || !seed) {
		fprintf(stderr, "usage: fs-exerciser EMPTY-DIRECTORY [seed=N] [ops=N] [entries=N] "
				"[without=NAME,...]\n");
		return 2;
	}
	for (unsigned int i = 0; i < sizeof(checks) / sizeof(checks[0]); i++)
		run(i, dir);
	printf("fs-exerciser: %zu checks, %u failed\n", sizeof(checks) / sizeof(checks[0]), failed);
	return failed ? 1 : 0;
}
