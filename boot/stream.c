/* SPDX-License-Identifier: MIT */
/* The contents of a packed file at any offset, unpacked as they are read (see stream.h). */
#include "stream.h"

#include <stdlib.h>

#include "lkvm/util.h"

#define IN_CHUNK   (128 * KiB)
#define SKIP_CHUNK (64 * KiB) /* what nobody wants goes through so much memory */
#define MAGIC_LEN  8U	      /* what a codec reads to know a member, or a frame to skip */

struct boot_stream {
	const struct codec *codec;
	struct codec_file file;
	u64 max;
	int error;
	bool starved;
	u64 size; /* STREAM_LONG: not known yet */

	void *decoder; /* NULL: at rest, and so are the three buffers */
	u8 *in, *head, *skip;
	u64 in_offset;	       /* in the file, of what comes after @in */
	size_t in_pos, in_len; /* what is left of @in */
	u64 member;	       /* in the file: where one was seen last */
	bool hungry;	       /* the decoder has used up all that it got */
	bool ended;
	u64 pos; /* of the next byte that the decoder gives */
	u32 head_len;

	struct stream_aim aims[STREAM_AIMS];
	u32 nr_aims;
};

struct boot_stream *stream_new(const struct codec *codec, const struct codec_file *file, u64 max)
{
	struct boot_stream *s = xcalloc(1, sizeof(*s));

	s->codec = codec;
	s->file = *file;
	s->max = max;
	s->size = STREAM_LONG;
	return s;
}

static void stop(struct boot_stream *s)
{
	if (s->decoder)
		s->codec->close(s->decoder);
	free(s->in);
	free(s->head);
	free(s->skip);
	s->decoder = NULL;
	s->in = s->head = s->skip = NULL;
	s->head_len = 0;
}

void stream_rest(struct boot_stream *s)
{
	while (s->nr_aims)
		stream_aim_drop(s, s->nr_aims - 1);
	stop(s);
	s->error = 0;
	s->starved = false;
	s->size = STREAM_LONG;
}

void stream_free(struct boot_stream *s)
{
	if (!s)
		return;
	stream_rest(s);
	free(s);
}

static int fail(struct boot_stream *s, int error)
{
	if (!s->error)
		s->error = error;
	return s->error;
}

/* The decoder */

/* Have at least @wanted bytes of input, or all that are left of it: one or more. */
static int fill(struct boot_stream *s, size_t wanted)
{
	size_t left = s->in_len - s->in_pos;
	u64 n = MIN(s->file.size - s->in_offset, (u64)IN_CHUNK - left);
	int ret;

	if (left >= wanted || (left && !n))
		return 0;
	if (!n)
		return -ENODATA;
	memmove(s->in, s->in + s->in_pos, left);
	s->in_pos = 0;
	s->in_len = left;
	ret = s->file.read(s->file.opaque, s->in_offset, s->in + left, n);
	s->starved |= ret == -ENODATA;
	if (ret)
		return ret;
	s->in_offset += n;
	s->in_len += n;
	return 0;
}

/* Where in the file the next byte comes from. */
static u64 input_at(const struct boot_stream *s)
{
	return s->in_offset - (s->in_len - s->in_pos);
}

/* As codec_file's read; of what is in memory nothing is read again. */
static int peek(const void *opaque, u64 offset, void *buf, u64 len)
{
	const struct boot_stream *s = opaque;
	u64 from = s->in_offset - s->in_len;

	if (!range_within(offset, len, from, s->in_len))
		return s->file.read(s->file.opaque, offset, buf, len);
	memcpy(buf, s->in + (offset - from), len);
	return 0;
}

/* Does another member follow? What comes after the last one (padding, a signature) is left alone,
 * as gunzip does. */
static bool has_more(struct boot_stream *s)
{
	const struct codec_file file = { s, peek, s->file.size };

	/* Each frame to skip ends as a member does; the one behind them all was seen at the first.
	 */
	if (input_at(s) <= s->member)
		return true;
	s->member = input_at(s);
	return !fill(s, MAGIC_LEN) && s->codec->probe(&file, &s->member);
}

