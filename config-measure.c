/* SPDX-License-Identifier: MIT */
/*
 * Which kind of confidential guest is asked for, and what `lkvm measure` has to know of it: a
 * measurement is worth something where the machine that runs is the same to the last byte, so
 * nothing may be left to the host's choice.
 */
#include <stdlib.h>

#include "lkvm/config.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* Hosts have pages of up to 64 KiB, to which memory is rounded. */
#define LARGEST_PAGE (64 * KiB)

const char *config_confidential(const struct vm_config *cfg, const char *after)
{
	bool found = !after;

	for_each_option(c, &config_set)
	{
		char *text;

		if (!(c.opt->flags & OPT_CONFIDENTIAL) || !option_is_here(&c))
			continue;
		if (!found) {
			found = c.opt->name == after;
			continue;
		}
		text = option_text(&c, cfg, 0);
		free(text);
		if (text)
			return c.opt->name;
	}
	return NULL;
}

int config_check_confidential(const struct vm_config *cfg)
{
	const char *one = config_confidential(cfg, NULL);
	const char *other = one ? config_confidential(cfg, one) : NULL;

	if (!other)
		return 0;
	err("--%s and --%s: a guest is of one kind; omit one of them", one, other);
	return -EINVAL;
}

static int left_to_host(const char *what, const char *option)
{
	err("measure: %s would be this host's choice, and count; give %s, as 'lkvm run' is given "
	    "it",
	    what, option);
	return -EINVAL;
}

int config_check_measured(const struct vm_config *cfg)
{
	char size[32];

	if (!cfg->measured)
		return 0;
	if (!cfg->kernel && !cfg->firmware)
		return left_to_host("the kernel", "-k FILE, or -f FILE");
	if (!cfg->cpus)
		return left_to_host("the number of vcpus", "-c N");
	if (!cfg->memory)
		return left_to_host("the size of memory", "-m SIZE");
	if (IS_ALIGNED(cfg->memory, LARGEST_PAGE))
		return 0;
	err("measure: --mem %s: some hosts would round it up, and it counts; give a multiple of "
	    "64K",
	    format_size(cfg->memory, size, sizeof(size)));
	return -EINVAL;
}
