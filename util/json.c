/* SPDX-License-Identifier: MIT */
/*
 * The reader of JSON (RFC 8259; see include/lkvm/json.h). A string that is decoded is no longer
 * than it was written, so that it finds room where it stands.
 */
#include "lkvm/json.h"

#include "lkvm/util.h"

struct reader {
	char *at, *end;
	struct json *nodes;
	u32 nr, max;
};

static int read_value(struct reader *r, unsigned int depth);

static void skip_blanks(struct reader *r)
{
	while (r->at < r->end &&
	       (*r->at == ' ' || *r->at == '\t' || *r->at == '\n' || *r->at == '\r'))
		r->at++;
}

/* After blanks; 0 at the end. */
static char look(struct reader *r)
{
	skip_blanks(r);
	return r->at < r->end ? *r->at : '\0';
}

static struct json *new_node(struct reader *r, enum json_type type)
{
	struct json *node;

	if (r->nr == r->max)
		return NULL;
	node = &r->nodes[r->nr++];
	*node = (struct json){ .type = type, .size = 1 };
	return node;
}

static int read_hex4(struct reader *r, u32 *out)
{
	u32 value = 0;

	if (r->end - r->at < 4)
		return -EINVAL;
	for (int i = 0; i < 4; i++) {
		char c = *r->at++;
		u32 digit = c >= '0' && c <= '9'   ? (u32)(c - '0')
			    : c >= 'a' && c <= 'f' ? (u32)(c - 'a') + 10
			    : c >= 'A' && c <= 'F' ? (u32)(c - 'A') + 10
						   : 16;

		if (digit > 15)
			return -EINVAL;
		value = value << 4 | digit;
	}
	*out = value;
	return 0;
}

/* Section 7: a character beyond the first 64 Ki is two of them, a pair of surrogates. */
static int read_unicode(struct reader *r, u32 *cp)
{
	u32 low;

	if (read_hex4(r, cp))
		return -EINVAL;
	if (*cp < 0xd800 || *cp > 0xdfff)
		return *cp ? 0 : -EINVAL;
	if (*cp > 0xdbff || r->end - r->at < 2 || r->at[0] != '\\' || r->at[1] != 'u')
		return -EINVAL;
	r->at += 2;
	if (read_hex4(r, &low) || low < 0xdc00 || low > 0xdfff)
		return -EINVAL;
	*cp = 0x10000 + ((*cp - 0xd800) << 10) + (low - 0xdc00);
	return 0;
}

static char *put_utf8(char *to, u32 cp)
{
	if (cp < 0x80) {
		*to++ = (char)cp;
		return to;
	}
	if (cp < 0x800) {
		*to++ = (char)(0xc0 | cp >> 6);
	} else {
		if (cp < 0x10000) {
			*to++ = (char)(0xe0 | cp >> 12);
		} else {
			*to++ = (char)(0xf0 | cp >> 18);
			*to++ = (char)(0x80 | (cp >> 12 & 0x3f));
		}
		*to++ = (char)(0x80 | (cp >> 6 & 0x3f));
	}
	*to++ = (char)(0x80 | (cp & 0x3f));
	return to;
}

/* What follows a backslash. */
static int read_escape(struct reader *r, char **to)
{
	static const char from[] = "\"\\/bfnrt", into[] = "\"\\/\b\f\n\r\t";
	const char *known;
	u32 cp;
	char c;

	if (r->at == r->end)
		return -EINVAL;
	c = *r->at++;
	known = c ? strchr(from, c) : NULL;
	if (known) {
		*(*to)++ = into[known - from];
		return 0;
	}
	if (c != 'u' || read_unicode(r, &cp))
		return -EINVAL;
	*to = put_utf8(*to, cp);
	return 0;
}

/* One character of UTF-8; the quote that ends the string keeps text_char from reading beyond. */
static int copy_char(struct reader *r, char **to)
{
	size_t left = (size_t)(r->end - r->at), n;
	char last[5] = { 0 };
	u32 cp;

	memcpy(last, r->at, MIN(left, sizeof(last) - 1));
	n = text_char(last, &cp);
	if (!n || n > left || cp < 0x20)
		return -EINVAL;
	memmove(*to, r->at, n);
	*to += n;
	r->at += n;
	return 0;
}

