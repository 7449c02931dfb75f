/* SPDX-License-Identifier: MIT */
/* The search itself: a list of all places in the code where it stands, moved on by each byte. */
#include <stdlib.h>

#include "lkvm/pattern.h"
#include "lkvm/util.h"

static bool list_has(const struct pattern_list *l, u16 pc)
{
	u16 at = l->sparse[pc];

	return at < l->nr && l->dense[at] == pc;
}

/* What counts as there where a line begins or ends. */
struct edges {
	bool start, end;
};

/* @pc, and where it leads to without another byte. Each place pushes two at most, once. */
static void add(struct pattern_stream *s, struct pattern_list *l, u16 pc, struct edges edges)
{
	u32 n = 0;

	s->stack[n++] = pc;
	while (n) {
		const struct pattern_code *at;

		pc = s->stack[--n];
		if (list_has(l, pc))
			continue;
		l->sparse[pc] = (u16)l->nr;
		l->dense[l->nr++] = pc;
		at = &s->set->code[pc];
		if ((at->op == PATTERN_LINE_START && edges.start) ||
		    (at->op == PATTERN_LINE_END && edges.end))
			s->stack[n++] = (u16)(pc + 1);
		if (at->op == PATTERN_SPLIT)
			s->stack[n++] = (u16)(pc + at->other);
		if (at->op == PATTERN_SPLIT || at->op == PATTERN_JUMP)
			s->stack[n++] = (u16)(pc + at->to);
		if (at->op == PATTERN_FOUND && s->found)
			s->found(s->opaque, at->number);
	}
}

static void add_starts(struct pattern_stream *s, struct pattern_list *l, struct edges edges)
{
	for (u32 i = 0; i < s->set->nr; i++)
		add(s, l, s->set->starts[i], edges);
}

/* Sparse entries are read before they were written: they are zeroed once. */
void pattern_stream_init(struct pattern_stream *s, const struct pattern_set *set,
			 void (*found)(void *opaque, u32 nr), void *opaque)
{
	const u32 len = set->len;

	*s = (struct pattern_stream){
		.set = set, .found = found, .opaque = opaque, .is_new = true
	};
	s->room = xcalloc(6 * (size_t)len + 1, sizeof(s->room[0]));
	for (u32 i = 0; i < 2; i++) {
		s->list[i].dense = s->room + 2 * (size_t)i * len;
		s->list[i].sparse = s->list[i].dense + len;
	}
	s->stack = s->room + 4 * (size_t)len;
}

void pattern_stream_destroy(struct pattern_stream *s)
{
	free(s->room);
	*s = (struct pattern_stream){ 0 };
}

void pattern_set_ready(struct pattern_set *set)
{
	struct pattern_stream s;
	struct pattern_list *l = &s.list[0];

	pattern_stream_init(&s, set, NULL, NULL);
	add_starts(&s, l, (struct edges){ 0 });
	set->fresh = xcalloc(l->nr + 1, sizeof(set->fresh[0]));
	memcpy(set->fresh, l->dense, l->nr * sizeof(set->fresh[0]));
	set->nr_fresh = l->nr;
	for (u32 i = 0; i < l->nr; i++) {
		const struct pattern_code *at = &set->code[l->dense[i]];

		for (u32 byte = 0; byte < 256; byte++)
			if ((at->op == PATTERN_BYTE && at->byte == byte) || at->op == PATTERN_ANY ||
			    (at->op == PATTERN_SET && pattern_has(set->sets[at->number], (u8)byte)))
				set->first[byte / 8] |= (u8)(1 << byte % 8);
	}
	pattern_stream_destroy(&s);
}

/* Before the first byte of a line. */
static void begin_line(struct pattern_stream *s)
{
	struct pattern_list *l = &s->list[s->now];

	l->nr = 0;
	add_starts(s, l, (struct edges){ .start = true });
	s->is_new = s->idle = false;
}

static const u16 *places(const struct pattern_stream *s, u32 *nr)
{
	if (s->idle) {
		*nr = s->set->nr_fresh;
		return s->set->fresh;
	}
	*nr = s->list[s->now].nr;
	return s->list[s->now].dense;
}

void pattern_byte(struct pattern_stream *s, u8 byte)
{
	const struct pattern_set *set = s->set;
	struct pattern_list *next;
	const u16 *at;
	u32 nr;

	if (s->is_new)
		begin_line(s);
	if (s->idle && !pattern_has(set->first, byte))
		return;
	at = places(s, &nr);
	next = &s->list[!s->now];
	next->nr = 0;
	for (u32 i = 0; i < nr; i++) {
		const struct pattern_code *code = &set->code[at[i]];

		if ((code->op == PATTERN_BYTE && code->byte == byte) || code->op == PATTERN_ANY ||
		    (code->op == PATTERN_SET && pattern_has(set->sets[code->number], byte)))
			add(s, next, (u16)(at[i] + 1), (struct edges){ 0 });
	}
	s->idle = !next->nr;
	if (s->idle)
		return;
	add_starts(s, next, (struct edges){ 0 });
	s->now = !s->now;
}

void pattern_end_line(struct pattern_stream *s)
{
	struct pattern_list *next;
	const u16 *at;
	u32 nr;

	if (s->is_new)
		begin_line(s);
	at = places(s, &nr);
	next = &s->list[!s->now];
	next->nr = 0;
	for (u32 i = 0; i < nr; i++)
		if (s->set->code[at[i]].op == PATTERN_LINE_END)
			add(s, next, (u16)(at[i] + 1), (struct edges){ .end = true });
	s->is_new = true;
}
