/* SPDX-License-Identifier: MIT */
/* boot/zboot.c: EFI zboot images, whole and broken. */
#include "capture.h"
#include "image_builder.h"

#include <stdlib.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#define PAYLOAD_AT 0x1000U
#define PLAIN_SIZE 100000U
#define ROOM	   (PAYLOAD_AT + 2 * PLAIN_SIZE)

static u8 plain[PLAIN_SIZE], unpacked[PLAIN_SIZE], image[ROOM];
static u32 image_len;

/* The header as Linux writes it, around @len bytes at PAYLOAD_AT. */
static void finish_image(const char *type, u32 len)
{
	memset(image, 0, PAYLOAD_AT);
	memcpy(image, "MZ\0\0zimg", 8);
	put_le(image + 8, 4, PAYLOAD_AT);
	put_le(image + 12, 4, len);
	memcpy(image + 24, type, strlen(type));
	memcpy(image + 56, "\xcd\x23\x82\x81", 4); /* LINUX_PE_MAGIC */
	/* What follows the kernel in the file: its size, and the rest of the EFI program. */
	memset(image + PAYLOAD_AT + len, 0xee, 100);
	image_len = PAYLOAD_AT + len + 100;
}

/* 0 where this build has no such library. */
static u32 make_gzip(void)
{
#ifdef HAVE_ZLIB
	z_stream zs = { .next_in = plain,
			.avail_in = PLAIN_SIZE,
			.next_out = image + PAYLOAD_AT,
			.avail_out = ROOM - PAYLOAD_AT };

	assert_int_equal(deflateInit2(&zs, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&zs, Z_FINISH), Z_STREAM_END);
	deflateEnd(&zs);
	return (u32)zs.total_out;
#else
	return 0;
#endif
}

static u32 make_zstd(void)
{
#ifdef HAVE_ZSTD
	size_t len = ZSTD_compress(image + PAYLOAD_AT, ROOM - PAYLOAD_AT, plain, PLAIN_SIZE, 1);

	assert_false(ZSTD_isError(len));
	return (u32)len;
#else
	return 0;
#endif
}

static int unpack(struct boot_image *img, u64 len, u64 max, const char **text)
{
	int ret;

	boot_image_from_buffer(img, "dir/zimage", image, len);
	capture_begin();
	ret = boot_image_unzboot(img, "kernel", max);
	if (!ret && boot_image_measure(img, &img->size))
		ret = boot_image_error(img, "kernel", -EIO, "cannot decompress");
	*text = capture_end();
	return ret;
}

static void assert_unpacks(const char *packed)
{
	struct boot_image img;
	const char *text;

	assert_int_equal(unpack(&img, image_len, GiB, &text), 0);
	assert_string_equal(text, "");
	assert_int_equal(img.size, PLAIN_SIZE);
	assert_int_equal(img.start, 0);
	assert_int_equal(boot_image_read(&img, 0, unpacked, PLAIN_SIZE), 0);
	assert_memory_equal(unpacked, plain, PLAIN_SIZE);
	assert_string_equal(img.packed, packed);
	assert_string_equal(img.path, "dir/zimage");
	boot_image_close(&img);
}

static void assert_refused(u64 len, int error, const char *part)
{
	struct boot_image img;
	const char *text;

	assert_int_equal(unpack(&img, len, GiB, &text), error);
	assert_one_line(text);
	assert_contains(text, "--kernel dir/zimage: ");
	assert_contains(text, part);
	boot_image_close(&img);
}

static void test_gzip(void **state)
{
	u32 len = make_gzip();

	if (!len)
		skip();
	finish_image("gzip", len);
	assert_unpacks("gzip");
	/* The kernel ends where the file ends. */
	image_len -= 100;
	assert_unpacks("gzip");
}

static void test_zstd(void **state)
{
	u32 len = make_zstd();

	if (!len)
		skip();
	finish_image("zstd", len);
	assert_unpacks("zstd");
	finish_image("zstd22", len);
	assert_unpacks("zstd");
}

