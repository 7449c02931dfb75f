/* SPDX-License-Identifier: MIT */
/*
 * Kernels that are compressed as a whole file: gzip (RFC 1952) by zlib, Zstandard (RFC 8878) by
 * libzstd, in as many members or frames as there are. What follows the last one (padding, a device
 * tree, a signature) is left alone, as gunzip does. The sizes that headers claim are not believed:
 * the output grows as it comes, up to the caller's limit.
 */
#include <stdlib.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#include <zstd_errors.h>
#endif

#include "lkvm/boot.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* RFC 8878, 3.1.1 and 3.1.2 */
#define ZSTD_FRAME     0xfd2fb528U
#define ZSTD_SKIPPABLE 0x184d2a50U /* and the fifteen after it */

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

/* Does a member begin there? CM 8 is the only compression there is. */
static bool is_gzip(const struct boot_image *img, u64 offset)
{
	u8 magic[3];

	return !boot_image_read(img, offset, magic, sizeof(magic)) &&
	       !memcmp(magic, "\x1f\x8b\x08", sizeof(magic));
}

/* Does a frame begin there, after skippable ones (RFC 8878, 3.1.2)? */
static bool is_zstd(const struct boot_image *img, u64 offset)
{
	u8 head[8];

	while (!boot_image_read(img, offset, head, 4)) {
		if (get_le(head, 4) == ZSTD_FRAME)
			return true;
		if ((get_le(head, 4) & ~0xfULL) != ZSTD_SKIPPABLE ||
		    boot_image_read(img, offset, head, sizeof(head)))
			return false;
		offset += sizeof(head) + get_le(head + 4, 4);
	}
	return false;
}

/* The packed file as a stream: a chunk of it at a time. */
struct input {
	const struct boot_image *img;
	u8 *buf;
	u64 offset;	 /* in the file, of what comes after the chunk */
	size_t pos, len; /* what is left of the chunk */
};

/* Have at least one byte. -ENODATA: the file ends. */
static __maybe_unused int input_fill(struct input *in)
{
	u64 n = MIN(in->img->size - in->offset, (u64)IN_CHUNK);
	int ret;

	if (in->pos < in->len)
		return 0;
	if (!n)
		return -ENODATA;
	ret = boot_image_read(in->img, in->offset, in->buf, n);
	if (ret)
		return ret;
	in->offset += n;
	in->pos = 0;
	in->len = n;
	return 0;
}

/* Where in the file the next byte comes from. */
static __maybe_unused u64 input_at(const struct input *in)
{
	return in->offset - (in->len - in->pos);
}

#ifdef HAVE_ZLIB
/* One step: 1 a member ended, 0 go on, -EBADMSG damaged data. */
static int gzip_step(z_stream *zs, struct input *in, struct output *out)
{
	int ret;

	zs->next_in = in->buf + in->pos;
	zs->avail_in = (uInt)(in->len - in->pos);
	zs->next_out = out->buf + out->len;
	zs->avail_out = (uInt)MIN(out->cap - out->len, (u64)GiB);
	ret = inflate(zs, Z_NO_FLUSH);
	in->pos = in->len - zs->avail_in;
	out->len = (u64)(zs->next_out - out->buf);
	if (ret == Z_STREAM_END)
		return 1;
	if (ret == Z_MEM_ERROR)
		return -ENOMEM;
	/* Z_BUF_ERROR: nothing to do without more input or room; not an error. */
	return ret == Z_OK || ret == Z_BUF_ERROR ? 0 : -EBADMSG;
}

static int unpack_gzip(struct input *in, struct output *out)
{
	z_stream zs = { 0 };
	int ret;

	/* 15: the largest window; +16: a gzip header and nothing else. */
	if (inflateInit2(&zs, 15 + 16) != Z_OK)
		return -ENOMEM;
	do {
		ret = input_fill(in);
		if (!ret)
			ret = output_grow(out);
		if (!ret)
			ret = gzip_step(&zs, in, out);
		if (ret == 1 && is_gzip(in->img, input_at(in)))
			ret = inflateReset(&zs) == Z_OK ? 0 : -ENOMEM;
	} while (!ret);
	inflateEnd(&zs);
	return ret < 0 ? ret : 0;
}
#endif

