/* SPDX-License-Identifier: MIT */
/* `lkvm host`: what this host offers to virtual machines, and why the rest is missing. */
#include <stdlib.h>

#include "lkvm/cli.h"
#include "lkvm/log.h"
#include "lkvm/probe.h"
#include "lkvm/util.h"

struct host_args {
	bool json;
	bool cpu;
	bool verbose;
	char *kvm_path;
};

/* clang-format off */
static const struct option_spec host_options[] = {
	{ .type = OPT_FLAG, .name = "json", .offset = offsetof(struct host_args, json),
	  .help = "print JSON instead of a table" },
	{ .type = OPT_FLAG, .name = "cpu", .offset = offsetof(struct host_args, cpu),
	  .help = "print what --cpu of 'lkvm run' can name, and what this host has of it, as JSON" },
	{ .type = OPT_FLAG, .short_name = 'v', .name = "verbose",
	  .offset = offsetof(struct host_args, verbose),
	  .help = "in the table, also show what each capability is for, its number and the Linux that introduced it, and CPU features that are missing" },
	{ .type = OPT_STRING, .name = "dev", .arg = "PATH",
	  .offset = offsetof(struct host_args, kvm_path),
	  .help = "the KVM device", .def = "/dev/kvm" },
	OPT_END
};
/* clang-format on */

static const struct option_source sources[] = { { .rows = host_options }, { 0 } };
static const struct option_set host_set = { .sources = sources };

static int cmd_host_main(const struct command *cmd, int argc, char **argv)
{
	struct host_args args = { .kvm_path = xstrdup("/dev/kvm") };
	int words, rest, status = EXIT_USAGE;
	struct probe probe;
	int ret = options_parse(cmd, argc, argv, &args, &words, &rest);

	if (ret) {
		status = ret > 0 ? EXIT_SUCCESS : EXIT_USAGE;
		goto out;
	}
	if (words || rest < argc) {
		err("host: takes only options; 'lkvm help host' lists them");
		goto out;
	}
	probe_run(&probe, &probe_sys_real, args.kvm_path);
	status = probe.usable ? EXIT_SUCCESS : EXIT_FAILURE;
	if (args.cpu && probe_print_cpu(&probe, stdout))
		status = EXIT_FAILURE;
	else if (args.json && !args.cpu)
		probe_print_json(&probe, stdout);
	else if (!args.cpu)
		probe_print_table(&probe, args.verbose, stdout);
	probe_destroy(&probe);
out:
	free(args.kvm_path);
	return status;
}

const struct command cmd_host = {
	.name = "host",
	.summary = "Show what this host offers to virtual machines",
	.usage = "lkvm host [--json|--cpu] [options]",
	.description = "Lists what this host's KVM, kernel and devices offer, and why the rest is "
		       "missing. Nothing is changed or loaded. The exit status is 0 when virtual "
		       "machines can be created, else 1.",
	.options = &host_set,
	.run = cmd_host_main,
};
