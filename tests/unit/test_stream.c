/* SPDX-License-Identifier: MIT */
/* boot/stream.c: packed contents read in any order, and how much of the file that takes. */
#include "image_builder.h"

#include <stdlib.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include "../../boot/stream.h"

#define PLAIN  (6U * 1024 * 1024 + 777)
#define MEMBER (1000 * 1000U) /* as much of it is in each member or frame */
#define ROOM   (PLAIN + MiB)

static u8 plain[PLAIN], packed[ROOM], buf[PLAIN], ram[PLAIN];
static u64 packed_len, bytes_read;

static int read_packed(const void *opaque, u64 offset, void *to, u64 len)
{
	if (!range_within(offset, len, 0, packed_len))
		return -ENODATA;
	bytes_read += len;
	memcpy(to, packed + offset, len);
	return 0;
}

static struct boot_stream *open_stream(u64 max)
{
	struct codec_file file = { NULL, read_packed, packed_len };
	const struct codec *c = codec_find(&file);

	assert_non_null(c);
	bytes_read = 0;
	return stream_new(c, &file, max);
}

static void assert_reads(struct boot_stream *s, u64 at, u64 len)
{
	memset(buf, 0xee, len);
	assert_int_equal(stream_read(s, at, buf, len), 0);
	assert_memory_equal(buf, plain + at, len);
}

/* A pass reads the file once, and looks for another member here and there. */
static void assert_passes(u64 n)
{
	assert_in_range(bytes_read, (n - 1) * packed_len + packed_len / 2,
			n * packed_len + 4 * KiB);
}

static bool pack_gzip(void)
{
#ifdef HAVE_ZLIB
	packed_len = 0;
	for (u32 at = 0; at < PLAIN; at += MEMBER) {
		z_stream zs = { .next_in = plain + at,
				.avail_in = MIN(MEMBER, PLAIN - at),
				.next_out = packed + packed_len,
				.avail_out = (uInt)(ROOM - packed_len) };

		assert_int_equal(deflateInit2(&zs, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY),
				 Z_OK);
		assert_int_equal(deflate(&zs, Z_FINISH), Z_STREAM_END);
		packed_len += zs.total_out;
		deflateEnd(&zs);
	}
	return true;
#else
	return false;
#endif
}

static bool pack_zstd(void)
{
#ifdef HAVE_ZSTD
	ZSTD_CCtx *c = ZSTD_createCCtx();

	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
	packed_len = 0;
	for (u32 at = 0; at < PLAIN; at += MEMBER)
		packed_len += ZSTD_compress2(c, packed + packed_len, ROOM - packed_len, plain + at,
					     MIN(MEMBER, PLAIN - at));
	ZSTD_freeCCtx(c);
	return true;
#else
	return false;
#endif
}

/* Each test with either packing that is built in. */
static bool (*const packings[])(void) = { pack_gzip, pack_zstd };
#define for_each_packing(i)                               \
	for (size_t i = 0; i < ARRAY_SIZE(packings); i++) \
		if (packings[i]())

static void test_any_order(void **state)
{
	u64 seed = 5, size;

	for_each_packing(i)
	{
		struct boot_stream *s = open_stream(PLAIN);

		assert_int_equal(stream_size(s), STREAM_LONG);
		/* Around the head, over the ends of members, backwards, all. */
		assert_reads(s, STREAM_HEAD - 1, 2);
		assert_reads(s, MEMBER - 5, 10);
		assert_reads(s, 3 * MEMBER - 1, MEMBER + 2);
		assert_reads(s, STREAM_HEAD, 1);
		assert_reads(s, PLAIN - 1, 1);
		assert_reads(s, 0, PLAIN);
		for (u32 n = 0; n < 40; n++) {
			u64 at = next_random(&seed) % PLAIN;

			assert_reads(s, at, next_random(&seed) % (PLAIN - at) % (64 * KiB));
		}
		assert_int_equal(stream_read(s, PLAIN, buf, 1), -ENODATA);
		assert_int_equal(stream_read(s, PLAIN - 1, buf, 2), -ENODATA);
		assert_int_equal(stream_read(s, UINT64_MAX, buf, 2), -ENODATA);
		assert_int_equal(stream_error(s), 0);
		assert_int_equal(stream_measure(s, &size), 0);
		assert_int_equal(size, PLAIN);
		assert_reads(s, 5, 5);
		stream_free(s);
	}
}

#define MEMBERS 20000U

/* Members by the thousand: a look at what follows each costs nothing of the file. */
static void test_many_members(void **state)
{
	struct boot_stream *s;

	if (!pack_gzip())
		return;
	packed_len = 0;
#ifdef HAVE_ZLIB
	for (u32 i = 0; i < MEMBERS; i++) {
		z_stream zs = { .next_in = plain + i,
				.avail_in = 1,
				.next_out = packed + packed_len,
				.avail_out = 64 };

		assert_int_equal(deflateInit2(&zs, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY),
				 Z_OK);
		assert_int_equal(deflate(&zs, Z_FINISH), Z_STREAM_END);
		packed_len += zs.total_out;
		deflateEnd(&zs);
	}
#endif
	s = open_stream(PLAIN);
	assert_reads(s, 0, MEMBERS);
	assert_in_range(bytes_read, packed_len, packed_len + 64);
	stream_free(s);
}

