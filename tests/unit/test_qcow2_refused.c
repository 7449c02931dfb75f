/* SPDX-License-Identifier: MIT */
/* qcow2 images that lie, that name files, that are marked: each is refused in one line, or served.
 */
#include "../../disk/file.h"
#include "../../disk/qcow2.h"
#include "capture.h"
#include "qcow2_bench.h"

/* A version 3 image of 1 MiB with clusters of 64 KiB: header, L1, refcount table, block. */
#define CLUSTER 65536

static void put_be(u8 *p, u64 v, unsigned int size)
{
	for (unsigned int i = size; i--; v >>= 8)
		p[i] = (u8)v;
}

static void good_header(u8 *p)
{
	memset(p, 0, CLUSTER);
	memcpy(p, "QFI\xfb", 4);
	put_be(p + 4, 3, 4);
	put_be(p + 20, 16, 4);
	put_be(p + 24, MiB, 8);
	put_be(p + 36, 1, 4);
	put_be(p + 40, CLUSTER, 8);
	put_be(p + 48, 2 * CLUSTER, 8);
	put_be(p + 56, 1, 4);
	put_be(p + 96, 4, 4);
	put_be(p + 100, 104, 4);
}

static void write_at(int fd, u64 offset, const void *p, size_t len)
{
	assert_int_equal(pwrite(fd, p, len, (off_t)offset), len);
}

static void write_image(const char *name, const u8 *header)
{
	int fd = open(in_folder(name), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	u8 entry[8];

	assert_true(fd >= 0);
	write_at(fd, 0, header, CLUSTER);
	assert_int_equal(ftruncate(fd, 4 * CLUSTER), 0);
	put_be(entry, 3 * CLUSTER, 8);
	write_at(fd, 2 * CLUSTER, entry, 8);
	write_at(fd, 3 * CLUSTER, "\0\1\0\1\0\1\0\1", 8);
	close(fd);
}

static void refused(const char *name, enum disk_format format, bool ro, const char *why)
{
	int ret;

	capture_begin();
	ret = bench_open(name, format, ro, false);
	capture_end();
	if (!ret)
		bench_close();
	assert_true(ret < 0);
	assert_one_line(captured);
	assert_contains(captured, "error: --disk ");
	assert_contains(captured, why);
}

/* Does it open, and read as zeroes? */
static void opens(const char *name, bool ro)
{
	u8 sector[512];

	assert_int_equal(bench_open(name, DISK_FORMAT_QCOW2, ro, false), 0);
	memset(sector, 1, sizeof(sector));
	assert_int_equal(bench_op(DISK_READ, 0, sector, 0, 512), 0);
	assert_int_equal(sector[0], 0);
	bench_close();
}

static void test_headers(void **state)
{
	static const struct {
		u32 at, size;
		u64 value;
		const char *why;
	} lies[] = {
		{ 4, 4, 1, "is a qcow image of version 1" },
		{ 4, 4, 4, "is a qcow image of version 4" },
		{ 32, 4, 2, "is encrypted" },
		{ 20, 4, 8, "clusters that are not of 512 bytes to 2 MiB" },
		{ 20, 4, 22, "clusters that are not of 512 bytes to 2 MiB" },
		{ 20, 4, UINT32_MAX, "clusters that are not" },
		{ 24, 8, 0, "it is empty" },
		{ 24, 8, 1ULL << 63, "an impossible size" },
		{ 24, 8, INT64_MAX, "an impossible size" },
		{ 24, 8, 1ULL << 40, "an L1 table that does not match its size" },
		{ 36, 4, 0, "an L1 table that does not match its size" },
		{ 36, 4, UINT32_MAX, "an L1 table that does not match its size" },
		{ 36, 4, 65536, "an L1 table that is not in the file" },
		{ 40, 8, 0, "an L1 table that is not in the file" },
		{ 40, 8, CLUSTER + 512, "an L1 table that is not in the file" },
		{ 40, 8, 4 * CLUSTER, "an L1 table that is not in the file" },
		{ 40, 8, UINT64_MAX - 65535, "an L1 table that is not in the file" },
		{ 40, 8, 2 * CLUSTER, "tables that lie over each other" },
		{ 48, 8, 0, "a refcount table that is not in the file" },
		{ 48, 8, 1ULL << 62, "a refcount table that is not in the file" },
		{ 56, 4, 0, "a refcount table of an impossible size" },
		{ 56, 4, UINT32_MAX, "a refcount table of an impossible size" },
		{ 60, 4, 1, "a table of snapshots that is not in the file" },
		{ 96, 4, 7, "reference counts of more than 64 bits" },
		{ 100, 4, 72, "a header of an impossible length" },
		{ 100, 4, 105, "a header of an impossible length" },
		{ 100, 4, 1 << 20, "a header of an impossible length" },
		{ 72, 8, Q2_DIRTY, "was not closed" },
		{ 72, 8, Q2_CORRUPT, "is marked as corrupt" },
		{ 72, 8, Q2_DATA_FILE, "'external data file', which is not supported" },
		{ 72, 8, Q2_EXTENDED_L2, "'extended L2 entries', which is not supported" },
		{ 72, 8, Q2_COMPRESSION, "contradicts itself on its compression" },
		{ 72, 8, 1ULL << 60, "unknown qcow2 feature 60" },
		{ 108, 4, 1 << 20, "a header extension that is too long" },
		{ 12, 4, 70000, "no proper name of its backing file" },
		{ 12, 4, 200, "no proper name of its backing file" },
	};
	static u8 header[CLUSTER];

	good_header(header);
	write_image("img", header);
	opens("img", false);
	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		good_header(header);
		put_be(header + lies[i].at, lies[i].value, lies[i].size);
		if (lies[i].at == 108)
			put_be(header + 104, 0x6803f857, 4);
		write_image("img", header);
		refused("img", DISK_FORMAT_QCOW2, false, lies[i].why);
		refused("img", DISK_FORMAT_AUTO, false, lies[i].why);
	}
	/* For who only reads. */
	good_header(header);
	put_be(header + 72, Q2_DIRTY | Q2_CORRUPT, 8);
	write_image("img", header);
	opens("img", true);
	/* A feature that the image names itself. */
	good_header(header);
	put_be(header + 72, 1ULL << 40, 8);
	put_be(header + 104, 0x6803f857, 4);
	put_be(header + 108, 48, 4);
	header[112] = 0;
	header[113] = 40;
	memcpy(header + 114, "time travel", 11);
	write_image("img", header);
	refused("img", DISK_FORMAT_QCOW2, true, "feature 'time travel'");
	/* Of a file that ends inside the header. */
	assert_int_equal(truncate(in_folder("img"), 80), 0);
	refused("img", DISK_FORMAT_QCOW2, false, "too short");
}

