/* SPDX-License-Identifier: MIT */
/* --9p: a list of directories that the guest shares, as kvmtool has it: DIR,TAG. */
#include <stdlib.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* Linux has no limit but a 16-bit length. */
#define TAG_MAX 255

static const char *const share_items[] = { "ro", "rw", NULL };

static int share_item(const char *shown, struct share_config *share, const char *item)
{
	if (strcmp(item, "ro") && strcmp(item, "rw"))
		return config_unknown_item(shown, item, share_items);
	share->readonly = !strcmp(item, "ro");
	return 0;
}

static int share_parse(const char *shown, const char *arg, void *target)
{
	char *copy = xstrdup(arg), *list = copy;
	const char *path = config_next_item(&list), *tag = config_next_item(&list), *item;
	struct vm_config *cfg = target;
	struct share_config *share;
	int ret = 0;

	if (!tag || !*tag || strlen(tag) > TAG_MAX) {
		err("%s %s: needs a directory and a tag of 1 to %d bytes, by which the guest "
		    "mounts "
		    "it: %s DIR,TAG",
		    shown, arg, TAG_MAX, shown);
		ret = -EINVAL;
		goto out;
	}
	cfg->shares = config_grow(cfg->shares, &cfg->nr_shares, sizeof(*cfg->shares));
	share = &cfg->shares[cfg->nr_shares - 1];
	share->path = xstrdup(path);
	share->tag = xstrdup(tag);
	while (!ret && (item = config_next_item(&list)))
		ret = share_item(shown, share, item);
out:
	free(copy);
	return ret;
}

static char *share_text(const void *target, u32 i)
{
	const struct vm_config *cfg = target;
	const struct share_config *s;
	char *path, *tag, *text;

	if (i >= cfg->nr_shares)
		return NULL;
	s = &cfg->shares[i];
	path = config_one_item(s->path);
	tag = config_one_item(s->tag);
	text = xasprintf("%s,%s%s", path, tag, s->readonly ? ",ro" : "");
	free(path);
	free(tag);
	return text;
}

static const char *share_config_path(const void *target, u32 i)
{
	const struct vm_config *cfg = target;

	return i < cfg->nr_shares ? cfg->shares[i].path : NULL;
}

static void share_destroy(void *target)
{
	struct vm_config *cfg = target;

	for (u32 i = 0; i < cfg->nr_shares; i++) {
		free(cfg->shares[i].path);
		free(cfg->shares[i].tag);
	}
	free(cfg->shares);
	cfg->shares = NULL;
	cfg->nr_shares = 0;
}

const struct option_hooks share_hooks = {
	.parse = share_parse,
	.text = share_text,
	.path = share_config_path,
	.destroy = share_destroy,
	.items = share_items,
};
