/* SPDX-License-Identifier: MIT */
/* The writer of JSON (RFC 8259; see include/lkvm/json.h). */
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/json.h"
#include "lkvm/util.h"

#define FIRST_SIZE 256

static bool has_room(struct json_out *out, size_t len)
{
	size_t size = MAX(out->size, (size_t)FIRST_SIZE);
	char *buf;

	if (out->failed || len > out->max - out->len) {
		out->failed = true;
		return false;
	}
	if (out->buf && out->len + len <= out->size)
		return true;
	while (size < out->len + len)
		size *= 2;
	buf = realloc(out->buf, size);
	if (!buf) {
		out->failed = true;
		return false;
	}
	out->buf = buf;
	out->size = size;
	return true;
}

void json_put_bytes(struct json_out *out, const char *bytes, size_t len)
{
	if (!has_room(out, len))
		return;
	memcpy(out->buf + out->len, bytes, len);
	out->len += len;
}

static void put_escape(struct json_out *out, u32 cp)
{
	char text[16];

	if (cp == '"' || cp == '\\')
		snprintf(text, sizeof(text), "\\%c", (char)cp);
	else if (cp == '\n')
		snprintf(text, sizeof(text), "\\n");
	else
		/* What is an order to a terminal is in the first 64 Ki. */
		snprintf(text, sizeof(text), "\\u%04x", cp & 0xffff);
	json_put_bytes(out, text, strlen(text));
}

static void put_string(struct json_out *out, const char *text)
{
	static const char unknown[] = "\xef\xbf\xbd"; /* U+FFFD */

	json_put_bytes(out, "\"", 1);
	while (*text) {
		u32 cp = 0;
		size_t n = text_char(text, &cp);

		if (!n)
			json_put_bytes(out, unknown, strlen(unknown));
		else if (cp == '"' || cp == '\\' || text_is_order(cp))
			put_escape(out, cp);
		else
			json_put_bytes(out, text, n);
		text += n ? n : 1;
	}
	json_put_bytes(out, "\"", 1);
}

/* A value begins. */
static void begin(struct json_out *out, const char *name)
{
	if (out->comma)
		json_put_bytes(out, ",", 1);
	out->comma = true;
	if (!name)
		return;
	put_string(out, name);
	json_put_bytes(out, ":", 1);
}

void json_open(struct json_out *out, const char *name, char bracket)
{
	begin(out, name);
	json_put_bytes(out, &bracket, 1);
	out->comma = false;
}

void json_close(struct json_out *out, char bracket)
{
	json_put_bytes(out, &bracket, 1);
	out->comma = true;
}

void json_put_raw(struct json_out *out, const char *name, const char *text, size_t len)
{
	begin(out, name);
	json_put_bytes(out, text, len);
}

void json_put_text(struct json_out *out, const char *name, const char *text)
{
	begin(out, name);
	put_string(out, text);
}

void json_put_u64(struct json_out *out, const char *name, u64 value)
{
	char text[24];

	snprintf(text, sizeof(text), "%llu", value);
	json_put_raw(out, name, text, strlen(text));
}

void json_put_bool(struct json_out *out, const char *name, bool value)
{
	json_put_raw(out, name, value ? "true" : "false", value ? 4 : 5);
}

void json_put_null(struct json_out *out, const char *name)
{
	json_put_raw(out, name, "null", 4);
}

void json_put(struct json_out *out, const char *name, const struct json *value)
{
	switch (value->type) {
	case JSON_STRING:
		json_put_text(out, name, value->text);
		break;
	case JSON_NUMBER:
		begin(out, name);
		if (value->negative)
			json_put_bytes(out, "-", 1);
		out->comma = false;
		json_put_u64(out, NULL, value->number);
		break;
	case JSON_BOOL:
		json_put_bool(out, name, value->truth);
		break;
	default:
		json_put_null(out, name);
	}
}

void json_out_free(struct json_out *out)
{
	size_t max = out->max;

	free(out->buf);
	memset(out, 0, sizeof(*out));
	out->max = max;
}