static int step(struct boot_stream *s, struct codec_io *io)
{
	int ret = s->hungry ? fill(s, 1) : 0;

	if (ret)
		return ret;
	io->in = s->in;
	io->in_pos = s->in_pos;
	io->in_len = s->in_len;
	ret = s->codec->step(s->decoder, io);
	s->in_pos = io->in_pos;
	/* With room left it holds nothing back. */
	s->hungry = s->in_pos == s->in_len && io->out_pos < io->out_len;
	if (ret == 1)
		s->ended = !has_more(s);
	return MIN(ret, 0);
}

/* At most @len bytes to @out: *n is their number, 0 at the end. */
static int decode(struct boot_stream *s, u8 *out, u64 len, u64 *n)
{
	u64 room = s->max - s->pos;
	u8 more;
	/* At the limit, the end must be seen. */
	struct codec_io io = { .out = room ? out : &more, .out_len = room ? MIN(len, room) : 1 };
	int ret = s->error;

	io.out_len = MIN(io.out_len, (size_t)GiB); /* zlib counts in 32 bits */
	while (!ret && !s->ended && io.out_pos < io.out_len)
		ret = step(s, &io);
	if (!ret && !room && io.out_pos)
		ret = -EFBIG;
	if (!ret && s->ended && !(s->pos + io.out_pos))
		ret = -ENODATA;
	if (ret)
		return fail(s, ret);
	*n = io.out_pos;
	s->pos += io.out_pos;
	if (s->ended)
		s->size = s->pos;
	return 0;
}

static int start(struct boot_stream *s)
{
	u64 n = 1;
	int ret;

	s->in = malloc(IN_CHUNK);
	s->head = malloc(STREAM_HEAD);
	s->skip = malloc(SKIP_CHUNK);
	s->in_offset = s->in_pos = s->in_len = s->member = s->pos = 0;
	s->hungry = true;
	s->ended = false;
	ret = s->in && s->head && s->skip ? s->codec->open(&s->decoder) : -ENOMEM;
	while (!ret && n && s->pos < STREAM_HEAD)
		ret = decode(s, s->head + s->pos, STREAM_HEAD - s->pos, &n);
	if (ret) {
		stop(s);
		return fail(s, ret);
	}
	s->head_len = (u32)s->pos;
	return 0;
}

int stream_start(struct boot_stream *s)
{
	if (s->error || s->decoder)
		return s->error;
	return start(s);
}

static int start_anew(struct boot_stream *s)
{
	stop(s);
	return stream_start(s);
}

/* Aims */

static struct stream_aim *aim_at(struct boot_stream *s, u64 offset)
{
	for (u32 i = 0; i < s->nr_aims; i++)
		if (range_within(offset, 1, s->aims[i].offset, s->aims[i].len))
			return &s->aims[i];
	return NULL;
}

/* Where the part ends that @offset is in: an aim, or what is between two of them. */
static u64 part_end(struct boot_stream *s, u64 offset)
{
	const struct stream_aim *in = aim_at(s, offset);
	u64 end = in ? in->offset + in->len : UINT64_MAX;

	for (u32 i = 0; i < s->nr_aims && !in; i++)
		if (s->aims[i].offset > offset)
			end = MIN(end, s->aims[i].offset);
	return end;
}

static bool add_aim(struct boot_stream *s, struct stream_aim aim)
{
	u64 known = aim.offset < s->head_len ? MIN(aim.len, s->head_len - aim.offset) : 0;

	aim.owned = !aim.to;
	if (aim.owned)
		aim.to = malloc(aim.len);
	if (!aim.to)
		return false;
	if (known)
		memcpy(aim.to, s->head + aim.offset, known);
	aim.done = known;
	s->aims[s->nr_aims++] = aim;
	return true;
}

bool stream_aim(struct boot_stream *s, u64 offset, u64 len, void *to, u64 gpa)
{
	u64 end;

	if (__builtin_add_overflow(offset, len, &end) || stream_start(s))
		return false;
	/* What is past cannot be caught. */
	if (len && end > s->head_len && s->pos > MAX(offset, (u64)s->head_len) && start_anew(s))
		return false;
	/* What others aim at stays theirs: it is copied from there. */
	for (u64 at = offset; at < end; at = part_end(s, at)) {
		struct stream_aim aim = { .offset = at, .len = MIN(part_end(s, at), end) - at };

		if (aim_at(s, at))
			continue;
		aim.to = to ? (u8 *)to + (at - offset) : NULL;
		aim.gpa = to ? gpa + (at - offset) : 0;
		if (s->nr_aims == STREAM_AIMS || !add_aim(s, aim))
			return false;
	}
	return true;
}

