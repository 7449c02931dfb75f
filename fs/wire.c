/* SPDX-License-Identifier: MIT */
/* The bytes of 9P messages: little-endian numbers, strings with their length before them. */
#include <assert.h>
#include <string.h>

#include "lkvm/util.h"
#include "p9.h"

u64 p9_get(struct p9_in *in, unsigned int bytes)
{
	u64 value;

	if ((size_t)(in->end - in->p) < bytes) {
		in->bad = true;
		in->p = in->end;
		return 0;
	}
	value = get_le(in->p, bytes);
	in->p += bytes;
	return value;
}

const char *p9_get_string(struct p9_in *in)
{
	size_t len = p9_get(in, 2);
	u8 *text;

	if (in->bad || (size_t)(in->end - in->p) < len || memchr(in->p, '\0', len)) {
		in->bad = true;
		return "";
	}
	/* Over its length: then there is room for the NUL. */
	text = in->p - 2;
	memmove(text, in->p, len);
	text[len] = '\0';
	in->p += len;
	return (const char *)text;
}

void p9_put(struct p9_out *out, unsigned int bytes, u64 value)
{
	assert((size_t)(out->end - out->p) >= bytes);
	put_le(out->p, bytes, value);
	out->p += bytes;
}

void p9_put_bytes(struct p9_out *out, const void *bytes, size_t len)
{
	assert((size_t)(out->end - out->p) >= len);
	memcpy(out->p, bytes, len);
	out->p += len;
}

void p9_put_string(struct p9_out *out, const char *s, size_t len)
{
	p9_put(out, 2, len);
	p9_put_bytes(out, s, len);
}

void p9_put_qid(struct p9_out *out, const struct p9_qid *qid)
{
	p9_put(out, 1, qid->type);
	p9_put(out, 4, qid->version);
	p9_put(out, 8, qid->path);
}
