/* SPDX-License-Identifier: MIT */
/* fs/: every request of 9P2000.L as a client means it. */
#include <sys/file.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "p9_client.h"

#define OPEN_RDWR   2
#define OPEN_TRUNC  0x200
#define OPEN_APPEND 0x400

static int begin(void **state)
{
	p9_begin(false, 0);
	p9_mount();
	return 0;
}

static int begin_readonly(void **state)
{
	p9_begin(true, 0);
	p9_mount();
	return 0;
}

static int end(void **state)
{
	p9_end();
	return 0;
}

static void test_version(void **state)
{
	/* Everything from before is forgotten. */
	assert_int_equal(p9_call(P9_TVERSION, "ds", 0x7fffffff, "9P2000.L"), 0);
	assert_int_equal(p9_next(4), P9_MSIZE_MAX);
	assert_string_equal(p9_get_string(&p9c.reader), "9P2000.L");
	assert_false(p9_in_use(p9c.p9));
	assert_int_equal(p9_call(P9_TGETATTR, "dq", 1, 0ULL), EBADF);
	assert_int_equal(p9_call(P9_TVERSION, "ds", 8192, "9P2000.u"), 0);
	assert_int_equal(p9_next(4), 8192);
	assert_string_equal(p9_get_string(&p9c.reader), "unknown");
	assert_int_equal(p9_call(P9_TVERSION, "ds", 8192, "9P2000"), 0);
	p9_next(4);
	assert_string_equal(p9_get_string(&p9c.reader), "unknown");
	assert_int_equal(p9_call(P9_TVERSION, "ds", 100, "9P2000.L"), EMSGSIZE);
	assert_int_equal(p9_call(P9_TAUTH, "dssd", 5, "user", "", 0), EOPNOTSUPP);
	assert_int_equal(p9_call(98, ""), EOPNOTSUPP);
	assert_int_equal(p9_call(P9_TVERSION + 1, ""), EOPNOTSUPP);
	assert_int_equal(p9_call(254, ""), EOPNOTSUPP);
}

static void test_attach(void **state)
{
	struct p9_qid qid;
	struct stat st;

	assert_true(p9_in_use(p9c.p9));
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 1, P9_NO_FID, "u", "", 0), EBADF);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 2, P9_NO_FID, "u", "/sub/", 0), 0);
	assert_int_equal(p9_call(P9_TWALK, "ddws", 2, 3, 1, "deep"), 0);
	assert_int_equal(p9_attributes(3, &st, &qid), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 4, P9_NO_FID, "u", "none", 0), ENOENT);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 4, P9_NO_FID, "u", "../..", 0), 0);
	assert_int_equal(p9_call(P9_TWALK, "ddws", 4, 5, 1, "file"), 0);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 6, P9_NO_FID, "u", "out", 0), 0);
	assert_int_equal(p9_call(P9_TREADLINK, "d", 6), 0);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 7, 1, "u", "", 0), EINVAL);
	assert_int_equal(p9_call(P9_TATTACH, "ddssd", P9_NO_FID, P9_NO_FID, "u", "", 0), EBADF);
}

