/* SPDX-License-Identifier: MIT */
/* --initrd: a list of initial RAM disks. */
#include <stdlib.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

void config_add_initrd(struct vm_config *cfg, const char *path)
{
	cfg->initrds = config_grow(cfg->initrds, &cfg->nr_initrds, sizeof(*cfg->initrds));
	cfg->initrds[cfg->nr_initrds - 1] = xstrdup(path);
}

static int initrd_parse(const char *shown, const char *arg, void *target)
{
	config_add_initrd(target, arg);
	return 0;
}

static const char *initrd_path(const void *target, u32 i)
{
	const struct vm_config *cfg = target;

	return i < cfg->nr_initrds ? cfg->initrds[i] : NULL;
}

static char *initrd_text(const void *target, u32 i)
{
	const char *path = initrd_path(target, i);

	return path ? xstrdup(path) : NULL;
}

static void initrd_destroy(void *target)
{
	struct vm_config *cfg = target;

	for (u32 i = 0; i < cfg->nr_initrds; i++)
		free(cfg->initrds[i]);
	free(cfg->initrds);
	cfg->initrds = NULL;
	cfg->nr_initrds = 0;
}

const struct option_hooks initrd_hooks = {
	.parse = initrd_parse,
	.text = initrd_text,
	.path = initrd_path,
	.destroy = initrd_destroy,
};
