/* SPDX-License-Identifier: MIT */
/*
 * JSON (RFC 8259), as much as a line of a protocol needs: a strict reader that allocates nothing,
 * over numbers that are integers, and a writer that grows its text up to a limit.
 */
#ifndef LKVM_JSON_H
#define LKVM_JSON_H

#include "lkvm/types.h"

enum json_type {
	JSON_NULL,
	JSON_BOOL,
	JSON_NUMBER,
	JSON_STRING,
	JSON_ARRAY,
	JSON_OBJECT,
};

/* Arrays and objects within each other. */
#define JSON_MAX_DEPTH 16

/*
 * A value. Values stand in an array in the order of the text: what is in an array or an object
 * follows it, and in an object each value follows its name (a string).
 */
struct json {
	enum json_type type;
	u32 nr;		  /* values in an array, members of an object */
	u32 size;	  /* of the array that are its own: it and all in it */
	bool truth;	  /* JSON_BOOL */
	bool negative;	  /* JSON_NUMBER: below zero, by @number */
	u64 number;	  /* JSON_NUMBER */
	const char *text; /* JSON_STRING: UTF-8, NUL-terminated, without a NUL in it */
	size_t len;	  /* of @text */
};

/*
 * Read @len bytes of @text, one value with blanks around it, into @nodes (room for @max). Strings
 * are decoded in place: @text is changed, and lives as long as they are used. 0; -EINVAL: that is
 * no JSON, has a name twice in an object, a NUL or half of a surrogate pair in a string, or text
 * that is not UTF-8; -ERANGE: a number is not an integer of 64 bits; -E2BIG: more values, or
 * deeper, than there is room for. Prints nothing.
 */
int json_parse(char *text, size_t len, struct json *nodes, u32 max) __must_check;
/* The member @name of @object; NULL: it has none, or @object is NULL or no object. */
const struct json *json_member(const struct json *object, const char *name);
/* The first value in an array, and the one after @value: there are @nr of them. */
static inline const struct json *json_first(const struct json *array)
{
	return array + 1;
}
static inline const struct json *json_next(const struct json *value)
{
	return value + value->size;
}
/* Text, or @other where @value is NULL or not a string; a number, where it is one from 0 on. */
const char *json_text(const struct json *value, const char *other);
u64 json_number(const struct json *value, u64 other);
bool json_truth(const struct json *value);

/*
 * Text that is written. Zeroes but for @max are an empty one. What does not fit, or finds no
 * memory, sets @failed and is lost, and so is everything after it.
 */
struct json_out {
	char *buf; /* owned; not NUL-terminated */
	size_t len, size;
	size_t max;
	bool failed;
	bool comma; /* a value stands before the next one */
};

/* @name: of a member; NULL in an array. @bracket: '{' or '['. */
void json_open(struct json_out *out, const char *name, char bracket);
void json_close(struct json_out *out, char bracket);
/* What is not UTF-8 becomes U+FFFD; what a terminal would obey is escaped. */
void json_put_text(struct json_out *out, const char *name, const char *text);
void json_put_u64(struct json_out *out, const char *name, u64 value);
void json_put_bool(struct json_out *out, const char *name, bool value);
void json_put_null(struct json_out *out, const char *name);
/* A value that was read, as it was: strings, numbers, true, false and null. */
void json_put(struct json_out *out, const char *name, const struct json *value);
/* Bytes as they are: a value that is JSON already, or the end of a line. */
void json_put_raw(struct json_out *out, const char *name, const char *text, size_t len);
void json_put_bytes(struct json_out *out, const char *bytes, size_t len);
/* Back to the empty text; nothing is owned. @max stays. */
void json_out_free(struct json_out *out);

#endif
