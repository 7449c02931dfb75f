/* SPDX-License-Identifier: MIT */
/* disk/open.c and disk/raw.c over temporary files: contents, locks, O_DIRECT, what is refused. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../disk/raw.h"
#include "capture.h"
#include "lkvm/config.h"
#include "lkvm/disk.h"
#include "lkvm/event.h"
#include "lkvm/log.h"
#include "lkvm/util.h"
#include "refuse.h"

static char path[64];

/* The queue of the disk that a test has open. */
static struct event_loop loop;
static struct disk_queue *dq;
static int pending, result;

static void on_done(struct disk_request *req, int ret)
{
	if (ret)
		result = ret;
	if (!--pending)
		event_loop_stop(&loop);
}

/* Submit @n requests at once and wait for all: 0 or the last error. */
static int serve(struct disk_request *req, int n)
{
	pending = n;
	result = 0;
	event_loop_rearm(&loop);
	for (int i = 0; i < n; i++) {
		req[i].done = on_done;
		disk_submit(dq, &req[i]);
	}
	disk_queue_kick(dq);
	event_loop_run(&loop);
	assert_int_equal(disk_queue_busy(dq), 0);
	return result;
}

static int do_rw(enum disk_op op, const struct iovec *iov, int count, u64 offset)
{
	struct disk_request req = {
		.op = op,
		.iov = iov,
		.iovcnt = count,
		.offset = offset,
		.len = iov_len(iov, (unsigned int)count),
	};

	return serve(&req, 1);
}

static int do_range(enum disk_op op, u32 flags, u64 offset, u64 len)
{
	struct disk_request req = { .op = op, .flags = flags, .offset = offset, .len = len };

	return serve(&req, 1);
}

static void begin(struct disk *disk)
{
	assert_int_equal(event_loop_init(&loop, "disk"), 0);
	assert_int_equal(disk_queue_open(disk, &loop, 128, &dq), 0);
}

static void end(struct disk *disk)
{
	disk_queue_close(dq);
	event_loop_destroy(&loop);
	disk_close(disk);
	unlink(path);
}

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

static void put_bytes(u32 offset, const char *bytes, size_t len)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, len, offset), len);
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

static void test_formats(void **state)
{
	static const struct {
		u32 offset;
		const char *bytes, *part;
	} files[] = {
		{ 0, "KDMV", "is a VMDK image, not a raw or qcow2 one; convert it with: qemu-img" },
		{ 0, "vhdxfile", "VHDX" },
		{ 0, "conectix", "VHD" },
		{ 0x40, "\x7f\x10\xda\xbe", "VDI" },
		{ 0, "\x1f\x8b\x08", "is compressed by gzip, not a disk; unpack it with: gunzip" },
		{ 0, "\xfd\x37zXZ", "xz" }, /* with its NUL */
	};
	struct disk *disk;
	char saved[64];

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		const char *text;

		make_file(1 * MiB);
		put_bytes(files[i].offset, files[i].bytes, strlen(files[i].bytes));
		memcpy(saved, path, sizeof(saved));
		text = open_fails(saved, i & 1, -EINVAL);
		assert_contains(text, files[i].part);
		assert_contains(text, "format=raw");
		/* A guest may have written it. */
		assert_int_equal(
			disk_open(&(struct disk_config){ .path = path, .format = DISK_FORMAT_RAW },
				  &disk),
			0);
		assert_int_equal(disk->size, 1 * MiB);
		disk_close(disk);
		/* O_DIRECT reads whole blocks. */
		capture_begin();
		assert_int_equal(open_it(false, true, &disk), -EINVAL);
		assert_contains(capture_end(), "--disk ");
		unlink(path);
	}
}

/* What is a disk as it is, or data that the guest may want as it is. */
static void test_raw_contents(void **state)
{
	static const struct {
		u32 offset;
		const char *bytes;
	} files[] = {
		{ 0x8001, "CD001" }, { 0, "hsqs" },	  { 0, "LUKS\xba\xbe" }, { 257, "ustar" },
		{ 0, "070701" },     { 510, "\x55\xaa" }, { 1, "QFI\xfb" },	 { 512, "QFI\xfb" },
	};
	struct disk *disk;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		make_file(1 * MiB);
		put_bytes(files[i].offset, files[i].bytes, strlen(files[i].bytes));
		assert_int_equal(open_it(false, false, &disk), 0);
		disk_close(disk);
		unlink(path);
	}
}

