/* SPDX-License-Identifier: MIT */
/*
 * Kernels that are compressed as a whole file: gzip (RFC 1952) by zlib, Zstandard (RFC 8878) by
 * libzstd. The sizes that the headers claim are not believed: the output grows as it comes, up to
 * the caller's limit.
 */
#include <stdlib.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include "lkvm/boot.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define IN_CHUNK  (128 * KiB)
#define OUT_START (16 * MiB) /* a usual kernel's order of size: untouched memory costs nothing */

struct output {
	u8 *buf;
	u64 len, cap, max;
};

/* Make room for at least one more byte. -EFBIG: the limit is reached. */
static __maybe_unused int output_grow(struct output *out)
{
	u64 cap = out->cap ? out->cap * 2 : OUT_START;
	u8 *buf;

	if (out->len < out->cap)
		return 0;
	if (out->len >= out->max)
		return -EFBIG;
	cap = MIN(cap, out->max);
	buf = realloc(out->buf, cap);
	if (!buf)
		return -ENOMEM;
	out->buf = buf;
	out->cap = cap;
	return 0;
}

#ifdef HAVE_ZLIB
/* One step: 1 the stream ended, 0 go on, -EBADMSG damaged data. */
static int gzip_step(z_stream *zs, struct output *out)
{
	int ret;

	zs->next_out = out->buf + out->len;
	zs->avail_out = (uInt)MIN(out->cap - out->len, (u64)GiB);
	ret = inflate(zs, Z_NO_FLUSH);
	out->len = (u64)(zs->next_out - out->buf);
	if (ret == Z_STREAM_END)
		return 1;
	if (ret == Z_MEM_ERROR)
		return -ENOMEM;
	/* Z_BUF_ERROR: nothing to do without more input or room; not an error. */
	return ret == Z_OK || ret == Z_BUF_ERROR ? 0 : -EBADMSG;
}

static int unpack_gzip(const struct boot_image *img, u8 *in, struct output *out)
{
	z_stream zs = { 0 };
	u64 offset = 0;
	int ret;

	/* 15: the largest window; +16: a gzip header and nothing else. */
	if (inflateInit2(&zs, 15 + 16) != Z_OK)
		return -ENOMEM;
	do {
		if (!zs.avail_in) {
			u64 n = MIN(img->size - offset, (u64)IN_CHUNK);

			ret = n ? boot_image_read(img, offset, in, n) : -ENODATA;
			if (ret)
				break;
			offset += n;
			zs.next_in = in;
			zs.avail_in = (uInt)n;
		}
		ret = output_grow(out);
		if (!ret)
			ret = gzip_step(&zs, out);
	} while (!ret);
	inflateEnd(&zs);
	return ret < 0 ? ret : 0;
}
#endif

#ifdef HAVE_ZSTD
static int zstd_step(ZSTD_DStream *zs, ZSTD_inBuffer *zin, struct output *out)
{
	ZSTD_outBuffer zout = { out->buf, out->cap, out->len };
	size_t ret = ZSTD_decompressStream(zs, &zout, zin);

	out->len = zout.pos;
	if (ZSTD_isError(ret))
		return -EBADMSG;
	return ret == 0; /* 0: a frame is complete */
}

static int unpack_zstd(const struct boot_image *img, u8 *in, struct output *out)
{
	ZSTD_DStream *zs = ZSTD_createDStream();
	ZSTD_inBuffer zin = { in, 0, 0 };
	u64 offset = 0;
	int ret;

	if (!zs)
		return -ENOMEM;
	do {
		bool full = out->len == out->cap;

		/* After a full output the decoder may still hold data: call it again first. */
		if (zin.pos == zin.size && !(full && offset)) {
			u64 n = MIN(img->size - offset, (u64)IN_CHUNK);

			ret = n ? boot_image_read(img, offset, in, n) : -ENODATA;
			if (ret)
				break;
			offset += n;
			zin.pos = 0;
			zin.size = n;
		}
		ret = output_grow(out);
		if (!ret)
			ret = zstd_step(zs, &zin, out);
	} while (!ret);
	ZSTD_freeDStream(zs);
	return ret < 0 ? ret : 0;
}
#endif

struct packing {
	const char *name;
	const char *library;
	const char *tool;
	u8 magic[4];
	u8 magic_len;
	int (*unpack)(const struct boot_image *img, u8 *in, struct output *out);
};

static const struct packing packings[] = {
	{ "gzip",
	  "zlib",
	  "gunzip",
	  { 0x1f, 0x8b, 0x08 },
	  3,
#ifdef HAVE_ZLIB
	  unpack_gzip
#else
	  NULL
#endif
	},
	{ "zstd",
	  "libzstd",
	  "unzstd",
	  { 0x28, 0xb5, 0x2f, 0xfd },
	  4,
#ifdef HAVE_ZSTD
	  unpack_zstd
#else
	  NULL
#endif
	},
};

static const struct packing *find_packing(const struct boot_image *img)
{
	u8 magic[4];

	if (boot_image_read(img, 0, magic, sizeof(magic)))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(packings); i++)
		if (!memcmp(magic, packings[i].magic, packings[i].magic_len))
			return &packings[i];
	return NULL;
}

static void complain(const struct boot_image *img, const char *what, const struct packing *p,
		     u64 max, int error)
{
	char size[32];

	if (error == -EFBIG)
		err("--%s %s: more than %s when decompressed; use a smaller image", what, img->path,
		    format_size(max, size, sizeof(size)));
	else if (error == -EBADMSG)
		err("--%s %s: its %s data is damaged", what, img->path, p->name);
	else if (error == -ENODATA)
		err("--%s %s: its %s data ends too early (truncated file?)", what, img->path,
		    p->name);
	else
		err("--%s %s: cannot decompress: %s", what, img->path, strerror(-error));
}

int boot_image_decompress(struct boot_image *img, const char *what, u64 max)
{
	const struct packing *p = find_packing(img);
	struct output out = { .max = max };
	const char *path = img->path;
	u8 *in;
	int ret;

	if (!p)
		return 0;
	if (!p->unpack) {
		err("--%s %s: compressed by %s, and this lkvm was built without %s; unpack it with "
		    "%s first",
		    what, path, p->name, p->library, p->tool);
		return -ENOTSUP;
	}
	in = malloc(IN_CHUNK);
	ret = in ? p->unpack(img, in, &out) : -ENOMEM;
	free(in);
	if (!ret && !out.len)
		ret = -ENODATA;
	if (ret) {
		complain(img, what, p, max, ret);
		free(out.buf);
		return ret;
	}
	boot_image_close(img);
	*img = (struct boot_image){ .path = path,
				    .fd = -1,
				    .blob = out.buf,
				    .blob_owned = true,
				    .packed = p->name,
				    .size = out.len };
	return 0;
}
