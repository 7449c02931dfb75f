/* SPDX-License-Identifier: MIT */
/*
 * Regular expressions to the code of a machine that is in many places at once (K. Thompson, Regular
 * expression search algorithm, CACM 11/6, 1968). The grammar is POSIX's (include/lkvm/pattern.h).
 */
#include "lkvm/pattern.h"

#include <ctype.h>
#include <stdlib.h>

#include "lkvm/util.h"

#define MAX_CODE  16384u /* what a jump reaches, and 128 KiB */
#define MAX_DEPTH 50
#define MAX_COUNT 255u /* RE_DUP_MAX */

struct compiler {
	struct pattern_set *set;
	const char *at;
	const char *why; /* what is wrong, or NULL */
	u32 depth;
};

static void fail(struct compiler *c, const char *why)
{
	if (!c->why)
		c->why = why;
}

/* Code */

static void emit(struct compiler *c, struct pattern_code code)
{
	struct pattern_set *set = c->set;

	if (set->len == MAX_CODE)
		fail(c, "is too long, with what it repeats");
	if (c->why)
		return;
	if (set->len == set->room) {
		set->room = MAX(64u, set->room * 2);
		set->code = xrealloc(set->code, set->room * sizeof(set->code[0]));
	}
	set->code[set->len++] = code;
}

static void insert(struct compiler *c, u32 at, struct pattern_code code)
{
	struct pattern_set *set = c->set;

	emit(c, code);
	if (c->why)
		return;
	memmove(set->code + at + 1, set->code + at, (set->len - 1 - at) * sizeof(set->code[0]));
	set->code[at] = code;
}

static struct pattern_code split(s64 to, s64 other)
{
	return (struct pattern_code){ .op = PATTERN_SPLIT, .to = (s16)to, .other = (s16)other };
}

/* Sets of bytes */

static u8 *new_set(struct compiler *c)
{
	struct pattern_set *set = c->set;

	set->sets = xrealloc(set->sets, (set->nr_sets + 1) * sizeof(set->sets[0]));
	emit(c, (struct pattern_code){ .op = PATTERN_SET, .number = (u16)set->nr_sets });
	return memset(set->sets[set->nr_sets++], 0, sizeof(set->sets[0]));
}

static void set_byte(u8 *bits, u8 byte)
{
	bits[byte / 8] |= (u8)(1 << byte % 8);
}

static void set_invert(u8 *bits)
{
	for (u32 i = 0; i < 32; i++)
		bits[i] = (u8)~bits[i];
}

static const struct {
	const char *name;
	int (*has)(int c);
} classes[] = {
	{ "alnum", isalnum }, { "alpha", isalpha }, { "blank", isblank }, { "cntrl", iscntrl },
	{ "digit", isdigit }, { "graph", isgraph }, { "lower", islower }, { "print", isprint },
	{ "punct", ispunct }, { "space", isspace }, { "upper", isupper }, { "xdigit", isxdigit },
};

static bool set_class(u8 *bits, const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(classes); i++) {
		if (strlen(classes[i].name) != len || memcmp(classes[i].name, name, len))
			continue;
		for (int byte = 0; byte < 128; byte++)
			if (classes[i].has(byte))
				set_byte(bits, (u8)byte);
		return true;
	}
	return false;
}

/* Behind "[:". */
static void bracket_class(struct compiler *c, u8 *bits)
{
	const char *end = strstr(c->at, ":]");

	if (!end || !set_class(bits, c->at, (size_t)(end - c->at)))
		fail(c, "has a class in brackets that is not one of [:alnum:], [:alpha:], "
			"[:blank:], [:cntrl:], [:digit:], [:graph:], [:lower:], [:print:], "
			"[:punct:], [:space:], [:upper:], [:xdigit:]");
	else
		c->at = end + 2;
}

/* One byte, or a range. */
static void bracket_range(struct compiler *c, u8 *bits)
{
	u8 from = (u8)*c->at++, to = from;

	if (c->at[0] == '-' && c->at[1] && c->at[1] != ']') {
		to = (u8)c->at[1];
		c->at += 2;
	}
	if (from > 127 || to > 127)
		fail(c, "has a character that is not ASCII in brackets; write (a|b) instead");
	else if (from > to)
		fail(c, "has a range in brackets that goes backwards");
	for (u32 byte = from; byte <= to && !c->why; byte++)
		set_byte(bits, (u8)byte);
}

