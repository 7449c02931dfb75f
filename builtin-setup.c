/* SPDX-License-Identifier: MIT */
/* `lkvm setup`: a root file system for guests, as kvmtool's command of that name makes one. */
#include <stdio.h>
#include <stdlib.h>

#include "lkvm/cli.h"
#include "lkvm/log.h"
#include "lkvm/rootfs.h"

static const struct option_source sources[] = { { .rows = loglevel_options }, { 0 } };
static const struct option_set setup_set = { .sources = sources };

static int setup(const char *name)
{
	char *path;
	int ret;

	if (!*name || *name == '.' || strchr(name, '/')) {
		err("setup '%s': is not a name; it becomes a directory in ~/.lkvm, without '/' and "
		    "a '.' in front",
		    name);
		return EXIT_USAGE;
	}
	path = config_root_path(name);
	if (!path) {
		err("setup %s: there is no home directory to make it in; set HOME", name);
		return EXIT_FAILURE;
	}
	ret = rootfs_setup(path, name);
	if (!ret)
		printf("%s is made; 'lkvm run -d %s' starts it\n", path, name);
	free(path);
	return ret ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int cmd_setup_main(const struct command *cmd, int argc, char **argv)
{
	int words, rest;
	int ret = options_parse(cmd, argc, argv, NULL, &words, &rest);

	if (ret)
		return ret > 0 ? EXIT_SUCCESS : EXIT_USAGE;
	if (words != 1 || rest < argc) {
		err("setup: needs one name, by which 'lkvm run -d NAME' finds what it makes");
		return EXIT_USAGE;
	}
	return setup(argv[0]);
}

const struct command cmd_setup = {
	.name = "setup",
	.summary = "Make a root file system whose programs are this host's",
	.usage = "lkvm setup NAME",
	.description = "Makes ~/.lkvm/NAME, a root file system with files of its own in /etc, "
		       "/home, /root, /tmp and /var, and links to this host's programs and "
		       "libraries, which its guest sees read-only in /host. 'lkvm run -d NAME' "
		       "starts it, and what the guest writes stays there.",
	.options = &setup_set,
	.run = cmd_setup_main,
};
