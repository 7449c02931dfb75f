/* SPDX-License-Identifier: MIT */
/* --rng-limit: how much the entropy device gives. */
#include <stdlib.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

static const char *const limit_items[] = { "rate=SIZE[:BURST]", "ops=N[:BURST]", NULL };

static int limit_parse(const char *shown, const char *arg, void *target)
{
	struct vm_config *cfg = target;
	struct rate_config limit = { 0 };
	char *copy = xstrdup(arg), *list = copy, *item;
	int ret = 1;

	while (ret > 0 && (item = config_next_item(&list)))
		ret = config_rate_item(shown, &limit, "", item);
	if (!ret)
		ret = config_unknown_item(shown, item, limit_items);
	free(copy);
	if (ret < 0)
		return ret;
	cfg->rng_limit = limit;
	cfg->rng = true;
	return 0;
}

static char *limit_text(const void *target, u32 i)
{
	const struct rate_config *limit = &((const struct vm_config *)target)->rng_limit;
	char *text, *first;

	if (i || (!limit->bytes && !limit->ops))
		return NULL;
	text = xstrdup("");
	config_add_rate(&text, limit, "");
	first = xstrdup(text + 1); /* without its comma */
	free(text);
	return first;
}

static void limit_destroy(void *target)
{
	memset(&((struct vm_config *)target)->rng_limit, 0, sizeof(struct rate_config));
}

const struct option_hooks rng_limit_hooks = {
	.parse = limit_parse,
	.text = limit_text,
	.destroy = limit_destroy,
	.items = limit_items,
};
