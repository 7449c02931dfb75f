/* SPDX-License-Identifier: MIT */
/* --pmem: a list of files that the guest has as memory. */
#include <stdlib.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

static int pmem_size(const char *shown, struct pmem_config *p, const char *value)
{
	if (!parse_size(value, 1, &p->size) && p->size && p->size % PMEM_UNIT == 0)
		return 0;
	err("%s: size=%s: must be a multiple of 2M", shown, value);
	return -EINVAL;
}

static const char *const pmem_items[] = { "ro", "rw", "size=SIZE", NULL };

static int pmem_item(const char *shown, struct pmem_config *p, const char *item)
{
	if (!strncmp(item, "size=", 5))
		return pmem_size(shown, p, item + 5);
	if (strcmp(item, "ro") && strcmp(item, "rw"))
		return config_unknown_item(shown, item, pmem_items);
	p->readonly = !strcmp(item, "ro");
	return 0;
}

static int pmem_parse(const char *shown, const char *arg, void *target)
{
	struct vm_config *cfg = target;
	char *copy = xstrdup(arg), *list = copy;
	const char *path = config_next_item(&list), *item;
	struct pmem_config *p;
	int ret = 0;

	cfg->pmems = config_grow(cfg->pmems, &cfg->nr_pmems, sizeof(*cfg->pmems));
	p = &cfg->pmems[cfg->nr_pmems - 1];
	p->path = xstrdup(path ? path : "");
	while (!ret && (item = config_next_item(&list)))
		ret = pmem_item(shown, p, item);
	free(copy);
	return ret;
}

static char *pmem_text(const void *target, u32 i)
{
	const struct vm_config *cfg = target;
	const struct pmem_config *p;
	char size[32], *path, *text;

	if (i >= cfg->nr_pmems)
		return NULL;
	p = &cfg->pmems[i];
	path = config_one_item(p->path);
	text = xasprintf("%s%s%s%s", path, p->readonly ? ",ro" : "", p->size ? ",size=" : "",
			 p->size ? format_size(p->size, size, sizeof(size)) : "");
	free(path);
	return text;
}

static const char *pmem_path(const void *target, u32 i)
{
	const struct vm_config *cfg = target;

	return i < cfg->nr_pmems ? cfg->pmems[i].path : NULL;
}

static void pmem_destroy(void *target)
{
	struct vm_config *cfg = target;

	for (u32 i = 0; i < cfg->nr_pmems; i++)
		free(cfg->pmems[i].path);
	free(cfg->pmems);
	cfg->pmems = NULL;
	cfg->nr_pmems = 0;
}

const struct option_hooks pmem_hooks = {
	.parse = pmem_parse,
	.text = pmem_text,
	.path = pmem_path,
	.destroy = pmem_destroy,
	.items = pmem_items,
};
