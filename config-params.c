/* SPDX-License-Identifier: MIT */
/* The user's parameters for the kernel (-p), read as the kernel reads them. */
#include <ctype.h>

#include "lkvm/config.h"

/*
 * What follows @prefix in the first word that begins so among the kernel's own parameters. As the
 * kernel reads them (lib/cmdline.c next_arg): blanks part words but not inside double quotes, a
 * word may be quoted as a whole, and what follows "--" is init's.
 */
static const char *find_param(const char *params, const char *prefix)
{
	bool quoted = false, start = true;

	for (const char *p = params; *p; p++) {
		if (start) {
			const char *word = p + (*p == '"');

			if (!strncmp(p, "--", 2) && (!p[2] || isspace((unsigned char)p[2])))
				return NULL;
			if (!strncmp(word, prefix, strlen(prefix)))
				return word + strlen(prefix);
		}
		if (*p == '"')
			quoted = !quoted;
		start = !quoted && isspace((unsigned char)*p);
	}
	return NULL;
}

const char *config_find_param(const struct vm_config *cfg, const char *prefix)
{
	return cfg->params ? find_param(cfg->params, prefix) : NULL;
}
