/* SPDX-License-Identifier: MIT */
/* disk/open.c and disk/raw.c over temporary files: contents, locks, O_DIRECT, what is refused. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "capture.h"
#include "lkvm/config.h"
#include "lkvm/disk.h"

static char path[64];

static void make_file(u64 size)
{
	int fd;

	/* Not /tmp: a tmpfs there has no O_DIRECT in older kernels. */
	snprintf(path, sizeof(path), "/var/tmp/lkvm-test-disk.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	close(fd);
}

static int open_it(bool ro, bool direct, struct disk **out)
{
	static struct disk_config cfg;

	cfg = (struct disk_config){ .path = path, .readonly = ro, .direct = direct };
	return disk_open(&cfg, out);
}

static const char *open_fails(const char *name, bool ro, int expect)
{
	struct disk *disk;
	const char *text;
	int ret;

	snprintf(path, sizeof(path), "%s", name);
	capture_begin();
	ret = open_it(ro, false, &disk);
	text = capture_end();
	assert_int_equal(ret, expect);
	assert_one_line(text);
	return text;
}

static void test_refused(void **state)
{
	char saved[64];

	assert_contains(open_fails("/var/tmp", false, -EISDIR), "is a directory");
	assert_contains(open_fails("/var/tmp/no-such-disk", false, -ENOENT), "No such file");
	assert_contains(open_fails("/dev/null", false, -EINVAL), "neither a regular file");
	make_file(0);
	memcpy(saved, path, sizeof(saved));
	assert_contains(open_fails(saved, false, -EINVAL), "is empty");
	assert_int_equal(truncate(saved, 511), 0);
	assert_contains(open_fails(saved, true, -EINVAL), "smaller than one block");
	unlink(saved);
}

static void test_odd_size(void **state)
{
	struct disk *disk;

	make_file(5 * 512 + 17);
	capture_begin();
	assert_int_equal(open_it(false, false, &disk), 0);
	assert_contains(capture_end(), "does not see the last 17");
	assert_int_equal(disk->size, 5 * 512);
	disk->ops->close(disk);
	unlink(path);
}

