/* SPDX-License-Identifier: MIT */
/* --virtiofs: a list of shared directories. */
#include <stdlib.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define TAG_LEN 36 /* VIRTIO 1.3, 5.11.4 */

/* virtiofsd's words. */
static const char *const caches[] = { "auto", "always", "never", "metadata", NULL };

static const char *const fs_items[] = {
	"ro", "cache=auto|always|never|metadata", "socket=PATH", "tag=TAG", NULL,
};

static void set(char **member, const char *text)
{
	free(*member);
	*member = xstrdup(text);
}

static int set_cache(const char *shown, struct virtiofs_config *fs, const char *word)
{
	for (size_t i = 0; caches[i]; i++) {
		if (strcmp(caches[i], word))
			continue;
		set(&fs->cache, word);
		return 0;
	}
	return config_unknown_item(shown, word, caches);
}

static int fs_item(const char *shown, struct virtiofs_config *fs, const char *item)
{
	if (!strcmp(item, "ro"))
		fs->readonly = true;
	else if (!strncmp(item, "cache=", 6))
		return set_cache(shown, fs, item + 6);
	else if (!strncmp(item, "socket=", 7))
		set(&fs->socket, item + 7);
	else if (!strncmp(item, "tag=", 4))
		set(&fs->tag, item + 4);
	else if (!fs->socket && !fs->dir)
		set(&fs->dir, item);
	else if (!fs->tag)
		set(&fs->tag, item);
	else
		return config_unknown_item(shown, item, fs_items);
	return 0;
}

static int check(const struct vm_config *cfg, u32 index)
{
	const struct virtiofs_config *fs = &cfg->virtiofs[index];
	const char *why = NULL;

	if (!fs->socket && !fs->dir)
		why = "names no directory; DIR,TAG or socket=PATH,tag=TAG";
	else if (!fs->tag || !*fs->tag)
		why = "has no tag, the name that the guest mounts; add ',TAG'";
	else if (strlen(fs->tag) > TAG_LEN)
		why = "the tag must be at most 36 bytes";
	else if (fs->socket && (fs->dir || fs->readonly || fs->cache))
		why = "with socket= the virtiofsd there was told the rest; keep socket= and tag= "
		      "alone";
	for (u32 i = 0; i < index && !why; i++)
		if (!strcmp(cfg->virtiofs[i].tag, fs->tag))
			why = "another share has this tag; choose a different one";
	if (why)
		err("--virtiofs %s: %s", fs->socket ? fs->socket : fs->dir ? fs->dir : "", why);
	return why ? -EINVAL : 0;
}

int config_check_virtiofs(const struct vm_config *cfg)
{
	int ret = 0;

	for (u32 i = 0; i < cfg->nr_virtiofs && !ret; i++)
		ret = check(cfg, i);
	return ret;
}

static int fs_parse(const char *shown, const char *arg, void *target)
{
	struct vm_config *cfg = target;
	char *copy = xstrdup(arg), *list = copy;
	struct virtiofs_config *fs;
	const char *item;
	int ret = 0;

	cfg->virtiofs = config_grow(cfg->virtiofs, &cfg->nr_virtiofs, sizeof(*cfg->virtiofs));
	fs = &cfg->virtiofs[cfg->nr_virtiofs - 1];
	while (!ret && (item = config_next_item(&list)))
		ret = fs_item(shown, fs, item);
	free(copy);
	return ret;
}

static char *fs_text(const void *target, u32 i)
{
	const struct vm_config *cfg = target;
	const struct virtiofs_config *fs;
	char *path, *tag, *text;

	if (i >= cfg->nr_virtiofs)
		return NULL;
	fs = &cfg->virtiofs[i];
	path = config_one_item(fs->socket ? fs->socket : fs->dir ? fs->dir : "");
	tag = config_one_item(fs->tag ? fs->tag : "");
	text = xasprintf("%s%s,%s%s%s%s%s", fs->socket ? "socket=" : "", path,
			 fs->socket ? "tag=" : "", tag, fs->readonly ? ",ro" : "",
			 fs->cache ? ",cache=" : "", fs->cache ? fs->cache : "");
	free(path);
	free(tag);
	return text;
}

static const char *fs_path(const void *target, u32 i)
{
	const struct vm_config *cfg = target;

	if (i >= cfg->nr_virtiofs)
		return NULL;
	return cfg->virtiofs[i].socket ? cfg->virtiofs[i].socket : cfg->virtiofs[i].dir;
}

static void fs_destroy(void *target)
{
	struct vm_config *cfg = target;

	for (u32 i = 0; i < cfg->nr_virtiofs; i++) {
		free(cfg->virtiofs[i].tag);
		free(cfg->virtiofs[i].socket);
		free(cfg->virtiofs[i].dir);
		free(cfg->virtiofs[i].cache);
	}
	free(cfg->virtiofs);
	cfg->virtiofs = NULL;
	cfg->nr_virtiofs = 0;
}

const struct option_hooks virtiofs_hooks = {
	.parse = fs_parse,
	.text = fs_text,
	.path = fs_path,
	.destroy = fs_destroy,
	.items = fs_items,
};
