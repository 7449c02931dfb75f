/* SPDX-License-Identifier: MIT */
/* `lkvm sandbox`: `lkvm run` with this host's files to read, nothing of them to write, no network.
 */
#include "lkvm/cli.h"

static int cmd_sandbox_main(const struct command *cmd, int argc, char **argv)
{
	return run_command_line(cmd, argc, argv, true);
}

const struct command cmd_sandbox = {
	.name = "sandbox",
	.summary = "Run a command that can change nothing on this host",
	.usage = "lkvm sandbox [options] [-- COMMAND [ARGUMENT...]]",
	.description = "Runs the command, or a shell, in a virtual machine whose root is this "
		       "host's, or the directory of --disk: what it writes is in memory and gone "
		       "at the end, and there is no network. The exit status is the command's.",
	.options = &run_set,
	.run = cmd_sandbox_main,
};