static void test_other_images(void **state)
{
	struct boot_image img;
	const char *text;

	finish_image("gzip", 100);
	image[4] = 'Z';
	assert_int_equal(unpack(&img, image_len, GiB, &text), 0);
	assert_ptr_equal(img.blob, image);
	assert_int_equal(img.size, image_len);
	finish_image("gzip", 100);
	image[0] = 'm';
	assert_int_equal(unpack(&img, image_len, GiB, &text), 0);
	assert_ptr_equal(img.blob, image);
	finish_image("gzip", 100);
	for (u64 len = 0; len < 64; len++) {
		assert_int_equal(unpack(&img, len, GiB, &text), 0);
		assert_string_equal(text, "");
	}
}

static void test_other_compressions(void **state)
{
	static const char *const types[] = { "xzkern", "lzma", "lz4", "lzo", "none" };

	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		finish_image(types[i], 100);
		assert_refused(image_len, -ENOTSUP, types[i]);
		assert_refused(image_len, -ENOTSUP, "use the kernel inside it");
	}
	finish_image("", 100);
	assert_refused(image_len, -ENOEXEC, "how it is compressed");
	/* Not ended within its field; and what would disturb a terminal. */
	finish_image("gzipgzipgzipgzipgzipgzipgzipgzip", 100);
	assert_refused(image_len, -ENOEXEC, "how it is compressed");
	finish_image("zstdzstdzstdzstdzstdzstdzstdzstd", 100);
	memset(image + 56, 'z', 4);
	assert_refused(image_len, -ENOEXEC, "how it is compressed");
	finish_image("gz\033[2J", 100);
	assert_refused(image_len, -ENOEXEC, "how it is compressed");
}

static void test_bounds(void **state)
{
	static const struct {
		u32 offset, len;
	} bad[] = {
		{ PAYLOAD_AT, 0 },
		{ 0, 100 },
		{ 63, 100 },
		{ PAYLOAD_AT, 201 },
		{ 0xffffffff, 1 },
		{ 0xffffffff, 0xffffffff },
		{ PAYLOAD_AT, 0xffffffff },
		{ PAYLOAD_AT + 200, 1 },
		{ 64, 0xfffff000 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		finish_image("gzip", 100);
		put_le(image + 8, 4, bad[i].offset);
		put_le(image + 12, 4, bad[i].len);
		assert_refused(image_len, -ENOEXEC, "not inside the file");
	}
	finish_image("gzip", 100);
	assert_refused(PAYLOAD_AT + 99, -ENOEXEC, "truncated");
}

static void test_contents(void **state)
{
	struct boot_image img;
	const char *text;
	u32 len = make_gzip();

	memset(image + PAYLOAD_AT, 0x11, 100);
	finish_image("gzip", 100);
	assert_refused(image_len, -ENOEXEC, "not compressed as its header says");
	len = make_gzip();
	if (!len)
		skip();
	finish_image("zstd", len);
	assert_refused(image_len, -ENOEXEC, "not compressed as its header says");
	finish_image("gzip", len - 20);
	assert_refused(image_len, -ENODATA, "ends too early");
	make_gzip();
	finish_image("gzip", len);
	image[PAYLOAD_AT + len / 2] ^= 0x55;
	assert_refused(image_len, -EBADMSG, "damaged");
	make_gzip();
	assert_int_equal(unpack(&img, image_len, PLAIN_SIZE - 1, &text), -EFBIG);
	assert_contains(text, "larger than the guest's memory");
	boot_image_close(&img);
}

/* Any header: memory stays in order, and a failure says one line. */
static void test_random_headers(void **state)
{
	u8 good[64];
	u64 seed = 7;
	u32 len = make_gzip();

	finish_image("gzip", len ? len : 100);
	memcpy(good, image, sizeof(good));
	for (u32 i = 0; i < 20000; i++) {
		struct boot_image img;
		const char *text;

		memcpy(image, good, sizeof(good));
		damage(image + 8, 48, &seed);
		if (unpack(&img, image_len, MiB, &text))
			assert_one_line(text);
		boot_image_close(&img);
	}
}

static int setup(void **state)
{
	for (u32 i = 0; i < PLAIN_SIZE; i++)
		plain[i] = (u8)(i >> 8 ^ (i & 0x3f));
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gzip),	       cmocka_unit_test(test_zstd),
		cmocka_unit_test(test_other_images),   cmocka_unit_test(test_other_compressions),
		cmocka_unit_test(test_bounds),	       cmocka_unit_test(test_contents),
		cmocka_unit_test(test_random_headers),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