#ifdef HAVE_ZSTD
static int zstd_step(ZSTD_DStream *zs, struct input *in, struct output *out)
{
	ZSTD_inBuffer zin = { in->buf, in->len, in->pos };
	ZSTD_outBuffer zout = { out->buf, out->cap, out->len };
	size_t ret = ZSTD_decompressStream(zs, &zout, &zin);

	in->pos = zin.pos;
	out->len = zout.pos;
	if (ZSTD_isError(ret))
		return ZSTD_getErrorCode(ret) == ZSTD_error_frameParameter_windowTooLarge
			       ? -ENOTSUP
			       : -EBADMSG;
	return ret == 0; /* 0: a frame is complete; the next call begins another */
}

static int unpack_zstd(struct input *in, struct output *out)
{
	ZSTD_DStream *zs = ZSTD_createDStream();
	int ret;

	if (!zs)
		return -ENOMEM;
	do {
		bool full = out->len == out->cap;

		/* After a full output the decoder may still hold data: call it again first. */
		ret = full && in->offset ? 0 : input_fill(in);
		if (!ret)
			ret = output_grow(out);
		if (!ret)
			ret = zstd_step(zs, in, out);
		if (ret == 1 && is_zstd(in->img, input_at(in)))
			ret = 0;
	} while (!ret);
	ZSTD_freeDStream(zs);
	return ret < 0 ? ret : 0;
}
#endif

struct packing {
	const char *name;
	const char *library;
	const char *tool;
	bool (*probe)(const struct boot_image *img, u64 offset);
	int (*unpack)(struct input *in, struct output *out);
};

static const struct packing packings[] = {
	{ "gzip", "zlib", "gunzip", is_gzip,
#ifdef HAVE_ZLIB
	  unpack_gzip
#else
	  NULL
#endif
	},
	{ "zstd", "libzstd", "unzstd", is_zstd,
#ifdef HAVE_ZSTD
	  unpack_zstd
#else
	  NULL
#endif
	},
};

static const struct packing *find_packing(const struct boot_image *img)
{
	for (size_t i = 0; i < ARRAY_SIZE(packings); i++)
		if (packings[i].probe(img, 0))
			return &packings[i];
	return NULL;
}

static void complain(const struct boot_image *img, const char *what, const struct packing *p,
		     u64 max, int error)
{
	char size[32];

	if (error == -EFBIG)
		err("--%s %s: unpacked by %s it is larger than the guest's memory (%s); increase "
		    "--mem",
		    what, img->path, p->name, format_size(max, size, sizeof(size)));
	else if (error == -EBADMSG)
		err("--%s %s: its %s data is damaged", what, img->path, p->name);
	else if (error == -ENODATA)
		err("--%s %s: its %s data ends too early (truncated file?)", what, img->path,
		    p->name);
	else if (error == -ENOTSUP)
		err("--%s %s: its %s data needs a window of more than 128M; unpack it with %s "
		    "--long=31 first",
		    what, img->path, p->name, p->tool);
	else
		err("--%s %s: cannot decompress: %s", what, img->path, strerror(-error));
}

int boot_image_decompress(struct boot_image *img, const char *what, u64 max)
{
	const struct packing *p = find_packing(img);
	struct input in = { .img = img };
	struct output out = { .max = max };
	const char *path = img->path;
	int ret;

	if (!p)
		return 0;
	if (!p->unpack) {
		err("--%s %s: compressed by %s, and this lkvm was built without %s; unpack it with "
		    "%s first",
		    what, path, p->name, p->library, p->tool);
		return -ENOTSUP;
	}
	in.buf = malloc(IN_CHUNK);
	ret = in.buf ? p->unpack(&in, &out) : -ENOMEM;
	free(in.buf);
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
