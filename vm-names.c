/* SPDX-License-Identifier: MIT */
/* The machines that a command line names, for the commands to machines that run. */
#include <stdlib.h>

#include "lkvm/cli.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

/* clang-format off */
const struct option_spec vm_names_options[] = {
	{ .type = OPT_STRING, .short_name = 'n', .name = "name", .arg = "NAME",
	  .offset = offsetof(struct vm_names, name),
	  .help = "the machine; --name may be omitted" },
	{ .type = OPT_FLAG, .short_name = 'a', .name = "all", .offset = offsetof(struct vm_names, all),
	  .help = "all machines that run" },
	OPT_END
};
/* clang-format on */

static void add(struct machine_names *out, const char *name)
{
	for (u32 i = 0; i < out->nr; i++)
		if (!strcmp(out->names[i], name))
			return;
	out->names = xrealloc(out->names, (out->nr + 1) * sizeof(*out->names));
	out->names[out->nr++] = xstrdup(name);
}

int vm_names_parse(const struct command *cmd, int argc, char **argv, void *target, int *nr)
{
	int rest;
	int ret = options_parse(cmd, argc, argv, target, nr, &rest);

	if (ret || rest == argc)
		return ret;
	err("%s: '%s' after '--': takes names of machines and options", cmd->name, argv[rest]);
	return -EINVAL;
}

int vm_names_take(const struct command *cmd, const struct vm_names *which, char **words, int nr,
		  struct machine_names *out)
{
	*out = (struct machine_names){ 0 };
	if (which->all && (which->name || nr)) {
		err("%s: --all and the name '%s'; omit one of them", cmd->name,
		    which->name ? which->name : words[0]);
		return EXIT_USAGE;
	}
	if (which->all)
		return control_find_all(out) ? EXIT_FAILURE : EXIT_SUCCESS;
	if (which->name)
		add(out, which->name);
	for (int i = 0; i < nr; i++)
		add(out, words[i]);
	if (out->nr)
		return EXIT_SUCCESS;
	err("%s: needs the name of a machine, or --all; 'lkvm list' shows them", cmd->name);
	return EXIT_USAGE;
}

int vm_names_each(const struct machine_names *names,
		  int (*fn)(struct control_link *link, void *opaque), void *opaque)
{
	int status = EXIT_SUCCESS;

	for (u32 i = 0; i < names->nr; i++) {
		struct control_link link;

		if (control_connect(&link, names->names[i])) {
			status = EXIT_FAILURE;
			continue;
		}
		if (fn(&link, opaque))
			status = EXIT_FAILURE;
		control_hang_up(&link);
	}
	return status;
}

int vm_names_run(const struct command *cmd, const struct vm_names *which, char **words, int nr,
		 int (*fn)(struct control_link *link, void *opaque), void *opaque)
{
	struct machine_names names;
	int status = vm_names_take(cmd, which, words, nr, &names);

	if (!status)
		status = vm_names_each(&names, fn, opaque);
	machine_names_free(&names);
	return status;
}