const struct stream_aim *stream_aim_get(const struct boot_stream *s, u32 i)
{
	return i < s->nr_aims ? &s->aims[i] : NULL;
}

void stream_aim_drop(struct boot_stream *s, u32 i)
{
	if (s->aims[i].owned)
		free(s->aims[i].to);
	s->aims[i] = s->aims[--s->nr_aims];
}

/* Reading */

/* Go on to @end, or to the end of the contents: -ENODATA. */
static int advance(struct boot_stream *s, u64 end)
{
	while (s->pos < end) {
		struct stream_aim *aim = aim_at(s, s->pos);
		u64 n = MIN(part_end(s, s->pos), end) - s->pos;
		int ret = aim ? decode(s, aim->to + (s->pos - aim->offset), n, &n)
			      : decode(s, s->skip, MIN(n, SKIP_CHUNK), &n);

		if (ret)
			return ret;
		if (aim)
			aim->done = MAX(aim->done, s->pos - aim->offset);
		if (!n)
			return -ENODATA;
	}
	return 0;
}

/* From where it is kept; *n is how much of @len that was. */
static int read_kept(struct boot_stream *s, u64 offset, void *buf, u64 len, u64 *n)
{
	const struct stream_aim *aim = aim_at(s, offset);
	const u8 *from = aim ? aim->to + (offset - aim->offset) : NULL;
	int ret;

	*n = 0;
	if (offset < s->head_len) {
		*n = MIN(len, s->head_len - offset);
		memcpy(buf, s->head + offset, *n);
	} else if (aim) {
		*n = MIN(len, aim->offset + aim->len - offset);
		ret = advance(s, offset + *n);
		if (ret)
			return ret;
		if (from != buf)
			memmove(buf, from, *n);
	}
	return 0;
}

/* What is kept nowhere: by the decoder, straight to @buf. */
static int read_through(struct boot_stream *s, u64 offset, void *buf, u64 len, u64 *n)
{
	int ret = s->pos > offset ? start_anew(s) : 0;

	if (!ret)
		ret = advance(s, offset);
	if (!ret)
		ret = decode(s, buf, MIN(len, part_end(s, offset) - offset), n);
	return ret ? ret : *n ? 0 : -ENODATA;
}

int stream_read(struct boot_stream *s, u64 offset, void *buf, u64 len)
{
	int ret = stream_start(s);

	if (!ret && len > s->size - MIN(offset, s->size))
		return -ENODATA;
	while (!ret && len) {
		u64 n;

		ret = read_kept(s, offset, buf, len, &n);
		if (!ret && !n)
			ret = read_through(s, offset, buf, len, &n);
		if (ret)
			break;
		offset += n;
		buf = (u8 *)buf + n;
		len -= n;
	}
	return ret;
}

int stream_measure(struct boot_stream *s, u64 *size)
{
	int ret = stream_start(s);

	if (!ret && s->size == STREAM_LONG)
		ret = advance(s, UINT64_MAX);
	*size = s->size;
	return ret == -ENODATA && s->ended ? s->error : ret;
}

u64 stream_size(const struct boot_stream *s)
{
	return s->size;
}

int stream_check_rest(struct boot_stream *s)
{
	int ret = 0;

	if (s->error || !s->decoder || s->ended || s->file.size - input_at(s) > input_at(s))
		return s->error;
	while (!ret && !s->ended && s->pos < s->max)
		ret = advance(s, MIN(s->pos + SKIP_CHUNK, s->max));
	return s->error;
}

int stream_error(const struct boot_stream *s)
{
	return s->error;
}

bool stream_starved(const struct boot_stream *s)
{
	return s->starved;
}

u64 stream_max(const struct boot_stream *s)
{
	return s->max;
}

const struct codec *stream_codec(const struct boot_stream *s)
{
	return s->codec;
}