static void test_walk(void **state)
{
	struct p9_qid qid;
	struct stat st;

	assert_int_equal(p9_call(P9_TWALK, "ddwss", 1, 2, 2, "sub", "deep"), 0);
	assert_int_equal(p9_next(2), 2);
	assert_int_equal(p9_next_qid().type, P9_QT_DIR);
	assert_int_equal(p9_next_qid().type, 0);
	assert_int_equal(p9_attributes(2, &st, &qid), 0);
	assert_true(S_ISREG(st.st_mode) && st.st_size == 4);
	/* As far as it goes; then the fid is not made. */
	assert_int_equal(p9_call(P9_TWALK, "ddwsss", 1, 3, 3, "sub", "none", "x"), 0);
	assert_int_equal(p9_next(2), 1);
	assert_int_equal(p9_clunk(3), EBADF);
	assert_int_equal(p9_walk(3, "none"), ENOENT);
	assert_int_equal(p9_call(P9_TWALK, "ddws", 2, 3, 1, "x"), ENOTDIR);
	/* A copy, in place of itself, and on a number that is in use. */
	assert_int_equal(p9_clone(2, 3), 0);
	assert_int_equal(p9_next(2), 0);
	assert_int_equal(p9_clone(2, 2), 0);
	assert_int_equal(p9_clone(2, 3), EBADF);
	assert_int_equal(p9_clone(9, 4), EBADF);
	assert_int_equal(p9_call(P9_TWALK, "ddwss", 2, 2, 2, "..", "deep"), ENOTDIR);
	assert_int_equal(p9_walk(4, "sub"), 0);
	assert_int_equal(p9_call(P9_TWALK, "ddwsss", 4, 4, 3, "..", "sub", "deep"), 0);
	assert_int_equal(p9_attributes(4, &st, &qid), 0);
	assert_int_equal(st.st_size, 4);
	assert_int_equal(p9_call(P9_TWALK, "ddw", 1, 5, 17), EINVAL);
	assert_int_equal(p9_clunk(4), 0);
	assert_int_equal(p9_clunk(4), EBADF);
}

static void test_read_write(void **state)
{
	assert_int_equal(p9_walk(2, "file"), 0);
	assert_int_equal(p9_call(P9_TREAD, "dqd", 2, 0ULL, 10), EBADF);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 2, OPEN_RDWR), 0);
	p9_next_qid();
	assert_int_equal(p9_next(4), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 2, OPEN_RDWR), EINVAL);
	assert_int_equal(p9_call(P9_TREAD, "dqd", 2, 2ULL, 5), 0);
	assert_int_equal(p9_next(4), 5);
	assert_memory_equal(p9c.reader.p, "23456", 5);
	assert_int_equal(p9_call(P9_TREAD, "dqd", 2, 8ULL, 5000), 0);
	assert_int_equal(p9_next(4), 2);
	assert_int_equal(p9_call(P9_TREAD, "dqd", 2, 1ULL << 63, 5), EINVAL);
	assert_int_equal(p9_call(P9_TWRITE, "dqz", 2, 8ULL, "ABC", (size_t)3), 0);
	assert_int_equal(p9_next(4), 3);
	p9_assert_file("file", "01234567ABC");
	assert_int_equal(p9_call(P9_TFSYNC, "dd", 2, 0), 0);
	assert_int_equal(p9_call(P9_TFSYNC, "d", 2), 0);
	/* No more than a message may hold. */
	assert_int_equal(truncate(p9_path("file"), 30000), 0);
	assert_int_equal(p9_call(P9_TREAD, "dqd", 2, 0ULL, 20000), 0);
	assert_int_equal(p9_next(4), 8192 + 24 - P9_READ_HEADER);
	p9c.room = 100;
	assert_int_equal(p9_call(P9_TREAD, "dqd", 2, 0ULL, 20000), 0);
	assert_int_equal(p9_next(4), 100 - P9_READ_HEADER);
}

static void test_append(void **state)
{
	assert_int_equal(p9_walk(2, "file"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 2, OPEN_RDWR | OPEN_APPEND), 0);
	assert_int_equal(p9_call(P9_TWRITE, "dqz", 2, 10ULL, "end", (size_t)3), 0);
	/* A page that a cache writes back belongs where it is; what was meant for the end goes
	 * there. */
	assert_int_equal(p9_call(P9_TWRITE, "dqz", 2, 0ULL, "ab", (size_t)2), 0);
	assert_int_equal(p9_call(P9_TWRITE, "dqz", 2, 5000ULL, "!", (size_t)1), 0);
	p9_assert_file("file", "ab23456789end!");
	assert_int_equal(p9_walk(3, "file"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 3, OPEN_RDWR | OPEN_TRUNC), 0);
	p9_assert_file("file", "");
}

