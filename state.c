/* SPDX-License-Identifier: MIT */
/*
 * Saving, loading, comparing and printing objects by their tables (see include/lkvm/state.h).
 *
 * A record: name, version (4 bytes), length of the body (4), body. A body: its fields, each with
 * name, size of an element (1 byte), their number (4), and the elements. The size of an element
 * that is a structure is 0: each is a length (4) and a body. A name is a length (1) and its bytes.
 */
#include "lkvm/state.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/util.h"

const struct device_state no_state = { .version = 1 };

/* Writing */

static u8 *append(struct state_buf *buf, size_t len)
{
	u8 *at;

	if (buf->room - buf->len < len) {
		buf->room = MAX(2 * buf->room, buf->len + len + 256);
		buf->data = xrealloc(buf->data, buf->room);
	}
	at = buf->data + buf->len;
	buf->len += len;
	return at;
}

static void append_int(struct state_buf *buf, u32 size, u64 value)
{
	put_le(append(buf, size), size, value);
}

static void append_name(struct state_buf *buf, const char *name)
{
	size_t len;

	assert(name); /* tables are the programmer's */
	len = MIN(strlen(name), 255UL);

	append_int(buf, 1, len);
	memcpy(append(buf, len), name, len);
}

void state_buf_free(struct state_buf *buf)
{
	free(buf->data);
	memset(buf, 0, sizeof(*buf));
}

/* Members */

static u8 *first_element(const struct state_field *f, const void *obj)
{
	u8 *member = (u8 *)obj + f->offset, *elements;

	if (!(f->flags & STATE_POINTER))
		return member;
	memcpy(&elements, member, sizeof(elements));
	return elements;
}

static u32 *count_at(const void *obj, u32 offset)
{
	return (u32 *)((u8 *)obj + offset);
}

static u32 nr_elements(const struct state_field *f, const void *obj)
{
	if (f->used_at)
		return MIN(*count_at(obj, f->used_at), f->count);
	if (f->nr)
		return f->nr(obj);
	return f->nr_at ? *count_at(obj, f->nr_at) : f->count;
}

static u64 get_element(const void *at, u32 size)
{
	u8 v1;
	u16 v2;
	u32 v4;
	u64 v8;

	switch (size) {
	case 1:
		memcpy(&v1, at, 1);
		return v1;
	case 2:
		memcpy(&v2, at, 2);
		return v2;
	case 4:
		memcpy(&v4, at, 4);
		return v4;
	}
	memcpy(&v8, at, 8);
	return v8;
}

static void set_element(void *at, u32 size, u64 value)
{
	u8 v1 = (u8)value;
	u16 v2 = (u16)value;
	u32 v4 = (u32)value;

	memcpy(at,
	       size == 1   ? (void *)&v1
	       : size == 2 ? &v2
	       : size == 4 ? (void *)&v4
			   : &value,
	       size);
}

static void save_body(const struct device_state *table, const void *obj, struct state_buf *out)
{
	for (u32 i = 0; i < table->nr_fields; i++) {
		const struct state_field *f = &table->fields[i];
		const u8 *at = first_element(f, obj);
		u32 n = nr_elements(f, obj);

		append_name(out, f->name);
		append_int(out, 1, f->sub ? 0 : f->size);
		append_int(out, 4, n);
		for (u32 e = 0; e < n; e++, at += f->size) {
			size_t start = out->len;

			if (!f->sub) {
				append_int(out, f->size, get_element(at, f->size));
				continue;
			}
			append_int(out, 4, 0);
			save_body(f->sub, at, out);
			put_le(out->data + start, 4, out->len - start - 4);
		}
	}
}

int state_save(const struct device_state *table, const char *name, void *obj, struct state_buf *out)
{
	int ret = table->save ? table->save(obj) : 0;
	size_t start;

	if (ret)
		return ret;
	append_name(out, name);
	append_int(out, 4, table->version);
	append_int(out, 4, 0);
	start = out->len;
	save_body(table, obj, out);
	put_le(out->data + start - 4, 4, out->len - start);
	return 0;
}