/* Behind '['. A backslash means itself there. */
static void bracket(struct compiler *c)
{
	u8 *bits = new_set(c);
	bool inverted = *c->at == '^';
	const char *begin = c->at += inverted;

	while (!c->why && (*c->at != ']' || c->at == begin)) {
		if (!*c->at) {
			fail(c, "has a '[' without its ']'");
		} else if (c->at[0] == '[' && c->at[1] == ':') {
			c->at += 2;
			bracket_class(c, bits);
		} else if (c->at[0] == '[' && (c->at[1] == '.' || c->at[1] == '=')) {
			fail(c, "has a collating symbol, which is not supported");
		} else {
			bracket_range(c, bits);
		}
	}
	if (c->why)
		return;
	c->at++;
	if (inverted)
		set_invert(bits);
}

/* The grammar */

static void alternatives(struct compiler *c);

static void literal(struct compiler *c, char byte)
{
	emit(c, (struct pattern_code){ .op = PATTERN_BYTE, .byte = (u8)byte });
}

/* Behind a backslash. */
static void escape(struct compiler *c)
{
	static const char *const names[] = { "digit", "alnum", "space" };
	static const char letters[] = "dws";
	char letter = *c->at ? *c->at++ : '\0';
	const char *known = letter ? strchr(letters, tolower((unsigned char)letter)) : NULL;
	u8 *bits;

	if (known) {
		bits = new_set(c);
		set_class(bits, names[known - letters], 5);
		if (*known == 'w')
			set_byte(bits, '_');
		if (isupper((unsigned char)letter))
			set_invert(bits);
	} else if (letter == 't') {
		literal(c, '\t');
	} else if (!letter) {
		fail(c, "ends with a backslash");
	} else if (isdigit((unsigned char)letter)) {
		fail(c, "has a back-reference, which is not supported");
	} else if (isalpha((unsigned char)letter)) {
		fail(c, "has a backslash before a letter other than d, D, s, S, t, w and W");
	} else {
		literal(c, letter);
	}
}

static void group(struct compiler *c)
{
	if (*c->at == '?')
		fail(c, "has '(?', which extended regular expressions do not know");
	if (++c->depth > MAX_DEPTH)
		fail(c, "has too many parentheses in each other");
	if (!c->why)
		alternatives(c);
	c->depth--;
	if (*c->at != ')')
		fail(c, "has a '(' without its ')'");
	else
		c->at++;
}

static bool is_count(const char *s)
{
	return s[0] == '{' && isdigit((unsigned char)s[1]);
}

static void atom(struct compiler *c)
{
	if (is_count(c->at)) {
		fail(c, "has a '{' with nothing before it to repeat");
		return;
	}
	switch (*c->at++) {
	case '(':
		group(c);
		break;
	case '[':
		bracket(c);
		break;
	case '\\':
		escape(c);
		break;
	case '.':
		emit(c, (struct pattern_code){ .op = PATTERN_ANY });
		break;
	case '^':
		emit(c, (struct pattern_code){ .op = PATTERN_LINE_START });
		break;
	case '$':
		emit(c, (struct pattern_code){ .op = PATTERN_LINE_END });
		break;
	case ')':
		fail(c, "has a ')' without its '('");
		break;
	case '*':
	case '+':
	case '?':
		fail(c, "has a '*', '+' or '?' with nothing before it to repeat");
		break;
	default:
		literal(c, c->at[-1]);
	}
}

/* What was compiled from @start on, any number of times. */
static void repeat_any(struct compiler *c, u32 start)
{
	s64 len = (s64)c->set->len - start;

	insert(c, start, split(1, len + 2));
	emit(c, (struct pattern_code){ .op = PATTERN_JUMP, .to = (s16)(-len - 1) });
}

static u32 count(struct compiler *c)
{
	u32 n = 0;

	while (isdigit((unsigned char)*c->at) && n <= MAX_COUNT)
		n = n * 10 + (u32)(*c->at++ - '0');
	if (n > MAX_COUNT)
		fail(c, "repeats something more than 255 times");
	return n;
}

/* What was compiled from @start on, @min to @max times (UINT32_MAX: any number). */
static void repeat(struct compiler *c, u32 start, u32 min, u32 max)
{
	u32 len = c->set->len - start;
	struct pattern_code *copy = xcalloc(len + 1, sizeof(*copy));

	memcpy(copy, c->set->code + start, len * sizeof(*copy));
	c->set->len = start;
	for (u32 i = 0; i < min && !c->why; i++)
		for (u32 k = 0; k < len; k++)
			emit(c, copy[k]);
	if (max == UINT32_MAX) {
		u32 last = c->set->len;

		for (u32 k = 0; k < len; k++)
			emit(c, copy[k]);
		repeat_any(c, last);
	}
	for (u32 i = min; i < max && max != UINT32_MAX && !c->why; i++) {
		emit(c, split(1, ((s64)max - i) * (len + 1)));
		for (u32 k = 0; k < len; k++)
			emit(c, copy[k]);
	}
	free(copy);
}

