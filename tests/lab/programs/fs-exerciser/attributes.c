/* SPDX-License-Identifier: MIT */
/* Attributes, extended ones, special files; locks, and several processes at once. */
#include <dirent.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include "exerciser.h"

#define NSEC 1000000000L

/* Attributes */

static bool same_time(struct timespec t, long sec, long nsec)
{
	/* Some have coarser clocks: 100 ns, or seconds. */
	return t.tv_sec == sec &&
	       (t.tv_nsec == nsec || t.tv_nsec == nsec / 100 * 100 || !t.tv_nsec);
}

void check_attributes(void)
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

void check_chown(void)
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

void check_xattr(void)
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

void check_special(void)
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

void check_statfs(void)
{
	struct statfs s;
	int fd = make("file", "");

	NEED(fd >= 0);
	MUST(!statfs(".", &s) && s.f_bsize > 0 && s.f_namelen >= 255);
	MUST(s.f_bavail <= s.f_blocks && s.f_bfree <= s.f_blocks);
	MUST(!fstatfs(fd, &s) && s.f_bsize > 0 && !close(fd));
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

void check_locks(void)
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

void check_flock(void)
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

void check_exclusive(void)
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

void check_concurrent(void)
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
