/* SPDX-License-Identifier: MIT */
/* boot/image.c, boot/decompress.c, boot/open.c. */
#include "capture.h"
#include "image_builder.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include "lkvm/config.h"

static char dir[] = "/tmp/lkvm-image-XXXXXX";
static char path[128];

static const char *in_dir(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static const char *make_file(const char *name, const void *data, size_t len)
{
	int fd = open(in_dir(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), len);
	close(fd);
	return path;
}

static u32 open_fds(void)
{
	u32 n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void assert_open_fails(const char *name, int error, const char *why)
{
	struct boot_image img;
	char want[256];
	u32 fds = open_fds();
	const char *text;
	int ret;

	capture_begin();
	ret = boot_image_open(&img, in_dir(name), "kernel");
	text = capture_end();
	assert_int_equal(ret, error);
	assert_int_equal(img.fd, -1);
	assert_int_equal(open_fds(), fds);
	assert_one_line(text);
	snprintf(want, sizeof(want), "Fatal: Unable to open kernel %s: %s", path, why);
	assert_contains(text, want);
}

static void test_open_errors(void **state)
{
	assert_open_fails("missing", -ENOENT, "No such file or directory");
	assert_int_equal(mkdir(in_dir("subdir"), 0700), 0);
	assert_open_fails("subdir", -EISDIR, "it is a directory");
	make_file("empty", "", 0);
	assert_open_fails("empty", -ENODATA, "the file is empty");
	/* Nobody writes to it: opening must not wait. */
	assert_int_equal(mkfifo(in_dir("fifo"), 0600), 0);
	assert_open_fails("fifo", -EINVAL, "not a regular file");
}

static void test_read(void **state)
{
	struct boot_image img;
	char buf[8] = "";

	assert_int_equal(boot_image_open(&img, make_file("f", "0123456789", 10), "kernel"), 0);
	assert_int_equal(img.size, 10);
	assert_int_equal(boot_image_read(&img, 4, buf, 6), 0);
	assert_memory_equal(buf, "456789", 6);
	assert_int_equal(boot_image_read(&img, 10, buf, 0), 0);
	assert_int_equal(boot_image_read(&img, 4, buf, 7), -ENODATA);
	assert_int_equal(boot_image_read(&img, 11, buf, 0), -ENODATA);
	assert_int_equal(boot_image_read(&img, UINT64_MAX, buf, 2), -ENODATA);
	assert_int_equal(boot_image_read(&img, 2, buf, UINT64_MAX), -ENODATA);
	/* The file shrinks behind our back: what was read is known until it is to be forgotten. */
	assert_int_equal(truncate(path, 5), 0);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(boot_image_read(&img, 4, buf, 6), 0);
	assert_memory_equal(buf, "456789", 6);
	boot_image_rest(&img);
	assert_int_equal(boot_image_read(&img, 4, buf, 6), -ENODATA);
	assert_int_equal(boot_image_broken(&img), 0);
	boot_image_close(&img);
	boot_image_close(&img);
}

static void test_load(void **state)
{
	struct guest_memory mem;
	struct boot_image img;
	u8 data[64];

	for (u32 i = 0; i < sizeof(data); i++)
		data[i] = (u8)(i + 1);
	memory_init(&mem);
	/* Two regions that touch, then a hole, then one that is not RAM. */
	assert_int_equal(
		memory_add(&mem, &(struct memory_desc){ .gpa = 0, .size = 0x1000, .name = "a" }),
		0);
	assert_int_equal(
		memory_add(&mem,
			   &(struct memory_desc){ .gpa = 0x1000, .size = 0x1000, .name = "b" }),
		0);
	assert_int_equal(memory_add(&mem, &(struct memory_desc){ .gpa = 0x3000,
								 .size = 0x1000,
								 .kind = MEM_ROM,
								 .name = "rom" }),
			 0);
	boot_image_from_buffer(&img, "buffer", data, sizeof(data));
	assert_int_equal(boot_image_load(&img, 0, &mem, 0xff0, 64), 0);
	assert_memory_equal(memory_ptr(&mem, 0xff0, 16), data, 16);
	assert_memory_equal(memory_ptr(&mem, 0x1000, 48), data + 16, 48);
	assert_int_equal(boot_image_load(&img, 0, &mem, 0x1ff0, 64), -EFAULT);
	assert_int_equal(*(u8 *)memory_ptr(&mem, 0x1ff0, 1), 0);
	assert_int_equal(boot_image_load(&img, 0, &mem, 0x3000, 64), -EFAULT);
	assert_int_equal(boot_image_load(&img, 1, &mem, 0, 64), -ENODATA);
	assert_int_equal(boot_image_load(&img, 0, &mem, UINT64_MAX, 64), -EFAULT);
	boot_image_close(&img);
	memory_destroy(&mem);
}

static int decompress(struct boot_image *img, u8 *data, u64 len, u64 max, const char **text)
{
	int ret;

	boot_image_from_buffer(img, "packed", data, len);
	capture_begin();
	ret = boot_image_decompress(img, "kernel", max);
	/* The head is unpacked; now the rest. */
	if (!ret && boot_image_measure(img, &img->size))
		ret = boot_image_error(img, "kernel", -EIO, "cannot decompress");
	*text = capture_end();
	if (ret)
		boot_image_close(img);
	return ret;
}

static void test_not_compressed(void **state)
{
	u8 data[] = "plain";
	struct boot_image img;
	const char *text;

	assert_int_equal(decompress(&img, data, sizeof(data), GiB, &text), 0);
	assert_ptr_equal(img.blob, data);
	assert_null(img.packed);
	assert_int_equal(decompress(&img, data, 1, GiB, &text), 0);
	boot_image_close(&img);
}

#if defined(HAVE_ZLIB) || defined(HAVE_ZSTD)
static void assert_contents(const struct boot_image *img, const void *plain, u64 len)
{
	u8 *buf = malloc(len);

	assert_non_null(buf);
	assert_int_equal(img->size, len);
	assert_int_equal(boot_image_read(img, 0, buf, len), 0);
	assert_memory_equal(buf, plain, len);
	free(buf);
}

#define PLAIN_SIZE (40U * 1024 * 1024 + 12345)

/* Larger than the first output buffer; compressible, yet not one run. */
static u8 *make_plain(void)
{
	u8 *plain = malloc(PLAIN_SIZE);

	assert_non_null(plain);
	for (u32 i = 0; i < PLAIN_SIZE; i++)
		plain[i] = (u8)(i >> 8 ^ (i & 0x3f));
	return plain;
}

static void check_packing(const char *name, const u8 *plain, u8 *packed, u64 len, u64 check_at)
{
	struct boot_image img;
	const char *text;
	u64 seed = 1;

	assert_int_equal(decompress(&img, packed, len, GiB, &text), 0);
	assert_contents(&img, plain, PLAIN_SIZE);
	assert_string_equal(img.packed, name);
	assert_string_equal(img.path, "packed");
	boot_image_close(&img);

	/* A limit that is a byte too small, as a bomb would meet it. */
	assert_int_equal(decompress(&img, packed, len, PLAIN_SIZE - 1, &text), -EFBIG);
	assert_contains(text, "--kernel packed: unpacked by");
	assert_contains(text, "larger than the guest's memory (");
	assert_contains(text, "increase --mem");
	assert_one_line(text);
	assert_int_equal(decompress(&img, packed, len / 2, GiB, &text), -ENODATA);
	assert_contains(text, "truncated");
	assert_int_equal(decompress(&img, packed, 5, GiB, &text), -ENODATA);
	packed[check_at] ^= 0x55;
	assert_int_equal(decompress(&img, packed, len, GiB, &text), -EBADMSG);
	assert_contains(text, "damaged");
	assert_one_line(text);

	for (u32 i = 0; i < 200; i++) {
		u8 copy[512];
		u32 n = (u32)MIN(len, (u64)sizeof(copy));

		memcpy(copy, packed, n);
		damage(copy + 4, n - 4, &seed);
		if (!decompress(&img, copy, n, 64 * KiB, &text))
			boot_image_close(&img);
	}
}
#endif

#if defined(HAVE_ZLIB) || defined(HAVE_ZSTD)
static void assert_unpacks(u8 *data, u64 len, const char *plain)
{
	struct boot_image img;
	const char *text;
	int ret = decompress(&img, data, len, GiB, &text);

	assert_string_equal(text, "");
	assert_int_equal(ret, 0);
	assert_contents(&img, plain, strlen(plain));
	boot_image_close(&img);
}
#endif

static void test_gzip_members(void **state)
{
#ifdef HAVE_ZLIB
	static const char *const words[] = { "one ", "", "three" };
	struct boot_image img;
	const char *text;
	u8 packed[512];
	u64 len = 0;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		z_stream zs = { .next_in = (u8 *)words[i],
				.avail_in = (uInt)strlen(words[i]),
				.next_out = packed + len,
				.avail_out = 256 };

		assert_int_equal(deflateInit2(&zs, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY),
				 Z_OK);
		assert_int_equal(deflate(&zs, Z_FINISH), Z_STREAM_END);
		len += zs.total_out;
		deflateEnd(&zs);
	}
	assert_unpacks(packed, len, "one three");
	/* Padding, and whatever else is not a member, is left alone. */
	memset(packed + len, 0, 64);
	assert_unpacks(packed, len + 64, "one three");
	memcpy(packed + len, "\xd0\x0d\xfe\xed", 4);
	assert_unpacks(packed, len + 64, "one three");
	memcpy(packed + len, "\x1f\x8b", 2);
	assert_unpacks(packed, len + 2, "one three");
	/* A member that is cut off, and one that is damaged. */
	assert_int_equal(decompress(&img, packed, len - 1, GiB, &text), -ENODATA);
	packed[len - 5] ^= 1;
	assert_int_equal(decompress(&img, packed, len, GiB, &text), -EBADMSG);
#endif
}

static void test_zstd_frames(void **state)
{
#ifdef HAVE_ZSTD
	/* RFC 8878, 3.1.2: three bytes to skip. */
	static const u8 skip[] = { 0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3 };
	struct boot_image img;
	const char *text;
	u8 packed[512];
	u64 len = 0;

	for (const char *const *word = (const char *const[]){ "one ", "two", NULL }; *word;
	     word++) {
		memcpy(packed + len, skip, sizeof(skip));
		len += sizeof(skip);
		len += ZSTD_compress(packed + len, 128, *word, strlen(*word), 3);
	}
	assert_unpacks(packed + sizeof(skip), len - sizeof(skip), "one two");
	assert_unpacks(packed, len, "one two");
	memcpy(packed + len, skip, sizeof(skip));
	assert_unpacks(packed, len + sizeof(skip), "one two");
	/* Padding, or the size that Linux's build appends. */
	memset(packed + len, 0, 64);
	assert_unpacks(packed, len + 64, "one two");
	assert_int_equal(decompress(&img, packed, len - 1, GiB, &text), -ENODATA);
	/* RFC 8878, 3.1.1.1: a window of 2 GiB. No damage; unzstd wants to be told, too. */
	assert_int_equal(
		decompress(&img, (u8[16]){ 0x28, 0xb5, 0x2f, 0xfd, 0, 21 << 3 }, 16, GiB, &text),
		-ENOTSUP);
	assert_contains(text, "unzstd --long=31");
	/* Nothing to skip to: not zstd. The length may be any. */
	assert_int_equal(decompress(&img, packed, sizeof(skip), GiB, &text), 0);
	assert_null(img.packed);
	memset(packed + 4, 0xff, 4);
	assert_int_equal(decompress(&img, packed, len, GiB, &text), 0);
	assert_null(img.packed);
#endif
}

static void test_gzip(void **state)
{
#ifdef HAVE_ZLIB
	u8 *plain = make_plain(), *packed = malloc(PLAIN_SIZE);
	z_stream zs = { .next_in = plain,
			.avail_in = PLAIN_SIZE,
			.next_out = packed,
			.avail_out = PLAIN_SIZE };

	assert_int_equal(deflateInit2(&zs, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&zs, Z_FINISH), Z_STREAM_END);
	check_packing("gzip", plain, packed, zs.total_out, zs.total_out - 8 /* the checksum */);
	deflateEnd(&zs);
	free(plain);
	free(packed);
#else
	u8 data[] = "\x1f\x8b\x08 and so on";
	struct boot_image img;
	const char *text;

	assert_int_equal(decompress(&img, data, sizeof(data), GiB, &text), -ENOTSUP);
	assert_contains(text, "without zlib");
#endif
}

static void test_zstd(void **state)
{
#ifdef HAVE_ZSTD
	u8 *plain = make_plain(), *packed = malloc(PLAIN_SIZE);
	ZSTD_CCtx *cctx = ZSTD_createCCtx();
	size_t len;

	ZSTD_CCtx_setParameter(cctx, ZSTD_c_checksumFlag, 1);
	len = ZSTD_compress2(cctx, packed, PLAIN_SIZE, plain, PLAIN_SIZE);
	assert_false(ZSTD_isError(len));
	check_packing("zstd", plain, packed, len, len - 1 /* the checksum */);
	ZSTD_freeCCtx(cctx);
	free(plain);
	free(packed);
#else
	u8 data[] = "\x28\xb5\x2f\xfd and so on";
	struct boot_image img;
	const char *text;

	assert_int_equal(decompress(&img, data, sizeof(data), GiB, &text), -ENOTSUP);
	assert_contains(text, "without libzstd");
#endif
}

static void test_boot_open(void **state)
{
	u32 fds = open_fds();
	struct vm_config cfg;
	struct boot boot;
	const char *text;
	int ret;

	config_init(&cfg);
	cfg.kernel = strdup(make_file("kernel", "k", 1));
	config_add_initrd(&cfg, make_file("initrd1", "12", 2));
	config_add_initrd(&cfg, make_file("initrd2", "345", 3));
	assert_int_equal(boot_open(&boot, &cfg), 0);
	assert_int_equal(boot.kernel.size, 1);
	assert_int_equal(boot.nr_initrds, 2);
	assert_int_equal(boot.initrds[1].size, 3);
	assert_null(boot.firmware.path);
	boot_close(&boot);
	assert_int_equal(open_fds(), fds);
	boot_close(&boot);

	config_add_initrd(&cfg, in_dir("initrd3"));
	capture_begin();
	ret = boot_open(&boot, &cfg);
	text = capture_end();
	assert_int_equal(ret, -ENOENT);
	assert_contains(text, "Unable to open initrd");
	assert_one_line(text);
	assert_int_equal(open_fds(), fds);
	config_destroy(&cfg);
}

static void assert_splits(struct vm_config *cfg, u32 i, const char *file, const char *words)
{
	struct boot boot;

	assert_int_equal(boot_open(&boot, cfg), 0);
	assert_string_equal(boot.initrds[i].path, file);
	if (words)
		assert_string_equal(boot.initrds[i].words, words);
	else
		assert_null(boot.initrds[i].words);
	boot_close(&boot);
}

/* "FILE WORDS": the longest part that is a file's name, so that names with spaces stay possible. */
static void test_words(void **state)
{
	char plain[256], spaced[256], arg[512];
	u32 fds = open_fds();
	struct vm_config cfg;
	struct boot boot;

	config_init(&cfg);
	snprintf(plain, sizeof(plain), "%s", make_file("initrd1", "1", 1));
	config_add_initrd(&cfg, plain);
	snprintf(arg, sizeof(arg), "%s  root=/dev/vda1 console=hvc0", plain);
	config_add_initrd(&cfg, arg);
	snprintf(arg, sizeof(arg), "%s ", plain);
	config_add_initrd(&cfg, arg);
	snprintf(arg, sizeof(arg), "%s a b", plain);
	config_add_initrd(&cfg, arg);
	assert_splits(&cfg, 0, plain, NULL);
	assert_splits(&cfg, 1, plain, "root=/dev/vda1 console=hvc0");
	assert_splits(&cfg, 2, plain, NULL);
	assert_splits(&cfg, 3, plain, "a b");
	/* The same text once there is a longer name. */
	snprintf(spaced, sizeof(spaced), "%s", make_file("initrd1 a", "12", 2));
	assert_splits(&cfg, 3, spaced, "b");
	unlink(spaced);
	snprintf(spaced, sizeof(spaced), "%s", make_file("initrd1 a b", "12", 2));
	assert_splits(&cfg, 3, spaced, NULL);
	unlink(spaced);
	/* Nothing of it is there: all of it is named. */
	config_add_initrd(&cfg, "/nonexistent/a b c");
	capture_begin();
	assert_int_equal(boot_open(&boot, &cfg), -ENOENT);
	assert_contains(capture_end(), "Unable to open initrd /nonexistent/a b c:");
	assert_int_equal(open_fds(), fds);
	config_destroy(&cfg);
}

static int setup(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	static const char *const names[] = { "empty", "fifo", "f", "kernel", "initrd1", "initrd2" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		unlink(in_dir(names[i]));
	rmdir(in_dir("subdir"));
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_errors), cmocka_unit_test(test_read),
		cmocka_unit_test(test_load),	    cmocka_unit_test(test_not_compressed),
		cmocka_unit_test(test_gzip),	    cmocka_unit_test(test_zstd),
		cmocka_unit_test(test_boot_open),   cmocka_unit_test(test_gzip_members),
		cmocka_unit_test(test_zstd_frames), cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