/* Frames to skip by the thousand, before the first and between others: each is looked at once. */
static void test_skipped_frames(void **state)
{
#ifdef HAVE_ZSTD
	struct boot_stream *s;

	packed_len = 0;
	for (u32 n = 0; n < 2; n++) {
		for (u32 i = 0; i < MEMBERS; i++, packed_len += 8)
			memcpy(packed + packed_len, "\x50\x2a\x4d\x18\0\0\0\0", 8);
		packed_len += ZSTD_compress(packed + packed_len, ROOM - packed_len,
					    plain + n * MEMBER, MEMBER, 1);
	}
	s = open_stream(PLAIN);
	assert_reads(s, 0, 2 * MEMBER);
	assert_int_equal(stream_read(s, 2 * MEMBER, buf, 1), -ENODATA);
	assert_in_range(bytes_read, packed_len, packed_len + 2 * 12 * MEMBERS + 64);
	stream_free(s);
#endif
}

/* As a kernel is loaded: head, notes in the middle, then what is before and behind them. */
static void test_one_pass(void **state)
{
	const u64 first = 4 * KiB, middle = 3 * MEMBER + 17, second = 5 * MEMBER;

	for_each_packing(i)
	{
		struct boot_stream *s = open_stream(PLAIN);
		u64 size;

		assert_reads(s, 0, 64);
		assert_true(bytes_read < packed_len / 4);
		memset(ram, 0, sizeof(ram));
		assert_true(stream_aim(s, second, MEMBER, ram + second, 2));
		assert_true(stream_aim(s, first, middle - first, ram + first, 1));
		assert_true(stream_aim(s, middle + 100, 200, NULL, 0));
		/* Overlaps are trimmed; what wraps is not aimed. */
		assert_true(stream_aim(s, middle - 50, 200, NULL, 0));
		assert_true(stream_aim(s, first + 9, 9, buf, 0));
		assert_false(stream_aim(s, UINT64_MAX - 5, 10, buf, 0));
		assert_memory_equal(ram + first, plain + first, STREAM_HEAD - first);
		assert_reads(s, middle + 50, 250);
		assert_memory_equal(ram + first, plain + first, middle - first);
		assert_int_equal(ram[second], 0);
		assert_int_equal(stream_aim_get(s, 0)->gpa, 2);
		assert_int_equal(stream_aim_get(s, 0)->done, 0);
		assert_int_equal(stream_aim_get(s, 1)->done, middle - first);
		/* Again, and in part, from where they are. */
		assert_reads(s, middle + 100, 200);
		assert_reads(s, second - 100, 100 + MEMBER);
		assert_reads(s, first + 1, middle - first - 1);
		/* To where it is already. */
		assert_int_equal(stream_read(s, second, ram + second, MEMBER), 0);
		assert_memory_equal(ram + second, plain + second, MEMBER);
		assert_int_equal(stream_measure(s, &size), 0);
		assert_passes(1);
		assert_reads(s, middle - 60, 360);
		assert_passes(1);
		/* What is kept nowhere takes another; the aims stay good. */
		assert_reads(s, middle + 500, 10);
		assert_reads(s, PLAIN - 10, 10);
		assert_passes(2);
		assert_memory_equal(ram + first, plain + first, middle - first);
		/* What was written stays so, wherever the decoder is. */
		assert_reads(s, middle + 500, 10);
		assert_int_equal(stream_aim_get(s, 0)->done, MEMBER);
		assert_int_equal(stream_aim_get(s, 1)->done, middle - first);
		stream_free(s);
	}
}

/* However ranges overlap that are all to be read: each byte is kept once, and unpacked once. */
static void test_shifted_aims(void **state)
{
	for_each_packing(i)
	{
		struct boot_stream *s = open_stream(PLAIN);

		for (u32 n = 0; n < 250; n++)
			assert_true(stream_aim(s, PLAIN - MEMBER - n * 64, 64 * KiB - n, NULL, 0));
		for (u32 n = 0; n < 250; n++)
			assert_reads(s, PLAIN - MEMBER - n * 64, 64 * KiB - n);
		assert_passes(1);
		/* No room for all of these; they are read all the same. */
		for (u32 n = 0; n < STREAM_AIMS; n++)
			stream_aim(s, MEMBER + n * 64, 10, NULL, 0);
		for (u32 n = STREAM_AIMS - 3; n < STREAM_AIMS; n++)
			assert_reads(s, MEMBER + n * 64, 64);
		stream_free(s);
	}
}