static void test_locks(void **state)
{
	struct disk *a, *b;
	const char *text;
	int status;
	pid_t pid;

	make_file(MiB);
	/* Two writers in one process. */
	assert_int_equal(open_it(false, false, &a), 0);
	capture_begin();
	assert_int_equal(open_it(false, false, &b), -EBUSY);
	text = capture_end();
	assert_one_line(text);
	assert_contains(text, "locked");
	capture_begin();
	assert_int_equal(open_it(true, false, &b), -EBUSY);
	capture_end();
	/* Another process is named. */
	pid = fork();
	if (!pid) {
		char me[32];

		snprintf(me, sizeof(me), "process %d", getppid());
		capture_begin();
		_exit(open_it(false, false, &b) == -EBUSY && strstr(capture_end(), me) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	a->ops->close(a);
	/* Readers share; a writer stays out. */
	assert_int_equal(open_it(true, false, &a), 0);
	assert_int_equal(open_it(true, false, &b), 0);
	b->ops->close(b);
	capture_begin();
	assert_int_equal(open_it(false, false, &b), -EBUSY);
	capture_end();
	a->ops->close(a);
	assert_int_equal(open_it(false, false, &a), 0);
	a->ops->close(a);
	unlink(path);
}

/* Random reads and writes against a copy in memory, buffers and offsets of every alignment. */
static void check_io(struct disk *disk, unsigned int rounds, unsigned int seed, size_t unit)
{
	size_t size = disk->size, max = 300 * KiB;
	u8 *model = malloc(size), *buf = aligned_alloc(4096, 512 * KiB);

	struct iovec all = { .iov_base = model, .iov_len = size };

	srandom(seed);
	assert_int_equal(disk->ops->readv(disk, &all, 1, 0), 0);
	for (unsigned int i = 0; i < rounds; i++) {
		size_t len = unit * (1 + (size_t)random() % ((i % 4 ? 8192 : max) / unit));
		u64 offset = unit * ((u64)random() % ((size - len) / unit + 1));
		size_t cut = (size_t)random() % (len + 1);
		u8 *p = buf + (i & 1 ? (size_t)random() % 4096 : 0);
		struct iovec iov[3] = {
			{ .iov_base = p, .iov_len = cut },
			{ .iov_base = p, .iov_len = 0 },
			{ .iov_base = p + cut, .iov_len = len - cut },
		};

		if (i % 3) {
			for (size_t k = 0; k < len; k++)
				p[k] = (u8)random();
			memcpy(model + offset, p, len);
			assert_int_equal(disk->ops->writev(disk, iov, 3, offset), 0);
		} else {
			memset(p, 0x5a, len);
			assert_int_equal(disk->ops->readv(disk, iov, 3, offset), 0);
			assert_memory_equal(p, model + offset, len);
		}
	}
	assert_int_equal(disk->ops->flush(disk), 0);
	free(model);
	free(buf);
}

static void test_io(void **state)
{
	struct disk *disk;

	make_file(2 * MiB);
	assert_int_equal(open_it(false, false, &disk), 0);
	check_io(disk, 300, 1, 512);
	disk->ops->close(disk);
	unlink(path);
}

static void test_direct(void **state)
{
	struct disk *disk;
	int ret;

	make_file(2 * MiB);
	capture_begin();
	ret = open_it(false, true, &disk);
	capture_end();
	if (ret) {
		unlink(path);
		skip(); /* this file system has no O_DIRECT */
	}
	/* Down to the byte: the alignment may be as small as 512. */
	check_io(disk, 200, 2, 512);
	check_io(disk, 300, 3, 1);
	disk->ops->close(disk);
	unlink(path);
}

static void test_past_the_end(void **state)
{
	struct iovec iov = { .iov_base = path, .iov_len = 32 };
	struct disk *disk;

	make_file(MiB);
	assert_int_equal(open_it(false, false, &disk), 0);
	/* Someone cuts the file while the VM runs. */
	assert_int_equal(truncate(path, 512), 0);
	assert_int_equal(disk->ops->readv(disk, &iov, 1, 4096), -EIO);
	disk->ops->close(disk);
	unlink(path);
}

static u8 byte_at(struct disk *disk, u64 offset)
{
	u8 b[512];
	struct iovec iov = { .iov_base = b, .iov_len = sizeof(b) };

	assert_int_equal(disk->ops->readv(disk, &iov, 1, ALIGN_DOWN(offset, 512)), 0);
	return b[offset % 512];
}

static void fill_ones(struct disk *disk)
{
	static u8 ones[MiB];
	struct iovec iov = { .iov_base = ones, .iov_len = sizeof(ones) };

	memset(ones, 1, sizeof(ones));
	assert_int_equal(disk->ops->writev(disk, &iov, 1, 0), 0);
}

static void test_zeroes_and_discard(void **state)
{
	struct disk *disk;
	struct stat before, after;

	make_file(MiB);
	assert_int_equal(open_it(false, false, &disk), 0);
	for (int unmap = 0; unmap < 2; unmap++) {
		fill_ones(disk);
		assert_int_equal(disk->ops->write_zeroes(disk, 512, 65536, unmap), 0);
		assert_int_equal(byte_at(disk, 511), 1);
		assert_int_equal(byte_at(disk, 512), 0);
		assert_int_equal(byte_at(disk, 512 + 65535), 0);
		assert_int_equal(byte_at(disk, 512 + 65536), 1);
	}
	if (disk->min_discard) {
		fill_ones(disk);
		disk->ops->flush(disk);
		stat(path, &before);
		assert_int_equal(disk->ops->discard(disk, 0, 512 * KiB), 0);
		stat(path, &after);
		assert_true(after.st_blocks < before.st_blocks);
		assert_int_equal(after.st_size, MiB);
		assert_int_equal(byte_at(disk, 512 * KiB), 1);
	}
	disk->ops->close(disk);
	unlink(path);
}

static void test_readonly(void **state)
{
	struct iovec iov = { .iov_base = path, .iov_len = 32 };
	struct disk *disk;

	make_file(MiB);
	assert_int_equal(open_it(true, false, &disk), 0);
	assert_true(disk->readonly);
	assert_int_equal(disk->min_discard, 0);
	assert_int_equal(disk->ops->writev(disk, &iov, 1, 0), -EBADF);
	disk->ops->close(disk);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_odd_size),
		cmocka_unit_test(test_locks),
		cmocka_unit_test(test_io),
		cmocka_unit_test(test_direct),
		cmocka_unit_test(test_past_the_end),
		cmocka_unit_test(test_zeroes_and_discard),
		cmocka_unit_test(test_readonly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
