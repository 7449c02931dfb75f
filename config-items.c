/* SPDX-License-Identifier: MIT */
/* Options that are lists (see config-items.h). */
#include "config-items.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/log.h"
#include "lkvm/util.h"

#define NR_ITEMS_MAX 24

void *config_grow(void *array, u32 *count, size_t size)
{
	u8 *p = xrealloc(array, (*count + (size_t)1) * size);

	memset(p + *count * size, 0, size);
	++*count;
	return p;
}

char *config_next_item(char **list)
{
	char *item = *list, *from = item, *to = item;

	if (!item)
		return NULL;
	while (*from && (*from != ',' || from[1] == ',')) {
		if (*from == ',')
			from++;
		*to++ = *from++;
	}
	*list = *from ? from + 1 : NULL;
	*to = '\0';
	return item;
}

char *config_one_item(const char *text)
{
	char *out = xcalloc(2, strlen(text) + 1), *to = out;

	for (; *text; text++) {
		if (*text == ',')
			*to++ = ',';
		*to++ = *text;
	}
	return out;
}

void config_add_text(char **text, const char *format, ...)
{
	char *more, *all;
	va_list args;

	va_start(args, format);
	more = xvasprintf(format, args);
	va_end(args);
	all = xasprintf("%s%s", *text, more);
	free(more);
	free(*text);
	*text = all;
}

void config_add_word(char **text, const char *key, const char *value)
{
	char *item;

	if (!value)
		return;
	item = config_one_item(value);
	config_add_text(text, ",%s=%s", key, item);
	free(item);
}

void config_add_mac(char **text, const char *key, const u8 mac[6])
{
	config_add_text(text, ",%s=%02x:%02x:%02x:%02x:%02x:%02x", key, mac[0], mac[1], mac[2],
			mac[3], mac[4], mac[5]);
}

/* Before the '=', if there is one. */
static char *key_of(const char *item)
{
	return xasprintf("%.*s", (int)strcspn(item, "="), item);
}

/* As QEMU and others say it. */
static const char *readonly_item(const char *key, const char *const *known)
{
	static const char *const others[] = { "readonly", "read-only", NULL };

	for (; *known; known++)
		if (!strcmp(*known, "ro"))
			return nearest_word(key, others) ? *known : NULL;
	return NULL;
}

/* The one of @known whose key is most like that of @item, or NULL. */
static const char *nearest_item(const char *item, const char *const *known)
{
	char *key = key_of(item), *keys[NR_ITEMS_MAX + 1] = { NULL };
	const char *near;
	size_t n = 0;

	for (; known[n] && n < NR_ITEMS_MAX; n++)
		keys[n] = key_of(known[n]);
	near = nearest_word(key, (const char *const *)keys);
	if (!near)
		near = readonly_item(key, known);
	for (size_t i = 0; i < n; i++) {
		if (near == keys[i])
			near = known[i];
		free(keys[i]);
	}
	free(key);
	return near;
}

int config_unknown_item(const char *shown, const char *item, const char *const *known)
{
	const char *near = nearest_item(item, known);
	char *list;

	if (near) {
		size_t len = strcspn(near, "=");

		err("%s: unknown '%s'; did you mean '%.*s'?", shown, item,
		    (int)(len + (near[len] == '=')), near);
		return -EINVAL;
	}
	list = xstrdup("");
	for (const char *const *k = known; *k; k++)
		config_add_text(&list, "%s%s", k > known ? ", " : "", *k);
	err("%s: unknown '%s'; it is not one of %s", shown, item, list);
	free(list);
	return -EINVAL;
}

int config_parse_mac(const char *s, u8 mac[6])
{
	u8 any = 0;

	for (int i = 0; i < 6; i++, s += 3) {
		char digits[3] = { s[0], s[0] ? s[1] : '\0', '\0' };

		if (!isxdigit((unsigned char)digits[0]) || !isxdigit((unsigned char)digits[1]) ||
		    s[2] != (i < 5 ? ':' : '\0'))
			return -EINVAL;
		mac[i] = (u8)strtoul(digits, NULL, 16);
		any |= mac[i];
	}
	return !any || (mac[0] & 1) ? -EINVAL : 0;
}