static int read_string(struct reader *r, struct json **out)
{
	struct json *node = new_node(r, JSON_STRING);
	char *to = ++r->at;

	if (!node)
		return -E2BIG;
	node->text = to;
	while (r->at < r->end && *r->at != '"') {
		int ret;

		if (*r->at == '\\') {
			r->at++;
			ret = read_escape(r, &to);
		} else {
			ret = copy_char(r, &to);
		}
		if (ret)
			return ret;
	}
	if (r->at == r->end)
		return -EINVAL;
	r->at++;
	*to = '\0';
	node->len = (size_t)(to - node->text);
	if (out)
		*out = node;
	return 0;
}

static int read_number(struct reader *r)
{
	struct json *node = new_node(r, JSON_NUMBER);
	const char *first;

	if (!node)
		return -E2BIG;
	node->negative = *r->at == '-';
	r->at += node->negative;
	first = r->at;
	for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++) {
		u64 digit = (u64)(*r->at - '0');

		if (node->number > (UINT64_MAX - digit) / 10)
			return -ERANGE;
		node->number = node->number * 10 + digit;
	}
	if (r->at == first || (*first == '0' && r->at - first > 1))
		return -EINVAL;
	if (node->negative && node->number > 1ULL << 63)
		return -ERANGE;
	/* JSON, but nothing that is counted here. */
	if (r->at < r->end && strchr(".eE", *r->at) && *r->at)
		return -ERANGE;
	return 0;
}

static int read_word(struct reader *r)
{
	static const struct {
		const char *word;
		enum json_type type;
		bool truth;
	} words[] = {
		{ "null", JSON_NULL, false },
		{ "false", JSON_BOOL, false },
		{ "true", JSON_BOOL, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t len = strlen(words[i].word);
		struct json *node;

		if ((size_t)(r->end - r->at) < len || memcmp(r->at, words[i].word, len) != 0)
			continue;
		node = new_node(r, words[i].type);
		if (!node)
			return -E2BIG;
		node->truth = words[i].truth;
		r->at += len;
		return 0;
	}
	return -EINVAL;
}

/* Section 4: names should be unique; of two nobody knows which counts. */
static bool is_twice(const struct json *object, const struct json *name)
{
	for (const struct json *m = object + 1; m < name; m = json_next(m + 1))
		if (m->len == name->len && !memcmp(m->text, name->text, m->len))
			return true;
	return false;
}

static int read_name(struct reader *r, const struct json *object)
{
	struct json *name;
	int ret;

	if (look(r) != '"')
		return -EINVAL;
	ret = read_string(r, &name);
	if (ret)
		return ret;
	if (is_twice(object, name) || look(r) != ':')
		return -EINVAL;
	r->at++;
	return 0;
}

static int read_list(struct reader *r, unsigned int depth)
{
	bool is_object = *r->at == '{';
	char close = is_object ? '}' : ']';
	u32 index = r->nr;
	struct json *node = new_node(r, is_object ? JSON_OBJECT : JSON_ARRAY);

	if (!node || depth == JSON_MAX_DEPTH)
		return -E2BIG;
	r->at++;
	if (look(r) == close)
		goto end;
	for (;;) {
		int ret = is_object ? read_name(r, node) : 0;

		if (!ret)
			ret = read_value(r, depth + 1);
		if (ret)
			return ret;
		node->nr++;
		if (look(r) == close)
			break;
		if (look(r) != ',')
			return -EINVAL;
		r->at++;
	}
end:
	r->at++;
	node->size = r->nr - index;
	return 0;
}

static int read_value(struct reader *r, unsigned int depth)
{
	char c = look(r);

	if (c == '{' || c == '[')
		return read_list(r, depth);
	if (c == '"')
		return read_string(r, NULL);
	if (c == '-' || (c >= '0' && c <= '9'))
		return read_number(r);
	return read_word(r);
}

int json_parse(char *text, size_t len, struct json *nodes, u32 max)
{
	struct reader r = { .at = text, .end = text + len, .nodes = nodes, .max = max };
	int ret = read_value(&r, 0);

	if (ret)
		return ret;
	skip_blanks(&r);
	return r.at == r.end ? 0 : -EINVAL;
}

const struct json *json_member(const struct json *object, const char *name)
{
	const struct json *m;

	if (!object || object->type != JSON_OBJECT)
		return NULL;
	m = object + 1;
	for (u32 i = 0; i < object->nr; i++, m = json_next(m + 1))
		if (!strcmp(m->text, name))
			return m + 1;
	return NULL;
}

const char *json_text(const struct json *value, const char *other)
{
	return value && value->type == JSON_STRING ? value->text : other;
}

u64 json_number(const struct json *value, u64 other)
{
	return value && value->type == JSON_NUMBER && !value->negative ? value->number : other;
}

bool json_truth(const struct json *value)
{
	return value && value->type == JSON_BOOL && value->truth;
}