static void test_create(void **state)
{
	struct p9_qid qid;
	struct stat st;

	umask(077);
	assert_int_equal(p9_clone(1, 2), 0);
	assert_int_equal(p9_call(P9_TLCREATE, "dsddd", 2, "new", OPEN_RDWR, 0664, getegid()), 0);
	assert_int_equal(p9_call(P9_TWRITE, "dqz", 2, 0ULL, "text", (size_t)4), 0);
	p9_assert_file("new", "text");
	/* The client's umask counts, not ours. */
	assert_int_equal(stat(p9_path("new"), &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0664);
	umask(022);
	assert_int_equal(p9_clone(1, 3), 0);
	assert_int_equal(p9_call(P9_TLCREATE, "dsddd", 3, "new", 0x80 | OPEN_RDWR, 0644, 0),
			 EEXIST);
	assert_int_equal(p9_call(P9_TLCREATE, "dsddd", 3, "new", OPEN_RDWR, 0644, getegid()), 0);
	assert_int_equal(p9_call(P9_TREAD, "dqd", 3, 0ULL, 10), 0);
	assert_int_equal(p9_next(4), 4);
	/* The link is not followed, neither to read nor to make a file. */
	assert_int_equal(p9_clone(1, 4), 0);
	assert_int_equal(p9_call(P9_TLCREATE, "dsddd", 4, "out", OPEN_RDWR, 0644, 0), ELOOP);
	assert_int_equal(symlink("../made", p9_path("dangling")), 0);
	assert_int_equal(p9_call(P9_TLCREATE, "dsddd", 4, "dangling", OPEN_RDWR, 0644, 0), ELOOP);
	assert_int_equal(access(p9_path("../made"), F_OK), -1);
	assert_int_equal(p9_call(P9_TMKDIR, "dsdd", 1, "dir", 0751, getegid()), 0);
	assert_int_equal(p9_next_qid().type, P9_QT_DIR);
	assert_int_equal(p9_call(P9_TMKDIR, "dsdd", 1, "dir", 0751, getegid()), EEXIST);
	assert_int_equal(p9_call(P9_TSYMLINK, "dssd", 1, "link", "/etc/passwd", getegid()), 0);
	assert_int_equal(p9_next_qid().type, P9_QT_SYMLINK);
	assert_int_equal(p9_walk(5, "link"), 0);
	assert_int_equal(p9_call(P9_TREADLINK, "d", 5), 0);
	assert_string_equal(p9_get_string(&p9c.reader), "/etc/passwd");
	assert_int_equal(p9_call(P9_TREADLINK, "d", 2), EINVAL);
	assert_int_equal(p9_call(P9_TMKNOD, "dsdddd", 1, "fifo", S_IFIFO | 0640, 0, 0, getegid()),
			 0);
	assert_int_equal(p9_walk(6, "fifo"), 0);
	assert_int_equal(p9_attributes(6, &st, &qid), 0);
	assert_int_equal(st.st_mode, S_IFIFO | 0640);
	assert_int_equal(p9_walk(7, "new"), 0);
	assert_int_equal(p9_call(P9_TLINK, "dds", 1, 7, "hard"), 0);
	assert_int_equal(p9_attributes(7, &st, &qid), 0);
	assert_int_equal(st.st_nlink, 2);
	p9_assert_file("hard", "text");
}

static void test_owner(void **state)
{
	struct p9_qid qid;
	struct stat st;

	assert_int_equal(p9_call(P9_TATTACH, "ddssd", 2, P9_NO_FID, "u", "", 1234), 0);
	assert_int_equal(p9_call(P9_TMKDIR, "dsdd", 2, "dir", 0700, 4321), 0);
	assert_int_equal(p9_call(P9_TLCREATE, "dsddd", 2, "new", OPEN_RDWR, 04755, 4321), 0);
	assert_int_equal(p9_attributes(2, &st, &qid), 0);
	assert_int_equal(st.st_mode & 07777, 04755);
	assert_int_equal(st.st_uid, geteuid() ? geteuid() : 1234);
	assert_int_equal(st.st_gid, geteuid() ? getegid() : 4321);
	assert_int_equal(stat(p9_path("dir"), &st), 0);
	assert_int_equal(st.st_uid, geteuid() ? geteuid() : 1234);
}

/* Another than all files' owner, as where the file system maps owners; 0: who we are. */
static uid_t mapped;

uid_t geteuid(void)
{
	return mapped ?: (uid_t)syscall(SYS_geteuid);
}

/* What is made belongs to somebody else: it stays as the file system made it. */
static void test_mapped_owner(void **state)
{
	struct stat st;

	umask(077);
	mapped = 54321;
	assert_int_equal(p9_call(P9_TMKDIR, "dsdd", 1, "dir", 0755, 0), 0);
	assert_int_equal(p9_next_qid().type, P9_QT_DIR);
	assert_int_equal(p9_call(P9_TSYMLINK, "dssd", 1, "link", "file", 0), 0);
	assert_int_equal(p9_call(P9_TMKNOD, "dsdddd", 1, "fifo", S_IFIFO | 0666, 0, 0, 0), 0);
	mapped = 0;
	umask(022);
	assert_int_equal(stat(p9_path("dir"), &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(st.st_uid, geteuid());
}

/* valid mode uid gid size atime mtime */
static int set(u32 fid, u32 valid, u32 mode, u64 size, u64 mtime, u64 nsec)
{
	return p9_call(P9_TSETATTR, "dddddqqqqq", fid, valid, mode, geteuid(), getegid(), size,
		       mtime, nsec, mtime, nsec);
}

static void test_attributes(void **state)
{
	struct p9_qid qid, before;
	struct stat st;

	assert_int_equal(p9_walk(2, "file"), 0);
	assert_int_equal(p9_attributes(2, &st, &before), 0);
	assert_int_equal(set(2, 0x1, 04601, 0, 0, 0), 0);
	assert_int_equal(set(2, 0x8, 0, 3, 0, 0), 0);
	assert_int_equal(set(2, 0x6, 0, 0, 0, 0), 0);
	assert_int_equal(set(2, 0x40, 0, 0, 0, 0), 0);
	assert_int_equal(set(2, 0x1b0, 0, 0, 1000000000, 5), 0);
	assert_int_equal(stat(p9_path("file"), &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1000000000);
	assert_int_equal(st.st_atim.tv_nsec, 5);
	assert_int_equal(set(2, 0x10, 0, 0, 5, 5), 0);
	assert_int_equal(stat(p9_path("file"), &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1000000000);
	assert_true(st.st_atim.tv_sec > 1000000000);
	assert_int_equal(p9_attributes(2, &st, &qid), 0);
	assert_int_equal(st.st_size, 3);
	assert_int_equal(qid.path, before.path);
	assert_int_not_equal(qid.version, before.version);
	assert_int_equal(set(2, 0x8, 0, 1ULL << 63, 0, 0), EINVAL);
	assert_int_equal(set(2, 0x90, 0, 0, 0, UTIME_OMIT), EINVAL);
	assert_int_equal(set(1, 0x8, 0, 0, 0, 0), EISDIR);
	/* Of a link itself. */
	assert_int_equal(p9_walk(3, "out"), 0);
	assert_int_equal(set(3, 0x1b0, 0, 0, 1000000000, 5), 0);
	assert_int_equal(lstat(p9_path("out"), &st), 0);
	assert_int_equal(st.st_mtim.tv_sec, 1000000000);
	assert_int_equal(set(3, 0x8, 0, 0, 0, 0), EINVAL);
	assert_int_not_equal(set(3, 0x1, 0777, 0, 0, 0), 0);
	assert_int_equal(p9_call(P9_TSTATFS, "d", 2), 0);
	assert_int_equal(p9_next(4), 0x01021997);
	assert_true(p9_next(4) > 0);
}

static void test_names(void **state)
{
	assert_int_equal(p9_call(P9_TRENAMEAT, "dsds", 1, "file", 1, "moved"), 0);
	p9_assert_file("moved", "0123456789");
	assert_int_equal(p9_walk(2, "sub"), 0);
	assert_int_equal(p9_walk(3, "moved"), 0);
	assert_int_equal(p9_call(P9_TRENAME, "dds", 3, 2, "again"), 0);
	p9_assert_file("sub/again", "0123456789");
	/* From where it is now. */
	assert_int_equal(p9_call(P9_TRENAME, "dds", 3, 1, "file"), 0);
	p9_assert_file("file", "0123456789");
	assert_int_equal(p9_call(P9_TRENAMEAT, "dsds", 1, "none", 1, "moved"), ENOENT);
	assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", 1, "sub", 0), EISDIR);
	assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", 1, "sub", 0x200), ENOTEMPTY);
	assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", 2, "deep", 0), 0);
	assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", 1, "sub", 0x200), 0);
	assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", 1, "file", 0x100), EINVAL);
	/* Another file has the name meanwhile: it stays. */
	assert_int_equal(rename(p9_path("file"), p9_path("away")), 0);
	p9_make_file("file", "another");
	assert_int_equal(p9_clone(3, 4), 0);
	assert_int_equal(p9_call(P9_TREMOVE, "d", 3), ENOENT);
	assert_int_equal(p9_clunk(3), EBADF);
	p9_assert_file("file", "another");
	assert_int_equal(rename(p9_path("away"), p9_path("file")), 0);
	assert_int_equal(p9_call(P9_TREMOVE, "d", 4), 0);
	assert_int_equal(access(p9_path("file"), F_OK), -1);
	assert_int_equal(p9_call(P9_TREMOVE, "d", 1), EBUSY);
}

static void test_unlinked(void **state)
{
	struct p9_qid qid;
	struct stat st;

	assert_int_equal(p9_walk(2, "file"), 0);
	assert_int_equal(p9_clone(2, 3), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 3, OPEN_RDWR), 0);
	assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", 1, "file", 0), 0);
	assert_int_equal(p9_call(P9_TWRITE, "dqz", 3, 10ULL, "more", (size_t)4), 0);
	assert_int_equal(set(3, 0x8, 0, 12, 0, 0), 0);
	assert_int_equal(set(2, 0x1, 0400, 0, 0, 0), 0);
	assert_int_equal(p9_attributes(2, &st, &qid), 0);
	assert_int_equal(st.st_size, 12);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(st.st_mode & 0777, 0400);
	/* It was opened for writing: its mode does not matter. */
	assert_int_equal(set(3, 0x8, 0, 11, 0, 0), 0);
	assert_int_equal(p9_call(P9_TREAD, "dqd", 3, 8ULL, 100), 0);
	assert_int_equal(p9_next(4), 3);
	assert_memory_equal(p9c.reader.p, "89m", 3);
	/* The fid that only stands for it can still be opened. */
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 2, 0), 0);
	assert_int_equal(p9_call(P9_TLINK, "dds", 1, 3, "back"), ENOENT);
}

/* How often each of the names was there. */
static unsigned int read_directory(u32 fid, u32 room, unsigned int *dots, unsigned char *seen)
{
	unsigned int messages = 0;
	u64 offset = 0;

	for (;; messages++) {
		assert_int_equal(p9_call(P9_TREADDIR, "dqd", fid, offset, room), 0);
		assert_true(p9c.ret <= (int)(room + P9_READ_HEADER));
		assert_int_equal(p9_next(4), p9c.ret - (int)P9_READ_HEADER);
		if (p9c.reader.p == p9c.reader.end)
			return messages;
		while (p9c.reader.p < p9c.reader.end) {
			const char *name;
			unsigned int i;

			p9_next_qid();
			offset = p9_next(8);
			p9_next(1);
			name = p9_get_string(&p9c.reader);
			assert_false(p9c.reader.bad);
			*dots += name[0] == '.';
			if (sscanf(name, "name-%u", &i) == 1)
				seen[i]++;
		}
	}
}

static void test_readdir(void **state)
{
	static unsigned char seen[2000];
	unsigned int dots = 0;
	char name[32];

	memset(seen, 0, sizeof(seen));
	for (unsigned int i = 0; i < ARRAY_SIZE(seen); i++) {
		snprintf(name, sizeof(name), "sub/name-%u", i);
		p9_make_file(name, "");
	}
	assert_int_equal(p9_walk(2, "sub"), 0);
	assert_int_equal(p9_call(P9_TREADDIR, "dqd", 2, 0ULL, 8000), EBADF);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 2, 0x10000), 0);
	assert_true(read_directory(2, 8000, &dots, seen) > 8);
	assert_int_equal(dots, 2);
	for (unsigned int i = 0; i < ARRAY_SIZE(seen); i++)
		assert_int_equal(seen[i], 1);
	/* Once more from the beginning, in pieces that are much smaller than what the host gives.
	 */
	read_directory(2, 300, &dots, seen);
	assert_int_equal(dots, 4);
	for (unsigned int i = 0; i < ARRAY_SIZE(seen); i++)
		assert_int_equal(seen[i], 2);
	assert_int_equal(p9_call(P9_TREADDIR, "dqd", 2, 0ULL, 20), EINVAL);
	assert_int_equal(p9_walk(3, "file"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 3, 0x10000), ENOTDIR);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 3, 0), 0);
	assert_int_equal(p9_call(P9_TREADDIR, "dqd", 3, 0ULL, 2000), ENOTDIR);
	assert_int_equal(p9_call(P9_TREAD, "dqd", 2, 0ULL, 2000), EISDIR);
}

