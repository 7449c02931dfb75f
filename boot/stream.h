/* SPDX-License-Identifier: MIT */
/*
 * The contents of a packed file, read at any offset without being kept: a decoder that goes
 * forward, and begins anew for what lies before it. What is asked for again is kept in place: the
 * head, and aims, parts of the contents that are unpacked straight to where they are wanted.
 * Whoever reads in the order of the file, with aims for the rest, unpacks it once.
 *
 * An error of the file or its data sticks until stream_rest: nothing is read after it.
 */
#ifndef LKVM_BOOT_STREAM_H
#define LKVM_BOOT_STREAM_H

#include "codec.h"

#define STREAM_HEAD (64 * KiB)	 /* what is kept of the beginning */
#define STREAM_AIMS 512U	 /* of an ELF file's 256 segments, where each overlaps others */
#define STREAM_LONG (1ULL << 62) /* the size of contents whose end was not seen yet */

struct stream_aim {
	u64 offset, len; /* of the contents; no two overlap */
	u8 *to;		 /* the caller's, or owned */
	bool owned;
	u64 gpa;  /* of @to, where that is guest memory */
	u64 done; /* as many bytes of @to were written, now or before the decoder began anew */
};

struct boot_stream;

/* @file is copied, what it names outlives the stream. @max: contents of more bytes are an error.
 * Never NULL. */
struct boot_stream *stream_new(const struct codec *codec, const struct codec_file *file, u64 max);
/* Safe for NULL. */
void stream_free(struct boot_stream *s);
/* Unpack the head, at once. 0 or the error. */
int stream_start(struct boot_stream *s) __must_check;
/* Forget the aims, the error and all that unpacking takes; the next read begins anew. */
void stream_rest(struct boot_stream *s);
/* [offset, offset+len) to @buf, which may be where it was unpacked to; -ENODATA: beyond the end. */
int stream_read(struct boot_stream *s, u64 offset, void *buf, u64 len) __must_check;
/* Unpack the rest, to learn the size. Contents of nothing are -ENODATA, which sticks. */
int stream_measure(struct boot_stream *s, u64 *size) __must_check;
/* The size once it is known, else STREAM_LONG. */
u64 stream_size(const struct boot_stream *s);
/*
 * Where most of the file was read: unpack the rest too, so that its checksum counts. What is behind
 * a much smaller kernel (debug information), or beyond the largest size, is left alone. 0 or the
 * error.
 */
int stream_check_rest(struct boot_stream *s) __must_check;
/*
 * Unpack [offset, offset+len) to @to when the decoder comes there; @to NULL: to a buffer of the
 * stream's own. Parts that are aimed already stay so. False: not all of it is aimed, and nothing is
 * lost but time.
 */
bool stream_aim(struct boot_stream *s, u64 offset, u64 len, void *to, u64 gpa);
/* Aims by number. NULL: there is none. */
const struct stream_aim *stream_aim_get(const struct boot_stream *s, u32 i);
/* Forget an aim; what is unpacked of it is unpacked again when it is read. */
void stream_aim_drop(struct boot_stream *s, u32 i);
/* The error that sticks, 0: none. */
int stream_error(const struct boot_stream *s);
/* It is -ENODATA, and the file was not as long as it had been called. */
bool stream_starved(const struct boot_stream *s);
u64 stream_max(const struct boot_stream *s);
const struct codec *stream_codec(const struct boot_stream *s);

#endif
