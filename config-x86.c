/* SPDX-License-Identifier: MIT */
/* Options of x86-64 machines that are more than a word or a number: --disable-exits,
 * --notify-window. */
#include <stdlib.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

const char *const x86_exit_names[X86_NR_EXITS + 1] = { "mwait",	 "hlt",	       "pause",
						       "cstate", "aperfmperf", NULL };

static int disable_exits_parse(const char *shown, const char *arg, void *target)
{
	struct x86_tuning *tuning = &((struct vm_config *)target)->x86.tuning;
	char *copy = xstrdup(arg), *list = copy, *item;
	u32 exits = 0;
	int ret = 0;

	while (!ret && (item = config_next_item(&list))) {
		u32 n = 0;

		while (n < X86_NR_EXITS && strcmp(item, x86_exit_names[n]) != 0)
			n++;
		if (n == X86_NR_EXITS)
			ret = config_unknown_item(shown, item, x86_exit_names);
		else
			exits |= BIT(n);
	}
	free(copy);
	if (!ret)
		tuning->disable_exits = exits;
	return ret;
}

static char *disable_exits_text(const void *target, u32 i)
{
	u32 exits = ((const struct vm_config *)target)->x86.tuning.disable_exits;
	char *text;

	if (i || !exits)
		return NULL;
	text = xstrdup("");
	for (u32 n = 0; n < X86_NR_EXITS; n++)
		if (exits & BIT(n))
			xappendf(&text, "%s%s", *text ? "," : "", x86_exit_names[n]);
	return text;
}

const struct option_hooks x86_disable_exits_hooks = {
	.parse = disable_exits_parse,
	.text = disable_exits_text,
	.items = x86_exit_names,
};

/* No cycles at all are a window too. */
static int notify_window_parse(const char *shown, const char *arg, void *target)
{
	struct x86_tuning *tuning = &((struct vm_config *)target)->x86.tuning;
	u64 window;

	if (parse_u64(arg, &window) || window > UINT32_MAX) {
		err("%s %s: is not a number of cycles from 0 to %u", shown, arg, UINT32_MAX);
		return -EINVAL;
	}
	tuning->notify_window = (u32)window;
	tuning->has_notify_window = true;
	return 0;
}

static char *notify_window_text(const void *target, u32 i)
{
	const struct x86_tuning *tuning = &((const struct vm_config *)target)->x86.tuning;

	return i || !tuning->has_notify_window ? NULL : xasprintf("%u", tuning->notify_window);
}

const struct option_hooks x86_notify_window_hooks = {
	.parse = notify_window_parse,
	.text = notify_window_text,
};