static int lock(u32 fid, u32 type, u64 start, u64 len)
{
	int ret = p9_call(P9_TLOCK, "dbdqqds", fid, type, 0, start, len, 1, "client");

	assert_int_equal(ret, 0);
	return (int)p9_next(1);
}

static void test_locks(void **state)
{
	struct flock l = { .l_type = F_WRLCK, .l_len = 5 };
	int fd;

	assert_int_equal(p9_walk(2, "file"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 2, OPEN_RDWR), 0);
	fd = open(p9_path("file"), O_RDWR);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
	assert_int_equal(lock(2, 1, 0, 0), 1);
	assert_int_equal(lock(2, 1, 5, 5), 0);
	assert_int_equal(p9_call(P9_TGETLOCK, "dbqqds", 2, 1, 0ULL, 0ULL, 1, "client"), 0);
	assert_int_equal(p9_next(1), 1);
	assert_int_equal(p9_next(8), 0);
	assert_int_equal(p9_next(8), 5);
	l.l_start = 5;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), -1);
	assert_int_equal(lock(2, 2, 0, 0), 0);
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
	close(fd);
	assert_int_equal(p9_call(P9_TGETLOCK, "dbqqds", 2, 1, 0ULL, 0ULL, 1, "client"), 0);
	assert_int_equal(p9_next(1), 2);
	/* Another file of the same client's never stands in the way; the host's do beside it. */
	assert_int_equal(p9_walk(4, "file"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 4, OPEN_RDWR), 0);
	assert_int_equal(lock(2, 1, 0, 5), 0);
	assert_int_equal(lock(4, 1, 0, 5), 0);
	fd = open(p9_path("file"), O_RDWR);
	l.l_start = 7;
	l.l_len = 1;
	assert_int_equal(fcntl(fd, F_OFD_SETLK, &l), 0);
	assert_int_equal(lock(4, 1, 0, 10), 1);
	close(fd);
	assert_int_equal(p9_call(P9_TLOCK, "dbdqqds", 2, 3, 0, 0ULL, 0ULL, 1, "c"), EINVAL);
	assert_int_equal(p9_call(P9_TLOCK, "dbdqqds", 2, 1, 0, 1ULL << 63, 0ULL, 1, "c"), EINVAL);
	assert_int_equal(p9_call(P9_TLOCK, "dbdqqds", 1, 1, 0, 0ULL, 0ULL, 1, "c"), EBADF);
	/* flock(2) of what is open for reading. */
	assert_int_equal(p9_walk(3, "sub"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 3, 0), 0);
	assert_int_equal(lock(3, 1, 0, 0), 0);
}