static void test_odd_size(void **state)
{
	struct disk *disk;

	make_file(5 * 512 + 17);
	capture_begin();
	assert_int_equal(open_it(false, false, &disk), 0);
	assert_contains(capture_end(), "does not see the last 17");
	assert_int_equal(disk->size, 5 * 512);
	disk_close(disk);
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
	/* Another process is named, whatever it calls itself. */
	assert_int_equal(prctl(PR_SET_NAME, "a\033[\x9b\xc2\x9b"
					    "b"),
			 0);
	pid = fork();
	if (!pid) {
		char me[48];

		snprintf(me, sizeof(me), "process %d (a?[??b)", getppid());
		capture_begin();
		_exit(open_it(false, false, &b) == -EBUSY && strstr(capture_end(), me) ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	disk_close(a);
	/* Readers share; a writer stays out. */
	assert_int_equal(open_it(true, false, &a), 0);
	assert_int_equal(open_it(true, false, &b), 0);
	disk_close(b);
	capture_begin();
	assert_int_equal(open_it(false, false, &b), -EBUSY);
	capture_end();
	disk_close(a);
	assert_int_equal(open_it(false, false, &a), 0);
	disk_close(a);
	unlink(path);
}

static bool opens_unlocked(void *opaque)
{
	struct disk *disk;

	log_set_level(LOG_DEBUG);
	capture_begin();
	if (open_it(false, false, &disk))
		return false;
	capture_end();
	assert_one_line(captured);
	assert_contains(captured, "debug: --disk");
	assert_contains(captured, "no file locks");
	disk_close(disk);
	return true;
}

/* Kernels and file systems without locks: nobody is told that the disk is in use. */
static void test_no_locks(void **state)
{
	struct refusal none[] = {
		{ __NR_fcntl, F_OFD_SETLK, 0 },
		{ __NR_fcntl, F_OFD_GETLK, EINVAL },
	};
	static const int errors[] = { EACCES, ENOSYS, EINVAL, ENOLCK, EOPNOTSUPP };

	make_file(MiB);
	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		none[0].error = errors[i];
		assert_refused(none, 2, opens_unlocked, NULL);
	}
	unlink(path);
}

/* Random reads and writes against a copy in memory, buffers and offsets of every alignment. */
static void check_io(struct disk *disk, unsigned int rounds, unsigned int seed, size_t unit)
{
	size_t size = disk->size, max = 300 * KiB;
	u8 *model = malloc(size), *buf = aligned_alloc(4096, 512 * KiB);

	struct iovec all = { .iov_base = model, .iov_len = size };

	srandom(seed);
	assert_int_equal(do_rw(DISK_READ, &all, 1, 0), 0);
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
			assert_int_equal(do_rw(DISK_WRITE, iov, 3, offset), 0);
		} else {
			memset(p, 0x5a, len);
			assert_int_equal(do_rw(DISK_READ, iov, 3, offset), 0);
			assert_memory_equal(p, model + offset, len);
		}
	}
	assert_int_equal(do_range(DISK_FLUSH, 0, 0, 0), 0);
	free(model);
	free(buf);
}

static void test_io(void **state)
{
	struct disk *disk;

	make_file(2 * MiB);
	assert_int_equal(open_it(false, false, &disk), 0);
	begin(disk);
	check_io(disk, 300, 1, 512);
	end(disk);
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
	begin(disk);
	/* Down to the byte: the alignment may be as small as 512. */
	check_io(disk, 200, 2, 512);
	check_io(disk, 300, 3, 1);
	end(disk);
}

/* One of several threads that write parts of the same block and find them unchanged. */
static void *write_part(void *arg)
{
	struct disk_request req = { .op = DISK_WRITE, .iovcnt = 1 };
	struct iovec iov = { .iov_len = 512 };
	static atomic_uint number;
	u8 mine[512], now[512];
	void *room;

	if (raw_room_create(arg, &room))
		return (char *)"no room";
	req.offset = atomic_fetch_add(&number, 1) * 512;
	req.iov = &iov;
	for (unsigned int round = 0; round < 2000; round++) {
		memset(mine, (int)round, sizeof(mine));
		iov.iov_base = mine;
		req.op = DISK_WRITE;
		if (raw_serve(arg, room, &req))
			return (char *)"a write failed";
		iov.iov_base = now;
		req.op = DISK_READ;
		if (raw_serve(arg, room, &req))
			return (char *)"a read failed";
		if (memcmp(mine, now, sizeof(now)))
			return (char *)"a write was undone";
	}
	raw_room_destroy(room);
	return NULL;
}

/* O_DIRECT's blocks are larger than the guest's: parts of one that are written at once all stay. */
static void test_parts_of_a_block(void **state)
{
	struct disk_config cfg = { .path = (char *)"parts", .direct = true };
	pthread_t threads[4];
	struct disk *disk;
	struct stat st;
	int fd = memfd_create("parts", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, MiB), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(raw_disk_create(&cfg, fd, &st, &disk), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, write_part, disk), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(threads); i++) {
		void *why;

		pthread_join(threads[i], &why);
		if (why)
			fail_msg("%s", (char *)why);
	}
	disk_close(disk);
}

static void test_past_the_end(void **state)
{
	struct iovec iov = { .iov_base = path, .iov_len = 32 };
	struct disk *disk;

	make_file(MiB);
	assert_int_equal(open_it(false, false, &disk), 0);
	begin(disk);
	/* Someone cuts the file while the VM runs. */
	assert_int_equal(truncate(path, 512), 0);
	assert_int_equal(do_rw(DISK_READ, &iov, 1, 4096), -EIO);
	end(disk);
}