/* Reading */

static const u8 *take(struct state_reader *in, size_t len)
{
	const u8 *at = in->data;

	if (in->len < len)
		return NULL;
	in->data += len;
	in->len -= len;
	return at;
}

static bool take_int(struct state_reader *in, u32 size, u64 *value)
{
	const u8 *at = take(in, size);

	*value = at ? get_le(at, size) : 0;
	return at;
}

static bool take_part(struct state_reader *in, struct state_reader *part)
{
	u64 len;

	if (!take_int(in, 4, &len))
		return false;
	part->len = len;
	part->data = take(in, len);
	return part->data;
}

static bool take_name(struct state_reader *in, char name[256])
{
	const u8 *at;
	u64 len;

	if (!take_int(in, 1, &len))
		return false;
	at = take(in, len);
	if (!at)
		return false;
	memcpy(name, at, len);
	name[len] = '\0';
	return true;
}

struct header {
	char name[256];
	u64 version;
	struct state_reader body;
};

static bool take_header(struct state_reader *in, struct header *h)
{
	return take_name(in, h->name) && take_int(in, 4, &h->version) && take_part(in, &h->body);
}

/* The field @f of @obj comes next, and what it says of itself fits: its number of elements. */
static bool take_field(const struct state_field *f, const void *obj, struct state_reader *in,
		       u32 *n)
{
	char name[256];
	u64 size, count;

	if (!take_name(in, name) || strcmp(name, f->name) || !take_int(in, 1, &size) ||
	    size != (f->sub ? 0 : f->size) || !take_int(in, 4, &count))
		return false;
	*n = (u32)count;
	return f->used_at ? count <= f->count : count == nr_elements(f, obj);
}

/* The name of the first field that cannot be loaded, or NULL. Changes nothing. */
static const char *check_body(const struct device_state *table, const void *obj,
			      struct state_reader in)
{
	for (u32 i = 0; i < table->nr_fields; i++) {
		const struct state_field *f = &table->fields[i];
		const u8 *at = first_element(f, obj);
		struct state_reader part;
		const char *bad;
		u64 value;
		u32 n;

		if (!take_field(f, obj, &in, &n))
			return f->name;
		for (u32 e = 0; e < n; e++, at += f->size) {
			if (!f->sub) {
				if (!take_int(&in, f->size, &value) || (f->max && value > f->max))
					return f->name;
				continue;
			}
			if (!take_part(&in, &part))
				return f->name;
			bad = check_body(f->sub, at, part);
			if (bad)
				return bad;
		}
	}
	return in.len ? "(end)" : NULL;
}

/* Of a body that was checked. */
static void store_body(const struct device_state *table, void *obj, struct state_reader in)
{
	for (u32 i = 0; i < table->nr_fields; i++) {
		const struct state_field *f = &table->fields[i];
		u8 *at = first_element(f, obj);
		struct state_reader part;
		u64 value;
		u32 n;

		if (!take_field(f, obj, &in, &n))
			return;
		if (f->used_at)
			*count_at(obj, f->used_at) = n;
		for (u32 e = 0; e < n; e++, at += f->size) {
			if (f->sub && take_part(&in, &part))
				store_body(f->sub, at, part);
			else if (!f->sub && take_int(&in, f->size, &value))
				set_element(at, f->size, value);
		}
	}
}

static int check_values(const struct device_state *table, const void *obj)
{
	int ret = table->check ? table->check(obj) : 0;

	for (u32 i = 0; i < table->nr_fields && !ret; i++) {
		const struct state_field *f = &table->fields[i];
		const u8 *at = first_element(f, obj);

		for (u32 e = 0; f->sub && e < nr_elements(f, obj) && !ret; e++, at += f->size)
			ret = check_values(f->sub, at);
	}
	return ret;
}

int state_load(const struct device_state *table, const char *name, void *obj,
	       struct state_reader *in)
{
	struct state_buf before = { 0 };
	struct header h;
	const char *bad;
	int ret;

