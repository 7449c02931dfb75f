/* SPDX-License-Identifier: MIT */
/* The directory that is the guest's root: what its options and commands fill. */
#include <stdarg.h>
#include <stdlib.h>

#include "config-items.h"
#include "lkvm/config.h"
#include "lkvm/util.h"

void config_add_init_line(struct vm_config *cfg, const char *fmt, ...)
{
	struct root_config *root = &cfg->root;
	va_list ap;

	root->lines = config_grow(root->lines, &root->nr_lines, sizeof(*root->lines));
	va_start(ap, fmt);
	root->lines[root->nr_lines - 1] = xvasprintf(fmt, ap);
	va_end(ap);
}

void config_root_destroy(struct vm_config *cfg)
{
	struct root_config *root = &cfg->root;

	for (u32 i = 0; i < root->nr_lines; i++)
		free(root->lines[i]);
	free(root->lines);
	root->lines = NULL;
	root->nr_lines = 0;
}