/* At '{': {N}, {N,} or {N,M}. */
static void counted(struct compiler *c, u32 start)
{
	u32 min, max;

	c->at++;
	min = max = count(c);
	if (*c->at == ',') {
		c->at++;
		max = *c->at == '}' ? UINT32_MAX : count(c);
	}
	if (*c->at != '}')
		fail(c, "has a '{' without its '}'");
	else if (max < min)
		fail(c, "repeats something from more to fewer times");
	if (c->why)
		return;
	c->at++;
	repeat(c, start, min, max);
}

static void piece(struct compiler *c)
{
	u32 start = c->set->len;

	atom(c);
	while (!c->why) {
		s64 len = (s64)c->set->len - start;

		if (is_count(c->at)) {
			counted(c, start);
			continue;
		}
		if (*c->at == '*')
			repeat_any(c, start);
		else if (*c->at == '+')
			emit(c, split(-len, 1));
		else if (*c->at == '?')
			insert(c, start, split(1, len + 1));
		else
			return;
		c->at++;
	}
}

static void branch(struct compiler *c)
{
	while (!c->why && *c->at && *c->at != '|' && !(*c->at == ')' && c->depth))
		piece(c);
}

static void alternatives(struct compiler *c)
{
	struct pattern_set *set = c->set;
	u32 start = set->len, last = 0;

	for (branch(c); *c->at == '|' && !c->why; branch(c)) {
		c->at++;
		insert(c, start, split(1, (s64)set->len - start + 2));
		/* To the end, which is not known yet: these make a chain. */
		emit(c, (struct pattern_code){ .op = PATTERN_JUMP,
					       .other = (s16)(last ? set->len - last : 0) });
		last = set->len - 1;
		start = set->len;
	}
	while (last && !c->why) {
		struct pattern_code *jump = &set->code[last];
		u32 before = jump->other ? last - (u32)jump->other : 0;

		jump->to = (s16)(set->len - last);
		jump->other = 0;
		last = before;
	}
}

/* The whole */

/* Where the code at @pc leads to without a byte: is that the end? @mark: of each place, 0. */
static bool matches_nothing(const struct pattern_code *code, u32 pc, u8 *mark, u32 *stack)
{
	u32 n = 0;

	stack[n++] = pc;
	while (n) {
		const struct pattern_code *at = &code[pc = stack[--n]];

		if (mark[pc])
			continue;
		mark[pc] = 1;
		if (at->op == PATTERN_FOUND)
			return true;
		/* "^$", an empty line, is something. */
		if (at->op == PATTERN_LINE_START)
			stack[n++] = pc + 1;
		if (at->op == PATTERN_SPLIT || at->op == PATTERN_JUMP)
			stack[n++] = (u32)((s32)pc + at->to);
		if (at->op == PATTERN_SPLIT)
			stack[n++] = (u32)((s32)pc + at->other);
	}
	return false;
}

static void check_nothing(struct compiler *c, u32 start)
{
	u8 *mark = xcalloc(c->set->len, 1);
	u32 *stack = xcalloc(2 * c->set->len + 1, sizeof(*stack));

	if (matches_nothing(c->set->code, start, mark, stack))
		fail(c, "matches where there is nothing, and so everywhere");
	free(stack);
	free(mark);
}

int pattern_add(struct pattern_set *set, const char *text, const char **why)
{
	struct compiler c = { .set = set, .at = text };
	u32 start = set->len, nr_sets = set->nr_sets;

	alternatives(&c);
	/* Only a ')' ends it early, and only inside a group. */
	emit(&c, (struct pattern_code){ .op = PATTERN_FOUND, .number = (u16)set->nr });
	if (!c.why)
		check_nothing(&c, start);
	if (c.why) {
		set->len = start;
		set->nr_sets = nr_sets;
		*why = c.why;
		return -EINVAL;
	}
	set->starts = xrealloc(set->starts, (set->nr + 1) * sizeof(set->starts[0]));
	set->starts[set->nr++] = (u16)start;
	return 0;
}

void pattern_set_destroy(struct pattern_set *set)
{
	free(set->code);
	free(set->sets);
	free(set->starts);
	free(set->fresh);
	*set = (struct pattern_set){ 0 };
}
