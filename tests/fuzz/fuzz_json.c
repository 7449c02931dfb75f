/* SPDX-License-Identifier: MIT */
/* util/json.c: any text. What is read has the shape that it says, and is read again as it was once
 * it was written. */
#include "fuzz.h"
#include "lkvm/json.h"
#include "lkvm/util.h"

#define MAX_VALUES 256

/* Write @v, whose place in the array is @at of @nr. Returns what follows it. */
static const struct json *put(struct json_out *out, const char *name, const struct json *v,
			      const struct json *end, unsigned int depth)
{
	bool is_object = v->type == JSON_OBJECT;
	const struct json *m = v + 1;

	fz_check(v->size >= 1 && v->size <= (size_t)(end - v) && depth <= JSON_MAX_DEPTH);
	if (!is_object && v->type != JSON_ARRAY) {
		fz_check(v->size == 1 && !v->nr);
		if (v->type == JSON_STRING)
			fz_check(strlen(v->text) == v->len);
		json_put(out, name, v);
		return v + 1;
	}
	json_open(out, name, is_object ? '{' : '[');
	for (u32 i = 0; i < v->nr; i++) {
		const char *member = is_object ? m->text : NULL;

		if (is_object) {
			fz_check(m->type == JSON_STRING && json_member(v, member) == m + 1);
			m++;
		}
		m = put(out, member, m, v + v->size, depth + 1);
	}
	fz_check(m == v + v->size);
	json_close(out, is_object ? '}' : ']');
	return m;
}

static void same(const struct json *a, const struct json *b, u32 nr)
{
	for (u32 i = 0; i < nr; i++) {
		fz_check(a[i].type == b[i].type && a[i].nr == b[i].nr && a[i].size == b[i].size);
		fz_check(a[i].truth == b[i].truth && a[i].negative == b[i].negative);
		fz_check(a[i].number == b[i].number && a[i].len == b[i].len);
		fz_check(a[i].type != JSON_STRING || !memcmp(a[i].text, b[i].text, a[i].len));
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct json first[MAX_VALUES], second[MAX_VALUES];
	struct json_out out = { .max = 16 * size + 64 };
	struct fz f = fz_begin(data, size);
	u32 max = fz_u8(&f) + 1;
	const u8 *text = fz_bytes(&f, size, &size);
	char *copy = malloc(size ? size : 1);
	int ret;

	fz_check(copy);
	memcpy(copy, text, size);
	ret = json_parse(copy, size, first, max);
	fz_check(!ret || ret == -EINVAL || ret == -ERANGE || ret == -E2BIG);
	if (!ret) {
		put(&out, NULL, first, first + max, 0);
		fz_check(!out.failed);
		fz_check(!json_parse(out.buf, out.len, second, first->size));
		same(first, second, first->size);
	}
	json_out_free(&out);
	free(copy);
	return 0;
}