/* Tables that say what cannot be: an I/O error, one line for the user, and no write any more. */
static void test_bad_tables(void **state)
{
	static const struct {
		u64 l1, l2;
	} bad[] = {
		{ 1ULL << 63 | 512, 0 },
		{ 1ULL << 63, 0 },
		{ 1ULL << 63 | 2 * CLUSTER, 0 },
		{ 1ULL << 63 | 4 * CLUSTER, 1ULL << 63 | CLUSTER },
		{ 1ULL << 63 | 4 * CLUSTER, 1ULL << 63 | 512 },
		{ 1ULL << 63 | 4 * CLUSTER, 1ULL << 62 | 1ULL << 40 },
	};
	static u8 header[CLUSTER];
	u8 sector[512] = { 0 }, entry[8];

	good_header(header);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int fd, ret;

		write_image("img", header);
		fd = open(in_folder("img"), O_RDWR | O_CLOEXEC);
		put_be(entry, bad[i].l1, 8);
		write_at(fd, CLUSTER, entry, 8);
		put_be(entry, bad[i].l2, 8);
		write_at(fd, 4 * CLUSTER, entry, 8);
		close(fd);
		assert_int_equal(bench_open("img", DISK_FORMAT_QCOW2, false, false), 0);
		capture_begin();
		ret = bench_op(DISK_READ, 0, sector, 0, 512);
		if (ret) {
			assert_int_equal(bench_op(DISK_READ, 0, sector, 0, 512), -EIO);
			assert_int_equal(bench_op(DISK_WRITE, 0, sector, MiB - 512, 512), -EIO);
		}
		capture_end();
		bench_close();
		/* Without an offset there is no table. */
		assert_int_equal(ret, bad[i].l1 == 1ULL << 63 ? 0 : -EIO);
		if (ret) {
			assert_one_line(captured);
			assert_contains(captured, "repair it with: qemu-img check");
		}
	}
}

