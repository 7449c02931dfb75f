/* SPDX-License-Identifier: MIT */
/*
 * POSIX extended regular expressions (IEEE Std 1003.1-2017, XBD 9.4) that are looked for in streams
 * of lines, all of a set at once: each byte is looked at when it comes, costs no more than the
 * patterns are long, and is not kept. So a line may be of any length, a prompt is found although
 * its line does not end, and no text takes more time than another.
 *
 * Texts are bytes: '.' is one. \d \w \s and their opposites are known; back-references, which such
 * a search cannot have, collating symbols and other programs' extensions are refused.
 */
#ifndef LKVM_PATTERN_H
#define LKVM_PATTERN_H

#include "lkvm/types.h"

struct pattern_code;

/* Zeroed when it is empty. */
struct pattern_set {
	struct pattern_code *code;
	u32 len, room;
	u8 (*sets)[32]; /* of bytes, as bits */
	u32 nr_sets;
	u16 *starts; /* of each pattern in @code */
	u32 nr;
	u16 *fresh; /* where the search for all of them stands within a line, before the next byte
		     */
	u32 nr_fresh;
	u8 first[32]; /* the bytes that get it on from there */
};

/*
 * util/pattern.c: add @text; its number is set->nr before that. 0; or -EINVAL, and *why is the end
 * of a message (a constant): the set is as it was.
 */
int pattern_add(struct pattern_set *set, const char *text, const char **why) __must_check;
/* After the last one, and before any stream. */
void pattern_set_ready(struct pattern_set *set);
void pattern_set_destroy(struct pattern_set *set);

/* Where the search stands in one stream. */
struct pattern_stream {
	const struct pattern_set *set; /* ready, and outlives the stream */
	/* Pattern @nr ends with the byte that was given, or with the line. */
	void (*found)(void *opaque, u32 nr);
	void *opaque;
	u16 *room; /* all lists */
	struct pattern_list {
		u16 *dense, *sparse;
		u32 nr;
	} list[2];
	u16 *stack;
	u8 now;	     /* the list that counts */
	bool is_new; /* at the beginning of a line: nothing was given yet */
	bool idle;   /* nothing has begun to match: set->fresh counts instead */
};

/* util/pattern-match.c. One caller at a time. */
void pattern_stream_init(struct pattern_stream *s, const struct pattern_set *set,
			 void (*found)(void *opaque, u32 nr), void *opaque);
void pattern_stream_destroy(struct pattern_stream *s);
void pattern_byte(struct pattern_stream *s, u8 byte);
void pattern_end_line(struct pattern_stream *s);

/* What both files know: relative jumps, so that code can be moved and copied. */
enum pattern_op {
	PATTERN_BYTE,
	PATTERN_SET,
	PATTERN_ANY,
	PATTERN_LINE_START,
	PATTERN_LINE_END,
	PATTERN_SPLIT, /* on at @to and at @other */
	PATTERN_JUMP,
	PATTERN_FOUND,
};

struct pattern_code {
	u8 op; /* enum pattern_op */
	u8 byte;
	u16 number; /* of the set, of the pattern */
	s16 to, other;
};

static inline bool pattern_has(const u8 *set, u8 byte)
{
	return set[byte / 8] >> byte % 8 & 1;
}

#endif