static void test_xattr(void **state)
{
	char value[64];

	if (setxattr(p9_path("file"), "user.try", "x", 1, 0))
		skip();
	removexattr(p9_path("file"), "user.try");
	assert_int_equal(p9_walk(2, "file"), 0);
	assert_int_equal(p9_clone(2, 3), 0);
	assert_int_equal(p9_call(P9_TXATTRCREATE, "dsqd", 3, "user.a", 6ULL, 0), 0);
	assert_int_equal(p9_call(P9_TWRITE, "dqz", 3, 0ULL, "val", (size_t)3), 0);
	assert_int_equal(p9_call(P9_TWRITE, "dqz", 3, 2ULL, "val", (size_t)3), ENOSPC);
	assert_int_equal(p9_call(P9_TWRITE, "dqz", 3, 3ULL, "value", (size_t)5), ENOSPC);
	assert_int_equal(p9_call(P9_TWRITE, "dqz", 3, 3ULL, "ues", (size_t)3), 0);
	assert_int_equal(p9_call(P9_TREAD, "dqd", 3, 0ULL, 10), EINVAL);
	assert_int_equal(p9_clunk(3), 0);
	assert_int_equal(getxattr(p9_path("file"), "user.a", value, sizeof(value)), 6);
	assert_memory_equal(value, "values", 6);
	assert_int_equal(p9_call(P9_TXATTRWALK, "dds", 2, 3, "user.a"), 0);
	assert_int_equal(p9_next(8), 6);
	assert_int_equal(p9_call(P9_TREAD, "dqd", 3, 2ULL, 10), 0);
	assert_int_equal(p9_next(4), 4);
	assert_memory_equal(p9c.reader.p, "lues", 4);
	assert_int_equal(p9_call(P9_TREAD, "dqd", 3, 1ULL << 60, 10), 0);
	assert_int_equal(p9_next(4), 0);
	assert_int_equal(p9_clone(3, 9), EINVAL);
	assert_int_equal(p9_clunk(3), 0);
	assert_int_equal(p9_call(P9_TXATTRWALK, "dds", 2, 3, ""), 0);
	assert_int_equal(p9_next(8), 7);
	assert_int_equal(p9_clunk(3), 0);
	assert_int_equal(p9_call(P9_TXATTRWALK, "dds", 2, 3, "user.none"), ENODATA);
	/* Too few bytes; exists already; an empty one; removed. */
	assert_int_equal(p9_clone(2, 3), 0);
	assert_int_equal(p9_call(P9_TXATTRCREATE, "dsqd", 3, "user.b", 6ULL, 0), 0);
	assert_int_equal(p9_clunk(3), EINVAL);
	assert_int_equal(p9_clone(2, 3), 0);
	assert_int_equal(p9_call(P9_TXATTRCREATE, "dsqd", 3, "user.a", 0ULL, XATTR_CREATE), 0);
	assert_int_equal(p9_clunk(3), EEXIST);
	assert_int_equal(p9_clone(2, 3), 0);
	assert_int_equal(p9_call(P9_TXATTRCREATE, "dsqd", 3, "user.e", 0ULL, 0), 0);
	assert_int_equal(p9_clunk(3), 0);
	assert_int_equal(getxattr(p9_path("file"), "user.e", value, sizeof(value)), 0);
	assert_int_equal(p9_clone(2, 3), 0);
	assert_int_equal(p9_call(P9_TXATTRCREATE, "dsqd", 3, "user.e", 0ULL, XATTR_REPLACE), 0);
	assert_int_equal(p9_clunk(3), 0);
	assert_int_equal(getxattr(p9_path("file"), "user.e", value, sizeof(value)), -1);
	assert_int_equal(p9_call(P9_TXATTRCREATE, "dsqd", 2, "user.c", 65537ULL, 0), E2BIG);
	assert_int_equal(p9_call(P9_TXATTRCREATE, "dsqd", 2, "", 5ULL, 0), EINVAL);
}

