/* SPDX-License-Identifier: MIT */
/* boot/version.c */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif

#include "lkvm/boot.h"
#include "lkvm/util.h"

#define SIZE (600 * KiB)

static u8 *bytes;
static char release[BOOT_RELEASE_LEN];

static int begin(void **state)
{
	bytes = calloc(1, SIZE);
	memset(release, 'x', sizeof(release));
	return 0;
}

static int end(void **state)
{
	free(bytes);
	return 0;
}

static int look(void)
{
	struct boot_image img;
	int ret;

	boot_image_from_buffer(&img, "kernel", bytes, SIZE);
	ret = boot_linux_release(&img, release);
	boot_image_close(&img);
	return ret;
}

static void put(size_t at, const char *text)
{
	memcpy(bytes + at, text, strlen(text));
}

static void test_header(void **state)
{
	put(0x202, "HdrS");
	put_le(bytes + 0x20e, 2, 0x1000);
	put(0x1200, "6.1.0-18-amd64 (debian-kernel@lists.debian.org) #1 SMP");
	put(0x2000, "Linux version 9.9 ");
	assert_int_equal(look(), 0);
	assert_string_equal(release, "6.1.0-18-amd64");
}

/* A header that says nothing of use: the image is looked through. */
static void test_empty_header(void **state)
{
	put(0x202, "HdrS");
	put(0x2000, "Linux version 7.2.12+deb14-arm64 (x) ");
	assert_int_equal(look(), 0);
	assert_string_equal(release, "7.2.12+deb14-arm64");
	put_le(bytes + 0x20e, 2, 0xffff);
	assert_int_equal(look(), 0);
}

/* Wherever pieces of the image meet. */
static void test_everywhere(void **state)
{
	static const char banner[] = "Linux version 6.18.0-rc1_x~2 (me) ";

	for (size_t at = 256 * KiB - 160; at < 256 * KiB + 160; at++) {
		memset(bytes, 0, SIZE);
		put(at, banner);
		memset(release, 0, sizeof(release));
		assert_int_equal(look(), 0);
		assert_string_equal(release, "6.18.0-rc1_x~2");
	}
	memset(bytes, 0, SIZE);
	put(SIZE - sizeof(banner) + 1, banner);
	assert_int_equal(look(), 0);
}

/* It becomes part of a path. */
static void test_hostile(void **state)
{
	static const char *const bad[] = { "%s (%s) ", "../../etc ", "6.1/../../etc ",
					   "6.1\n ",   "x6 ",	     ".6 ",
					   " ",	       "6.1" };
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		memset(bytes, 0xff, SIZE);
		snprintf(text, sizeof(text), "Linux version %s", bad[i]);
		put(SIZE - strlen(text), text);
		assert_int_equal(look(), -ENOENT);
	}
	memset(bytes, 0xff, SIZE);
	put(100, "Linux version ");
	memset(bytes + 114, '6', 300);
	assert_int_equal(look(), -ENOENT);
	/* What is no banner does not hide one. */
	put(5000, "Linux version 6.6 ");
	assert_int_equal(look(), 0);
	assert_string_equal(release, "6.6");
}

#ifdef HAVE_ZLIB
static void test_packed(void **state)
{
	uLongf len = compressBound(SIZE) + 64;
	u8 *packed = malloc(len);
	z_stream z = { .next_in = bytes, .avail_in = SIZE, .next_out = packed, .avail_out = len };
	struct boot_image img;

	put(400 * KiB, "Linux version 6.12.1 ");
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	boot_image_from_buffer(&img, "kernel", packed, z.total_out);
	deflateEnd(&z);
	assert_int_equal(boot_image_decompress(&img, "kernel", SIZE), 0);
	assert_int_equal(boot_linux_release(&img, release), 0);
	assert_string_equal(release, "6.12.1");
	boot_image_close(&img);
	free(packed);
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_header, begin, end),
		cmocka_unit_test_setup_teardown(test_empty_header, begin, end),
		cmocka_unit_test_setup_teardown(test_everywhere, begin, end),
		cmocka_unit_test_setup_teardown(test_hostile, begin, end),
#ifdef HAVE_ZLIB
		cmocka_unit_test_setup_teardown(test_packed, begin, end),
#endif
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
