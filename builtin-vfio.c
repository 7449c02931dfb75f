/* SPDX-License-Identifier: MIT */
/*
 * `lkvm vfio`: the host's devices that can be a guest's. A subcommand is a row of a table and a
 * file, builtin-vfio-NAME.c; the options of all are one list, and the row says which are its own.
 */
#include <stdio.h>
#include <stdlib.h>

#include "builtin-vfio.h"
#include "lkvm/cli.h"
#include "lkvm/log.h"
#include "lkvm/util.h"

#define MAX_OPTIONS 4

struct vfio_command {
	const char *name;
	vfio_command_fn *run;
	const char *options[MAX_OPTIONS + 1]; /* names, NULL-terminated */
};

/* In the order of the usage. */
static const struct vfio_command vfio_commands[] = {
	{ "list", vfio_command_list, { "verbose", "json" } },
	{ "bind", vfio_command_bind, { "driver", "force", "group" } },
	{ "unbind", vfio_command_unbind, { "group" } },
	{ "mdev", vfio_command_mdev, { "uuid", "json" } },
	{ "state", vfio_command_state, { "json" } },
	{ 0 },
};

/* clang-format off */
static const struct option_spec vfio_options[] = {
	{ .type = OPT_FLAG, .short_name = 'v', .name = "verbose", .offset = offsetof(struct vfio_args, verbose),
	  .help = "list: also show what each device can do (ACS, reset methods, ATS, PRI, PASID, SR-IOV), its BARs, NUMA node and VFIO nodes" },
	{ .type = OPT_FLAG, .name = "group", .offset = offsetof(struct vfio_args, group),
	  .help = "bind, unbind: all devices of the IOMMU group" },
	{ .type = OPT_FLAG, .name = "force", .offset = offsetof(struct vfio_args, force),
	  .help = "bind: also a device that the host uses (a mounted disk, a network interface that is up)" },
	{ .type = OPT_STRING, .name = "driver", .arg = "NAME", .offset = offsetof(struct vfio_args, driver),
	  .help = "bind: VFIO's driver for it", .def = "vfio-pci" },
	{ .type = OPT_STRING, .name = "uuid", .arg = "UUID", .offset = offsetof(struct vfio_args, uuid),
	  .help = "mdev create: its UUID", .def = "a random one" },
	{ .type = OPT_FLAG, .name = "json", .offset = offsetof(struct vfio_args, json),
	  .help = "list, mdev list, state: print JSON" },
	OPT_END
};
/* clang-format on */

static const struct option_source sources[] = { { .rows = vfio_options }, { 0 } };
static const struct option_set vfio_set = { .sources = sources };

static const struct vfio_command *find(const char *name)
{
	const char *names[ARRAY_SIZE(vfio_commands)] = { NULL };
	const char *near;

	for (size_t i = 0; vfio_commands[i].name; i++) {
		if (!strcmp(vfio_commands[i].name, name))
			return &vfio_commands[i];
		names[i] = vfio_commands[i].name;
	}
	near = nearest_word(name, names);
	if (near)
		err("vfio: '%s' is not one of its commands; did you mean '%s'?", name, near);
	else
		err("vfio: '%s' is not one of its commands; 'lkvm help vfio' lists them", name);
	return NULL;
}

/* Is each option that was given one of the command's? */
static int check_options(const struct vfio_command *vc, const struct vfio_args *args)
{
	for_each_option(c, &vfio_set)
	{
		const char *const *own = vc->options;

		if (!options_given(&vfio_set, args, c.opt->name))
			continue;
		while (*own && strcmp(*own, c.opt->name) != 0)
			own++;
		if (*own)
			continue;
		err("vfio %s: takes no --%s; 'lkvm help vfio' shows which commands do", vc->name,
		    c.opt->name);
		return -EINVAL;
	}
	return 0;
}

static int cmd_vfio_main(const struct command *cmd, int argc, char **argv)
{
	const struct vfio_command *vc = NULL;
	struct vfio_args args = { 0 };
	int words, rest, status = EXIT_USAGE;
	int ret = options_parse(cmd, argc, argv, &args, &words, &rest);

	if (ret > 0)
		status = EXIT_SUCCESS;
	else if (ret)
		;
	else if (!words)
		err("vfio: what is to be done? 'lkvm help vfio' lists its commands");
	else if (rest < argc)
		err("vfio: '%s': nothing may follow '--'", argv[rest]);
	else
		vc = find(argv[0]);
	if (vc && !check_options(vc, &args))
		status = vc->run(&args, words - 1, argv + 1);
	options_destroy(&vfio_set, &args);
	return status;
}

const struct command cmd_vfio = {
	.name = "vfio",
	.summary = "Show and prepare devices that can be passed through",
	.usage = "lkvm vfio COMMAND [DEVICE...] [options]",
	.description =
		"Shows the host's devices and makes them ready for 'lkvm run --vfio'. 'list' shows "
		"PCI devices with driver and IOMMU group, which devices share a group and why, "
		"and mediated devices with their types. 'bind' takes devices from the host's "
		"drivers for VFIO, 'unbind' gives them back. 'mdev list' shows which devices make "
		"mediated ones; 'mdev create PARENT TYPE' makes one and prints its UUID, 'mdev "
		"remove UUID...' removes some. 'state' shows whether a device can be paused and "
		"its state saved. A DEVICE is a PCI address ([DOMAIN:]BB:DD.F), an mdev's UUID or "
		"a path in sysfs.",
	.options = &vfio_set,
	.word = "list bind unbind mdev state create remove",
	.run = cmd_vfio_main,
};