static void test_readonly(void **state)
{
	assert_int_equal(p9_walk(2, "file"), 0);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 2, OPEN_RDWR), EROFS);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 2, OPEN_TRUNC), EROFS);
	assert_int_equal(p9_call(P9_TLCREATE, "dsddd", 1, "new", 0, 0644, 0), EROFS);
	assert_int_equal(p9_call(P9_TSYMLINK, "dssd", 1, "new", "x", 0), EROFS);
	assert_int_equal(p9_call(P9_TMKNOD, "dsdddd", 1, "new", S_IFIFO, 0, 0, 0), EROFS);
	assert_int_equal(p9_call(P9_TMKDIR, "dsdd", 1, "new", 0755, 0), EROFS);
	assert_int_equal(p9_call(P9_TLINK, "dds", 1, 2, "new"), EROFS);
	assert_int_equal(p9_call(P9_TRENAME, "dds", 2, 1, "new"), EROFS);
	assert_int_equal(p9_call(P9_TRENAMEAT, "dsds", 1, "file", 1, "new"), EROFS);
	assert_int_equal(p9_call(P9_TUNLINKAT, "dsd", 1, "file", 0), EROFS);
	assert_int_equal(set(2, 0x1, 0600, 0, 0, 0), EROFS);
	assert_int_equal(p9_call(P9_TXATTRCREATE, "dsqd", 2, "user.a", 0ULL, 0), EROFS);
	assert_int_equal(p9_call(P9_TLOPEN, "dd", 2, 0), 0);
	assert_int_equal(p9_call(P9_TWRITE, "dqz", 2, 0ULL, "x", (size_t)1), EROFS);
	assert_int_equal(p9_call(P9_TREAD, "dqd", 2, 0ULL, 10), 0);
	assert_int_equal(p9_call(P9_TREMOVE, "d", 2), EROFS);
	assert_int_equal(p9_clunk(2), EBADF);
	p9_assert_file("file", "0123456789");
}

