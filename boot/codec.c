/* SPDX-License-Identifier: MIT */
/*
 * gzip (RFC 1952) by zlib, Zstandard (RFC 8878) by libzstd. The sizes that headers claim are not
 * believed, and a window may take 128 MiB at most, as the library's default has it.
 */
#include "codec.h"

#include <stdlib.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#include <zstd_errors.h>
#endif

/* RFC 8878, 3.1.1 and 3.1.2 */
#define ZSTD_FRAME     0xfd2fb528U
#define ZSTD_SKIPPABLE 0x184d2a50U /* and the fifteen after it */

/* CM 8 is the only compression there is. */
static bool is_gzip(const struct codec_file *file, u64 *offset)
{
	u8 magic[3];

	return !file->read(file->opaque, *offset, magic, sizeof(magic)) &&
	       !memcmp(magic, "\x1f\x8b\x08", sizeof(magic));
}

/* A frame, or one after skippable ones (RFC 8878, 3.1.2). */
static bool is_zstd(const struct codec_file *file, u64 *offset)
{
	u8 head[8];

	while (!file->read(file->opaque, *offset, head, 4)) {
		if (get_le(head, 4) == ZSTD_FRAME)
			return true;
		if ((get_le(head, 4) & ~0xfULL) != ZSTD_SKIPPABLE ||
		    file->read(file->opaque, *offset, head, sizeof(head)))
			return false;
		*offset += sizeof(head) + get_le(head + 4, 4);
	}
	return false;
}

#ifdef HAVE_ZLIB
static int gzip_open(void **decoder)
{
	z_stream *zs = calloc(1, sizeof(*zs));

	/* 15: the largest window; +16: a gzip header and nothing else. */
	if (!zs || inflateInit2(zs, 15 + 16) != Z_OK) {
		free(zs);
		return -ENOMEM;
	}
	*decoder = zs;
	return 0;
}

static int gzip_step(void *decoder, struct codec_io *io)
{
	z_stream *zs = decoder;
	int ret;

	zs->next_in = (u8 *)io->in + io->in_pos;
	zs->avail_in = (uInt)(io->in_len - io->in_pos);
	zs->next_out = io->out + io->out_pos;
	zs->avail_out = (uInt)(io->out_len - io->out_pos);
	ret = inflate(zs, Z_NO_FLUSH);
	io->in_pos = io->in_len - zs->avail_in;
	io->out_pos = io->out_len - zs->avail_out;
	if (ret == Z_STREAM_END)
		return inflateReset(zs) == Z_OK ? 1 : -ENOMEM;
	if (ret == Z_MEM_ERROR)
		return -ENOMEM;
	/* Z_BUF_ERROR: nothing to do without more input or room; not an error. */
	return ret == Z_OK || ret == Z_BUF_ERROR ? 0 : -EBADMSG;
}

static void gzip_close(void *decoder)
{
	inflateEnd(decoder);
	free(decoder);
}
#endif

#ifdef HAVE_ZSTD
static int zstd_open(void **decoder)
{
	*decoder = ZSTD_createDStream();
	return *decoder ? 0 : -ENOMEM;
}

static int zstd_step(void *decoder, struct codec_io *io)
{
	ZSTD_inBuffer in = { io->in, io->in_len, io->in_pos };
	ZSTD_outBuffer out = { io->out, io->out_len, io->out_pos };
	size_t ret = ZSTD_decompressStream(decoder, &out, &in);

	io->in_pos = in.pos;
	io->out_pos = out.pos;
	if (!ZSTD_isError(ret))
		return ret == 0;
	switch (ZSTD_getErrorCode(ret)) {
	case ZSTD_error_frameParameter_windowTooLarge:
		return -ENOTSUP;
	case ZSTD_error_memory_allocation:
		return -ENOMEM;
	default:
		return -EBADMSG;
	}
}

static void zstd_close(void *decoder)
{
	ZSTD_freeDStream(decoder);
}
#endif

static const struct codec codecs[] = {
	{
		.name = "gzip",
		.library = "zlib",
		.tool = "gunzip",
		.probe = is_gzip,
#ifdef HAVE_ZLIB
		.open = gzip_open,
		.step = gzip_step,
		.close = gzip_close,
#endif
	},
	{
		.name = "zstd",
		.library = "libzstd",
		.tool = "unzstd",
		.probe = is_zstd,
#ifdef HAVE_ZSTD
		.open = zstd_open,
		.step = zstd_step,
		.close = zstd_close,
#endif
	},
};

const struct codec *codec_find(const struct codec_file *file)
{
	for (size_t i = 0; i < ARRAY_SIZE(codecs); i++) {
		u64 start = 0;

		if (codecs[i].probe(file, &start))
			return &codecs[i];
	}
	return NULL;
}
