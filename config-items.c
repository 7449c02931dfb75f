/* SPDX-License-Identifier: MIT */
/* Options that are lists (see config-items.h). */
#include "config-items.h"

#include <stdio.h>

#include "lkvm/log.h"
#include "lkvm/util.h"

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

int config_unknown_item(const char *shown, const char *item, const char *const *known)
{
	const char *near = nearest_word(item, known);
	char list[128] = "";

	for (const char *const *k = known; *k; k++) {
		size_t len = strlen(list);

		snprintf(list + len, sizeof(list) - len, "%s%s", k > known ? ", " : "", *k);
	}
	if (near)
		err("%s: unknown '%s'; did you mean '%s'?", shown, item, near);
	else
		err("%s: unknown '%s'; it is not one of %s", shown, item, list);
	return -EINVAL;
}
