/* SPDX-License-Identifier: MIT */
/* rootfs/cpio.c, read back as Linux's init/initramfs.c reads it. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "../../rootfs/cpio.h"

static struct cpio c;
static size_t at;

static u32 field(u32 i)
{
	char text[9] = { 0 };

	memcpy(text, c.data + at + 6 + 8 * i, 8);
	return (u32)strtoul(text, NULL, 16);
}

/* The next entry; its contents. */
static const u8 *next(const char *name, u32 mode, size_t len)
{
	const u8 *data;

	assert_true(at + 110 <= c.len && at % 4 == 0);
	assert_memory_equal(c.data + at, "070701", 6);
	assert_int_equal(field(1), mode);
	assert_int_equal(field(2), 0);
	assert_int_equal(field(3), 0);
	assert_int_equal(field(6), len);
	assert_int_equal(field(11), strlen(name) + 1);
	assert_string_equal((char *)c.data + at + 110, name);
	data = c.data + at + ALIGN_UP(110 + strlen(name) + 1, (size_t)4);
	at += ALIGN_UP(110 + strlen(name) + 1, (size_t)4) + ALIGN_UP(len, (size_t)4);
	assert_true(at <= c.len);
	return data;
}

static void test_archive(void **state)
{
	u32 ino, dev;

	cpio_dir(&c, "/dev", 0755);
	cpio_device(&c, "/dev/console", 0600, 5, 1);
	cpio_file(&c, "/init", 0755, "abcde", 5);
	cpio_symlink(&c, "/bin", "usr/bin");
	cpio_file(&c, "/none", 0644, NULL, 0);
	assert_int_equal(cpio_end(&c), 0);
	next("dev", S_IFDIR | 0755, 0);
	dev = field(9) << 8 | field(10);
	assert_int_equal(dev, 5 << 8 | 1);
	ino = field(0);
	next("dev/console", S_IFCHR | 0600, 0);
	assert_int_not_equal(field(0), ino);
	assert_memory_equal(next("init", S_IFREG | 0755, 5), "abcde\0\0", 8);
	assert_memory_equal(next("bin", S_IFLNK | 0777, 7), "usr/bin", 7);
	next("none", S_IFREG | 0644, 0);
	next("TRAILER!!!", 0, 0);
	assert_int_equal(at, c.len);
	free(c.data);
}

static void test_large(void **state)
{
	struct cpio large = { 0 };
	u8 *data = calloc(1, MiB);

	for (u32 i = 0; i < 40; i++)
		cpio_file(&large, "/f", 0644, data, MiB - i);
	assert_int_equal(cpio_end(&large), 0);
	assert_true(large.len > 39 * MiB && IS_ALIGNED(large.len, 4));
	/* An error sticks. */
	cpio_file(&large, "/f", 0644, data, 5ULL * GiB);
	assert_int_equal(cpio_end(&large), -EFBIG);
	free(large.data);
	free(data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_archive),
		cmocka_unit_test(test_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