/* An entry that names a table's cluster, replaced by somebody who never looked there: the table is
 * not freed for it. */
static void test_freed_table(void **state)
{
	static const u64 entries[] = { CLUSTER, 1ULL << 63 | 2 * CLUSTER, 1ULL << 62 | CLUSTER };
	static u8 header[CLUSTER];
	u8 entry[8], seen[8];

	good_header(header);
	for (size_t i = 0; i < ARRAY_SIZE(entries); i++) {
		int fd;

		write_image("img", header);
		fd = open(in_folder("img"), O_RDWR | O_CLOEXEC);
		put_be(entry, 1ULL << 63 | 4 * CLUSTER, 8);
		write_at(fd, CLUSTER, entry, 8);
		write_at(fd, 3 * CLUSTER, "\0\1\0\1\0\1\0\1\0\1", 10);
		put_be(entry, entries[i], 8);
		write_at(fd, 4 * CLUSTER + 8, entry, 8);
		assert_int_equal(bench_open("img", DISK_FORMAT_QCOW2, false, false), 0);
		capture_begin();
		(void)bench_op(DISK_DISCARD, 0, NULL, 0, 4 * CLUSTER);
		for (unsigned int k = 0; k < 3; k++)
			(void)bench_op(DISK_FLUSH, 0, NULL, 0, 0);
		capture_end();
		bench_close();
		put_be(entry, 1ULL << 63 | 4 * CLUSTER, 8);
		assert_int_equal(pread(fd, seen, 8, CLUSTER), 8);
		assert_memory_equal(seen, entry, 8);
		close(fd);
		assert_one_line(captured);
		assert_contains(captured, "a bad entry for a cluster at");
	}
}

/* A table that the image counts as free is not given away. */
static void test_free_table(void **state)
{
	static u8 header[CLUSTER];
	u8 sector[512] = { 0 };
	int fd, ret;

	good_header(header);
	write_image("img", header);
	fd = open(in_folder("img"), O_RDWR | O_CLOEXEC);
	write_at(fd, 3 * CLUSTER, "\0\1\0\0", 4);
	close(fd);
	assert_int_equal(bench_open("img", DISK_FORMAT_QCOW2, false, false), 0);
	capture_begin();
	ret = bench_op(DISK_WRITE, 0, sector, 0, 512);
	capture_end();
	bench_close();
	assert_int_equal(ret, -EIO);
	assert_contains(captured, "a table that is counted as free at 65536");
}

/* Room that was made for a cluster of zeroes, beyond the end of the file. */
static void test_room_beyond_end(void **state)
{
	static u8 header[CLUSTER];
	u8 sector[512], entry[8];
	int fd;

	good_header(header);
	write_image("img", header);
	fd = open(in_folder("img"), O_RDWR | O_CLOEXEC);
	put_be(entry, 1ULL << 63 | 4 * CLUSTER, 8);
	write_at(fd, CLUSTER, entry, 8);
	put_be(entry, 1ULL << 63 | 9 * CLUSTER | 1, 8);
	write_at(fd, 4 * CLUSTER, entry, 8);
	close(fd);
	assert_int_equal(bench_open("img", DISK_FORMAT_QCOW2, false, false), 0);
	memset(sector, 7, sizeof(sector));
	assert_int_equal(bench_op(DISK_WRITE, 0, sector, 1024, 512), 0);
	memset(sector, 0, sizeof(sector));
	assert_int_equal(bench_op(DISK_READ, 0, sector, 1024, 512), 0);
	assert_int_equal(sector[511], 7);
	assert_int_equal(bench_op(DISK_READ, 0, sector, 1536, 512), 0);
	assert_int_equal(sector[0], 0);
	bench_close();
}

static void with_backing(u8 *header, const char *name, const char *format)
{
	good_header(header);
	put_be(header + 8, 4096, 8);
	put_be(header + 16, strlen(name), 4);
	memcpy(header + 4096, name, strlen(name));
	if (!format)
		return;
	put_be(header + 104, 0xe2792aca, 4);
	put_be(header + 108, strlen(format), 4);
	memcpy(header + 112, format, strlen(format));
}

