/* SPDX-License-Identifier: MIT */
/* Reads tests/vectors (its README says what every byte means); programs start in the tree's root.
 */
#ifndef LKVM_TESTS_VECTORS_H
#define LKVM_TESTS_VECTORS_H

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lkvm/json.h"
#include "lkvm/measure.h"
#include "lkvm/util.h"
#include "unit.h"

#define VECTORS	     "tests/vectors/"
#define VECTOR_NODES 4096

/* A file of vectors, as long as a test runs. */
struct vectors {
	char *text;
	struct json *nodes; /* the whole */
};

static inline u8 *vector_file(const char *name, size_t *len)
{
	char *path = xasprintf(VECTORS "%s", name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	u8 *bytes;

	if (fd < 0)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(fstat(fd, &st), 0);
	*len = (size_t)st.st_size;
	bytes = xcalloc(1, *len + 1);
	assert_int_equal(read_full(fd, bytes, *len), 0);
	close(fd);
	free(path);
	return bytes;
}

static inline void vectors_open(struct vectors *v, const char *name)
{
	size_t len;

	v->text = (char *)vector_file(name, &len);
	v->nodes = xcalloc(VECTOR_NODES, sizeof(*v->nodes));
	assert_int_equal(json_parse(v->text, len, v->nodes, VECTOR_NODES), 0);
}

static inline void vectors_close(struct vectors *v)
{
	free(v->text);
	free(v->nodes);
}

/* Member number @i of an array. */
static inline const struct json *vector_item(const struct json *array, u32 i)
{
	const struct json *at = json_first(array);

	assert_true(i < array->nr);
	while (i--)
		at = json_next(at);
	return at;
}
#define for_each_vector(at, array) \
	for (u32 at##_i = 0; at##_i < (array)->nr && ((at) = vector_item(array, at##_i)); at##_i++)

/* A number, as such or as "0x..."; there must be one. */
static inline u64 vector_number(const struct json *v)
{
	u64 number = 0;

	assert_non_null(v);
	if (v->type == JSON_NUMBER)
		return v->number;
	assert_int_equal(v->type, JSON_STRING);
	assert_int_equal(parse_u64(v->text, &number), 0);
	return number;
}

static inline u64 vector_u64(const struct json *object, const char *name)
{
	return vector_number(json_member(object, name));
}

/* @bytes are what the text says in hexadecimal, @len of them. */
static inline void assert_hex(const u8 *bytes, size_t len, const char *hex)
{
	char *text = xcalloc(1, 2 * len + 1);

	for (size_t i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	assert_string_equal(text, hex);
	free(text);
}

static inline size_t vector_hex(const char *hex, u8 *out, size_t max)
{
	size_t len = strlen(hex) / 2;

	assert_true(len <= max);
	for (size_t i = 0; i < len; i++) {
		char digits[3] = { hex[2 * i], hex[2 * i + 1] };

		out[i] = (u8)strtoul(digits, NULL, 16);
	}
	return len;
}

static inline void pattern_page(u32 seed, u8 page[4096])
{
	for (u32 i = 0; i < 4096; i++)
		page[i] = (u8)(i * 7 + seed * 31 + (i >> 8));
}

/* "pattern 3", "zeros" */
static inline void vector_page(const char *text, u8 page[4096])
{
	u32 seed = 0;

	if (!strcmp(text, "zeros")) {
		memset(page, 0, 4096);
		return;
	}
	assert_int_equal(strncmp(text, "pattern ", 8), 0);
	seed = (u32)atoi(text + 8);
	assert_true(seed);
	pattern_page(seed, page);
}

/* Nothing can be said of measurements in a build without a hash. */
#define NEEDS_HASH()                 \
	do {                         \
		if (!hash_library()) \
			skip();      \
	} while (0)

#endif