static void test_dropped_aim(void **state)
{
	for_each_packing(i)
	{
		struct boot_stream *s = open_stream(PLAIN);

		assert_true(stream_aim(s, MEMBER, MEMBER, ram, 1));
		assert_true(stream_aim(s, 4 * MEMBER, MEMBER, ram + MEMBER, 2));
		assert_reads(s, 2 * MEMBER, 1);
		stream_aim_drop(s, 0);
		memset(ram, 0, MEMBER);
		assert_int_equal(stream_aim_get(s, 0)->gpa, 2);
		assert_null(stream_aim_get(s, 1));
		assert_reads(s, MEMBER, 100);
		assert_int_equal(ram[0], 0);
		/* An aim behind the decoder makes it begin anew. */
		assert_true(stream_aim(s, 2 * STREAM_HEAD, 100, ram, 3));
		assert_reads(s, 2 * STREAM_HEAD, 100);
		assert_memory_equal(ram, plain + 2 * STREAM_HEAD, 100);
		/* At rest nothing of it is left, and all comes again. */
		stream_rest(s);
		assert_null(stream_aim_get(s, 0));
		bytes_read = 0;
		assert_reads(s, 0, PLAIN);
		assert_passes(1);
		stream_free(s);
	}
}

/* More than the limit is an error where somebody reads so far, and it stays one. */
static void test_limit(void **state)
{
	u64 size;

	for_each_packing(i)
	{
		struct boot_stream *s = open_stream(PLAIN - 1);

		assert_reads(s, 0, PLAIN - 1);
		assert_int_equal(stream_measure(s, &size), -EFBIG);
		assert_int_equal(stream_read(s, 0, buf, 1), -EFBIG);
		assert_int_equal(stream_error(s), -EFBIG);
		stream_rest(s);
		assert_reads(s, PLAIN - 2, 1);
		assert_int_equal(stream_read(s, PLAIN - 2, buf, 2), -EFBIG);
		stream_free(s);
		/* A limit within the head. */
		s = open_stream(10);
		assert_int_equal(stream_start(s), -EFBIG);
		stream_free(s);
	}
}

static void test_truncated(void **state)
{
	for_each_packing(i)
	{
		u64 whole = packed_len;
		struct boot_stream *s;

		packed_len /= 2;
		s = open_stream(PLAIN);
		assert_reads(s, MEMBER, MEMBER);
		assert_int_equal(stream_read(s, PLAIN - 1, buf, 1), -ENODATA);
		assert_int_equal(stream_error(s), -ENODATA);
		assert_false(stream_starved(s));
		stream_free(s);
		/* It was whole when it was opened. */
		packed_len = whole;
		s = open_stream(PLAIN);
		assert_reads(s, MEMBER, MEMBER);
		packed_len /= 2;
		assert_int_equal(stream_read(s, PLAIN - 1, buf, 1), -ENODATA);
		assert_int_equal(stream_error(s), -ENODATA);
		assert_true(stream_starved(s));
		packed_len = whole;
		stream_rest(s);
		assert_false(stream_starved(s));
		assert_reads(s, PLAIN - 1, 1);
		stream_free(s);
	}
}

/* The checksum of what was loaded counts, what is behind much smaller contents is left alone. */
static void test_rest(void **state)
{
	for_each_packing(i)
	{
		struct boot_stream *s;

		/* Of the last member; gzip's is followed by a size. */
		packed[packed_len - (packings[i] == pack_gzip ? 8 : 4)] ^= 1;
		s = open_stream(PLAIN);
		assert_reads(s, 0, PLAIN - 1000);
		assert_int_equal(stream_error(s), 0);
		assert_int_equal(stream_check_rest(s), -EBADMSG);
		assert_int_equal(stream_read(s, 0, buf, 1), -EBADMSG);
		stream_rest(s);
		bytes_read = 0;
		assert_reads(s, 0, 2 * MEMBER);
		assert_int_equal(stream_check_rest(s), 0);
		assert_true(bytes_read < packed_len / 2);
		stream_free(s);
		/* Beyond the limit nobody looks. */
		s = open_stream(PLAIN - 1000);
		assert_reads(s, 0, PLAIN - 2000);
		assert_int_equal(stream_check_rest(s), 0);
		stream_free(s);
	}
}

static int setup(void **state)
{
	u64 seed = 1;

	/* It compresses to about a third. */
	for (u32 i = 0; i < PLAIN; i++)
		plain[i] = i % 3 ? (u8)(i >> 10) : (u8)next_random(&seed);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_order),      cmocka_unit_test(test_one_pass),
		cmocka_unit_test(test_shifted_aims),   cmocka_unit_test(test_dropped_aim),
		cmocka_unit_test(test_limit),	       cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_rest),	       cmocka_unit_test(test_many_members),
		cmocka_unit_test(test_skipped_frames),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