static u8 byte_at(u64 offset)
{
	u8 b[512];
	struct iovec iov = { .iov_base = b, .iov_len = sizeof(b) };

	assert_int_equal(do_rw(DISK_READ, &iov, 1, ALIGN_DOWN(offset, 512)), 0);
	return b[offset % 512];
}

static void fill_ones(void)
{
	static u8 ones[MiB];
	struct iovec iov = { .iov_base = ones, .iov_len = sizeof(ones) };

	memset(ones, 1, sizeof(ones));
	assert_int_equal(do_rw(DISK_WRITE, &iov, 1, 0), 0);
}

static void test_zeroes_and_discard(void **state)
{
	struct disk *disk;
	struct stat before, after;

	make_file(MiB);
	assert_int_equal(open_it(false, false, &disk), 0);
	begin(disk);
	for (int unmap = 0; unmap < 2; unmap++) {
		fill_ones();
		assert_int_equal(
			do_range(DISK_WRITE_ZEROES, unmap ? DISK_MAY_UNMAP : 0, 512, 65536), 0);
		assert_int_equal(byte_at(511), 1);
		assert_int_equal(byte_at(512), 0);
		assert_int_equal(byte_at(512 + 65535), 0);
		assert_int_equal(byte_at(512 + 65536), 1);
	}
	if (disk->min_discard) {
		fill_ones();
		do_range(DISK_FLUSH, 0, 0, 0);
		stat(path, &before);
		assert_int_equal(do_range(DISK_DISCARD, 0, 0, 512 * KiB), 0);
		stat(path, &after);
		assert_true(after.st_blocks < before.st_blocks);
		assert_int_equal(after.st_size, MiB);
		assert_int_equal(byte_at(512 * KiB), 1);
	}
	end(disk);
}

static bool discards_nothing(void *opaque)
{
	struct disk *disk;
	bool ok;

	if (open_it(false, false, &disk))
		return false;
	begin(disk);
	fill_ones();
	ok = disk->min_discard && !do_range(DISK_DISCARD, 0, 0, 65536) && byte_at(0) == 1 &&
	     !do_range(DISK_DISCARD, 0, 65536, 65536) &&
	     !do_range(DISK_WRITE_ZEROES, DISK_MAY_UNMAP, 0, 65536) && !byte_at(0);
	disk_queue_close(dq);
	event_loop_destroy(&loop);
	disk_close(disk);
	return ok;
}

/* A file system that knows neither holes nor zeroes: a discard is a hint, zeroes are written. */
static void test_no_holes(void **state)
{
	static const struct refusal no_fallocate = { __NR_fallocate, REFUSE_ANY, EOPNOTSUPP };

	make_file(MiB);
	assert_refused(&no_fallocate, 1, discards_nothing, NULL);
	unlink(path);
}

/* Who compares times (make, backups) must not take a disk that was only looked at for a new one. */
static void test_untouched(void **state)
{
	static u8 buf[4096];
	struct timespec old[2] = { { .tv_sec = 1577836800 }, { .tv_sec = 1577836800 } };
	struct iovec iov = { .iov_base = buf, .iov_len = sizeof(buf) };
	struct stat before, after;
	struct disk *disk;

	for (int how = 0; how < 3; how++) {
		make_file(MiB + 512);
		assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
		assert_int_equal(stat(path, &before), 0);
		assert_int_equal(open_it(how == 1, how == 2, &disk), 0);
		begin(disk);
		assert_int_equal(do_rw(DISK_READ, &iov, 1, 0), 0);
		assert_int_equal(do_range(DISK_FLUSH, 0, 0, 0), 0);
		disk_queue_close(dq);
		event_loop_destroy(&loop);
		disk_close(disk);
		assert_int_equal(stat(path, &after), 0);
		assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof(before.st_mtim));
		assert_memory_equal(&before.st_ctim, &after.st_ctim, sizeof(before.st_ctim));
		assert_int_equal(before.st_size, after.st_size);
		assert_int_equal(before.st_blocks, after.st_blocks);
		unlink(path);
	}
}

static void test_readonly(void **state)
{
	struct iovec iov = { .iov_base = path, .iov_len = 32 };
	struct disk *disk;

	make_file(MiB);
	assert_int_equal(open_it(true, false, &disk), 0);
	begin(disk);
	assert_true(disk->readonly);
	assert_int_equal(disk->min_discard, 0);
	assert_int_equal(do_rw(DISK_WRITE, &iov, 1, 0), -EBADF);
	end(disk);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),	     cmocka_unit_test(test_odd_size),
		cmocka_unit_test(test_locks),	     cmocka_unit_test(test_io),
		cmocka_unit_test(test_direct),	     cmocka_unit_test(test_parts_of_a_block),
		cmocka_unit_test(test_past_the_end), cmocka_unit_test(test_zeroes_and_discard),
		cmocka_unit_test(test_formats),	     cmocka_unit_test(test_raw_contents),
		cmocka_unit_test(test_no_locks),     cmocka_unit_test(test_no_holes),
		cmocka_unit_test(test_untouched),    cmocka_unit_test(test_readonly),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