	if (!take_header(in, &h) || strcmp(h.name, name)) {
		err("state: %s is missing", name);
		return -EINVAL;
	}
	if (h.version != table->version) {
		err("state of %s: version %" PRIu64 " is not supported; this lkvm has version %u",
		    name, (uint64_t)h.version, table->version);
		return -EINVAL;
	}
	bad = check_body(table, obj, h.body);
	if (bad) {
		err("state of %s: field %s is missing, damaged or from another machine", name, bad);
		return -EINVAL;
	}
	save_body(table, obj, &before);
	store_body(table, obj, h.body);
	ret = check_values(table, obj);
	if (ret || table->forget)
		store_body(table, obj, (struct state_reader){ before.data, before.len });
	if (ret) {
		err("state of %s: its fields contradict each other", name);
	} else if (table->forget) {
		table->forget(obj);
		store_body(table, obj, h.body);
	}
	state_buf_free(&before);
	return ret || !table->load ? ret : table->load(obj);
}

/* Comparing and printing */

/* Step over a field; the bytes of its elements in *@out. */
static bool skip_field(const struct state_field *f, struct state_reader *in,
		       struct state_reader *out)
{
	struct state_reader part;
	char name[256];
	u64 size, count;

	if (!take_name(in, name) || strcmp(name, f->name) || !take_int(in, 1, &size) ||
	    !take_int(in, 4, &count))
		return false;
	out->data = in->data;
	if (size && !take(in, size * count))
		return false;
	for (u64 e = 0; !size && e < count; e++)
		if (!take_part(in, &part))
			return false;
	out->len = (size_t)(in->data - out->data);
	return true;
}

static bool same_bytes(const struct state_reader *a, const struct state_reader *b)
{
	if (a->len != b->len || !a->len)
		return a->len == b->len;
	assert(a->data && b->data);
	return !memcmp(a->data, b->data, a->len);
}

static const char *body_differs(const struct device_state *table, struct state_reader a,
				struct state_reader b)
{
	for (u32 i = 0; i < table->nr_fields; i++) {
		const struct state_field *f = &table->fields[i];
		struct state_reader in_a, in_b, part_a, part_b;
		const char *differs;

		if (!skip_field(f, &a, &in_a) || !skip_field(f, &b, &in_b))
			return f->name;
		while (f->sub && take_part(&in_a, &part_a)) {
			if (!take_part(&in_b, &part_b))
				return f->name;
			differs = body_differs(f->sub, part_a, part_b);
			if (differs)
				return differs;
		}
		if (!(f->flags & STATE_RUNS) && !same_bytes(&in_a, &in_b))
			return f->name;
	}
	return a.len || b.len ? "" : NULL;
}

const char *state_differs(const struct device_state *table, struct state_reader *a,
			  struct state_reader *b)
{
	struct header ha, hb;

	if (!take_header(a, &ha) || !take_header(b, &hb) || strcmp(ha.name, hb.name) ||
	    ha.version != hb.version)
		return "";
	return body_differs(table, ha.body, hb.body);
}

static void print_fields(const struct device_state *table, const void *obj, const char *prefix,
			 FILE *out)
{
	for (u32 i = 0; i < table->nr_fields; i++) {
		const struct state_field *f = &table->fields[i];
		const u8 *at = first_element(f, obj);
		u32 n = nr_elements(f, obj);

		if (!f->sub)
			fprintf(out, "%s%s", prefix, f->name);
		for (u32 e = 0; e < n; e++, at += f->size) {
			char *inner;

			if (!f->sub) {
				fprintf(out, " %" PRIx64, (uint64_t)get_element(at, f->size));
				continue;
			}
			inner = n == 1 ? xasprintf("%s%s.", prefix, f->name)
				       : xasprintf("%s%s[%u].", prefix, f->name, e);
			print_fields(f->sub, at, inner, out);
			free(inner);
		}
		if (!f->sub)
			fputc('\n', out);
	}
}

void state_print(const struct device_state *table, const void *obj, FILE *out)
{
	print_fields(table, obj, "", out);
}
