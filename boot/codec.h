/* SPDX-License-Identifier: MIT */
/*
 * Decoders of packed files: gzip and Zstandard, and nothing else of them than unpacking. A decoder
 * has no opinion on where its input comes from and where its output goes.
 */
#ifndef LKVM_BOOT_CODEC_H
#define LKVM_BOOT_CODEC_H

#include "lkvm/types.h"

/* The packed file: whose it is, and how it is read; -ENODATA: beyond its end. */
struct codec_file {
	const void *opaque;
	int (*read)(const void *opaque, u64 offset, void *buf, u64 len);
	u64 size;
};

/* One step of a decoder: what it may take and where it may put; it moves the positions on. */
struct codec_io {
	const u8 *in;
	size_t in_pos, in_len;
	u8 *out;
	size_t out_pos, out_len;
};

struct codec {
	const char *name;    /* "gzip" */
	const char *library; /* what a build needs for it */
	const char *tool;    /* what unpacks it elsewhere */
	/* Does a member (or frame) begin there in the packed file? Where frames to skip are before
	 * it, *offset is moved past them. */
	bool (*probe)(const struct codec_file *file, u64 *offset);
	/* A decoder at the beginning of a member; NULL: this build has none. 0 or -ENOMEM. */
	int (*open)(void **decoder);
	/*
	 * 0: go on, with more input or room where one of them is used up; 1: a member ended, and
	 * the decoder waits for another; -EBADMSG: damaged; -ENOTSUP: a window too large; -ENOMEM.
	 */
	int (*step)(void *decoder, struct codec_io *io);
	void (*close)(void *decoder);
};

/* How the file is packed; NULL: it is not. */
const struct codec *codec_find(const struct codec_file *file);

#endif