static void test_open_errors(void **state)
{
	struct share_config cfg = { .path = (char *)"/nowhere/at/all", .tag = (char *)"t" };
	struct share *share;

	capture_begin();
	assert_int_equal(share_open(&cfg, 1, &share), -ENOENT);
	assert_one_line(capture_end());
	assert_contains(captured, "--9p /nowhere/at/all: cannot open: No such file or directory");
	cfg.path = (char *)p9_path("file");
	capture_begin();
	assert_int_equal(share_open(&cfg, 1, &share), -ENOTDIR);
	assert_one_line(capture_end());
	assert_contains(captured, "is not a directory; a file is given to a guest as a --disk");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_version, begin, end),
		cmocka_unit_test_setup_teardown(test_attach, begin, end),
		cmocka_unit_test_setup_teardown(test_walk, begin, end),
		cmocka_unit_test_setup_teardown(test_read_write, begin, end),
		cmocka_unit_test_setup_teardown(test_append, begin, end),
		cmocka_unit_test_setup_teardown(test_create, begin, end),
		cmocka_unit_test_setup_teardown(test_owner, begin, end),
		cmocka_unit_test_setup_teardown(test_mapped_owner, begin, end),
		cmocka_unit_test_setup_teardown(test_attributes, begin, end),
		cmocka_unit_test_setup_teardown(test_names, begin, end),
		cmocka_unit_test_setup_teardown(test_unlinked, begin, end),
		cmocka_unit_test_setup_teardown(test_readdir, begin, end),
		cmocka_unit_test_setup_teardown(test_locks, begin, end),
		cmocka_unit_test_setup_teardown(test_xattr, begin, end),
		cmocka_unit_test_setup_teardown(test_readonly, begin_readonly, end),
		cmocka_unit_test_setup_teardown(test_open_errors, begin, end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