static void test_names(void **state)
{
	static u8 header[CLUSTER];

	/* Not followed unless the user said what it is, in a backing file neither. */
	with_backing(header, "/etc/passwd", "raw");
	write_image("img", header);
	refused("img", DISK_FORMAT_AUTO, false, "names a backing file, /etc/passwd; add ',format=");
	write_image("base", header);
	with_backing(header, "base", NULL);
	write_image("img", header);
	refused("img", DISK_FORMAT_QCOW2, true, "names a backing file, /etc/passwd");
	assert_contains(captured, "base (backing file of ");
	/* A loop, of one and of two. */
	with_backing(header, "img", "qcow2");
	write_image("img", header);
	refused("img", DISK_FORMAT_QCOW2, true, "is its own backing file");
	with_backing(header, "base", "qcow2");
	write_image("img", header);
	with_backing(header, "./img", "qcow2");
	write_image("base", header);
	refused("img", DISK_FORMAT_QCOW2, false, "is its own backing file");
	/* What is no file here. */
	with_backing(header, "nbd:localhost:10809", "raw");
	write_image("img", header);
	refused("img", DISK_FORMAT_QCOW2, false, "is not named as a file");
	with_backing(header, "json:{\"driver\":\"file\"}", "raw");
	write_image("img", header);
	refused("img", DISK_FORMAT_QCOW2, false, "is not named as a file");
	with_backing(header, "base", "vmdk");
	write_image("img", header);
	refused("img", DISK_FORMAT_QCOW2, false, "in the format vmdk");
	with_backing(header, "nosuch", "raw");
	write_image("img", header);
	refused("img", DISK_FORMAT_QCOW2, false, "nosuch (backing file of ");
	/* By file:, and a raw one that looks like qcow2. */
	must("truncate -s 1M zeroes");
	with_backing(header, "file:zeroes", "raw");
	write_image("img", header);
	opens("img", false);
	with_backing(header, "img", "raw");
	write_image("top", header);
	assert_int_equal(bench_open("top", DISK_FORMAT_QCOW2, false, false), 0);
	bench_close();
}

/* The guest of a disk that was found to be raw cannot make it something else. */
static void test_guard(void **state)
{
	static const struct {
		u64 offset;
		const char *bytes;
		u32 at, len;
		bool passes;
	} writes[] = {
		{ 0, "QFI\xfb", 0, 4, false },
		{ 0, "KDMV", 0, 4, false },
		{ 0, "\x7f\x10\xda\xbe", 0x40, 4, false },
		{ 0, "\x1f\x8b\x08", 0, 3, false },
		{ MiB - 1024, "conectix\0\0\0\2\0\1\0\0", 512, 16, false },
		{ MiB - 1024, "conectix\0\0\0\2\0\1\0\0", 0, 16, true },
		{ 0, "hsqs", 0, 4, true },
		{ 512, "QFI\xfb", 0, 4, true },
		{ 0, "QFI\xfb", 512, 4, true },
	};
	static u8 bytes[1024], before[1024], after[1024];

	must("truncate -s 1M disk");
	for (size_t i = 0; i < ARRAY_SIZE(writes); i++) {
		for (unsigned int raw = 0; raw < 2; raw++) {
			int ret;

			must("rm disk && truncate -s 1M disk");
			assert_int_equal(bench_open("disk",
						    raw ? DISK_FORMAT_RAW : DISK_FORMAT_AUTO, false,
						    false),
					 0);
			memset(bytes, 0x33, sizeof(bytes));
			assert_int_equal(bench_op(DISK_READ, 0, before, writes[i].offset, 1024), 0);
			memcpy(bytes + writes[i].at, writes[i].bytes, writes[i].len);
			capture_begin();
			ret = bench_op(DISK_WRITE, 0, bytes, writes[i].offset, 1024);
			capture_end();
			assert_int_equal(ret, raw || writes[i].passes ? 0 : -EPERM);
			if (ret)
				assert_contains(captured, "format=raw");
			assert_int_equal(bench_op(DISK_READ, 0, after, writes[i].offset, 1024), 0);
			assert_memory_equal(after, ret ? before : bytes, 1024);
			bench_close();
			if (raw)
				continue;
			/* Tomorrow it is what it was. */
			assert_int_equal(bench_open("disk", DISK_FORMAT_AUTO, false, false), 0);
			assert_true(bench_disk->guarded);
			bench_close();
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_headers, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(test_bad_tables, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(test_freed_table, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(test_free_table, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(test_room_beyond_end, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(test_names, make_folder, drop_folder),
		cmocka_unit_test_setup_teardown(test_guard, make_folder, drop_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
