/* SPDX-License-Identifier: MIT */
/* util/magic.c: formats by their signs, in memory and in files. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "lkvm/magic.h"
#include "unit.h"

#define SIZE (68U * 1024)

static u8 file[SIZE];

static int read_buffer(void *data, u64 offset, void *buf, u64 len)
{
	assert_true(range_within(offset, len, 0, SIZE));
	memcpy(buf, (u8 *)data + offset, len);
	return 0;
}

static const struct file_magic *find(u32 offset, const char *bytes, u32 len)
{
	memset(file, 0, sizeof(file));
	memcpy(file + offset, bytes, len);
	return magic_find(file, sizeof(file), read_buffer);
}

#define FIND(offset, bytes) find(offset, bytes, sizeof(bytes) - 1)

static void assert_is(const struct file_magic *m, enum magic_kind kind, const char *name)
{
	assert_non_null(m);
	assert_int_equal(m->kind, kind);
	assert_string_equal(m->name, name);
}

static void test_kinds(void **state)
{
	assert_null(FIND(0, "nothing"));
	assert_is(FIND(0, "QFI\xfb\0\0\0\2"), MAGIC_DISK, "qcow2");
	assert_is(FIND(0, "QFI\xfb\0\0\0\3"), MAGIC_DISK, "qcow2");
	assert_is(FIND(0, "KDMV\1\0\0\0"), MAGIC_DISK, "VMDK");
	assert_is(FIND(0, "# Disk DescriptorFile\nversion=1"), MAGIC_DISK, "VMDK");
	assert_is(FIND(0, "vhdxfile"), MAGIC_DISK, "VHDX");
	assert_is(FIND(0, "conectix"), MAGIC_DISK, "VHD");
	assert_is(FIND(SIZE - 512, "conectix\0\0\0\2\0\1\0\0"), MAGIC_DISK, "VHD");
	assert_is(FIND(0x40, "\x7f\x10\xda\xbe"), MAGIC_DISK, "VDI");
	assert_is(FIND(0, "WithouFreSpacExt"), MAGIC_DISK, "Parallels");
	assert_is(FIND(0, "\xfd\x37\x7a\x58\x5a\0"), MAGIC_PACKED, "xz");
	assert_is(FIND(0, "\x28\xb5\x2f\xfd"), MAGIC_PACKED, "zstd");
	assert_is(FIND(0, "\x50\x2a\x4d\x18\4\0\0\0"), MAGIC_PACKED, "zstd");
	assert_is(FIND(0, "BZh91AY&SY"), MAGIC_PACKED, "bzip2");
	assert_is(FIND(0, "\x5d\0\0\x80\0\xff\xff"), MAGIC_PACKED, "lzma");
	assert_is(FIND(0, "\x5d\0\0\0\4\xff\xff"), MAGIC_PACKED, "lzma");
	/* A branch of arm64. */
	assert_null(FIND(0, "\x5d\0\0\x14\0\0\0\0"));
	assert_is(FIND(0x8001, "CD001"), MAGIC_RAW, "an ISO 9660 image");
	assert_is(FIND(0x10040, "_BHRfS_M"), MAGIC_RAW, "a btrfs file system");
	assert_is(FIND(0, "070701"), MAGIC_INITRD, "a cpio archive");
	assert_is(FIND(257, "ustar\0"), MAGIC_OTHER, "a tar archive");
}

/* What a disk must not be goes before what it may hold. */
static void test_order(void **state)
{
	FIND(0x8001, "CD001");
	memcpy(file, "QFI\xfb", 4);
	assert_is(magic_find(file, sizeof(file), read_buffer), MAGIC_DISK, "qcow2");
}

static void test_short_files(void **state)
{
	FIND(0, "QFI\xfb");
	for (u64 size = 0; size < 2000; size++)
		assert_int_equal(!!magic_find(file, size, read_buffer), size >= 4);
}

/* Of a file whose every offset, length and buffer must be aligned where the file system says so. */
static void test_descriptor(void **state)
{
	char path[] = "/var/tmp/lkvm-test-magic.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	FIND(SIZE - 512, "conectix\0\0\0\2\0\1\0\0");
	assert_int_equal(write(fd, file, SIZE), SIZE);
	assert_is(magic_find_fd(fd, SIZE), MAGIC_DISK, "VHD");
	assert_null(magic_find_fd(fd, SIZE + 512));
	close(fd);
	fd = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (fd >= 0) {
		assert_is(magic_find_fd(fd, SIZE), MAGIC_DISK, "VHD");
		close(fd);
	}
	assert_null(magic_find_fd(-1, SIZE));
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_short_files),
		cmocka_unit_test(test_descriptor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
