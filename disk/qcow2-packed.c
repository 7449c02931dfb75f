/* SPDX-License-Identifier: MIT */
/*
 * Packed clusters of qcow2 images: raw deflate (RFC 1951) by zlib, Zstandard (RFC 8878) by libzstd.
 * One unpacked cluster is kept, since a guest reads a cluster in several requests.
 */
#include <stdlib.h>
#ifdef HAVE_ZLIB
#include <zlib.h>
#endif
#ifdef HAVE_ZSTD
#include <zstd.h>
#endif

#include "lkvm/log.h"
#include "lkvm/util.h"
#include "qcow2.h"

/* A cluster that packing made longer is not packed; some slack for the sectors around it. */
static size_t packed_room(const struct q2_image *img)
{
	return img->cluster + 1024;
}

#ifdef HAVE_ZLIB
static int inflate_cluster(const u8 *in, size_t len, u8 *out, size_t want)
{
	z_stream zs = {
		.next_in = (u8 *)in,
		.avail_in = (uInt)len,
		.next_out = out,
		.avail_out = (uInt)want,
	};
	int ret;

	/* Negative: raw deflate. QEMU packs with windows of 12 bits; 15 takes all. */
	if (inflateInit2(&zs, -15) != Z_OK)
		return -ENOMEM;
	ret = inflate(&zs, Z_FINISH);
	inflateEnd(&zs);
	/* Whatever follows the cluster in its last sector is none of it. */
	return !zs.avail_out && (ret == Z_STREAM_END || ret == Z_BUF_ERROR) ? 0 : -EBADMSG;
}
#endif

#ifdef HAVE_ZSTD
/* A window beyond the largest cluster is of no use, and the packed data could ask for 2 GiB. */
#define WINDOW_LOG 23

static int unzstd_cluster(const u8 *in, size_t len, u8 *out, size_t want)
{
	ZSTD_DCtx *ctx = ZSTD_createDCtx();
	ZSTD_inBuffer from = { in, len, 0 };
	ZSTD_outBuffer to = { out, want, 0 };
	size_t ret = 1;

	if (!ctx)
		return -ENOMEM;
	ZSTD_DCtx_setParameter(ctx, ZSTD_d_windowLogMax, WINDOW_LOG);
	while (to.pos < to.size) {
		size_t before = to.pos + from.pos;

		ret = ZSTD_decompressStream(ctx, &to, &from);
		if (ZSTD_isError(ret) || (!ret && to.pos < to.size) || to.pos + from.pos == before)
			break;
	}
	ZSTD_freeDCtx(ctx);
	return to.pos == to.size && !ZSTD_isError(ret) ? 0 : -EBADMSG;
}
#endif

int q2_can_unpack(const char *shown, u8 compression)
{
#ifndef HAVE_ZSTD
	if (compression == Q2_ZSTD) {
		err("--disk %s: is compressed by zstd, and this build has no libzstd; convert it "
		    "with: qemu-img convert -O qcow2 FILE NEW",
		    shown);
		return -EINVAL;
	}
#endif
	return 0;
}

static int unpack(const struct q2_image *img, size_t len)
{
#ifdef HAVE_ZSTD
	if (img->compression == Q2_ZSTD)
		return unzstd_cluster(img->packed, len, img->unpacked, img->cluster);
#endif
#ifdef HAVE_ZLIB
	if (img->compression == Q2_ZLIB)
		return inflate_cluster(img->packed, len, img->unpacked, img->cluster);
#endif
	return -ENOTSUP;
}

static int fill(struct q2_image *img, u64 entry)
{
	u64 offset, len;
	int ret;

	if (img->unpacked && img->unpacked_entry == entry)
		return 0;
	if (!img->unpacked)
		img->unpacked = malloc(img->cluster);
	if (!img->packed)
		img->packed = malloc(packed_room(img));
	if (!img->unpacked || !img->packed)
		return -ENOMEM;
	img->unpacked_entry = 0;
	q2_packed_place(img, entry, &offset, &len);
	len = MIN(len, (u64)packed_room(img));
	ret = q2_read_file(img, img->packed, (size_t)len, offset);
	if (!ret)
		ret = unpack(img, (size_t)len);
	if (ret == -EBADMSG)
		return q2_damaged(img, "a packed cluster", offset);
	if (!ret)
		img->unpacked_entry = entry;
	return ret;
}

int q2_unpack(struct q2_image *img, u64 entry, u64 from, u64 len, const struct iovec *iov,
	      unsigned int iovcnt, size_t skip)
{
	int ret;

	pthread_mutex_lock(&img->unpacking);
	ret = fill(img, entry);
	if (!ret)
		iov_from_buf(iov, iovcnt, skip, img->unpacked + from, (size_t)len);
	pthread_mutex_unlock(&img->unpacking);
	return ret;
}
